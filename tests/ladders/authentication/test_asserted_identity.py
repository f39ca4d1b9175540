"""Asserted identities: no phone is trusted to assert one (RFC 3325 §5, §6)."""

import pytest

from sip.message.message import Request
from tests.support.cases import cases
from tests.support.forwarding import Call, calls, each_pair, talks
from tests.support.world import World

STRANGER = "sip:x@elsewhere.org"
ASSERTED = "P-Asserted-Identity: <sip:president@example.com>"
PREFERRED = "P-Preferred-Identity: <sip:alice@example.com>"
FORMS = (
    ASSERTED,
    PREFERRED,
    'P-Asserted-Identity: "The President" <sip:president@example.com>, <tel:+15555550100>',
    "p-asserted-identity : <tel:+15555550100>",
    "P-ASSERTED-IDENTITY:\r\n <sip:a@b>",
    "P-Asserted-Identity:",
    'P-Asserted-Identity: "<<',
    "p-PREFERRED-identity:\t<sip:other@example.com>",
)


def is_silent(request: Request) -> bool:
    """Return True if a message has no asserted identity."""
    text = request.encode().lower()
    return b"p-asserted-identity" not in text and b"p-preferred-identity" not in text


@cases("form", FORMS)
def test_what_a_phone_asserts_is_taken_off(world: World, form: str):
    """§5: from an element that isn't trusted it MUST be replaced or removed; §6: so the other."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    around = ("Subject: before", form, "X-After: 1")
    stranger.sends("INVITE", bob.aor, from_uri=STRANGER, headers=around)
    invite = bob.gets("INVITE")
    assert is_silent(invite)
    assert [line for line in invite.lines if line in around] == ["Subject: before", "X-After: 1"]


def test_all_of_them_are_taken_off(world: World):
    """§5: there may be many values."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    stranger.sends("INVITE", bob.aor, from_uri=STRANGER, headers=FORMS)
    assert is_silent(bob.gets("INVITE"))


@cases("method", ["INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS", "REFER", "FLY"])
@cases("is_local", [True, False])
def test_asserted_identities_are_removed_for_any_sender(world: World, method: str, is_local: bool):
    """§5: the digest is the identity of a sender, not the header fields beside it."""
    alice, bob = world.phones("alice", "bob")
    more = {} if is_local else {"from_uri": STRANGER}
    alice.sends(method, bob.aor, headers=(ASSERTED, PREFERRED), **more)
    assert is_silent(bob.gets(method))


def test_no_phone_of_a_fork_gets_an_asserted_identity(world: World):
    """§5: in every copy."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    alice.sends("INVITE", desk.aor, headers=(ASSERTED,))
    assert is_silent(desk.gets("INVITE"))
    assert is_silent(mobile.gets("INVITE"))


@cases("method", ["INVITE", "UPDATE", "NOTIFY", "INFO", "BYE"])
@each_pair()
def test_within_a_dialog_nothing_is_asserted_either(world: World, pair, method: str):
    """§5: a ticket proves a dialog, no identity; from both sides."""
    call: Call = talks(pair)
    for near, dialog, far in (
        (call.caller, call.here, call.callee),
        (call.callee, call.there, call.caller),
    ):
        assert dialog is not None
        near.sends_within(method, dialog, headers=(PREFERRED, ASSERTED))
        assert is_silent(far.gets(method))


@each_pair()
def test_an_ack_asserts_nothing(world: World, pair):
    """§5: it goes on without a transaction, and is a request all the same."""
    call = calls(pair)
    response = call.rings(200)
    assert response is not None
    assert call.here is not None
    number = call.invite.cseq[0]
    call.caller.sends_within("ACK", call.here, cseq=number, headers=(ASSERTED, PREFERRED))
    assert is_silent(call.callee.gets("ACK"))


@pytest.mark.parametrize("status", [180, 200, 302, 486])
def test_what_a_callee_asserts_of_itself_comes_back(world: World, status: int):
    """§16.7 of RFC 3261: a response is passed on as it came."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), status, headers=(ASSERTED,))
    assert ASSERTED in alice.gets(status, call).lines


def test_what_is_said_about_privacy_and_by_others_stays(world: World):
    """§7, RFC 3323 §4.2: the phone that is called may want to know; other fields are no matter."""
    alice, bob = world.phones("alice", "bob")
    others = ("Privacy: id", "P-Called-Party-ID: <sip:b@c>", "Remote-Party-ID: <sip:d@e>")
    alice.sends("INVITE", bob.aor, headers=(*others, ASSERTED))
    invite = bob.gets("INVITE")
    assert [line for line in invite.lines if line in others] == list(others)


def test_no_assertion_stands_for_a_password(world: World):
    """§5: a local name is challenged, with any asserted identity."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    world.users.add("alice", "secret")
    headers = ("P-Asserted-Identity: <sip:alice@example.com>",)
    stranger.sends(
        "INVITE",
        bob.aor,
        from_uri="sip:alice@example.com",
        headers=headers,
        answers_challenge=False,
    )
    stranger.gets(407)
    assert bob.hears_nothing()
