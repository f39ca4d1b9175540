"""Telephone numbers in user parts and tel: URIs (RFC 3966, RFC 3261 §19.1.6)."""

import re

# Visual separators (RFC 3966 §5.1.1), and the space.
SEPARATORS = str.maketrans("", "", "-.() ")
# A number that a telephone can dial.  No letters A to F (RFC 3966 §5.1.3): `abba` is a name.
_NUMBER = re.compile(r"\+*+[0-9*#][0-9+*#]*+")


def number_of(name: str) -> str:
    """Return the telephone number in an unescaped user part, "" for any other name.

    Visual separators and parameters are removed.  A local number with a phone-context, and a
    number with a mandatory parameter, give "" too: their meaning is unknown here (RFC 3966 §5.1.5,
    §5.4).
    """
    written, semicolon, params = name.partition(";")
    number = written.translate(SEPARATORS)
    if not _NUMBER.fullmatch(number):
        return ""
    if semicolon and not all(may_be_ignored(param, number) for param in params.split(";")):
        return ""
    return number


def may_be_ignored(param: str, number: str) -> bool:
    """Return True if a number is the same without this parameter, `name=value`."""
    name = param.partition("=")[0].lower()
    if name == "phone-context":
        return number.startswith("+")  # a global number needs none
    return name != "" and not name.startswith("m-")
