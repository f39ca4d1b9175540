"""The extensions that phones speak among themselves, with phones that we did not write."""

import pytest

from tests.support.phone_calls import part, talk_at_once
from tests.support.pjsua import Pjsua, PjsuaBehindNat, PjsuaReliable, PjsuaTimed, PjsuaTimedSlowly

PLACES = pytest.mark.parametrize("kind", [Pjsua, PjsuaBehindNat], ids=["plain", "behind-nat"])


@PLACES
def test_a_call_that_rings_reliably(registered, kind):
    """RFC 3262 §3, §4: Require: 100rel, RSeq, PRACK with RAck, and the 200 to it."""
    alice, bob = registered(PjsuaReliable, "alice"), registered(kind, "bob")

    alice.dials(bob)
    bob.gets_a_call(alice)
    bob.has_received("INVITE .*", "Require:.* 100rel.*")
    number = alice.has_received("SIP/2.0 180 .*", r"RSeq: (\d+)")[1]
    bob.has_received("PRACK .*", rf"RAck: {number} \d+ INVITE")
    alice.has_received("SIP/2.0 200 .*", r"CSeq: \d+ PRACK")
    alice.hears_ringing(bob)
    bob.answers()
    alice.is_talking(bob)
    bob.is_talking(alice)
    part(alice, bob)


@PLACES
def test_a_session_is_refreshed_by_either_side(registered, kind):
    """RFC 4028 §7.2, §9, §10: by UPDATE and by re-INVITE, along the route set of the dialog."""
    alice, bob = registered(PjsuaTimed, "alice"), registered(kind, "bob")

    talk_at_once(alice, bob)
    bob.has_received("INVITE .*", "Session-Expires: 100", "Min-SE: 90")
    alice.has_received(
        "SIP/2.0 200 .*", "Session-Expires: 100;refresher=ua[cs]", "Require: .*timer"
    )
    for sender, receiver in ((alice, bob), (bob, alice)):
        for method in ("UPDATE", "INVITE"):
            sender.refreshes(by=method)
            cseq = receiver.has_received(
                rf"{method} .*", rf"CSeq: (\d+) {method}", "Session-Expires: 100;refresher=.*"
            )[1]
            sender.has_received("SIP/2.0 200 .*", rf"CSeq: {cseq} {method}", "Session-Expires: .*")
    part(alice, bob)


def test_a_session_interval_that_is_too_small_is_raised(registered):
    """RFC 4028 §6, §7.4: 422 with Min-SE comes back from the callee, and the caller asks again."""
    alice, bob = registered(PjsuaTimed, "alice"), registered(PjsuaTimedSlowly, "bob")

    alice.dials(bob)
    bob.gets_a_call(alice)
    bob.call_ends(alice, status=422)
    alice.has_received("SIP/2.0 422 .*", "Min-SE: 1800")
    bob.gets_a_call(alice)
    bob.has_received("INVITE .*", "Session-Expires: 1800", "Min-SE: 1800")
    bob.answers()
    alice.is_talking(bob)
    bob.is_talking(alice)
    part(alice, bob)


@PLACES
def test_a_call_is_transferred_after_a_consultation(registered, kind):
    """RFC 5589 §7, RFC 3891: REFER with a Replaces in its Refer-To, and the INVITE that follows."""
    alice, bob, carol = (registered(kind, user) for user in ("alice", "bob", "carol"))

    talk_at_once(alice, bob)
    talk_at_once(alice, carol)
    alice.transfers_to_other_call()
    bob.has_received("REFER .*", "Refer-To: .*Replaces=.*")
    carol.has_received("INVITE .*", "Replaces: .*;to-tag=.*;from-tag=.*")
    carol.expects("replaced", peer="alice")
    carol.is_talking(bob)
    bob.is_talking(carol)
    alice.has_received("NOTIFY .*", "Event: refer.*", "SIP/2.0 200 .*")
    alice.expects("transferred", status=200)
    alice.call_ends(bob)
    alice.call_ends(carol)
    carol.hangs_up()
    bob.call_ends(carol)


@PLACES
def test_a_phone_watches_another(registered, kind):
    """RFC 6665 §4, RFC 3856: SUBSCRIBE, NOTIFY with PIDF at each change, and the end of it."""
    alice, bob = registered(Pjsua, "alice"), registered(kind, "bob")

    alice.watches(bob)
    bob.expects("watched", peer="alice")
    alice.expects("seen", peer="bob")
    bob.says_it_is("at the window")
    alice.expects("seen", peer="bob", text="at the window")
    bob.says_it_is("gone fishing")
    alice.expects("seen", peer="bob", text="gone fishing")
    alice.watches_no_more()
    bob.has_received("SUBSCRIBE .*", "Expires: 0")
    alice.has_received("NOTIFY .*", "Subscription-State: terminated.*")


@PLACES
def test_digits_are_dialled_in_info(registered, kind):
    """RFC 6086 (the use before packages): INFO both ways within a call."""
    alice, bob = registered(Pjsua, "alice"), registered(kind, "bob")

    talk_at_once(alice, bob)
    alice.dials_digits("4#")
    bob.expects("digit", peer="alice", text="4")
    bob.expects("digit", peer="alice", text="#")
    bob.dials_digits("*")
    alice.expects("digit", peer="bob", text="*")
    bob.has_received("INFO .*", "Signal= ?4")
    part(alice, bob)


@PLACES
def test_a_phone_shows_that_the_peer_is_typing(registered, kind):
    """RFC 3994, RFC 3428: MESSAGE with application/im-iscomposing+xml, then the text itself."""
    alice, bob = registered(Pjsua, "alice"), registered(kind, "bob")

    alice.types(to=bob)
    bob.expects("typing", peer="alice")
    alice.writes("done", to=bob)
    bob.reads("done", from_=alice)
    bob.types(to=alice)
    alice.expects("typing", peer="bob")
