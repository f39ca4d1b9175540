"""The wire in memory between the proxy and the robot."""

import gevent
import pytest
from gevent.event import Event

from sip.robot.wire import MAX_UNDER_WAY, Wire
from sip.transport.flow import Flow

FLOW = Flow("ROBOT", ("127.0.0.1", 5060), ("127.0.0.1", 10_000))


def test_a_message_arrives_with_the_addresses_of_the_other_end():
    heard: list[tuple[bytes, Flow]] = []
    wire = Wire(lambda data, flow: heard.append((data, flow)))
    assert wire.send(b"hello", FLOW._replace(port=5060)) == FLOW._replace(port=5060)
    assert heard == []  # the sender never waits for the receiver
    gevent.sleep(0)
    assert heard == [(b"hello", Flow("ROBOT", FLOW.remote, FLOW.local))]


def test_too_many_messages_are_refused():
    """Until one is handled; a receiver that fails counts as one that is done."""
    go_on = Event()

    def receive(data: bytes, flow: Flow) -> None:
        go_on.wait()
        raise ValueError(data)

    wire = Wire(receive)
    for _ in range(MAX_UNDER_WAY):
        wire.send(b"", FLOW)
    with pytest.raises(OSError, match="too many messages"):
        wire.send(b"", FLOW)
    go_on.set()
    gevent.sleep(0.05)
    wire.send(b"", FLOW)
    gevent.sleep(0.05)


def test_nothing_opens_a_way_to_the_robot():
    with pytest.raises(OSError, match="no connection"):
        Wire(lambda data, flow: None).open(*FLOW[1:3], "ROBOT", "")
