"""SIPp scripts that speak by the book: what a scenario doesn't say ends the call as failed."""

import pytest

from tests.support.server import CALLEES, CALLERS
from tests.support.sipp_calls import register

CALLS = 20  # of each, at once


@pytest.fixture
def play(server, sipp):
    """Play two scenarios against each other, the first from another domain."""

    def play(asker: str, answerer: str) -> None:
        answering = sipp(answerer, calls=CALLS)
        register(server, sipp, CALLEES[:CALLS], answering.address, answering.socket)
        asking = sipp(
            asker,
            calls=CALLS,
            to=server.address,
            domain=server.domain,
            from_domain="elsewhere.test",
            people=[(b, a, "") for a, b in zip(CALLERS[:CALLS], CALLEES, strict=False)],
        )
        asking.succeeds()
        answering.succeeds()

    return play


def test_prack_and_update_pass_before_and_after_the_answer(play):
    """RFC 3262 §3, §4, RFC 3311 §5: RSeq and RAck; UPDATE by the caller, then by the callee."""
    play("caller_reliable", "callee_reliable")


def test_an_unknown_method_passes(play):
    """RFC 3261 §16: its fields, body and unknown status arrive, outside and inside a dialog."""
    play("asker_unknown", "answerer_unknown")


def test_a_subscription_is_begun_notified_and_ended(play):
    """RFC 6665 §4: NOTIFY comes back along the Record-Route, SUBSCRIBE goes on along it."""
    play("subscriber", "notifier")


def test_the_phone_that_was_outrun_hears_why(server, sipp):
    """RFC 3326 §2, RFC 3261 §16.7 step 10: the CANCEL says that another phone has answered."""
    quick, slow = sipp("callee", calls=CALLS), sipp("callee_outrun", calls=CALLS)
    for phones in (quick, slow):
        register(server, sipp, CALLEES[:CALLS], phones.address, phones.socket)
    calling = sipp(
        "caller_of_two",
        calls=CALLS,
        to=server.address,
        domain=server.domain,
        from_domain="elsewhere.test",
        people=[(b, a, "") for a, b in zip(CALLERS[:CALLS], CALLEES, strict=False)],
    )
    for run in (calling, quick, slow):
        run.succeeds()
