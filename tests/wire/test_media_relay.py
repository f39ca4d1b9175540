"""Sound through the real rtpengine: between two NATs, and between SRTP and RTP."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.support.network import LOOPBACK, Loopback, Machine
from tests.support.phone import PhoneAt
from tests.support.phone_calls import part, talk, talk_and_hear
from tests.support.pjsua import Pjsua, Private
from tests.support.programs import until
from tests.support.rtpengine import RealRtpEngine


class Secure(Pjsua):
    """A pjsua2 that insists on SRTP, with keys in its descriptions (RFC 4568)."""

    kind = "pjsua2 with SRTP"
    account_setup: ClassVar = {
        "mediaConfig.srtpUse": "PJMEDIA_SRTP_MANDATORY",
        "mediaConfig.srtpSecureSignaling": 0,
        "mediaConfig.lockCodecEnabled": False,
    }


@pytest.fixture
def machine(request) -> Loopback | Machine:
    """Where server and relay run: on the loopback, or in the Internet of `network`."""
    return LOOPBACK if request.param == "loopback" else request.getfixturevalue("network").server


@pytest.fixture
def relay(tmp_path: Path, machine) -> Iterator[RealRtpEngine]:
    with contextlib.closing(RealRtpEngine(tmp_path / "rtpengine", machine)) as relay:
        yield relay


@pytest.fixture
def flags(relay: RealRtpEngine) -> list[str]:
    return ["-media.rtpengine", f"127.0.0.1:{relay.port}"]


@pytest.mark.parametrize("machine", ["network"], indirect=True)
def test_phones_behind_two_nats_hear_each_other(server, relay, at):
    """Also after a restart of the server: re-INVITE and BYE find their call at the relay."""
    alice, bob = (
        at(PhoneAt(Private, "home_desk"), "alice"),
        at(PhoneAt(Private, "office_desk"), "bob"),
    )
    talk_and_hear(alice, bob)
    [name] = relay.calls()
    server.restart()
    alice.agrees_anew_with(bob, alice.holds)
    alice.agrees_anew_with(bob, alice.resumes)
    alice.hears()
    bob.hears()
    assert relay.calls() == [name]
    part(alice, bob)
    until(lambda: not relay.calls(), "the call ends at the relay")


@pytest.mark.parametrize("machine", ["network"], indirect=True)
def test_phones_behind_one_nat_need_no_relay(server, relay, at):
    alice, bob = at(PhoneAt(Private, "home_desk"), "alice"), at(PhoneAt(Private, "kitchen"), "bob")
    talk_and_hear(alice, bob)
    assert relay.calls() == []


@pytest.mark.parametrize("machine", ["loopback"], indirect=True)
@pytest.mark.parametrize(("one", "other"), [(Secure, Pjsua), (Pjsua, Secure)])
def test_srtp_and_rtp_hear_each_other(relay, registered, one, other):
    """The phone that is called refuses the offer with 488, and gets it once more, translated."""
    alice, bob = registered(one, "alice"), registered(other, "bob")
    talk(alice, bob)
    alice.hears()
    bob.hears()
    assert len(relay.calls()) == 1
    part(alice, bob)
    until(lambda: not relay.calls(), "the call ends at the relay")
