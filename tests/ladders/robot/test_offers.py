"""Offers and answers of calls to the robot (RFC 3264), hostile ones too."""

import pytest

from sip.robot.sdp import MAX_LINES, MAX_MEDIA
from tests.support.robot_phone import OFFER, RobotPhone, media_port, robot_phone
from tests.support.world import REALM, World, dialog_of_caller

HEAD = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"


@pytest.fixture
def alice(world: World) -> RobotPhone:
    phone = robot_phone(world, "alice")
    yield phone
    world.server.robot.stop()
    assert len(world.server.robot.studio) == 0


@pytest.mark.parametrize(
    ("body", "status", "cause"),
    [
        (b"garbage", 400, "does not begin with v=0"),
        (HEAD, 488, "no media"),
        (HEAD + b"m=audio 0 RTP/AVP 0\r\n", 488, "no audio"),
        (HEAD + b"m=video 4000 RTP/AVP 96\r\n", 488, "no audio"),
        (HEAD + b"m=audio 4000 RTP/AVP 9 18\r\n", 488, "PCMU or PCMA is needed"),
        (HEAD + b"m=audio 4000 RTP/SAVP 0\r\n", 488, "no support for RTP/SAVP"),
        (HEAD + b"m=audio 53 RTP/AVP 0\r\n", 488, "the media port 53 is below 1024"),
        (HEAD + b"m=audio 70000 RTP/AVP 0\r\n", 400, "malformed m= line"),
        (HEAD + b"m=audio\r\n", 400, "malformed m= line"),
        (b"v=0\r\nm=audio 4000 RTP/AVP 0\r\n", 488, "no c= line"),
        (b"v=0\r\nc=IN\r\nm=audio 4000 RTP/AVP 0\r\n", 400, "malformed c= line"),
        (HEAD + b"a=x\r\n" * MAX_LINES, 400, "lines"),
        (HEAD + b"m=audio 4000 RTP/AVP 9\r\n" * (MAX_MEDIA + 1), 400, "streams"),
        (HEAD + b"a=" + b"x" * 20_000, 400, "octets"),
        (b"\xff\x00\xfe" * 20, 400, "does not begin with v=0"),
    ],
)
def test_a_bad_offer_is_refused_with_its_cause(
    world: World, alice: RobotPhone, body: bytes, status: int, cause: str
):
    refused = alice.is_refused("echo", status, body=body)
    assert cause in (refused.value("warning") or "")
    assert len(world.server.robot) == len(world.server.robot.studio) == 0


def test_a_body_of_another_type_is_refused(alice: RobotPhone):
    """§8.2.3."""
    refused = alice.is_refused("echo", 415, headers=("Content-Type: text/plain",))
    assert refused.value("accept") == "application/sdp"


def test_further_streams_are_refused(alice: RobotPhone):
    """RFC 3264 §6: as many m= lines as in the offer, in its order, refused ones with port 0."""
    video = b"m=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    second = b"m=audio 5002 RTP/AVP 0\r\n"
    offer = HEAD + video + b"m=audio 4000 RTP/AVP 9 0\r\na=sendonly\r\n" + second
    _, answer = alice.calls("echo", offer)
    port = media_port(answer)
    lines = [line for line in answer.split(b"\r\n") if line[:2] == b"m="]
    assert lines == [
        b"m=video 0 RTP/AVP 96",
        b"m=audio %d RTP/AVP 0" % port,
        b"m=audio 0 RTP/AVP 0",
    ]
    assert b"a=recvonly" in answer


def test_without_an_offer_the_robot_makes_one(world: World, alice: RobotPhone):
    """§13.3.1.4: the answer is in the ACK."""
    invite = alice.sends("INVITE", f"sip:tone@{REALM}", body=b"")
    answer = alice.gets(200)
    assert b"RTP/AVP 0 8 101\r\n" in answer.body
    dialog = dialog_of_caller(invite, answer)
    body = HEAD + b"m=audio 4000 RTP/AVP 8\r\n"
    alice.sends_within("ACK", dialog, cseq=invite.cseq[0], body=body)
    (call,) = world.server.robot.calls.values()
    assert call.stream.encoding == "PCMA"


@pytest.mark.parametrize("body", [b"", HEAD + b"m=audio 4000 RTP/AVP 9\r\n", b"garbage"])
def test_an_ack_without_an_answer_ends_the_call(world: World, alice: RobotPhone, body: bytes):
    invite = alice.sends("INVITE", f"sip:tone@{REALM}", body=b"")
    dialog = dialog_of_caller(invite, alice.gets(200))
    alice.sends_within("ACK", dialog, cseq=invite.cseq[0], body=body)
    alice.answers(alice.gets("BYE"), 200)
    assert len(world.server.robot) == 0


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_hold_is_answered_and_keeps_the_call(world: World, alice: RobotPhone, method: str):
    """RFC 3264 §8.4; the version of o= grows (§8), and a bad offer changes nothing (§14.2)."""
    dialog, first = alice.calls("tone")
    (call,) = world.server.robot.calls.values()
    request = alice.sends_within(method, dialog, body=OFFER + b"a=sendonly\r\n")
    answer = alice.gets(200)
    if method == "INVITE":
        alice.sends_within("ACK", dialog, cseq=request.cseq[0])
    assert b"a=recvonly" in answer.body
    assert media_port(answer.body) == media_port(first)
    assert [b" 1 IN IP4" in first, b" 2 IN IP4" in answer.body] == [True, True]
    assert not call.stream.receives

    bad = OFFER.replace(b"AVP 8 0 96", b"AVP 9")
    request = alice.sends_within(method, dialog, body=bad)
    refused = alice.gets(488)
    if method == "INVITE":
        alice.acknowledges(request, refused)
    assert list(world.server.robot.calls.values()) == [call]
    alice.sends_within("BYE", dialog)
    alice.gets(200)


def test_an_offer_meets_one_that_is_not_answered(alice: RobotPhone):
    """§14.2: 491; the ACK may still come."""
    invite = alice.sends("INVITE", f"sip:tone@{REALM}", body=b"")
    dialog = dialog_of_caller(invite, alice.gets(200))
    again = alice.sends_within("INVITE", dialog, body=OFFER)
    alice.acknowledges(again, alice.gets(491))
    alice.sends_within(
        "ACK", dialog, cseq=invite.cseq[0], body=HEAD + b"m=audio 4000 RTP/AVP 8\r\n"
    )
    alice.sends_within("BYE", dialog)
    alice.gets(200)
