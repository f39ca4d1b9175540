"""What carries messages between the server and the phones of a world, in memory."""

import itertools
from typing import TYPE_CHECKING

from sip.transport.flow import Endpoint, Flow

if TYPE_CHECKING:
    from world import Phone, World

SERVER: Endpoint = ("192.0.2.1", 5060)


class MemorySocket:
    """Carries datagrams between the server and the phones of a world."""

    is_ipv6 = False
    is_wildcard = False

    def __init__(self, world: "World", local: Endpoint) -> None:
        self.world = world
        self.local = local

    def send(self, data: bytes, flow: Flow) -> None:
        self.world.carry(data, flow)

    def start(self) -> None: ...

    def stop(self) -> None: ...


class MemoryStreams:
    """Connections between the server and the phones of a world."""

    def __init__(self, world: "World", first: int) -> None:
        self.world = world
        self.phones: dict[int, Phone] = {}
        self._numbers = itertools.count(first)

    def take(self, phone: "Phone") -> Flow:
        """A connection that a phone opens."""
        number = next(self._numbers)
        self.phones[number] = phone
        return Flow("TCP", SERVER, phone.address, number)

    def open(self, local: Endpoint, remote: Endpoint) -> Flow:
        for number, phone in self.phones.items():
            if phone.listens_at == remote and number != phone.source.connection:
                return Flow("TCP", local, remote, number, remote[1])
        number = next(self._numbers)
        listening = [phone for phone in self.world.at.values() if phone.listens_at == remote]
        if listening:
            self.phones[number] = listening[0]
        return Flow("TCP", local, remote, number, remote[1])

    def is_open(self, flow: Flow) -> bool:
        return flow.connection in self.phones

    def leads_on(self, flow: Flow) -> bool:
        return bool(flow.connection in self.phones or flow.port)

    def send(self, data: bytes, flow: Flow) -> None:
        if flow.connection not in self.phones and flow.port:
            flow = self.open(flow.local, (flow.remote[0], flow.port))
        phone = self.phones.get(flow.connection)
        if phone is None:
            self.world.server.layer.unreachable(data)
        else:
            phone.inbox.append(data)

    def start(self) -> None: ...

    def stop(self) -> None: ...
