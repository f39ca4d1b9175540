"""Events as JSON."""

import json

import pytest

from sip.monitor.calls import Call, CallChanged, CallState, Side
from sip.monitor.event_json import EVENT_CLASSES, address_text, event_fields, event_name
from sip.monitor.event_names import EVENT_NAMES
from sip.monitor.events import (
    Banned,
    Overload,
    Refused,
    Registered,
    Sender,
    Unbanned,
    Unregistered,
)

AT = 1_700_000_000.0
TEXT = "2023-11-14T22:13:20Z"
PHONE = (1, "alice", "example.com", "sip:a@192.0.2.7", "Phone 1", ("192.0.2.7", 5060), "UDP")
REFUSED = Refused(
    AT,
    Sender.USER,
    "INVITE",
    404,
    "unknown callee 123",
    "Correct the number.",
    "alice",
    "example.com",
    "alice",
    "123",
    ("2001:db8::7", 5060),
    "2001:db8::/64",
    "TCP",
    "Phone 1",
    "id@host",
    "tag",
)


def call() -> Call:
    caller = Side(
        "sip:alice@example.com", 1, "alice", "example.com", "Phone 1", ("192.0.2.7", 5060)
    )
    return Call(5, "id@host", "tag", caller, Side("sip:123@example.net"), AT)


@pytest.mark.parametrize(
    ("event", "name", "some"),
    [
        (
            Registered(AT, *PHONE, True, AT + 60, False),
            "registered",
            {
                "username": "alice",
                "address": "192.0.2.7:5060",
                "expires_at": "2023-11-14T22:14:20Z",
            },
        ),
        (Unregistered(AT, *PHONE, "expired"), "unregistered", {"reason": "expired", "user_id": 1}),
        (REFUSED, "refused", {"status": 404, "address": "[2001:db8::7]:5060", "to": "123"}),
        (CallChanged("call.started", call()), "call.started", {"call_id": "id@host", "id": 5}),
        (
            Banned(
                AT, "192.0.2.9", ("192.0.2.9", 0), AT + 600, "scanner, User-Agent x", 2, "scanner"
            ),
            "banned",
            {
                "address": "192.0.2.9",
                "until": "2023-11-14T22:23:20Z",
                "code": "scanner",
                "times": 2,
            },
        ),
        (Unbanned(AT, "192.0.2.9", "lifted"), "unbanned", {"reason": "lifted"}),
        (Overload(AT, False, 512), "overload", {"state": "ended", "dropped": 512}),
    ],
)
def test_an_event_has_its_name_and_its_fields(event, name, some):
    fields = event_fields(event, AT)
    assert event_name(event) == name
    assert EVENT_CLASSES[name] is type(event)
    assert fields["at"] == TEXT
    assert {key: fields[key] for key in some} == some
    assert json.loads(json.dumps(fields)) == fields


def test_a_call_has_its_result_when_it_has_ended():
    one = call()
    fields = event_fields(CallChanged("call.started", one), AT)
    assert fields["from"] == {
        "uri": "sip:alice@example.com",
        "name": "alice",
        "user_id": 1,
        "device": "Phone 1",
        "address": "192.0.2.7:5060",
    }
    assert fields["to"]["user_id"] is None
    assert (fields["to"]["address"], fields["answered_at"]) == ("", None)
    assert "result" not in fields
    one.state, one.result, one.status = CallState.ENDED, "answered", 200
    one.ringing_at, one.answered_at, one.ended_at = AT + 1, AT + 3.5, AT + 10
    fields = event_fields(CallChanged("call.ended", one), AT + 10)
    assert (fields["rang_seconds"], fields["talked_seconds"]) == (2.5, 6.5)
    assert (fields["result"], fields["started_at"]) == ("answered", TEXT)


def test_each_name_has_a_class():
    assert tuple(EVENT_CLASSES) == EVENT_NAMES


def test_an_address_without_a_port_is_a_host():
    assert address_text(("192.0.2.1", 0)) == "192.0.2.1"
    assert address_text(("2001:db8::1", 0)) == "[2001:db8::1]"
    assert address_text(("", 0)) == ""
