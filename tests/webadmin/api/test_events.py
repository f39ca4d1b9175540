"""The operation on events."""

import pytest

from sip.monitor.events import Unbanned
from sip.store.tokens import Role
from tests.support.api_client import PREFIX, problem
from webadmin import event_streams


def test_a_stream_begins_at_once_and_ends_with_its_token(context, stranger, monkeypatch):
    monkeypatch.setattr(event_streams, "TOKEN_SECONDS", 0.001)
    token = context.tokens.add("reader", Role.VIEWER)

    headers = {"Authorization": f"Bearer {token}"}
    found = context.tokens.find
    looks = []

    def find(hashed: str):
        looks.append(hashed)
        if len(looks) == 2:  # the first look is that of the request
            context.bus.publish(Unbanned(0.0, "192.0.2.7", "lifted"))
            context.tokens.remove("reader")
        return found(hashed)

    monkeypatch.setattr(context.tokens, "find", find)
    answer = stranger.send("GET", f"{PREFIX}/events?types=unbanned,banned", b"", headers)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text.startswith("retry: ")
    assert not context.bus.has_listener(Unbanned)


@pytest.mark.parametrize("types", ["unbanned,nothing", ",", "Banned"])
def test_an_unknown_name_is_refused(api, types):
    assert problem(api.get(f"/events?types={types}"))["status"] == 422


def test_too_many_streams_are_503(api, monkeypatch):
    monkeypatch.setattr(event_streams, "MAX_READERS", 0)
    assert problem(api.get("/events"))["status"] == 503


def test_a_head_request_leaves_no_reader(api, context):
    answer = api.send("HEAD", "/events")
    assert (answer.status, answer.body) == (200, b"")
    assert not context.bus.has_listener(Unbanned)
