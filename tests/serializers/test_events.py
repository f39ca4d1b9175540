"""Events as JSON; test_calls.py has the fields of calls."""

import json

from sip.monitor.calls import Call, CallChanged, Side
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
from sip.serializers.events import EVENT_CLASSES, event_json, event_name
from tests.support.cases import cases

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
    sides = Side("sip:alice@example.com", 1, "alice", "example.com"), Side("sip:123@example.net")
    return Call(5, "id@host", "tag", *sides, AT)


@cases(
    ("event", "name", "some"),
    [
        (
            Registered(AT, *PHONE, True, AT + 60, False),
            "registered",
            {
                "username": "alice",
                "address": "192.0.2.7",
                "expires_at": "2023-11-14T22:14:20Z",
            },
        ),
        (Unregistered(AT, *PHONE, "expired"), "unregistered", {"reason": "expired", "user_id": 1}),
        (REFUSED, "refused", {"status": 404, "address": "2001:db8::7", "to": "123"}),
        (
            CallChanged("call.started", call()),
            "call.started",
            {"call_id": "id@host", "id": 5, "codecs": []},
        ),
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
    fields = event_json(event, AT)
    assert event_name(event) == name
    assert EVENT_CLASSES[name] is type(event)
    assert fields["at"] == TEXT
    assert {key: fields[key] for key in some} == some
    assert json.loads(json.dumps(fields)) == fields


def test_each_name_has_a_class():
    assert tuple(EVENT_CLASSES) == EVENT_NAMES
