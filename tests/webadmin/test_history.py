"""The page of past calls: filters, totals, chart, list and CSV."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from sip.monitor.calls import Call, CallFinished, CallResult
from sip.store.audit import Act
from sip.store.history_search import RESULTS
from sip.store.history_writer import HistoryWriter, Limits
from tests.support.past_calls import ALICE, BOB, outside, past_call, user
from webadmin.history import _COLUMNS

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z, as the clock of the pages


@pytest.fixture
def record(context) -> Iterator[Callable[..., None]]:
    """Return `record(call, …)`: the calls are in the history when it returns."""
    writer = HistoryWriter(context.users.database, Limits(), lambda: NOW)
    with closing(writer):

        def record(*calls: Call) -> None:
            for call in calls:
                writer.listen(CallFinished(call))
            writer.flush()

        yield record


def rows(page) -> list[str]:
    """The rows of the list, as words."""
    body = page.text.partition("past-calls")[2]
    return [
        " ".join(re.sub(r"<[^>]*>", " ", row).split())
        for row in re.findall(r"<tr>(.*?)</tr>", body.partition("<tbody>")[2], re.S)
    ]


def test_an_empty_history_says_so(browser):
    page = browser.get("/history")
    assert "There are no calls yet." in page.words
    assert "Download" not in page.words
    assert "No calls match." in browser.get("/history?result=busy").words


def test_a_row_tells_who_when_how_long_and_why(browser, record, context):
    account = context.users.add("alice", "correct horse", None)
    context.users.set_display_name("alice", "Alice Liddell")
    alice = user(account.id, "alice", "Desk 1.0")
    record(past_call(NOW - 100, alice, outside(), rang=4, talked=61))
    record(past_call(NOW - 50, alice, BOB, CallResult.BUSY, rang=0, cause="Busy Here"))
    page = browser.get("/history")
    busy, answered = rows(page)
    assert answered == (
        "Alice Liddell alice Desk 1.0 10.0.0.7:5060 +49305550199@gateway.example 192.0.2.1:5060"
        " 2023-11-14 22:11:40 0:04 1:01 Answered The caller hung up. Ladder"
    )
    assert "Busy Busy Here. 486" in busy
    assert f'<a href="/users/{account.id}">alice</a>' in page.text
    assert re.search(r'href="/traces/call-\d+%4010.0.0.7"', page.text)


def test_totals_and_chart_are_of_the_filter(browser, record):
    record(past_call(NOW - 7200, talked=60), past_call(NOW - 60, result=CallResult.MISSED, rang=20))
    page = browser.get("/history")
    assert "Calls 2 Answered 50% Average ring 12 s Average talk 1:00" in page.words
    assert "2023-11-14 20:00: 1 call, 1 answered" in page.text
    assert page.text.count("<rect") == 4
    missed = browser.get("/history?result=missed")
    assert "Calls 1 Answered 0% Average ring 20 s Average talk \u2013" in missed.words
    for path in ("/history", "/history?user=alice"):
        table = re.search(r"as a table(.*?)</details>", browser.get(path).text, re.S)[1]
        cells = re.findall(r"<td[^>]*>(.*?)</td>", table)
        assert cells == ["2023-11-14 20:00", "1", "1", "2023-11-14 22:00", "1", "0"]


def test_a_bar_fills_its_share_of_the_chart(browser, record):
    record(past_call(NOW - 7200), past_call(NOW - 7100), past_call(NOW, result=CallResult.BUSY))
    heights = re.findall(
        r'<rect class="(\w+)" .*? y="([\d.]+)" .*?height="([\d.]+)"', browser.get("/history").text
    )
    assert heights == [
        ("answered", "0.0", "100.0"),
        ("other", "0.0", "0.0"),
        ("answered", "100.0", "0.0"),
        ("other", "50.0", "50.0"),
    ]


def test_the_filters_narrow_the_list_and_stay_in_all_links(browser, record):
    day = 24 * 3600
    for result in RESULTS:
        record(past_call(NOW - 3 * day, ALICE, user(3, "carol"), result))
        record(past_call(NOW, ALICE, BOB, result))
    for query, count in (
        ("result=busy", 2),
        ("result=busy,missed", 4),
        ("user=carol", 7),
        ("user=carol&result=busy", 1),
        ("number=aro", 7),
        ("number=zzz", 0),
        ("from=2023-11-14", 7),
        ("to=2023-11-13", 7),
        ("from=2023-11-11&to=2023-11-11", 7),
        ("from=2023-11-12&to=2023-11-13", 0),
        ("result=none&from=yesterday&to=2023-13-01&before=x", 14),
        ("from=0001-01-01&to=9999-12-31", 14),
    ):
        assert len(rows(browser.get(f"/history?{query}"))) == count, query
    page = browser.get("/history?user=carol&number=aro&result=busy&from=2023-11-11&to=2023-11-14")
    kept = "user=carol&amp;number=aro&amp;result=missed&amp;from=2023-11-11&amp;to=2023-11-14"
    assert f'href="/history?{kept}"' in page.text
    assert [page.value(name) for name in ("user", "number", "result", "from", "to")] == [
        *("carol", "aro", "busy", "2023-11-11", "2023-11-14"),
    ]
    assert re.search(r'result=busy[^>]*aria-current="true"', page.text)
    today = "from=2023-11-14&amp;to=2023-11-14"
    assert f"/history?user=carol&amp;number=aro&amp;result=busy&amp;{today}" in page.text


def test_pages_follow_each_other_from_the_newest_on(browser, record):
    record(*(past_call(NOW - at) for at in range(120)))
    seen, path = [], "/history?result=answered"
    while path:
        page = browser.get(path)
        seen += re.findall(r'<time datetime="([^"]+)" data-show="both" title', page.text)
        found = re.search(r'href="([^"]+)" rel="next"', page.text)
        path = found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == 120
    assert seen == sorted(seen, reverse=True)
    assert 'href="/history?result=answered">Newest' in page.text


def test_texts_of_a_peer_are_escaped(browser, record):
    nasty = outside('sip:"><script>alert(1)</script>@evil.example')
    nasty.device = "<img src=x onerror=alert(1)>"
    call = past_call(NOW, nasty, BOB, CallResult.FAILED, cause="<b>no</b>")
    call.call_id = "\"/../x?y#z'><script>"
    record(call)
    text = browser.get("/history?user=<script>&number=<script>").text
    text += browser.get("/history").text
    assert "<script>alert" not in text
    assert "<img" not in text.replace('<img src="/static', "")
    assert "/traces/%22%2F..%2Fx%3Fy%23z%27%3E%3Cscript%3E" in text


def test_a_search_among_many_numbers_goes_on_with_older_calls(browser, record, monkeypatch):
    monkeypatch.setattr("sip.store.history_search.MAX_LOOKED_AT", 5)
    record(
        *(past_call(NOW - at, ALICE, BOB if at < 9 else outside("sip:zoe@x")) for at in range(11))
    )
    page = browser.get("/history?number=zo")
    assert "No match among the calls since 2023-11-14 22:13:16 ." in page.words
    assert "Search older calls" in page.words
    path = re.search(r'href="([^"]+)" rel="next"', page.text)[1].replace("&amp;", "&")
    assert len(rows(browser.get(path))) == 1


def test_a_history_that_is_off_says_so(browser, context):
    assert "Calls are kept for 90 days" in browser.get("/history").words
    context.config = replace(context.config, calls_keep=0)
    assert "New calls are not kept: -calls.keep is 0." in browser.get("/history").words


# The file


def test_the_file_has_all_calls_of_the_filter(browser, record, context):
    record(*(past_call(NOW - at, ALICE, BOB) for at in range(700)))
    record(past_call(NOW, BOB, ALICE, CallResult.BUSY))
    answer = browser.get("/history/export.csv?result=answered")
    assert answer.headers["content-type"] == "text/csv; charset=UTF-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="calls.csv"'
    assert answer.text.startswith("\ufeffstarted_at,from,")
    assert answer.text.count("\r\n") == answer.text.count("\n") == 701
    table = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"), newline="")))
    assert table[0] == [*_COLUMNS]
    assert {len(row) for row in table} == {len(_COLUMNS)}
    assert dict(zip(*table[:2], strict=True)) | {"call_id": ""} == {
        "started_at": "2023-11-14T22:13:20Z",
        "from": "alice",
        "from_name": "",
        "to": "bob",
        "to_name": "",
        "result": "answered",
        "status": "200",
        "rang_seconds": "4.0",
        "talked_seconds": "60.0",
        "ended_by": "caller",
        "cause": "hung up",
        "from_device": "Phone 1.0",
        "from_address": "10.0.0.7:5060",
        "to_device": "Phone 1.0",
        "to_address": "10.0.0.7:5060",
        "call_id": "",
    }
    entry = context.audit.entries()[0]
    assert (entry.act, entry.about) == (Act.HISTORY_EXPORTED, "result=answered")


def test_no_cell_of_the_file_is_a_formula(browser, record):
    """A spreadsheet would compute it; the quotes of the file keep commas and line ends in cells."""
    nasty = outside('=HYPERLINK(A1),"x')
    nasty.device = "@SUM(1+1)"
    record(past_call(NOW, nasty, outside("sip:+4930@gw"), CallResult.FAILED, cause="-1+1"))
    answer = browser.get("/history/export.csv")
    ((*_,), row) = csv.reader(io.StringIO(answer.text, newline=""))
    cells = dict(zip(_COLUMNS, row, strict=True))
    assert (cells["from"], cells["to"]) == ("'=HYPERLINK(A1),\"x", "'+4930@gw")
    assert (cells["from_device"], cells["cause"]) == ("'@SUM(1+1)", "'-1+1")


def test_an_empty_file_has_its_header(browser):
    assert browser.get("/history/export.csv").text == "\ufeff" + ",".join(_COLUMNS) + "\r\n"


def test_only_an_administrator_reads_the_history(stranger):
    for path in ("/history", "/history/export.csv"):
        assert stranger.get(path).location.startswith("/login")
