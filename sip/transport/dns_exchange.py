"""One question to one name server and its answer, by UDP or TCP (RFC 1035 §4.2).

dnspython writes and reads the messages; it alone would read any that is 64 kB large.
"""

import socket
import time

import dns.exception
import dns.inet
import dns.message
import dns.nameserver

# Octets of an answer, which is read in one go while nobody else has a turn: a hostile one of 64 kB
# takes a tenth of a second, and no honest one of what we ask for has 2 kB.
MAX_ANSWER_OCTETS = 4096


class NameServer(dns.nameserver.Do53Nameserver):
    """A name server whose answers are looked at no further than to a bound."""

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
        """Ask, by TCP where `max_size` wants it.  Raises DNSException, EOFError or OSError."""
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
            # It may be starting just now: the next one is asked first, and then this one again.
            raise dns.exception.Timeout(timeout=timeout) from None


def _by_udp(
    sock: socket.socket, request: dns.message.QueryMessage, give_up_at: float
) -> dns.message.Message:
    """Ask, and pass over all that is no answer: anybody may send something (RFC 5452 §9.1)."""
    question = request.to_wire()
    sock.send(question)
    while True:
        _has_time(sock, give_up_at)
        data = sock.recv(MAX_ANSWER_OCTETS + 1)
        if len(data) > MAX_ANSWER_OCTETS or data[:2] != question[:2]:
            continue
        try:
            answer = dns.message.from_wire(data, raise_on_truncation=True)
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
    answer = dns.message.from_wire(_read(sock, octets, give_up_at))
    if not request.is_response(answer):
        raise dns.exception.FormError("an answer to something else")
    return answer


def _read(sock: socket.socket, octets: int, give_up_at: float) -> bytes:
    data = b""
    while len(data) < octets:
        _has_time(sock, give_up_at)
        more = sock.recv(octets - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _has_time(sock: socket.socket, give_up_at: float) -> None:
    """Let the socket wait no longer than that.  Raises TimeoutError when it is over."""
    left = give_up_at - time.monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(left)
