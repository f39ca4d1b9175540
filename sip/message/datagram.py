"""Octets of a message: line ends and padding before parsing, and removing secrets for the log."""

import re

# Octets that simple devices send after a head without a body: line ends, the NUL of a C string.
_PADDING = b"\r\n\0 \t"
_SECRETS = re.compile(
    rb"^((?:proxy-)?authorization|(?:proxy|www)-authenticate)[ \t]*:.*(?:\n[ \t].*)*",
    re.IGNORECASE | re.MULTILINE,
)


def with_crlf(datagram: bytes) -> bytes | None:
    """Return a datagram with CRLF in its head, if all lines of the head end with LF only.

    The body is not changed.  None if the head has a CR or no line end, because two elements may
    read different fields from mixed line ends.
    """
    head, blank_line, body = datagram.lstrip(b"\n").partition(b"\n\n")
    head += blank_line
    if b"\r" in head or b"\n" not in head:
        return None
    return head.replace(b"\n", b"\r\n") + body


def is_padding(octets: bytes) -> bool:
    """Return True if the octets after a head are only line ends, NULs and spaces."""
    return not octets.strip(_PADDING)


def for_log(datagram: bytes) -> bytes:
    """Remove credentials and challenges from a message, because many people may read a log."""
    return _SECRETS.sub(rb"\1: ...", datagram)
