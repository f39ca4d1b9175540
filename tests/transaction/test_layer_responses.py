"""The layer as a client: requests sent and responses matched (RFC 3261 §17.1, §18.1.2)."""

import gc
import re

import pytest

from sip.monitor.metrics import MESSAGES_UNSENT, RESPONSES_UNMATCHED
from sip.transaction.mailbox import Mailbox
from sip.transport.flow import Flow
from tests.transaction.harness import (
    ALICE,
    BOB,
    FROM_ALICE,
    TO_BOB,
    Datagrams,
    Harness,
    KeepsNothing,
    answers,
    read,
    request,
    response,
    sent_on,
    traced_by_its_lines,
)

IPV6_BOB = ("2001:db8::8", 5060)


# Matching of responses, §17.1.3, §18.1.2


def test_a_request_goes_on_under_our_own_via_on_top(proxy: Harness):
    """§16.6, step 8: with a new branch each time."""
    first, second = sent_on(proxy), sent_on(proxy, branch=";branch=z9hG4bKalice2")
    for message in (first, second):
        assert message.lines[0].startswith("Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK")
        assert message.names[:2] == ("via", "via")
    assert first.via.branch != second.via.branch
    assert re.fullmatch("z9hG4bK[0-9a-f]{16}", first.via.branch)


@pytest.mark.parametrize(
    "change",
    [
        lambda via: via.replace("z9hG4bK", "z9hG4bK0"),
        lambda via: via.replace("192.0.2.1:5060", "192.0.2.1:5062"),
        lambda via: via.replace("192.0.2.1:5060", "192.0.2.1"),
        lambda via: via.replace("192.0.2.1:5060", "192.0.2.66:5060"),
        lambda via: via.partition(";")[0],
        lambda via: "Via: SIP/2.0/UDP 192.0.2.66;branch=z9hG4bKx\n" + via,
    ],
)
def test_a_response_under_a_foreign_top_via_is_dropped(proxy: Harness, change):
    """§17.1.3: the branch; §18.1.2: a sent-by that is not ours."""
    invite = sent_on(proxy)
    vias = change(invite.lines[0]) + "\n" + invite.lines[1]
    answers(proxy, invite, 180, via=vias)
    answers(proxy, invite, 200, via=vias)
    assert proxy.sent == []
    assert proxy.layer.counts[RESPONSES_UNMATCHED] == 2


@pytest.mark.parametrize("cseq", ["1 BYE", "1 CANCEL", "1 invite"])
def test_a_response_to_another_method_is_dropped(proxy: Harness, cseq: str):
    """§17.1.3: a CANCEL has the branch of its INVITE."""
    invite = sent_on(proxy)
    answers(proxy, invite, 200, cseq=cseq)
    assert proxy.sent == []
    assert proxy.layer.counts[RESPONSES_UNMATCHED] == 1


def test_a_response_without_a_request_is_dropped(proxy: Harness):
    """RFC 6026 §7.3: also a late 2xx to an INVITE."""
    answers(proxy, read(request()), 200, via="Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1")
    assert proxy.is_quiet
    assert proxy.layer.counts[RESPONSES_UNMATCHED] == 1


def test_case_and_white_space_in_our_via_do_not_matter(proxy: Harness):
    """§7.3.1: some elements write it in another form."""
    invite = sent_on(proxy)
    branch = invite.via.branch.upper()
    vias = f"v : SIP / 2.0 / udp 192.0.2.1 : 5060 ; BRANCH={branch} ; rport\n" + invite.lines[1]
    answers(proxy, invite, 180, via=vias)
    assert proxy.says().status == 180


def test_vias_that_share_a_line_are_split(proxy: Harness):
    """§7.3.1: a list may be written on one line or on several."""
    invite = sent_on(proxy)
    theirs = invite.lines[1].partition(" ")[2]
    answers(proxy, invite, 180, via=f"{invite.lines[0]},{theirs}")
    ringing = proxy.says()
    assert ringing.values("via") == [theirs]


@pytest.mark.parametrize("status", [180, 200, 486])
def test_a_response_without_a_way_back_is_not_passed_on(proxy: Harness, status: int):
    """§16.7, step 3: there is no Via below ours."""
    invite = sent_on(proxy)
    answers(proxy, invite, status, via=invite.lines[0])
    assert proxy.sent == []
    answers(proxy, invite, 180)
    assert proxy.says().status == 180


def test_an_advertised_address_is_the_sent_by_that_counts(harness: Harness):
    """§18.1.2; its host has no case."""
    harness.transports.advertised = ("SIP.example.com", 5070)
    harness.handler = lambda request, upstream: (
        upstream.layer.send_request(request.copy(), TO_BOB, upstream),
        upstream.mailbox.get(),
        upstream.answer(480),
    )
    harness.hears(request())
    invite = harness.says()
    assert invite.lines[0].startswith("Via: SIP/2.0/UDP SIP.example.com:5070;branch=")
    harness.hears(response(invite, 404), source=BOB)
    assert [message.method for message, _ in harness.sent[:1]] == ["ACK"]


# Relayed responses, §16.7, RFC 6026


def test_provisional_responses_but_100_are_relayed_in_order(proxy: Harness):
    """§16.7, step 5."""
    invite = sent_on(proxy)
    for status in (100, 180, 183, 181, 180):
        answers(proxy, invite, status)
    assert [message.status for message, _ in proxy.sent] == [180, 183, 181, 180]
    assert {remote for _, remote in proxy.sent} == {ALICE}


def test_no_provisional_response_goes_on_for_other_methods(proxy: Harness):
    """RFC 4320 §4.1."""
    message = sent_on(proxy, "MESSAGE")
    for status in (100, 180, 183):
        answers(proxy, message, status)
    assert proxy.sent == []
    answers(proxy, message, 200)
    assert proxy.says().status == 200


def test_repeats_of_a_2xx_go_on_after_the_handler_has_ended(proxy: Harness):
    """RFC 6026 §7.1, §7.2: for 64*T1; later ones are stray responses."""
    invite = sent_on(proxy)
    for _ in range(3):
        answers(proxy, invite, 200)
    assert [message.status for message, _ in proxy.sent] == [200, 200, 200]
    assert len(proxy.events) == 1
    proxy.sent.clear()
    proxy.passes(32.1)
    assert proxy.is_quiet
    answers(proxy, invite, 200)
    assert proxy.is_quiet


def test_a_second_2xx_of_a_fork_further_on_goes_on_too(proxy: Harness):
    """RFC 6026 §7.2: it has another To tag."""
    invite = sent_on(proxy)
    answers(proxy, invite, 200, tag="desk")
    answers(proxy, invite, 200, tag="mobile")
    assert [message.to.tag for message, _ in proxy.sent] == ["desk", "mobile"]


def test_two_2xx_in_one_turn_of_the_hub_are_both_relayed(harness: Harness):
    """§16.7, step 5: the handler ends with the first one, and the second one is relayed."""

    def handler(request, upstream):
        for _ in range(2):
            upstream.layer.send_request(request.copy(), TO_BOB, upstream)
        event = upstream.mailbox.get()
        event.response.remove_top_via()
        upstream.respond(event.response)

    harness.handler = handler
    harness.hears(request())
    desk, mobile = harness.says(), harness.says()
    for invite, tag in ((desk, "desk"), (mobile, "mobile")):
        harness.layer.deliver(read(response(invite, 200, tag)), TO_BOB)
    harness.settles()
    assert [message.to.tag for message, _ in harness.sent] == ["desk", "mobile"]
    assert all(len(message.values("via")) == 1 for message, _ in harness.sent)
    harness.sent.clear()
    harness.passes(33.0)
    assert harness.is_quiet


def test_repeated_2xx_do_not_fill_the_mailbox(harness: Harness):
    """The handler is busy; the caller gets each 2xx after it."""
    busy = Mailbox()

    def handler(request, upstream):
        upstream.layer.send_request(request.copy(), TO_BOB, upstream)
        busy.get()

    harness.handler = handler
    harness.hears(request())
    invite = harness.says()
    for _ in range(5):
        answers(harness, invite, 200)
    assert len(harness.served[0][1].mailbox) == 1
    busy.put("done")
    harness.settles()
    assert [message.status for message, _ in harness.sent] == [200] * 5


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS"])
def test_a_second_final_response_goes_no_further(proxy: Harness, method: str):
    """§17.1.2.2."""
    message = sent_on(proxy, method)
    answers(proxy, message, 200)
    answers(proxy, message, 200)
    answers(proxy, message, 500)
    assert [message.status for message, _ in proxy.sent] == [200]


# The ACK of a failure, §17.1.1.3

ROUTES = "Route: <sip:192.0.2.50;lr>\nRoute: <sip:192.0.2.51;lr>, <sip:192.0.2.52;lr>\n"


def test_the_ack_of_a_failure_has_the_fields_of_the_invite(proxy: Harness):
    """§17.1.1.3: Request-URI, one Via, Route, From, Call-ID and number of the INVITE; To of the
    response."""
    more = ROUTES + "Require: 100rel\nProxy-Require: x\nContact: <sip:a@b>\n"
    invite = sent_on(proxy, more=more, cseq="77 INVITE")
    answers(proxy, invite, 486, tag="busy")
    ack, remote = proxy.sent.pop(0)
    assert remote == BOB
    assert ack.encode().decode().split("\r\n") == [
        "ACK sip:bob@example.com SIP/2.0",
        invite.lines[0],
        "Route: <sip:192.0.2.50;lr>",
        "Route: <sip:192.0.2.51;lr>, <sip:192.0.2.52;lr>",
        "From: <sip:alice@example.com>;tag=a",
        "Call-ID: call-1",
        "To: <sip:bob@example.com>;tag=busy",
        "CSeq: 77 ACK",
        "Max-Forwards: 70",
        "Content-Length: 0",
        "",
        "",
    ]
    assert proxy.says().status == 486


def test_each_repeated_failure_gets_an_ack_until_timer_d(proxy: Harness):
    """§17.1.1.2: the same ACK, and nothing is relayed."""
    invite = sent_on(proxy)
    answers(proxy, invite, 486)
    first = proxy.says().encode()
    assert proxy.says().status == 486
    (client,) = proxy.layer.clients.values()
    assert (client.user, client.request) == (None, None)  # only the ACK is kept
    proxy.hears(request("ACK", to="<sip:bob@example.com>;tag=b"))
    for _ in range(3):
        answers(proxy, invite, 486)
        assert proxy.says().encode() == first
    proxy.passes(31.9)
    answers(proxy, invite, 486)
    assert proxy.says().encode() == first
    proxy.passes(0.2)
    answers(proxy, invite, 486)
    assert proxy.is_quiet


def test_only_failures_of_an_invite_are_acknowledged_here(proxy: Harness):
    """§17.1.1.2, §17.1.2.1."""
    for method, status in (("INVITE", 200), ("MESSAGE", 404)):
        message = sent_on(proxy, method)
        answers(proxy, message, status)
        assert proxy.says().status == status
        assert proxy.sent == []


def test_a_failure_after_a_2xx_is_dropped(proxy: Harness):
    """RFC 6026 §7.2: Accepted."""
    invite = sent_on(proxy)
    answers(proxy, invite, 200)
    proxy.says()
    answers(proxy, invite, 486)
    assert proxy.sent == []


# CANCEL, §9.1


def cancelled(proxy: Harness) -> None:
    proxy.hears(request("CANCEL"))
    assert proxy.says().status == 200


def test_our_cancel_has_the_fields_of_the_invite(proxy: Harness):
    """§9.1: Request-URI, the top Via, Route, From, To, Call-ID and number; no Require."""
    more = ROUTES + "Require: 100rel\nProxy-Require: x\nContact: <sip:a@b>\n"
    invite = sent_on(proxy, more=more, cseq="77 INVITE")
    answers(proxy, invite, 180)
    proxy.says()
    cancelled(proxy)
    cancel, remote = proxy.sent.pop(0)
    assert remote == BOB
    assert cancel.encode().decode().split("\r\n") == [
        "CANCEL sip:bob@example.com SIP/2.0",
        invite.lines[0],
        "Route: <sip:192.0.2.50;lr>",
        "Route: <sip:192.0.2.51;lr>, <sip:192.0.2.52;lr>",
        "From: <sip:alice@example.com>;tag=a",
        "Call-ID: call-1",
        "To: <sip:bob@example.com>",
        "CSeq: 77 CANCEL",
        "Max-Forwards: 70",
        "Content-Length: 0",
        "",
        "",
    ]


def test_our_cancel_is_retransmitted_until_its_response(proxy: Harness):
    """§9.1: it has its own transaction; §16.7, step 3: its response is not relayed."""
    invite = sent_on(proxy)
    answers(proxy, invite, 180)
    proxy.says()
    cancelled(proxy)
    cancel = proxy.says()
    proxy.passes(0.6)
    assert proxy.says().encode() == cancel.encode()
    answers(proxy, cancel, 200)
    answers(proxy, cancel, 200)
    proxy.passes(4.0)
    assert proxy.sent == []


def test_a_cancel_before_any_response_waits_for_one(proxy: Harness):
    """§9.1; a 100 is enough."""
    invite = sent_on(proxy)
    cancelled(proxy)
    assert proxy.sent == []
    answers(proxy, invite, 100)
    assert proxy.says().method == "CANCEL"


@pytest.mark.parametrize("status", [200, 486])
def test_no_cancel_follows_a_final_response(proxy: Harness, status: int):
    """§9.1: a pending CANCEL and a later one."""
    invite = sent_on(proxy)
    cancelled(proxy)
    answers(proxy, invite, status)
    proxy.hears(request("CANCEL"))
    assert "CANCEL" not in [getattr(message, "method", "") for message, _ in proxy.sent]


def test_only_an_unanswered_invite_is_cancelled(harness: Harness):
    """§9.1."""
    branches = []
    harness.handler = lambda request, upstream: branches.append(
        upstream.layer.send_request(request.copy(), TO_BOB, upstream)
    )
    harness.is_broken = True
    harness.hears(request())
    harness.is_broken = False
    harness.hears(request("MESSAGE"))
    harness.says()
    for branch in branches:
        branch.cancel()
    assert harness.sent == []


# An ACK for a 2xx, §16.11


def test_an_ack_and_its_repeat_are_forwarded_with_one_branch(harness: Harness):
    """§16.11: the branch is computed from the branch received."""
    branches = []
    for branch in ("z9hG4bKack", "z9hG4bKack", "z9hG4bKother", "1", "1"):
        ack = read(request("ACK", branch=f";branch={branch}"))
        harness.layer.send_statelessly(ack, TO_BOB)
        branches.append(harness.says().via.branch)
    assert branches[0] == branches[1]
    assert branches[3] == branches[4]
    assert len(set(branches)) == 3
    assert all(re.fullmatch("z9hG4bK[0-9a-f]{16}", branch) for branch in branches)
    assert harness.is_quiet
    harness.is_broken = True
    harness.layer.send_statelessly(ack, TO_BOB)
    assert harness.layer.counts[MESSAGES_UNSENT] == 1


# Memory


def test_an_accepted_call_frees_both_requests_without_gc(proxy: Harness):
    """A transaction takes about 1 kB, and is in no reference cycle."""
    traced = read(request())
    gone = traced_by_its_lines(traced)
    proxy.layer.start(KeepsNothing(proxy.handler))
    gc.disable()
    try:
        proxy.hears_message(traced, FROM_ALICE)
        del traced
        invite = proxy.says()
        answers(proxy, invite, 200)
        proxy.events.clear()
        assert gone() is None
        (client,) = proxy.layer.clients.values()
        assert client.request is None
        assert client.data is None
    finally:
        gc.enable()
    assert proxy.says().status == 200


def test_ipv6_peers_see_brackets_in_our_via(harness: Harness):
    """RFC 5118 §4.1; and the response is known by it, in any case."""
    flow = Flow("UDP", ("2001:db8::1", 5060), IPV6_BOB)
    harness.transports._by_local[flow.local] = Datagrams(harness)
    harness.handler = lambda request, upstream: upstream.layer.send_request(
        request.copy(), flow, upstream
    )
    harness.hears(request("MESSAGE"))
    message = harness.says()
    assert message.via.sent_by == "[2001:db8::1]:5060"
    upper = message.lines[0].replace("2001:db8", "2001:DB8") + "\n" + message.lines[1]
    harness.hears(response(message, 200, via=upper), source=BOB)
    assert harness.layer.counts[RESPONSES_UNMATCHED] == 0
