"""Requests within a dialog at the edges of its rules (RFC 3261 §12.2, §16.6, §16.7 step 8)."""

import pytest

from sip.core.trunk import parse_trunks
from sip.message.message import Request, Response, parse
from tests.support.cases import cases
from tests.support.forwarding import calls, talks
from tests.support.nat_phones import answers_for, at, behind_nat
from tests.support.world import REALM, SDP, Dialog, Phone, World, dialog_of_callee, dialog_of_caller

GATEWAY, OTHER, VICTIM = "203.0.113.5", "192.0.2.23", "203.0.113.77"


def heard(phone: Phone) -> list[str]:
    """Take all that a phone has got: methods and statuses."""
    found = []
    while phone.inbox:
        message = phone.takes()
        found.append(message.method if isinstance(message, Request) else str(message.status))
    return found


def sends(phone: Phone, method: str, dialog: Dialog, **more) -> None:
    """Send a request in a dialog; answer a challenge."""
    phone.inbox.clear()
    sent = phone.sends_within(method, dialog, **more)
    answer = parse(phone.inbox[-1]) if phone.inbox else None
    if isinstance(answer, Response) and answer.status == 407:
        phone.transmits(phone.with_credentials(sent, answer))


def dials(world: World, contact: str, route: str = "") -> tuple[Phone, Phone, Dialog, Dialog]:
    """A call through the gateway, which answers."""
    gateway = world.phone("gateway", registered=False, host=GATEWAY)
    alice = world.phone("alice")
    invite = alice.sends("INVITE", f"sip:0891234@{REALM}")
    got = gateway.gets("INVITE")
    if route:
        got.put_first("record-route", f"Record-Route: {route}")
    gateway.contact = contact
    ok = gateway.answers(got, 200)
    return alice, gateway, dialog_of_caller(invite, alice.gets(200)), dialog_of_callee(got, ok)


def trunk_world(uri: str = f"sip:{GATEWAY}") -> World:
    world = World(settings={"sip_trunk": parse_trunks(f"0={uri}")})
    world.zone.records["gw.example.net", "A"] = [GATEWAY]
    world.start_server()
    return world


# Gateways


@pytest.mark.parametrize("route", [f"<sip:{GATEWAY};lr>", f"<sip:{GATEWAY}>"])
def test_a_gateway_may_record_its_own_route(route: str):
    """§16.12: the ACK and the BYE follow it, loose or strict."""
    alice, gateway, here, _ = dials(trunk_world(), "<sip:0891234@10.9.8.7>", route)
    sends(alice, "ACK", here)
    sends(alice, "BYE", here)
    assert heard(gateway) == ["ACK", "BYE"]


def test_a_gateway_may_answer_with_its_own_name():
    """RFC 3263: the name leads to the gateway of the call."""
    world = trunk_world("sip:gw.example.net")
    alice, gateway, here, _ = dials(world, "<sip:0891234@gw.example.net:5060>")
    sends(alice, "ACK", here)
    assert heard(gateway) == ["ACK"]


@pytest.mark.parametrize("by", ["request", "2xx"])
def test_a_gateway_may_move_its_call(by: str):
    """§12.2: a gateway that took the call is believed."""
    world = trunk_world()
    alice, gateway, here, there = dials(world, f"<sip:0891234@{GATEWAY}>")
    other = world.phone("gateway", registered=False, host="203.0.113.66")
    gateway.contact = other.contact
    if by == "request":
        gateway.sends_within("INVITE", there)
        alice.answers(alice.gets("INVITE"), 200)
    else:
        sends(alice, "INVITE", here)
        gateway.answers(gateway.gets("INVITE"), 200)
    here.target = other.contact.strip("<>")
    sends(alice, "BYE", here)
    assert heard(other) == ["BYE"]


# A relay, opened by an external caller


def as_callee(here: Dialog, target: str) -> Dialog:
    """The dialog of the other side, as the caller can write it."""
    routes = here.routes[::-1]
    return Dialog(here.call_id, here.remote_tag, here.local_tag, target, routes)


def test_an_external_caller_behind_the_same_nat_is_no_user(world: World):
    """§12.2.2: the address of a user is no password."""
    victim = world.phone("victim", registered=False, host=VICTIM)
    bob = behind_nat(world, "bob", 33_333, nat="198.51.100.7")
    stranger = world.phone("x", registered=False, host="198.51.100.7", transport="TCP")
    stranger.aor = "sip:x@elsewhere.org"
    invite = stranger.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 200)
    here = dialog_of_caller(invite, stranger.gets(200))
    own, stranger.contact = stranger.contact, victim.contact
    stranger.sends_within("UPDATE", as_callee(here, "sip:x@h"))
    stranger.contact = own
    here.target = f"sip:anything@{VICTIM}"
    stranger.sends_within("INVITE", here)
    assert heard(victim) == []


def test_a_user_cannot_move_the_other_side(world: World):
    """§12.2.2: each ticket stands for one role."""
    victim = world.phone("victim", registered=False, host=VICTIM)
    alice, bob = (world.phone(name, transport="TCP") for name in ("alice", "bob"))
    here = talks((alice, bob)).here
    made_up = Dialog(here.call_id, here.remote_tag, here.local_tag, here.target, here.routes)
    own, alice.contact = alice.contact, victim.contact
    alice.sends_within("UPDATE", made_up)
    alice.contact = own
    here.target = f"sip:anything@{VICTIM}"
    alice.sends_within("INVITE", here)
    assert heard(victim) == []


# Another phone of the user


@cases("is_behind_nat", [False, True])
@cases("instance", ["", ';+sip.instance="<urn:uuid:1>"'])
@cases("goes_by", ["unregistering", "expiry"])
def test_a_call_stays_at_its_phone(world, is_behind_nat, instance: str, goes_by: str):
    """§12.2.1.1: another phone of the user never gets its requests."""
    alice = world.phone("alice")
    if is_behind_nat:
        desk = behind_nat(world, "bob", 33_333)
        mobile = behind_nat(world, "bob", 33_334, private="192.168.1.21")
    else:
        desk, mobile = world.phones("bob", "bob")
    desk.registers(desk.contact + instance, expires=120)
    invite = alice.sends("INVITE", desk.aor)
    desk.answers(desk.gets("INVITE"), 200)
    here = dialog_of_caller(invite, alice.gets(200))
    if goes_by == "expiry":
        world.passes(130, step=1)
    else:
        desk.registers(desk.contact + instance, expires=0)
    mobile.inbox.clear()
    alice.sends_within("BYE", here)
    assert heard(mobile) == []


# A PBX on TCP that takes no connections


@pytest.mark.parametrize("route", ["{host}:{port}", "{host}"])
def test_a_recorded_route_goes_by_the_connection(world: World, route: str):
    """§18: a PBX behind a firewall takes no other connection."""
    host = "192.0.2.77"
    pbx, alice = world.phone("bob", host=host, transport="TCP"), world.phone("alice")
    pbx.listens_at = None
    invite = alice.sends("INVITE", pbx.aor)
    got = pbx.gets("INVITE")
    place = route.format(host=host, port=pbx.address[1])
    got.put_first("record-route", f"Record-Route: <sip:{place};transport=tcp;lr>")
    pbx.answers(got, 200)
    here = dialog_of_caller(invite, alice.gets(200))
    alice.sends_within("ACK", here)
    assert heard(pbx) == ["ACK"]


# Refreshes from a place that was told


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("by", ["Contact", "Route"])
def test_a_refresh_comes_from_where_the_callee_answered(world: World, method: str, by: str):
    """RFC 4028: without a password, since the place was told."""
    alice, bob = world.phones("alice", "bob")
    other = world.phone("bob", registered=False, host=OTHER)
    call = calls((alice, bob))
    if by == "Contact":
        ok = answers_for(bob, other, call.received, 200)
        there = dialog_of_callee(call.received, ok)
    else:
        call.received.put_first("record-route", f"Record-Route: <sip:{OTHER};lr>")
        bob.contact = "<sip:ext@10.77.0.7>"
        there = dialog_of_callee(call.received, bob.answers(call.received, 200))
        del there.routes[0]
        other.contact = bob.contact
    alice.inbox.clear()
    other.sends_within(method, there)
    assert heard(alice) == [method]


# Our Record-Route, written anew by the callee


@pytest.mark.parametrize(("old", "new"), [(";lr;", ";lr=on;"), ("<", '"us" <'), ("sip:", "SIP:")])
def test_our_value_is_found_however_it_is_written(world: World, old: str, new: str):
    """§16.7, step 8: the ticket in it is the same."""
    alice, bob = world.phones("alice", "bob")
    pbx = world.phone("bob", registered=False, host=OTHER)
    call = calls((alice, bob))
    (own,) = call.received.values("record-route")
    routes = [f"<sip:{OTHER};lr>", own.replace(old, new)]
    call.received.set_values("record-route", "Record-Route", routes)
    bob.answers(call.received, 200)
    here = dialog_of_caller(call.invite, alice.gets(200))
    alice.sends_within("ACK", here)
    assert heard(pbx) == ["ACK"]


# Private Contacts in a private network


@pytest.mark.parametrize("host", ["172.17.0.1", "10.8.0.2"])
def test_a_callers_docker_address_is_not_where_it_is(world: World, host: str):
    """A private address that is no neighbour of the source."""
    alice = world.phone("alice", host="192.168.1.5")
    bob = world.phone("bob", host="192.168.1.6")
    alice.contact = f"<sip:alice@{host}:5060>"
    alice.registers()
    invite = alice.sends("INVITE", bob.aor)
    got = bob.gets("INVITE")
    there = dialog_of_callee(got, bob.answers(got, 200))
    alice.inbox.clear()
    bob.sends_within("BYE", there)
    assert invite.call_id
    assert heard(alice) == ["BYE"]


@pytest.mark.parametrize("place", ["127.0.0.1:9999", "169.254.169.254:80;transport=tcp"])
def test_an_answer_leads_to_no_loopback(world: World, place: str):
    """RFC 1122 §3.2.1.3: another machine names its own by it."""
    host, port = place.split(";")[0].split(":")
    kind = "TCP" if "tcp" in place else "UDP"
    target = world.phone("t", registered=False, host=host, port=int(port), transport=kind)
    alice = world.phone("alice", host="192.168.1.5")
    bob = world.phone("bob", host="192.168.1.6")
    call = calls((alice, bob))
    bob.contact = f"<sip:x@{place}>"
    bob.answers(call.received, 200)
    here = dialog_of_caller(call.invite, alice.gets(200))
    alice.sends_within("INVITE", here)
    assert heard(target) == []


# An outbound proxy's Route before the route set


def test_a_route_to_us_before_the_tickets(world: World):
    """§8.1.2: a phone that puts its outbound proxy first."""
    alice = world.phone("alice", transport="TCP")
    bob = world.phone("bob")
    call = talks((alice, bob))
    other = at(world, bob, "another host")
    call.there.routes.insert(0, "<sip:192.0.2.1;lr>")
    bob.contact = other.contact
    bob.sends_within("INVITE", call.there)
    alice.answers(alice.gets("INVITE"), 200)
    call.here.target = other.contact.strip("<>")
    alice.sends_within("BYE", call.here)
    assert heard(other) == ["BYE"]


# Without a route set


@pytest.mark.parametrize("contact", ["<sip:bob@example.com>", "<sip:bob@192.168.1.5>"])
def test_an_ack_to_a_name_reaches_the_phone(world: World, contact: str):
    """The Contact of the answer is hidden, or names us."""
    alice, bob = world.phones("alice", "bob")
    call = calls((alice, bob))
    bob.contact = contact
    bob.answers(call.received, 200)
    here = dialog_of_caller(call.invite, alice.gets(200))
    here.routes, here.target = [], bob.aor
    alice.sends_within("ACK", here)
    assert heard(bob) == ["ACK"]


def test_an_ack_to_the_contact_passes_as_its_bye_does(world: World):
    """§12.2.1.1: the route set alone is missing."""
    alice, bob = world.phones("alice", "bob")
    call = calls((alice, bob))
    bob.answers(call.received, 200)
    here = dialog_of_caller(call.invite, alice.gets(200))
    here.routes = []
    sends(alice, "ACK", here)
    sends(alice, "BYE", here)
    assert heard(bob) == ["ACK", "BYE"]


def test_a_bye_to_a_name_reaches_a_phone_that_has_unregistered(world: World):
    """The dialog outlives the registration."""
    alice, bob = world.phones("alice", "bob")
    call = calls((alice, bob))
    bob.answers(call.received, 200)
    here = dialog_of_caller(call.invite, alice.gets(200))
    here.routes, here.target = [], bob.aor
    bob.registers(expires=0)
    sends(alice, "BYE", here)
    assert heard(bob) == ["BYE"]


# The last address of an external caller


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_an_external_caller_is_reached_where_it_was_seen_last(world: World, transport: str):
    """RFC 5626 §5.3: from the same host."""
    bob = world.phone("bob")
    stranger = world.phone("x", registered=False, host="198.51.100.9", transport=transport)
    stranger.aor = "sip:x@elsewhere.org"
    stranger.sent_by = "192.168.1.9:5060"
    stranger.contact = "<sip:x@192.168.1.9:5060>"
    stranger.listens_at = None
    invite = stranger.sends("INVITE", bob.aor)
    got = bob.gets("INVITE")
    there = dialog_of_callee(got, bob.answers(got, 200))
    here = dialog_of_caller(invite, stranger.gets(200))
    if transport == "TCP":
        stranger.hangs_up()
        stranger.connects()
    else:
        del world.at[stranger.address]
        stranger.address = stranger.address[0], 44_444
    world.at[stranger.address] = stranger
    stranger.sends_within("INVITE", here, body=SDP)
    bob.answers(bob.gets("INVITE"), 200)
    stranger.inbox.clear()
    bob.sends_within("BYE", there)
    assert heard(stranger) == ["BYE"]


# One socket to send, another to listen


def test_a_caller_without_rport_is_reached_where_its_via_says(world: World):
    """§18.2.2: its callee is bound by a name, so its own side is a flow."""
    world.zone.records["pbx.example.net", "A"] = ["192.0.2.77"]
    pbx = world.phone("bob", registered=False, host="192.0.2.77")
    pbx.contact = "<sip:bob@pbx.example.net>"
    pbx.registers()
    alice = world.phone("alice")
    sending = world.phone("alice", registered=False, host=alice.address[0], port=49_152)
    sending.sent_by, sending.contact = alice.sent_by, alice.contact

    def leaves(request: Request) -> None:
        world.deliver(request.encode().replace(b";rport", b""), sending.address)

    invite = sending.request("INVITE", pbx.aor, headers=(f"Contact: {alice.contact}",))
    leaves(invite)
    leaves(sending.with_credentials(invite, alice.gets(407)))
    got = pbx.gets("INVITE")
    there = dialog_of_callee(got, pbx.answers(got, 200))
    alice.inbox.clear()
    pbx.sends_within("BYE", there)
    assert heard(alice) == ["BYE"]


# Several hosts behind one name


def test_the_host_that_answered_has_the_call(world: World):
    """RFC 3263 §4.3: of several hosts of a name."""
    alice, bob = world.phones("alice", "bob")
    world.zone.records["pbx.example.net", "A"] = ["192.0.2.99", bob.address[0]]
    call = calls((alice, bob))
    bob.contact = "<sip:bob@pbx.example.net:5060>"
    bob.answers(call.received, 200)
    here = dialog_of_caller(call.invite, alice.gets(200))
    for _ in range(8):
        alice.sends_within("INFO", here)
    assert heard(bob) == ["INFO"] * 8


# Ports of a gateway


@pytest.mark.parametrize("port", [5061, 5080])
def test_no_contact_leads_to_another_port_of_a_gateway(port: int):
    """§22.3: what a phone tells costs no money."""
    world = trunk_world()
    gateway = world.phone("gateway", registered=False, host=GATEWAY, port=port)
    alice, bob = world.phones("alice", "bob")
    call = calls((alice, bob))
    answers_for(bob, gateway, call.received, 200)
    here = dialog_of_caller(call.invite, alice.gets(200))
    alice.sends_within("INVITE", here)
    assert heard(gateway) == []


def test_a_third_party_opens_no_port_of_a_phone(world: World):
    """§26: a made-up port or transport is not followed."""
    alice, bob, thief = world.phone("alice"), world.phone("bob"), world.phone("t", registered=False)
    web = world.phone("w", registered=False, host=bob.address[0], port=80, transport="TCP")
    here = talks((alice, bob)).here
    here.target = f"sip:x@{bob.address[0]}:80;transport=tcp"
    thief.sends_within("INFO", here)
    assert heard(web) == []


# A trunk's call without a route set


def test_a_gateway_challenge_is_answered_without_a_route_set():
    """§22.3: it is no question to the caller."""
    world = trunk_world(f"sip:account:password@{GATEWAY}")
    alice, _gateway, here, _ = dials(world, f"<sip:0891234@{GATEWAY}:5062>")
    other = world.phone("g", registered=False, host=GATEWAY, port=5062)
    here.routes, here.target = [], f"sip:0891234@{REALM}"
    sends(alice, "BYE", here)
    asked = other.gets("BYE")
    challenge = 'Digest realm="c", nonce="n", algorithm=MD5, qop="auth"'
    other.answers(asked, 407, headers=(f"Proxy-Authenticate: {challenge}",))
    assert heard(other) == ["BYE"]
