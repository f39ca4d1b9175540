"""Telephone numbers, as user parts and tel: URIs hold them (RFC 3966, RFC 3261 §19.1.6)."""

import re

# RFC 3966 §5.1.1, and the blank that people write between digits.
SEPARATORS = str.maketrans("", "", "-.() ")
# What a telephone can dial.  The letters A to F of RFC 3966 §5.1.3 are left out: `abba` is a name.
_NUMBER = re.compile(r"\+*+[0-9*#][0-9+*#]*+")


def number_of(name: str) -> str:
    """Return the telephone number that an unescaped user part holds, "" for any other name.

    Visual separators and parameters are left out.  A local number that still has a phone-context
    is "" too, and so is one with a mandatory parameter: both mean what is not known here (RFC 3966
    §5.1.5, §5.4).
    """
    written, semicolon, params = name.partition(";")
    number = written.translate(SEPARATORS)
    if not _NUMBER.fullmatch(number):
        return ""
    if semicolon and not all(may_be_ignored(param, number) for param in params.split(";")):
        return ""
    return number


def may_be_ignored(param: str, number: str) -> bool:
    """Return True where a number without this parameter, `name=value`, is the same number."""
    name = param.partition("=")[0].lower()
    if name == "phone-context":
        return number.startswith("+")  # a global number needs none
    return name != "" and not name.startswith("m-")
