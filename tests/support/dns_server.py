"""A DNS server on loopback with real sockets."""

import socket
import threading
from collections.abc import Callable
from types import TracebackType

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.zone


class NameServer:
    """A DNS server of zones on UDP and TCP, in threads of its own.

    `zones` are texts by their origin.  While `is_dead` it answers nothing; `rcode` is its answer to
    all questions.  `truncates` sends UDP clients to TCP, where it answers nothing while it
    `hangs_up`.  The result of `forges` for a question is sent before each answer.  `asked` are the
    questions so far.
    """

    def __init__(self, zones: dict[str, str], *, host: str = "127.0.0.1") -> None:
        self._zones = [
            dns.zone.from_text(f"$TTL 60\n{_SOA}\n{text}", origin=f"{origin}.", relativize=False)
            for origin, text in zones.items()
        ]
        self.is_dead = False
        self.rcode: dns.rcode.Rcode | None = None
        self.truncates = False
        self.hangs_up = False
        self.forges: Callable[[bytes], bytes] | None = None
        self.asked: list[tuple[str, str, str]] = []  # name, kind, transport
        self._udp, self._tcp = _sockets(host)
        self.address: tuple[str, int] = self._udp.getsockname()
        self._threads = [
            threading.Thread(target=serve, daemon=True)
            for serve in (self._serve_udp, self._serve_tcp)
        ]

    def __enter__(self) -> "NameServer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for sock in (self._udp, self._tcp):
            sock.shutdown(socket.SHUT_RDWR) if sock is self._tcp else sock.sendto(b"", self.address)
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self) -> None:
        while True:
            data, source = self._udp.recvfrom(4096)
            if not data:
                return
            answer = self._answer(data, "UDP")
            if self.forges is not None:
                self._udp.sendto(self.forges(data), source)
            if answer is not None:
                self._udp.sendto(answer, source)

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            with connection:
                query, _ = dns.query.receive_tcp(connection)
                answer = self._answer(query.to_wire(), "TCP")
                if answer is not None and not self.hangs_up:
                    dns.query.send_tcp(connection, answer)

    def _answer(self, data: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((question.name.to_text(omit_final_dot=True), kind, transport))
        if self.is_dead:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        if self.rcode is not None:
            response.set_rcode(self.rcode)
        elif self.truncates and transport == "UDP":
            response.flags |= dns.flags.TC
        else:
            self._fill(response, question.name, question.rdtype)
        return response.to_wire()

    def _fill(self, response: dns.message.Message, name: dns.name.Name, kind: int) -> None:
        zone = next((zone for zone in self._zones if name.is_subdomain(zone.origin)), None)
        if zone is None:
            response.set_rcode(dns.rcode.REFUSED)
            return
        node = zone.get_node(name)
        if node is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif (alias := zone.get_rrset(name, "CNAME")) is not None:
            response.answer.append(alias)
            self._fill(response, alias[0].target, kind)
            return
        elif (found := zone.get_rrset(name, kind)) is not None:
            response.answer.append(found)
            return
        response.authority.append(zone.get_rrset(zone.origin, "SOA"))


def _sockets(host: str) -> tuple[socket.socket, socket.socket]:
    """One for UDP and one for TCP on the same port, which others may have by one of the two."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((host, 0))
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
        else:
            tcp.listen(16)
            return udp, tcp


_SOA = "@ SOA ns hostmaster 1 3600 600 86400 20\n@ NS ns\nns A 127.0.0.1"
