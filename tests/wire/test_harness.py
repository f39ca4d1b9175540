"""The phones talk to each other without a server.

When one of these fails, the fault is in the machine or the harness, not in the server.
"""

import pytest

from tests.support.baresip import Baresip
from tests.support.pjsua import Pjsua

BOTH_WAYS = pytest.mark.parametrize(
    ("caller", "callee"),
    [(Baresip, Pjsua), (Pjsua, Baresip)],
    ids=["baresip-calls-pjsua2", "pjsua2-calls-baresip"],
)


@BOTH_WAYS
def test_two_phones_talk_without_a_server(phone, caller, callee):
    """RFC 3665 §3.1 without the proxies."""
    alice, bob = phone(caller, "alice"), phone(callee, "bob")

    alice.dials(bob)
    bob.gets_a_call(alice)
    alice.hears_ringing(bob)
    bob.answers()
    alice.is_talking(bob)
    bob.is_talking(alice)
    alice.hears()
    bob.hears()

    alice.holds()
    alice.hears_nothing()
    alice.resumes()
    alice.hears()
    bob.hears()

    bob.hangs_up()
    alice.call_ends(bob)
    bob.call_ends(alice)


@BOTH_WAYS
def test_two_phones_refuse_cancel_and_write_without_a_server(phone, caller, callee):
    """RFC 3261 §9, §21.4.24; RFC 3428."""
    alice, bob = phone(caller, "alice"), phone(callee, "bob")

    alice.dials(bob)
    bob.gets_a_call(alice)
    bob.refuses()
    alice.call_ends(bob, status=486)

    alice.dials(bob)
    bob.gets_a_call(alice)
    alice.hears_ringing(bob)
    alice.hangs_up()
    bob.call_ends(alice)
    bob.never_notices("talking")

    alice.writes("are you there?", to=bob)
    bob.reads("are you there?", from_=alice)
