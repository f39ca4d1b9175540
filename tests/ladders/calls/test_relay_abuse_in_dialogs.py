"""Abuse of signed Record-Routes within dialogs (RFC 3261 §16.6, §26; RFC 5626 §5.3)."""

import logging

import pytest

from tests.support.world import REALM, World, dialog_of_callee, dialog_of_caller

STRANGER = "sip:x@elsewhere.org"


@pytest.fixture(autouse=True)
def nothing_raised(caplog):
    """No input of a peer causes an error of our own."""
    yield
    assert not [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]


def talk(world: World, caller, callee, aor: str = "", **more):
    """Set a call up; give the two sides' dialogs.  The address called may be another's."""
    call = caller.sends("INVITE", aor or callee.aor, **more)
    invite = callee.gets("INVITE")
    ok = callee.answers(invite, 200)
    return dialog_of_caller(call, caller.gets(200, call)), dialog_of_callee(invite, ok)


def test_an_external_ticket_opens_only_the_named_flows(world: World):
    """The flows that are named are all that a ticket of an unauthenticated side opens."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    here, there = talk(world, stranger, bob, from_uri=STRANGER)
    third = world.phone("third", registered=False)
    for dialog, phone in ((here, bob), (there, stranger)):
        dialog.target = "sip:victim@203.0.113.9"
        third.sends_within("INFO", dialog)
        assert phone.gets("INFO").uri_text == dialog.target
        dialog.routes.append("<sip:203.0.113.9;lr>")
        third.sends_within("MESSAGE", dialog)
        phone.gets("MESSAGE")
    assert not world.lost


def test_a_third_address_cannot_speak_for_a_user(world: World):
    """§12.2.2: a Contact is believed from where its user was seen, or with the password."""
    alice, bob = world.phones("alice", "bob")
    here, there = talk(world, alice, bob)
    third = world.phone("third", registered=False)
    here.target, there.target = bob.contact.strip("<>"), alice.contact.strip("<>")
    for dialog, phone in ((here, bob), (there, alice)):
        third.sends_within("UPDATE", dialog)
        third.gets(407)
        third.sends_within("NOTIFY", dialog)  # no phone expects to be asked for that
        phone.answers(phone.gets("NOTIFY"), 200)
        third.gets(200)
    there.target = here.target = third.contact.strip("<>")
    here.remote, there.remote = bob.aor, alice.aor
    for phone, dialog, other in ((alice, here, bob), (bob, there, alice)):
        phone.sends_within("BYE", dialog)
        other.gets("BYE")
    assert third.hears_nothing()


def test_an_unknown_caller_cannot_name_another_address(world: World):
    """§12.2: what a side says that has shown no password opens nothing but its own flow."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    here, there = talk(world, stranger, bob, from_uri=STRANGER)
    victim = world.phone("victim", registered=False, host="203.0.113.9")
    stranger.contact = "<sip:victim@203.0.113.9>"
    stranger.sends_within("INVITE", here)
    bob.answers(bob.gets("INVITE"), 200)
    stranger.inbox.clear()
    there.target = "sip:victim@203.0.113.9"
    for method in ("ACK", "INFO", "BYE"):
        bob.sends_within(method, there)
        assert stranger.gets(method).uri_text == there.target
    assert victim.hears_nothing()


def test_a_ticket_follows_no_foreign_route_without_a_password(world: World):
    """A foreign Route behind ours is followed only with the digest of a local user."""
    alice, bob = world.phones("alice", "bob")
    here, _ = talk(world, alice, bob)
    third = world.phone("third", registered=False)
    here.routes.append("<sip:203.0.113.9;lr>")
    third.sends_within("BYE", here)
    third.gets(407)
    third.sends_within("ACK", here)
    assert not world.lost
    assert third.hears_nothing()


def test_a_target_that_names_us_is_looked_up_not_sent_to_us(world: World):
    """§16.5: in a dialog too, as when a phone gives its address-of-record as Contact."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    here, there = talk(world, alice, bob)
    for target in (bob.aor, "sip:bob@192.0.2.1"):
        here.target = target
        alice.sends_within("INFO", here)
        assert bob.gets("INFO").uri_text == f"sip:bob@{bob.address[0]}:5060"
        alice.sends_within("ACK", here)
        assert bob.gets("ACK").uri_text == f"sip:bob@{bob.address[0]}:5060"
    here.target = carol.aor  # another user: that is a new request, and needs a password
    alice.sends_within("INFO", here)
    alice.gets(407)
    here.target = f"sip:nobody@{REALM}"
    alice.sends_within("ACK", here)
    there.target = "tel:+1555"
    bob.sends_within("BYE", there)
    bob.gets(407)
    assert not world.lost
    assert bob.hears_nothing()


def test_a_caller_with_our_name_as_contact_is_reached_by_flow(world: World):
    """Its own address-of-record as Contact: what it is sent goes where it called from."""
    alice, bob = world.phones("alice", "bob")
    contact, alice.contact = alice.contact, f"<{alice.aor}>"
    _, there = talk(world, alice, bob)
    bob.sends_within("BYE", there)
    assert alice.gets("BYE").uri_text == f"sip:alice@{REALM}"
    alice.contact = contact


def test_a_callee_elsewhere_gets_a_ticket_for_its_own_flow(world: World):
    """A Contact elsewhere is used, but its host has shown no password."""
    alice, bob = world.phone("alice"), world.phone("bob", registered=False)
    third = world.phone("third", registered=False, host="198.51.100.9")
    bob.registers("<sip:third@198.51.100.9>")
    here, there = talk(world, alice, third, bob.aor)
    here.target = "sip:victim@203.0.113.9"
    alice.sends_within("INFO", here)
    third.gets("INFO")
    third.sends_within("INFO", there)
    alice.gets("INFO")
    assert not world.lost


def test_a_call_through_a_recording_edge_proxy_works_to_its_end(world: World):
    """§16.12, RFC 3327: its Route behind ours is followed along the flow, by the ACK too."""
    alice = world.phone("alice")
    edge = world.phone("bob", registered=False, host="198.51.100.1")  # Bob's REGISTER comes by it
    edge.registers(
        "<sip:bob@198.51.100.77>", headers=("Supported: path", "Path: <sip:198.51.100.1;lr>")
    )
    call = alice.sends("INVITE", edge.aor)
    invite = edge.gets("INVITE")
    invite.put_first("record-route", "Record-Route: <sip:198.51.100.1;lr>")
    edge.answers(invite, 200)
    here = dialog_of_caller(call, alice.gets(200, call))
    alice.sends_within("ACK", here, cseq=call.cseq[0])
    assert edge.gets("ACK").values("route") == ["<sip:198.51.100.1;lr>"]
    alice.sends_within("BYE", here)
    assert edge.gets("BYE").values("route") == ["<sip:198.51.100.1;lr>"]


def test_a_caller_behind_a_recording_proxy_is_reached_through_it(world: World):
    """§16.12: the other way round."""
    edge, bob = world.phone("alice"), world.phone("bob")
    route = "Record-Route: <sip:192.0.2.101;lr>"
    _, there = talk(world, edge, bob, headers=(route,))
    bob.sends_within("ACK", there)
    assert edge.gets("ACK").values("route") == ["<sip:192.0.2.101;lr>"]
    bob.sends_within("BYE", there)
    edge.gets("BYE")
