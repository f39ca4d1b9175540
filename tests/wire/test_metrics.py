"""Metrics and the webhook of a running server, while SIPp calls."""

import http.client
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.event_receiver import EventReceiver
from tests.support.programs import until
from tests.support.server import CALLEES, Server
from tests.support.sipp_calls import play

CALLS = 100
SECRET = "a secret of the tests"


@pytest.fixture
def receiver():
    with closing(EventReceiver()) as receiver:
        yield receiver


@pytest.fixture
def server(tmp_path: Path, database: Path, receiver: EventReceiver) -> Iterator[Server]:
    """The real server with a webhook to `receiver`; CALLERS and CALLEES have accounts."""
    server = Server(tmp_path / "server", "-webhook.url", receiver.url)
    server.environment["SIPSERVER_WEBHOOK_SECRET"] = SECRET
    shutil.copy(database, server.database)
    server.start()
    yield server
    server.close()


def scrape(server: Server, token: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.web_port, timeout=10)) as asking:
        asking.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
        answer = asking.getresponse()
        return answer.status, answer.read().decode()


def values(server: Server, token: str) -> dict[tuple[str, ...], float]:
    """Return the number of each sample by its name and labels, these sorted by their names."""
    status, text = scrape(server, token)
    assert status == 200, text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_metrics_count_the_calls_of_sipp(server: Server, sipp):
    token = server.does("tokens", "add", "prometheus").strip()
    play(server, sipp, "caller_challenged", "callee", CALLS)
    found = values(server, token)
    assert found["sipserver_calls_total", "answered"] == CALLS
    assert found["sipserver_requests_total", "INVITE", "UDP"] == 2 * CALLS
    assert found["sipserver_responses_total", "4xx", "INVITE"] == CALLS
    assert found["sipserver_registrations",] == len(CALLEES)
    assert found["sipserver_commit_seconds_count",] > 0
    assert found["sipserver_hub_lag_seconds_count",] > 10
    assert found["process_open_fds",] > 5
    server.does("tokens", "remove", "prometheus")
    assert scrape(server, token)[0] == 401


def test_calls_go_on_while_the_web_server_is_silent(server: Server, receiver, sipp):
    """Then all events of each call come, in their order."""
    receiver.waits.clear()
    play(server, sipp, "caller_challenged", "callee", CALLS)
    receiver.waits.set()
    until(lambda: receiver.names.count("call.ended") == CALLS, "the last event", 30)
    calls: dict[str, list[str]] = {}
    for taken in receiver.taken:
        if taken.event["event"].startswith("call."):
            call = calls.setdefault(taken.event["data"]["call_id"], [])
            if taken.event["event"] not in call:  # sent again after ten seconds of silence
                call.append(taken.event["event"])
    assert set(map(tuple, calls.values())) == {
        ("call.started", "call.ringing", "call.answered", "call.ended")
    }
    assert receiver.names.count("registered") >= len(CALLEES)


def test_a_silent_web_server_is_given_up_after_ten_seconds(server: Server, receiver, sipp):
    receiver.waits.clear()
    play(server, sipp, "caller_challenged", "callee", 1)
    until(lambda: "no response within 10 s" in server.log.read_text(), "the log line", 20)
    receiver.waits.set()
    until(lambda: "webhook works again" in server.log.read_text(), "the log line", 20)
