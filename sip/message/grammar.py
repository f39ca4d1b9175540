"""The pieces of RFC 3261 §25 that several header fields share.

Two readings of parameters stand here side by side.  The quick one splits, and is taken where a
value holds nothing but plain text; the exact one scans, and takes everything else.  Where both
can read a value they agree: `tests/message/test_grammar.py` holds them to it.
"""

import re
from urllib.parse import unquote_to_bytes

# §25.1 `token`.  Methods and header names must be tokens.
TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")

# What a parameter may be made of.  More than §25.1 grants: phones send `/`, `@` and `=` unquoted in
# tags and tokens of their own, and a proxy that has no need to understand a value lets it be.
_PLAIN = r"[^ \t;,=\"<>\\]"
# Here and below a `+` behind a repetition makes it possessive: a hostile text is read once, from
# left to right.  It stands behind single characters only: behind a group, Python before 3.11.5 goes
# on from a wrong position when the last repetition fails midway.  A `*` behind a group is linear
# here, because its repetitions can match a text in one way only.
QUOTED = r'"([^"\\]*+(?:\\.[^"\\]*+)*)"'
_PARAMETER = re.compile(
    rf"[ \t]*+;[ \t]*+({_PLAIN}++)(?:[ \t]*+=[ \t]*+(?:{QUOTED}|([^ \t;,\"<>\\]*+)))?",
    re.DOTALL,
)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Up to the next comma that stands neither in quotes nor in angle brackets.
_LIST_ITEM = re.compile(rf"(?:[^\",<]++|{QUOTED}|<[^>]*+>?)*", re.DOTALL)

Params = dict[str, str | None]


class BadMessage(Exception):
    """A message that breaks the grammar or a rule about its header fields.

    `status` is the response it deserves, None where no response could find its way back.
    """

    def __init__(self, reason: str, status: int | None = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


def unfold(text: str) -> str:
    """Turn each line fold into the one space that it stands for (§7.3.1)."""
    if "\r\n" not in text:
        return text
    first, *middle, last = text.split("\r\n")
    whole = [first.rstrip(" \t"), *[line.strip(" \t") for line in middle], last.lstrip(" \t")]
    return " ".join(whole)


def value_of(line: str) -> str:
    """What a header line says behind its colon: unfolded, without white space around it."""
    value = line.partition(":")[2].strip(" \t")
    return unfold(value).strip(" \t") if "\n" in value else value


def is_token(text: str) -> bool:
    """Tell whether `text` is a token of §25.1."""
    return TOKEN.fullmatch(text) is not None


def unescape(text: str) -> str:
    """Undo %HH, octet by octet (§25.1 `escaped`); octets that are no UTF-8 become surrogates."""
    if "%" not in text:
        return text
    octets = unquote_to_bytes(text.encode("utf-8", "surrogateescape"))
    return octets.decode("utf-8", "surrogateescape")


def has_bad_escape(text: str) -> bool:
    """Tell whether a `%` stands there without its two hexadecimal digits."""
    return "%" in text and _BAD_ESCAPE.search(text) is not None


def quote(text: str) -> str:
    """Make a quoted-string (§25.1)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(inner: str) -> str:
    """Read what stands between the quotes of a quoted-string (§25.1)."""
    if "\\" not in inner:
        return inner
    # A run of backslashes begins with one that escapes, so pairs of them are found from the left.
    return "\\".join([part.replace("\\", "") for part in inner.split("\\\\")])


def bounded_number(text: str, limit: int) -> int | None:
    """Read 1*DIGIT (§25.1).  None for what is no number; what is above `limit` is limit + 1.

    However many digits a stranger sends, few are read; zeros in front mean nothing.
    """
    if not (text.isascii() and text.isdecimal()):
        return None
    digits = text.lstrip("0")
    if len(digits) > len(str(limit)):
        return limit + 1
    return min(int(digits or "0"), limit + 1)


def is_plain(text: str) -> bool:
    """Tell whether splitting reads `text` rightly: no quotes, escapes, lists, spaces or folds."""
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
    """Read `;name=value;name` by splitting.  `text` must be plain."""
    params: Params = {}
    for part in text.split(";")[1:]:
        name, equals, value = part.partition("=")
        if not name:
            raise BadMessage("a parameter without a name")
        name = name.lower()
        if name in params:
            raise BadMessage(f"the parameter {name[:20]!r} stands there twice")
        params[name] = value if equals else None
    return params


def scan_params(text: str) -> Params:
    """Read `;name=value;name="value"` exactly, to the end of `text` (§25.1 `generic-param`)."""
    params: Params = {}
    at = 0
    end = len(text.rstrip(" \t"))
    while at < end:
        match = _PARAMETER.match(text, at, end)
        if match is None:
            raise BadMessage(f"cannot read the parameters at {text[at : at + 20]!r}")
        name = match[1].lower()
        if name in params:
            raise BadMessage(f"the parameter {name[:20]!r} stands there twice")
        params[name] = match[3] if match[2] is None else unquote(match[2])
        at = match.end()
    return params


def parse_params(text: str) -> Params:
    """Read the parameters after a header field's value; names are lower-cased.

    A parameter may stand there only once (§7.3.1).  Raises BadMessage.
    """
    if not text:
        return {}
    if text[0] == ";" and is_plain(text):
        return split_params(text)
    return scan_params(text)


def without_params(text: str, names: frozenset[str]) -> str:
    """Take those parameters, in lower case, out of `;name=value;…` and leave the others alone."""
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
    """The first of comma-joined values, and what follows it from its comma on (§7.3.1)."""
    at = value.find(",")
    if at >= 0 and ('"' in value or "<" in value):
        at = _end_of_item(value, 0)
    return (value, "") if at < 0 or at == len(value) else (value[:at], value[at:])


def split_list(value: str) -> list[str]:
    """Split comma-joined header field values (§7.3.1), not inside quotes or angle brackets.

    Raises BadMessage for a quote that isn't closed.
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
        raise BadMessage("a quote is opened and not closed")
    return end


_QUOTED = re.compile(QUOTED, re.DOTALL)


def end_of_quoted(text: str, start: int) -> int:
    """Find the place behind the quoted-string that begins at `start`.  Raises BadMessage."""
    match = _QUOTED.match(text, start)
    if match is None:
        raise BadMessage("a quote is opened and not closed")
    return match.end()
