"""The command `history`."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from sip.cli.history import parse_since
from sip.monitor.calls import Call, CallFinished, CallResult
from sip.store.database import Database
from sip.store.history_writer import HistoryWriter, Limits
from tests.support.past_calls import ALICE, BOB, REALM, outside, past_call

NOW = 1_700_000_000.0


@pytest.fixture
def record(sipserver) -> Iterator[Callable[..., None]]:
    """Write calls into the history of the command's database."""
    with Database("sip_users.db") as database:
        database.remember("realm", REALM)
        with closing(HistoryWriter(database, Limits(), lambda: NOW)) as writer:

            def record(*calls: Call) -> None:
                for call in calls:
                    writer.listen(CallFinished(call))
                writer.flush()

            yield record


def test_past_calls_are_listed_newest_first(sipserver, record):
    record(past_call(NOW, ALICE, BOB), past_call(NOW + 60, outside(), ALICE, CallResult.MISSED))
    code, out, err = sipserver("history")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "2023-11-14T22:14:20Z\t+49305550199@gateway.example\talice\tmissed\t480\trang 4 s"
        "\ttalked 0 s\thung up",
        "2023-11-14T22:13:20Z\talice\tbob\tanswered\t200\trang 4 s\ttalked 60 s\thung up",
    ]


def test_json_is_an_array_with_the_words_of_the_api(sipserver, record):
    assert json.loads(sipserver("history", "--json")[1]) == []
    record(past_call(NOW), past_call(NOW + 1, BOB, ALICE, CallResult.BUSY))
    busy, answered = json.loads(sipserver("history", "-json")[1])
    assert (busy["result"], busy["from"]["name"]) == ("busy", "bob")
    assert (answered["result"], answered["started_at"]) == ("answered", "2023-11-14T22:13:20Z")


def test_user_and_since_narrow_the_list(sipserver, record):
    record(past_call(NOW), past_call(NOW + 60, BOB, outside()), past_call(NOW - 60, BOB, outside()))
    for arguments, lines in (
        (("--user", "alice"), 1),
        (("--user", "bob"), 3),
        (("--user", "nobody"), 0),
        (("--user", "\udcff"), 0),
        (("--since", "2023-11-14T22:13:20Z"), 2),
        (("--since", "2023-11-14", "--user=alice"), 1),
        (("--since", "1h"), 0),
    ):
        code, out, err = sipserver("history", *arguments)
        assert (code, len(out.splitlines()), err) == (0, lines, ""), arguments


def test_more_calls_than_one_query_reads_are_listed(sipserver, record):
    record(*(past_call(NOW + at) for at in range(1100)))
    assert len(sipserver("history")[1].splitlines()) == 1100


@pytest.mark.parametrize("text", ["", "yesterday", "2023-13-01", "7w", "-1d", "1", "0001-01-01"])
def test_a_time_that_cannot_be_read_is_an_error_or_no_bound(sipserver, record, text):
    code, out, err = sipserver("history", f"--since={text}")
    if text in ("", "0001-01-01"):
        assert (code, out) == (0, "")
    else:
        assert (code, out) == (2, "")
        assert err == (
            f"sipserver.py: --since: {text!r} is no time; write it like 2026-11-30,"
            " 2026-11-30T14:00Z, 12h or 7d\n"
        )


def test_a_span_is_before_now_and_a_time_without_zone_is_utc():
    assert parse_since("30min", NOW) == NOW - 1800
    assert parse_since("2023-11-14T22:13:20", NOW) == NOW
    assert parse_since("2023-11-14T23:13:20+01:00", NOW) == NOW


def test_a_missing_database_is_an_error(sipserver):
    code, out, err = sipserver("history")
    assert (code, out) == (1, "")
    assert err.startswith("sipserver.py: there is no database sip_users.db;")
