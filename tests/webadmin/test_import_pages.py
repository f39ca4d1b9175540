"""Importing in the browser: looked at first, then applied whole; and the export."""

import csv
import io
import re
import threading

import gevent
import pytest

from sip.store.importing import read_csv
from tests.support.import_page import ROWS, settled
from webadmin import import_service
from webadmin.imports import MAX_AGE_SECONDS, MAX_IMPORT_BYTES


def test_a_file_is_looked_at_then_applied(browser, context):
    assert browser.upload("/users/import", ROWS).location == "/users/import"
    words = settled(browser)
    assert "Nothing is written yet." in words
    assert "2 new 0 changed 0 same 0 refused" in words
    assert "1 password is weak:" in words
    assert len(context.users) == 0

    browser.press("apply")
    assert "Imported: 2 new, 0 changed." in settled(browser)
    assert context.users.find("101", "example.com").display_name == "Front door"

    browser.press("cancel")
    assert "CSV file" in settled(browser)


def test_pasted_rows_do_as_well(browser, context):
    pasted = "username;password\r\ntür;secret-1\r\n"
    browser.upload("/users/import", b"", text=pasted)
    assert "1 new" in settled(browser)
    browser.press("apply")
    settled(browser)
    assert context.users.find("tür", "example.com")


def test_rows_change_users_only_where_that_was_asked(browser, context):
    context.users.add("alice", "secret")
    context.users.add("bob", "wonder-4711")
    rows = b"username,password\nalice,changed-1\nbob,wonder-4711\n"
    browser.upload("/users/import", rows)
    words = settled(browser)
    assert "0 new 0 changed 1 same 1 refused" in words
    assert "2 alice already has an account, and this row would change it" in words
    assert browser.press("apply").status == 303
    assert "1 refused" in settled(browser), "nothing is applied while a row is refused"

    browser.press("cancel")
    browser.upload("/users/import", rows, update="yes")
    assert "0 new 1 changed 1 same 0 refused" in settled(browser)
    browser.press("apply")
    assert "Imported: 0 new, 1 changed." in settled(browser)


def test_refused_rows_are_named_with_their_reasons_and_escaped(browser):
    rows = b"username,password\n" + b"".join(b"<b>%d,x\n" % n for n in range(150))
    browser.upload("/users/import", rows)
    page = browser.get("/users/import") if settled(browser) else None
    assert "Refused rows, 1 to 50 of 150" in page.words
    assert "<b>" not in page.text
    assert page.text.count("cannot be the user name of a SIP URI") == 50
    last = browser.get("/users/import?show=refused&page=3")
    assert "Refused rows, 101 to 150 of 150" in last.words
    reasons = [*csv.DictReader(io.StringIO(browser.get("/users/import/refused.csv").text))]
    assert len(reasons) == 150
    assert "cannot be the user name" in reasons[149]["reason"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"username,password\n\x81\xfe,x\n", "UTF-8"),
        (b"username,password\na\x00b,x\n", "NUL"),
    ],
)
def test_an_invalid_file_is_refused_as_a_whole(browser, content, reason):
    browser.upload("/users/import", content)
    words = settled(browser)
    assert "Nothing was imported:" in words
    assert reason in words


def test_an_upload_of_nothing_asks_for_something(browser):
    for answer in (
        browser.upload("/users/import", b" \n"),
        browser.upload("/users/import", b"", text=" "),
    ):
        assert answer.status == 422
        assert "Choose a file, or paste some rows." in answer.words


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=x"],
)
def test_a_form_that_is_none_is_no_fault_of_ours(browser, content_type):
    headers = {"Content-Type": content_type, **browser.own_site}
    answer = browser.send("POST", "/users/import", b"--x\r\nnonsense", headers)
    assert answer.status == 422


def test_an_upload_is_bounded(browser, monkeypatch):
    headers = {
        "Content-Type": "text/csv", "Content-Length": str(MAX_IMPORT_BYTES + 1), **browser.own_site
    }  # fmt: skip
    assert browser.send("POST", "/users/import", b"", headers).status == 413
    monkeypatch.setattr(import_service, "MAX_IMPORT_ROWS", 1)
    browser.upload("/users/import", ROWS)
    assert "Nothing was imported:" in settled(browser)


def test_an_upload_that_breaks_off_is_thrown_away(browser, context):
    headers = {"Content-Type": "multipart/form-data; boundary=x", **browser.own_site}
    headers["Content-Length"] = "1000"
    assert browser.send("POST", "/users/import", b"--x\r\n", headers).status == 400
    assert "CSV file" in settled(browser)


def test_one_import_at_a_time(browser, context, monkeypatch):
    go_on = threading.Event()

    def read_slowly(*arguments, **options):
        assert go_on.wait(20)
        return read_csv(*arguments, **options)

    monkeypatch.setattr(import_service, "read_csv", read_slowly)
    browser.upload("/users/import", ROWS)
    gevent.idle()
    page = browser.get("/users/import")
    assert "Reading the file: 0 rows so far." in page.words
    assert '<noscript><meta http-equiv="refresh"' in page.text, "without scripts it goes on too"
    assert browser.upload("/users/import", ROWS).status == 503
    browser.press("cancel")
    go_on.set()
    assert "2 new" in settled(browser), "a running import can't be cancelled"
    assert browser.upload("/users/import", ROWS).status == 303, "one that only waits makes way"


def test_an_import_that_is_not_applied_expires(browser, clock, context):
    browser.upload("/users/import", ROWS)
    settled(browser)
    clock.now += MAX_AGE_SECONDS + 1
    assert "CSV file" in settled(browser)
    browser.press("apply")
    assert len(context.users) == 0


def test_a_change_in_between_is_seen_before_anything_is_written(browser, context):
    """Alice is added after the preview: then the row would change her, and is refused."""
    browser.upload("/users/import", ROWS)
    settled(browser)
    context.users.add("alice", "secret")
    browser.press("apply")
    words = settled(browser)
    assert "1 refused" in words
    assert context.users.find("101", "example.com") is None


def exported(browser, path="/users/export.csv") -> list[list[str]]:
    answer = browser.get(path)
    assert answer.headers["content-type"].lower() == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="users.csv"'
    return list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))


def test_the_export_is_safe_to_open_in_a_spreadsheet(browser, context):
    """A cell that begins with =, +, - or @ would be run as a formula."""
    context.users.add("+4930123", "secret", display_name="=HYPERLINK(1)")
    context.users.add("alice", "secret", display_name="Tür")
    header, first, second = exported(browser)
    assert header[0] == "username"
    assert "'+4930123" in first
    assert "'=HYPERLINK(1)" in first
    assert "Tür" in second


def test_an_export_with_digests_can_be_imported_again_as_it_is(browser, context):
    kept = context.users.add("+4930123", "secret", display_name="'=1", realm="branch.example")
    content = browser.get("/users/export.csv?hashes=yes").body
    assert kept.ha1_md5.encode() in content
    browser.upload("/users/import", content)
    assert "0 new 0 changed 1 same 0 refused" in settled(browser)
    context.users.remove("+4930123", "branch.example")
    browser.upload("/users/import", content)
    settled(browser)
    browser.press("apply")
    settled(browser)
    back = context.users.find("+4930123", "branch.example")
    assert (back.ha1_md5, back.display_name) == (kept.ha1_md5, "'=1")
    assert re.fullmatch("[0-9a-f]{64}", back.ha1_sha256)
