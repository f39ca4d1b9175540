"""STUN on the SIP ports: answers to Binding requests of phones (RFC 5626 §8, RFC 8489).

A phone that uses Outbound on UDP sends a Binding request along its flow as a keep-alive.  The
response names the address that the request came from: another one than before means a new NAT
mapping, and the phone registers again.

Nothing else of STUN is needed, so there are no credentials and no other methods.  A response has 12
octets more than the shortest request, 24 on IPv6: it is of no use for amplification.
"""

import socket
import struct

from sip.transport.flow import Endpoint

# The first two octets of a Binding request; a SIP message begins with a letter (RFC 5626 §8).
BINDING_REQUEST = b"\x00\x01"
_SUCCESS, _ERROR = 0x0101, 0x0111
_MAGIC_COOKIE = 0x2112A442
_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_ERROR_CODE, _UNKNOWN_ATTRIBUTES, _XOR_MAPPED_ADDRESS = 0x0009, 0x000A, 0x0020
# Attributes that a request may have and that change nothing here: USERNAME, MESSAGE-INTEGRITY,
# REALM, NONCE, MESSAGE-INTEGRITY-SHA256.
_IGNORED = frozenset({0x0006, 0x0008, 0x0014, 0x0015, 0x001C})
# Types from here on are comprehension-optional (§14).
_OPTIONAL = 0x8000
_FAMILY_IPV4, _FAMILY_IPV6 = 1, 2
# Error 420, as class and number, with its reason phrase in a multiple of four octets (§14.8).
_UNKNOWN_ATTRIBUTE = b"\0\0\x04\x14Unknown "


def answer(datagram: bytes, remote: Endpoint) -> bytes | None:
    """Return the response to a Binding request from `remote`; None if it is no such request."""
    if len(datagram) < _HEADER.size:
        return None
    _, length, cookie, transaction = _HEADER.unpack_from(datagram)
    # RFC 5626 §8: without the magic cookie it is RFC 3489, which is not needed.
    if cookie != _MAGIC_COOKIE or length % 4 or length != len(datagram) - _HEADER.size:
        return None
    unknown = _unknown_attributes(datagram)
    if unknown is None:
        return None
    if not unknown:
        value = _xored(remote, datagram[4:20])
        return _message(_SUCCESS, transaction, (_XOR_MAPPED_ADDRESS, value))
    listed = struct.pack(f"!{len(unknown)}H", *unknown)
    attributes = (_ERROR_CODE, _UNKNOWN_ATTRIBUTE), (_UNKNOWN_ATTRIBUTES, listed)
    return _message(_ERROR, transaction, *attributes)


def _unknown_attributes(datagram: bytes) -> list[int] | None:
    """Return the types of the attributes that have to be understood, and are not (§6.3.1).

    Return None if the attributes do not fill the datagram.
    """
    at, unknown = _HEADER.size, []
    while at < len(datagram):
        kind, length = _ATTRIBUTE.unpack_from(datagram, at)
        at += _ATTRIBUTE.size + (length + 3) // 4 * 4
        if kind < _OPTIONAL and kind not in _IGNORED:
            unknown.append(kind)
    return unknown if at == len(datagram) else None


def _xored(remote: Endpoint, key: bytes) -> bytes:
    """Return the value of XOR-MAPPED-ADDRESS; `key` is the cookie and the transaction (§14.2)."""
    host, port = remote
    family, kind = (
        (socket.AF_INET6, _FAMILY_IPV6) if ":" in host else (socket.AF_INET, _FAMILY_IPV4)
    )
    address = socket.inet_pton(family, host)
    hidden = bytes(one ^ other for one, other in zip(address, key, strict=False))
    return struct.pack("!BBH", 0, kind, port ^ _MAGIC_COOKIE >> 16) + hidden


def _message(kind: int, transaction: bytes, *attributes: tuple[int, bytes]) -> bytes:
    body = b"".join(
        _ATTRIBUTE.pack(name, len(value)) + value + bytes(-len(value) % 4)
        for name, value in attributes
    )
    return _HEADER.pack(kind, len(body), _MAGIC_COOKIE, transaction) + body
