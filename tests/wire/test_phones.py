"""Everyday use of phones through the server: two makes of phone, each in each role."""

import signal

import pytest

from tests.support.baresip import Baresip
from tests.support.phone_calls import talk_and_hear
from tests.support.pjsua import Pjsua, PjsuaBehindNat

BOTH_PHONES = pytest.mark.parametrize("kind", [Baresip, Pjsua], ids=["baresip", "pjsua2"])
BOTH_WAYS = pytest.mark.parametrize(
    ("caller", "callee"),
    [(Baresip, Pjsua), (Pjsua, Baresip)],
    ids=["baresip-calls-pjsua2", "pjsua2-calls-baresip"],
)


# Registering


@BOTH_PHONES
def test_a_phone_with_the_wrong_password_is_not_registered(server, phone, kind):
    """RFC 3261 §22.2: a UAS that can't verify the credentials repeats the challenge."""
    mallory = phone(kind, "alice", server, "guessed")

    mallory.asks_to_register()
    mallory.expects("refused", status=401)
    mallory.never_notices("registered")


def test_a_mistyped_password_is_one_mistake(server, phone):
    """RFC 3261 §22.1: pjsua2 answers each challenge that has a new nonce, and stops at an old one.

    So one typo leaves its user four more, and the right password is let in at once.
    """
    alice = phone(Pjsua, "alice", server, "a typo")
    alice.asks_to_register()
    alice.expects("refused", status=401)
    assert server.log.read_text().count("wrong password for alice") == 1
    alice.is_given(server.password_of("alice"))
    alice.expects("registered")


def test_an_account_added_to_the_running_server_can_register(server, phone):
    """Accounts belong to the database, which a running server watches."""
    server.add_user("dave", "a word")
    dave = phone(Pjsua, "dave", server, "a word")

    dave.registers()


@BOTH_WAYS
@pytest.mark.parametrize("names", [("ann@example.org", "bo@example.net"), ("+4930123", "jörg")])
def test_names_of_every_kind_register_and_call(server, phone, caller, callee, names):
    """RFC 3261 §19.1.2, RFC 7616 §4: escaped in a URI, and as they are in a digest."""
    phones = []
    for kind, name in zip((caller, callee), names, strict=True):
        server.add_user(name, "a-word")
        phones.append(phone(kind, name, server, "a-word"))
        phones[-1].registers()

    talk_and_hear(*phones)
    phones[1].hangs_up()
    phones[0].call_ends(phones[1])


@BOTH_PHONES
def test_a_phone_that_has_unregistered_cannot_be_called(registered, kind):
    """RFC 3261 §10.2.2, §16.5: a target set that is empty means 480."""
    alice, bob = registered(Pjsua, "alice"), registered(kind, "bob")

    bob.unregisters()
    alice.dials(bob)
    assert alice.call_ends(bob).status in (404, 480)
    bob.never_notices("incoming")

    bob.registers()
    alice.dials(bob)
    bob.gets_a_call(alice)


def test_a_user_that_does_not_exist_cannot_be_called(server, registered):
    """RFC 3261 §16.5: 404 for a user that the domain does not know, as its own users may hear."""
    alice = registered(Pjsua, "alice")

    alice.dials(f"sip:nobody@{server.domain}")
    alice.call_ends(status=404)


def test_a_caller_reads_in_a_warning_why_its_call_fails(registered):
    """RFC 3261 §20.43: the phone has shown its password, so it is told."""
    alice, bob = registered(Pjsua, "alice"), registered(Baresip, "bob")

    bob.unregisters()
    alice.dials(bob)
    closed = alice.call_ends(bob)
    assert (closed.status, closed.warning) == (480, "callee bob is not registered")


# Calling


@BOTH_WAYS
@pytest.mark.parametrize("who_hangs_up", ["caller", "callee"])
def test_two_phones_talk_until_one_hangs_up(registered, caller, callee, who_hangs_up):
    """RFC 3665 §3.2: INVITE, 180, 200, ACK, audio both ways, BYE from either end."""
    alice, bob = registered(caller, "alice"), registered(callee, "bob")

    talk_and_hear(alice, bob)
    (alice if who_hangs_up == "caller" else bob).hangs_up()
    alice.call_ends(bob)
    bob.call_ends(alice)


@BOTH_WAYS
def test_a_busy_phone_is_reported_as_busy(registered, caller, callee):
    """RFC 3261 §21.4.24, §16.7: the one 486 is the best response."""
    alice, bob = registered(caller, "alice"), registered(callee, "bob")

    alice.dials(bob)
    bob.gets_a_call(alice)
    bob.refuses()
    alice.call_ends(bob, status=486)


@BOTH_WAYS
def test_a_phone_stops_ringing_when_the_caller_gives_up(registered, caller, callee):
    """RFC 3261 §9.1, §16.10: CANCEL travels hop by hop, and ends what rings."""
    alice, bob = registered(caller, "alice"), registered(callee, "bob")

    alice.dials(bob)
    bob.gets_a_call(alice)
    alice.hears_ringing(bob)
    alice.hangs_up()
    bob.call_ends(alice)
    alice.call_ends(bob)
    bob.never_notices("talking")


@BOTH_WAYS
def test_a_call_is_held_and_resumed(registered, caller, callee):
    """RFC 3261 §14, RFC 3264 §8.4: re-INVITEs travel along the route set of the dialog."""
    alice, bob = registered(caller, "alice"), registered(callee, "bob")

    talk_and_hear(alice, bob)
    alice.holds()
    alice.hears_nothing()
    alice.resumes()
    alice.hears()
    bob.hears()

    bob.holds()
    bob.hears_nothing()
    bob.resumes()
    alice.hears()
    bob.hears()
    alice.hangs_up()
    bob.call_ends(alice)


@pytest.mark.parametrize(
    ("caller", "callee"),
    [(PjsuaBehindNat, Baresip), (Baresip, PjsuaBehindNat), (PjsuaBehindNat, PjsuaBehindNat)],
    ids=["caller", "callee", "both"],
)
def test_a_phone_behind_nat_is_reached_where_it_registered_from(server, registered, caller, callee):
    """RFC 3581 §4, RFC 5626 §5.3: on its flow, also after a restart, with any Contact."""
    alice, bob = registered(caller, "alice"), registered(callee, "bob")

    talk_and_hear(alice, bob)
    alice.hangs_up()
    bob.call_ends(alice)
    alice.call_ends(bob)

    talk_and_hear(bob, alice)
    server.restart()
    alice.hangs_up()
    bob.call_ends(alice)
    alice.call_ends(bob)


@pytest.mark.parametrize(
    ("caller", "answerer", "expert"),
    [(Pjsua, Baresip, Pjsua), (Baresip, Pjsua, Baresip)],
    ids=["baresip-transfers-pjsua2", "pjsua2-transfers-baresip"],
)
def test_a_call_is_transferred_blindly(registered, caller, answerer, expert):
    """RFC 3515, RFC 5589 §6.1: REFER inside the dialog makes the caller call another user."""
    alice, bob, carol = (
        registered(caller, "alice"),
        registered(answerer, "bob"),
        registered(expert, "carol"),
    )

    talk_and_hear(alice, bob)
    bob.transfers(carol)
    carol.gets_a_call(alice)
    carol.answers()
    carol.is_talking(alice)
    alice.is_talking(carol)
    bob.call_ends(alice)
    carol.hears()
    carol.hangs_up()
    alice.call_ends(carol)


# Two phones of one user


@pytest.mark.parametrize("answerer", ["desk", "mobile"])
def test_the_first_phone_to_answer_silences_the_other(registered, answerer):
    """RFC 3261 §16.7, step 10: a 2xx cancels every branch that still rings."""
    alice = registered(Pjsua, "alice")
    desk, mobile = registered(Baresip, "bob"), registered(Pjsua, "bob")
    quick, slow = (desk, mobile) if answerer == "desk" else (mobile, desk)

    alice.dials(desk)
    desk.gets_a_call(alice)
    mobile.gets_a_call(alice)
    quick.answers()
    slow.call_ends(alice)
    alice.is_talking()
    quick.is_talking(alice)
    quick.hears()
    alice.hangs_up()
    quick.call_ends(alice)
    slow.never_notices("talking")


def test_one_phone_that_refuses_leaves_the_other_ringing(registered):
    """RFC 3261 §16.7, step 6: no final response but a 2xx or 6xx ends the fork early."""
    alice = registered(Pjsua, "alice")
    desk, mobile = registered(Baresip, "bob"), registered(Pjsua, "bob")

    alice.dials(desk)
    desk.gets_a_call(alice)
    mobile.gets_a_call(alice)
    desk.refuses()
    alice.never_notices("closed")
    mobile.answers()
    alice.is_talking()
    mobile.is_talking(alice)
    mobile.hangs_up()
    alice.call_ends()


def test_a_caller_that_gives_up_silences_both_phones(registered):
    """RFC 3261 §16.10: a CANCEL reaches every branch, and one 487 answers the caller."""
    alice = registered(Baresip, "alice")
    desk, mobile = registered(Baresip, "bob"), registered(Pjsua, "bob")

    alice.dials(desk)
    desk.gets_a_call(alice)
    mobile.gets_a_call(alice)
    alice.hears_ringing()
    alice.hangs_up()
    desk.call_ends(alice)
    mobile.call_ends(alice)


def test_a_dead_phone_does_not_stop_the_other_from_ringing(registered):
    """RFC 3261 §16.7, §18.4: a branch without an answer (here an ICMP error) is one branch."""
    alice = registered(Pjsua, "alice")
    desk, mobile = registered(Baresip, "bob"), registered(Pjsua, "bob")

    desk.dies()
    talk_and_hear(alice, mobile)
    alice.hangs_up()
    mobile.call_ends(alice)


# Writing


@BOTH_WAYS
def test_two_phones_write_to_each_other(registered, caller, callee):
    """RFC 3428: MESSAGE outside a dialog, challenged like every request."""
    alice, bob = registered(caller, "alice"), registered(callee, "bob")

    alice.writes("shall we talk?", to=bob)
    bob.reads("shall we talk?", from_=alice)
    bob.writes("gerne, in fünf Minuten ☕", to=alice)
    alice.reads("gerne, in fünf Minuten ☕", from_=bob)


def test_a_message_that_needs_several_packets_arrives_whole(registered):
    """RFC 3261 §18.1.1: a datagram may pass the MTU; pjsua2 itself goes as far as 4,000 bytes."""
    alice, bob = registered(Pjsua, "alice"), registered(Pjsua, "bob")
    letter = "All work and no play makes Jack a dull boy. " * 50 + "Jack"

    alice.writes(letter, to=bob)
    bob.reads(letter, from_=alice)
    alice.expects("message delivered", peer="bob")


def test_a_message_to_a_phone_that_is_off_comes_back_refused(server, registered):
    """RFC 3428 §5: there is no store; the sender gets an error."""
    alice = registered(Pjsua, "alice")

    alice.writes("are you there?", to=f"sip:bob@{server.domain}")
    assert alice.expects("message refused", peer="bob").status in (404, 480)


# The server goes away and comes back

RESTARTS = pytest.mark.parametrize(
    "by", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"]
)


@RESTARTS
@BOTH_WAYS
def test_a_call_outlives_the_server(server, registered, caller, callee, by):
    """RFC 3261 §16.4, §16.6: what the Record-Route says is enough to carry a BYE."""
    alice, bob = registered(caller, "alice"), registered(callee, "bob")

    talk_and_hear(alice, bob)
    server.restart(by)
    alice.hears()
    bob.hears()
    bob.hangs_up()
    alice.call_ends(bob)
    bob.call_ends(alice)


@RESTARTS
def test_a_phone_need_not_register_again_after_a_restart(server, registered, by):
    """RFC 3261 §10.3: a binding that was answered with 200 lives until it expires."""
    alice, bob, carol = (
        registered(Pjsua, "alice"),
        registered(Baresip, "bob"),
        registered(Pjsua, "carol"),
    )

    server.restart(by)
    talk_and_hear(alice, bob)
    alice.hangs_up()
    bob.call_ends(alice)
    talk_and_hear(bob, carol)
    bob.hangs_up()
    carol.call_ends(bob)
