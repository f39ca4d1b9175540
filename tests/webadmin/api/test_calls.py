"""Operations on the calls that ring or talk."""

import json

from sip.store.audit import Act
from tests.support.api_client import problem


def test_a_call_has_both_sides_and_its_state(api, filled, clock):
    number = filled.starts_call()
    clock.now += 3
    filled.is_answered()
    (call,) = api.json("/calls")["items"]
    assert call == {
        "id": number,
        "call_id": "one@host/x",
        "state": "talking",
        "from": {
            "uri": "sip:alice@example.com",
            "name": "Alice",
            "user_id": 1,
            "device": "Desk 1",
            "address": "192.0.2.10",
        },
        "to": {
            "uri": "sip:+49301234@example.com;user=phone",
            "name": "",
            "user_id": None,
            "device": "Gateway",
            "address": "192.0.2.66",
        },
        "started_at": "2023-11-14T22:13:20Z",
        "answered_at": "2023-11-14T22:13:23Z",
        "codecs": [],
    }


def test_the_newest_call_is_first_part_by_part(api, filled, clock):
    numbers = []
    for call in "abcde":
        clock.now += 1
        numbers.append(filled.starts_call(call))
    found, cursor = [], {}
    for size in (2, 2, 1):
        part = api.json("/calls", limit=2, **cursor)
        assert len(part["items"]) == size
        found += [call["id"] for call in part["items"]]
        cursor = {"after": part["next"]}
    assert found == numbers[::-1]
    assert part["next"] is None


def test_a_call_is_hung_up_once(api, filled, context):
    number = filled.starts_call()
    answer = api.write("DELETE", f"/calls/{number}")
    assert (answer.status, answer.body) == (202, b"")
    assert filled.hung_up == [("one@host/x", "a")]
    entry = context.audit.entries()[0]
    assert (entry.act, entry.who) == (Act.CALL_HUNG_UP, "token api")
    assert entry.about == "alice to +49301234"
    assert problem(api.write("DELETE", "/calls/1"))["status"] == 404
    context.hang_up = lambda call_id, from_tag: False  # it ends at this moment
    assert problem(api.write("DELETE", f"/calls/{number}"))["status"] == 404


def test_octets_that_are_no_text_are_still_json(api, filled):
    """A header field may have any octets; they are kept as surrogates."""
    filled.starts_call("\udcffcall")
    assert json.loads(api.get("/calls").body)["items"][0]["call_id"] == "?call"
