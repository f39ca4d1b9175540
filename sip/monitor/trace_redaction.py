"""Removal of credentials, nonces and keys from a message, so that it can be shown and sent away.

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
    rb"(?P<before>(?:\A|(?<=[\r\n]))"
    rb"(?:(?:proxy-)?authorization|(?:proxy|www)-authenticate|(?:proxy-)?authentication-info)"
    rb"[ \t]*:[ \t]*)(?P<value>[^\r\n]*(?:(?:\r\n|\n|\r)[ \t][^\r\n]*)*)",
    re.IGNORECASE,
)
_SCHEME = re.compile(rb"\s*[A-Za-z0-9_-]+\s+(?=[A-Za-z0-9_-]+\s*=)|\s*")
_PARAMETER = re.compile(
    rb'(?P<name>[A-Za-z0-9_-]+)(?P<is>\s*=\s*)(?P<value>"(?:[^"\\]|\\.)*"|[^\s,;"]+)'
    rb"(?P<end>\s*(?:,\s*(?:[A-Za-z0-9_-]+\s+(?=[A-Za-z0-9_-]+\s*=))?|\Z))",
    re.DOTALL,
)
# The signatures of our Record-Route, `;t=…` and `;a=…`, wherever it comes back: a Route, or the
# Request-URI of a strict router.  A password in a SIP URI (RFC 3261 §19.1.1).
_TICKET = re.compile(rb"(;lr;t=)[0-9A-Fa-f]+|(;a=)[0-9A-Fa-f]{8,}")
_URI_PASSWORD = re.compile(
    rb"(\bsips?:[^:@<>\s;?\"]{1,1000}+:)[^@<>\s\"]{1,1000}+(?=@)", re.IGNORECASE
)
# Keys of media in a session description (RFC 4568, RFC 4566 §5.12, RFC 4567, RFC 8839 §5.4).
_BODY_KEY = re.compile(
    rb"(?P<before>(?:\A|(?<=[\r\n]))(?:a=crypto:[^\r\n]*?inline:|a=key-mgmt:|k=|a=ice-pwd:))"
    rb"(?P<key>[^\r\n]+)",
    re.IGNORECASE,
)
_HEAD_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")


def redact(octets: bytes) -> bytes:
    """Return a message without credentials, nonces, keys, tickets and passwords."""
    end = _HEAD_END.search(octets)
    at = end.end() if end else len(octets)
    head = _FIELD.sub(_redact_field, octets[:at])
    head = _TICKET.sub(lambda found: (found[1] or found[2]) + REDACTED, head)
    head = _URI_PASSWORD.sub(rb"\1" + REDACTED, head)
    # A body may hold a message, or a head that ends otherwise than its sender thinks.
    body = _FIELD.sub(_mask_field, octets[at:])
    return head + _BODY_KEY.sub(lambda found: found["before"] + b"x" * len(found["key"]), body)


def _redact_field(field: re.Match[bytes]) -> bytes:
    value = field["value"]
    scheme = _SCHEME.match(value)
    at = scheme.end() if scheme else 0
    parts = [value[:at]]
    while at < len(value):
        parameter = _PARAMETER.match(value, at)
        if parameter is None:  # it may be a secret, in a form that we do not know
            parts.append(REDACTED)
            break
        is_shown = parameter["name"].lower() in _HARMLESS
        shown = parameter["value"] if is_shown else b'"' + REDACTED + b'"'
        parts += parameter["name"], parameter["is"], shown, parameter["end"]
        at = parameter.end()
    return field["before"] + b"".join(parts)


def _mask_field(field: re.Match[bytes]) -> bytes:
    return field["before"] + b"x" * len(field["value"])
