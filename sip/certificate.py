"""The expiry and the key size of an X.509 certificate in a PEM file, read from its DER."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_INTEGER, _BIT_STRING, _OBJECT = 0x02, 0x03, 0x06
_RSA = bytes.fromhex("2a864886f70d010101")  # rsaEncryption (RFC 8017 appendix A.1)
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

_T = TypeVar("_T")


def expires_at(path: str) -> float:
    """Return when the first certificate of a PEM file expires, in Unix seconds.

    Raises OSError, or ValueError for a file without a certificate.
    """
    return _read(path, _not_after)


def rsa_bits(path: str) -> int:
    """Return the size of the RSA key of the first certificate of a PEM file; 0 for another key.

    Raises OSError, or ValueError for a file without a certificate.
    """
    return _read(path, _rsa_bits)


def _read(path: str, value: Callable[[bytes, int], _T]) -> _T:
    """Read a value; `value` gets the fields of a certificate, and where its validity begins."""
    with open(path, encoding="ascii", errors="replace") as file:
        text = file.read()
    start, end = text.find(_BEGIN), text.find(_END)
    if start < 0 or end < start:
        raise ValueError(f"{path} has no certificate in PEM")
    try:
        der = ssl.PEM_cert_to_DER_cert(text[start : end + len(_END)])
        fields = _contents(_contents(der, 0, _SEQUENCE), 0, _SEQUENCE)  # TBSCertificate
        at = _end(fields, 0) if fields[0] == _VERSION else 0
        for _ in range(3):  # serialNumber, signature, issuer
            at = _end(fields, at)
        return value(fields, at)
    except (ValueError, IndexError):
        raise ValueError(f"{path} has a certificate that cannot be read") from None


def _not_after(fields: bytes, at: int) -> float:
    """Return the end of the validity; raises ValueError or IndexError for other octets."""
    validity = _contents(fields, at, _SEQUENCE)
    at = _end(validity, 0)
    kind = validity[at]
    text = _contents(validity, at, kind).decode("ascii")
    if kind not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError("no time")
    if kind == _UTC_TIME:  # two digits of the year: 50 to 99 are of the last century
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _rsa_bits(fields: bytes, at: int) -> int:
    """Return the bits of the modulus; raises ValueError or IndexError for other octets."""
    for _ in range(2):  # validity, subject
        at = _end(fields, at)
    info = _contents(fields, at, _SEQUENCE)  # SubjectPublicKeyInfo
    if _contents(_contents(info, 0, _SEQUENCE), 0, _OBJECT) != _RSA:
        return 0
    key = _contents(_contents(info, _end(info, 0), _BIT_STRING)[1:], 0, _SEQUENCE)
    return int.from_bytes(_contents(key, 0, _INTEGER)).bit_length()


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
