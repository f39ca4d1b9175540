"""Sockets and connections in memory between the server and the phones of a world."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import gevent

from sip.message.framing import PING
from sip.transport.flow import Endpoint, Flow
from sip.transport.packet_filter import SampleRule

if TYPE_CHECKING:
    from tests.support.world import Phone, World

SERVER: Endpoint = ("192.0.2.1", 5060)


class MemorySocket:
    """Carries datagrams between the server and the phones of a world."""

    is_ipv6 = False
    is_wildcard = False
    has_backlog = False

    def __init__(self, world: "World", local: Endpoint) -> None:
        self.world = world
        self.local = local

    def set_packet_filter(self, rules: Sequence[SampleRule]) -> bool:
        return False

    def send(self, data: bytes, flow: Flow) -> None:
        self.world.carry(data, flow)

    def start(self) -> None: ...

    def stop(self) -> None: ...


class MemoryCarrier:
    """Connections of one transport between the server and the phones of a world."""

    def __init__(self, world: "World", first: int, transport: str = "TCP") -> None:
        self.world = world
        self.transport = transport
        self.phones: dict[int, Phone] = {}
        self._opened: dict[Endpoint, int] = {}  # by the server
        self._numbers = itertools.count(first)

    def take(self, phone: "Phone") -> Flow:
        """A connection that a phone opens."""
        number = next(self._numbers)
        self.phones[number] = phone
        return Flow(self.transport, SERVER, phone.address, number)

    def open(self, local: Endpoint, remote: Endpoint, transport: str = "", name: str = "") -> Flow:
        known = self._opened.get(remote)
        if known is None:
            known = self._opened[remote] = next(self._numbers)
            listening = [phone for phone in self.world.at.values() if phone.listens_at == remote]
            if listening:
                self.phones[known] = listening[0]
        return Flow(self.transport, local, remote, known, remote[1])

    def close(self, phone: "Phone") -> None:
        """End all connections of a phone."""
        for number in [number for number, other in self.phones.items() if other is phone]:
            del self.phones[number]
            self._end(number)

    def _end(self, number: int) -> None:
        self._opened = {remote: known for remote, known in self._opened.items() if known != number}
        gevent.get_hub().loop.run_callback(self.world.server.connection_closed, number)

    def is_open(self, flow: Flow) -> bool:
        return flow.connection in self.phones

    def is_reachable(self, flow: Flow) -> bool:
        return bool(flow.connection in self.phones or flow.port)

    def send(self, data: bytes, flow: Flow) -> Flow:
        if flow.connection not in self.phones and flow.port:
            flow = self.open(flow.local, (flow.remote[0], flow.port))
        phone = self.phones.get(flow.connection)
        if phone is not None and data == PING:
            self.world.pings.append(flow.remote)
        elif phone is None:  # the connection is not open yet, and never will be
            self._end(flow.connection)
        else:
            phone.inbox.append(data)
        return flow

    def start(self) -> None: ...

    def stop(self) -> None: ...
