"""An import belongs to the session that made it: others neither see nor touch it."""

import threading

import gevent
import pytest

from sip.store.importing import read_csv
from tests.support.import_page import ROWS, number_of, settled
from tests.support.udp_client import until
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import PASSWORD
from webadmin import import_service, imports
from webadmin.imports import MAX_IMPORTS, ImportJobs

OTHER_ROWS = b"username,password\nmallory,wonder-4711\n"


def another(browser: Browser) -> Browser:
    """Another window of the administrator, with a session of its own."""
    other = Browser(browser.app)
    assert other.post("/login", username="admin", password=PASSWORD).status == 303
    return other


@pytest.fixture(autouse=True)
def made(monkeypatch) -> list[ImportJobs]:
    """The import jobs of each application that is built from here on."""
    found = []

    class Noted(ImportJobs):
        def __init__(self, context, service):
            super().__init__(context, service)
            found.append(self)

    monkeypatch.setattr(imports, "ImportJobs", Noted)
    return found


@pytest.fixture
def running(made, browser) -> ImportJobs:
    (found,) = made
    return found


def test_another_session_neither_sees_nor_touches_an_import(browser, context):
    browser.upload("/users/import", ROWS)
    assert "2 new" in settled(browser)
    other = another(browser)
    assert "CSV file" in settled(other)
    number = number_of(browser)
    for act in ("apply", "cancel", "change", "columns", "undo", "passwords.csv"):
        assert other.post(f"/users/import/{act}", number=number, update="yes").status == 409
    assert other.get("/users/import/refused.csv").status == 409
    assert len(context.users) == 0
    assert "2 new" in settled(browser)


def test_several_sessions_import_at_once(browser, context):
    other = another(browser)
    browser.upload("/users/import", ROWS)
    other.upload("/users/import", OTHER_ROWS)
    assert "2 new" in settled(browser)
    assert "1 new" in settled(other)
    other.press("apply")
    assert "Imported: 1 new" in settled(other)
    browser.press("apply")
    assert "Imported: 2 new" in settled(browser)
    assert len(context.users) == 3


def test_files_of_several_sessions_are_read_one_after_the_other(browser, monkeypatch):
    """So each knows how many rows the others leave room for."""
    go_on, reading = threading.Event(), []

    def read_slowly(*arguments, **options):
        reading.append(1)
        assert go_on.wait(20)
        return read_csv(*arguments, **options)

    monkeypatch.setattr(import_service, "read_csv", read_slowly)
    other = another(browser)
    browser.upload("/users/import", ROWS)
    other.upload("/users/import", OTHER_ROWS)
    until(lambda: reading)
    gevent.sleep(0.02)
    assert len(reading) == 1
    assert "Reading the file: 0 rows so far." in other.get("/users/import").words
    go_on.set()
    assert "2 new" in settled(browser)
    assert "1 new" in settled(other)


def test_the_rows_of_all_imports_are_bounded(browser, monkeypatch):
    monkeypatch.setattr(import_service, "MAX_IMPORT_ROWS", 3)
    other = another(browser)
    browser.upload("/users/import", ROWS)
    settled(browser)
    other.upload("/users/import", ROWS)
    assert "at most 1 rows fit until other imports are applied" in settled(other)
    other.press("cancel")
    browser.press("apply")
    assert "Imported" in settled(browser)
    other.upload("/users/import", ROWS)
    assert "2 same" in settled(other), "an applied import takes no room"


def test_passwords_that_wait_to_be_shown_take_room_as_rows_do(browser, running, monkeypatch):
    monkeypatch.setattr(import_service, "MAX_IMPORT_ROWS", 3)
    monkeypatch.setattr(imports, "MAX_SHOWN_PASSWORDS", 1)
    other = another(browser)
    browser.upload("/users/import", b"username\nann\nbob\n", generate="yes")
    settled(browser)
    browser.press("apply")
    assert "2 generated passwords can be shown once" in settled(browser)
    other.upload("/users/import", ROWS)
    assert "at most 1 rows fit" in settled(other)
    browser.press("passwords.csv")
    other.upload("/users/import", ROWS)
    assert "2 new" in settled(other)


def test_an_import_with_unshown_passwords_is_not_replaced(browser, running, monkeypatch):
    monkeypatch.setattr(imports, "MAX_SHOWN_PASSWORDS", 1)
    monkeypatch.setattr(imports, "MAX_IMPORTS", 1)
    other = another(browser)
    browser.upload("/users/import", b"username\nann\nbob\n", generate="yes")
    settled(browser)
    browser.press("apply")
    settled(browser)
    assert other.upload("/users/import", ROWS).status == 503
    browser.press("passwords.csv")
    assert other.upload("/users/import", ROWS).status == 303


def test_the_oldest_import_makes_way_for_one_too_many(browser, running, clock):
    browsers = [browser, *(another(browser) for _ in range(MAX_IMPORTS))]
    for each in browsers[:-1]:
        each.upload("/users/import", ROWS)
        settled(each)
    browsers[1].upload("/users/import", ROWS)  # so it is no longer the second oldest
    settled(browsers[1])
    browsers[-1].upload("/users/import", ROWS)
    assert "2 new" in settled(browsers[-1])
    assert len(running._jobs) == MAX_IMPORTS
    assert browser.press("apply").status == 409
    assert "CSV file" in settled(browser)
    assert "2 new" in settled(browsers[1])


def test_imports_at_work_make_no_way(browser, monkeypatch):
    go_on = threading.Event()

    def read_slowly(*arguments, **options):
        assert go_on.wait(20)
        return read_csv(*arguments, **options)

    monkeypatch.setattr(import_service, "read_csv", read_slowly)
    browsers = [browser, *(another(browser) for _ in range(MAX_IMPORTS))]
    for each in browsers[:-1]:
        assert each.upload("/users/import", ROWS).status == 303
    refused = browsers[-1].upload("/users/import", ROWS)
    assert refused.status == 503
    assert "4 other imports are running; try again in a minute" in refused.words
    go_on.set()
    for each in browsers[:-1]:
        assert "2 new" in settled(each)
    assert browsers[-1].upload("/users/import", ROWS).status == 303


def test_uploads_on_their_way_are_bounded(browser, running, monkeypatch):
    """Each holds its body in memory until it is whole."""
    monkeypatch.setattr(running._service, "_uploads", MAX_IMPORTS)
    refused = browser.upload("/users/import", ROWS)
    assert refused.status == 503
    assert "too many uploads at the same time" in refused.words
    monkeypatch.setattr(running._service, "_uploads", 0)
    assert browser.upload("/users/import", b" ").status == 422
    assert running._service._uploads == 0


@pytest.mark.parametrize("how", ["signed out", "ended", "expired"])
def test_the_import_of_a_session_that_ended_is_removed(browser, context, running, clock, how):
    other = another(browser)
    other.upload("/users/import", ROWS)
    settled(other)
    browser.upload("/users/import", OTHER_ROWS)
    settled(browser)
    running.remove_orphans()
    assert len(running._jobs) == 2
    if how == "signed out":
        other.post("/logout")
    elif how == "ended":
        browser.post("/account/sessions/end")
    else:
        clock.now += imports.MAX_AGE_SECONDS
        (session, *_) = context.sessions.of("admin", clock.now)
        context.sessions._write("UPDATE sessions SET expires_at = 0 WHERE id = ?", session.id)
    running.remove_orphans()
    assert len(running._jobs) == 1
    assert "1 new" in settled(browser)
    assert "CSV file" in settled(another(browser)), "a new session begins without one"


def test_the_sweep_runs_while_there_are_imports(browser, running, monkeypatch, clock):
    monkeypatch.setattr(imports, "_SWEEP_SECONDS", 0.001)
    browser.upload("/users/import", ROWS)
    settled(browser)
    assert running._jobs
    clock.now += imports.MAX_AGE_SECONDS + 1
    with gevent.Timeout(20):
        while running._sweeper:
            gevent.sleep(0.001)
    assert not running._jobs
