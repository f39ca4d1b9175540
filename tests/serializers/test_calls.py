"""Calls as JSON, present ones and those of the history."""

import pytest

from sip.monitor.calls import Call, CallState, Side
from sip.monitor.events import RingingPhone
from sip.serializers.calls import call_json, past_call_json
from sip.store.database import Database
from sip.store.history import CallFilter, History
from tests.support.past_calls import write_calls

AT = 1_700_000_000.0
OFFER = b"v=0\r\nm=audio 4000 RTP/AVP 8 0\r\n"
DESK = ("Desk", ("2001:db8::7", 5060), "UDP")


def side(name: str = "Alice Liddell") -> Side:
    return Side("sip:1001@192.0.2.1;user=phone", 1, "alice", "example.com", name, *DESK)


def call(caller: Side) -> Call:
    callee = Side("sip:123@example.net")
    return Call(int(AT * 1e6), "id@host", "tag", caller, callee, AT, offer=OFFER)


def ended(caller: Side) -> Call:
    one = call(caller)
    one.state, one.result, one.status, one.cause = CallState.ENDED, "answered", 200, "hung up"
    one.ringing_at, one.answered_at, one.ended_at = AT + 1, AT + 3.5, AT + 10
    one.ended_by = "callee"
    return one


def test_a_present_call_has_the_fields_of_the_contract():
    one = call(side())
    one.phones = (RingingPhone(("192.0.2.9", 5060), "UDP", "Bell", behind_nat=False),)
    assert call_json(one) == {
        "id": 1_700_000_000_000_000,
        "call_id": "id@host",
        "state": "ringing",
        "from": {
            "uri": "sip:alice@example.com",
            "name": "Alice Liddell",
            "user_id": 1,
            "device": "Desk",
            "address": "2001:db8::7",
        },
        "to": {
            "uri": "sip:123@example.net",
            "name": "",
            "user_id": None,
            "device": "",
            "address": "",
        },
        "started_at": "2023-11-14T22:13:20Z",
        "answered_at": None,
        "codecs": ["PCMA", "PCMU"],
    }


def test_an_ended_call_has_its_result():
    fields = call_json(ended(side()))
    assert (fields["rang_seconds"], fields["talked_seconds"]) == (2.5, 6.5)
    assert (fields["result"], fields["status"], fields["ended_by"]) == ("answered", 200, "callee")
    assert fields["ended_at"] == "2023-11-14T22:13:30Z"


@pytest.mark.parametrize(
    ("caller", "name"),
    [
        (side(""), "alice"),
        (side("alice"), "alice"),
        (Side("sip:+4930@gateway.example", 0, "", "", "", *DESK), ""),
    ],
)
def test_the_history_has_the_same_id_and_sides(tmp_path, caller, name):
    """A user without a display name is shown by its user name, a stranger by its URI."""
    one = ended(caller)
    with Database(str(tmp_path / "sip.db")) as database:
        write_calls(database, [one])
        (past,) = History(database).page(CallFilter()).calls
    now, then = call_json(one), past_call_json(past)
    assert now["from"]["name"] == name
    assert now.items() >= then.items()
    assert now.keys() - then.keys() == {"state", "answered_at", "codecs", "ended_at"}
