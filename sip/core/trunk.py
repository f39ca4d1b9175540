"""A trunk: numbers that a gateway takes, and what it is told when it asks who we are."""

import re
from dataclasses import dataclass, field, replace

from sip.message.grammar import BadMessage, unescape
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
