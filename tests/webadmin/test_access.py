"""Access checks at their edges: similar paths and methods, and exact headers."""

import pytest

from sip.store.database import DatabaseError
from tests.support.cases import cases
from tests.support.wsgi_browser import HOST
from webadmin.request_checks import MAX_FORM_BYTES, with_headers

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_the_policy_is_all_of_this_and_nothing_else(stranger):
    headers = stranger.get("/login").headers
    assert {part.strip() for part in headers["content-security-policy"].split(";")} == {
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    }
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["permissions-policy"] == "camera=(), geolocation=(), microphone=()"


def test_what_an_answer_says_by_itself_is_not_said_twice():
    said = [("content-security-policy", "default-src 'self'"), ("CACHE-CONTROL", "max-age=1")]

    def app(environ, start_response):
        start_response("200 OK", [*said])
        return []

    sent: list[tuple[str, str]] = []
    with_headers(app)({}, lambda status, headers, exc_info: sent.extend(headers))
    names = [name.lower() for name, _ in sent]
    assert sorted(names) == sorted(set(names))
    assert set(said) <= set(sent)


@pytest.mark.parametrize("path", ["/staticx", "/static", "/login/", "/loginx", "/healthz/x", "/x"])
def test_a_path_that_begins_like_an_open_one_needs_a_session(stranger, path):
    assert stranger.get(path).status == 303


@pytest.mark.parametrize(
    ("method", "path", "location"),
    [
        ("GET", "/", "/login"),
        ("GET", "/users", "/login?next=/users"),
        ("HEAD", "/users", "/login"),
        ("POST", "/users/new", "/login"),
        ("POST", "/logout", "/login"),
        ("DELETE", "/users", "/login"),
    ],
)
def test_only_a_page_that_was_asked_for_is_come_back_to(stranger, method, path, location):
    """After the sign-in a browser sends GET, so the form would be lost."""
    headers = {} if method in ("GET", "HEAD") else {"Content-Length": "0", **stranger.own_site}
    answer = stranger.send(method, path, b"", headers)
    assert (answer.status, answer.location) == (303, location)


def test_without_a_cookie_the_database_is_not_read(stranger, context, monkeypatch):
    def fails(*_):
        raise DatabaseError("somebody asked")

    monkeypatch.setattr(context.sessions, "find", fails)
    assert stranger.get("/users").status == 303
    stranger.cookies = {"sipserver_session": "x"}
    assert stranger.get("/static/admin.css").status == 200, "static files need no session"
    assert stranger.get("/users").status == 503


@cases("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"])
def test_no_method_but_those_that_only_read_comes_from_elsewhere(browser, method):
    headers = {"Sec-Fetch-Site": "cross-site", "Content-Length": "0"}
    assert browser.send(method, "/users/1/remove", b"", headers).status == 403


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_no_header_makes_one_method_another(browser, context, name):
    alice = context.users.add("alice", "secret")
    assert browser.get(f"/users/{alice.id}/remove", **{name: "POST"}).status == 405
    assert browser.get(f"/users/{alice.id}", **{name: "DELETE"}).status == 200
    assert len(context.users) == 1


@pytest.mark.parametrize("path", ["/", "/users", "/users/new", "/users/import", "/login"])
def test_a_page_can_be_asked_for_its_headers_alone(stranger, browser, path):
    answer = browser.send("HEAD", path, b"", {})
    assert answer.status == browser.get(path).status
    assert answer.body == b""


@cases(
    "headers",
    [
        {"Origin": f"http://{HOST}.evil.example"},
        {"Origin": f"http://{HOST}@evil.example"},
        {"Origin": f"http://evil@{HOST}"},
        {"Origin": "http://pbx.example.com"},  # another port is another site
        {"Origin": "http://", "Host": ""},
        {"Origin": HOST},
        {"Referer": f"http://{HOST}/users"},
        {"Sec-Fetch-Site": "", "Origin": f"http://{HOST}"},
        {"Sec-Fetch-Site": "cross-site,same-origin"},
        {"Sec-Fetch-Site": "Same-Origin"},
    ],
)
def test_similar_origins_count_as_other_sites(browser, headers):
    browser.own_site = headers
    assert browser.post("/logout").status == 403
    assert browser.get("/").status == 200, "all sessions go on"


def test_a_form_may_be_as_large_as_it_may_be(browser):
    headers = {**FORM, **browser.own_site}
    body = b"username=" + b"x" * (MAX_FORM_BYTES - 9)
    assert browser.send("POST", "/users/new", body, headers).status == 422
    assert browser.send("POST", "/users/new", body + b"x", headers).status == 413


@pytest.mark.parametrize("length", ["", "+1", " 1"])
def test_a_length_is_a_plain_number(browser, length):
    headers = {**FORM, **browser.own_site, "Content-Length": length}
    assert browser.send("POST", "/users/new", b"a=b", headers).status == 411


def test_a_body_in_chunks_is_not_read(browser):
    """Its length is unknown until its end, even if there is a Content-Length."""
    headers = {**FORM, **browser.own_site, "Transfer-Encoding": "chunked"}
    assert browser.send("POST", "/users/new", b"3\r\na=b\r\n0\r\n\r\n", headers).status == 411


@pytest.mark.parametrize(
    "path",
    [
        "/users/",
        "/users//1",
        "/users/1/",
        "/./users",
        "/Users",
        "/users;a",
        "/users/+1",
        "/users/1e0",
    ],
)
def test_a_page_has_one_address(browser, context, path):
    context.users.add("alice", "secret")
    assert browser.get(path).status == 404


@pytest.mark.parametrize("path", ["/", "vendor", "\0", "admin.css\0", "a" * 5000, "app.py"])
def test_a_static_file_that_is_none_is_not_there(stranger, path):
    assert stranger.get(f"/static/{path}").status in (403, 404)
