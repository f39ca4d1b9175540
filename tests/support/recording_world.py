"""A world that notes whom the server sends to, and what escapes from it."""

import gevent

from sip.transport.flow import Endpoint, Flow
from tests.support.fake_transport import SERVER
from tests.support.world import World


class RecordingWorld(World):
    """A world for messages that are wrong in any way."""

    def __post_init__(self) -> None:
        self.hosts: set[str] = set()
        self.readers: list[gevent.Greenlet] = []
        super().__post_init__()

    def deliver(self, data: bytes, source: Endpoint | Flow) -> None:
        """Let the server read a datagram."""
        flow = source if isinstance(source, Flow) else Flow("UDP", SERVER, source)
        self.readers.append(gevent.spawn(self.server.receiver.receive, data, flow))
        self.settle()

    def carry(self, data: bytes, flow: Flow) -> None:
        """Note where it goes."""
        self.hosts.add(flow.remote[0])
        super().carry(data, flow)
