"""History-Info (RFC 7044) and Diversion (RFC 5806) of a forwarded call, and its events."""

import pytest

from sip.core.proxy.diversion import Diversion, add_diversions
from sip.core.trunk import parse_trunks
from sip.message.message import Request
from sip.monitor.events import CallAnswered, CallEnded, CallStarted
from tests.support.world import REALM, Phone, World, dialog_of_caller


def history(invite: Request) -> list[str]:
    return [value.replace(f"@{REALM}", "") for value in invite.values("history-info")]


def diversions(invite: Request) -> list[str]:
    return [field.replace(f"@{REALM}", "") for field in invite.fields("diversion")]


def rings_in_vain(phone: Phone) -> None:
    phone.answers(phone.gets("INVITE"), 486)
    phone.gets("ACK")


def test_a_call_that_is_not_forwarded_has_no_history(world: World):
    alice, bob, _ = world.phones("alice", "bob", "carol")
    world.users.set("bob", busy="carol")
    alice.sends("INVITE", bob.aor)
    invite = bob.gets("INVITE")
    assert (history(invite), diversions(invite)) == ([], [])


def test_each_forwarding_is_an_entry(world: World):
    """RFC 7044 §10.3, RFC 4458 §2, RFC 5806 §5.1: the latest Diversion is on top."""
    alice, bob, carol, dan = world.phones("alice", "bob", "carol", "dan")
    world.users.set("bob", always="carol")
    world.users.set("carol", busy="dan")
    alice.sends("INVITE", bob.aor)
    rings_in_vain(carol)
    invite = dan.gets("INVITE")
    assert history(invite) == [
        "<sip:bob>;index=1",
        "<sip:carol;cause=302?Reason=SIP%3Bcause%3D486>;index=1.1;mp=1",
        "<sip:dan;cause=486>;index=1.1.1;mp=1.1",
    ]
    assert diversions(invite) == [
        "<sip:carol>;reason=user-busy;counter=1",
        "<sip:bob>;reason=unconditional;counter=1",
    ]


def test_the_history_of_a_proxy_before_us_goes_on():
    """That of a gateway, which is trusted."""
    world = World(settings={"sip_trunk": parse_trunks("0=sip:203.0.113.9")})
    bob, carol = world.phones("bob", "carol")
    gateway = world.phone("gateway", registered=False, host="203.0.113.9")
    world.users.set("bob", busy="carol")
    before = "<sip:bob@example.org>;index=1, <sip:bob@example.com>;index=1.1"
    earlier = "<sip:bob@example.org>;reason=deflection"
    headers = (f"History-Info: {before}", f"Diversion: {earlier}")
    gateway.sends("INVITE", bob.aor, headers=headers)
    rings_in_vain(bob)
    invite = carol.gets("INVITE")
    assert history(invite)[2:] == ["<sip:carol;cause=486>;index=1.1.1;mp=1.1"]
    assert diversions(invite) == ["<sip:bob>;reason=user-busy;counter=1", earlier]


@pytest.mark.parametrize("forwards", [True, False])
def test_a_user_states_no_forwarding_of_its_own(world: World, forwards: bool):
    """These fields are for this server to write: a phone shows them as the truth."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", always="carol" if forwards else "")
    headers = (
        "Diversion: <sip:boss@example.com>;reason=user-busy",
        "diversion : <sip:king@example.com>",
        "History-Info: <sip:boss@example.com>;index=1",
        "X-Other: stays",
    )
    alice.sends("INVITE", bob.aor, headers=headers)
    invite = (carol if forwards else bob).gets("INVITE")
    assert diversions(invite) == ["<sip:bob>;reason=unconditional;counter=1"] * forwards
    assert len(history(invite)) == 2 * forwards
    assert b"boss" not in invite.encode()
    assert headers[-1] in invite.lines


def test_an_index_that_is_too_long_is_not_repeated():
    """Each entry has it twice: a message of 60 kB would become one of megabytes."""
    world = World(settings={"sip_trunk": parse_trunks("0=sip:203.0.113.9")})
    bob, carol = world.phones("bob", "carol")
    gateway = world.phone("gateway", registered=False, host="203.0.113.9")
    world.users.set("bob", always="carol")
    long = f"History-Info: <sip:bob@example.org>;index={'1.' * 101}1"
    gateway.sends("INVITE", bob.aor, headers=(long,))
    assert history(carol.gets("INVITE"))[1:] == [
        "<sip:bob>;index=1",
        "<sip:carol;cause=302>;index=1.1;mp=1",
    ]


def test_a_realm_that_is_no_host_is_in_no_uri(world: World):
    """The digest realm may be any text; then phones call this server by another name."""
    invite = world.phone("alice").sends("INVITE", f"sip:bob@{REALM}").copy()
    add_diversions(invite, [Diversion("bob", "The Office", "carol", "unconditional")])
    assert history(invite) == ["<sip:bob>;index=1", "<sip:carol;cause=302>;index=1.1;mp=1"]
    assert diversions(invite) == ["<sip:bob>;reason=unconditional;counter=1"]


def test_a_caller_that_wants_privacy_gets_no_history(world: World):
    """RFC 7044 §10.1."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", always="carol")
    alice.sends("INVITE", bob.aor, headers=("Privacy: id;history",))
    assert history(carol.gets("INVITE")) == []


def test_a_gateway_is_told_too():
    world = World(settings={"sip_trunk": parse_trunks("0=sip:203.0.113.9")})
    alice, bob = world.phones("alice", "bob")
    gateway = world.phone("gateway", registered=False, host="203.0.113.9")
    world.users.set("bob", always="0891234")
    alice.sends("INVITE", bob.aor)
    invite = gateway.gets("INVITE")
    assert diversions(invite) == ["<sip:bob>;reason=unconditional;counter=1"]
    assert history(invite)[-1] == "<sip:0891234;cause=302>;index=1.1;mp=1"


def test_events_show_the_dialled_user_and_the_phone_that_answers(world: World):
    """The end of an answered call says where it was forwarded."""
    heard = world.bus.read(CallStarted), world.bus.read(CallAnswered), world.bus.read(CallEnded)
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", no_answer="carol", no_answer_seconds=5)
    invite = alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 180)
    world.passes(5.1)
    carol.answers(carol.gets("INVITE"), 200)
    for status in (180, 181, 200):
        answer = alice.gets(status)
    (call,) = world.server.proxy.calls.all()
    assert call.callee.aor == ("carol", REALM)  # it is over when the phones of carol are gone
    bye = alice.sends_within("BYE", dialog_of_caller(invite, answer))
    carol.answers(carol.gets("BYE"), 200)
    alice.gets(200, bye)
    (started,), (answered,), (ended,) = (queue.take() for queue in heard)
    assert started.callee.username == "bob"
    assert answered.address == carol.address
    assert (ended.code, ended.cause) == ("forwarded", "forwarded to carol: no answer in 5 s")


def test_the_end_of_a_call_that_failed_says_both(world: World):
    ends = world.bus.read(CallEnded)
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.set("bob", busy="carol")
    alice.sends("INVITE", bob.aor)
    rings_in_vain(bob)
    rings_in_vain(carol)
    (ended,) = ends.take()
    assert ended.code == "busy"
    assert ended.cause == "forwarded to carol: bob's phone is busy; carol's phone is busy"
