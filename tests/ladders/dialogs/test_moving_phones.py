"""A dialog follows its phones (RFC 3261 §12.1.2, §12.2, §16.4, §16.6, §16.12; RFC 5626 §5.3).

A table: each kind of caller and callee, and each way in which a side tells where it is.
"""

import pytest

from sip.core.trunk import parse_trunks
from sip.message.message import Request
from tests.support.cases import cases
from tests.support.forwarding import Call, calls, each_pair, placed, started_again, talks
from tests.support.nat_phones import ELSEWHERE, answers_for, at, behind_nat
from tests.support.world import (
    REALM,
    SDP,
    Phone,
    TcpPhone,
    World,
    dialog_of_callee,
    dialog_of_caller,
)

STRANGER = "sip:x@elsewhere.org"


def paired(world: World, where: str) -> tuple[Phone, Phone]:
    both = placed(world, where)
    for phone in both:
        if is_behind_nat(phone) and not isinstance(phone, TcpPhone):
            phone.sent_by = "192.168.1.20:5060"
            phone.registers()
    return both


def is_behind_nat(phone: Phone) -> bool:
    """Only the flow leads to such a phone, not its Contact."""
    return "192.168" in phone.contact


def goes_to(sender: Phone, method: str, dialog, receiver: Phone, **more) -> Request:
    """A request in a dialog reaches a place, and its answer the sender."""
    sent = sender.sends_within(method, dialog, **more)
    got = receiver.gets(method, sent)
    if method != "ACK":
        receiver.answers(got, 200)
        sender.gets(200, sent)
    return got


# The Contact of an answer


@cases("place", ["another host", "another port", "a name"])
@cases("status", [183, 200])
@cases("restarts", [False, True])
@each_pair(paired)
def test_the_contact_of_an_answer_is_reached(
    world: World, pair, place: str, status: int, restarts: bool
):
    """§12.1.2, §12.2.1.1; RFC 3262: PRACK, ACK and BYE; a phone behind NAT by its flow."""
    caller, callee = pair
    other = at(world, callee, place)
    call = calls(pair)
    first = answers_for(callee, other, call.received, status, headers=("RSeq: 1",), body=SDP)
    here = dialog_of_caller(call.invite, caller.gets(status))
    is_kept = is_behind_nat(callee) or (isinstance(callee, TcpPhone) and place == "another port")
    there = callee if is_kept else other
    if status == 183:
        goes_to(caller, "PRACK", here, there)
        ok = answers_for(callee, other, call.received, 200, tag=first.to.tag)
        here = dialog_of_caller(call.invite, caller.gets(200))
        assert ok.to.tag == here.remote_tag
    if restarts:
        started_again(world)
    goes_to(caller, "ACK", here, there, cseq=call.invite.cseq[0])
    goes_to(caller, "INVITE", here, there)
    goes_to(caller, "BYE", here, there)
    assert not world.lost


@each_pair(paired)
def test_an_answer_where_the_phone_is_bound_changes_nothing(world: World, pair):
    """§16.7, step 8: nothing is added for the usual call."""
    call = talks(pair)
    assert all(";a=" not in route for route in call.here.routes)
    assert not world.server.proxy.dialogs.remote_targets._targets


# The Routes of others


@cases("kind", ["loose", "strict"])
@cases("host", ["its own", ELSEWHERE])
@cases("restarts", [False, True])
@each_pair(paired)
def test_a_pbx_that_records_its_route_stays_in_the_dialog(
    world: World, pair, kind: str, host: str, restarts: bool
):
    """§16.12.1: by its Route, a strict one in the Request-URI with ours behind it."""
    caller, callee = pair
    pbx = callee
    inner = "<sip:ext7@10.77.0.7:5080>"
    if host == ELSEWHERE:
        pbx = world.phone("pbx", registered=False, host=ELSEWHERE)
    place = ":".join(map(str, (pbx.listens_at or pbx.address)))
    more = ";transport=tcp" if isinstance(pbx, TcpPhone) else ""
    route = f"<sip:{place}{more}{';lr' if kind == 'loose' else ''}>"
    call = calls(pair)
    call.received.put_first("record-route", f"Record-Route: {route}")
    own, callee.contact = callee.contact, inner
    callee.answers(call.received, 200)
    callee.contact = own
    here = dialog_of_caller(call.invite, caller.gets(200))
    if restarts:
        started_again(world)
    receiver = callee if is_behind_nat(callee) else pbx
    for method in ("ACK", "UPDATE", "BYE"):
        got = goes_to(caller, method, here, receiver)
        if kind == "loose":
            assert (got.uri_text, got.values("route")) == (inner.strip("<>"), [route])
        else:
            assert (got.uri_text, got.values("route")) == (route.strip("<>"), [inner])
    assert not world.lost


# Target refreshes


@cases("place", ["another host", "another port", "a name"])
@cases("by", ["request", "2xx"])
@cases("method", ["INVITE", "UPDATE"])
@cases("who", ["callee", "caller"])
@each_pair(paired)
def test_a_later_contact_is_reached_from_then_on(
    world: World, pair, place: str, by: str, method: str, who: str
):
    """§12.2.1.2, §12.2.2; RFC 3311 §5.3: from either side; external callers stay where seen."""
    call = talks(pair)
    phone, dialog, peer, back = call.callee, call.there, call.caller, call.here
    if who == "caller":
        phone, dialog, peer, back = peer, back, phone, dialog
    other = at(world, phone, place)
    if by == "request":
        own, phone.contact = phone.contact, other.contact
        goes_to(phone, method, dialog, peer)
        phone.contact = own
    else:
        peer.sends_within(method, back)
        answers_for(phone, other, phone.gets(method), 200)
        peer.gets(200)
    stays = (
        is_behind_nat(phone)
        or phone.aor.endswith("elsewhere.org")
        or (isinstance(phone, TcpPhone) and place == "another port")
    )
    back.target = other.contact.strip("<>")
    for then in ("ACK", "INFO", "UPDATE"):
        goes_to(peer, then, back, phone if stays else other)
    assert not world.lost


def test_an_address_named_before_is_reached_too(world: World):
    """§12.2.1.2: a re-INVITE that fails leaves the target as it was."""
    call = talks(world.phones("alice", "bob"))
    other = at(world, call.callee, "another host")
    own, call.callee.contact = call.callee.contact, other.contact
    call.callee.sends_within("INVITE", call.there)
    call.caller.answers(call.caller.gets("INVITE"), 488)
    call.caller.gets("ACK")
    call.callee.gets(488)
    call.callee.contact = own
    goes_to(call.caller, "BYE", call.here, call.callee)


@each_pair(paired)
def test_a_subscription_follows_both_sides(world: World, pair):
    """RFC 6665 §4.1.2, §4.2.2: the Contact of NOTIFY and of SUBSCRIBE, the first NOTIFY early."""
    watcher, phone = pair
    event = ("Event: dialog",)
    other = at(world, phone, "another host")
    subscribe = watcher.sends("SUBSCRIBE", phone.aor, headers=event)
    received = phone.gets("SUBSCRIBE")
    there = dialog_of_callee(received, answers_for(phone, other, received, 200))
    here = dialog_of_caller(subscribe, watcher.gets(200))
    receiver = phone if is_behind_nat(phone) else other
    goes_to(watcher, "SUBSCRIBE", here, receiver, headers=event)
    third = at(world, phone, "another port")
    own, phone.contact = phone.contact, third.contact
    goes_to(phone, "NOTIFY", there, watcher, headers=event)
    phone.contact = own
    here.target = third.contact.strip("<>")
    receiver = phone if is_behind_nat(phone) or isinstance(phone, TcpPhone) else third
    goes_to(watcher, "SUBSCRIBE", here, receiver, headers=event)
    assert not world.lost


@each_pair(paired)
def test_what_is_forgotten_falls_back_to_the_bindings(world: World, pair):
    """A restart forgets a later target: the phone is where it is registered."""
    call = talks(pair)
    other = at(world, call.callee, "another host")
    call.callee.contact, own = other.contact, call.callee.contact
    goes_to(call.callee, "INVITE", call.there, call.caller)
    call.callee.contact = own
    call.here.target = other.contact.strip("<>")
    started_again(world)
    goes_to(call.caller, "ACK", call.here, call.callee)
    goes_to(call.caller, "BYE", call.here, call.callee)
    assert other.hears_nothing()


# Phones that register again from elsewhere


def moves(world: World, phone: Phone, way: str) -> Phone:
    """A phone comes back from another address; what it was is gone."""
    same = {"call_id": "one"} if way == "Call-ID" else {}
    instance = ';+sip.instance="<urn:uuid:1>"' if way == "instance" else ""
    if way == "alone":
        phone.registers(expires=0)
    if isinstance(phone, TcpPhone):
        again = world.phone(phone.name, registered=False, transport="TCP")
        if phone.listens_at is None:
            again.moves_behind_nat("192.168.1.77:5060")
        world.streams.close(phone)
        phone.listens_at = None
    elif is_behind_nat(phone):
        again = world.phone(phone.name, registered=False, host="198.51.100.44", port=40_404)
        again.sent_by = "192.168.1.77:5060"
        again.contact = f"<sip:{phone.name}@192.168.1.77:5060>"
    else:
        again = world.phone(phone.name, registered=False)
    again.cseq = phone.cseq
    again.registers(again.contact + instance, **same)
    del world.at[phone.address]
    return again


@cases("way", ["Call-ID", "instance", "alone"])
@cases("who", ["callee", "caller"])
@cases("restarts", [False, True])
@each_pair(paired)
def test_a_phone_that_registers_elsewhere_keeps_its_call(
    world: World, pair, who: str, way: str, restarts: bool
):
    """RFC 5626 §5.3, §6: requests that name the old Contact reach the phone, and its own pass."""
    caller, callee = pair
    phone = callee if who == "callee" else caller
    if phone.aor.endswith("elsewhere.org"):
        return  # an external caller has no registration here
    same = {"call_id": "one"} if way == "Call-ID" else {}
    instance = ';+sip.instance="<urn:uuid:1>"' if way == "instance" else ""
    phone.registers(phone.contact + instance, **same)
    call = talks(pair)
    again = moves(world, phone, way)
    if restarts:
        world.start_server()
        for other in list(world.at.values()):
            if isinstance(other, TcpPhone):
                other.connects()
                more = same if other is again else {}
                other.registers(other.contact + (instance if other is again else ""), **more)
    if who == "callee":
        peer, there, back = caller, call.here, call.there
    else:
        peer, there, back = callee, call.there, call.here
    goes_to(peer, "ACK", there, again)
    goes_to(peer, "INVITE", there, again)
    goes_to(again, "INVITE", back, peer)
    there.target = again.contact.strip("<>")
    goes_to(peer, "ACK", there, again)
    goes_to(peer, "BYE", there, again)
    assert not world.lost


def test_a_phone_that_has_not_registered_yet_is_asked_once(world: World):
    """§22.2: with its password it is believed, and the next requests find it."""
    alice, bob = world.phones("alice", "bob")
    call = talks((alice, bob))
    again = world.phone("bob", registered=False)
    sent = again.sends_within("INVITE", call.there, body=SDP)
    again.transmits(again.with_credentials(sent, again.gets(407)))
    alice.answers(alice.gets("INVITE"), 200)
    again.gets(200)
    call.here.target = again.contact.strip("<>")
    for method in ("ACK", "INFO", "BYE"):
        goes_to(alice, method, call.here, again)
    assert bob.hears_nothing()


def test_another_users_password_moves_no_phone(world: World):
    """Only the user of a side speaks for it."""
    alice, bob, eve = world.phones("alice", "bob", "eve")
    call = talks((alice, bob))
    sent = eve.sends_within("UPDATE", call.there)
    eve.transmits(eve.with_credentials(sent, eve.gets(407)))
    alice.answers(alice.gets("UPDATE"), 200)
    call.here.target = eve.contact.strip("<>")
    eve.inbox.clear()
    goes_to(alice, "BYE", call.here, bob)
    assert eve.hears_nothing()


# Without a route set


def test_a_caller_without_routes_reaches_the_phone_that_answered(world: World):
    """§16.5: ACK, re-INVITE and BYE to the name that was called, with the Record-Route ignored."""
    alice, desk, mobile = world.phone("alice"), world.phone("bob"), world.phone("bob")
    invite = alice.sends("INVITE", desk.aor)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    mobile.answers(at_mobile, 180)
    alice.gets(180)
    desk.answers(at_desk, 200)
    mobile.answers(mobile.gets("CANCEL"), 200)
    mobile.answers(at_mobile, 487)
    mobile.gets("ACK")
    here = dialog_of_caller(invite, alice.gets(200))
    here.target, here.routes = desk.aor, []
    alice.sends_within("ACK", here, cseq=invite.cseq[0])
    assert desk.gets("ACK").uri_text == desk.contact.strip("<>")
    for method in ("INVITE", "BYE"):
        sent = alice.sends_within(method, here)
        again = alice.with_credentials(sent, alice.gets(407))
        alice.transmits(again)
        desk.answers(desk.gets(method), 200)
        alice.gets(200)
        if method == "INVITE":
            alice.sends_within("ACK", here, cseq=again.cseq[0])
            desk.gets("ACK")
    assert mobile.hears_nothing()


@pytest.mark.parametrize("way", ["Call-ID", "instance", "alone", "refresh"])
def test_a_caller_without_routes_reaches_a_phone_that_moves(world: World, way: str):
    """§16.5, §12.2.2: by the binding that the phone has now, or the Contact that it has told."""
    alice, bob = world.phones("alice", "bob")
    same = {"call_id": "one"} if way == "Call-ID" else {}
    bob.registers(
        bob.contact + (';+sip.instance="<urn:uuid:1>"' if way == "instance" else ""), **same
    )
    call = calls((alice, bob))
    bob.answers(call.received, 200)
    here = dialog_of_caller(call.invite, alice.gets(200))
    there = dialog_of_callee(call.received, bob.answers(call.received, 200))
    alice.inbox.clear()
    if way == "refresh":
        again = at(world, bob, "another host")
        own, bob.contact = bob.contact, again.contact
        goes_to(bob, "UPDATE", there, alice)
        bob.contact = own
    else:
        again = moves(world, bob, way)
    here.routes, here.target = [], bob.aor
    alice.sends_within("ACK", here, cseq=call.invite.cseq[0])
    again.gets("ACK")
    for method in ("INVITE", "BYE"):
        sent = alice.sends_within(method, here)
        alice.transmits(alice.with_credentials(sent, alice.gets(407)))
        again.answers(again.gets(method), 200)
        alice.gets(200)
    assert not world.lost


def test_an_external_caller_without_routes_hangs_up_too(world: World):
    """The same for an external caller; an ACK of any other host is dropped."""
    bob, stranger = world.phone("bob"), world.phone("x", registered=False)
    stranger.aor = STRANGER
    invite = stranger.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 200)
    here = dialog_of_caller(invite, stranger.gets(200))
    here.target, here.routes = bob.aor, []
    third = world.phone("third", registered=False)
    third.sends_within("ACK", here, cseq=invite.cseq[0])
    assert bob.hears_nothing()
    stranger.sends_within("ACK", here, cseq=invite.cseq[0])
    bob.gets("ACK")
    stranger.sends_within("BYE", here)
    bob.answers(bob.gets("BYE"), 200)
    stranger.gets(200)


# What stays shut


def test_a_dialog_leads_to_no_gateway(world: World):
    """A Contact at the gateway of a trunk, told by a phone, costs no money."""
    world = World(settings={"sip_trunk": parse_trunks("0=sip:203.0.113.5")})
    gateway = world.phone("gateway", registered=False, host="203.0.113.5")
    alice, bob = world.phones("alice", "bob")
    call = calls((alice, bob))
    answers_for(bob, gateway, call.received, 200)
    here = dialog_of_caller(call.invite, alice.gets(200))
    alice.sends_within("ACK", here)
    alice.sends_within("INVITE", here, body=SDP)
    bob.contact, own = gateway.contact, bob.contact
    there = dialog_of_callee(call.received, bob.answers(call.received, 200))
    bob.sends_within("UPDATE", there)
    bob.contact = own
    alice.inbox.clear()
    alice.sends_within("INFO", here)
    assert gateway.hears_nothing()


def test_a_side_of_a_shared_host_speaks_for_itself(world: World):
    """Two phones of one machine: from its own port none tells where the other is."""
    alice = world.phone("alice", host="192.0.2.200", port=5071)
    bob = world.phone("bob", host="192.0.2.200", port=5072)
    victim = world.phone("victim", registered=False, host="203.0.113.9")
    call = talks((alice, bob))
    as_alice = call.here  # as Bob can write it, since he knows both tags
    bob.contact, own = victim.contact, bob.contact
    bob.sends_within("UPDATE", as_alice)
    bob.contact = own
    call.there.target = victim.contact.strip("<>")
    bob.sends_within("INFO", call.there)
    assert victim.hears_nothing()


def test_each_refusal_in_a_dialog_is_a_line_of_the_log(world: World, caplog):
    """A dropped ACK, and a request that is asked for a password or refused, with the cause."""
    caplog.set_level("INFO")
    alice, bob = world.phones("alice", "bob")
    here = talks((alice, bob)).here
    here.routes.append("<sip:203.0.113.9;lr>")
    for method in ("ACK", "BYE"):
        caplog.clear()
        sent = alice.sends_within(method, here)
        (told,) = [record.getMessage() for record in caplog.records]
        assert method in told
        assert told.endswith("<sip:203.0.113.9;lr> was named by no side of this dialog")
    caplog.clear()
    alice.transmits(alice.with_credentials(sent, alice.gets(407)))
    alice.gets(403)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "outside" in line


def test_calls_behind_nat_are_not_led_astray(world: World):
    """A private Contact told from a public address is that of the flow."""
    bob = behind_nat(world, "bob", 33_333)
    alice = world.phone("alice")
    call = Call(alice, bob, *(lambda c: (c.invite, c.received))(calls((alice, bob))))
    other = world.phone("other", registered=False, host="192.168.1.99")
    answers_for(bob, other, call.received, 200)
    here = dialog_of_caller(call.invite, alice.gets(200))
    goes_to(alice, "BYE", here, bob)
    assert other.hears_nothing()
    assert REALM in bob.aor
