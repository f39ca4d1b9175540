"""Calls of the robot to a phone: *Call this phone*."""

from collections.abc import Iterator

import gevent
import pytest

from sip.config import Config
from sip.message.message import Request
from sip.robot.outgoing import Outcome
from sip.robot.robot import MAX_CALLS
from tests.support.robot_phone import OFFER, RobotPhone, media_port, robot_phone
from tests.support.world import REALM, World, dialog_of_callee

SDP = ("Content-Type: application/sdp",)


@pytest.fixture
def alice(world: World) -> Iterator[RobotPhone]:
    yield robot_phone(world, "alice")
    world.server.robot.stop()
    assert len(world.server.robot.studio) == 0


def rings(world: World, name: str = "alice") -> "gevent.Greenlet[..., Outcome]":
    """Have the robot call a user."""
    calling = gevent.spawn(world.server.call_phone, name, REALM)
    world.settle()
    return calling


def test_the_phone_that_answers_hears_the_tone(world: World, alice: RobotPhone):
    """§13.2: an offer, the ACK, and a BYE after 5 s."""
    calling = rings(world)
    invite = alice.gets("INVITE")
    assert invite.uri_text == f"sip:alice@{alice.sent_by}"
    assert invite.from_.uri_text == "sip:robot@127.0.0.1:5060"
    assert media_port(invite.body) in range(10_000, 10_100)
    alice.answers(invite, 180)
    answer = alice.answers(invite, 200, headers=SDP, body=OFFER)
    assert alice.gets("ACK").cseq[0] == invite.cseq[0]
    assert calling.get(timeout=1) == (200, "The phone answered, and plays a tone for 5 s.")
    alice.transmits(answer)  # §13.2.2.4: its ACK was lost
    alice.gets("ACK")
    (call,) = world.server.robot.calls.values()
    assert call.stream.encoding == "PCMA"
    world.passes(4.9)
    assert alice.hears_nothing()
    world.passes(0.2)
    bye = alice.gets("BYE")
    assert bye.value("reason") == 'SIP;cause=200;text="the tone is over"'
    alice.answers(bye, 200)


def test_the_phone_may_hang_up(world: World, alice: RobotPhone):
    calling = rings(world)
    invite = alice.gets("INVITE")
    dialog = dialog_of_callee(invite, alice.answers(invite, 200, headers=SDP, body=OFFER))
    alice.gets("ACK")
    assert calling.get(timeout=1).is_answered
    alice.sends_within("BYE", dialog)
    alice.gets(200)
    assert len(world.server.robot) == 0


def test_a_phone_that_is_not_answered_stops_ringing(world: World, alice: RobotPhone):
    """§9.1: CANCEL after 30 s."""
    calling = rings(world)
    invite = alice.gets("INVITE")
    alice.answers(invite, 180)
    world.passes(29.0, step=0.5)
    assert alice.hears_nothing()
    world.passes(1.5)
    cancel = alice.gets("CANCEL")
    assert cancel.call_id == invite.call_id
    alice.answers(cancel, 200)
    alice.answers(invite, 487)
    alice.gets("ACK")
    outcome = calling.get(timeout=1)
    assert outcome == (480, "The phone rang, but was not answered within 30 s.")


def test_a_refusal_is_told_with_its_cause(world: World, alice: RobotPhone):
    calling = rings(world)
    alice.answers(alice.gets("INVITE"), 480, headers=('Warning: 399 desk "do not disturb"',))
    alice.gets("ACK")
    status, text = calling.get(timeout=1)
    assert status == 480
    assert text.startswith("The phone takes no calls now, and says: do not disturb. Look for ")


def test_an_answer_without_sound_is_hung_up(world: World, alice: RobotPhone):
    calling = rings(world)
    bad = OFFER.replace(b"AVP 8 0 96", b"AVP 9")
    alice.answers(alice.gets("INVITE"), 200, headers=SDP, body=bad)
    alice.gets("ACK")
    alice.answers(alice.gets("BYE"), 200)
    assert "no common codec" in calling.get(timeout=1).text


def test_of_two_answers_the_second_is_hung_up(world: World, alice: RobotPhone):
    """§13.2.2.4: both get an ACK, the slower one a BYE."""
    other = robot_phone(world, "alice", 7002)
    calling = rings(world)
    invites: list[Request] = [phone.gets("INVITE") for phone in (alice, other)]
    alice.answers(invites[0], 200, tag="desk", headers=SDP, body=OFFER)
    other.answers(invites[1], 200, tag="mobile", headers=SDP, body=OFFER)
    alice.gets("ACK")
    assert calling.get(timeout=1).is_answered
    assert alice.hears_nothing()
    heard = [other.takes().method for _ in range(len(other.inbox))]
    assert heard in (["CANCEL", "ACK", "BYE"], ["ACK", "BYE"])


def test_a_phone_that_is_not_registered_is_not_called(world: World, alice: RobotPhone):
    world.users.add("bob", "secret")
    outcome = world.server.call_phone("bob", REALM)
    assert outcome == (480, "No phone of bob is registered.")


def test_no_phone_is_called_when_the_robot_is_off(world: World, alice: RobotPhone):
    world.server.reconfigure(Config(sip_realm=REALM, robot=False))
    assert world.server.call_phone("alice", REALM).text == "The robot is off: set -robot on."
    assert alice.hears_nothing()


def test_calls_to_phones_count_among_the_calls(world: World, alice: RobotPhone):
    for number in range(MAX_CALLS):
        robot_phone(world, f"user{number}", 7010 + number).calls("echo")
    outcome = world.server.call_phone("alice", REALM)
    assert outcome == (486, "All 8 calls of the robot are in use.")


def test_a_stop_cancels_what_rings(world: World, alice: RobotPhone):
    calling = rings(world)
    alice.answers(alice.gets("INVITE"), 180)
    world.server.robot.stop()
    world.settle()
    alice.gets("CANCEL")
    assert calling.get(timeout=1).status == 480
