"""The history in a real browser: filters, pages, chart and file, also without scripts."""

import csv
import io
import time
from pathlib import Path

import pytest

from sip.monitor.calls import CallResult
from sip.store.database import Database
from tests.browser.conftest import WITH_AND_WITHOUT_SCRIPTS
from tests.support.past_calls import ALICE, BOB, outside, past_call, write_calls


@pytest.fixture
def populated(server):
    """A server with a hundred answered calls, and a missed one of a month ago."""
    now = time.time()
    with Database(str(server.database)) as database:
        write_calls(database, (past_call(now - at * 60, ALICE, BOB) for at in range(1, 101)))
        missed = past_call(now - 30 * 86_400, outside(), BOB, CallResult.MISSED, rang=12)
        write_calls(database, [missed])
    return server


@WITH_AND_WITHOUT_SCRIPTS
def test_an_administrator_finds_a_call_of_last_month(visit, populated, scripts, tmp_path: Path):
    """By a chip, by a number and by the older pages; and takes it along as a file."""
    window = visit(java_script_enabled=scripts)
    window.signs_in()
    page = window.page
    window.goes_to("/history")
    rows = page.locator("table.past-calls tbody tr")
    assert rows.count() == 50
    page.get_by_role("link", name="Older").click()
    page.get_by_role("link", name="Older").click()
    page.get_by_role("link", name="Newest").wait_for()
    assert rows.count() == 1
    page.get_by_role("link", name="Missed").click()
    page.get_by_label("Number or name contains").fill("5550199")
    page.get_by_role("button", name="Show").click()
    window.sees("0:12")
    assert rows.count() == 1
    assert "result=missed" in page.url
    page.get_by_text("The chart as a table").click()
    page.get_by_role("cell", name="1", exact=True).first.wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    download.value.save_as(tmp_path / "calls.csv")
    text = (tmp_path / "calls.csv").read_text(encoding="utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["from"], row["result"]) == ("'+49305550199@gateway.example", "missed")
    page.get_by_role("link", name="Today").click()
    window.sees("No calls match.")
