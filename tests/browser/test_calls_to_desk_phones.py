"""The phone in the browser and a desk phone: rtpengine translates between them (RFC 8827)."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.browser_phone import Phone
from tests.support.pjsua import Pjsua
from tests.support.programs import until
from tests.support.rtpengine import RealRtpEngine


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RealRtpEngine]:
    with closing(RealRtpEngine(tmp_path / "rtpengine")) as relay:
        yield relay


@pytest.fixture
def flags(relay: RealRtpEngine) -> list[str]:
    return ["-media.rtpengine", f"127.0.0.1:{relay.port}"]


def test_a_browser_and_a_desk_phone_hear_each_other(visit, server, relay, tmp_path):
    """DTLS-SRTP here, RTP there, in both directions; the relay forgets the calls that end."""
    server.has_users("alice", "bob")
    alice = Phone(visit(), "alice")
    alice.is_registered()
    with closing(Pjsua("bob", tmp_path / "bob", server)) as bob:
        bob.registers()
        alice.calls("bob")
        bob.gets_a_call()
        alice.shows("Ringing")
        bob.answers()
        alice.shows("Talking 0:0")
        alice.hears()
        bob.hears()
        alice.presses("Hang up")
        bob.call_ends()
        until(lambda: not relay.calls(), "the call ends at the relay")
        bob.dials(f"sip:alice@{server.domain}")
        alice.shows("bob is calling")
        alice.presses("Answer")
        alice.shows("Talking 0:0")
        alice.hears()
        bob.hears()
        bob.hangs_up()
        alice.shows("Call ended")
