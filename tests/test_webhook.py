"""The webhook, with a real web server on loopback."""

import logging
import re
import socket
import ssl
import time
from collections import deque
from contextlib import closing
from pathlib import Path

import gevent
import pytest
import trustme

from sip.monitor.event_queue import MAX_EVENTS, MAX_REFUSALS
from sip.monitor.events import Bus, Overload, Refused, Registered, Sender, Unbanned
from sip.serializers.events import EVENT_CLASSES
from sip.webhook import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MAX_RESPONSE,
    MAX_TRIES,
    PresentWebhook,
    Webhook,
)
from tests.support.event_receiver import EventReceiver
from tests.support.programs import free_port

SECRET = "a secret of the tests"
MANUAL = Path(__file__).parent.parent / "docs" / "webhooks.md"


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def receiver():
    with closing(EventReceiver()) as receiver:
        yield receiver


@pytest.fixture
def pauses() -> list[float]:
    """The pauses that a webhook has made, which take no time here."""
    return []


@pytest.fixture
def start(bus: Bus, pauses: list[float]):
    """Start a webhook: `start(url)`; it is stopped with the test."""
    started: list[Webhook] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        gevent.sleep(0)

    def begin(url: str, names=tuple(EVENT_CLASSES)) -> Webhook:
        started.append(Webhook(url, SECRET, names, bus, pause=pause))
        return started[-1]

    yield begin
    for webhook in started:
        webhook.stop()


def until(condition) -> None:
    """Let greenlets run until a condition holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        gevent.sleep(0.005)


def unban(bus: Bus, network: object) -> None:
    bus.publish(Unbanned(1_700_000_000.0, str(network), "expired"))


def refused(sender: Sender, user: str = "alice") -> Refused:
    values = ("REGISTER", 403, "wrong password", "", user, None, user, "")
    address = ("192.0.2.7", 5060), "192.0.2.7", "UDP", "Phone 1", "id", "tag"
    return Refused(1.0, sender, *values, *address)


def networks(receiver: EventReceiver) -> list[str]:
    return [taken.event["data"]["network"] for taken in receiver.taken]


def test_an_event_is_sent_again_until_it_is_accepted(bus, receiver, start, pauses):
    """With the same id, before all later events, and after growing pauses."""
    receiver.answers = deque([503, 500])
    start(receiver.url)
    for network in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        unban(bus, network)
    until(lambda: len(receiver.taken) == 5)
    assert networks(receiver) == ["192.0.2.1"] * 3 + ["192.0.2.2", "192.0.2.3"]
    ids = [taken.headers["X-Sipserver-Id"] for taken in receiver.taken]
    assert [taken.event["id"] for taken in receiver.taken] == ids
    assert len(set(ids)) == 3
    assert FIRST_PAUSE / 2 <= pauses[0] <= FIRST_PAUSE <= pauses[1] <= 2 * FIRST_PAUSE
    assert bus.lost == 0


def test_a_request_is_json_to_the_url(bus, receiver, start):
    start(receiver.url)
    unban(bus, "192.0.2.1")
    until(lambda: receiver.taken)
    (taken,) = receiver.taken
    assert taken.path == "/sip?from=test"
    assert taken.headers["Content-Type"] == "application/json"
    assert taken.headers["X-Sipserver-Event"] == taken.event["event"] == "unbanned"
    data = {"at": "2023-11-14T22:13:20Z", "network": "192.0.2.1", "reason": "expired"}
    assert taken.event["data"] == data


def test_the_python_of_the_manual_verifies_a_signature(bus, receiver, start):
    (code,) = re.findall(r"```python\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    names: dict = {}
    exec(code, names)
    is_from_sipserver = names["is_from_sipserver"]
    start(receiver.url)
    unban(bus, "192.0.2.1")
    until(lambda: receiver.taken)
    (taken,) = receiver.taken
    assert is_from_sipserver(taken.headers, taken.body, SECRET)
    assert not is_from_sipserver(taken.headers, taken.body + b" ", SECRET)
    assert not is_from_sipserver(taken.headers, taken.body, SECRET + "x")
    old = taken.headers | {"X-Sipserver-Timestamp": str(int(time.time()) - 301)}
    assert not is_from_sipserver(old, taken.body, SECRET)


def test_the_connection_is_used_again(bus, receiver, start):
    start(receiver.url)
    for number in range(20):
        unban(bus, number)
    until(lambda: len(receiver.taken) == 20)
    assert receiver.connections == 1


@pytest.mark.parametrize(("headers", "hangs_up"), [({"Connection": "close"}, False), ({}, True)])
def test_a_closed_connection_is_no_failure(bus, receiver, start, pauses, headers, hangs_up):
    """It is opened again at once, whether the web server has said that it closes it or not."""
    receiver.headers, receiver.hangs_up = headers, hangs_up
    start(receiver.url)
    for number in range(5):
        unban(bus, number)
        until(lambda count=number + 1: len(receiver.taken) == count)
        gevent.sleep(0.01)
    assert networks(receiver) == ["0", "1", "2", "3", "4"]
    assert pauses == []


@pytest.mark.parametrize("status", [400, 401, 404, 410, 301, 302, 307])
def test_what_would_fail_again_is_given_up_at_once(bus, receiver, start, pauses, status):
    receiver.answers = deque([status])
    receiver.headers = {"Location": receiver.url}
    start(receiver.url)
    unban(bus, 1)
    unban(bus, 2)
    until(lambda: networks(receiver) == ["1", "2"])
    assert (bus.lost, pauses) == (1, [])


@pytest.mark.parametrize(
    ("status", "retry_after", "longest"),
    [(408, "", FIRST_PAUSE), (429, "7", 7), (503, "9999999999", LONGEST_PAUSE), (503, "x", 1)],
)
def test_a_web_server_may_ask_for_a_pause(
    bus, receiver, start, pauses, status, retry_after, longest
):
    receiver.answers = deque([status])
    receiver.headers = {"Retry-After": retry_after}
    start(receiver.url)
    unban(bus, 1)
    until(lambda: len(receiver.taken) == 2)
    assert longest / 2 <= pauses[0] <= longest
    assert bus.lost == 0


def test_an_event_is_given_up_after_many_requests(bus, receiver, start, pauses, caplog):
    caplog.set_level(logging.INFO, "sip.webhook")
    receiver.answers = deque([500] * MAX_TRIES)
    start(receiver.url)
    unban(bus, 1)
    unban(bus, 2)
    until(lambda: networks(receiver) == ["1"] * MAX_TRIES + ["2"])
    assert bus.lost == 1
    assert len(pauses) == MAX_TRIES - 1
    assert max(pauses) <= LONGEST_PAUSE
    until(lambda: len(caplog.messages) == 2)
    failed, works = caplog.messages
    assert failed.startswith("webhook failed: 127.0.0.1:")
    assert "status 500; it is sent again" in failed
    assert works == "webhook works again; 1 events were lost"


def test_failures_in_turn_with_successes_are_logged_rarely(bus, receiver, start, caplog):
    """As of a web server that accepts some kinds of events only."""
    caplog.set_level(logging.INFO, "sip.webhook")
    receiver.answers = deque([400, 200] * 10)
    start(receiver.url)
    for number in range(20):
        unban(bus, number)
    until(lambda: len(receiver.taken) == 20 and len(caplog.messages) == 2)
    assert "status 400; the event is discarded" in caplog.messages[0]
    assert caplog.messages[1] == "webhook works again; 1 events were lost"
    assert bus.lost == 10


def test_a_web_server_that_is_away_is_tried_again(bus, start, pauses):
    port = free_port(socket.SOCK_STREAM)
    start(f"http://127.0.0.1:{port}/")
    unban(bus, 1)
    until(lambda: len(pauses) >= 3)


def test_a_full_queue_discards_the_oldest_event(bus, receiver, start):
    webhook = start(receiver.url)
    for number in range(MAX_EVENTS + 10):  # the greenlet of the webhook has not run yet
        unban(bus, number)
    assert len(webhook._pending) == MAX_EVENTS
    assert bus.lost == 10
    until(lambda: len(receiver.taken) == MAX_EVENTS)
    assert networks(receiver) == [str(number) for number in range(10, MAX_EVENTS + 10)]


def test_refusals_do_not_push_out_other_events(bus, receiver, start):
    """A password guesser causes as many as it likes."""
    start(receiver.url)
    unban(bus, "first")
    for _ in range(2 * MAX_EVENTS):
        bus.publish(refused(Sender.VERIFIED))
    unban(bus, "last")
    until(lambda: len(receiver.taken) == MAX_REFUSALS + 2)
    assert receiver.names == ["unbanned", *["refused"] * MAX_REFUSALS, "unbanned"]
    bus.publish(refused(Sender.VERIFIED))
    until(lambda: len(receiver.taken) == MAX_REFUSALS + 3)


def test_refreshes_and_forged_senders_are_left_out(bus, receiver, start):
    def registered(*, is_refresh: bool) -> Registered:
        who = (1, "alice", "example.com", "sip:a@192.0.2.7", "Phone", ("192.0.2.7", 5060), "UDP")
        return Registered(1.0, *who, False, 3600.0, is_refresh)

    start(receiver.url)
    bus.publish(registered(is_refresh=True))
    bus.publish(refused(Sender.UNVERIFIED))
    bus.publish(registered(is_refresh=False))
    bus.publish(refused(Sender.USER))
    until(lambda: len(receiver.taken) == 2)
    assert receiver.names == ["registered", "refused"]


def test_only_the_chosen_events_are_sent(bus, receiver, start):
    start(receiver.url, ("overload",))
    unban(bus, 1)
    bus.publish(Overload(1.0, True, 0))
    until(lambda: receiver.taken)
    assert receiver.names == ["overload"]
    assert not bus.has_listener(Unbanned)


def test_a_long_answer_is_not_read_to_its_end(bus, receiver, start):
    receiver.content = b"x" * (MAX_RESPONSE + 1)
    start(receiver.url)
    unban(bus, 1)
    unban(bus, 2)
    until(lambda: len(receiver.taken) == 2)
    assert receiver.connections == 2


def test_a_stop_sends_what_is_pending(bus, receiver):
    webhook = Webhook(receiver.url, SECRET, ("unbanned",), bus)
    for number in range(10):
        unban(bus, number)
    webhook.stop()
    assert networks(receiver) == [str(number) for number in range(10)]
    assert not bus.has_listener(Unbanned)


def test_other_settings_take_the_place_of_the_webhook(bus, receiver):
    webhook = PresentWebhook(bus)
    webhook.set("", "", ("unbanned",))
    assert not bus.has_listener(Unbanned)
    webhook.set(receiver.url, SECRET, ("unbanned",))
    unban(bus, 1)
    webhook.set(receiver.url, SECRET, ("unbanned", "overload"))
    unban(bus, 2)
    bus.publish(Overload(1.0, True, 0))
    until(lambda: len(receiver.taken) == 3)
    assert sorted(receiver.names) == ["overload", "unbanned", "unbanned"], "each is sent once"
    webhook.set("", SECRET, ())
    assert not bus.has_listener(Unbanned)
    webhook.stop()


def test_a_certificate_has_to_be_valid(bus, start, pauses, monkeypatch, tmp_path, caplog):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with closing(EventReceiver(context)) as receiver:
        start(receiver.url)
        unban(bus, 1)
        until(lambda: pauses)
        assert "the certificate is not valid" in caplog.text
        assert receiver.taken == []
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        start(receiver.url)
        unban(bus, 2)
        until(lambda: receiver.taken)
        assert networks(receiver) == ["2"]
