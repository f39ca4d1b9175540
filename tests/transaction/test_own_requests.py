"""Requests that the server sends itself (RFC 3261 §8.1, §17.1.2)."""

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.message.message import Request, parse
from sip.monitor.metrics import RESPONSES_UNMATCHED
from sip.transaction.own_request import NoResponse, build_request
from sip.transport.flow import Flow
from tests.support.cases import cases
from tests.transaction.harness import BOB, TO_BOB, US, Harness, answers, read, response, sent_on

BY_TCP = Flow("TCP", US, BOB, connection=2)


def ping(method: str = "OPTIONS", **more) -> Request:
    """Build a request to Bob."""
    fields = {
        "from_uri": "sip:example.com",
        "from_tag": "us",
        "to_uri": "sip:bob@example.com",
        "call_id": "ping-1",
    }
    return build_request(method, "sip:bob@192.0.2.8:5060", **(fields | more))


class Caller:
    """A greenlet that sends a request of ours, and its outcome."""

    def __init__(self, harness: Harness, request: Request, flow: Flow = TO_BOB) -> None:
        self.outcome: object = None
        self.greenlet = gevent.spawn(self._run, harness, request, flow)
        harness.settles()

    def _run(self, harness: Harness, request: Request, flow: Flow) -> None:
        try:
            self.outcome = harness.layer.send_own_request(request, flow).status
        except NoResponse as error:
            self.outcome = "no response", error.status


# Building, §8.1.1


def test_a_request_of_ours_has_all_mandatory_fields():
    """§8.1.1: except Via, which depends on the flow."""
    request = ping(cseq=7)
    assert request.encode().decode().split("\r\n") == [
        "OPTIONS sip:bob@192.0.2.8:5060 SIP/2.0",
        "Max-Forwards: 70",
        "From: <sip:example.com>;tag=us",
        "To: <sip:bob@example.com>",
        "Call-ID: ping-1",
        "CSeq: 7 OPTIONS",
        "Content-Length: 0",
        "",
        "",
    ]


def test_a_request_within_a_dialog_has_routes_and_a_to_tag():
    """§12.2.1.1: the route set in order, both tags, a body with its type."""
    request = ping(
        "NOTIFY",
        to_tag="b",
        routes=("<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"),
        extra=(("Event", "presence"), ("Contact", "<sip:192.0.2.1>")),
        content_type="text/plain",
        body=b"here",
    )
    request.put_first("via", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa")
    got = parse(request.encode())
    assert got.values("route") == ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]
    assert (got.from_.tag, got.to.tag, got.cseq) == ("us", "b", (1, "NOTIFY"))
    assert (got.value("event"), got.value("content-type"), got.body) == (
        "presence", "text/plain", b"here",
    )  # fmt: skip


@cases(
    "wrong",
    [
        {"method": "OP TIONS"},
        {"method": ""},
        {"from_tag": ""},
        {"call_id": ""},
        {"call_id": "a\r\nRoute: <sip:evil.example.com>"},
        {"to_uri": "sip:bob@example.com\n"},
        {"cseq": 2**31},
        {"cseq": -1},
        {"body": b"without a type"},
        {"extra": (("Event:", "x"),)},
        {"extra": (("Event", "x\rVia: y"),)},
        {"routes": ("<sip:a>\n",)},
    ],
)
def test_an_invalid_request_is_not_built(wrong: dict):
    """§7.3.1, §8.1.1, §20.15: and no value can add a header field."""
    with pytest.raises(ValueError, match=r"."):
        ping(**wrong)


@pytest.mark.parametrize("uri", ["", "sip:a b", "sip:a\r\nVia: b", "sip:a\x00"])
def test_a_request_uri_is_one_word(uri: str):
    """§7.1."""
    with pytest.raises(ValueError, match="Request-URI"):
        build_request("OPTIONS", uri, from_uri="a", from_tag="b", to_uri="c", call_id="d")


@given(st.text(max_size=20), st.text(max_size=20), st.binary(max_size=40))
def test_a_built_request_is_read_back_the_same(call_id: str, event: str, body: bytes):
    """§7: unless it is refused."""
    try:
        request = ping(
            call_id=f"c{call_id}c", extra=(("Event", event),), body=body, content_type="a/b"
        )
    except ValueError:
        return
    assert request.names.count("event") == request.names.count("call-id") == 1
    assert request.encode().split(b"\r\n\r\n", 1)[0].count(b"\r\n") == len(request.lines)
    assert request.encode().endswith(b"\r\n\r\n" + body)


# Answered, §17.1.2


@pytest.mark.parametrize("method", ["OPTIONS", "NOTIFY", "REGISTER", "BYE"])
@pytest.mark.parametrize("status", [200, 302, 401, 481, 503])
def test_the_caller_gets_the_final_response(harness: Harness, method: str, status: int):
    """§8.1.3: of any class; the transaction ends after timer K."""
    caller = Caller(harness, ping(method))
    sent = harness.says()
    assert sent.lines[0].startswith("Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK")
    assert caller.outcome is None
    answers(harness, sent, status)
    assert caller.outcome == status
    harness.passes(5.1)
    assert harness.is_quiet


def test_a_request_may_be_sent_again(harness: Harness):
    """§8.1.1.7: with one Via each time, and another branch."""
    request = ping()
    branches = set()
    for _ in range(2):
        Caller(harness, request)
        sent = harness.says()
        assert len(sent.fields("via")) == 1
        branches.add(sent.via.branch)
        answers(harness, sent, 503)
    assert len(branches) == 2


def test_provisional_responses_pass_by(harness: Harness):
    """§17.1.2.2: they only slow the retransmissions down."""
    caller = Caller(harness, ping())
    sent = harness.says()
    for status in (100, 183):
        answers(harness, sent, status)
    assert caller.outcome is None
    answers(harness, sent, 200)
    assert caller.outcome == 200
    assert harness.sent == []


def test_a_repeated_final_response_is_absorbed(harness: Harness):
    """§17.1.2.2: state Completed, until timer K."""
    caller = Caller(harness, ping())
    sent = harness.says()
    answers(harness, sent, 200)
    answers(harness, sent, 404)
    assert caller.outcome == 200
    assert harness.is_quiet is False
    harness.passes(5.1)
    assert harness.is_quiet


@pytest.mark.parametrize(
    "via",
    [
        "{ours}\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKx",
        "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK0123456789abcdef",
        "Via: SIP/2.0/UDP 192.0.2.2:5060;branch={branch}",
    ],
)
def test_a_response_with_other_vias_is_dropped(harness: Harness, via: str):
    """§8.1.3.3, §18.1.2: exactly one Via, with our sent-by and branch."""
    caller = Caller(harness, ping())
    sent = harness.says()
    via = via.format(ours=sent.lines[0], branch=sent.via.branch)
    answers(harness, sent, 200, via=via)
    assert caller.outcome is None
    assert harness.layer.counts[RESPONSES_UNMATCHED] == 1
    answers(harness, sent, 200)
    assert caller.outcome == 200


# Not answered, §8.1.3.1


def test_silence_is_a_408_after_timer_f(harness: Harness):
    """§17.1.2.2: ten retransmissions by timer E, with pauses of T2 at most."""
    caller = Caller(harness, ping())
    first = harness.says()
    times = []
    while caller.outcome is None and harness.now < 140:
        harness.passes(1 / 32)
        for repeat, remote in harness.sent:
            assert (repeat.encode(), remote) == (first.encode(), BOB)
            times.append(harness.now - 100)
        harness.sent.clear()
    assert times == pytest.approx([0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5], abs=0.1)
    assert harness.now - 100 == pytest.approx(32, abs=0.1)
    assert caller.outcome == ("no response", 408)
    assert harness.is_quiet


def test_a_provisional_response_does_not_stop_timer_f(harness: Harness):
    """§17.1.2.2: in Proceeding too; retransmissions every T2."""
    caller = Caller(harness, ping())
    answers(harness, harness.says(), 100)
    harness.passes(31.9)
    assert caller.outcome is None
    assert len(harness.sent) == 8
    harness.passes(0.2)
    assert caller.outcome == ("no response", 408)


def test_an_icmp_error_is_a_503(harness: Harness):
    """§18.4, §8.1.3.1."""
    caller = Caller(harness, ping())
    harness.layer.unreachable(harness.says().encode()[:160])
    harness.settles()
    assert caller.outcome == ("no response", 503)
    harness.passes(1)
    assert harness.is_quiet


def test_a_send_that_fails_is_a_503(harness: Harness):
    """§8.1.3.1: at once."""
    harness.is_broken = True
    caller = Caller(harness, ping())
    assert caller.outcome == ("no response", 503)
    assert not harness.layer.clients


def test_a_retransmission_that_fails_is_a_503(harness: Harness):
    """§17.1.4."""
    caller = Caller(harness, ping())
    harness.says()
    harness.is_broken = True
    harness.passes(0.6)
    assert caller.outcome == ("no response", 503)
    assert not harness.layer.clients


def test_a_fault_in_a_timer_is_a_500(harness: Harness, monkeypatch):
    """The caller gets an outcome after any fault."""
    caller = Caller(harness, ping())

    def fails(data: bytes, flow: Flow) -> Flow:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(harness, "send", fails)
    harness.passes(0.6)
    assert caller.outcome == ("no response", 500)


# Along a connection, §18


def test_a_connection_carries_it_once_until_timer_f(harness: Harness):
    """§17.1.2.2: no timer E on a reliable transport."""
    caller = Caller(harness, ping(), BY_TCP)
    assert harness.says().lines[0].startswith("Via: SIP/2.0/TCP ")
    harness.passes(31.9)
    assert harness.sent == []
    assert caller.outcome is None
    harness.passes(0.2)
    assert caller.outcome == ("no response", 408)
    assert harness.is_quiet
    assert not len(harness.layer.clients_by_connection)


def test_a_connection_brings_the_response(harness: Harness):
    """§17.1.2.2: timer K of 0 s."""
    caller = Caller(harness, ping(), BY_TCP)
    harness.hears_message(read(response(harness.says(), 200)), BY_TCP)
    assert caller.outcome == 200
    harness.passes(0.1)
    assert not harness.layer.clients


def test_a_closed_connection_is_a_503(harness: Harness):
    """§18.4: other connections do not count."""
    caller = Caller(harness, ping(), BY_TCP)
    harness.says()
    harness.layer.closed(3)
    harness.settles()
    assert caller.outcome is None
    harness.layer.closed(BY_TCP.connection)
    harness.settles()
    assert caller.outcome == ("no response", 503)
    assert not harness.layer.clients
    assert not len(harness.layer.clients_by_connection)


# Bounds and ends


@pytest.mark.parametrize("method", ["INVITE", "ACK", "CANCEL"])
def test_an_invite_ack_or_cancel_is_not_sent(harness: Harness, method: str):
    """§13, §9.1: an INVITE needs more than one response, the others more than one request."""
    with pytest.raises(ValueError, match=method):
        harness.layer.send_own_request(ping(method), TO_BOB)
    assert harness.is_quiet


def test_own_requests_are_bounded_with_all_others(harness: Harness, monkeypatch):
    """MAX_TRANSACTIONS counts them too."""
    monkeypatch.setattr("sip.transaction.layer.MAX_TRANSACTIONS", 1)
    first, second = Caller(harness, ping()), Caller(harness, ping())
    assert second.outcome == ("no response", 503)
    answers(harness, harness.says(), 200)
    assert first.outcome == 200
    assert harness.sent == []


def test_a_stop_ends_all_own_requests(harness: Harness):
    """No timer runs any more after it."""
    callers = [Caller(harness, ping()), Caller(harness, ping(), BY_TCP)]
    harness.layer.stop()
    harness.settles()
    assert [caller.outcome for caller in callers] == [("no response", 503)] * 2
    assert not harness.layer.clients
    assert not len(harness.layer.clients_by_connection)


def test_a_stop_leaves_proxied_requests_alone(proxy: Harness):
    """Their callers get a response before the stop."""
    sent_on(proxy, "MESSAGE")
    proxy.layer.stop()
    proxy.settles()
    assert proxy.events == []
    assert len(proxy.layer.clients) == 1


def test_a_killed_caller_leaves_nothing_behind(harness: Harness):
    """The response is absorbed when it comes, and put into no mailbox."""
    caller = Caller(harness, ping())
    caller.greenlet.kill()
    (transaction,) = harness.layer.clients.values()
    assert transaction.user is None
    answers(harness, harness.says(), 200)
    harness.passes(5.1)
    assert harness.is_quiet
    assert not harness.layer.counts[RESPONSES_UNMATCHED]


def test_each_request_has_a_branch_of_its_own(harness: Harness):
    """§8.1.1.7: two at once are told apart."""
    first, second = Caller(harness, ping()), Caller(harness, ping())
    one, other = harness.says(), harness.says()
    assert one.via.branch != other.via.branch
    answers(harness, other, 404)
    answers(harness, one, 200)
    assert (first.outcome, second.outcome) == (200, 404)
