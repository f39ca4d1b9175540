"""The list of signed-in browsers, and hostile text in it, shown in a real browser."""

import contextlib
import re

import trustme

from sip.addresses import parse_address
from sip.config import Config
from sip.store.database import Database
from tests.browser.conftest import PASSWORD, WITH_AND_WITHOUT_SCRIPTS
from tests.support.hostile_markup import registers_nastily
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import PASSWORD as SITE_PASSWORD
from tests.webadmin.conftest import REALM, Clock, context_over
from webadmin.app import build

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
NEW = "another long password"


@WITH_AND_WITHOUT_SCRIPTS
def test_a_browser_that_was_left_open_elsewhere_is_signed_out(visit, scripts):
    left_open, third = visit(user_agent=FIREFOX), visit()
    left_open.signs_in()
    third.signs_in()
    window = visit(java_script_enabled=scripts)
    window.signs_in()
    page = window.page
    page.get_by_role("link", name="Your account").click()
    window.sees("this browser")
    assert page.locator("tbody tr").count() == 3
    page.get_by_role("button", name=re.compile("End the session of Firefox 128 on Linux")).click()
    window.sees("Firefox 128 on Linux is signed out.")
    left_open.goes_to("/users")
    left_open.sees("Your session has ended. Sign in again to open the page.")
    third.goes_to("/users")
    third.page.get_by_role("heading", name="Users").wait_for()

    page.get_by_role("button", name="End all others").click()
    window.sees("All other browsers are signed out.")
    third.goes_to("/users")
    third.page.get_by_role("heading", name="Sign in").wait_for()
    assert page.get_by_role("button", name="End all others").count() == 0

    page.get_by_role("link", name="Audit", exact=True).click()
    for act in ("all other sessions ended", "session ended", "signed in"):
        window.sees(act)
    page.get_by_label("Show").select_option("Sessions")
    page.get_by_role("button", name="Show").click()
    window.sees("all other sessions ended")
    assert page.get_by_text("signed in").count() == 0


@WITH_AND_WITHOUT_SCRIPTS
def test_a_form_that_comes_too_late_is_not_lost(visit, server, scripts):
    """The session is ended while a form is filled in; it is sent after the next sign-in."""
    server.has_users("alice")
    window = visit(java_script_enabled=scripts)
    window.signs_in()
    window.goes_to("/users?status=offline")
    page = window.page
    page.get_by_role("link", name="alice", exact=True).click()
    page.get_by_label("Display name").fill("Alice & Söhne")
    page.route("**/users/1?*", lambda route: route.abort() if is_part(route) else route.continue_())
    server.does("admin", "password", "--password", NEW)
    page.get_by_role("button", name="Save", exact=True).click()
    window.sees("Your session has ended, so nothing was changed.")
    page.get_by_label("Password").fill(NEW)
    page.get_by_role("button", name="Sign in").click()
    window.sees("Alice & Söhne")
    page.get_by_role("button", name="Send it now").click()
    window.sees("The display name of alice was changed.")
    page.get_by_role("link", name="Back to the list").click()
    window.sees("Alice & Söhne")
    assert page.url.endswith("/users?status=offline")
    window.faults.clear()  # of the parts that were not let through


def is_part(route) -> bool:
    return "hx-request" in route.request.headers


@WITH_AND_WITHOUT_SCRIPTS
def test_signing_out_is_said(visit, scripts):
    window = visit(java_script_enabled=scripts)
    window.signs_in()
    window.page.get_by_role("button", name="Sign out").click()
    window.sees("You have signed out.")
    window.page.get_by_label("Password").fill(PASSWORD)
    window.page.get_by_role("button", name="Sign in").click()
    window.page.get_by_role("heading", name="Overview").wait_for()


@WITH_AND_WITHOUT_SCRIPTS
def test_a_password_change_signs_out_all_other_sessions(visit, scripts):
    other = visit()
    other.signs_in()
    window = visit(java_script_enabled=scripts)
    window.signs_in()
    window.goes_to("/account")
    page = window.page

    def fills(current: str, new: str) -> None:
        page.get_by_label("Present password").fill(current)
        page.get_by_label("New password", exact=True).fill(new)
        page.get_by_label("New password, once more").fill(new)
        page.get_by_role("button", name="Change").click()

    fills("wrong", NEW)
    window.sees("This password is wrong.")
    fills(PASSWORD, NEW)
    window.sees("The password was changed. All other browsers are signed out.")
    other.goes_to("/")
    other.page.get_by_role("heading", name="Sign in").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(NEW)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()


def test_the_account_is_used_by_the_keyboard_alone(visit):
    visit().signs_in()
    window = visit()
    window.signs_in()
    window.goes_to("/account")
    focused = []
    for _ in range(32):
        window.page.keyboard.press("Tab")
        focused.append(
            window.page.evaluate(
                "() => (document.activeElement.ariaLabel || document.activeElement.textContent"
                " || document.activeElement.id || '').trim()"
            )
        )
    order = ["Skip to the content", "Your account", "Sign out", "End all others", "Set it up"]
    order += ["Dark", "current", "Change"]
    places = [focused.index(name) for name in order]
    assert places == sorted(places)


def test_what_a_phone_says_of_itself_is_shown_and_never_run(visit, server):
    """A phone chooses its User-Agent, Contact, Call-ID and display name."""
    server.has_users("alice")
    registers_nastily(server)
    window = visit()
    ran = []
    window.page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    window.signs_in()
    for path in ("/", "/users", "/users/1", "/users?q=alice&status=online", "/users/1/hashes"):
        window.goes_to(path)
        assert window.page.locator("main script, main img").count() == 0
    window.goes_to("/users/1")
    window.sees("<script>alert(1)</script>")
    window.page.reload()
    assert not ran


def test_what_a_name_or_a_browser_says_is_shown_and_never_run(visit, server):
    markup = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    file = server.home / "users.csv"
    quoted = markup.replace('"', '""')
    file.write_text(f'username,password,display_name\n101,secret,"{quoted}"\n')
    server.does("users", "import", str(file))
    window = visit(user_agent=markup)
    ran = []
    window.page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    window.signs_in()
    for path in ("/users", "/users/1", "/account", "/audit", f"/users?q={markup}", "/<script>"):
        window.goes_to(path)
        assert window.page.locator("main script, main img").count() == 0, path
    window.goes_to("/account")
    window.sees("<script>alert(1)</script>")
    assert not ran


def answering(said: dict):
    """Answer a request of the window by this, in place of the server."""
    return lambda route: route.fulfill(**said)


@contextlib.contextmanager
def pages_of_an_exposed_server(home):
    """The pages of a server that others can reach: in memory, since a test must not listen so."""
    with Database(str(home / "exposed.db")) as database:
        config = Config(web_addr=parse_address(":8080"), sip_realm=REALM)
        with context_over(database, Clock(), config) as context:
            browser = Browser(build(context))
            login = browser.get("/login")
            browser.post("/login", username="admin", password=SITE_PASSWORD)
            yield {path: browser.get(path) for path in ("/", "/users", "/account")} | {
                "/login": login
            }


def test_the_warning_about_plain_http_is_accessible(visit, server, tmp_path):
    window = visit()
    with pages_of_an_exposed_server(tmp_path) as pages:
        for path, answer in pages.items():
            said = {"status": answer.status, "headers": answer.headers, "body": answer.body}
            url = server.web_url + path
            window.page.route(url, answering(said))
            window.goes_to(path)
            window.sees("This connection is not encrypted.")
            assert not window.faults_of_page()
            window.page.unroute(url)


def test_within_tls_everything_works_and_the_cookie_stays_there(visit, server):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(server.home / "cert.pem")
    issued.private_key_pem.write_to_path(server.home / "key.pem")
    server.stop()
    files = str(server.home / "cert.pem"), str(server.home / "key.pem")
    server.flags += ("-web.cert", files[0], "-web.key", files[1])
    server.start()
    window = visit(ignore_https_errors=True)
    window.signs_in()
    assert window.page.url.startswith("https://")
    (cookie,) = window.page.context.cookies()
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
    window.goes_to("/users/new")
    window.page.get_by_label("User name").fill("alice")
    window.page.get_by_role("button", name="Add", exact=True).click()
    window.sees("alice was added.")
    window.goes_to("/audit")
    window.sees("user added")
