"""Calls to the robot: who may call it, its answers, its bounds, and its end."""

import pytest

from sip.config import Config
from sip.core.proxy.robot_targets import NAMES
from sip.robot.robot import MAX_CALLS, MAX_CALLS_OF_USER
from tests.support.followed_calls import FollowedCalls
from tests.support.robot_phone import OFFER, RobotPhone, media_port, robot_phone
from tests.support.world import REALM, World, dialog_of_caller


@pytest.fixture
def alice(world: World) -> RobotPhone:
    phone = robot_phone(world, "alice")
    yield phone
    world.server.robot.stop()
    assert len(world.server.robot.studio) == 0


def test_a_call_is_answered_and_hung_up(world: World, alice: RobotPhone):
    """§13.3.1.4, RFC 3264 §6: the first common codec of the offer, in an answer of one stream."""
    dialog, description = alice.calls("echo")
    assert b"RTP/AVP 8 96\r\n" in description
    assert media_port(description) % 2 == 0
    assert len(world.server.robot.calls) == 1
    alice.sends_within("BYE", dialog)
    alice.gets(200)
    world.passes(40.0)
    assert len(world.server.robot) == 0
    assert world.is_quiet
    assert not world.server.robot.layer.servers


def test_the_robot_hangs_up_after_two_minutes(world: World, alice: RobotPhone):
    dialog, _ = alice.calls("tone")
    world.passes(119.0, step=0.5)
    assert alice.hears_nothing()
    world.passes(2.0)
    bye = alice.gets("BYE")
    assert (bye.call_id, bye.to.tag) == (dialog.call_id, dialog.local_tag)
    assert bye.value("reason") == 'SIP;cause=200;text="the limit of 2 min"'
    alice.answers(bye, 200)
    assert len(world.server.robot) == 0


def test_its_answer_is_repeated_until_the_ack_comes(world: World, alice: RobotPhone):
    """§13.3.1.4: after 0.5, 1.5, 3.5, 7.5, 11.5 … 31.5 s; after 32 s there is a BYE."""
    alice.sends("INVITE", f"sip:echo@{REALM}", body=OFFER)
    world.passes(31.8)
    count = len(alice.inbox)
    assert all(data.startswith(b"SIP/2.0 200 ") for data in list(alice.inbox)[1:])
    assert count == 12  # 100, and the answer eleven times
    alice.inbox.clear()
    world.passes(0.3)
    alice.answers(alice.gets("BYE"), 200)
    assert len(world.server.robot.studio) == 0


def test_a_ninth_call_is_refused_with_a_cause(world: World, alice: RobotPhone):
    names = ("bob", "carol", "dave")
    others = [robot_phone(world, name, 7010 + number) for number, name in enumerate(names)]
    phones = [alice, *others] * MAX_CALLS_OF_USER
    calls = [phone.calls("echo")[0] for phone in phones]
    assert len(calls) == MAX_CALLS
    erin = robot_phone(world, "erin", 7020)
    refused = erin.is_refused("tone", 486)
    assert refused.value("retry-after") == "60"
    text = "the robot refuses: all its 8 calls are in use, try again in a minute"
    assert (refused.value("warning") or "").endswith(f' "{text}"')
    assert refused.value("reason") == f'Q.850;cause=17;text="{text}"'
    alice.sends_within("BYE", calls[0])
    alice.gets(200)
    erin.calls("tone")


@pytest.mark.parametrize("is_ringing", [False, True])
def test_a_third_call_of_a_user_is_refused(world: World, alice: RobotPhone, is_ringing: bool):
    """From another phone, too; other users may call.  A call that ends makes room."""
    dialog, _ = alice.calls("echo")
    if is_ringing:
        alice.sends("INVITE", f"sip:noanswer@{REALM}", body=OFFER)
        alice.gets(180)
    else:
        alice.calls("tone")
    mobile = robot_phone(world, "alice", 7002)
    refused = mobile.is_refused("noanswer", 486)
    text = "the robot refuses: you have 2 calls with it, hang up one of them"
    assert refused.value("warning").endswith(f'"{text}"')
    robot_phone(world, "bob", 7003).calls("tone")
    alice.sends_within("BYE", dialog)
    alice.gets(200)
    mobile.calls("tone")


def test_busy_is_busy(alice: RobotPhone):
    alice.is_refused("busy", 486)


def test_noanswer_rings_until_the_caller_gives_up(world: World, alice: RobotPhone):
    """§9.2: the CANCEL is answered, and the INVITE with 487."""
    invite = alice.sends("INVITE", f"sip:noanswer@{REALM}", body=OFFER)
    assert alice.gets(180).to.tag
    cancel = alice.cancels(invite)
    assert alice.gets(200).cseq == (cancel.cseq[0], "CANCEL")
    alice.acknowledges(invite, alice.gets(487))
    assert len(world.server.robot) == 0


def test_noanswer_rings_for_a_minute_at_most(world: World, alice: RobotPhone):
    invite = alice.sends("INVITE", f"sip:noanswer@{REALM}", body=OFFER)
    alice.gets(180)
    world.passes(59.0, step=0.5)
    assert alice.hears_nothing()
    world.passes(2.0)
    alice.acknowledges(invite, alice.gets(480))
    assert len(world.server.robot) == 0


def test_whoami_says_what_the_server_sees(world: World, alice: RobotPhone):
    """As an asserted identity, a Warning and, where it is allowed, a MESSAGE in the call."""
    alice.sent_by = "192.168.1.20:5060"
    invite = alice.sends(
        "INVITE", f"sip:whoami@{REALM}", body=OFFER, headers=("Allow: INVITE, MESSAGE",)
    )
    answer = alice.gets(200)
    text = "You are alice at 127.0.0.1:7001, UDP, behind NAT, PCMA"
    assert answer.value("warning") == f'399 127.0.0.1 "{text}"'
    assert answer.value("p-asserted-identity") == (
        f'"127.0.0.1:7001 UDP behind NAT PCMA" <sip:whoami@{REALM}>'
    )
    assert alice.hears_nothing()  # a MESSAGE could overtake the answer
    alice.sends_within("ACK", dialog_of_caller(invite, answer), cseq=invite.cseq[0])
    message = alice.gets("MESSAGE")
    assert message.body == text.encode()
    alice.answers(message, 200)


def test_a_user_of_that_name_is_called_instead(world: World, alice: RobotPhone):
    echo = robot_phone(world, "echo", 7002)
    alice.sends("INVITE", f"sip:echo@{REALM}", body=OFFER)
    echo.gets("INVITE")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_strangers_find_no_robot(world: World, alice: RobotPhone, name: str):
    """They get what they get for a name that no one has."""
    said = []
    for number, callee in enumerate((name, "nosuch")):
        alice.sends(
            "INVITE",
            f"sip:{callee}@{REALM}",
            body=OFFER,
            from_uri="sip:eve@elsewhere.example",
            call_id=f"stranger-{number}",
        )
        answer = alice.takes()
        said.append((answer.status, answer.reason, sorted(answer.names)))
    assert said[0] == said[1]
    assert said[0][0] == 480
    assert len(world.server.robot) == 0


@pytest.mark.parametrize("name", [*sorted(NAMES), "robot"])
def test_without_the_robot_its_names_are_unknown(world: World, alice: RobotPhone, name: str):
    """`-robot off`, also by a reload; `robot` is the name that it calls with."""
    world.server.reconfigure(Config(sip_realm=REALM, robot=False))
    alice.is_refused(name, 404)


def test_the_robot_has_no_other_methods(alice: RobotPhone):
    """§8.2.1: 404 from the proxy outside a call, 405 with Allow within one."""
    alice.sends("MESSAGE", f"sip:echo@{REALM}")
    alice.gets(404)
    dialog, _ = alice.calls("echo")
    alice.sends_within("REFER", dialog)
    assert "BYE" in alice.gets(405).value("allow")
    alice.sends_within("OPTIONS", dialog)
    alice.gets(200)
    alice.sends_within("INFO", dialog, headers=("Info-Package: dtmf",))
    alice.gets(469)


def test_options_to_the_robot_are_answered(alice: RobotPhone):
    alice.sends("OPTIONS", f"sip:echo@{REALM}")
    assert alice.gets(200).value("accept") == "application/sdp"


def test_an_extension_is_not_required_of_it(alice: RobotPhone):
    """§8.2.2.3."""
    refused = alice.is_refused("echo", 420, headers=("Require: 100rel",))
    assert refused.value("unsupported") == "100rel"


def test_a_call_that_ended_is_unknown(alice: RobotPhone):
    """§12.2.2."""
    dialog, _ = alice.calls("echo")
    for status in (200, 481):
        alice.sends_within("BYE", dialog)
        alice.gets(status)


def test_a_request_that_was_overtaken_is_refused(alice: RobotPhone):
    """§12.2.2: 500 for a lower CSeq."""
    dialog, _ = alice.calls("echo")
    alice.sends_within("INFO", dialog, cseq=900)
    alice.gets(200)
    alice.sends_within("INFO", dialog, cseq=899)
    alice.gets(500)


def test_a_stop_sends_no_bye_before_the_ack(world: World, alice: RobotPhone):
    """§15: not on a dialog whose 2xx is neither acknowledged nor timed out."""
    alice.sends("INVITE", f"sip:echo@{REALM}", body=OFFER)
    alice.gets(200)
    world.server.robot.stop()
    world.settle()
    assert alice.hears_nothing()


def test_an_invite_that_comes_by_two_paths_is_one_call(world: World, alice: RobotPhone):
    """§8.2.2.2: 482 for the second."""
    first = alice.sends("INVITE", f"sip:echo@{REALM}", body=OFFER, answers_challenge=False)
    challenges = [alice.gets(407)]
    alice.transmits(alice.request("INVITE", f"sip:echo@{REALM}"))
    challenges.append(alice.gets(407))
    invites = [alice.with_credentials(first, each) for each in challenges]
    invites[1].set("cseq", invites[0].lines[invites[0].present["cseq"]])
    for invite in invites:
        alice.transmits(invite)
    alice.gets(200)
    alice.gets(482)
    assert len(world.server.robot.calls) == 1


def test_a_phone_may_name_another_contact(world: World, alice: RobotPhone):
    """§12.2.2: the Contact of a re-INVITE is the target of our BYE."""
    dialog, _ = alice.calls("echo")
    alice.contact = "<sip:alice@127.0.0.1:7001;line=2>"
    request = alice.sends_within("INVITE", dialog, body=OFFER)
    alice.gets(200)
    alice.sends_within("ACK", dialog, cseq=request.cseq[0])
    world.server.robot.stop()
    world.settle()
    assert alice.gets("BYE").uri_text == "sip:alice@127.0.0.1:7001;line=2"


def test_an_administrator_hangs_up_on_the_robot(world: World, alice: RobotPhone):
    """Both sides get a BYE."""
    calls = FollowedCalls(world)
    dialog, _ = alice.calls("echo")
    assert calls.hangs_up()
    assert alice.gets("BYE").to.tag == dialog.local_tag
    assert len(world.server.robot) == 0


def test_a_star_code_is_confirmed_by_a_short_tone(world: World, alice: RobotPhone):
    """The robot answers only after the setting is stored, and hangs up by itself."""
    alice.calls("*78")
    assert world.users.accounts["alice", REALM].call_settings.dnd
    world.passes(1.1)
    bye = alice.gets("BYE")
    assert bye.value("reason") == 'SIP;cause=200;text="the setting is changed"'
    alice.answers(bye, 200)
    alice.is_refused("confirm", 404)
