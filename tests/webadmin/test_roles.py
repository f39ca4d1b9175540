"""Roles: each route declares what it needs; a viewer changes nothing and sees no secret."""

import html
import re
import sqlite3
from contextlib import closing

import pytest
from bottle import Bottle

from sip.config import Config
from sip.core.guard.guard import Guard
from sip.core.guard.password_limits import MAX_FAILURES_OF_USER
from sip.monitor.calls import Calls
from sip.monitor.events import Bus, CallStarted, MessagePassed, Party, Refused, Sender
from sip.monitor.refusals import Refusals
from sip.monitor.traces import Traces
from sip.store.audit import Act
from sip.store.bans import Ban
from sip.store.tokens import Role
from tests.support.cases import cases
from tests.webadmin.conftest import REALM
from webadmin.app import pages
from webadmin.import_service import ImportService
from webadmin.routes import NEEDS, Needs
from webadmin.token_check import TokenCheck

HERE, THERE = "192.0.2.7", "198.51.100.7"
NAMES = {"<number:id>": "1", "<number:int>": "1", "<name:path>": "x", "<path:path>": "admin.css"}
NAMES |= {"<act>": "enable"}

OPEN = {
    *[("GET", "/login"), ("POST", "/login"), ("GET", "/login/code"), ("POST", "/login/code")],
    *[("POST", "/logout"), ("GET", "/metrics"), ("GET", "/healthz"), ("GET", "/favicon.ico")],
    ("GET", "/static/<path:path>"),
}
OWN = {
    *[("GET", "/account"), ("POST", "/account/password"), ("POST", "/account/sessions/end")],
    ("POST", "/account/sessions/<number:id>/end"),
    *[("GET", "/account/second-factor"), ("POST", "/account/second-factor")],
    *[
        ("POST", "/account/second-factor/off"),
        ("GET", "/account/recovery-codes"),
        ("GET", "/account/recovery-codes/new"),
    ],
    *[("POST", "/account/recovery-codes/new")],
    *[("POST", "/theme"), ("POST", "/users/columns")],
}
# Pages that show secrets, or only prepare a change.
PAGES_OF_ADMINS = {
    *[("GET", "/users/new"), ("GET", "/users/import"), ("GET", "/users/<number:id>/hashes")],
    *[("GET", "/users/act"), ("GET", "/users/act/<act>"), ("GET", "/groups/new")],
}


@pytest.fixture
def app(context) -> Bottle:
    return pages(context, TokenCheck(context), ImportService(context), dict)


@pytest.fixture
def busy(context, clock):
    """A server on which each page has its buttons."""
    bus = Bus(clock)
    context.guard = Guard(clock, clock, (), lambda *who: False, lambda rules: False, bus)
    context.refusals, context.calls = Refusals(), Calls(bus)
    context.traces = Traces(context.bus)
    context.config = Config(sip_realm=REALM, web_cert="cert.pem", web_key="key.pem")
    alice = context.users.add("alice", "secret")
    for address in (HERE, THERE):
        for _ in range(MAX_FAILURES_OF_USER):
            context.guard.login_failed(address, "alice", nonce_is_ours=True)
        values = {"cause": "wrong password for alice", "cure": "Type it again.", "status": 401}
        values |= {"username": "alice", "realm": REALM, "user": "alice", "to": ""}
        values |= {"device": "Desk", "network": address, "transport": "UDP", "call_id": "one"}
        values |= {"address": (address, 5060), "from_tag": "a", "method": "REGISTER"}
        context.refusals.add(Refused(at=clock.now, sender=Sender.USER, **values))
    now = int(clock.now)
    context.bans.save(Ban("192.0.2.66", "guessed passwords", now - 120, now + 480, 2))
    context.bans.trust("203.0.113.0/24")
    context.traces.pin("alice")
    octets = (
        b"INVITE sip:bob@example.com SIP/2.0\r\nFrom: <sip:alice@example.com>;tag=a\r\n"
        b'Call-ID: one\r\nAuthorization: Digest response="SECRET"\r\n\r\n'
    )
    server, phone = ("192.0.2.1", 5060), ("192.0.2.10", 5060)
    context.bus.publish(MessagePassed(clock.now, "in", server, phone, "UDP", octets))
    caller, callee = (Party(f"sip:{name}@{REALM}", 0, "", "") for name in ("alice", "bob"))
    bus.publish(
        CallStarted(clock.now, "one", "a", caller, callee, phone, "UDP", "Desk", False, b"")
    )
    context.tokens.add("prometheus", Role.VIEWER, clock.now)
    return alice


def declared(app: Bottle) -> dict[tuple[str, str], Needs | None]:
    return {(each.method, each.rule): each.config.get(NEEDS) for each in app.routes}


def path_of(rule: str) -> str:
    for wildcard, value in NAMES.items():
        rule = rule.replace(wildcard, value)
    assert "<" not in rule, rule
    return rule


def test_each_route_declares_what_it_needs(app):
    """A new POST needs the role admin, unless it is entered above with good reason."""
    needs = declared(app)
    assert {key for key, need in needs.items() if need is Needs.NOTHING} == OPEN
    assert {key for key, need in needs.items() if need is Needs.OWN_ACCOUNT} == OWN
    gets = {key for key, need in needs.items() if need is Needs.ADMIN and key[0] == "GET"}
    assert gets == PAGES_OF_ADMINS
    posts = {need for key, need in needs.items() if key[0] == "POST" and key not in OPEN | OWN}
    assert posts == {Needs.ADMIN}
    assert None not in needs.values(), "it was not made by webadmin.routes.route"


def test_a_route_without_a_declaration_needs_an_admin(app, context, viewer):
    app.route("/forgotten", "GET", lambda: "hidden text")
    viewer.app = app
    answer = viewer.get("/forgotten")
    assert (answer.status, "hidden text" in answer.text) == (403, False)


def dump(path: str) -> list[str]:
    """All rows, but for the times when sessions were used."""
    with closing(sqlite3.connect(path)) as connection:
        lines = [line for line in connection.iterdump() if "INSERT INTO" in line]
    return [line for line in lines if not re.search('INTO "(sessions|admins)"', line)]


def test_a_viewer_is_refused_each_change(viewer, app, context, busy, tmp_path):
    path = str(tmp_path / "sip.db")
    before, admins = dump(path), context.admins.list()
    needs = declared(app).items()
    changes = [rule for (method, rule), need in needs if need is Needs.ADMIN and method == "POST"]
    assert len(changes) > 25
    for rule in changes:
        answer = viewer.post(path_of(rule), name="admin", username="eve", role="admin")
        assert answer.status == 403, rule
        assert "Your role is viewer" in answer.words
    assert dump(path) == before
    assert [(each.name, each.role) for each in context.admins.list()] == [
        (each.name, each.role) for each in admins
    ]
    assert context.calls.now()
    assert context.guard.blocked_logins()


@cases(
    "path",
    [
        *["/users/1/hashes", "/users/export.csv?hashes=yes", "/users/new", "/users/import"],
        *["/users/export.csv?hashes=no&hashes=yes", "/traces?call_id=one&secrets=true"],
        *[f"/traces/one{ending}?secrets=true" for ending in ("", ".txt", ".pcap")],
        "/traces?call_id=one&format=pcap&secrets=true",
    ],
)
def test_no_secret_is_shown_to_a_viewer(viewer, browser, busy, path):
    assert viewer.get(path).status == 403
    assert viewer.send("HEAD", path, b"", {}).status == 403
    assert viewer.get(path, HX_Request="true").status == 403
    assert browser.get(path).status == 200, "an admin sees it"


def test_a_viewer_reads_the_pages_without_any_button(viewer, app, context, busy):
    """All links and forms of all pages: none leads to a refusal."""
    ha1 = context.users.find("alice", REALM).ha1_md5
    waiting, seen = ["/"], set()
    while waiting:
        path = waiting.pop()
        if path in seen or path.startswith(("/static/", "/users/export", "/history/export")):
            continue
        seen.add(path)
        answer = viewer.get(path)
        assert answer.status in (200, 303), path
        text = answer.body.decode("utf-8", "replace")
        assert ha1 not in text
        assert "SECRET" not in text
        for tag in re.findall(r"<(?:form|button)[^>]*>", text):
            if action := re.search(r'(?:form)?action="([^"]*)"', tag):
                method = "POST" if 'method="post"' in tag else "GET"
                target = html.unescape(action[1]).partition("?")[0]
                environ = {"PATH_INFO": target, "REQUEST_METHOD": method}
                found, _ = app.router.match(environ)
                assert found.config[NEEDS] is not Needs.ADMIN, (path, tag)
        links = re.findall(r'(?:href|hx-get)="(/[^"]*)"', text)
        waiting += [html.unescape(link).partition("#")[0] for link in links]
    assert "/setup/link" not in viewer.get("/users/1/setup", Origin="https://pbx.example.com").text
    assert {"/users/1", "/trouble", "/calls", "/traces/one", "/admins", "/tokens"} <= seen


def test_a_viewer_is_not_asked_to_remove_a_ban(viewer, browser, context, busy):
    for number in range(30):
        context.guard.login_failed(THERE, f"none{number}", nonce_is_ours=True)
    link = f"Unban {THERE}, on the page of trouble"
    assert link in browser.get("/users/1").text
    assert link not in viewer.get("/users/1").text


def test_an_admin_has_the_buttons(browser, busy):
    """Else the test before would show nothing."""
    pages = ["/", "/calls", "/trouble", "/users", "/users/1", "/traces", "/traces/one"]
    for path in pages:
        text = browser.get(path).text
        forms = re.findall(r'method="post" action="([^"]*)"', text)
        assert set(forms) - {"/logout", "/theme"} or "/users/new" in text, path


def test_the_foot_shows_name_and_role(viewer, browser):
    assert "carol, viewer · Sign out" in viewer.get("/audit").words
    assert "admin · Sign out" in browser.get("/audit").words


def test_a_changed_role_counts_at_once(viewer, context, browser):
    """The sessions end, so that the person sees that something has changed."""
    browser.post("/admins/role", name="carol", role="admin")
    assert viewer.get("/users").status == 303
    viewer.post("/login", username="carol", password="correct horse battery staple")
    assert viewer.post("/users/new", username="bob", how="make").status == 303


def test_the_audit_names_the_administrator(browser, viewer, context):
    context.admins.set_role("carol", Role.ADMIN)
    viewer.post("/login", username="carol", password="correct horse battery staple")
    viewer.post("/users/new", username="bob", how="make")
    browser.post("/users/1/disable")
    acts = [(entry.who, entry.act) for entry in context.audit.entries()[:2]]
    assert acts == [("admin", Act.USER_DISABLED), ("carol", Act.USER_ADDED)]


def test_a_viewer_changes_the_own_account(viewer, context):
    own = {"current": "correct horse battery staple", "password": "a new long one"}
    assert viewer.post("/account/password", **own, again="a new long one").location == "/account"
    assert viewer.post("/account/sessions/end").location == "/account"
    assert viewer.post("/theme", theme="dark").status == 303
    assert viewer.post("/logout").location == "/login"
    assert viewer.post("/login", username="carol", password="a new long one").status == 303


def test_no_one_ends_sessions_of_another_person(viewer, browser, context):
    (session,) = context.sessions.of("admin", context.clock())
    assert viewer.post(f"/account/sessions/{session.id}/end").status == 404
    viewer.post("/account/sessions/end")
    assert browser.get("/users").status == 200
    assert "192.0.2.7" not in viewer.get("/account").words, "nor sees them"
