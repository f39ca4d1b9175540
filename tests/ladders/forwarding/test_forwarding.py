"""Calls that are forwarded: always, when busy, without an answer, while not registered."""

import itertools
from dataclasses import replace

import gevent.event
import pytest

from sip.core.trunk import parse_trunks
from sip.message.message import Request, Response
from sip.message.uri import SipUri
from sip.monitor.events import CallEnded, CallStarted, Reader, Refused
from sip.transport.dns.resolver import Hop
from tests.support.world import REALM, Phone, World, dialog_of_caller

OUTSIDE = "203.0.113.7"


def ends(phone: Phone, invite: Request) -> str:
    """Let a phone that rings be cancelled; return the Reason of its CANCEL."""
    cancel = phone.gets("CANCEL")
    phone.answers(cancel, 200)
    phone.answers(invite, 487)
    phone.gets("ACK")
    return cancel.value("reason") or ""


def told(refusal: Response) -> str:
    """Return the text of the Warning."""
    return (refusal.value("warning") or "").partition('"')[2].rstrip('"')


def causes(ended: Reader) -> list[str]:
    return list(dict.fromkeys(event.cause for event in ended.take()))


def test_always_rings_only_the_target(world: World):
    """§21.1.3: the caller is told by a 181."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", always="carol")
    invite = alice.sends("INVITE", bob.aor)
    carol.answers(carol.gets("INVITE"), 180)
    assert bob.hears_nothing()
    alice.gets(181, invite)
    alice.gets(180, invite)


@pytest.mark.parametrize("status", [486, 600])
def test_busy_is_forwarded_and_declined_is_not(world: World, status: int):
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", busy="carol")
    alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), status)
    bob.gets("ACK")
    carol.answers(carol.gets("INVITE"), 200)
    alice.gets(181)
    alice.gets(200)
    alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 603)
    bob.gets("ACK")
    assert carol.hears_nothing()
    alice.gets(603)


def test_no_answer_cancels_the_phone_and_rings_the_target(world: World):
    """§9.1, RFC 3326 §2: the phone that rang in vain learns why."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", no_answer="carol", no_answer_seconds=20)
    invite = alice.sends("INVITE", bob.aor)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    world.passes(19.9)
    assert bob.hears_nothing()
    world.passes(0.2)
    at_carol = carol.gets("INVITE")  # before the phone of bob has answered the CANCEL
    assert ends(bob, at_bob) == 'SIP;cause=408;text="forwarded to carol: no answer in 20 s"'
    carol.answers(at_carol, 200)
    alice.gets(180, invite)
    alice.gets(181, invite)
    answer = alice.gets(200, invite)
    alice.sends_within("ACK", dialog_of_caller(invite, answer), cseq=invite.cseq[0])
    carol.gets("ACK")
    world.passes(40)
    assert world.is_quiet


def test_an_answer_that_crosses_the_cancel_still_counts(world: World):
    """§16.7, step 5: each 2xx goes upstream, and then no other phone rings."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", no_answer="carol", no_answer_seconds=5)
    alice.sends("INVITE", bob.aor)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    world.passes(5.1)
    bob.answers(at_bob, 200)
    at_carol = carol.gets("INVITE")
    carol.answers(at_carol, 180)
    assert ends(carol, at_carol) == 'SIP;cause=200;text="Call completed elsewhere"'
    alice.gets(180)
    alice.gets(181)
    alice.gets(200)


@pytest.mark.parametrize("is_registered", [False, True])
def test_offline_is_forwarded(world: World, is_registered: bool):
    """A phone that is switched off without an unregistration counts as offline too."""
    alice, carol = world.phones("alice", "carol")
    bob = world.phone("bob", registered=is_registered)
    world.dead.add(bob.address)
    world.users.set("bob", offline="carol")
    alice.sends("INVITE", bob.aor)
    carol.answers(carol.gets("INVITE"), 200)
    alice.gets(181)
    alice.gets(200)


def test_a_caller_that_hangs_up_stops_the_forwarding(world: World):
    """§16.10."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", no_answer="carol", no_answer_seconds=5)
    invite = alice.sends("INVITE", bob.aor)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    alice.gets(180)
    alice.gets(200, alice.cancels(invite))
    ends(bob, at_bob)
    alice.gets(487)
    world.passes(6)
    assert carol.hears_nothing()


def test_the_last_failure_is_that_of_a_person(world: World):
    """§16.7, step 6: not the 487 of the phone that this server has cancelled."""
    alice, bob = world.phones("alice", "bob")
    world.phone("carol", registered=False)
    world.users.set("bob", no_answer="carol", no_answer_seconds=5)
    ended = world.bus.read(CallEnded, Refused)
    alice.sends("INVITE", bob.aor)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    world.passes(5.1)
    ends(bob, at_bob)
    alice.gets(180)
    assert told(alice.gets(480)) == "forwarded"
    assert causes(ended) == ["forwarded to carol: no answer in 5 s; callee carol is not registered"]


def test_do_not_disturb_is_a_480_or_the_busy_forwarding(world: World):
    """§21.4.18: 480 is for a callee that has activated the "do not disturb" feature."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", dnd=True)
    alice.sends("INVITE", bob.aor)
    refusal = alice.gets(480)
    assert refusal.reason == "Do Not Disturb"
    assert bob.hears_nothing()
    alice.sends("MESSAGE", bob.aor)
    bob.gets("MESSAGE")
    world.users.set("bob", busy="carol")
    alice.sends("INVITE", bob.aor)
    carol.gets("INVITE")
    assert bob.hears_nothing()


def test_users_that_forward_to_each_other_end_the_call(world: World):
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", always="carol")
    world.users.set("carol", always="bob")
    ended = world.bus.read(CallEnded, Refused)
    alice.sends("INVITE", bob.aor)
    text = "forwarded to carol: all calls; forwarded to bob: all calls; the forwarding leads back"
    assert told(alice.gets(480)) == "forwarded"
    assert text in causes(ended)[0]
    assert bob.hears_nothing()
    assert carol.hears_nothing()


def test_a_loop_over_another_server_is_found():
    """RFC 5393 §4.2: the loop mark of the branch shows it."""
    world = World(settings={"sip_calls_to_outside": True})
    alice = world.phone("alice")
    world.phone("bob")
    other = world.phone("other", registered=False, host=OUTSIDE)
    world.users.set("bob", always=f"sip:bob@{OUTSIDE}")
    alice.sends("INVITE", f"sip:bob@{REALM}")
    away = other.gets("INVITE")
    back = away.copy()
    back.uri_text = f"sip:bob@{REALM}"
    back.put_first("via", f"Via: SIP/2.0/UDP {OUTSIDE};branch=z9hG4bKother")
    other.transmits(back)
    assert other.takes().status == 482


@pytest.mark.parametrize("is_on", [False, True])
def test_other_domains_are_for_those_who_may_call_there(is_on: bool):
    """-sip.calls_to_outside."""
    world = World(settings={"sip_calls_to_outside": is_on})
    alice = world.phone("alice")
    world.phone("bob")
    other = world.phone("other", registered=False, host=OUTSIDE)
    world.users.set("bob", always=f"sip:carl@{OUTSIDE}")
    ended = world.bus.read(CallEnded, Refused)
    alice.sends("INVITE", f"sip:bob@{REALM}")
    if is_on:
        assert other.gets("INVITE").uri_text == f"sip:carl@{OUTSIDE}"
    else:
        assert told(alice.gets(480)) == "forwarded"
        assert "-sip.calls_to_outside is off" in causes(ended)[0]


@pytest.mark.parametrize("contact", ["203.0.113.9", "203.0.113.9:5070"])
def test_a_reinvite_of_a_stranger_outlives_a_restart(contact: str):
    """The ticket is signed over the tag of the gateway; no other tag, and no REFER, gets there."""
    world = World(settings={"sip_trunk": parse_trunks("0=sip:203.0.113.9")})
    world.phone("bob")
    gateway = world.phone("gateway", registered=False, host="203.0.113.9")
    caller = world.phone("caller", registered=False, host=OUTSIDE)
    caller.aor = f"sip:caller@{OUTSIDE}"
    world.users.set("bob", always="0891234")
    invite = caller.sends("INVITE", f"sip:bob@{REALM}")
    gateway.contact = f"<sip:gateway@{contact}>"
    gateway.answers(gateway.gets("INVITE"), 200)
    dialog = dialog_of_caller(invite, caller.gets(200))
    caller.sends_within("ACK", dialog, cseq=invite.cseq[0])
    if contact == "203.0.113.9":
        gateway.gets("ACK")
    world.start_server()
    for target in (dialog.target, f"sip:0900123@{contact}"):
        caller.sends_within("INVITE", replace(dialog, remote_tag="another", target=target))
        caller.gets(407)
    caller.sends_within("REFER", dialog, headers=("Refer-To: <sip:0900123@203.0.113.9>",))
    caller.gets(407)
    again = caller.sends_within("INVITE", dialog)
    if contact == "203.0.113.9":
        gateway.answers(gateway.gets("INVITE"), 200)
        caller.gets(200, again)
    else:  # no machine is at that port
        assert caller.inbox.pop().startswith(b"SIP/2.0 100 ")


def test_strangers_reach_a_gateway_only_by_a_forwarding():
    """The call belongs to the user that forwards it; within it the caller needs no password."""
    world = World(settings={"sip_trunk": parse_trunks("0=sip:203.0.113.9")})
    world.bus.read(CallStarted)
    world.phone("bob")
    gateway = world.phone("gateway", registered=False, host="203.0.113.9")
    caller = world.phone("caller", registered=False, host=OUTSIDE)
    caller.aor = f"sip:caller@{OUTSIDE}"
    caller.sends("INVITE", f"sip:0891234@{REALM}")
    caller.gets(480)
    world.users.set("bob", always="0891234")
    invite = caller.sends("INVITE", f"sip:bob@{REALM}")
    at_gateway = gateway.gets("INVITE")
    assert at_gateway.uri_text == "sip:0891234@203.0.113.9"
    gateway.answers(at_gateway, 200)
    dialog = dialog_of_caller(invite, caller.gets(200))  # and no 181: strangers learn nothing
    caller.sends_within("ACK", dialog, cseq=invite.cseq[0])
    gateway.gets("ACK")
    caller.sends_within("REFER", dialog, headers=("Refer-To: <sip:0900123@203.0.113.9>",))
    caller.gets(407)  # the gateway would begin another call, at the cost of bob
    caller.sends_within("MESSAGE", dialog)
    caller.gets(407)
    other = replace(dialog, remote_tag="another", target="sip:0900123@203.0.113.9")
    caller.sends_within("INVITE", other)
    caller.gets(407)
    assert gateway.hears_nothing()
    again = caller.sends_within("INVITE", dialog)
    gateway.answers(gateway.gets("INVITE"), 200)
    caller.gets(200, again)
    bye = caller.sends_within("BYE", dialog)
    gateway.answers(gateway.gets("BYE"), 200)
    caller.gets(200, bye)


def test_a_name_that_resolves_too_late_ends_the_call(world: World):
    """The time of the last stage is over while DNS still has to answer."""
    alice, bob = world.phone("alice"), world.phone("bob", registered=False)
    bob.registers("<sip:bob@farm.example.net>")
    world.users.set("bob", no_answer="nobody", no_answer_seconds=3)
    resolver, may_go_on = world.server.proxy.forwarder.resolver, gevent.event.Event()

    class Slow:
        def is_resolved(self, uri: SipUri) -> bool:
            return uri.host != "farm.example.net" and resolver.is_resolved(uri)

        def hops(self, uri: SipUri) -> list[Hop]:
            may_go_on.wait()
            return [Hop("UDP", bob.address)]

    world.server.proxy.forwarder.resolver = Slow()
    alice.sends("INVITE", bob.aor)
    world.passes(3.1)
    may_go_on.set()
    world.passes(0.1)
    assert [alice.takes().status for _ in range(2)] == [100, 480]
    assert bob.hears_nothing()


def test_an_external_caller_learns_nothing_of_settings(world: World):
    caller = world.phone("caller", registered=False, host=OUTSIDE)
    caller.aor = f"sip:caller@{OUTSIDE}"
    world.phone("bob")
    world.users.set("bob", dnd=True)
    caller.sends("INVITE", f"sip:bob@{REALM}")
    with_dnd = caller.takes()
    caller.sends("INVITE", f"sip:zoe@{REALM}")
    unknown = caller.takes()
    assert (with_dnd.status, with_dnd.reason) == (unknown.status, unknown.reason)
    assert with_dnd.value("warning") is None


def test_a_contact_or_redirect_does_not_disturb_a_user():
    """A contact in our domain and a 302 lead to a user, but not past the wish of that user."""
    world = World(settings={"sip_follow_redirects": True})
    alice, carol = world.phones("alice", "carol")
    bob = world.phone("bob", registered=False)
    world.users.set("carol", dnd=True)
    bob.registers(f"<{carol.aor}>")
    alice.sends("INVITE", bob.aor)
    alice.gets(480)
    bob.registers()
    alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 302, headers=(f"Contact: <{carol.aor}>",))
    bob.gets("ACK")
    alice.gets(302)
    assert carol.hears_nothing()


def test_a_target_that_is_silent_is_named_with_its_forwarding(world: World):
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", always="carol")
    ended = world.bus.read(CallEnded, Refused)
    alice.sends("INVITE", bob.aor)
    carol.gets("INVITE")
    world.passes(33, step=0.5)
    alice.gets(181)
    assert told(alice.gets(408)) == "forwarded"
    assert causes(ended) == ["forwarded to carol: all calls; carol's phone does not respond"]


def test_a_caller_learns_only_that_it_was_forwarded(world: World):
    """Not to which target, nor why that one takes no calls; no field says it."""
    alice, bob = world.phones("alice", "bob")
    world.phone("secret", registered=False)
    world.users.set("secret", dnd=True)
    world.users.set("bob", always="secret")
    alice.sends("INVITE", bob.aor)
    refusal = alice.gets(480)
    assert refusal.reason == "Temporarily Unavailable"
    assert (told(refusal), refusal.value("reason")) == (
        "forwarded",
        'Q.850;cause=18;text="forwarded"',
    )
    assert b"secret" not in refusal.encode()


def test_the_text_of_a_long_chain_is_short(world: World):
    """Of sixty forwardings, the first and the last three are in the log and on the pages."""
    alice, bob = world.phones("alice", "bob")
    chain = ["bob", *(f"{'n' * 50}{number:02}" for number in range(58))]
    for by, target in itertools.pairwise(chain):
        if by != "bob":
            world.phone(by, registered=False)
        world.users.set(by, always=target)
    ended = world.bus.read(CallEnded, Refused)
    alice.sends("INVITE", bob.aor)
    assert len(alice.gets(480).encode()) < 1000
    (text,) = causes(ended)
    assert len(text) < 1000
    assert "; 52 more forwardings; " in text
    assert f"{chain[-1]}: all calls" in text


def test_a_call_with_replaces_reaches_a_user_in_any_case(world: World):
    """RFC 3891: it is for one call of one phone."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", always="carol", dnd=True)
    headers = ("Replaces: 1@x;to-tag=a;from-tag=b",)
    alice.sends("INVITE", bob.aor, headers=headers)
    bob.gets("INVITE")
    assert carol.hears_nothing()


def test_max_breadth_is_left_for_the_target(world: World):
    """RFC 5393 §5.3.3: the phone of bob and that of carol together use what the caller allows."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", no_answer="carol", no_answer_seconds=5)
    alice.sends("INVITE", bob.aor, headers=("Max-Breadth: 8",))
    assert bob.gets("INVITE").value("max-breadth") == "4"
    world.passes(5.1)
    assert carol.gets("INVITE").value("max-breadth") == "2"


def test_a_breadth_of_one_waits_for_the_cancelled_phone(world: World):
    """RFC 5393 §5.3.3: a branch has its breadth until it has ended."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", no_answer="carol", no_answer_seconds=5)
    alice.sends("INVITE", bob.aor, headers=("Max-Breadth: 1",))
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    world.passes(5.1)
    assert carol.hears_nothing()
    ends(bob, at_bob)
    carol.gets("INVITE")


def test_an_alias_is_called_like_the_user(world: World):
    alice, bob = world.phones("alice", "bob")
    world.users.set("bob", aliases=["101", "+49-89-101"])
    for number in ("101", "+4989101", "+49(89)101"):
        alice.sends("INVITE", f"sip:{number}@{REALM}")
        bob.gets("INVITE")
