"""The layer as a client: errors, silence, and timer C (RFC 3261 §16.8, §16.9, §17.1.4, §18.4)."""

import re

import pytest

from sip.message.message import Message
from sip.transport.flow import Flow
from tests.transaction.harness import BOB, TO_BOB, Harness, answers, request, sent_on

# Transport errors, §17.1.4, §18.4


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_send_that_fails_counts_as_a_503(proxy: Harness, method: str):
    """§16.9."""
    proxy.is_broken = True
    proxy.hears(request(method))
    assert [(one.status, one.response) for one in proxy.events] == [(503, None)]
    assert not proxy.layer.clients


def quote(message: Message, size: int = 520) -> bytes:
    """Return the part of a datagram that an ICMP error quotes."""
    return message.encode()[:size]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_an_icmp_error_for_our_request_counts_as_a_503(proxy: Harness, method: str):
    """§16.9, §18.4."""
    message = sent_on(proxy, method)
    proxy.layer.unreachable(quote(message, 160))
    proxy.settles()
    assert [(one.status, one.response) for one in proxy.events] == [(503, None)]
    assert proxy.says().status == 503
    assert not proxy.layer.clients


@pytest.mark.parametrize(
    "forge",
    [
        lambda quoted: b"",
        lambda quoted: quoted[:40],
        lambda quoted: quoted.partition(b"branch=")[0],
        lambda quoted: re.sub(rb"(branch=z9hG4bK.{15}).*", rb"\1", quoted, flags=re.DOTALL),
        lambda quoted: re.sub(rb"z9hG4bK[0-9a-f]{16}", b"z9hG4bK0123456789abcdef", quoted),
        lambda quoted: quoted.replace(b"INVITE", b"OPTIONS", 1),
        lambda quoted: quoted.replace(b"INVITE", b"ACK", 1),
        lambda quoted: b"SIP/2.0 200 OK" + quoted[quoted.index(b"\r\n") :],
        lambda quoted: b"\xff\x00\r\nVia: \xff",
    ],
)
def test_a_foreign_icmp_error_ends_nothing(proxy: Harness, forge):
    """An attacker that does not know our branch cannot end a call."""
    invite = sent_on(proxy)
    proxy.layer.unreachable(forge(quote(invite)))
    proxy.settles()
    assert proxy.events == []
    assert len(proxy.layer.clients) == 1


def test_a_branch_in_a_request_uri_is_not_taken_for_ours(proxy: Harness):
    """The Request-URI, written by a peer, comes before our Via in the quoted datagram."""
    message = sent_on(proxy, uri="sip:bob@example.com;branch=z9hG4bK0123456789abcdef")
    proxy.layer.unreachable(quote(message))
    proxy.settles()
    assert [one.status for one in proxy.events] == [503]


def test_an_icmp_error_after_the_phone_has_rung_is_ignored(proxy: Harness):
    """It was reachable; timer C ends the call if needed."""
    invite = sent_on(proxy)
    answers(proxy, invite, 180)
    proxy.layer.unreachable(quote(invite))
    proxy.settles()
    assert proxy.events == []


def test_an_icmp_error_for_a_retransmission_counts_as_a_503(proxy: Harness):
    """§17.1.2.2: in Proceeding other methods are still retransmitted."""
    message = sent_on(proxy, "MESSAGE")
    answers(proxy, message, 100)
    proxy.layer.unreachable(quote(message))
    proxy.settles()
    assert [one.status for one in proxy.events] == [503]
    assert not proxy.layer.clients


@pytest.mark.parametrize("status", [200, 486])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_an_icmp_error_after_the_final_response_is_ignored(
    proxy: Harness, method: str, status: int
):
    """Accepted and Completed: the request was received, and repeated responses still come."""
    message = sent_on(proxy, method)
    answers(proxy, message, status)
    proxy.layer.unreachable(quote(message))
    proxy.settles()
    assert len(proxy.events) == 1
    assert len(proxy.layer.clients) == 1


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_repeat_that_cannot_be_sent_counts_as_a_503(proxy: Harness, method: str):
    """§17.1.4: as for the first transmission."""
    sent_on(proxy, method)
    proxy.is_broken = True
    proxy.passes(0.6)
    assert [(one.status, one.response) for one in proxy.events] == [(503, None)]
    assert not proxy.layer.clients


def test_a_failure_that_cannot_be_sent_again_is_kept(proxy: Harness):
    """RFC 6026 §7.1, §8.8: the server transaction stays as it is, until timer H."""
    invite = sent_on(proxy)
    answers(proxy, invite, 486)
    proxy.is_broken = True
    proxy.passes(10)
    proxy.is_broken = False
    proxy.sent.clear()
    proxy.hears(request())
    assert proxy.says().status == 486


# Time-outs, §17.1.1.2, §17.1.2.2


@pytest.mark.parametrize(("method", "times"), [("INVITE", 7), ("MESSAGE", 11)])
def test_silence_counts_as_a_408_after_64_t1(proxy: Harness, method: str, times: int):
    """§16.7: timers A and B, E and F."""
    first = sent_on(proxy, method)
    proxy.passes(31.9)
    repeats = [message for message, remote in proxy.sent if remote == BOB]
    assert len(repeats) == times - 1
    assert {message.encode() for message in repeats} == {first.encode()}
    assert proxy.events == []
    proxy.passes(0.2)
    assert [(one.status, one.response) for one in proxy.events] == [(408, None)]
    assert not proxy.layer.clients


def test_timer_c_cancels_a_call_that_rings_for_three_minutes(proxy: Harness):
    """§16.8; without a response to the CANCEL it counts as a 408 (§9.1)."""
    invite = sent_on(proxy)
    answers(proxy, invite, 180)
    proxy.says()
    proxy.passes(180.9)
    assert proxy.sent == []
    proxy.passes(0.2)
    cancel = proxy.says()
    assert cancel.method == "CANCEL"
    answers(proxy, cancel, 200)
    proxy.passes(32.1)
    assert [one.status for one in proxy.events] == [408]


def test_a_branch_that_outlives_its_handler_puts_nothing(harness: Harness):
    """A phone that never responds to the CANCEL."""

    def handler(request, upstream):
        upstream.layer.send_request(request.copy(), TO_BOB, upstream)
        upstream.answer(200)

    harness.handler = handler
    harness.hears(request())
    harness.passes(65.0)
    harness.sent.clear()
    assert harness.is_quiet
    assert harness.served[0][1].mailbox.take_all() == []


def test_an_exception_in_a_timer_leaves_other_timers_alone(proxy: Harness, caplog, monkeypatch):
    """All machines that are due leave the wheel together."""
    broken, good = sent_on(proxy), sent_on(proxy, branch=";branch=z9hG4bKalice2")
    send, branch = proxy.send, broken.via.branch.encode()

    def fails(data: bytes, flow: Flow) -> Flow:
        if branch in data:
            raise RuntimeError("a fault of ours")
        return send(data, flow)

    monkeypatch.setattr(proxy, "send", fails)
    proxy.passes(0.6)
    assert "timer" in caplog.text
    assert [one.status for one in proxy.events] == [500]
    repeats = [message for message, remote in proxy.sent if remote == BOB]
    assert [message.via.branch for message in repeats] == [good.via.branch]
