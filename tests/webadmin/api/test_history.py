"""Operations on the history of calls."""

import pytest

from sip.monitor.calls import CallResult
from sip.times import rfc3339
from tests.support.api_client import problem
from tests.support.past_calls import ALICE, BOB, outside, past_call, write_calls

NOON = 1_700_000_000


@pytest.fixture
def past(context):
    """Seven calls, one an hour."""
    results = (CallResult.ANSWERED, CallResult.MISSED, CallResult.FAILED) * 2 + ("busy",)
    sides = (ALICE, BOB), (BOB, ALICE), (outside(), BOB)
    calls = [
        past_call(NOON + 3600 * number, *sides[number % 3], result)
        for number, result in enumerate(results)
    ]
    write_calls(context.users.database, calls)
    return calls


def ids(api, **query: object) -> list[int]:
    return [call["id"] for call in api.json("/history", **query)["items"]]


def test_a_past_call_has_its_result_and_times(api, past):
    call = api.json("/history", limit=500)["items"][-1]
    assert call == {
        "id": NOON * 1_000_000,
        "call_id": past[0].call_id,
        "from": {
            "uri": "sip:alice@example.com",
            "name": "alice",
            "user_id": 1,
            "device": "Phone 1.0",
            "address": "10.0.0.7",
        },
        "to": {
            "uri": "sip:bob@example.com",
            "name": "bob",
            "user_id": 2,
            "device": "Phone 1.0",
            "address": "10.0.0.7",
        },
        "started_at": rfc3339(NOON),
        "rang_seconds": 4.0,
        "talked_seconds": 60.0,
        "result": "answered",
        "status": 200,
        "code": "hung_up",
        "cause": "hung up",
        "cure": "",
        "ended_by": "caller",
    }


def test_the_history_is_filtered(api, past):
    numbers = [call.id for call in past]
    assert ids(api) == numbers[::-1]
    assert ids(api, result="missed,busy") == [numbers[6], numbers[4], numbers[1]]
    assert ids(api, user="alice") == [numbers[n] for n in (6, 4, 3, 1, 0)]
    assert ids(api, user="nobody") == []
    two = rfc3339(NOON + 7200)
    assert ids(api, to=two) == [numbers[1], numbers[0]]
    assert ids(api, **{"from": two}, result="answered") == [numbers[3]]
    assert ids(api, to="2023-11-15T01:13:20+01:00") == ids(api, to="2023-11-15T00:13:20Z")
    assert ids(api, to="1960-01-01T00:00:00Z") == []


def test_the_parts_of_the_history_have_each_call_once(api, past):
    found, cursor = [], {}
    for _ in range(4):
        part = api.json("/history", limit=2, **cursor)
        found += [call["id"] for call in part["items"]]
        cursor = {"after": part["next"]}
    assert part["next"] is None
    assert found == [call.id for call in past][::-1]


@pytest.mark.parametrize(
    "text",
    [
        "today",
        "2026-11-29",
        "2026-11-29T14:02:10",
        "2026-13-29T14:02:10Z",
        "0001-01-01T00:00:00+09:00",
    ],
)
def test_a_time_that_is_none_is_named(api, text):
    details = problem(api.get(f"/history?from={text.replace('+', '%2B')}"))
    assert (details["status"], details["errors"][0]["field"]) == (422, "from")
