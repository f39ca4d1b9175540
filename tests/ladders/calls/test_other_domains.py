"""Calls to other domains, and the requests within them (RFC 3261 §16.5, §16.6; RFC 3263)."""

import pytest

from tests.support.forwarding import exchanged
from tests.support.world import REALM, Phone, World, dialog_of_callee, dialog_of_caller

OUTSIDE = "elsewhere.org"
ADDRESS = "203.0.113.9"


@pytest.fixture
def world() -> World:
    world = World(settings={"sip_calls_to_outside": True})
    world.zone.records[f"_sip._udp.{OUTSIDE}", "SRV"] = [(1, 1, 5060, f"sip.{OUTSIDE}")]
    world.zone.records[f"sip.{OUTSIDE}", "A"] = [ADDRESS]
    return world


@pytest.fixture
def alice(world: World) -> Phone:
    return world.phone("alice")


@pytest.fixture
def carol(world: World) -> Phone:
    """A user of another domain, at the address of that domain."""
    carol = world.phone("carol", registered=False, host=ADDRESS)
    carol.aor = f"sip:carol@{OUTSIDE}"
    return carol


@pytest.mark.parametrize("is_behind_nat", [False, True])
def test_a_call_to_another_domain_can_be_ended_by_both_sides(
    world: World, alice, carol, is_behind_nat: bool
):
    """RFC 3263 §4; §16.6, step 4: requests that come back reach only that phone."""
    if is_behind_nat:
        alice.contact = "<sip:alice@192.168.1.20>"
        alice.registers()
    invite = alice.sends("INVITE", carol.aor)
    received = carol.gets("INVITE")
    assert received.uri_text == carol.aor
    ok = carol.answers(received, 200)
    here, there = dialog_of_caller(invite, alice.gets(200)), dialog_of_callee(received, ok)
    alice.sends_within("ACK", here, cseq=invite.cseq[0])
    carol.gets("ACK")
    exchanged(alice, "INVITE", here, carol)
    exchanged(carol, "UPDATE", there, alice)
    world.start_server()
    exchanged(carol, "BYE", there, alice)
    assert not world.lost


def test_the_ticket_of_a_callee_leads_only_to_its_caller(world: World, alice, carol):
    """An unauthenticated caller cannot use the server as a relay."""
    invite = alice.sends("INVITE", carol.aor)
    received = carol.gets("INVITE")
    ok = carol.answers(received, 200)
    there = dialog_of_callee(received, ok)
    alice.gets(200, invite)
    there.target = "sip:victim@192.0.2.200"
    carol.sends_within("INFO", there)
    assert alice.gets("INFO").uri_text == there.target
    assert not world.lost


def test_it_is_off_at_first(alice):
    """And the refusal says so in the log."""
    world = World()
    alice = world.phone("alice")
    alice.sends("INVITE", f"sip:x@{OUTSIDE}")
    assert alice.gets(403)
    assert world.zone.asked == []


@pytest.mark.parametrize(
    "from_uri", [f"sip:alice@{REALM}", f"sip:x@{OUTSIDE}", "sip:x@192.0.2.1", f"sip:x@{REALM}:99"]
)
@pytest.mark.parametrize(
    "uri", [f"sip:carol@{OUTSIDE}", f"sip:{ADDRESS}", f"sip:bob@{REALM};maddr={ADDRESS}"]
)
@pytest.mark.parametrize(
    "route", ["", f"<sip:{ADDRESS};lr>", f"<sip:{REALM};lr>, <sip:{ADDRESS};lr>"]
)
def test_an_external_caller_reaches_no_external_target(
    world: World, carol, from_uri: str, uri: str, route: str
):
    """Neither by a Route nor by a maddr nor by a name of ours."""
    stranger = world.phone("stranger", registered=False)
    headers = (f"Route: {route}",) if route else ()
    stranger.sends("INVITE", uri, from_uri=from_uri, headers=headers, answers_challenge=False)
    assert stranger.takes().status in (403, 407)
    assert carol.hears_nothing()
    assert not world.lost


def test_a_route_of_our_users_is_followed(world: World, alice, carol):
    """§16.6, step 6: such as that of an outbound proxy behind us."""
    alice.sends("INVITE", "sip:x@far.example", headers=(f"Route: <sip:{ADDRESS};lr>",))
    received = carol.gets("INVITE")
    assert (received.uri_text, received.values("route")) == (
        "sip:x@far.example",
        [f"<sip:{ADDRESS};lr>"],
    )


def test_a_lost_answer_leads_no_call_to_a_web_site(world: World, alice, carol):
    """RFC 2782: the domain's own address is for when there is no SRV, not for silence."""
    world.zone.records[OUTSIDE, "A"] = [ADDRESS]
    world.zone.silent = {(f"_sip._udp.{OUTSIDE}", "SRV")}
    alice.sends("INVITE", carol.aor)
    assert alice.gets(500)
    assert carol.hears_nothing()


def test_a_server_of_one_ip_family_reaches_a_dual_stack_host(world: World, alice):
    """RFC 3263 §4.2: however many addresses of the other there are, also for the ACK."""
    (sock,) = world.server.transports.sockets
    sock.is_ipv6 = True
    world.zone.records[f"sip.{OUTSIDE}", "A"] = [f"203.0.113.{number}" for number in range(9)]
    world.zone.records[f"sip.{OUTSIDE}", "AAAA"] = ["2001:db8::5"]
    carol = world.phone("carol", registered=False, host="2001:db8::5")
    carol.contact = f"<sip:carol@{OUTSIDE}>"
    invite = alice.sends("INVITE", f"sip:carol@{OUTSIDE}")
    carol.answers(carol.gets("INVITE"), 200, tag="x")
    here = dialog_of_caller(invite, alice.gets(200))
    alice.sends_within("ACK", here, cseq=invite.cseq[0])
    assert carol.gets("ACK")


def test_an_unknown_domain_is_reported_to_the_caller(alice):
    """§16.6, step 7: there is no way."""
    alice.sends("INVITE", "sip:x@nowhere.example")
    assert alice.gets(500)


def test_calls_of_that_domain_come_in(world: World, alice, carol):
    """§16.3, step 6: without a password."""
    carol.sends("INVITE", alice.aor)
    alice.answers(alice.gets("INVITE"), 486)
    assert carol.gets(486)


def test_a_challenge_of_that_domain_goes_back_to_the_phone(world: World, alice, carol):
    """§22.3: it may have an account there; ours stays here."""
    invite = alice.sends("INVITE", carol.aor)
    received = carol.gets("INVITE")
    assert "proxy-authorization" not in received.names
    field = 'Proxy-Authenticate: Digest realm="elsewhere", nonce="1"'
    carol.answers(received, 407, headers=(field,))
    assert alice.gets(407, invite).fields("proxy-authenticate") == [field.partition(": ")[2]]


def test_a_slow_name_delays_no_other_call(world: World, alice, carol):
    """And the call goes on when it is known."""
    world.zone.waits()
    alice.sends("INVITE", carol.aor)
    bob, dave = world.phones("bob", "dave")
    bob.sends("MESSAGE", dave.aor)
    assert dave.gets("MESSAGE")
    assert carol.hears_nothing()
    world.zone.answers()
    assert carol.gets("INVITE")


def test_a_dead_name_server_ends_the_call_that_asked(world: World, alice, carol):
    """§16.6, step 7."""
    world.zone.is_dead = True
    alice.sends("INVITE", carol.aor)
    assert alice.gets(500)


def test_a_name_that_leads_here_goes_in_no_circle(world: World, alice):
    """RFC 5393 §4.2: as far as we can be led, and no further."""
    world.zone.records["mirror.example", "A"] = ["192.0.2.1"]
    message = alice.sends("MESSAGE", "sip:x@mirror.example")
    assert world.lost
    (looped,) = world.lost
    world.deliver(looped, ("192.0.2.1", 5060))
    assert b"482" in world.lost[1]
    assert message
