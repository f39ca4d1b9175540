"""One question to one name server and its answer, over UDP or TCP (RFC 1035 §4.2).

dnspython builds and parses the messages.  This module bounds what it parses: a hostile answer of
64 kB would take it a tenth of a second.
"""

import socket
import struct
import time

import dns.exception
import dns.inet
import dns.message
import dns.nameserver

# Octets of an answer.  Parsing blocks all greenlets: 64 kB of a hostile answer take a tenth of a
# second.  No honest answer to our questions has 2 kB.
MAX_ANSWER_OCTETS = 4096
# Records of an answer, and labels of a name in it, pointers included.  dnspython's time grows with
# the square of both: 4 kB made for it would take a second.  With these limits it is 20 ms.
MAX_RECORDS_IN_ANSWER = 64
MAX_LABELS = 16

# The numbers of questions, answers, authority and additional records (§4.1.1); and, after the name
# of a record, its type, its class, and the length of its data (§4.1.3).
_HEAD = struct.Struct("!4x4H")
_RECORD = struct.Struct("!HH4xH")
_KIND = struct.Struct("!HH")
_INTERNET = 1
_OPT = 41  # its class field has another meaning (RFC 6891 §6.1.2)
# The record types that we use: those we ask for, aliases, SOA (the time to live of a name error)
# and OPT.  The values are the number of names in their data, and of octets and of strings before.
_LAYOUTS = {
    **dict.fromkeys((1, 28, _OPT), (0, 0, 0)),  # A, AAAA
    5: (1, 0, 0),  # CNAME
    6: (2, 0, 0),  # SOA
    33: (1, 6, 0),  # SRV
    35: (1, 4, 3),  # NAPTR
}
# Every other type is replaced by this private one, whose data is not parsed (RFC 6895 §3.1).
_OPAQUE = _KIND.pack(65_534, _INTERNET)


class NameServer(dns.nameserver.Do53Nameserver):
    """A name server whose answers are parsed within bounds."""

    def query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,
        source_port: int,
        max_size: bool,
        one_rr_per_rrset: bool = False,
        ignore_trailing: bool = False,
    ) -> dns.message.Message:
        """Ask, over TCP if `max_size` is true.  Raises DNSException, EOFError or OSError."""
        give_up_at = time.monotonic() + timeout
        kind = socket.SOCK_STREAM if max_size else socket.SOCK_DGRAM
        family = dns.inet.af_for_address(self.address)
        address = dns.inet.low_level_address_tuple((self.address, self.port), family)
        try:
            with socket.socket(family, kind) as sock:
                sock.settimeout(timeout)
                sock.connect(address)
                ask = _by_tcp if max_size else _by_udp
                return ask(sock, request, give_up_at)
        except (TimeoutError, ConnectionRefusedError):
            # The server may be starting: dnspython asks the next one, and then this one again.
            raise dns.exception.Timeout(timeout=timeout) from None


def _by_udp(
    sock: socket.socket, request: dns.message.QueryMessage, give_up_at: float
) -> dns.message.Message:
    """Ask, and skip datagrams that are no answer to it: they may be forged (RFC 5452 §9.1)."""
    question = request.to_wire()
    sock.send(question)
    while True:
        _set_timeout(sock, give_up_at)
        data = sock.recv(MAX_ANSWER_OCTETS + 1)
        if len(data) > MAX_ANSWER_OCTETS or data[:2] != question[:2]:
            continue
        try:
            answer = dns.message.from_wire(_with_opaque_records(data), raise_on_truncation=True)
        except dns.message.Truncated as error:
            if request.is_response(error.message()):
                raise
        except dns.exception.DNSException:
            continue
        else:
            if request.is_response(answer):
                return answer


def _by_tcp(
    sock: socket.socket, request: dns.message.QueryMessage, give_up_at: float
) -> dns.message.Message:
    question = request.to_wire()
    sock.sendall(len(question).to_bytes(2, "big") + question)
    octets = int.from_bytes(_read(sock, 2, give_up_at), "big")
    if octets > MAX_ANSWER_OCTETS:
        raise dns.exception.FormError(f"an answer of {octets} octets")
    answer = dns.message.from_wire(_with_opaque_records(_read(sock, octets, give_up_at)))
    if not request.is_response(answer):
        raise dns.exception.FormError("an answer to something else")
    return answer


def _with_opaque_records(data: bytes) -> bytes:
    """Return the answer with all records of other types made opaque, so that they are not parsed.

    They can stand in any section; an unknown type is no error (RFC 3597 §3).  They are not removed,
    because names elsewhere may point into them.  Raises FormError for an answer with too many
    records, or with a name of too many labels.
    """
    octets = bytearray(data)
    try:
        questions, *counts = _HEAD.unpack_from(data)
        at = _HEAD.size
        for _ in range(questions):
            at = _end_of_name(data, at) + 4
        if sum(counts) > MAX_RECORDS_IN_ANSWER:
            raise ValueError("too many records")
        for _ in range(sum(counts)):
            at = _end_of_name(data, at)
            kind, family, length = _RECORD.unpack_from(data, at)
            if kind in _LAYOUTS and (family == _INTERNET or kind == _OPT):
                _check_names(data, at + _RECORD.size, kind)
            else:
                octets[at : at + _KIND.size] = _OPAQUE
            at += _RECORD.size + length
    except (IndexError, ValueError, struct.error) as error:
        raise dns.exception.FormError(f"an answer beyond the limits: {error}") from None
    return bytes(octets)


def _check_names(data: bytes, at: int, kind: int) -> None:
    """Check the names in the data of a record (RFC 1035 §3.3, RFC 2782, RFC 3403 §4.1)."""
    names, octets, strings = _LAYOUTS[kind]
    at += octets
    for _ in range(strings):
        at += 1 + data[at]
    for _ in range(names):
        at = _end_of_name(data, at)


def _end_of_name(data: bytes, at: int) -> int:
    """Return the offset after the name at `at` (§4.1.4).  Raises ValueError for a long one."""
    end = 0
    for _ in range(MAX_LABELS):
        octet = data[at]
        if octet >= 192:
            end = end or at + 2
            at = (octet & 63) << 8 | data[at + 1]
        elif octet:
            at += 1 + octet
        else:
            return end or at + 1
    raise ValueError("a name of too many labels")


def _read(sock: socket.socket, octets: int, give_up_at: float) -> bytes:
    data = b""
    while len(data) < octets:
        _set_timeout(sock, give_up_at)
        more = sock.recv(octets - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _set_timeout(sock: socket.socket, give_up_at: float) -> None:
    """Set the time-out of a socket to the time left.  Raises TimeoutError if there is none."""
    left = give_up_at - time.monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(left)
