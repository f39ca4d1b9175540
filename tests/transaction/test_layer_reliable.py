"""The layer on connections: no retransmissions, the same time-outs (RFC 3261 §17, §18)."""

import pytest

from sip.transport.flow import Flow
from tests.support.message_octets import response_to
from tests.transaction.harness import ALICE, BOB, US, Harness, read, request, response

FROM_ALICE = Flow("TCP", US, (ALICE[0], 40_000), connection=1)
TO_BOB = Flow("TCP", US, BOB, connection=2)


@pytest.fixture
def proxy(harness: Harness) -> Harness:
    """A harness that sends each request to Bob, and his answer back."""
    harness.events = []

    def handler(request, upstream):
        upstream.layer.send_request(request.copy(), TO_BOB, upstream)
        event = upstream.mailbox.get()
        harness.events.append(event.status)
        if event.response is None:
            upstream.answer(event.status)
        else:
            event.response.remove_top_via()
            upstream.respond(event.response)

    harness.handler = handler
    return harness


def hears(harness: Harness, method: str = "INVITE", **more) -> None:
    harness.hears_message(read(request(method, **more)), FROM_ALICE)


def bob_answers(proxy: Harness, to, status: int) -> None:
    proxy.hears_message(read(response(to, status)), TO_BOB)


def test_our_via_names_the_transport(proxy: Harness):
    """§18.1.1."""
    hears(proxy)
    assert proxy.says().lines[0].startswith("Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK")


def test_an_answer_goes_back_along_the_connection(harness: Harness):
    """§18.2.2: the port of the Via does not matter."""
    harness.handler = lambda request, upstream: upstream.answer(486)
    hears(harness)
    assert [remote for _, remote in harness.sent] == [FROM_ALICE.remote]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_request_goes_out_once_and_its_silence_counts_as_a_408(proxy: Harness, method: str):
    """§17.1.1.2, §17.1.2.2: no timer A or E, but B and F of 64*T1."""
    hears(proxy, method)
    proxy.says()
    proxy.passes(31.9)
    requests = [message for message, remote in proxy.sent if remote == BOB]
    assert requests == []
    assert proxy.events == []
    proxy.passes(0.2)
    assert proxy.events == [408]
    assert not proxy.layer.clients


def test_a_failure_is_sent_once_until_its_ack_or_timer_h(harness: Harness):
    """§17.2.1: no timer G; timer I of 0 s."""
    harness.handler = lambda request, upstream: upstream.answer(486)
    hears(harness)
    assert harness.says().status == 486
    harness.passes(31.9)
    assert harness.sent == []
    assert len(harness.layer.servers) == 1
    harness.passes(0.2)
    assert harness.is_quiet
    hears(harness, branch=";branch=z9hG4bK2")
    failure = harness.says()
    hears(harness, "ACK", branch=";branch=z9hG4bK2", to=failure.value("to"))
    assert not harness.layer.servers
    assert harness.acks == []


def test_a_failure_of_the_callee_is_acknowledged_and_removed(proxy: Harness):
    """§17.1.1.2: an ACK on a connection too; timer D of 0 s."""
    hears(proxy)
    invite = proxy.says()
    bob_answers(proxy, invite, 486)
    assert proxy.says().method == "ACK"
    assert proxy.says().status == 486
    proxy.passes(0.1)
    assert not proxy.layer.clients


def test_an_accepted_call_is_held_for_timers_l_and_m(proxy: Harness):
    """RFC 6026 §8.7: on every transport."""
    hears(proxy)
    invite = proxy.says()
    for _ in range(2):
        bob_answers(proxy, invite, 200)
    assert [message.status for message, _ in proxy.sent] == [200, 200]
    proxy.sent.clear()
    proxy.passes(31.9)
    bob_answers(proxy, invite, 200)
    assert proxy.says().status == 200
    proxy.passes(0.3)
    assert proxy.is_quiet


def test_a_non_invite_is_removed_with_its_response(proxy: Harness):
    """§17.2.2, §17.1.2.2: timers J and K of 0 s."""
    hears(proxy, "MESSAGE")
    message = proxy.says()
    bob_answers(proxy, message, 200)
    assert proxy.says().status == 200
    assert not proxy.layer.servers
    proxy.passes(0.1)
    assert not proxy.layer.clients
    proxy.passes(33)
    assert proxy.is_quiet


def test_a_slow_non_invite_gets_a_100_on_a_connection_too(proxy: Harness):
    """RFC 4320 §4.1: without regard to the transport."""
    hears(proxy, "MESSAGE")
    proxy.says()
    proxy.passes(3.6)
    assert proxy.says().status == 100


def test_a_connection_that_fails_counts_as_a_503(proxy: Harness):
    """§18.4, §17.1.4."""
    proxy.is_broken = True
    hears(proxy)
    assert proxy.events == [503]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_closed_connection_counts_as_a_503(proxy: Harness, method: str):
    """§18.4, §8.1.3.1: also after a provisional response; other connections do not count."""
    hears(proxy, method)
    heard = proxy.says()
    bob_answers(proxy, heard, 180 if method == "INVITE" else 100)
    hears(proxy, method, branch=";branch=z9hG4bK2")
    proxy.layer.closed(FROM_ALICE.connection)
    proxy.settles()
    assert proxy.events == []
    proxy.layer.closed(TO_BOB.connection)
    proxy.settles()
    assert proxy.events == [503, 503]
    assert not proxy.layer.clients
    assert not len(proxy.layer.clients_by_connection)
    bob_answers(proxy, heard, 200)
    assert proxy.events == [503, 503]


def test_an_answered_invite_outlives_its_connection(proxy: Harness):
    """§18.4, RFC 6026 §8.7: a repeated 2xx may come on another connection."""
    hears(proxy)
    invite = proxy.says()
    bob_answers(proxy, invite, 200)
    assert proxy.says().status == 200
    proxy.layer.closed(TO_BOB.connection)
    bob_answers(proxy, invite, 200)
    assert proxy.says().status == 200
    proxy.passes(32.1)
    assert not proxy.layer.clients
    assert not len(proxy.layer.clients_by_connection)


def test_a_closed_connection_ends_the_cancel_and_its_invite(proxy: Harness):
    """§9.1: neither transaction is left."""
    hears(proxy)
    invite = proxy.says()
    bob_answers(proxy, invite, 180)
    hears(proxy, "CANCEL")
    (transaction,) = proxy.layer.clients.values()
    proxy.layer.cancel(transaction)
    assert len(proxy.layer.clients_by_connection) == 2
    proxy.layer.closed(TO_BOB.connection)
    proxy.settles()
    assert not proxy.layer.clients
    assert not len(proxy.layer.clients_by_connection)


def test_the_end_of_the_connection_that_was_used_counts(proxy: Harness):
    """§18.2.2: a new connection was opened, since the one of the flow was closed."""
    proxy.instead = 7
    hears(proxy)
    proxy.says()
    proxy.layer.closed(TO_BOB.connection)
    proxy.settles()
    assert proxy.events == []
    proxy.layer.closed(7)
    proxy.settles()
    assert proxy.events == [503]


def test_on_udp_nothing_is_noted(harness: Harness):
    harness.handler = lambda request, upstream: upstream.layer.send_request(
        request.copy(), TO_BOB._replace(transport="UDP", connection=0), upstream
    )
    hears(harness)
    assert len(harness.layer.clients) == 1
    assert not len(harness.layer.clients_by_connection)


def test_timer_c_and_a_cancel_go_along_the_same_connection(proxy: Harness):
    """§9.1, §16.8: destination and transport are those of the INVITE."""
    hears(proxy)
    invite = proxy.says()
    bob_answers(proxy, invite, 180)
    proxy.says()
    proxy.passes(181.1)
    cancel, remote = proxy.sent.pop(0)
    assert (cancel.method, remote) == ("CANCEL", BOB)
    assert cancel.lines[0] == invite.lines[0]
    proxy.passes(10)
    assert proxy.sent == []  # it is not retransmitted


def test_a_request_is_merged_only_while_the_first_is_served(harness: Harness):
    """§8.2.2.2, §17.2.2: timer J is 0 s, so the first transaction ends with its response."""
    merged = []

    def handler(request, upstream):
        merged.append(upstream.is_merged())
        if len(merged) == 1:
            upstream.mailbox.get()
        upstream.respond(response_to(request, 200, to_tag="t"))

    harness.handler = handler
    hears(harness, "REGISTER")
    hears(harness, "REGISTER", branch=";branch=z9hG4bK2")
    harness.served[0][1].mailbox.put("enough")
    harness.settles()
    hears(harness, "REGISTER", branch=";branch=z9hG4bK3")
    assert merged == [False, True, False]
