"""Connections beyond their share of what can be served: they wait, and lose nothing (§18)."""

from contextlib import suppress

import gevent
import pytest
from gevent.event import Event

from sip.monitor.metrics import CLOSED_OVERLOAD
from sip.transport.flow import Flow
from sip.transport.tcp import MESSAGE_SECONDS, SECONDS_BETWEEN_CHECKS
from sip.transport.tcp_connection import READ_SIZE
from tests.support.tcp_fixture import ListeningCarrier, message
from tests.support.udp_client import until

SLOW = "127.0.0.66"


class Share:
    """The share `left` to connections from SLOW; `looks` counts the questions about it."""

    def __init__(self, place: ListeningCarrier) -> None:
        self.place = place
        self.left = 0
        self.looks = 0
        place.streams.should_throttle = self.should_throttle
        place.handler = self.handled

    def should_throttle(self, flow: Flow) -> bool:
        self.looks += 1
        return flow.remote[0] == SLOW and self.left <= 0

    def handled(self, data: bytes, flow: Flow) -> None:
        self.left -= flow.remote[0] == SLOW


@pytest.fixture
def share(place: ListeningCarrier) -> Share:
    return Share(place)


def looked(seconds: float = 3 * SECONDS_BETWEEN_CHECKS) -> None:
    """Let the server look a few times."""
    gevent.sleep(seconds)


def test_messages_over_the_share_are_delayed_in_order(place: ListeningCarrier, share: Share):
    slow = place.connect(SLOW)
    said = [message(f"m{number}") for number in range(40)]
    slow.sendall(b"".join(said))
    looked()
    assert place.heard == []
    share.left = 3
    assert place.hears(3) == said[:3]
    looked()
    assert len(place.heard) == 3
    share.left = 1000
    assert place.hears(40) == said


def test_others_are_served_meanwhile(place: ListeningCarrier, share: Share):
    slow, quick = place.connect(SLOW), place.connect()
    slow.sendall(message("slow"))
    looked()
    for number in range(5):
        quick.sendall(message(f"quick{number}"))
        assert place.hears(number + 1)[-1] == message(f"quick{number}")


def test_connections_of_one_source_have_their_turns(place: ListeningCarrier, share: Share):
    peers = [place.connect(SLOW) for _ in range(3)]
    for number, peer in enumerate(peers):
        peer.sendall(message(f"{number}") * 2)
    looked()
    for _ in range(3):
        share.left = 1
        until(lambda: share.left == 0)
    assert sorted(data for data, _ in place.heard) == [message(f"{number}") for number in range(3)]


def test_paused_connections_are_checked_now_and_then(place: ListeningCarrier, share: Share):
    """No turning in circles, although its socket can be read all the time."""
    slow = place.connect(SLOW)
    slow.sendall(message("slow"))
    looked()
    share.looks = 0
    looked(0.5)
    assert 2 <= share.looks <= 0.5 / SECONDS_BETWEEN_CHECKS + 2


def test_a_peer_that_sends_on_is_held_up_by_its_own_system(place: ListeningCarrier, share: Share):
    """Further octets stay in the kernel, within its bound; here are only those that were read."""
    slow = place.connect(SLOW)
    share.left = 2
    slow.sendall(message("a"))
    place.hears(1)
    slow.setblocking(False)
    sent = 0
    with suppress(BlockingIOError):
        for _ in range(1000):
            sent += slow.send(message("b", b"x" * 60_000))
            gevent.sleep(0)
    assert sent < 30_000_000
    (connection,) = place.streams.connections.values()
    assert connection.buffered <= READ_SIZE


def test_a_connection_paused_too_long_is_closed(place: ListeningCarrier, share: Share):
    """Its transactions have timed out by then (§17.1.1.2)."""
    slow = place.connect(SLOW)
    share.left = 1
    slow.sendall(message("a"))
    place.hears(1)
    slow.sendall(message("b"))
    looked()
    place.now += MESSAGE_SECONDS - 0.1
    place.streams.close_expired(place.now)
    looked()
    until(lambda: place.held == 1)
    place.now += 0.1
    place.streams.close_expired(place.now)
    until(lambda: place.held == 0)
    assert place.streams.counts[CLOSED_OVERLOAD] == 1
    assert len(place.heard) == 1


def test_a_resumed_connection_may_be_silent(place: ListeningCarrier, share: Share):
    """That it had to wait is forgotten."""
    slow = place.connect(SLOW)
    slow.sendall(message("a"))
    looked()
    share.left = 10
    place.hears(1)
    place.now += 2 * MESSAGE_SECONDS
    place.streams.close_expired(place.now)
    until(lambda: place.held == 1)
    slow.sendall(message("b"))
    place.hears(2)


def test_a_handler_that_waited_reads_no_further_than_the_share(
    place: ListeningCarrier, share: Share
):
    """Another reader has found out meanwhile that there is none left."""
    done = Event()

    def waits(data: bytes, flow: Flow) -> None:
        share.left -= 1
        if data == message("wait"):
            done.wait()

    place.handler = waits
    slow = place.connect(SLOW)
    share.left = 1
    slow.sendall(message("wait") + message("a"))
    place.hears(1)
    looked()
    done.set()
    looked()
    assert len(place.heard) == 1
    share.left = 1
    assert place.hears(2)[1] == message("a")


def test_one_that_is_closed_while_it_waits_leaves_nothing(place: ListeningCarrier, share: Share):
    slow = place.connect(SLOW)
    slow.sendall(message("a"))
    looked()
    (connection,) = place.streams.connections.values()
    connection.close("a test")
    share.left = 5
    looked()
    assert place.heard == []
    assert not place.streams._paused
