"""Removal of credentials, nonces and keys from a message, before it is shown or saved.

The octets of a header field become fewer; those of a body keep their number, so that Content-Length
stays true.  Of credentials only parameters that are known to be harmless are left.
"""

import re

REDACTED = b"redacted"

# Parameters of credentials and challenges that say nothing about the password (RFC 3261 §22).
_HARMLESS = frozenset(
    b"algorithm auth-param charset domain nc qop realm stale uri userhash username".split()
)
_FIELD = re.compile(
    rb"(?P<before>[\r\n]"
    rb"(?:(?:proxy-)?authorization|(?:proxy|www)-authenticate|(?:proxy-)?authentication-info)"
    rb"[ \t]*:[ \t]*)(?P<value>[^\r\n]*(?:(?:\r\n|\n|\r)[ \t][^\r\n]*)*)",
    re.IGNORECASE,
)
# Parameters whose values are secret; of an unknown one, the name may be secret, too.
_SECRET = frozenset(b"cnonce nextnonce nonce opaque response rspauth".split())
_DIGEST = re.compile(rb"\s*digest\s+", re.IGNORECASE)
_PARAMETER = re.compile(
    rb'(?P<name>[A-Za-z0-9_-]+)(?P<is>\s*=\s*)(?P<value>"(?:[^"\\]|\\.)*"|[^\s,;"]+)'
    rb"(?P<end>\s*(?:,\s*(?:digest\s+)?|\Z))",
    re.DOTALL | re.IGNORECASE,
)
# The signatures of our Record-Route, `;t=…` and `;a=…`, wherever it comes back: a Route, or the
# Request-URI of a strict router.  A password in a SIP URI (RFC 3261 §19.1.1).
_TICKET = re.compile(rb"(;t=)[0-9A-Fa-f]{16,}|(;a=)[0-9A-Fa-f]{16,}")
_URI_PASSWORD = re.compile(rb"(\b[Ss][Ii][Pp][Ss]?:[^:@<>\s\"]{1,1000}+:)[^@<>\s\"]*+(@?)")
# Keys of media in a session description (RFC 4568, RFC 4566 §5.12, RFC 4567, RFC 8839 §5.4).
_BODY_KEY = re.compile(
    rb"(?P<before>[\r\n](?:a=crypto:[^\r\n]*?inline:|a=key-mgmt:|k=|a=ice-pwd:))"
    rb"(?P<key>[^\r\n]+)",
    re.IGNORECASE,
)
_HEAD_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")


def redact(octets: bytes) -> bytes:
    """Return a message without credentials, nonces, keys, tickets and passwords."""
    end = _HEAD_END.search(octets)
    at = end.end() if end else len(octets)
    # A line end before each, so that the expressions begin with one: that is much faster.
    head, body = b"\n" + octets[:at], b"\n" + octets[at:]
    head = _FIELD.sub(_redact_field, head)
    head = _TICKET.sub(lambda found: (found[1] or found[2]) + REDACTED, head)
    head = _URI_PASSWORD.sub(_mask_password, head)
    # A body may hold a message, or a head that ends otherwise than its sender thinks.
    if len(body) > 1:
        body = _FIELD.sub(_mask_field, body)
        body = _BODY_KEY.sub(_mask_key, body)
    return head[1:] + body[1:]


def _mask_password(found: re.Match[bytes]) -> bytes:
    """Mask the password of a URI; without an @ it is none, but a host and a port."""
    return found[1] + REDACTED + b"@" if found[2] else found[0]


def _redact_field(field: re.Match[bytes]) -> bytes:
    value, parts, at = field["value"], [field["before"]], 0
    if b"info" not in field["before"].lower():
        if (scheme := _DIGEST.match(value)) is None:
            return field["before"] + REDACTED
        parts.append(scheme[0])
        at = scheme.end()
    while at < len(value):
        parameter = _PARAMETER.match(value, at)
        name = parameter["name"].lower() if parameter else b""
        if parameter is None or name not in _HARMLESS | _SECRET:
            parts.append(REDACTED)  # a form that we do not know
            break
        shown = b'"' + REDACTED + b'"' if name in _SECRET else parameter["value"]
        parts += parameter["name"], parameter["is"], shown, parameter["end"]
        at = parameter.end()
    return b"".join(parts)


def _mask_key(key: re.Match[bytes]) -> bytes:
    return key["before"] + b"x" * len(key["key"])


def _mask_field(field: re.Match[bytes]) -> bytes:
    return field["before"] + b"x" * len(field["value"])
