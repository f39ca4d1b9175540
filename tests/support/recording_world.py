"""A world that records each destination of the server and each greenlet that reads."""

import gevent

from sip.transport.flow import Endpoint, Flow
from tests.support.fake_transport import SERVER
from tests.support.world import World


class RecordingWorld(World):
    """A world for hostile messages: `hosts` are destinations, `readers` greenlets that read."""

    def __post_init__(self) -> None:
        self.hosts: set[str] = set()
        self.readers: list[gevent.Greenlet] = []
        super().__post_init__()

    def deliver(self, data: bytes, source: Endpoint | Flow) -> None:
        """Let the server read a datagram, in a greenlet of its own."""
        flow = source if isinstance(source, Flow) else Flow("UDP", SERVER, source)
        self.readers.append(gevent.spawn(self.server.receiver.receive, data, flow))
        self.settle()

    def carry(self, data: bytes, flow: Flow) -> None:
        """Record the destination."""
        self.hosts.add(flow.remote[0])
        super().carry(data, flow)
