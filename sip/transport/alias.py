"""The alias of a connection: requests to a peer may use the one that it opened (RFC 5923 §5)."""

import re

from sip.message.grammar import BadMessage
from sip.message.headers import parse_via
from sip.transport.transport_names import SECURE_PORT, TLS

# The first Via of a message, up to the next value; its name may be compact.
_TOP_VIA = re.compile(rb"\r\n(?:via|v)[ \t]*:[ \t]*([^\r\n,]{1,300})", re.IGNORECASE)
# Names of one certificate that count; a certificate may have hundreds.
MAX_ALIASES = 8


def alias_port(message: bytes) -> int | None:
    """Return the port that requests to the sender of a request would go to, if it wants an alias.

    None: it is a response, or its top Via has no `alias`.
    """
    if message[:4] == b"SIP/":
        return None
    match = _TOP_VIA.search(message)
    if match is None:
        return None
    try:
        via = parse_via(match[1].decode("ascii", "replace"))
        port = via.host_port[1] or SECURE_PORT
    except BadMessage:
        return None
    return port if via.transport == TLS and "alias" in via.params else None
