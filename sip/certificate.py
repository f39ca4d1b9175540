"""The expiry of an X.509 certificate in a PEM file, read from its DER without a library."""

import ssl
from datetime import UTC, datetime

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def expires_at(path: str) -> float:
    """Return when the first certificate of a PEM file expires, in Unix seconds.

    Raises OSError, or ValueError for a file without a certificate.
    """
    with open(path, encoding="ascii", errors="replace") as file:
        text = file.read()
    start, end = text.find(_BEGIN), text.find(_END)
    if start < 0 or end < start:
        raise ValueError(f"{path} has no certificate in PEM")
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(text[start : end + len(_END)]))
    except (ValueError, IndexError):
        raise ValueError(f"{path} has a certificate that cannot be read") from None


def _not_after(der: bytes) -> float:
    """Return the end of the validity; raises ValueError or IndexError for other octets."""
    outer = _contents(der, 0, _SEQUENCE)
    fields = _contents(outer, 0, _SEQUENCE)  # TBSCertificate
    at = 0
    if fields[0] == _VERSION:
        at = _end(fields, at)
    for _ in range(3):  # serialNumber, signature, issuer
        at = _end(fields, at)
    validity = _contents(fields, at, _SEQUENCE)
    at = _end(validity, 0)
    kind = validity[at]
    text = _contents(validity, at, kind).decode("ascii")
    if kind not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError("no time")
    if kind == _UTC_TIME:  # two digits of the year: 50 to 99 are of the last century
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _head(octets: bytes, at: int) -> tuple[int, int]:
    """Return where the contents of a DER value begin and end."""
    length, start = octets[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(octets[start : start + count], "big")
        start += count
    if start + length > len(octets):
        raise ValueError("cut off")
    return start, start + length


def _contents(octets: bytes, at: int, tag: int) -> bytes:
    start, end = _head(octets, at)
    if octets[at] != tag:
        raise ValueError("another value than expected")
    return octets[start:end]


def _end(octets: bytes, at: int) -> int:
    return _head(octets, at)[1]
