"""The parts of the grammar (RFC 3261 §25) that several header fields share.

There are two parsers of parameters.  The quick one splits, and is used for plain text; the exact
one scans, and is used for everything else.  `tests/message/test_grammar.py` checks that they agree
on all text that both can read.
"""

import re
from urllib.parse import unquote_to_bytes

# §25.1 `token`.  Methods and header names must be tokens.
TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")

# Characters of a parameter.  More than §25.1 allows: phones send `/`, `@` and `=` unquoted in tags
# and other tokens, and a proxy does not have to reject values that it does not use.
_PLAIN = r"[^ \t;,=\"<>\\]"
# Here and below, a `+` after a quantifier makes it possessive: a hostile text is read once, from
# left to right.  It is used after single characters only: after a group, Python before 3.11.5
# continues at a wrong position if the last repetition fails midway.  A `*` after a group is linear
# here, because its repetitions can match a text in one way only.
QUOTED = r'"([^"\\]*+(?:\\.[^"\\]*+)*)"'
_PARAMETER = re.compile(
    rf"[ \t]*+;[ \t]*+({_PLAIN}++)(?:[ \t]*+=[ \t]*+(?:{QUOTED}|([^ \t;,\"<>\\]*+)))?",
    re.DOTALL,
)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# The text up to the next comma that is not in quotes or angle brackets.
_LIST_ITEM = re.compile(rf"(?:[^\",<]++|{QUOTED}|<[^>]*+>?)*", re.DOTALL)

Params = dict[str, str | None]


class BadMessage(Exception):
    """A message breaks the grammar or a rule about its header fields.

    `status` is the status of the response, None if no response can be routed back.
    """

    def __init__(self, reason: str, status: int | None = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


def unfold(text: str) -> str:
    """Replace each line fold by one space (§7.3.1)."""
    if "\r\n" not in text:
        return text
    first, *middle, last = text.split("\r\n")
    whole = [first.rstrip(" \t"), *[line.strip(" \t") for line in middle], last.lstrip(" \t")]
    return " ".join(whole)


def value_of(line: str) -> str:
    """Return the value of a header line, unfolded and stripped."""
    value = line.partition(":")[2].strip(" \t")
    return unfold(value).strip(" \t") if "\n" in value else value


def is_token(text: str) -> bool:
    """Return True if `text` is a token (§25.1)."""
    return TOKEN.fullmatch(text) is not None


def unescape(text: str) -> str:
    """Decode %HH escapes (§25.1 `escaped`); octets that are not UTF-8 become surrogates."""
    if "%" not in text:
        return text
    octets = unquote_to_bytes(text.encode("utf-8", "surrogateescape"))
    return octets.decode("utf-8", "surrogateescape")


def has_bad_escape(text: str) -> bool:
    """Return True if a `%` is not followed by two hexadecimal digits."""
    return "%" in text and _BAD_ESCAPE.search(text) is not None


def quote(text: str) -> str:
    """Return `text` as a quoted-string (§25.1)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(inner: str) -> str:
    """Remove the escapes from the text between the quotes of a quoted-string (§25.1)."""
    if "\\" not in inner:
        return inner
    # The first backslash of a run is an escape, so pairs are found from the left.
    return "\\".join([part.replace("\\", "") for part in inner.split("\\\\")])


def bounded_number(text: str, limit: int) -> int | None:
    """Parse 1*DIGIT (§25.1).  None if it is not a number; limit + 1 if it is above `limit`.

    Leading zeros are ignored.  Very long numbers are not converted, to bound the time.
    """
    if not (text.isascii() and text.isdecimal()):
        return None
    digits = text.lstrip("0")
    if len(digits) > len(str(limit)):
        return limit + 1
    return min(int(digits or "0"), limit + 1)


def is_plain(text: str) -> bool:
    """Return True if `text` can be split: it has no quotes, escapes, lists, spaces or folds."""
    return not (
        " " in text
        or '"' in text
        or "," in text
        or "<" in text
        or ">" in text
        or "\\" in text
        or "\t" in text
    )


def split_params(text: str) -> Params:
    """Parse `;name=value;name` by splitting; `text` must be plain.  Raises BadMessage."""
    params: Params = {}
    for part in text.split(";")[1:]:
        name, equals, value = part.partition("=")
        if not name:
            raise BadMessage("a parameter without a name")
        name = name.lower()
        if name in params:
            raise BadMessage(f"the parameter {name[:20]!r} occurs twice")
        params[name] = value if equals else None
    return params


def scan_params(text: str) -> Params:
    """Parse `;name=value;name="value"` exactly, to the end of `text` (§25.1 `generic-param`).

    Raises BadMessage.
    """
    params: Params = {}
    at = 0
    end = len(text.rstrip(" \t"))
    while at < end:
        match = _PARAMETER.match(text, at, end)
        if match is None:
            raise BadMessage(f"cannot read the parameters at {text[at : at + 20]!r}")
        name = match[1].lower()
        if name in params:
            raise BadMessage(f"the parameter {name[:20]!r} occurs twice")
        params[name] = match[3] if match[2] is None else unquote(match[2])
        at = match.end()
    return params


def parse_params(text: str) -> Params:
    """Parse the parameters after a header field value; names are converted to lower case.

    A parameter may occur only once (§7.3.1).  Raises BadMessage.
    """
    if not text:
        return {}
    if text[0] == ";" and is_plain(text):
        return split_params(text)
    return scan_params(text)


def without_params(text: str, names: frozenset[str]) -> str:
    """Remove the parameters with these lower-case names from `;name=value;…`."""
    if "\r\n" in text:
        text = unfold(text)
    kept: list[str] = []
    at = 0
    end = len(text.rstrip(" \t"))
    while at < end and (match := _PARAMETER.match(text, at, end)):
        if match[1].lower() not in names:
            kept.append(match[0])
        at = match.end()
    return "".join(kept) + text[at:end]


def split_first(value: str) -> tuple[str, str]:
    """Return the first of comma-separated values, and the rest with its comma (§7.3.1)."""
    at = value.find(",")
    if at >= 0 and ('"' in value or "<" in value):
        at = _end_of_item(value, 0)
    return (value, "") if at < 0 or at == len(value) else (value[:at], value[at:])


def split_list(value: str) -> list[str]:
    """Split comma-separated values (§7.3.1), but not in quotes or angle brackets.

    Raises BadMessage for a quote that is not closed.
    """
    if "," not in value:
        return [value.strip(" \t")]
    if '"' not in value and "<" not in value:
        return [part.strip(" \t") for part in value.split(",")]
    parts: list[str] = []
    at, end = 0, len(value)
    while True:
        comma = _end_of_item(value, at)
        parts.append(value[at:comma].strip(" \t"))
        if comma == end:
            return parts
        at = comma + 1


def _end_of_item(value: str, start: int) -> int:
    match = _LIST_ITEM.match(value, start)
    end = match.end() if match else start
    if end < len(value) and value[end] != ",":
        raise BadMessage("a quote is not closed")
    return end


_QUOTED = re.compile(QUOTED, re.DOTALL)


def end_of_quoted(text: str, start: int) -> int:
    """Return the position after the quoted-string that begins at `start`.  Raises BadMessage."""
    match = _QUOTED.match(text, start)
    if match is None:
        raise BadMessage("a quote is not closed")
    return match.end()
