"""Passwords that an import generates: shown once, and nowhere else."""

import csv
import io
import logging
import re

import gevent
import pytest

from sip.store.database import fetch
from tests.support.import_page import number_of, settled
from webadmin import imports
from webadmin.imports import MAX_AGE_SECONDS

ROWS = b"username,password,display_name\nann,wonder-4711,Ann\nbob,,Bob\n=carl,,\n"


def applied(browser, rows: bytes = ROWS):
    """The first page after an import that generates passwords was applied."""
    browser.upload("/users/import", rows, generate="yes")
    assert "2 new users have no password in the file" in settled(browser)
    browser.press("apply")
    while "<progress" in (page := browser.get("/users/import")).text:
        gevent.sleep(0.01)
    return page


def shown(page) -> list[list[str]]:
    """The rows of the sheet, as its CSV has them."""
    text = re.search(r"<textarea[^>]*>(.*?)</textarea>", page.text, re.DOTALL)[1]
    return list(csv.reader(io.StringIO(text)))[1:]


def test_the_sheet_is_shown_once(browser, context, caplog):
    with caplog.at_level(logging.DEBUG):
        page = applied(browser)
        (bob, _, name, password), (carl, *_, other) = shown(page)
        assert (bob, name, carl) == ("bob", "Bob", "=carl")
        assert page.text.count(password) == 2, "in the table, and as CSV"
        assert page.headers["cache-control"] == "no-store, no-transform", "see compression.py"
        assert page.text.count("Generated passwords") == 1
        again = browser.get("/users/import")
        assert "The generated passwords were shown, and are not stored." in again.words
        everything = [again, browser.get("/audit"), browser.get("/users"), browser.get("/users/2")]
    assert "3 new, 0 changed, 2 passwords generated" in everything[1].words
    for secret in (password, other):
        assert not any(secret in each.text for each in everything)
        assert secret not in caplog.text
    phone = context.users.find("bob", "example.com")
    context.users.set_password("bob", password)
    assert context.users.find("bob", "example.com").ha1_md5 == phone.ha1_md5


def test_no_password_is_in_the_file(browser, context):
    secrets = [row[-1] for row in shown(applied(browser))]
    tables = context.users.database.read(
        lambda t: fetch(t, "SELECT name FROM sqlite_schema WHERE type = 'table'")
    )
    for (table,) in tables:
        rows = context.users.database.read(
            lambda t, name=table: fetch(t, f'SELECT * FROM "{name}"')
        )
        assert not any(secret in repr(rows) for secret in secrets)


def test_a_page_while_the_import_is_applied_takes_nothing_away(browser, context, monkeypatch):
    """The entry in the audit is written after the accounts, and waits for the disk."""
    record, pages = context.record, []

    def slowly(act, *arguments):
        record(act, *arguments)
        pages.append(browser.get("/users/import"))

    monkeypatch.setattr(context, "record", slowly)
    page = applied(browser)
    assert "Writing 3 users." in pages[0].words
    assert len(shown(page)) == 2


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"HX-Request": "true"}),
        ("GET", {"Sec-Purpose": "prefetch;prerender"}),
        ("GET", {"Purpose": "prefetch"}),
        ("HEAD", {}),
    ],
)
def test_an_answer_that_is_not_read_takes_nothing_away(browser, method, headers):
    """A part of a page, a page fetched in advance, the head of one."""
    browser.upload("/users/import", ROWS, generate="yes")
    settled(browser)
    browser.press("apply")
    while "<progress" in (page := browser.get("/users/import", HX_Request="true")).text:
        gevent.sleep(0.01)
    answer = browser.send(method, "/users/import", b"", headers)
    assert answer.headers["hx-refresh"] == "true"
    for each in (page, answer):
        assert "<textarea" not in each.text
    assert len(shown(browser.get("/users/import"))) == 2


def test_a_long_sheet_is_a_file_to_download_once(browser, context, monkeypatch):
    monkeypatch.setattr(imports, "MAX_SHOWN_PASSWORDS", 1)
    page = applied(browser)
    assert "Download the passwords" in page.text
    assert "<textarea" not in page.text
    assert browser.upload("/users/import", ROWS).status == 503, "it would take them away unseen"
    assert browser.press("cancel").status == 303
    assert browser.post("/users/import/passwords.csv", number="1").status == 409
    page = browser.press("passwords.csv")
    assert page.headers["content-disposition"] == 'attachment; filename="passwords.csv"'
    assert page.headers["cache-control"] == "no-store, no-transform", "see compression.py"
    rows = list(csv.reader(io.StringIO(page.body.decode("utf-8-sig"))))
    assert [row[0] for row in rows] == ["username", "bob", "'=carl"]
    assert browser.press("passwords.csv").status == 409
    browser.press("cancel")
    assert "CSV file" in settled(browser)


def test_passwords_that_were_not_looked_at_are_forgotten(browser, clock, monkeypatch):
    monkeypatch.setattr(imports, "MAX_SHOWN_PASSWORDS", 1)
    applied(browser)
    clock.now += MAX_AGE_SECONDS + 1
    assert "CSV file" in settled(browser)
    assert browser.press("passwords.csv").status == 409


def test_the_report_of_an_import_waits_from_its_end_on(browser, clock):
    browser.upload("/users/import", ROWS, generate="yes")
    settled(browser)
    clock.now += MAX_AGE_SECONDS
    browser.press("apply")
    clock.now += MAX_AGE_SECONDS
    assert "Imported:" in settled(browser)


def test_missing_passwords_are_generated_on_a_click(browser, context):
    browser.upload("/users/import", ROWS)
    words = settled(browser)
    assert "2 refused" in words
    assert "bob is a new user without password and ha1" in words
    assert "Generate missing passwords" in words
    assert "Let rows change users" not in words
    browser.press("change")
    assert "2 refused" in settled(browser), "nothing was allowed"
    number = number_of(browser)
    browser.post("/users/import/change", number=number, generate="yes")
    assert browser.post("/users/import/apply", number=number).status == 409, "it has shown less"
    words = settled(browser)
    assert "3 new 0 changed 0 same 0 refused" in words
    assert len(context.users) == 0
    browser.press("apply")
    settled(browser)
    assert len(context.users) == 3


def test_rows_may_change_users_on_a_click(browser, context):
    context.users.add("ann", "secret")
    browser.upload("/users/import", b"username,display_name\nann,Ann\n")
    words = settled(browser)
    assert "this row would change it: display_name" in words
    assert "Let rows change users" in words
    browser.post("/users/import/change", number=number_of(browser), update="yes")
    assert "Changed rows Line User Changes 2 ann display name: none → Ann" in settled(browser)
    browser.press("apply")
    assert "Imported: 0 new, 1 changed." in settled(browser)
    assert context.users.find("ann", "example.com").display_name == "Ann"


@pytest.mark.parametrize(
    ("encoding", "name"), [("utf-16", "UTF-16"), ("windows-1252", "Windows-1252")]
)
def test_another_encoding_is_reported_before_the_import(browser, context, encoding, name):
    rows = "username,password,display_name\nann,wonder-4711,Zoë Müller\n".encode(encoding)
    browser.upload("/users/import", rows)
    words = settled(browser)
    assert f"Nothing was imported yet: the file is not in UTF-8. It was read as {name}" in words
    assert ("where names look like this: Zoë Müller" in words) == (name != "UTF-16")
    assert f"Read it as {name} and apply" in words
    assert len(context.users) == 0
    browser.press("apply")
    assert f"The file was read as {name}." in settled(browser)
    assert context.users.find("ann", "example.com").display_name == "Zoë Müller"


def test_unknown_columns_are_named_and_left_out_on_a_click(browser, context):
    browser.upload("/users/import", b"extension,secret,Room,<b>\nann,wonder-4711,7,x\n")
    words = settled(browser)
    assert "2 columns are unknown and will be ignored: Room, <b>." in words
    assert "extension is read as username" in words
    assert "Leave 2 columns out and apply" in words
    browser.press("apply")
    assert "The file was read as UTF-8, without Room, <b>." in settled(browser)
    assert context.users.find("ann", "example.com")


def test_what_the_button_says_names_both(browser):
    rows = "username,password,Büro\nann,wonder-4711,7\n".encode("windows-1252")
    browser.upload("/users/import", rows)
    assert "Read it as Windows-1252, leave 1 column out and apply" in settled(browser)


def test_warnings_stand_in_the_report(browser):
    browser.upload("/users/import", b"username,password\nann, wonder-4711\n")
    assert "Warnings Line Warning 2 the password begins or ends with a space" in settled(browser)
    browser.press("apply")
    assert "Warnings Line Warning 2 the password begins or ends with a space" in settled(browser)
