"""The wire between the proxy and the robot: messages in memory, as by a transport of its own."""

import errno
import logging
from collections.abc import Callable

import gevent

from sip.message.datagram import for_log
from sip.transport.flow import Endpoint, Flow

log = logging.getLogger(__name__)

# Messages that are being handled at the other end.  The robot has MAX_CALLS calls; each may bring
# some requests at once, and callers that find it busy bring more.
MAX_UNDER_WAY = 1000


class Wire:
    """One direction: a carrier whose messages arrive in memory, at `receive`, which may wait."""

    def __init__(self, receive: Callable[[bytes, Flow], None]) -> None:
        self._receive = receive
        self._under_way = 0

    def open(self, local: Endpoint, remote: Endpoint, transport: str, name: str) -> Flow:
        """Raise OSError: nothing but the flow of a call leads to the robot."""
        raise OSError(errno.ENETUNREACH, "no connection is opened to the robot")

    def is_open(self, flow: Flow) -> bool:
        """Return True: memory has no connection that could break."""
        return True

    def is_reachable(self, flow: Flow) -> bool:
        """Return True, as `is_open` does."""
        return True

    def send(self, data: bytes, flow: Flow) -> Flow:
        """Hand a message to the other end, in a greenlet.  Raises OSError if too many wait."""
        if self._under_way >= MAX_UNDER_WAY:
            raise OSError(errno.ENOBUFS, "too many messages for the robot")
        self._under_way += 1
        gevent.spawn(self._deliver, data, Flow(flow.transport, flow.remote, flow.local))
        return flow

    def _deliver(self, data: bytes, flow: Flow) -> None:
        try:
            self._receive(data, flow)
        except Exception:
            log.exception("unhandled error while handling the message %r", for_log(data))
        finally:
            self._under_way -= 1

    def start(self) -> None:
        """Do nothing: there is no socket."""

    def stop(self) -> None:
        """Do nothing: there is no socket."""
