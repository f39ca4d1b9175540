"""A trunk: a gateway, the numbers that it takes, and the credentials for it."""

import re
from dataclasses import dataclass, field, replace

from sip.message.grammar import BadMessage, unescape
from sip.message.uri import SipUri, format_host_port, parse_uri
from sip.phone_numbers import SEPARATORS

_PATTERN = re.compile(r"[0-9+*#X]+")
_EXAMPLE = "0=sip:account:password@gateway.example.net"


@dataclass(frozen=True, slots=True)
class Trunk:
    """A gateway and the numbers that are called through it.

    `numbers` is a prefix; or, with an X for each variable digit, the pattern of a whole number.
    """

    numbers: str
    gateway: SipUri
    username: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Return the trunk as text for logs, without the password."""
        return f"{self.numbers}={self._uri(self.username)}"

    def matches(self, number: str) -> bool:
        """Return True if this trunk takes a number."""
        if "X" not in self.numbers:
            return number.startswith(self.numbers)
        return len(number) == len(self.numbers) and all(
            digit.isdecimal() if wanted == "X" else digit == wanted
            for wanted, digit in zip(self.numbers, number, strict=True)
        )

    @property
    def specificity(self) -> tuple[bool, int]:
        """Return a sort key: the greater it is, the fewer numbers this trunk takes."""
        return "X" in self.numbers, len(self.numbers) - self.numbers.count("X")

    def request_uri(self, number: str) -> str:
        """Return the Request-URI of a call to a number."""
        return self._uri(number.replace("#", "%23"))

    def _uri(self, user: str) -> str:
        host = format_host_port(self.gateway.host, self.gateway.port)
        transport = self.gateway.param("transport")
        more = f";transport={transport}" if transport else ""
        return f"sip:{user}@{host}{more}" if user else f"sip:{host}{more}"


def parse_trunks(text: str) -> tuple[Trunk, ...]:
    """Read a comma-separated list of trunks.

    Raises ValueError, whose text never has a password in it.
    """
    return tuple(_parse_trunk(part.strip()) for part in text.split(",") if part.strip())


def _parse_trunk(text: str) -> Trunk:
    numbers, equals, address = text.partition("=")
    numbers = numbers.strip().upper().removeprefix("TEL:").translate(SEPARATORS)
    if not equals or not _PATTERN.fullmatch(numbers):
        raise ValueError(
            f"a trunk needs digits, +, * or X (any digit) before its first =, like {_EXAMPLE}"
        )
    try:
        uri = parse_uri(address.strip())
    except BadMessage:
        uri = None
    if not isinstance(uri, SipUri) or uri.scheme != "sip" or uri.headers:
        raise ValueError(
            f"trunk {numbers}: the gateway is not a SIP URI; write {_EXAMPLE}, and write each"
            " character of the password that is no letter or digit as % and two hexadecimal digits"
        )
    if uri.password and not uri.username:
        raise ValueError(f"trunk {numbers}: a password needs an account name before it")
    host_and_more = uri.text.rpartition("@")[2].removeprefix("sip:")
    gateway = replace(uri, text=f"sip:{host_and_more}", user=None, password=None)
    return Trunk(numbers, gateway, uri.username, unescape(uri.password or ""))
