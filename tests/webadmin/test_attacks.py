"""Faults of the pages that attacks have found, and that must not come back."""

import html
import re

import pytest

from sip.store.database import DatabaseError
from tests.support.cases import cases
from tests.support.import_page import ROWS, settled
from tests.support.wsgi_browser import BOUNDARY, Browser
from tests.webadmin.conftest import PASSWORD
from webadmin.sign_in_limits import MAX_TRIES
from webadmin.templates import VIEWS
from webadmin.thread_pool import TooBusy

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://[x]y", "http://a]"])
def test_an_origin_that_is_none_is_refused_like_any_other(stranger, caplog, origin):
    """Any client can send it: it must be no error of ours, and no lines in the log."""
    stranger.own_site = {"Origin": origin}
    assert stranger.post("/login", username="admin", password="x").status == 403
    assert not caplog.records


def test_a_refreshed_part_does_not_take_the_flash_message(browser, context):
    answer = browser.post("/users/new", username="alice", realm="example.com", how="make")
    for path in ("/", "/users", "/users/import", "/no/such/part"):
        browser.get(path, HX_Request="true")
    assert "shown only now" in browser.get(answer.location).words


def test_a_session_cannot_apply_the_import_of_another(browser, context):
    browser.upload("/users/import", ROWS)
    settled(browser)
    page = browser.get("/users/import").text
    other = Browser(browser.app)
    other.post("/login", username="admin", password=PASSWORD)
    other.upload("/users/import", b"username,password\nmallory,wonder-4711\n")
    settled(other)
    form = re.search(r'<form[^>]*action="/users/import/apply".*?</form>', page, re.DOTALL)[0]
    fields = re.findall(r'name="([^"]+)" value="([^"]*)"', form)
    browser.post("/users/import/apply", **{name: html.unescape(v) for name, v in fields})
    settled(browser)
    assert context.users.find("mallory", "example.com") is None


@pytest.mark.parametrize(
    "part",
    [
        b'name="text"\r\nContent-Type: text/plain; charset=nonesuch',
        b'name="text"\r\nContent-Type: text/plain; charset=rot13',
        b'name="text"; filename="x"',
        b'name="update"; filename="x"',
    ],
)
def test_an_odd_part_of_a_form_is_refused_in_words(browser, part):
    boundary = f"--{BOUNDARY}".encode()
    disposition = b"Content-Disposition: form-data; " + part
    body = b"\r\n".join([boundary, disposition, b"", b"abc", boundary + b"--", b""])
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **browser.own_site}
    assert browser.send("POST", "/users/import", body, headers).status == 422


@cases(
    "name",
    [
        *("Accept", "Host", "Origin", "Sec-Fetch-Site", "HX-Request", "User-Agent", "Cookie"),
        *("X-Forwarded-Proto", "X-Forwarded-For", "If-Modified-Since", "Accept-Language"),
    ],
)
def test_a_field_that_is_no_text_is_no_fault_of_ours(stranger, browser, caplog, name):
    """Any client can send one, and an error would be forty lines in the log."""
    for path in ("/login", "/", "/no/such/page", "/static/admin.css", "/healthz"):
        for text in ("\xff", "https\xf7", "gr\xc3\xbc\xc3\x9fe", "\xc3"):
            for who in (Browser(browser.app), browser):
                assert who.get(path, **{name.replace("-", "_"): text}).status in (
                    200,
                    303,
                    401,
                    404,
                )
            assert Browser(browser.app).send("POST", path, b"", {name: text}).status < 500
    assert not caplog.records


def test_odd_cookies_of_others_are_no_fault_of_ours(stranger, browser, caplog):
    """Other programs under the same host name may set them; ours are found beside them."""
    ((name, token),) = browser.cookies.items()
    for other in ("a(b)=c", "sip::@a=1", "=", "path=/; a=b", '"', "$Version=1", "a=\x01", "é=ü"):
        for field in (f"{other}; {name}={token}", f"{name}={token};{other}"):
            for path in ("/users", "/me"):
                answer = Browser(stranger.app).get(path, Cookie=field)
                assert answer.status == 200, (path, field)
            assert "Users" in Browser(stranger.app).get("/users", Cookie=field).words
        assert Browser(stranger.app).get("/login", Cookie=other).status == 200
    assert not caplog.records


@cases(
    "content_type",
    [
        *("a;", "a;;;", "text/plain; charset", FORM + ";x", "multipart/form-data; boundary=b; x"),
        *("multipart/form-data; boundary=b; charset=nonesuch", "multipart/form-data", '"'),
    ],
)
@cases(
    "path",
    [
        *("/login", "/users/new", "/users/import", "/users/import/apply", "/account/password"),
        *("/bans/remove", "/bans/trust", "/bans/distrust"),
    ],
)
def test_a_form_of_an_odd_type_is_no_fault_of_ours(browser, caplog, path, content_type):
    """Any client can send one to the sign-in, and an error would be forty lines in the log."""
    headers = {"Content-Type": content_type, **browser.own_site}
    body = b'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\nabc\r\n--b--\r\n'
    assert browser.send("POST", path, body, headers).status in (303, 400, 403, 409, 422)
    assert not caplog.records


def test_a_large_form_comes_in_parts_or_not_at_all(browser):
    """Percent-encoding of 30 MB takes 1.5 GB and holds the hub for seconds."""
    headers = {"Content-Type": FORM, **browser.own_site}
    body = b"text=" + b"%61" * 100_000
    assert browser.send("POST", "/users/import", body, headers).status in (413, 415, 422)


def test_the_settings_of_a_user_of_another_realm_work(browser, context):
    """By the address of the server alone the phone asks for a user of the main realm."""
    alice = context.users.add("alice", "secret", realm="branch.example")
    words = browser.get(f"/users/{alice.id}").words
    assert "sip:alice@branch.example" in words
    assert re.search(r"Domain\S*( \S+){0,5} branch\.example", words)


def test_all_refused_rows_are_counted(browser):
    browser.upload("/users/import", b"username,password\n" + b"a b,x\n" * 12_000)
    assert "12,000 refused" in settled(browser)


def test_a_file_without_rows_is_said_to_have_none(browser):
    browser.upload("/users/import", b"username,password\n")
    assert "All rows exist already" not in settled(browser)


def test_a_page_does_not_speak_of_the_command_line(browser, context):
    context.users.add("alice", "secret")
    browser.upload("/users/import", ROWS)
    assert "--update" not in settled(browser)
    browser.press("cancel")
    browser.upload("/users/import", b"username\nalice\n")
    assert "--update" not in settled(browser)


def test_a_sign_in_refused_as_busy_is_no_failed_attempt(stranger, context, monkeypatch):
    def busy(function):
        raise TooBusy("too much to do")

    with monkeypatch.context() as patch:
        patch.setattr(context.sign_ins, "run", busy)
        for _ in range(MAX_TRIES):
            assert stranger.post("/login", username="admin", password=PASSWORD).status == 503
    assert stranger.post("/login", username="admin", password=PASSWORD).status == 303


def test_an_export_that_fails_says_so(browser, context, monkeypatch):
    def fails(*_):
        raise DatabaseError("cannot read the database sip.db")

    monkeypatch.setattr(context.users.database, "browse", fails)
    monkeypatch.setattr(context.sessions._database, "browse", fails)
    assert browser.get("/users/export.csv").status == 503


def test_a_note_stays_within_its_paragraph(browser, context):
    """A form cannot stand in a paragraph: browsers end the one and begin an empty other."""
    alice = context.users.add("alice", "secret")
    page = browser.get(browser.post(f"/users/{alice.id}/remove").location).text
    assert not re.search(r"<p>[^<]*<form", page)


def test_rows_of_phones_can_be_distinguished(browser, context):
    """Else a refresh puts the focus on the button of another phone."""
    template = (VIEWS / "user.tpl").read_text()
    assert re.search(r'<tr id="[^"]*\{\{phone\.key\}\}"', template)
