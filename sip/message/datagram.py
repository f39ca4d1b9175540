"""A message as octets: its line ends and padding before it is parsed, and how it is logged."""

import re

# Octets that simple devices send behind a head without a body: line ends, the NUL of a C string.
_PADDING = b"\r\n\0 \t"
_SECRETS = re.compile(
    rb"^((?:proxy-)?authorization|(?:proxy|www)-authenticate)[ \t]*:.*(?:\n[ \t].*)*",
    re.IGNORECASE | re.MULTILINE,
)


def with_crlf(datagram: bytes) -> bytes | None:
    """Return a datagram with CRLF in its head, where each line of that ends in LF alone.

    The body stays as it is.  None where the head has a CR, or no line end at all: two elements may
    read different fields from mixed line ends.
    """
    head, blank_line, body = datagram.lstrip(b"\n").partition(b"\n\n")
    head += blank_line
    if b"\r" in head or b"\n" not in head:
        return None
    return head.replace(b"\n", b"\r\n") + body


def is_padding(octets: bytes) -> bool:
    """Return True for octets behind a head that are line ends, NULs and blanks alone."""
    return not octets.strip(_PADDING)


def for_log(datagram: bytes) -> bytes:
    """Remove credentials and challenges from a message: a log is read by many."""
    return _SECRETS.sub(rb"\1: ...", datagram)
