"""The layer as a server: matching, retransmissions, ACK and CANCEL (RFC 3261 §17.2, §9.2)."""

import gc
import logging

import gevent
import pytest

from sip.message.message import Response
from sip.message.responses import encode_response
from sip.monitor.metrics import (
    DROPPED_TRANSACTION_LIMIT,
    MESSAGES_MALFORMED,
    MESSAGES_UNSENT,
    REQUESTS_RETRANSMITTED,
)
from sip.transaction import layer as layer_module
from tests.support.message_octets import response_to
from tests.transaction.harness import (
    ALICE,
    BOB,
    FROM_ALICE,
    Harness,
    KeepsNothing,
    read,
    request,
    traced_by_its_lines,
)

OLD = ";branch=1"  # of RFC 2543: no magic cookie


def answers(status: int):
    """Return a handler that responds at once."""
    return lambda request, upstream: upstream.answer(status)


def ack(harness: Harness, of: Response, **more) -> None:
    """Let Alice acknowledge a failure."""
    harness.hears(request("ACK", to=of.value("to"), **more))


# Retransmissions, §17.2.3


@pytest.mark.parametrize("branch", [";branch=z9hG4bKx", OLD, "", ";branch=z9hG4bK"])
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "PRIVATE"])
def test_a_repeated_request_is_served_once_and_answered_again(
    harness: Harness, method: str, branch: str
):
    """§17.2.1, §17.2.2; without a unique branch by the rules for RFC 2543."""
    harness.handler = answers(486)
    for _ in range(3):
        harness.hears(request(method, branch=branch))
    assert len(harness.served) == 1
    first, second, third = harness.says(), harness.says(), harness.says()
    assert first.encode() == second.encode() == third.encode()
    assert harness.layer.counts[REQUESTS_RETRANSMITTED] == 2


@pytest.mark.parametrize(
    "other",
    [
        {"branch": ";branch=z9hG4bKalice2"},
        {"sent_by": "192.0.2.7:5062"},
        {"sent_by": "192.0.2.9:5060"},
    ],
)
def test_another_branch_or_sent_by_is_another_transaction(harness: Harness, other):
    """§17.2.3: two clients may have generated the same branch."""
    harness.handler = answers(486)
    harness.hears(request("OPTIONS"))
    harness.hears(request("OPTIONS", **other))
    assert len(harness.served) == 2


def test_a_branch_and_a_host_have_no_case(harness: Harness):
    """§7.3.1: tokens and host names have no case."""
    harness.handler = answers(486)
    harness.hears(request("OPTIONS", branch=";branch=z9hG4bKAbC", sent_by="PHONE.example.com"))
    harness.hears(request("OPTIONS", branch=";BRANCH=Z9HG4BKaBc", sent_by="phone.EXAMPLE.com"))
    assert len(harness.served) == 1


def test_one_branch_with_two_methods_is_two_transactions(harness: Harness):
    """§17.2.3: the method is part of the key, and has case."""
    harness.handler = answers(486)
    for method in ("INVITE", "MESSAGE", "message"):
        harness.hears(request(method))
    assert len(harness.served) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"uri": "sip:carol@example.com"},
        {"from_tag": ";tag=other"},
        {"call_id": "call-2"},
        {"cseq": "2 OPTIONS"},
        {"branch": ";branch=2"},
        {"sent_by": "192.0.2.7:5062"},
    ],
)
@pytest.mark.parametrize("branch", [OLD, "", ";branch=z9hG4bK"])
def test_each_field_of_the_rfc_2543_key_counts(harness: Harness, other, branch: str):
    """§17.2.3, for RFC 2543; a magic cookie with nothing behind it is as good as no branch."""
    harness.handler = answers(486)
    harness.hears(request("OPTIONS", branch=branch))
    harness.hears(request("OPTIONS", **({"branch": branch} | other)))
    assert len(harness.served) == 2


def test_of_an_old_client_only_the_top_via_counts(harness: Harness):
    """§17.2.3: an ACK comes from the last hop, and has only its Via."""
    harness.handler = answers(486)
    harness.hears(request("INVITE", branch=OLD + ", SIP/2.0/UDP 192.0.2.99;branch=0"))
    ack(harness, harness.says(), branch=OLD)
    harness.passes(6.0)
    assert harness.is_quiet
    assert harness.acks == []


def test_a_repeat_from_elsewhere_is_answered_to_the_first(harness: Harness):
    """A copy from a foreign address brings its sender no response."""
    harness.handler = answers(486)
    harness.hears(request("OPTIONS"), source=ALICE)
    harness.hears(request("OPTIONS"), source=("198.51.100.66", 5060))
    assert [remote for _, remote in harness.sent] == [ALICE, ALICE]


def test_a_request_that_is_being_served_is_not_served_again(harness: Harness):
    """§17.2.2, Trying: a retransmission is discarded."""
    harness.handler = lambda request, upstream: upstream.mailbox.get()
    harness.hears(request("OPTIONS"))
    harness.hears(request("OPTIONS"))
    assert len(harness.served) == 1
    assert harness.sent == []


# Failures and their ACKs, §17.2.1


@pytest.mark.parametrize("branch", [";branch=z9hG4bKx", OLD, ""])
def test_a_failure_is_retransmitted_until_its_ack(harness: Harness, branch: str):
    """§17.2.1: timers G and I."""
    harness.handler = answers(486)
    harness.hears(request(branch=branch))
    failure = harness.says()
    harness.passes(1.6)
    assert [message.status for message, _ in harness.sent] == [486, 486]
    harness.sent.clear()
    ack(harness, failure, branch=branch)
    ack(harness, failure, branch=branch)
    harness.passes(6.0)
    assert harness.acks == []
    assert harness.is_quiet


@pytest.mark.parametrize("branch", [";branch=z9hG4bKx", OLD])
def test_an_ack_for_a_2xx_goes_on(harness: Harness, branch: str):
    """RFC 6026 §6, §7.1: also if an RFC 2543 client gives it the Via of the INVITE."""
    harness.handler = answers(200)
    harness.hears(request(branch=branch))
    ack(harness, harness.says(), branch=branch)
    assert len(harness.acks) == 1


def test_an_ack_that_belongs_to_nothing_goes_on(harness: Harness):
    """§16.11: the ACK of a 2xx has a branch of its own."""
    harness.hears(request("ACK", branch=";branch=z9hG4bKnew"))
    assert len(harness.acks) == 1
    assert harness.is_quiet


def test_an_ack_of_an_invite_that_still_rings_is_absorbed(harness: Harness):
    """§17.2.1: there is nothing to acknowledge."""
    harness.handler = lambda request, upstream: upstream.mailbox.get()
    harness.hears(request())
    harness.hears(request("ACK"))
    assert harness.acks == []
    assert len(harness.layer.servers) == 1


def test_a_failure_without_an_ack_is_given_up_after_timer_h(harness: Harness):
    """§17.2.1: after ten retransmissions."""
    harness.handler = answers(486)
    harness.hears(request())
    harness.passes(32.1)
    assert len(harness.sent) == 11
    harness.sent.clear()
    assert harness.is_quiet


def test_a_response_that_fails_to_send_changes_no_state(harness: Harness):
    """RFC 6026 §6: retransmissions of the INVITE are absorbed as before."""
    harness.handler = answers(486)
    harness.is_broken = True
    harness.hears(request())
    assert harness.layer.counts[MESSAGES_UNSENT] == 1
    harness.is_broken = False
    harness.hears(request())
    assert len(harness.served) == 1
    assert harness.says().status == 486


# Stateless responses, §8.2.7


def challenges(request, upstream) -> None:
    """A handler that responds statelessly."""
    tag = upstream.layer.stateless_tag(request)
    upstream.layer.answer_statelessly(upstream, 407, encode_response(request, 407, to_tag=tag))


@pytest.mark.parametrize("branch", [";branch=z9hG4bKx", OLD, ""])
def test_a_stateless_failure_is_sent_once_and_its_ack_absorbed(harness: Harness, branch: str):
    """§8.2.7, §26.3.2.4: no transaction, no retransmission."""
    harness.handler = challenges
    harness.hears(request(branch=branch))
    challenge = harness.says()
    assert not harness.layer.servers
    ack(harness, challenge, branch=branch)
    assert harness.acks == []
    harness.passes(4.0)
    assert harness.is_quiet


def test_a_repeat_after_a_stateless_failure_gets_it_again(harness: Harness):
    """§8.2.7: with the same To tag, as it is the same response."""
    harness.handler = challenges
    harness.hears(request())
    harness.hears(request())
    first, second = harness.says(), harness.says()
    assert first.to.tag == second.to.tag
    assert len(first.to.tag) == 16


def test_an_ack_with_a_stateless_tag_of_another_call_goes_on(harness: Harness):
    """The tag depends on branch and Call-ID."""
    harness.handler = challenges
    harness.hears(request())
    ack(harness, harness.says(), call_id="call-2")
    assert len(harness.acks) == 1


def test_after_a_stateless_refusal_nothing_more_is_answered(harness: Harness):
    """§8.2.7."""
    harness.handler = challenges
    harness.hears(request())
    harness.says()
    invite, upstream = harness.served[0]
    upstream.answer(200)
    upstream.respond(response_to(invite, 200, to_tag="t"))
    harness.passes(4.0)
    assert harness.is_quiet


# CANCEL, §9.2


@pytest.mark.parametrize("branch", [";branch=z9hG4bKx", OLD, ""])
def test_a_cancel_is_answered_here_and_reaches_the_handler(harness: Harness, branch: str):
    """§9.2, §16.10."""
    events = []
    harness.handler = lambda request, upstream: events.append(upstream.mailbox.get())
    harness.hears(request(branch=branch))
    harness.hears(request("CANCEL", branch=branch))
    assert (harness.says().status, events[0].branch) == (200, None)


def test_a_repeated_cancel_reaches_the_handler_once(harness: Harness):
    """§17.2.2."""
    events = []

    def handler(request, upstream):
        while True:
            events.append(upstream.mailbox.get())

    harness.handler = handler
    harness.hears(request())
    harness.hears(request("CANCEL"))
    harness.hears(request("CANCEL"))
    assert len(events) == 1
    assert harness.says().encode() == harness.says().encode()


def test_a_cancel_after_the_final_response_changes_nothing(harness: Harness):
    """§9.2: 200, and no effect."""
    harness.handler = answers(486)
    harness.hears(request())
    harness.says()
    harness.hears(request("CANCEL"))
    assert harness.says().status == 200
    assert harness.sent == []


def test_an_unmatched_cancel_gets_a_stateless_481(harness: Harness):
    """§9.2, §8.2.7: anyone can send many of them, so no memory is used."""
    for _ in range(2):
        harness.hears(request("CANCEL"))
        assert not harness.layer.servers
    first, second = harness.says(), harness.says()
    assert first.status == 481
    assert first.encode() == second.encode()
    harness.passes(4.0)
    assert harness.is_quiet


@pytest.mark.parametrize("other", [{"branch": ";branch=z9hG4bKz"}, {"sent_by": "192.0.2.9"}])
def test_a_cancel_names_its_invite_by_branch_and_sent_by(harness: Harness, other):
    """§9.2, §17.2.3."""
    harness.handler = lambda request, upstream: upstream.mailbox.get()
    harness.hears(request())
    harness.hears(request("CANCEL", **other))
    assert harness.says().status == 481


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("", ""),
        ("Reason:\n", ""),
        ("Reason: SIP;cause=200\n", "SIP;cause=200"),
        (
            'reason : Q.850\n ;cause=16\nReason:\nReason: SIP;text="a, b"\n',
            'Q.850 ;cause=16, SIP;text="a, b"',
        ),
    ],
)
def test_the_handler_hears_why(harness: Harness, more: str, reason: str):
    """RFC 3326 §2: several lines become one value."""
    events = []
    harness.handler = lambda request, upstream: events.append(upstream.mailbox.get())
    harness.hears(request())
    harness.hears(request("CANCEL", more=more))
    assert [event.reason for event in events] == [reason]


def test_a_cancel_of_another_method_gets_200_and_has_no_effect(harness: Harness):
    """§9.2: 200, since it matches a transaction."""
    events = []
    harness.handler = lambda request, upstream: events.append(upstream.mailbox.get())
    harness.hears(request("MESSAGE"))
    harness.hears(request("CANCEL"))
    assert harness.says().status == 200
    assert events == []


# Slow handlers, and errors


def test_a_slow_non_invite_gets_a_100_after_3_5_s(harness: Harness):
    """RFC 4320 §4.1: not earlier, and only one."""
    harness.handler = lambda request, upstream: (upstream.mailbox.get(), upstream.answer(200))
    harness.hears(request("MESSAGE"))
    harness.passes(3.45)
    assert harness.sent == []
    harness.passes(0.1)
    assert harness.says().status == 100
    harness.passes(20.0)
    assert harness.sent == []
    harness.served[0][1].mailbox.put("enough")
    harness.settles()
    assert harness.says().status == 200
    harness.passes(33.0)
    assert harness.is_quiet


def test_the_layer_sends_no_100_to_an_invite(harness: Harness):
    """§17.2.1: the handler sends the 100 at once."""
    harness.handler = lambda request, upstream: upstream.mailbox.get()
    harness.hears(request())
    harness.passes(10.0)
    assert harness.sent == []


class OddError(BaseException):
    """A BaseException that is no Exception, like gevent.Timeout."""


@pytest.mark.parametrize("error", [ValueError, OddError, gevent.GreenletExit])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_handler_that_breaks_leaves_no_transaction(harness: Harness, method: str, error):
    """No handler is left for it; a retransmission is a new request."""

    def breaks(request, upstream):
        raise error("broken")

    harness.handler = breaks
    with pytest.raises(error):
        harness.layer.deliver(read(request(method)), FROM_ALICE)
    assert not harness.layer.servers
    harness.passes(3.6)
    assert harness.is_quiet


def test_a_handler_that_is_killed_while_it_waits_leaves_nothing(harness: Harness):
    """Its mailbox has no reader any more."""
    waiting = []

    def handler(request, upstream):
        waiting.append(gevent.getcurrent())
        upstream.mailbox.get()

    harness.handler = handler
    harness.hears(request())
    gevent.kill(waiting[0])
    harness.settles()
    assert not harness.layer.servers
    harness.served[0][1].mailbox.put("too late")
    harness.settles()
    harness.hears(request("CANCEL"))
    assert harness.says().status == 481


def test_an_unreadable_field_is_a_bad_message_and_no_traceback(harness: Harness, caplog):
    """An error of the peer, so one line in the log."""
    caplog.set_level(logging.INFO)
    harness.handler = lambda request, upstream: request.required("subject")
    harness.hears(request("OPTIONS"))
    assert harness.receiver.counts[MESSAGES_MALFORMED] == 1
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_at_the_bound_only_new_requests_are_dropped(harness: Harness, monkeypatch):
    """MAX_TRANSACTIONS counts transactions of both sides."""
    monkeypatch.setattr(layer_module, "MAX_TRANSACTIONS", 2)
    harness.handler = answers(486)
    for number in range(4):
        harness.hears(request("OPTIONS", branch=f";branch=z9hG4bK{number}"))
    assert len(harness.served) == 2
    assert harness.layer.counts[DROPPED_TRANSACTION_LIMIT] == 2
    harness.hears(request("OPTIONS", branch=";branch=z9hG4bK0"))
    assert len(harness.sent) == 3
    harness.passes(33.0)
    harness.hears(request("OPTIONS", branch=";branch=z9hG4bK3"))
    assert len(harness.served) == 3


def test_at_the_bound_a_call_can_be_cancelled(harness: Harness, monkeypatch):
    """A CANCEL frees memory; one without a call takes none."""
    events = []
    harness.handler = lambda request, upstream: events.append(upstream.mailbox.get())
    harness.hears(request())
    monkeypatch.setattr(layer_module, "MAX_TRANSACTIONS", 1)
    for number in range(3):
        harness.hears(request("CANCEL", branch=f";branch=z9hG4bK{number}"))
        assert harness.says().status == 481
    harness.hears(request("CANCEL"))
    assert harness.says().status == 200
    assert len(events) == 1
    assert len(harness.layer.servers) == 1  # the CANCEL; the INVITE has no handler any more


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "CANCEL"])
def test_an_answered_request_is_freed_without_gc(harness: Harness, method):
    """It is in no reference cycle; only the last response is kept."""
    traced = read(request(method))
    gone = traced_by_its_lines(traced)
    harness.layer.start(KeepsNothing(lambda request, upstream: upstream.answer(200)))
    gc.disable()
    try:
        harness.layer.deliver(traced, FROM_ALICE)
        del traced
        assert gone() is None
    finally:
        gc.enable()
    assert len(harness.layer.servers) == (method != "CANCEL")  # an unmatched CANCEL has none


def test_the_answer_goes_to_the_port_that_the_via_asks_for(harness: Harness):
    """§18.2.2, RFC 3581 §4."""
    harness.handler = answers(486)
    harness.hears(request("OPTIONS", sent_by="192.0.2.8:5060"), source=(BOB[0], 40000))
    harness.hears(
        request("OPTIONS", sent_by="10.0.0.1", branch=";branch=z9hG4bKr;rport"), (BOB[0], 40000)
    )
    assert [remote for _, remote in harness.sent] == [BOB, (BOB[0], 40000)]
