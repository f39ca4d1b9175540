"""Imports and exports, edge cases: concurrent changes, and strange files."""

import logging
import threading

import gevent
import pytest

from sip.store.accounts import UserExists
from sip.store.database import DatabaseError
from sip.store.importing import Report, read_csv
from tests.support.cases import cases
from tests.support.import_page import ROWS, settled
from tests.support.wsgi_browser import BOUNDARY
from webadmin import import_service, imports, uploads
from webadmin.imports import MAX_AGE_SECONDS
from webadmin.request_checks import MAX_FORM_BYTES
from webadmin.thread_pool import TooBusy


@pytest.fixture
def released(monkeypatch):
    """The files with released rows."""
    sheets = []
    release = imports.CsvFile.release

    def noting(sheet):
        sheets.append(sheet)
        release(sheet)

    monkeypatch.setattr(imports.CsvFile, "release", noting)
    return sheets


def wait_for(sheets: list, count: int) -> None:
    """Rows are released in a thread, after the page has shown the report."""
    with gevent.Timeout(20):
        while len(sheets) < count:
            gevent.sleep(0.01)
    assert len(sheets) == count


def test_a_file_may_be_larger_than_a_form(browser):
    rows = b"".join(b"user%d,secret-%d,%s\n" % (n, n, b"x" * 100) for n in range(2000))
    assert len(rows) > 2 * MAX_FORM_BYTES
    browser.upload("/users/import", b"username,password,display_name\n" + rows)
    assert "2,000 new" in settled(browser)


def test_large_pasted_text_is_read_as_well(browser):
    rows = "".join(f"user{n},secret-{n},{'x' * 100}\n" for n in range(2000))
    browser.upload("/users/import", b"", text="username,password,display_name\n" + rows)
    assert "2,000 new" in settled(browser)


def test_while_a_large_upload_comes_in_others_have_their_turn(browser):
    turns = []

    def other() -> None:
        while True:
            turns.append(1)
            gevent.sleep(0.0005)

    greenlet = gevent.spawn(other)
    gevent.idle()
    before = len(turns)
    try:
        uploads._received(_Endless(), 20 * 1024 * 1024)
        assert len(turns) - before >= 15
    finally:
        greenlet.kill()


class _Endless:
    def read(self, size: int) -> bytes:
        return bytes(size)


def test_a_file_goes_before_pasted_text(browser, context):
    browser.upload("/users/import", ROWS, text="username,password\nbob,secret-1\n")
    assert "2 new" in settled(browser)


@pytest.mark.parametrize("update", ["", "no", "on"])
def test_users_are_changed_by_the_box_on_our_page_alone(browser, context, update):
    context.users.add("alice", "secret")
    browser.upload("/users/import", ROWS, update=update)
    assert "1 refused" in settled(browser)


def test_a_form_is_read_in_a_thread(browser, context, monkeypatch):
    """It is gone through line by line, which takes long enough for phones to notice."""
    threads = []
    run = context.imports.run

    def noting(function):
        return run(lambda: (threads.append(threading.get_native_id()), function())[1])

    monkeypatch.setattr(context.imports, "run", noting)
    browser.upload("/users/import", b" ")
    assert len(threads) == 1
    assert threading.get_native_id() not in threads


def test_the_rows_read_so_far_are_reported(browser, monkeypatch):
    go_on = threading.Event()

    def read_halfway(*arguments, progress, **options):
        progress(123_000)
        assert go_on.wait(20)
        return read_csv(*arguments, progress=progress, **options)

    monkeypatch.setattr(import_service, "read_csv", read_halfway)
    browser.upload("/users/import", ROWS)
    with gevent.Timeout(20):
        while "Reading the file: 123,000 rows so far." not in browser.get("/users/import").words:
            gevent.sleep(0.01)
    go_on.set()
    settled(browser)


def test_during_an_import_no_other_can_start(browser, context, monkeypatch):
    browser.upload("/users/import", ROWS)
    settled(browser)
    go_on = gevent.event.Event()
    applied = []

    def apply_slowly(users, sheet, in_thread, *, by, progress):
        go_on.wait(20)
        applied.append(sheet)
        return Report(new=2, written=True)

    monkeypatch.setattr(import_service, "apply_in_pieces", apply_slowly)
    for _ in range(3):  # a click is soon two
        browser.press("apply")
        gevent.idle()
    page = browser.get("/users/import")
    assert "Writing 2 users." in page.words
    assert '<noscript><meta http-equiv="refresh"' in page.text
    assert browser.upload("/users/import", ROWS).status == 503
    browser.press("cancel")
    go_on.set()
    assert "Imported: 2 new" in settled(browser)
    assert len(applied) == 1
    browser.press("apply")
    gevent.idle()
    assert len(applied) == 1, "a finished import is not done again"


def test_an_idle_import_page_does_not_reload_itself(browser):
    assert "http-equiv" not in browser.get("/users/import").text
    browser.upload("/users/import", ROWS)
    settled(browser)
    assert "http-equiv" not in browser.get("/users/import").text


def test_rows_are_released_when_no_longer_needed(browser, released):
    browser.upload("/users/import", ROWS)
    settled(browser)
    assert len(released) == 0
    browser.upload("/users/import", ROWS)
    settled(browser)
    wait_for(released, 1)  # another file took its place
    browser.press("cancel")
    wait_for(released, 2)
    browser.upload("/users/import", ROWS)
    settled(browser)
    browser.press("apply")
    settled(browser)
    wait_for(released, 3)


def test_rows_are_released_at_once_if_no_thread_is_free(browser, context, monkeypatch):
    browser.upload("/users/import", ROWS)
    settled(browser)

    def busy(function):
        raise TooBusy("too much to do")

    monkeypatch.setattr(context.imports, "run", busy)
    assert browser.press("cancel").status == 303
    assert "CSV file" in settled(browser)


def test_an_import_that_is_waited_for_is_not_forgotten_too_soon(browser, clock):
    browser.upload("/users/import", ROWS)
    settled(browser)
    clock.now += MAX_AGE_SECONDS
    assert "2 new" in settled(browser)
    clock.now += 1
    assert "CSV file" in settled(browser)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DatabaseError("cannot use the database sip.db"), "cannot use the database sip.db."),
        (TooBusy("too much to do"), "too much to do."),
        (UserExists("secret inside"), "The server has a fault. Its log has the details."),
    ],
)
def test_an_import_that_fails_says_why(
    browser, context, monkeypatch, caplog, released, error, words
):
    def fails(*_, **_options):
        raise error

    browser.upload("/users/import", ROWS)
    settled(browser)
    monkeypatch.setattr(import_service, "apply_in_pieces", fails)
    with caplog.at_level(logging.ERROR):
        browser.press("apply")
        assert f"Nothing was imported: {words}" in settled(browser)
    ours = isinstance(error, UserExists)
    assert [bool(record.exc_info) for record in caplog.records] == [True] * ours
    wait_for(released, 1)
    browser.press("cancel")
    assert "CSV file" in settled(browser)


def test_a_file_that_changes_nothing_is_done_when_it_is_applied(browser, context):
    context.users.add("alice", "wonder-4711", display_name="Alice")
    context.users.add("101", "8842", display_name="Front door")
    browser.upload("/users/import", ROWS)
    page = settled(browser)
    assert "All rows exist already" in page
    browser.press("apply")
    assert "Imported: 0 new, 0 changed." in settled(browser)


def test_a_row_that_became_invalid_before_apply_is_shown(browser, context):
    browser.upload("/users/import", ROWS)
    settled(browser)
    context.users.add("Alice", "secret")
    browser.press("apply")
    words = settled(browser)
    assert "Imported:" not in words
    assert "alice differs from Alice only in case" in words
    assert len(context.users) == 1


@pytest.mark.parametrize("path", ["/users/import/apply", "/users/import/cancel"])
def test_without_a_preview_apply_and_cancel_are_refused(browser, path):
    for number in ("", "0", "1", "x", "²", "9" * 5000):
        assert browser.post(path, number=number).status == 409
    assert "CSV file" in settled(browser)


def parts(*lines: bytes) -> bytes:
    return b"\r\n".join([*lines, f"--{BOUNDARY}--".encode(), b""])


LINE = f"--{BOUNDARY}".encode()


@cases(
    "body",
    [
        b"",
        parts(),
        parts(LINE, b"X: y", b"", b"hello"),
        parts(LINE, b"Content-Disposition: attachment", b"", b"hello"),
        LINE + b'\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nusername',
        parts(
            LINE, b'Content-Disposition: form-data; name="file"; filename="' + b"x" * 99_999, b""
        ),
        parts(*[LINE, b'Content-Disposition: form-data; name="a"', b"", b"b"] * 3000),
        (LINE + b"\r\n") * 3000,
    ],
)
def test_a_form_in_pieces_that_fit_nowhere_is_refused_in_words(browser, body):
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **browser.own_site}
    answer = browser.send("POST", "/users/import", body, headers)
    assert answer.status == 422
    assert 'role="alert"' in answer.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"username,password\ralice,secret-1\r", "1 new"),
        (b"\xef\xbb\xbfusername;password\r\nalice;secret-1\r\n", "1 new"),
        (b"username,password\n\n\nalice,secret-1\n\n", "1 new"),
        (b'username,password\n"al""ice",x\n', "1 refused"),
        (b"username,password\nalice\n", "2 alice is a new user without"),
        (b"username,password\n" + b"x," * 5000 + b"\n", "2 5001 fields, but the header has 2"),
        (b'username,password\nalice,"' + b"x" * 200_000 + b'"\n', "Nothing was imported:"),
        (b'username,password\nalice,"x\n', "Nothing was imported:"),
        ("username,password\nalice,x\n".encode("utf-16"), "UTF-8"),
        (b"PK\x03\x04" + bytes(range(256)), "Nothing was imported:"),
        (b"username,password\n\xed\xa0\x80,x\n", "UTF-8"),
        (b"username\tpassword\nalice\tx\n", "1 new"),
    ],
)
def test_what_spreadsheets_and_others_make_of_a_file(browser, content, words):
    browser.upload("/users/import", content)
    assert words in settled(browser)


def test_a_name_that_would_be_markup_or_a_formula_is_only_shown(browser, context):
    context.users.add("=cmd", "secret", display_name='<script>alert("x")</script>')
    rows = 'username,password\n"<script>alert(2)</script>",x\n=cmd,other\n'
    browser.upload("/users/import", rows.encode())
    settled(browser)
    assert "<script>alert" not in browser.get("/users/import").text


def test_the_export_begins_with_a_byte_order_mark(browser):
    assert browser.get("/users/export.csv").body.startswith(b"\xef\xbb\xbfusername,")


@pytest.mark.parametrize("query", ["", "?hashes=", "?hashes=no", "?hashes=1", "?Hashes=yes"])
def test_digests_leave_only_where_that_was_asked_for(browser, context, query):
    kept = context.users.add("alice", "secret")
    content = browser.get(f"/users/export.csv{query}").text
    assert "alice" in content
    assert kept.ha1_md5 not in content
    assert "ha1" not in content


def test_a_stranger_gets_no_export_and_no_report(stranger, context):
    context.users.add("alice", "secret")
    for path in ("/users/export.csv?hashes=yes", "/users/import"):
        assert stranger.get(path).body == b""
    assert stranger.upload("/users/import", ROWS).location == "/login"
