"""The pieces of RFC 3261 §25 that several header fields share.

Two readings of parameters stand here side by side.  The quick one splits, and is taken where a
value holds nothing but plain text; the exact one scans, and takes everything else.  Where both
can read a value they agree: `tests/message/test_grammar.py` holds them to it.
"""

import re

# §25.1 `token`.  Methods and header names must be tokens.
TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")

# What a parameter may be made of.  More than §25.1 grants: phones send `/`, `@` and `=` unquoted in
# tags and tokens of their own, and a proxy that has no need to understand a value lets it be.
_PLAIN = r"[^ \t;,=\"<>\\]"
_PARAMETER = re.compile(
    rf"[ \t]*;[ \t]*({_PLAIN}+)(?:[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|((?:{_PLAIN}|=)*)))?",
    re.DOTALL,
)
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_FOLD = re.compile(r"[ \t]*\r\n[ \t]+")

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
    return _FOLD.sub(" ", text) if "\r\n" in text else text


def is_token(text: str) -> bool:
    """Tell whether `text` is a token of §25.1."""
    return TOKEN.fullmatch(text) is not None


def unescape(text: str) -> str:
    """Undo %HH, octet by octet (§25.1 `escaped`); octets that are no UTF-8 become surrogates."""
    if "%" not in text:
        return text
    octets = _ESCAPED.sub(
        lambda m: chr(int(m[1], 16)), text.encode("utf-8", "surrogateescape").decode("latin-1")
    )
    return octets.encode("latin-1").decode("utf-8", "surrogateescape")


def has_bad_escape(text: str) -> bool:
    """Tell whether a `%` stands there without its two hexadecimal digits."""
    return text.count("%") != len(_ESCAPED.findall(text))


def quote(text: str) -> str:
    """Make a quoted-string (§25.1)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(inner: str) -> str:
    """Read what stands between the quotes of a quoted-string (§25.1)."""
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) if "\\" in inner else inner


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
            raise BadMessage(f"the parameter {name} stands there twice")
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
            raise BadMessage(f"the parameter {name} stands there twice")
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


def split_list(value: str) -> list[str]:
    """Split comma-joined header field values (§7.3.1), not inside quotes or angle brackets."""
    if "," not in value:
        return [value.strip(" \t")]
    if '"' not in value and "<" not in value:
        return [part.strip(" \t") for part in value.split(",")]
    parts: list[str] = []
    start, at, end, in_brackets = 0, 0, len(value), False
    while at < end:
        character = value[at]
        if character == '"' and not in_brackets:
            at = end_of_quoted(value, at)
            continue
        if character == "<":
            in_brackets = True
        elif character == ">":
            in_brackets = False
        elif character == "," and not in_brackets:
            parts.append(value[start:at].strip(" \t"))
            start = at + 1
        at += 1
    parts.append(value[start:].strip(" \t"))
    return parts


_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def end_of_quoted(text: str, start: int) -> int:
    """Find the place behind the quoted-string that begins at `start`.  Raises BadMessage."""
    match = _QUOTED.match(text, start)
    if match is None:
        raise BadMessage("a quote is opened and not closed")
    return match.end()
