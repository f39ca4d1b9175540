"""A trunk: numbers that a gateway takes, and what it is told when it asks who we are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sip.core.digest import ALGORITHMS, Answer, expected_response, ha1_of
from sip.message.grammar import BadMessage, quote, unescape
from sip.message.headers import parse_credentials
from sip.message.message import Response
from sip.message.uri import SipUri, format_host_port, parse_uri
from sip.phone_numbers import SEPARATORS

_PATTERN = re.compile(r"[0-9+*#X]+")
_EXAMPLE = "0=sip:account:password@gateway.example.net"


@dataclass(frozen=True, slots=True)
class Trunk:
    """The numbers that one gateway takes.

    `numbers` is their beginning, or with an X for each digit that may be any, the whole number.
    """

    numbers: str
    gateway: SipUri
    username: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        """For people: without the password."""
        return f"{self.numbers}={self._uri(self.username)}"

    def takes(self, number: str) -> bool:
        """Tell whether a number is among those of this trunk."""
        if "X" not in self.numbers:
            return number.startswith(self.numbers)
        return len(number) == len(self.numbers) and all(
            said.isdecimal() if wanted == "X" else said == wanted
            for wanted, said in zip(self.numbers, number, strict=True)
        )

    @property
    def exactness(self) -> tuple[bool, int]:
        """The greater, the fewer numbers it takes."""
        return "X" in self.numbers, len(self.numbers) - self.numbers.count("X")

    def uri_of(self, number: str) -> str:
        """The Request-URI of a call to a number."""
        return self._uri(number.replace("#", "%23"))

    def _uri(self, user: str) -> str:
        place = format_host_port(self.gateway.host, self.gateway.port)
        transport = self.gateway.param("transport")
        more = f";transport={transport}" if transport else ""
        return f"sip:{user}@{place}{more}" if user else f"sip:{place}{more}"


def parse_trunks(text: str) -> tuple[Trunk, ...]:
    """Read trunks, with commas between.  Raises ValueError, which never holds a password."""
    return tuple(_parse_trunk(part.strip()) for part in text.split(",") if part.strip())


def _parse_trunk(text: str) -> Trunk:
    numbers, equals, address = text.partition("=")
    numbers = numbers.strip().upper().removeprefix("TEL:").translate(SEPARATORS)
    if not equals or not _PATTERN.fullmatch(numbers):
        raise ValueError(
            f"a trunk has digits, + or *, or X for any digit before its first =, like {_EXAMPLE}"
        )
    try:
        uri = parse_uri(address.strip())
    except BadMessage:
        uri = None
    if not isinstance(uri, SipUri) or uri.scheme != "sip" or uri.headers:
        raise ValueError(
            f"the trunk of {numbers} names no gateway; write it like {_EXAMPLE}, and any other"
            " character than letters and digits in a password as % and two hexadecimal digits"
        )
    if uri.password and not uri.username:
        raise ValueError(f"the trunk of {numbers} has a password and no account before it")
    place = uri.text.rpartition("@")[2].removeprefix("sip:")
    gateway = replace(uri, text=f"sip:{place}", user=None, password=None)
    return Trunk(numbers, gateway, uri.username, unescape(uri.password or ""))


class Challenge(NamedTuple):
    """A question who we are, that can be answered."""

    is_proxys: bool
    params: dict[str, str]

    @property
    def is_stale(self) -> bool:
        """Tell whether only the nonce was too old (RFC 7616 §3.3)."""
        return self.params.get("stale", "").lower() == "true"

    def answer(self, trunk: Trunk, method: str, uri: str, cnonce: str) -> tuple[str, str]:
        """The name and line of the field that answers it for a request to `uri`."""
        params = self.params
        algorithm = params.get("algorithm", "MD5").upper()
        given = Answer(
            algorithm=algorithm,
            username=trunk.username,
            realm=params.get("realm", ""),
            nonce=params.get("nonce", ""),
            uri=uri,
            response="",
            qop="auth" if "qop" in params else "",
            count="00000001",
            cnonce=cnonce,
        )
        ha1 = ha1_of(algorithm, given.username, given.realm, trunk.password)
        said = [
            f"username={quote(given.username)}",
            f"realm={quote(given.realm)}",
            f"nonce={quote(given.nonce)}",
            f"uri={quote(uri)}",
            f'response="{expected_response(ha1, method, given)}"',
        ]
        if "algorithm" in params:
            said.append(f"algorithm={algorithm}")
        if "opaque" in params:
            said.append(f"opaque={quote(params['opaque'])}")
        if given.qop:
            said += ["qop=auth", f"nc={given.count}", f'cnonce="{cnonce}"']
        name = "Proxy-Authorization" if self.is_proxys else "Authorization"
        return name.lower(), f"{name}: Digest {', '.join(said)}"


def challenges_in(response: Response) -> Iterator[Challenge]:
    """The challenges of a 401 or 407 that can be answered, in their order (RFC 8760 §2.4)."""
    is_proxys = response.status == 407
    for field_value in response.fields("proxy-authenticate" if is_proxys else "www-authenticate"):
        try:
            challenge = parse_credentials(field_value)
        except BadMessage:
            continue
        params = challenge.params
        qops = params.get("qop", "auth").lower().replace(" ", "").split(",")
        algorithm = params.get("algorithm", "MD5").upper()
        is_known = challenge.scheme == "digest" and algorithm in ALGORITHMS and "auth" in qops
        if is_known and {"realm", "nonce"} <= params.keys():
            yield Challenge(is_proxys, params)
