"""Traces, users, refusals, waits and the audit as JSON."""

import json
from ipaddress import ip_network

from sip.core.guard.guard import Wait
from sip.monitor.events import Bus, MessagePassed, Refused, Sender
from sip.monitor.refusals import Refusals
from sip.monitor.traces import Traces
from sip.serializers.operation import audit_json
from sip.serializers.traces import trace_json
from sip.serializers.trouble import refusal_json, trusted_json, wait_json
from sip.serializers.users import user_json
from sip.store import audit, directory

AT = 1_700_000_000.0
TEXT = "2023-11-14T22:13:20Z"
SECRET = (
    b"REGISTER sip:example.com SIP/2.0\r\nCall-ID: one\r\nFrom: <sip:a@example.com>;tag=1\r\n"
    b'CSeq: 1 REGISTER\r\nAuthorization: Digest response="SECRET"\r\n\r\n\xff'
)


def test_the_messages_of_a_trace_are_redacted():
    bus = Bus()
    traces = Traces(bus)
    server, phone = ("192.0.2.1", 5060), ("2001:db8::1", 5060)
    bus.publish(MessagePassed(AT, "in", server, phone, "UDP", SECRET))
    trace = traces.find(b"one")
    (message,) = json.loads(json.dumps(trace_json(trace)))["messages"]
    text = message.pop("text")
    assert message == {
        "at": "2023-11-14T22:13:20.000Z",
        "direction": "in",
        "local": "192.0.2.1:5060",
        "remote": "[2001:db8::1]:5060",
        "transport": "UDP",
    }
    assert text.endswith("\\xff")
    assert "SECRET" not in text
    assert "SECRET" in trace_json(trace, secrets=True)["messages"][0]["text"]


def test_a_refusal_has_the_fields_of_the_contract():
    refusals = Refusals()
    names = ("wrong password for carol", "Type it again.", "carol", "example.com", "carol", "")
    source = (("192.0.2.7", 5060), "192.0.2.7", "UDP", "Desk", "one", "tag")
    refusals.add(Refused(AT, Sender.USER, "REGISTER", 401, *names, *source))
    (row,) = refusals.latest()
    assert refusal_json(row) == {
        "first_at": TEXT,
        "last_at": TEXT,
        "count": 1,
        "method": "REGISTER",
        "status": 401,
        "code": "",
        "cause": "wrong password for carol",
        "cure": "Type it again.",
        "user": "carol",
        "to": "",
        "address": "192.0.2.7",
        "device": "Desk",
        "call_id": "one",
    }


def test_a_wait_of_any_name_is_printable():
    """The name is the one in a digest, which a stranger chooses."""
    wait = Wait(7, "a\udcff\nb", "192.0.2.7", 5, int(AT))
    assert wait_json(wait) == {
        "id": 7,
        "user": "a\ufffd\ufffdb",
        "address": "192.0.2.7",
        "tries": 5,
        "until": TEXT,
    }


def test_a_network_of_the_setting_is_listed_once():
    setting = ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32")
    assert trusted_json(setting, ["10.0.0.0/8", "198.51.100.0/24"]) == [
        {"network": "10.0.0.0/8", "source": "setting"},
        {"network": "192.0.2.1", "source": "setting"},
        {"network": "198.51.100.0/24", "source": "added"},
    ]


def test_a_user_that_was_never_seen_has_no_time():
    names = ("alice", "example.com", "Alice")
    entry = directory.Entry(3, *names, True, False, None, int(AT), int(AT) + 5)
    assert user_json(entry) == {
        "id": 3,
        "username": "alice",
        "realm": "example.com",
        "display_name": "Alice",
        "enabled": True,
        "online": False,
        "last_seen": None,
        "created_at": TEXT,
        "aliases": [],
        "dnd": False,
        "forward": {
            "always": "",
            "busy": "",
            "no_answer": "",
            "no_answer_seconds": 20,
            "offline": "",
        },
    }


def test_an_entry_of_the_audit_has_the_words_of_the_page():
    entry = audit.Entry(2, int(AT), "admin", "192.0.2.7", audit.Act.BAN_LIFTED, "192.0.2.66")
    assert audit_json(entry) == {
        "id": 2,
        "at": TEXT,
        "actor": "admin",
        "address": "192.0.2.7",
        "action": "ban removed",
        "about": "192.0.2.66",
    }
