"""The client of rtpengine: cookies, tries, silence, and replies that cannot be read."""

from collections.abc import Callable

import gevent
import pytest

from sip.transport import rtpengine
from sip.transport.bencode import decode, encode
from sip.transport.rtpengine import MAX_PENDING, RelayRefused, RelaySilent, RtpEngine


class Relay:
    """A client, its clock, and the datagrams that it has sent."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sent: list[bytes] = []
        self.engine = RtpEngine(("127.0.0.1", 2223), lambda: self.now)
        self.engine.send = self.sent.append
        self.engine.tick(self.now)  # the first ping
        self.answers({"result": "pong"})
        self.sent.clear()

    def answers(self, reply: dict, at: int = -1) -> None:
        cookie = self.sent[at].partition(b" ")[0]
        self.engine.receive(cookie + b" " + encode(reply))

    def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            self.engine.tick(self.now)
        gevent.sleep(0)

    def asks(self, ask: Callable) -> gevent.Greenlet:
        def outcome():
            try:
                return ask()
            except (RelaySilent, RelayRefused) as error:
                return error

        asking = gevent.spawn(outcome)
        gevent.sleep(0)
        return asking


@pytest.fixture
def relay() -> Relay:
    return Relay()


def test_a_command_is_answered_by_its_cookie(relay: Relay):
    one = relay.asks(lambda: relay.engine.ask("offer", {"sdp": "v=0"}))
    two = relay.asks(lambda: relay.engine.ask("answer", {}))
    assert decode(relay.sent[0].partition(b" ")[2]) == {b"command": b"offer", b"sdp": b"v=0"}
    relay.answers({"result": "ok", "n": 2}, 1)
    relay.answers({"result": "ok", "n": 1}, 0)
    relay.answers({"result": "ok", "n": 3}, 0)  # a second reply
    assert (one.get(), two.get()) == ({b"result": b"ok", b"n": 1}, {b"result": b"ok", b"n": 2})


def test_a_lost_command_is_sent_again(relay: Relay):
    asking = relay.asks(lambda: relay.engine.ask("offer", {}))
    relay.passes(0.3)
    assert relay.sent == [relay.sent[0]] * 2
    relay.answers({"result": "ok"})
    assert asking.get() == {b"result": b"ok"}
    relay.passes(1.0)
    assert len(relay.sent) == 2


def test_after_a_second_of_silence_all_fail_at_once(relay: Relay):
    """Until a ping is answered, which is sent every second then."""
    asking = relay.asks(lambda: relay.engine.ask("offer", {}))
    relay.passes(0.9)
    assert not asking.dead
    assert len(relay.sent) == 3
    relay.passes(0.15)
    assert isinstance(asking.get(), RelaySilent)
    with pytest.raises(RelaySilent):
        relay.engine.ask("offer", {})
    relay.engine.tell("delete", {})
    assert not any(b"delete" in each for each in relay.sent)
    pings = [each for each in relay.sent if b"4:ping" in each]
    relay.passes(2.1)
    assert len({each for each in relay.sent if b"4:ping" in each}) == len(pings) + 2
    relay.answers({"result": "pong"})
    asking = relay.asks(lambda: relay.engine.ask("offer", {}))
    relay.answers({"result": "ok"})
    assert asking.get() == {b"result": b"ok"}


def test_an_error_is_a_refusal_with_its_reason(relay: Relay):
    asking = relay.asks(lambda: relay.engine.ask("offer", {}))
    relay.answers({"result": "error", "error-reason": "Unknown call-id"})
    assert str(asking.get()) == "Unknown call-id"


@pytest.mark.parametrize("reply", [b"", b" ", b"x d6:result2:oke", b"COOKIE", b"COOKIE i1e"])
def test_other_datagrams_change_nothing(relay: Relay, reply: bytes):
    asking = relay.asks(lambda: relay.engine.ask("offer", {}))
    relay.engine.receive(reply.replace(b"COOKIE", relay.sent[0].partition(b" ")[0]))
    relay.answers({"result": "ok"})
    assert asking.get() == {b"result": b"ok"}


def test_the_commands_that_wait_are_bounded(relay: Relay, monkeypatch):
    monkeypatch.setattr(rtpengine, "MAX_PENDING", 3)
    for _ in range(5):
        relay.engine.tell("delete", {})
    assert len(relay.sent) == 3
    with pytest.raises(RelaySilent):
        relay.engine.ask("offer", {})
    assert MAX_PENDING > 1000


def test_a_stop_ends_what_waits(relay: Relay):
    asking = relay.asks(lambda: relay.engine.ask("offer", {}))
    relay.engine.stop()
    assert isinstance(asking.get(), RelaySilent)


def test_a_ping_measures_the_relay(relay: Relay):
    asking = relay.asks(relay.engine.ping)
    relay.now += 0.25
    relay.answers({"result": "pong"})
    assert asking.get() == pytest.approx(0.25)
