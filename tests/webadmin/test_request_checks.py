"""Headers of every answer, and requests that are refused before their page."""

import pytest

from sip.store.database import DatabaseError
from tests.support.cases import cases
from tests.support.wsgi_browser import HOST
from webadmin.request_checks import MAX_FORM_BYTES

PAGES = ["/", "/users", "/users/new", "/users/import", "/users/export.csv", "/no/such/page"]


@cases("path", [*PAGES, "/login", "/healthz", "/static/admin.css", "/static/no"])
def test_every_answer_tells_the_browser_how_to_be_careful(browser, stranger, path):
    for who in (browser, stranger):
        headers = who.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in policy
        assert "server" not in headers


@cases("path", [*PAGES, "/login"])
def test_no_page_may_be_cached(browser, path):
    assert browser.get(path).headers["cache-control"] == "no-store"


@cases("path", PAGES)
def test_a_stranger_sees_no_page_and_not_even_which_there_are(stranger, path):
    answer = stranger.get(path)
    assert answer.status == 303
    assert answer.location.startswith("/login")
    assert answer.body == b""


def test_paths_that_need_no_sign_in(stranger):
    assert stranger.get("/healthz").text == "ok"
    assert stranger.get("/login").status == 200
    assert stranger.get("/favicon.ico").headers["content-type"] == "image/svg+xml"


@cases(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": f"http://{HOST}"}, 403),
        ({"Origin": f"http://{HOST}"}, 303),
        ({"Origin": f"http://{HOST.upper()}"}, 303),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({}, 403),
    ],
)
def test_only_our_own_pages_can_send_a_form(browser, headers, status):
    """A page elsewhere can have a browser post, cookie and all, but it can't hide where it is."""
    browser.own_site = headers
    assert browser.post("/logout").status == status


def test_forms_and_only_forms_of_a_sane_size_are_read(browser):
    assert browser.post("/users/new", username="x" * MAX_FORM_BYTES).status == 413
    headers = {"Content-Type": "application/x-www-form-urlencoded", **browser.own_site}
    headers["Content-Length"] = ""
    assert browser.send("POST", "/users/new", b"a=b", headers).status == 411


def test_a_failed_database_read_is_reported(browser, context, monkeypatch):
    def fails(*_):
        raise DatabaseError("cannot use the database sip.db (disk I/O error): see whether it lives")

    monkeypatch.setattr(context.directory, "page", fails)
    answer = browser.get("/users")
    assert answer.status == 503
    assert "see whether it lives" in answer.words

    monkeypatch.setattr(context.sessions, "find", fails)
    assert browser.get("/users").status == 503


def test_a_server_fault_is_logged_once_without_trace_on_the_page(
    browser, context, monkeypatch, caplog
):
    def fails(*_):
        raise RuntimeError("secret inside")

    monkeypatch.setattr(context.directory, "page", fails)
    answer = browser.get("/users")
    assert answer.status == 500
    assert "secret inside" not in answer.text
    (record,) = caplog.records
    assert "GET /users" in record.getMessage()
    assert record.exc_info


def test_errors_are_pages_for_people_and_lines_for_programs(browser):
    page = browser.get("/no/such/page")
    assert page.status == 404
    assert "There is no page at this address." in page.words
    line = browser.get("/no/such/page", Accept="*/*")
    assert line.headers["content-type"] == "text/plain; charset=UTF-8"
    assert line.text == "404 Not Found\nThere is no page at this address.\n"
    assert browser.send("PUT", "/users", b"x", browser.own_site).status == 405


@pytest.mark.parametrize(
    "path",
    ["../app.py", "..%2fapp.py", "%2e%2e/layout.tpl", "/etc/passwd", "vendor/../../layout.tpl"],
)
def test_static_files_are_all_that_is_served_as_files(stranger, path):
    assert stranger.get(f"/static/{path}").status in (403, 404)


def test_a_file_with_its_version_may_be_kept_for_good(stranger):
    assert "immutable" in stranger.get("/static/admin.css?v=1").headers["cache-control"]
    assert "immutable" not in stranger.get("/static/admin.css").headers.get("cache-control", "")


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@pytest.mark.parametrize("method", ["get", "Get", "post", "hEAD"])
def test_a_verb_in_small_letters_is_none(browser, context, method):
    """RFC 9110 §9.1: they are told apart by case, and a proxy before us has done so."""
    headers = {"Content-Length": "0", **browser.own_site}
    for path in ("/users", "/api/v1/openapi.json", "/provision/link/x", "/me"):
        assert browser.send(method, path, b"", headers).status == 405


@cases("path", ["/\xff", "/users\xff", "/\xc3\xffusers", "/log\xffin", "/stat\xffic/x"])
def test_a_path_that_is_no_text_is_not_another_one(browser, path):
    """Bottle removes invalid octets; a proxy may have checked the path with them."""
    assert browser.get(path).status == 404
