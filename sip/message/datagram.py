"""A message as octets: its line ends and padding before it is parsed, and how it is logged."""

import re

# What simple devices send behind a head without meaning a body: line ends, the NUL of a C string.
_PADDING = b"\r\n\0 \t"
_SECRETS = re.compile(
    rb"^((?:proxy-)?authorization|(?:proxy|www)-authenticate)[ \t]*:.*(?:\n[ \t].*)*",
    re.IGNORECASE | re.MULTILINE,
)


def with_crlf(datagram: bytes) -> bytes | None:
    """Give a datagram whose head has LF alone at every line end, with CRLF in their place.

    The body stays as it is.  None where the head has a CR, or no line end at all: of mixed line
    ends two elements may see different fields.
    """
    head, blank_line, body = datagram.lstrip(b"\n").partition(b"\n\n")
    head += blank_line
    if b"\r" in head or b"\n" not in head:
        return None
    return head.replace(b"\n", b"\r\n") + body


def is_padding(octets: bytes) -> bool:
    """Tell whether octets behind a head hold nothing but line ends, NULs and blanks."""
    return not octets.strip(_PADDING)


def for_log(datagram: bytes) -> bytes:
    """A message without what proves who sent it: a log is read by many."""
    return _SECRETS.sub(rb"\1: ...", datagram)
