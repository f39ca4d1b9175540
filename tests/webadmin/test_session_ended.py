"""After the end of a session: messages on the sign-in page, and the saved form."""

import html
import re

import pytest

from sip.store.admin import SESSION_SECONDS
from tests.support.wsgi_browser import HOST, Answer, Browser
from tests.webadmin.conftest import PASSWORD

ENDED = "Your session has ended"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def ended(browser, clock):
    """A browser with a session that has timed out."""
    clock.now += SESSION_SECONDS
    return browser


def signs_in(browser: Browser, page: Answer, password: str = PASSWORD) -> Answer:
    """Fill in the sign-in page that is shown, hidden fields and all."""
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    fields = {name: html.unescape(value) for name, value in hidden.items()}
    return browser.post("/login", username="admin", password=password, **fields)


def test_a_stranger_is_only_asked(stranger):
    words = stranger.get("/login").words
    assert ENDED not in words
    assert "signed out" not in words


def test_a_sign_out_is_said(browser):
    answer = browser.post("/logout")
    assert answer.location == "/login"
    browser.cookies["sipserver_session"] = ""  # a browser keeps it for a minute
    page = browser.get("/login")
    assert "You have signed out." in page.words
    assert ENDED not in page.words
    assert signs_in(browser, page).location == "/"
    assert browser.get("/").status == 200


def test_a_sign_out_after_the_end_is_one_too(ended):
    answer = ended.post("/logout")
    assert (answer.status, answer.location) == (303, "/login")
    assert re.search(r'^sipserver_session="";.* Max-Age=60;', ended.cookie_lines[-1])


def test_an_ended_session_is_said_and_leads_back(ended):
    answer = ended.get("/users?q=a%26b&page=2")
    page = ended.get(answer.location)
    assert f"{ENDED}. Sign in again to open the page." in page.words
    assert signs_in(ended, page).location == "/users?q=a%26b&page=2"


@pytest.mark.parametrize("end", ["close_session", "close_others", "set_password_hash"])
def test_however_it_has_ended(browser, context, end):
    argument = {"close_session": 1, "close_others": 99, "set_password_hash": "another"}[end]
    getattr(context.admin, end)(argument)
    assert ENDED in browser.get(browser.get("/audit").location).words


def test_a_part_of_a_page_leads_back_to_the_whole(ended):
    """A script requests a part of a page; the sign-in leads back to the whole page."""
    url = f"http://{HOST}/users/1?q=a%26b"
    answer = ended.get("/users/1", HX_Request="true", HX_Current_URL=url)
    assert (answer.status, answer.body) == (401, b"")
    assert answer.headers["hx-redirect"] == "/login?next=/users/1%3Fq%3Da%2526b"
    page = ended.get(answer.headers["hx-redirect"])
    assert ENDED in page.words
    assert signs_in(ended, page).location == "/users/1?q=a%26b"


@pytest.mark.parametrize(
    "url", ["https://evil.example/users", "//evil.example", "http://[", f"http://{HOST}//evil", "x"]
)
def test_a_part_leads_nowhere_else(ended, url):
    answer = ended.get("/users", HX_Request="true", HX_Current_URL=url)
    assert answer.headers["hx-redirect"] == "/login"


def test_a_form_is_kept_and_sent_after_the_sign_in(browser, context, clock):
    alice = context.users.add("alice", "secret-1")
    clock.now += SESSION_SECONDS
    path = f"/users/{alice.id}/name?q=a%26b"
    page = browser.post(path, display_name='Alice "L" & Söhne')
    assert page.status == 403
    assert f"{ENDED}, so nothing was changed. Sign in again, then send the form." in page.words
    assert context.users.find("alice", "example.com").display_name == ""
    wrong = signs_in(browser, page, "mistyped")
    assert wrong.status == 403

    again = signs_in(browser, wrong)
    assert "Your session had ended, so this form was not processed:" in again.words
    assert 'display_name Alice "L" & Söhne' in again.words
    (action,) = re.findall(r'action="(/users/[^"]*)"', again.text)
    assert action == path
    sent = browser.post(html.unescape(action), display_name=again.value("display_name"))
    assert sent.location == f"/users/{alice.id}?q=a%26b"
    assert context.users.find("alice", "example.com").display_name == 'Alice "L" & Söhne'


def test_no_password_is_kept(ended):
    """Another person may sit at the browser.  The other fields are saved."""
    page = ended.post(
        "/users/new", username="alice", display_name="Ann", how="type", password="typed-4711"
    )
    assert "typed-4711" not in page.text
    again = signs_in(ended, page)
    assert "The password was not saved: type it again." in again.words
    refused = ended.post("/users/new", username="alice", display_name="Ann", how="type")
    assert (refused.status, refused.value("display_name")) == (422, "Ann")
    settings = ended.post("/account/password", current="s3cret", password="s4cret", again="s4cret")
    assert not re.search("s[34]cret", settings.text)


def test_an_upload_is_not_kept_but_its_page_is(ended):
    headers = {"Content-Type": "multipart/form-data; boundary=x", **ended.own_site}
    headers["Referer"] = f"http://{HOST}/users/import"
    page = ended.send("POST", "/users/import", b"--x--\r\n", headers)
    assert "Sign in again, then fill in the form again." in page.words
    assert signs_in(ended, page).location == "/users/import"


def test_a_form_that_is_too_large_is_not_kept(ended):
    page = ended.post("/users/new", username="x" * 9000)
    assert page.status == 403
    assert "xxx" not in page.text


@pytest.mark.parametrize("trap", ["//evil.example", "https://evil.example/", "x"])
def test_a_kept_form_goes_nowhere_else(stranger, trap):
    answer = stranger.post(
        "/login", username="admin", password=PASSWORD, kept_path=trap, kept_form="a=b"
    )
    assert (answer.status, answer.location) == (303, "/")


def test_markup_in_a_kept_form_is_only_shown(ended):
    evil = "\"'><script>alert(1)</script>"
    page = ended.post(f"/users/1/name?q={evil}", **{evil: evil})
    for shown in (page, signs_in(ended, page)):
        assert "<script>alert" not in shown.text


def test_a_post_without_a_session_leads_to_the_sign_in(stranger):
    """Without a cookie nothing of a form comes back."""
    answer = stranger.post("/users/new", username="alice")
    assert (answer.status, answer.location, answer.body) == (303, "/login", b"")
