"""Messages as pages show them: start line, fields and body of any octets, malformed ones included.

It is no parser of SIP: it finds the fields that pages show, and never fails.
"""

import re
from functools import cached_property
from typing import Final

from sip.monitor.events import MessagePassed

# Characters of a name, device or reason phrase.
MAX_SHOWN = 60
# Lines and characters of a message on a page.
MAX_LINES = 1000
MAX_CHARACTERS = 100_000
# Characters of a From or To that are searched for a user: a stranger may write any number.
MAX_ADDRESS = 500

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(r"\r\n|\n|\r")
_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "c": "content-type"}
_START = re.compile(r"(?P<method>[^\s]{1,60}) (?P<uri>\S+) SIP/2\.0")
_STATUS = re.compile(r"SIP/2\.0 (?P<status>[1-6]\d\d)(?: (?P<reason>.*))?")
_URI_USER = re.compile(r"\b(?:sips?:(?P<user>[^@>;:\s]+)(?::[^@>\s]*+)?@|tel:(?P<number>[^>;\s]+))")
_URI_HOST = re.compile(r"\bsips?:(?P<host>\[[^\]]+\]|[^>;:\s?]+)")
_FIELD = re.compile(r"(?P<name>[A-Za-z0-9!%*_+`'~.-]+)[ \t]*:(?P<value>.*)", re.DOTALL)


class Kind:
    """The kinds of messages, which have colours in a ladder."""

    REQUEST: Final = "request"
    PROVISIONAL: Final = "provisional"
    SUCCESS: Final = "ok"
    CHALLENGE: Final = "challenge"
    FAILURE: Final = "failure"
    UNREADABLE: Final = "unreadable"


class ShownMessage:
    """One message; `number` counts from 1 in its trace, `octets` may be redacted."""

    def __init__(self, number: int, passed: MessagePassed, octets: bytes | None = None) -> None:
        self.number = number
        self.passed = passed
        self.octets = passed.octets if octets is None else octets
        head, self.body = split(self.octets)
        lines = _LINE_END.split(as_text(head.lstrip(b"\r\n"))[:MAX_CHARACTERS], MAX_LINES)
        self.start = lines[0]
        self._lines = lines[1:]
        self.method = self.reason = self.uri = ""
        self.status = 0
        if found := _STATUS.fullmatch(self.start):
            self.status, self.reason = int(found["status"]), found["reason"] or ""
        elif found := _START.fullmatch(self.start):
            self.method, self.uri = found["method"], found["uri"]

    @cached_property
    def fields(self) -> list[tuple[str, str]]:
        """The header fields as (name, rest of the line with its colon); folds begin with ""."""
        fields = []
        for line in self._lines:
            if line[:1] in (" ", "\t") or ":" not in line:
                fields.append(("", line))
            else:
                name, _, value = line.partition(":")
                fields.append((name, f":{value}"))
        return fields

    def field(self, name: str) -> str:
        """Return the first value of a field, by its long name in lower case; "" without one."""
        for each, value in self.fields:
            key = each.strip().lower()
            if key == name or _COMPACT.get(key) == name:
                return value[1:].strip()
        return ""

    @property
    def body_text(self) -> str:
        """The body as text, with escapes for octets that are none."""
        text = as_text(self.body)
        return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"

    @property
    def cseq_method(self) -> str:
        """The method of the transaction."""
        return self.method or self.field("cseq").rpartition(" ")[2][:MAX_SHOWN]

    @property
    def label(self) -> str:
        """The message in a word or two: `INVITE`, `180 Ringing`, `200 OK (BYE)`."""
        if self.status:
            text = f"{self.status} {self.reason}".strip()
            text = f"{text[:MAX_SHOWN]}…" if len(text) > MAX_SHOWN else text
            method = self.cseq_method
            return text if method in ("INVITE", "") else f"{text} ({method})"
        return self.method or "unreadable"

    @property
    def has_session(self) -> bool:
        """Return True if the body has a session description (SDP)."""
        return bool(self.body) and "sdp" in self.field("content-type").lower()

    @property
    def kind(self) -> str:
        """The kind of the message: see Kind."""
        status = self.status
        if not status:
            return Kind.REQUEST if self.method else Kind.UNREADABLE
        if status in (401, 407):
            return Kind.CHALLENGE
        if status < 200:
            return Kind.PROVISIONAL
        return Kind.SUCCESS if status < 300 else Kind.FAILURE

    @property
    def device(self) -> str:
        """The User-Agent or Server field."""
        return (self.field("user-agent") or self.field("server"))[:MAX_SHOWN]


def split(octets: bytes) -> tuple[bytes, bytes]:
    """Return the head and the body of a message."""
    found = _HEAD_END.search(octets, 0 if octets[:1] not in b"\r\n" else _start_of(octets))
    return (octets[: found.start()], octets[found.end() :]) if found else (octets, b"")


def _start_of(octets: bytes) -> int:
    return len(octets) - len(octets.lstrip(b"\r\n"))


def as_text(octets: bytes) -> str:
    """Return octets as printable text with line ends; all else is escaped as in Python."""
    text = octets.decode("utf-8", "backslashreplace")
    if text.isascii() and _is_plain(text):
        return text
    return "".join(c if c.isprintable() or c in "\r\n\t" else _escaped(c) for c in text)


_NOT_PLAIN = re.compile(r"[^\x20-\x7e\r\n\t]")


def _is_plain(text: str) -> bool:
    return _NOT_PLAIN.search(text) is None


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def user_of(address: str) -> str:
    """Return the user of the URI in a From, To or Request-URI, else its host; "" without one."""
    address = address[:MAX_ADDRESS]
    if found := _URI_USER.search(address):
        return (found["user"] or found["number"])[:MAX_SHOWN]
    found = _URI_HOST.search(address)
    return found["host"][:MAX_SHOWN] if found else ""
