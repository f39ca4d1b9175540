"""CANCEL, hop by hop: the caller's, which ends here, and ours (RFC 3261 §9, §16.10)."""

import pytest

from sip.message.message import Request, Response
from sip.monitor.metrics import RESPONSES_UNMATCHED
from tests.support.world import Phone, World


def statuses(phone: Phone) -> list[int | str]:
    """All that a phone has heard and not taken yet."""
    messages = [phone.takes() for _ in range(len(phone.inbox))]
    return [m.status if isinstance(m, Response) else m.method for m in messages]


def calls(world: World, *callees: str) -> tuple[Phone, list[Phone], Request, list[Request]]:
    """Alice calls Bob on so many phones: she, they, her INVITE, those that they got."""
    alice, *phones = world.phones("alice", *callees)
    call = alice.sends("INVITE", phones[0].aor)
    alice.gets(100)
    return alice, phones, call, [phone.gets("INVITE") for phone in phones]


def is_empty(world: World) -> bool:
    server = world.server
    return world.is_quiet and len(server.layer.timers) == 0 and server.dispatcher.pending == 0


def test_a_call_is_cancelled_while_the_phone_rings(world: World):
    """§16.10: 200 to the CANCEL at once, ours onward, and 487 back."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    bob.answers(invite, 180)
    alice.gets(180)
    cancel = alice.cancels(call)
    assert alice.gets(200).cseq == (call.cseq[0], "CANCEL")
    ours = bob.gets("CANCEL")
    assert ours.values("via") == [invite.values("via")[0]]  # one Via, that of the INVITE
    assert ours.uri_text == invite.uri_text
    assert [ours.value(name) for name in ("from", "to", "call-id")] == [
        invite.value(name) for name in ("from", "to", "call-id")
    ]
    assert ours.cseq == (invite.cseq[0], "CANCEL")
    bob.answers(ours, 200)
    bob.answers(invite, 487)
    bob.gets("ACK")
    ended = alice.gets(487)
    assert ended.cseq == call.cseq
    alice.acknowledges(call, ended)
    alice.transmits(cancel)  # a repeat is answered again
    alice.gets(200)
    world.passes(37, step=0.5)
    assert is_empty(world)


def test_before_any_response_the_cancel_waits(world: World):
    """§9.1: it could overtake the INVITE."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    alice.cancels(call)
    alice.gets(200)
    world.passes(0.6)
    assert statuses(bob) == ["INVITE"]  # which is repeated meanwhile
    bob.answers(invite, 100)
    bob.answers(bob.gets("CANCEL"), 200)
    bob.answers(invite, 487)
    bob.gets("ACK")
    alice.acknowledges(call, alice.gets(487))
    world.passes(33, step=0.5)
    assert is_empty(world)


@pytest.mark.parametrize("status", [404, 486])
def test_a_failure_before_the_waiting_cancel_ends_the_call(world: World, status: int):
    """§9.1: then no CANCEL is sent."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    alice.cancels(call)
    alice.gets(200)
    bob.answers(invite, status)
    assert statuses(bob) == ["ACK"]
    alice.acknowledges(call, alice.gets(status))
    world.passes(33, step=0.5)
    assert is_empty(world)


def test_a_cancelled_call_without_any_response_ends_by_timer_b(world: World):
    """§9.1, §17.1.1.2: 487 for the caller, because it cancelled."""
    alice, (bob,), call, _ = calls(world, "bob")
    alice.cancels(call)
    alice.gets(200)
    world.passes(31.9)
    assert statuses(bob) == ["INVITE"] * 6
    assert alice.hears_nothing()
    world.passes(0.2)
    alice.acknowledges(call, alice.gets(487))
    world.passes(6)
    assert is_empty(world)


def test_a_phone_that_never_says_487_is_given_up(world: World):
    """§9.1: 64*T1 after the CANCEL; RFC 2543 knew no 487."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    bob.answers(invite, 180)
    alice.gets(180)
    alice.cancels(call)
    alice.gets(200)
    bob.answers(bob.gets("CANCEL"), 200)
    world.passes(31.9)
    assert alice.hears_nothing()
    world.passes(0.2)
    alice.acknowledges(call, alice.gets(487))
    world.passes(6)
    assert is_empty(world)


def test_a_200_that_crosses_the_cancel_wins(world: World):
    """§9.1: the caller gets it, and has to hang up."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    bob.answers(invite, 180)
    alice.gets(180)
    alice.cancels(call)
    bob.answers(invite, 200)
    bob.answers(bob.gets("CANCEL"), 481)
    assert statuses(alice) == [200, 200]
    bob.answers(invite, 200)  # repeated until its ACK
    assert alice.gets(200).cseq[1] == "INVITE"
    world.passes(33, step=0.5)
    assert is_empty(world)


@pytest.mark.parametrize("status", [200, 486])
def test_a_cancel_after_the_final_response_changes_nothing(world: World, status: int):
    """§9.2: 200, and that is all."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    bob.answers(invite, status)
    final = alice.gets(status)
    if status >= 300:
        bob.gets("ACK")
        alice.acknowledges(call, final)
    alice.cancels(call)
    assert alice.gets(200).cseq[1] == "CANCEL"
    assert bob.hears_nothing()
    world.passes(33, step=0.5)
    assert is_empty(world)


def test_a_cancel_reaches_every_phone_that_rings(world: World):
    """§16.10, §16.7 step 10: each as soon as it may; one 487 goes back."""
    alice, (desk, mobile, car), call, invites = calls(world, "bob", "bob", "bob")
    desk.answers(invites[0], 180)
    car.answers(invites[2], 486)
    car.gets("ACK")
    alice.cancels(call)
    assert statuses(alice) == [180, 200]
    assert statuses(desk) == ["CANCEL"]
    assert mobile.hears_nothing()
    assert car.hears_nothing()
    mobile.answers(invites[1], 180)
    assert statuses(mobile) == ["CANCEL"]
    desk.answers(invites[0], 487)
    assert statuses(alice) == [180]
    mobile.answers(invites[1], 487)
    assert statuses(alice) in ([486], [487])
    for phone in (desk, mobile):
        assert statuses(phone) == ["ACK"]
    world.passes(70, step=0.5)
    for phone in (alice, desk, mobile):
        phone.inbox.clear()  # repeats of the failure, and of CANCELs that were not answered
    assert is_empty(world)


def test_the_losers_of_a_fork_are_cancelled_by_us(world: World):
    """§16.7, step 10: ours are answered to us alone."""
    alice, (desk, mobile), _, invites = calls(world, "bob", "bob")
    desk.answers(invites[0], 180)
    mobile.answers(invites[1], 200)
    assert statuses(alice) == [180, 200]
    cancel = desk.gets("CANCEL")
    assert cancel.via.branch == invites[0].via.branch
    desk.answers(cancel, 200)
    desk.answers(invites[0], 487)
    assert statuses(desk) == ["ACK"]
    assert alice.hears_nothing()
    world.passes(33, step=0.5)
    assert is_empty(world)


def test_a_loser_that_answers_all_the_same_is_heard(world: World):
    """§16.7, step 5: every 2xx goes back; the caller hangs up one of them."""
    alice, (desk, mobile), _, invites = calls(world, "bob", "bob")
    desk.answers(invites[0], 180)
    mobile.answers(invites[1], 200)
    desk.gets("CANCEL")
    desk.answers(invites[0], 200)
    assert statuses(alice) == [180, 200, 200]


@pytest.mark.parametrize("what", ["nothing", "another branch", "another host", "another user"])
def test_a_cancel_of_what_is_not_known_gets_481(world: World, what: str):
    """§9.2, §17.2.3."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    bob.answers(invite, 180)
    alice.gets(180)
    other = call.copy()
    match what:
        case "nothing":
            other = alice.request("INVITE", bob.aor)
        case "another branch":
            other.set("via", other.lines[0].replace("branch=z9hG4bK", "branch=z9hG4bKx"))
        case "another host":
            other.set("via", other.lines[0].replace("192.0.2.", "192.0.3."))
        case "another user":
            alice = world.phone("mallory")
            other = alice.request("INVITE", bob.aor, call_id=call.call_id, cseq=call.cseq[0])
    alice.cancels(other)
    alice.gets(481)
    assert bob.hears_nothing()


def test_a_challenged_invite_cannot_be_cancelled(world: World):
    """§8.2.7: nothing is remembered of it; nor is a CANCEL ever challenged (§9.1)."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor, answers_challenge=False)
    challenge = alice.gets(407)
    alice.acknowledges(call, challenge)
    alice.cancels(call)
    alice.gets(481)
    assert bob.hears_nothing()


def test_a_cancel_of_a_request_that_is_no_invite_has_no_effect(world: World):
    """§9.2: 200, since it matches; and the request goes its way."""
    alice, bob = world.phones("alice", "bob")
    message = alice.sends("MESSAGE", bob.aor)
    arrived = bob.gets("MESSAGE")
    alice.cancels(message)
    alice.gets(200)
    assert bob.hears_nothing()
    bob.answers(arrived, 200)
    alice.gets(200, message)
    world.passes(33, step=0.5)
    assert is_empty(world)


def test_an_old_client_cancels_too(world: World):
    """§17.2.3: by the fields that a CANCEL shares with its INVITE (RFC 2543)."""
    bob = world.phone("bob")
    old = world.phone("olga", registered=False)
    call = old.sends(
        "INVITE",
        bob.aor,
        branch="7",
        from_uri="sip:olga@elsewhere.example",
        answers_challenge=False,
    )
    invite = bob.gets("INVITE")
    bob.answers(invite, 180)
    assert statuses(old) == [100, 180]
    cancel = old.request(
        "CANCEL",
        call.uri_text,
        to=call.value("to"),
        call_id=call.call_id,
        cseq=call.cseq[0],
        from_tag=call.from_.tag,
        from_uri="sip:olga@elsewhere.example",
        branch="7",
    )
    old.transmits(cancel)
    old.gets(200)
    bob.answers(bob.gets("CANCEL"), 200)
    bob.answers(invite, 487)
    bob.gets("ACK")
    old.acknowledges(call, old.gets(487))
    assert bob.hears_nothing()
    world.passes(33, step=0.5)
    assert is_empty(world)


# The To tag of its 200, §9.2


def test_the_200_has_the_tag_of_the_phone_that_rings(world: World):
    """§9.2: the tag that the 487 will have, since that phone sends it."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    bob.answers(invite, 180)
    alice.gets(180)
    alice.cancels(call)
    tag = alice.gets(200).to.tag
    bob.answers(bob.gets("CANCEL"), 200)
    bob.answers(invite, 487)
    assert alice.gets(487).to.tag == tag


def test_the_200_has_the_tag_of_what_we_answer_ourselves(world: World):
    """§9.2, §8.2.6.2: no phone has answered, so the 487 and its tag are ours."""
    alice, _, call, _ = calls(world, "bob")
    alice.cancels(call)
    tag = alice.gets(200).to.tag
    world.passes(32.1, step=0.5)
    assert alice.gets(487, call).to.tag == tag


@pytest.mark.parametrize("status", [200, 486])
def test_the_200_has_the_tag_of_the_final_response(world: World, status: int):
    """§9.2: also where it comes too late to have an effect."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    bob.answers(invite, 180, tag="ringing")
    bob.answers(invite, status, tag="final")
    alice.gets(180)
    final = alice.gets(status)
    assert final.to.tag == "final"
    for _ in range(2):
        alice.cancels(call)
        assert alice.gets(200).to.tag == "final"
        if status == 486:
            alice.acknowledges(call, final)


def test_the_200_has_a_tag_of_ours_where_a_phone_gives_none(world: World):
    """§8.2.6.2: a 200 needs one; that 180 came from a client of RFC 2543, or is broken."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    for to in (f"To: <{bob.aor}>", "To: <"):
        ringing = bob.answers(invite, 180)
        ringing.set("to", to)
        bob.transmits(ringing)
    statuses(alice)
    alice.cancels(call)
    assert len(alice.gets(200).to.tag) == 16


# What else it may hold


def test_what_a_cancel_requires_is_ignored(world: World):
    """§8.2.2.3: it must have no such fields; nor is it challenged, or refused for its hops."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    bob.answers(invite, 180)
    alice.gets(180)
    cancel = alice.request(
        "CANCEL",
        call.uri_text,
        call_id=call.call_id,
        cseq=call.cseq[0],
        from_tag=call.from_.tag,
        branch=call.via.branch,
        headers=("Require: 100rel", "Proxy-Require: privacy", "Reason: SIP;cause=200"),
    )
    cancel.set("max-forwards", "Max-Forwards: 0")
    alice.transmits(cancel)
    assert alice.gets(200).cseq[1] == "CANCEL"
    ours = bob.gets("CANCEL")
    assert "require" not in ours.names
    assert "proxy-require" not in ours.names
    assert ours.value("max-forwards") == "70"


@pytest.mark.parametrize("method", ["FLY", "fly", "REFER", "SUBSCRIBE"])
def test_a_request_of_any_method_may_be_named(world: World, method: str):
    """§9.2: anything but CANCEL and ACK, known or not; 200, and no effect."""
    alice, bob = world.phones("alice", "bob")
    request = alice.sends(method, bob.aor)
    arrived = bob.gets(method)
    alice.cancels(request)
    assert alice.gets(200).cseq[1] == "CANCEL"
    assert bob.hears_nothing()
    bob.answers(arrived, 202)
    alice.gets(202, request)
    alice.cancels(request)  # which is over, but held
    alice.gets(200)
    world.passes(33, step=0.5)
    alice.cancels(request)
    alice.gets(481)
    assert is_empty(world)


def test_a_cancel_of_a_register_has_no_effect(world: World):
    """§9.2."""
    alice = world.phone("alice", registered=False)
    register = alice.sends("REGISTER", "sip:example.com", to=f"<{alice.aor}>")
    ok = alice.gets(200)
    alice.cancels(register)
    assert alice.gets(200).cseq[1] == "CANCEL"
    assert ok.values("contact")
    assert len(world.bindings.rows) == 1


# What answers ours


@pytest.mark.parametrize("status", [200, 481, 500])
def test_what_a_phone_answers_to_our_cancel_goes_no_further(world: World, status: int):
    """§9.1, §16.7: the INVITE waits for its own final response."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    bob.answers(invite, 180)
    alice.gets(180)
    alice.cancels(call)
    alice.gets(200)
    bob.answers(bob.gets("CANCEL"), status)
    assert alice.hears_nothing()
    world.passes(5)
    assert bob.hears_nothing()  # nor is the CANCEL repeated
    bob.answers(invite, 487)
    bob.gets("ACK")
    alice.acknowledges(call, alice.gets(487))
    world.passes(33, step=0.5)
    assert is_empty(world)


def test_an_answer_to_our_cancel_with_another_via_below_is_none(world: World):
    """§8.1.3.3: it was not sent to us, or is broken."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    bob.answers(invite, 180)
    alice.cancels(call)
    cancel = bob.gets("CANCEL")
    misrouted = cancel.copy()
    misrouted.set_values("via", "Via", [*cancel.values("via"), invite.values("via")[1]])
    bob.answers(misrouted, 200)
    assert world.server.layer.counts[RESPONSES_UNMATCHED] == 1
    world.passes(0.6)
    bob.answers(bob.gets("CANCEL"), 200)  # so it was repeated
    assert world.server.layer.counts[RESPONSES_UNMATCHED] == 1
