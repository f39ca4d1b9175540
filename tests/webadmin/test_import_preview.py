"""The rows of an import before it is applied, by outcome and page by page."""

import csv
import io

from sip.store import csv_file
from tests.support.import_page import settled


def rows_of(browser, query: str) -> str:
    words = browser.get(f"/users/import?{query}").words
    return words[words.index("Refused Changed New Same") : words.index("Columns of the file")]


def test_rows_are_shown_by_outcome(browser, context):
    context.users.add("ann", "wonder-1", display_name="Ann")
    context.users.add("bob", "wonder-2")
    browser.upload(
        "/users/import",
        b"username,password,display_name,enabled\nann,changed-1,<b>Ann</b>,off\nbob,wonder-2,,\n"
        b"carl,wonder-3,Carl,off\ncarl,wonder-3,,\n",
        update="yes",
    )
    assert "1 new 1 changed 2 same 0 refused" in settled(browser)
    changes = "Changes 2 ann password; display name: Ann → <b>Ann</b>; state: on → off"
    assert changes in rows_of(browser, "")
    assert "<b>Ann" not in browser.get("/users/import").text
    assert changes in rows_of(browser, "show=nonsense&page=x")
    assert "Values 4 carl display name: Carl; state: off" in rows_of(browser, "show=new")
    same = rows_of(browser, "show=same")
    assert "Line User 3 bob 1 more row is not listed, because it repeats an earlier row." in same
    assert "There are no such rows." in rows_of(browser, "show=refused")
    assert "wonder" not in browser.get("/users/import?show=new").text


def test_many_rows_have_pages(browser):
    rows = "".join(f"user{number},x\n" for number in range(120))
    browser.upload("/users/import", b"username,password\n" + rows.encode())
    settled(browser)
    assert "New rows, 1 to 50 of 120" in rows_of(browser, "")
    last = browser.get("/users/import?show=new&page=3")
    assert "New rows, 101 to 120 of 120" in last.words
    assert "121 user119" in last.words
    assert 'href="/users/import?show=new&amp;page=2#rows"' in last.text
    assert "101 to 120" in rows_of(browser, "show=new&page=999999999")


def test_refusals_are_downloaded_with_their_reasons(browser, monkeypatch):
    monkeypatch.setattr(csv_file, "MAX_REFUSALS", 2)
    monkeypatch.setattr("sip.store.importing.MAX_REFUSALS", 2)
    assert browser.get("/users/import/refused.csv").status == 409
    browser.upload("/users/import", b"username,display_name\n+4930,x\na b,x\n,x\nc d,x\n")
    words = settled(browser)
    assert "2 more rows are not listed." in words
    answer = browser.get("/users/import/refused.csv")
    assert 'filename="refused.csv"' in answer.headers["content-disposition"]
    rows = [*csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig")))]
    assert [row["line"] for row in rows] == ["2", "3", ""]
    assert rows[0]["reason"].startswith("'+4930 "), "a spreadsheet reads no formula"
    assert rows[2]["reason"] == "2 more rows are refused"
