"""The layer along a connection: nothing is repeated, the time-outs stay (RFC 3261 §17, §18)."""

import pytest

from sip.message.message import make_response
from sip.transport.flow import Flow
from tests.transaction.layer_bench import ALICE, BOB, US, Hop, read, request, response

FROM_ALICE = Flow("TCP", US, (ALICE[0], 40_000), connection=1)
TO_BOB = Flow("TCP", US, BOB, connection=2)


@pytest.fixture
def proxy(hop: Hop) -> Hop:
    """A hop that sends each request to Bob, and his answer back."""
    hop.arrivals = []

    def handler(request, upstream):
        upstream.layer.send_request(request.copy(), TO_BOB, upstream)
        arrival = upstream.arrivals.get()
        hop.arrivals.append(arrival.status)
        if arrival.response is None:
            upstream.answer(arrival.status)
        else:
            arrival.response.remove_top_via()
            upstream.respond(arrival.response)

    hop.handler = handler
    return hop


def hears(hop: Hop, method: str = "INVITE", **more) -> None:
    hop.hears_message(read(request(method, **more)), FROM_ALICE)


def bob_answers(proxy: Hop, to, status: int) -> None:
    proxy.hears_message(read(response(to, status)), TO_BOB)


def test_our_via_names_the_transport(proxy: Hop):
    """§18.1.1."""
    hears(proxy)
    assert proxy.says().lines[0].startswith("Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK")


def test_an_answer_goes_back_along_the_connection(hop: Hop):
    """§18.2.2: whatever port the Via names."""
    hop.handler = lambda request, upstream: upstream.answer(486)
    hears(hop)
    assert [remote for _, remote in hop.sent] == [FROM_ALICE.remote]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_request_goes_out_once_and_its_silence_counts_as_a_408(proxy: Hop, method: str):
    """§17.1.1.2, §17.1.2.2: no timer A or E, but B and F of 64*T1."""
    hears(proxy, method)
    proxy.says()
    proxy.passes(31.9)
    requests = [message for message, remote in proxy.sent if remote == BOB]
    assert requests == []
    assert proxy.arrivals == []
    proxy.passes(0.2)
    assert proxy.arrivals == [408]
    assert not proxy.layer.clients


def test_a_failure_is_sent_once_until_its_ack_or_timer_h(hop: Hop):
    """§17.2.1: no timer G; timer I of 0 s."""
    hop.handler = lambda request, upstream: upstream.answer(486)
    hears(hop)
    assert hop.says().status == 486
    hop.passes(31.9)
    assert hop.sent == []
    assert len(hop.layer.servers) == 1
    hop.passes(0.2)
    assert hop.is_quiet
    hears(hop, branch=";branch=z9hG4bK2")
    failure = hop.says()
    hears(hop, "ACK", branch=";branch=z9hG4bK2", to=failure.value("to"))
    assert not hop.layer.servers
    assert hop.acks == []


def test_a_failure_of_the_callee_is_acknowledged_and_forgotten(proxy: Hop):
    """§17.1.1.2: an ACK even here; timer D of 0 s."""
    hears(proxy)
    invite = proxy.says()
    bob_answers(proxy, invite, 486)
    assert proxy.says().method == "ACK"
    assert proxy.says().status == 486
    proxy.passes(0.1)
    assert not proxy.layer.clients


def test_an_accepted_call_is_held_for_timers_l_and_m(proxy: Hop):
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


def test_another_method_is_forgotten_with_its_answer(proxy: Hop):
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


def test_who_waits_is_told_so_here_too(proxy: Hop):
    """RFC 4320 §4.1: without regard to the transport."""
    hears(proxy, "MESSAGE")
    proxy.says()
    proxy.passes(3.6)
    assert proxy.says().status == 100


def test_a_connection_that_fails_counts_as_a_503(proxy: Hop):
    """§18.4, §17.1.4."""
    proxy.is_broken = True
    hears(proxy)
    assert proxy.arrivals == [503]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_what_a_connection_ends_before_it_is_answered_counts_as_a_503(proxy: Hop, method: str):
    """§18.4, §8.1.3.1: at once, whether it has been heard or not, and along no other one."""
    hears(proxy, method)
    heard = proxy.says()
    bob_answers(proxy, heard, 180 if method == "INVITE" else 100)
    hears(proxy, method, branch=";branch=z9hG4bK2")
    proxy.layer.closed(FROM_ALICE.connection)
    proxy.settles()
    assert proxy.arrivals == []
    proxy.layer.closed(TO_BOB.connection)
    proxy.settles()
    assert proxy.arrivals == [503, 503]
    assert not proxy.layer.clients
    assert not len(proxy.layer.awaited)
    bob_answers(proxy, heard, 200)
    assert proxy.arrivals == [503, 503]


def test_what_has_been_answered_outlives_its_connection(proxy: Hop):
    """§18.4, RFC 6026 §8.7: a 2xx may still be repeated, along another."""
    hears(proxy)
    invite = proxy.says()
    bob_answers(proxy, invite, 200)
    assert proxy.says().status == 200
    proxy.layer.closed(TO_BOB.connection)
    bob_answers(proxy, invite, 200)
    assert proxy.says().status == 200
    proxy.passes(32.1)
    assert not proxy.layer.clients
    assert not len(proxy.layer.awaited)


def test_a_cancel_that_its_connection_ends_takes_the_invite_with_it(proxy: Hop):
    """§9.1: nothing is left that could be answered."""
    hears(proxy)
    invite = proxy.says()
    bob_answers(proxy, invite, 180)
    hears(proxy, "CANCEL")
    (transaction,) = proxy.layer.clients.values()
    proxy.layer.cancel(transaction)
    assert len(proxy.layer.awaited) == 2
    proxy.layer.closed(TO_BOB.connection)
    proxy.settles()
    assert not proxy.layer.clients
    assert not len(proxy.layer.awaited)


def test_it_is_the_connection_which_carried_a_request_whose_end_counts(proxy: Hop):
    """§18.2.2: another was opened, as the one that it was meant for had gone."""
    proxy.instead = 7
    hears(proxy)
    proxy.says()
    proxy.layer.closed(TO_BOB.connection)
    proxy.settles()
    assert proxy.arrivals == []
    proxy.layer.closed(7)
    proxy.settles()
    assert proxy.arrivals == [503]


def test_on_udp_nothing_is_noted(hop: Hop):
    hop.handler = lambda request, upstream: upstream.layer.send_request(
        request.copy(), TO_BOB._replace(transport="UDP", connection=0), upstream
    )
    hears(hop)
    assert len(hop.layer.clients) == 1
    assert not len(hop.layer.awaited)


def test_timer_c_and_a_cancel_go_along_the_same_connection(proxy: Hop):
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
    assert proxy.sent == []  # nor is it repeated


def test_a_merged_request_is_one_only_as_long_as_the_first_is_served(hop: Hop):
    """§8.2.2.2, §17.2.2: with timer J of 0 s the first is no ongoing transaction any more."""
    merged = []

    def handler(request, upstream):
        merged.append(upstream.is_merged())
        if len(merged) == 1:
            upstream.arrivals.get()
        upstream.respond(make_response(request, 200, to_tag="t"))

    hop.handler = handler
    hears(hop, "REGISTER")
    hears(hop, "REGISTER", branch=";branch=z9hG4bK2")
    hop.served[0][1].arrivals.put("enough")
    hop.settles()
    hears(hop, "REGISTER", branch=";branch=z9hG4bK3")
    assert merged == [False, True, False]
