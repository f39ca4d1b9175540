"""The layer as a server: whose request is it, and what answers it (RFC 3261 §17.2, §9.2)."""

import gc
import logging

import gevent
import pytest

from sip.message.message import Response, make_response
from sip.monitor.metrics import (
    DROPPED_TRANSACTION_LIMIT,
    MESSAGES_MALFORMED,
    MESSAGES_UNSENT,
    REQUESTS_RETRANSMITTED,
)
from sip.transaction import layer as layer_module
from tests.transaction.layer_bench import (
    ALICE,
    BOB,
    FROM_ALICE,
    Hop,
    read,
    request,
    traced_by_its_lines,
)

OLD = ";branch=1"  # of RFC 2543: no magic cookie


def answers(status: int):
    """A handler that answers at once."""
    return lambda request, upstream: upstream.answer(status)


def ack(hop: Hop, of: Response, **more) -> None:
    """Alice acknowledges what she has just got."""
    hop.hears(request("ACK", to=of.value("to"), **more))


# Repeats, §17.2.3


@pytest.mark.parametrize("branch", [";branch=z9hG4bKx", OLD, "", ";branch=z9hG4bK"])
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "PRIVATE"])
def test_a_repeated_request_is_served_once_and_answered_again(hop: Hop, method: str, branch: str):
    """§17.2.1, §17.2.2; without a unique branch by the rules for RFC 2543."""
    hop.handler = answers(486)
    for _ in range(3):
        hop.hears(request(method, branch=branch))
    assert len(hop.served) == 1
    first, second, third = hop.says(), hop.says(), hop.says()
    assert first.encode() == second.encode() == third.encode()
    assert hop.layer.counts[REQUESTS_RETRANSMITTED] == 2


@pytest.mark.parametrize(
    "other",
    [
        {"branch": ";branch=z9hG4bKalice2"},
        {"sent_by": "192.0.2.7:5062"},
        {"sent_by": "192.0.2.9:5060"},
    ],
)
def test_another_branch_or_sent_by_is_another_transaction(hop: Hop, other):
    """§17.2.3: two clients may have drawn the same branch."""
    hop.handler = answers(486)
    hop.hears(request("OPTIONS"))
    hop.hears(request("OPTIONS", **other))
    assert len(hop.served) == 2


def test_a_branch_and_a_host_have_no_case(hop: Hop):
    """§7.3.1: tokens and host names."""
    hop.handler = answers(486)
    hop.hears(request("OPTIONS", branch=";branch=z9hG4bKAbC", sent_by="PHONE.example.com"))
    hop.hears(request("OPTIONS", branch=";BRANCH=Z9HG4BKaBc", sent_by="phone.EXAMPLE.com"))
    assert len(hop.served) == 1


def test_the_same_branch_with_another_method_is_another_transaction(hop: Hop):
    """§17.2.3: a method is part of it, and has case."""
    hop.handler = answers(486)
    for method in ("INVITE", "MESSAGE", "message"):
        hop.hears(request(method))
    assert len(hop.served) == 3


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
def test_of_an_old_client_every_field_that_differs_makes_another_transaction(
    hop: Hop, other, branch: str
):
    """§17.2.3, for RFC 2543; a magic cookie with nothing behind it is as good as no branch."""
    hop.handler = answers(486)
    hop.hears(request("OPTIONS", branch=branch))
    hop.hears(request("OPTIONS", **({"branch": branch} | other)))
    assert len(hop.served) == 2


def test_of_an_old_client_only_the_top_via_counts(hop: Hop):
    """§17.2.3: an ACK is made by the last hop, and holds its Via alone."""
    hop.handler = answers(486)
    hop.hears(request("INVITE", branch=OLD + ", SIP/2.0/UDP 192.0.2.99;branch=0"))
    ack(hop, hop.says(), branch=OLD)
    hop.passes(6.0)
    assert hop.is_quiet
    assert hop.acks == []


def test_a_repeat_from_elsewhere_is_answered_where_the_first_one_came_from(hop: Hop):
    """Who repeats a request of somebody else gets nothing for it."""
    hop.handler = answers(486)
    hop.hears(request("OPTIONS"), source=ALICE)
    hop.hears(request("OPTIONS"), source=("198.51.100.66", 5060))
    assert [remote for _, remote in hop.sent] == [ALICE, ALICE]


def test_a_request_that_is_being_served_is_not_served_again(hop: Hop):
    """§17.2.2, Trying: a repeat is dropped."""
    hop.handler = lambda request, upstream: upstream.arrivals.get()
    hop.hears(request("OPTIONS"))
    hop.hears(request("OPTIONS"))
    assert len(hop.served) == 1
    assert hop.sent == []


# Failures and their ACKs, §17.2.1


@pytest.mark.parametrize("branch", [";branch=z9hG4bKx", OLD, ""])
def test_a_failure_is_repeated_until_its_ack_which_goes_no_further(hop: Hop, branch: str):
    """§17.2.1: timers G and I."""
    hop.handler = answers(486)
    hop.hears(request(branch=branch))
    failure = hop.says()
    hop.passes(1.6)
    assert [message.status for message, _ in hop.sent] == [486, 486]
    hop.sent.clear()
    ack(hop, failure, branch=branch)
    ack(hop, failure, branch=branch)
    hop.passes(6.0)
    assert hop.acks == []
    assert hop.is_quiet


@pytest.mark.parametrize("branch", [";branch=z9hG4bKx", OLD])
def test_an_ack_for_a_2xx_goes_on(hop: Hop, branch: str):
    """RFC 6026 §6, §7.1: also when an old client gives it the INVITE's own Via."""
    hop.handler = answers(200)
    hop.hears(request(branch=branch))
    ack(hop, hop.says(), branch=branch)
    assert len(hop.acks) == 1


def test_an_ack_that_belongs_to_nothing_goes_on(hop: Hop):
    """§16.11: the branch of an ACK for a 2xx is its own."""
    hop.hears(request("ACK", branch=";branch=z9hG4bKnew"))
    assert len(hop.acks) == 1
    assert hop.is_quiet


def test_an_ack_of_an_invite_that_still_rings_is_absorbed(hop: Hop):
    """§17.2.1: it acknowledges nothing."""
    hop.handler = lambda request, upstream: upstream.arrivals.get()
    hop.hears(request())
    hop.hears(request("ACK"))
    assert hop.acks == []
    assert len(hop.layer.servers) == 1


def test_what_nobody_acknowledges_is_given_up_after_timer_h(hop: Hop):
    """§17.2.1: ten repeats and an end."""
    hop.handler = answers(486)
    hop.hears(request())
    hop.passes(32.1)
    assert len(hop.sent) == 11
    hop.sent.clear()
    assert hop.is_quiet


def test_an_answer_that_cannot_be_sent_leaves_the_transaction_as_it_is(hop: Hop):
    """RFC 6026 §6: repeats of the INVITE are absorbed all the same."""
    hop.handler = answers(486)
    hop.is_broken = True
    hop.hears(request())
    assert hop.layer.counts[MESSAGES_UNSENT] == 1
    hop.is_broken = False
    hop.hears(request())
    assert len(hop.served) == 1
    assert hop.says().status == 486


# Without a transaction, §8.2.7


def challenges(request, upstream) -> None:
    """A handler that refuses without memory."""
    tag = upstream.layer.stateless_tag(request)
    upstream.layer.answer_statelessly(upstream, make_response(request, 407, to_tag=tag))


@pytest.mark.parametrize("branch", [";branch=z9hG4bKx", OLD, ""])
def test_a_stateless_refusal_is_sent_once_and_its_ack_is_swallowed(hop: Hop, branch: str):
    """§8.2.7, §26.3.2.4: nothing is held and nothing repeated."""
    hop.handler = challenges
    hop.hears(request(branch=branch))
    challenge = hop.says()
    assert not hop.layer.servers
    ack(hop, challenge, branch=branch)
    assert hop.acks == []
    hop.passes(4.0)
    assert hop.is_quiet


def test_the_repeat_of_what_was_refused_statelessly_is_refused_alike(hop: Hop):
    """§8.2.7: with the same To tag, for it is the same answer."""
    hop.handler = challenges
    hop.hears(request())
    hop.hears(request())
    first, second = hop.says(), hop.says()
    assert first.to.tag == second.to.tag
    assert len(first.to.tag) == 16


def test_an_ack_with_a_stateless_tag_of_another_call_goes_on(hop: Hop):
    """The tag follows from branch and Call-ID."""
    hop.handler = challenges
    hop.hears(request())
    ack(hop, hop.says(), call_id="call-2")
    assert len(hop.acks) == 1


def test_after_a_stateless_refusal_nothing_more_is_answered(hop: Hop):
    """§8.2.7."""
    hop.handler = challenges
    hop.hears(request())
    hop.says()
    invite, upstream = hop.served[0]
    upstream.answer(200)
    upstream.respond(make_response(invite, 200, to_tag="t"))
    hop.passes(4.0)
    assert hop.is_quiet


# CANCEL, §9.2


@pytest.mark.parametrize("branch", [";branch=z9hG4bKx", OLD, ""])
def test_a_cancel_is_answered_here_and_told_to_the_handler(hop: Hop, branch: str):
    """§9.2, §16.10."""
    arrivals = []
    hop.handler = lambda request, upstream: arrivals.append(upstream.arrivals.get())
    hop.hears(request(branch=branch))
    hop.hears(request("CANCEL", branch=branch))
    assert (hop.says().status, arrivals[0].branch) == (200, None)


def test_a_repeated_cancel_is_answered_again_and_told_once(hop: Hop):
    """§17.2.2."""
    arrivals = []

    def handler(request, upstream):
        while True:
            arrivals.append(upstream.arrivals.get())

    hop.handler = handler
    hop.hears(request())
    hop.hears(request("CANCEL"))
    hop.hears(request("CANCEL"))
    assert len(arrivals) == 1
    assert hop.says().encode() == hop.says().encode()


def test_a_cancel_after_the_final_response_changes_nothing(hop: Hop):
    """§9.2: 200, and no effect."""
    hop.handler = answers(486)
    hop.hears(request())
    hop.says()
    hop.hears(request("CANCEL"))
    assert hop.says().status == 200
    assert hop.sent == []


def test_a_cancel_of_what_nobody_knows_gets_481_and_leaves_no_trace(hop: Hop):
    """§9.2; strangers may send as many as they like, so nothing is remembered (§8.2.7)."""
    for _ in range(2):
        hop.hears(request("CANCEL"))
        assert not hop.layer.servers
    first, second = hop.says(), hop.says()
    assert first.status == 481
    assert first.encode() == second.encode()
    hop.passes(4.0)
    assert hop.is_quiet


@pytest.mark.parametrize("other", [{"branch": ";branch=z9hG4bKz"}, {"sent_by": "192.0.2.9"}])
def test_a_cancel_names_its_invite_by_branch_and_sent_by(hop: Hop, other):
    """§9.2, §17.2.3."""
    hop.handler = lambda request, upstream: upstream.arrivals.get()
    hop.hears(request())
    hop.hears(request("CANCEL", **other))
    assert hop.says().status == 481


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
def test_the_handler_hears_why(hop: Hop, more: str, reason: str):
    """RFC 3326 §2: as one value, whatever lines it came on."""
    arrivals = []
    hop.handler = lambda request, upstream: arrivals.append(upstream.arrivals.get())
    hop.hears(request())
    hop.hears(request("CANCEL", more=more))
    assert [arrival.reason for arrival in arrivals] == [reason]


def test_a_cancel_of_another_method_is_answered_and_has_no_effect(hop: Hop):
    """§9.2: 200, since it matches, whatever the method."""
    arrivals = []
    hop.handler = lambda request, upstream: arrivals.append(upstream.arrivals.get())
    hop.hears(request("MESSAGE"))
    hop.hears(request("CANCEL"))
    assert hop.says().status == 200
    assert arrivals == []


# What takes long, and what goes wrong


def test_a_request_that_waits_is_told_so_when_repeats_have_become_rare(hop: Hop):
    """RFC 4320 §4.1: a 100 after 3.5 s, not before, and only one."""
    hop.handler = lambda request, upstream: (upstream.arrivals.get(), upstream.answer(200))
    hop.hears(request("MESSAGE"))
    hop.passes(3.45)
    assert hop.sent == []
    hop.passes(0.1)
    assert hop.says().status == 100
    hop.passes(20.0)
    assert hop.sent == []
    hop.served[0][1].arrivals.put("enough")
    hop.settles()
    assert hop.says().status == 200
    hop.passes(33.0)
    assert hop.is_quiet


def test_an_invite_that_waits_is_told_nothing_by_the_layer(hop: Hop):
    """§17.2.1: its handler sends the 100, at once."""
    hop.handler = lambda request, upstream: upstream.arrivals.get()
    hop.hears(request())
    hop.passes(10.0)
    assert hop.sent == []


class OddError(BaseException):
    """As gevent.Timeout is one: no Exception."""


@pytest.mark.parametrize("error", [ValueError, OddError, gevent.GreenletExit])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_handler_that_breaks_leaves_no_transaction(hop: Hop, method: str, error):
    """Nobody will answer it any more; a repeat is a new request."""

    def breaks(request, upstream):
        raise error("broken")

    hop.handler = breaks
    with pytest.raises(error):
        hop.layer.deliver(read(request(method)), FROM_ALICE)
    assert not hop.layer.servers
    hop.passes(3.6)
    assert hop.is_quiet


def test_a_handler_that_is_killed_while_it_waits_leaves_nothing(hop: Hop):
    """Its mailbox wakes nobody any more."""
    waiting = []

    def handler(request, upstream):
        waiting.append(gevent.getcurrent())
        upstream.arrivals.get()

    hop.handler = handler
    hop.hears(request())
    gevent.kill(waiting[0])
    hop.settles()
    assert not hop.layer.servers
    hop.served[0][1].arrivals.put("too late")
    hop.settles()
    hop.hears(request("CANCEL"))
    assert hop.says().status == 481


def test_a_field_that_nobody_can_read_is_a_complaint_and_no_traceback(hop: Hop, caplog):
    """A peer's mistake."""
    caplog.set_level(logging.INFO)
    hop.handler = lambda request, upstream: request.required("subject")
    hop.hears(request("OPTIONS"))
    assert hop.transports.counts[MESSAGES_MALFORMED] == 1
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_at_the_bound_a_new_request_is_dropped_and_all_else_goes_on(hop: Hop, monkeypatch):
    """A named bound on transactions of both sides."""
    monkeypatch.setattr(layer_module, "MAX_TRANSACTIONS", 2)
    hop.handler = answers(486)
    for number in range(4):
        hop.hears(request("OPTIONS", branch=f";branch=z9hG4bK{number}"))
    assert len(hop.served) == 2
    assert hop.layer.counts[DROPPED_TRANSACTION_LIMIT] == 2
    hop.hears(request("OPTIONS", branch=";branch=z9hG4bK0"))
    assert len(hop.sent) == 3
    hop.passes(33.0)
    hop.hears(request("OPTIONS", branch=";branch=z9hG4bK3"))
    assert len(hop.served) == 3


def test_at_the_bound_a_call_can_be_cancelled(hop: Hop, monkeypatch):
    """That makes room; and what names no call is not remembered."""
    arrivals = []
    hop.handler = lambda request, upstream: arrivals.append(upstream.arrivals.get())
    hop.hears(request())
    monkeypatch.setattr(layer_module, "MAX_TRANSACTIONS", 1)
    for number in range(3):
        hop.hears(request("CANCEL", branch=f";branch=z9hG4bK{number}"))
        assert hop.says().status == 481
    hop.hears(request("CANCEL"))
    assert hop.says().status == 200
    assert len(arrivals) == 1
    assert len(hop.layer.servers) == 1  # the CANCEL; nobody will answer the INVITE


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "CANCEL"])
def test_a_request_that_was_answered_is_freed_without_the_garbage_collector(hop: Hop, method):
    """No reference cycle holds it; only the last response is kept."""
    traced = read(request(method))
    gone = traced_by_its_lines(traced)
    hop.layer.on_request = lambda request, upstream: upstream.answer(200)
    gc.disable()
    try:
        hop.layer.deliver(traced, FROM_ALICE)
        del traced
        assert gone() is None
    finally:
        gc.enable()
    assert len(hop.layer.servers) == (method != "CANCEL")  # of which nothing is known


def test_the_answer_goes_to_the_port_that_the_via_asks_for(hop: Hop):
    """§18.2.2, RFC 3581 §4."""
    hop.handler = answers(486)
    hop.hears(request("OPTIONS", sent_by="192.0.2.8:5060"), source=(BOB[0], 40000))
    hop.hears(
        request("OPTIONS", sent_by="10.0.0.1", branch=";branch=z9hG4bKr;rport"), (BOB[0], 40000)
    )
    assert [remote for _, remote in hop.sent] == [BOB, (BOB[0], 40000)]
