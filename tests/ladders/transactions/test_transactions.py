"""Transactions as the core and other hops see them (RFC 3261 §8.1.3, §17, RFC 4320)."""

import pytest

from sip.message.message import Request, Response
from sip.monitor.metrics import RESPONSES_UNACKNOWLEDGED, RESPONSES_UNMATCHED
from tests.support.cases import cases
from tests.support.world import SERVER, Phone, World, dialog_of_caller


def statuses(phone: Phone) -> list[int | str]:
    """All that a phone has heard and not taken yet, but for 100s."""
    messages = [phone.takes() for _ in range(len(phone.inbox))]
    whats = [m.status if isinstance(m, Response) else m.method for m in messages]
    return [what for what in whats if what != 100]


def is_empty(world: World) -> bool:
    server = world.server
    return world.is_quiet and len(server.layer.timers) == 0 and server.dispatcher.pending == 0


def asks(world: World, method: str) -> tuple[Phone, Phone, Request, Request]:
    """Alice asks Bob: she, he, what she sent, what he got."""
    alice, bob = world.phones("alice", "bob")
    request = alice.sends(method, bob.aor)
    return alice, bob, request, bob.gets(method)


# What RFC 4320 forbids


def test_a_408_to_another_method_goes_no_further(world: World):
    """RFC 4320 §4.2: a hop behind us that knows RFC 3261 alone has sent it, for a silence."""
    alice, bob, message, arrived = asks(world, "MESSAGE")
    bob.answers(arrived, 408)
    alice.transmits(message)
    assert alice.hears_nothing()
    assert bob.hears_nothing()  # repeats are absorbed all the same
    world.passes(40, step=0.5)
    assert alice.hears_nothing()
    assert is_empty(world)


def test_a_408_to_an_invite_does_go_back(world: World):
    """RFC 4320 speaks of the others alone."""
    alice, bob, _, arrived = asks(world, "INVITE")
    bob.answers(arrived, 408)
    assert statuses(alice) == [408]


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "SUBSCRIBE", "FLY"])
def test_no_provisional_response_but_100_answers_another_method(world: World, method: str):
    """RFC 4320 §4.1: nor a 100 before 3.5 s, for a repeat of the request either."""
    alice, bob, request, arrived = asks(world, method)
    for status in (100, 180, 183, 199):
        bob.answers(arrived, status)
        alice.transmits(request)
        assert alice.hears_nothing()
    world.passes(3.4)
    assert alice.hears_nothing()
    world.passes(0.2)
    alice.gets(100, request)
    bob.answers(arrived, 180)
    assert alice.hears_nothing()
    bob.answers(arrived, 200)
    alice.gets(200, request)
    world.passes(40, step=0.5)
    bob.inbox.clear()
    assert is_empty(world)


@pytest.mark.parametrize(("method", "told"), [("INVITE", "54"), ("MESSAGE", "54 3.500")])
def test_a_100_adds_the_delay_to_the_timestamp(world: World, method: str, told: str):
    """§8.2.6.1: SHOULD, where there is a delay; so that the client can reckon its round trip."""
    alice, bob = world.phones("alice", "bob")
    alice.sends(method, bob.aor, headers=("Timestamp: 54",))
    assert bob.gets(method).value("timestamp") == "54"
    world.passes(3.5, step=1 / 16)
    assert alice.gets(100).value("timestamp") == told


# The transaction of a response


@cases("status", [180, 200, 486])
@cases(
    "change",
    ["a foreign Via on top", "another sent-by", "another branch", "another method", "ours alone"],
)
def test_a_response_that_matches_no_request_of_ours_never_leaves(
    world: World, status: int, change: str
):
    """§17.1.3, §18.1.2, §16.7 step 3; RFC 6026 §6: no stray response is forwarded."""
    alice, bob, call, invite = asks(world, "INVITE")
    assert statuses(alice) == []
    answered = invite.copy()
    ours = answered.names.index("via")
    match change:
        case "a foreign Via on top":
            answered.put_first("via", "Via: SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bKx")
        case "another sent-by":
            answered.lines[ours] = answered.lines[ours].replace(SERVER[0], "192.0.2.66")
        case "another branch":
            answered.lines[ours] += "0"
        case "another method":
            answered.set("cseq", f"CSeq: {call.cseq[0]} UPDATE")
        case "ours alone":
            ours_alone = answered.lines[ours].partition(": ")[2]
            answered.set_values("via", "Via", [ours_alone])
    bob.answers(answered, status)
    assert alice.hears_nothing()
    assert bob.hears_nothing()
    assert not world.lost
    assert world.server.layer.counts[RESPONSES_UNMATCHED] == 1
    bob.answers(invite, 486)  # the call is none the worse for it
    bob.gets("ACK")
    assert statuses(alice) == [486]


def test_a_response_to_a_transaction_that_is_over_never_leaves(world: World):
    """RFC 6026 §7.2, §8.9: not even a 2xx to an INVITE."""
    alice, bob, _, invite = asks(world, "INVITE")
    bob.answers(invite, 200)
    assert statuses(alice) == [200]
    world.passes(33, step=0.5)
    bob.answers(invite, 200)
    assert is_empty(world)
    assert not world.lost


# ACKs


def test_an_ack_is_never_answered(world: World):
    """§17.1: with any error in it, and from any sender."""
    alice, bob = world.phones("alice", "bob")
    stranger = world.phone("mallory", registered=False)
    for uri in (bob.aor, "sip:nobody@example.com", "sip:example.com", "sip:x@elsewhere.example"):
        for headers in ((), ("Require: 100rel",), ("Route: <sip:192.0.2.1;lr>",)):
            for phone in (alice, stranger):
                phone.transmits(phone.request("ACK", uri, headers=headers))
    assert alice.hears_nothing()
    assert stranger.hears_nothing()
    assert bob.hears_nothing()
    assert not world.lost


def test_the_ack_of_a_2xx_is_a_transaction_of_its_own(world: World):
    """§13.2.2.4, §17.1.1.3: another branch, along the route set, with what it requires."""
    alice, bob, call, invite = asks(world, "INVITE")
    bob.answers(invite, 200)
    here = dialog_of_caller(call, alice.gets(200))
    alice.sends_within("ACK", here, cseq=call.cseq[0], headers=("Require: 100rel",), body=b"x")
    ack = bob.gets("ACK")
    assert ack.via.branch not in (invite.via.branch, "")
    assert ack.value("require") == "100rel"
    assert ack.body == b"x"
    assert "route" not in ack.names
    assert alice.hears_nothing()


def test_an_ack_with_the_branch_of_its_invite_is_forwarded(world: World):
    """RFC 6026 §7.1: so do some clients, against §17.1.1.3."""
    alice, bob, call, invite = asks(world, "INVITE")
    bob.answers(invite, 200)
    here = dialog_of_caller(call, alice.gets(200))
    ack = alice.request(
        "ACK",
        here.target,
        to=f"<{bob.aor}>;tag={here.remote_tag}",
        call_id=call.call_id,
        cseq=call.cseq[0],
        from_tag=call.from_.tag,
        branch=call.via.branch,
        headers=tuple(f"Route: {route}" for route in here.routes),
    )
    alice.transmits(ack)
    bob.gets("ACK")


def test_the_ack_of_a_failure_goes_no_further_however_late(world: World):
    """§17.2.1: from Completed, from Confirmed, and when both are over."""
    alice, bob, call, invite = asks(world, "INVITE")
    bob.answers(invite, 486)
    ours = bob.gets("ACK")
    assert ours.via.branch == invite.via.branch
    assert len(ours.values("via")) == 1
    failure = alice.gets(486)
    for seconds in (0, 3, 40):
        world.passes(seconds, step=0.5)
        alice.acknowledges(call, failure)
    assert bob.hears_nothing()
    assert alice.hears_nothing()
    assert is_empty(world)


# Answers of our own


def test_all_that_we_answer_to_a_request_has_one_tag(world: World):
    """§8.2.6.2: also where it is refused without memory and asked again."""
    alice = world.phone("alice")
    world.users.add("bob", "secret")
    tags = set()
    request = alice.sends("INVITE", "sip:bob@example.com")
    for _ in range(3):
        tags.add(alice.gets(480).to.tag)
        alice.transmits(request)
    assert len(tags) == 1
    assert "" not in tags


def test_a_failure_that_is_never_acknowledged_is_counted(world: World):
    """§17.2.1: timer H tells of it; a proxy has no more to do about that."""
    alice, bob, _, invite = asks(world, "INVITE")
    bob.answers(invite, 486)
    world.passes(33, step=0.5)
    alice.inbox.clear()
    bob.inbox.clear()
    assert world.server.layer.counts[RESPONSES_UNACKNOWLEDGED] == 1
    second = alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 200)
    alice.gets(200, second)
    world.passes(33, step=0.5)
    assert world.server.layer.counts[RESPONSES_UNACKNOWLEDGED] == 1


# Hops out of reach


def test_a_phone_that_goes_away_when_asked_ends_the_request(world: World):
    """§17.1.2.2, §17.1.4: an ICMP error for a repeat counts too; the caller hears 500 (§16.9)."""
    alice, bob, message, arrived = asks(world, "MESSAGE")
    bob.answers(arrived, 100)
    world.dead.add(bob.address)
    world.passes(0.6)
    alice.gets(500, message)
    world.passes(40, step=0.5)
    assert is_empty(world)


def test_a_caller_out_of_reach_does_not_end_the_call(world: World):
    """§16.9, §18.4: what answers are lost to it is no reason to cancel a branch."""
    alice, bob, call, invite = asks(world, "INVITE")
    alice.inbox.clear()
    world.dead.add(alice.address)
    for status in (180, 183):
        bob.answers(invite, status)
    assert bob.hears_nothing()
    world.dead.clear()
    alice.transmits(call)
    alice.gets(183, call)
    bob.answers(invite, 200)
    alice.gets(200, call)


# Clients of RFC 2543


def test_an_old_client_calls_hangs_up_and_is_refused(world: World):
    """§17.2.3: its ACK has the branch of its INVITE, and is told by its To tag."""
    bob = world.phone("bob")
    olga = world.phone("olga", registered=False)
    olga.aor = "sip:olga@elsewhere.example"
    for status in (486, 200):
        call = olga.sends("INVITE", bob.aor, branch="1", call_id=f"call-{status}")
        olga.transmits(call)  # a repeat is one
        invite = bob.gets("INVITE")
        assert bob.hears_nothing()
        bob.answers(invite, status)
        final = olga.gets(status)
        if status == 486:
            bob.gets("ACK")
            olga.acknowledges(call, final)
            world.passes(1)
            assert olga.hears_nothing()
            assert bob.hears_nothing()
    here = dialog_of_caller(call, final)
    ack = olga.request(
        "ACK",
        here.target,
        to=f"<{bob.aor}>;tag={here.remote_tag}",
        call_id=here.call_id,
        cseq=call.cseq[0],
        from_tag=here.local_tag,
        branch="1",
        headers=tuple(f"Route: {route}" for route in here.routes),
    )
    for _ in range(2):
        olga.transmits(ack)
        bob.gets("ACK")
    world.passes(38, step=0.5)
    assert is_empty(world)
