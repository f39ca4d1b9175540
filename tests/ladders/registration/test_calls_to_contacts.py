"""Calls to a registered Contact, with any user part (RFC 3261 §16.5, §19.1.4)."""

import pytest

from tests.support.cases import cases
from tests.support.world import REALM, Phone, World

METHODS = ("INVITE", "MESSAGE", "OPTIONS", "NOTIFY", "REFER", "SUBSCRIBE", "INFO")


def bound(world: World, contact: str, name: str = "bob", **more) -> Phone:
    """A phone behind NAT that has registered with this Contact."""
    phone = world.phone(name, registered=False, **more)
    phone.contact, phone.sent_by = contact, "192.168.1.20:5060"
    phone.registers()
    return phone


@cases("method", METHODS)
@cases(
    "contact",
    [
        "<sip:0x12ab@192.0.2.50:5060>",
        "<sip:192.0.2.50:5060>",
        "<sip:alice@192.0.2.50:5060>",
        "<sip:nobody%40x@192.0.2.50:5060;ob>",
        "<sip:a;b=c?d/e@192.0.2.50:5060>",
        "<sip:x@[2001:DB8::0:50]:5060>",
    ],
)
def test_a_contact_is_found_with_any_user_part(world: World, method: str, contact: str):
    """Phones write random characters there, or nothing; here the phone is behind NAT."""
    bob = bound(world, contact, host="203.0.113.7", port=40_000)
    alice, mobile = world.phones("alice", "bob")
    alice.sends(method, contact.strip("<>"))
    assert bob.gets(method).uri_text == contact.strip("<>")
    assert mobile.hears_nothing()


@pytest.mark.parametrize(
    ("contact", "asked"),
    [
        ("sip:x@192.0.2.50:5060", "sip:x@192.0.2.50:5060;transport=udp"),
        ("sip:x@192.0.2.50:5060;transport=UDP", "sip:x@192.0.2.50:5060;a=b"),
        ("sip:x@192.0.2.50:5060;a=b;transport=udp", "sip:%78@192.0.2.50:05060;A=B"),
        ("sip:X@Phone.example", "SIP:X@phone.EXAMPLE;Transport=udp"),
        ("sip:x@[2001:db8::50]", "sip:x@[2001:DB8:0::50];transport=udp"),
    ],
)
def test_udp_said_by_one_side_alone_is_no_difference(world: World, contact: str, asked: str):
    """§19.1.4 calls them different; UDP is what a URI without a transport means."""
    bob = bound(world, f"<{contact}>", host="203.0.113.7", port=40_000)
    alice = world.phone("alice")
    alice.sends("MESSAGE", asked)
    assert bob.gets("MESSAGE").uri_text == contact


@cases(
    "asked",
    [
        "sip:x@192.0.2.50:5061",
        "sip:x@192.0.2.50",
        "sip:X@192.0.2.50:5060",
        "sip:192.0.2.50:5060",
        "sip:x@192.0.2.51:5060",
        "sip:x@192.0.2.50:5060;transport=tcp",
        "sip:x@192.0.2.50:5060;user=phone",
        "sip:x@192.0.2.50:5060;maddr=203.0.113.9",
        "sip:x:pw@192.0.2.50:5060",
    ],
)
def test_another_uri_is_another_place(world: World, asked: str):
    """§19.1.4: nothing is let out for what only looks like a Contact here."""
    bob = bound(world, "<sip:x@192.0.2.50:5060>", host="203.0.113.7", port=40_000)
    alice = world.phone("alice")
    alice.sends("MESSAGE", asked)
    alice.gets(403)
    assert bob.hears_nothing()


def test_an_external_caller_finds_no_contact(world: World):
    """Nor does a user of another domain here: a Contact is an address among colleagues."""
    world.users.add("carol", "secret", "other.org")
    bob = bound(world, "<sip:x@192.0.2.50:5060>", host="203.0.113.7", port=40_000)
    stranger = world.phone("stranger", registered=False)
    stranger.sends("MESSAGE", "sip:x@192.0.2.50:5060", from_uri="sip:x@elsewhere.org")
    stranger.gets(403)
    carol = world.phone("carol", registered=False)
    carol.sends("MESSAGE", "sip:x@192.0.2.50:5060", from_uri="sip:carol@other.org")
    carol.gets(403)
    assert bob.hears_nothing()


def test_of_equal_contacts_the_named_user_or_the_latest_is_meant(world: World):
    """Every home has a 192.168.1.20: nothing else tells which of them is meant."""
    contact = "<sip:bob@192.168.1.20:5060>"
    alice = world.phone("alice")
    carol = bound(world, contact, "carol", host="203.0.113.7")
    alice.sends("MESSAGE", contact.strip("<>"))
    carol.gets("MESSAGE")
    dave = bound(world, contact, "dave", host="203.0.113.8")
    alice.sends("MESSAGE", contact.strip("<>"))
    dave.gets("MESSAGE")
    bob = bound(world, contact, "bob", host="203.0.113.9")
    bound(world, contact, "erin", host="203.0.113.10")
    alice.sends("MESSAGE", contact.strip("<>"))
    bob.gets("MESSAGE")
    for phone in (dave, carol):
        assert phone.hears_nothing()


def test_a_contact_that_is_bound_no_more_is_not_found(world: World):
    """Whether it was removed, has expired, or its account is disabled."""
    alice = world.phone("alice")
    for number, ends in enumerate(("removed", "expired", "disabled")):
        contact = f"<sip:x@192.0.2.{50 + number}:5060>"
        bob = bound(world, contact, f"user{number}", host=f"203.0.113.{number}")
        if ends == "removed":
            bob.registers(contact, expires=0)
        elif ends == "expired":
            world.passes(3601, step=600)
            alice.registers()
        else:
            world.users.accounts[f"user{number}", REALM].enabled = False
        alice.sends("MESSAGE", contact.strip("<>"))
        alice.gets(403)
        assert bob.hears_nothing()


def test_a_contact_is_found_after_a_restart(world: World):
    """The index is made of the bindings that were kept."""
    bob = bound(world, "<sip:x@192.0.2.50:5060;transport=udp>", host="203.0.113.7")
    alice = world.phone("alice")
    world.start_server()
    alice.sends("MESSAGE", "sip:x@192.0.2.50:5060")
    bob.gets("MESSAGE")
