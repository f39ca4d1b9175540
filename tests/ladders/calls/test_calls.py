"""Calls through the whole server (RFC 3261 §16, §12, §13)."""

import pytest

from sip.message.headers import parse_name_addr
from tests.support.world import REALM, SDP, World, dialog_of_callee, dialog_of_caller


def call_between(world: World, alice, bob, **more):
    """Set a call up; give the two sides' dialogs and Bob's INVITE."""
    call = alice.sends("INVITE", bob.aor, **more)
    invite = bob.gets("INVITE")
    ok = bob.answers(invite, 200)
    answer = alice.gets(200, call)
    here, there = dialog_of_caller(call, answer), dialog_of_callee(invite, ok)
    alice.sends_within("ACK", here, cseq=call.cseq[0])
    bob.gets("ACK")
    return here, there, invite


def test_only_the_request_uri_is_replaced_by_the_contact(world: World):
    """§16.6, steps 1 to 8."""
    alice, bob = world.phones("alice", "bob")
    odd = "X-Odd : caf\u00e9,  two\r\n\tthree"
    alice.sends("INVITE", bob.aor, headers=(odd,), body=SDP)
    invite = bob.gets("INVITE")
    assert invite.uri_text == f"sip:bob@{bob.address[0]}:5060"
    assert invite.body == SDP
    assert odd in invite.lines
    assert invite.value("max-forwards") == "69"
    assert len(invite.fields("via")) == 2
    assert invite.via.sent_by == "192.0.2.1:5060"
    received = invite.fields("via")[1]
    assert f"received={alice.address[0]}" in received
    assert f"rport={alice.address[1]}" in received


def test_between_plain_phones_one_record_route_is_enough(world: World):
    """§16.6, step 4."""
    alice, bob = world.phones("alice", "bob")
    alice.sends("INVITE", bob.aor)
    (route,) = bob.gets("INVITE").values("record-route")
    uri = parse_name_addr(route).sip_uri
    assert (uri.host, uri.port, uri.param("lr")) == ("192.0.2.1", 5060, "")


def test_requests_in_a_dialog_pass_both_ways_unchallenged(world: World):
    """§12.2, §16.12: re-INVITE, INFO, UPDATE, BYE."""
    alice, bob = world.phones("alice", "bob")
    here, there, _ = call_between(world, alice, bob)
    for method in ("INFO", "UPDATE", "PRACK", "REFER", "NOTIFY"):
        alice.sends_within(method, here)
        bob.answers(bob.gets(method), 200)
        alice.gets(200)
        bob.sends_within(method, there)
        alice.answers(alice.gets(method), 200)
        bob.gets(200)
    again = bob.sends_within("INVITE", there, body=SDP)
    at_alice = alice.gets("INVITE")
    alice.answers(at_alice, 200)
    bob.gets(200, again)
    bob.sends_within("ACK", there, cseq=again.cseq[0])
    alice.gets("ACK")
    alice.sends_within("BYE", here)
    bob.answers(bob.gets("BYE"), 200)
    alice.gets(200)
    world.passes(40, step=0.5)
    assert world.is_quiet


def test_a_call_goes_on_after_the_server_restarts(world: World):
    """The ticket needs no memory, only its key."""
    alice, bob = world.phones("alice", "bob")
    here, there, _ = call_between(world, alice, bob)
    world.start_server()
    bob.sends_within("INFO", there)
    alice.answers(alice.gets("INFO"), 200)
    bob.gets(200)
    alice.sends_within("BYE", here)
    bob.gets("BYE")


def test_a_ticket_opens_no_other_dialog(world: World):
    """It is signed over the Call-ID and the initiator's tag."""
    alice, bob = world.phones("alice", "bob")
    here, _, _ = call_between(world, alice, bob)
    world.passes(40, step=1)
    here.call_id = "another"
    alice.sends_within("BYE", here)
    alice.gets(407)
    assert bob.hears_nothing()


def test_a_phone_behind_nat_is_reached_along_its_flow(world: World):
    """A private Contact that is not the source; both directions within the dialog."""
    alice = world.phone("alice")
    bob = world.phone("bob", registered=False, host="198.51.100.7", port=33_333)
    bob.contact = "<sip:bob@192.168.1.20:5060>"
    bob.registers(sent_by="192.168.1.20:5060")
    call = alice.sends("INVITE", bob.aor)
    invite = bob.gets("INVITE")
    assert invite.uri_text == "sip:bob@192.168.1.20:5060"
    assert len(invite.values("record-route")) == 2
    ok = bob.answers(invite, 200)
    here = dialog_of_caller(call, alice.gets(200))
    there = dialog_of_callee(invite, ok)
    alice.sends_within("ACK", here, cseq=call.cseq[0])
    bob.gets("ACK")
    bob.sends_within("BYE", there)
    alice.answers(alice.gets("BYE"), 200)
    bob.gets(200)
    assert not world.lost


def test_a_contact_elsewhere_with_a_truthful_via_is_used(world: World):
    """§10.2.1: a third party may be named."""
    alice = world.phone("alice")
    bob = world.phone("bob", registered=False)
    desk = world.phone("desk", registered=False, host="198.51.100.9", port=5070)
    bob.registers("<sip:desk@198.51.100.9:5070>")
    alice.sends("INVITE", bob.aor)
    desk.gets("INVITE")
    assert bob.hears_nothing()


def test_an_external_caller_moves_only_along_ticket_flows(world: World):
    """An unauthenticated side cannot point a request anywhere by its Request-URI."""
    bob = world.phone("bob")
    stranger = world.phone("stranger", registered=False)
    other = world.phone("other", registered=False, host="192.0.2.200")
    call = stranger.sends("INVITE", bob.aor, from_uri="sip:x@elsewhere.org")
    invite = bob.gets("INVITE")
    bob.answers(invite, 200)
    here = dialog_of_caller(call, stranger.gets(200))
    here.target = "sip:victim@192.0.2.200"
    stranger.sends_within("BYE", here)
    assert bob.gets("BYE").uri_text == "sip:victim@192.0.2.200"
    assert other.hears_nothing()


def test_a_strict_router_upstream_is_set_right(world: World):
    """§16.4: our Record-Route came back as the Request-URI."""
    alice, bob = world.phones("alice", "bob")
    here, _, _ = call_between(world, alice, bob)
    route = parse_name_addr(here.routes[0]).uri_text
    here.routes = [f"<{here.target}>"]
    target, here.target = here.target, route
    alice.sends_within("BYE", here)
    bye = bob.gets("BYE")
    assert bye.uri_text == target
    assert not bye.values("route")


def test_a_strict_router_downstream_gets_what_it_wants(world: World):
    """§16.6, step 6: its URI in the Request-URI, the real one as last Route."""
    alice = world.phone("alice")
    bob = world.phone("bob", registered=False)
    edge = world.phone("edge", registered=False, host="198.51.100.1")
    bob.registers(headers=("Supported: path", "Path: <sip:198.51.100.1>"))
    alice.sends("INVITE", bob.aor)
    invite = edge.gets("INVITE")
    assert invite.uri_text == "sip:198.51.100.1"
    assert invite.values("route") == [f"<sip:bob@{bob.address[0]}:5060>"]


def test_a_path_is_the_way_to_a_phone_behind_an_edge_proxy(world: World):
    """RFC 3327 §5."""
    alice = world.phone("alice")
    bob = world.phone("bob", registered=False)
    edge = world.phone("edge", registered=False, host="198.51.100.1")
    answer = bob.registers(headers=("Supported: path", "Path: <sip:198.51.100.1;lr>"))
    assert answer.values("path") == ["<sip:198.51.100.1;lr>"]
    alice.sends("INVITE", bob.aor)
    invite = edge.gets("INVITE")
    assert invite.uri_text == f"sip:bob@{bob.address[0]}:5060"
    assert invite.values("route") == ["<sip:198.51.100.1;lr>"]


@pytest.mark.parametrize(
    ("uri", "headers", "status"),
    [
        ("mailto:bob@example.com", (), 416),
        ("sips:bob@example.com", (), 416),
        (f"sip:bob@{REALM}", ("Proxy-Require: teleport",), 420),
        (f"sip:bob@{REALM};a;a", (), 400),
        (f"sip:bob@{REALM}", ("Max-Forwards: many",), 400),
    ],
)
def test_what_cannot_be_forwarded_is_refused(world: World, uri: str, headers, status: int):
    """§16.3."""
    alice, bob = world.phones("alice", "bob")
    request = alice.request("INVITE", uri)
    for header in headers:
        request.set(header.partition(":")[0].lower(), header)
    alice.transmits(request)
    alice.gets(status)
    assert bob.hears_nothing()


def test_a_telephone_number_is_the_user_of_that_name(world: World):
    """RFC 3966 in the Request-URI, RFC 3261 §19.1.6."""
    alice, bob = world.phones("alice", "+15551234")
    alice.sends("INVITE", "tel:+1-555-1234")
    bob.gets("INVITE")


def test_a_contact_that_names_us_is_a_forward(world: World):
    """It is looked up again here, never sent along a flow; circles end."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    dave = world.phone("dave", registered=False)
    dave.registers(f"<sip:bob@{REALM}>")
    alice.sends("INVITE", dave.aor)
    bob.gets("INVITE")
    erin = world.phone("erin", registered=False)
    erin.registers(f"<sip:erin@{REALM}>", "<sip:carol@192.0.2.1>")
    alice.sends("INVITE", erin.aor)
    carol.gets("INVITE")
    assert alice.gets(100) is not None


def test_the_caller_learns_of_an_unreachable_phone(world: World):
    """§16.7 step 6, §16.9: 503 stays here."""
    alice, bob = world.phones("alice", "bob")
    world.dead.add(bob.address)
    call = alice.sends("INVITE", bob.aor)
    assert alice.gets(500, call).reason == "Next Hop Unreachable"


def test_a_disabled_or_removed_user_is_not_called(world: World):
    """The bindings stay until they expire, but lead nowhere."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.accounts["bob", REALM].enabled = False
    del world.users.accounts["carol", REALM]
    alice.sends("INVITE", bob.aor)
    alice.gets(480)
    alice.sends("INVITE", carol.aor)
    alice.gets(404)
    assert bob.hears_nothing()
    assert carol.hears_nothing()


def test_the_ack_of_a_refused_re_invite_stays_here(world: World):
    """§17.1.1.3: a failure that we sent ourselves is acknowledged to us, not to the other phone."""
    alice, bob = world.phones("alice", "bob")
    here, _, _ = call_between(world, alice, bob)
    again = alice.sends_within("INVITE", here, headers=("Proxy-Require: teleport",))
    refusal = alice.gets(420)
    routes = tuple(f"Route: {route}" for route in here.routes)
    ack = alice.request(
        "ACK",
        again.uri_text,
        to=refusal.value("to"),
        call_id=again.call_id,
        cseq=again.cseq[0],
        from_tag=again.from_.tag,
        branch=again.via.branch,
        headers=routes,
    )
    alice.transmits(ack)
    assert bob.hears_nothing()


# A plain call, message by message


def test_a_call_goes_both_ways_along_the_record_route(world: World):
    """RFC 3261 §16.12.1, RFC 3665 §3.3."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", "sip:bob@example.com")
    alice.gets(100)
    invite = bob.gets("INVITE")
    bob.answers(invite, 180)
    alice.gets(180, call)
    ok = bob.answers(invite, 200)
    answer = alice.gets(200, call)
    dialog = dialog_of_caller(call, answer)
    alice.sends_within("ACK", dialog, cseq=call.cseq[0])
    bob.gets("ACK")
    bye = bob.sends_within("BYE", dialog_of_callee(invite, ok))
    alice.answers(alice.gets("BYE"), 200)
    bob.gets(200, bye)
    world.passes(40)
    assert world.is_quiet
