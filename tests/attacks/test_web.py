"""Attacks on the web admin of a server that runs: what its pages and its gate make of them."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.admin import Admin
from tests.support.hostile_markup import registers_nastily
from tests.support.server import Server
from tests.support.web_attacker import FORM, OURS, PASSWORD, Attacker, statuses, work_before_sip
from tests.webadmin.conftest import clock, context
from webadmin.app import pages
from webadmin.import_service import ImportService
from webadmin.token_check import TokenCheck

__all__ = ["clock", "context"]

pytestmark = pytest.mark.wire

# Every page and every act; those of a user for the existing one.
PAGES = [
    *["/", "/login", "/users", "/users/new", "/users/1", "/users/1/hashes", "/users/import"],
    *[
        "/users/export.csv",
        "/audit",
        "/account",
        "/settings",
        "/healthz",
        "/favicon.ico",
        "/static/admin.css",
    ],
    *["/history", "/history?user=bob&number=a", "/history/export.csv", "/calls", "/trouble"],
    *["/groups", "/groups/1", "/groups/new", "/admins", "/tokens", "/health", "/api", "/bans"],
    *["/traces", "/traces/x", "/users/act", "/users/act/enable", "/users/undo"],
    *["/users/1/setup", "/users/import/refused.csv", "/account/second-factor", "/login/code"],
    *["/account/recovery-codes", "/account/recovery-codes/new"],
]
ACTS = [
    *["/logout", "/users/1/name", "/users/1/password", "/users/1/enable", "/users/1/disable"],
    *["/users/1/drop", "/users/1/remove", "/users/1/restore", "/users/import/apply"],
    *["/users/import/cancel", "/users/import/change", "/users/import/passwords.csv"],
    *["/users/import/columns", "/users/import/undo", "/users/undo/1", "/users/choose"],
    *["/users/act/passwords.csv", "/users/columns", "/users/1/call", "/users/1/calls"],
    *["/users/1/desk-phones", "/users/1/desk-phones/open", "/users/1/desk-phones/remove"],
    *["/users/1/forgive", "/users/1/setup/link", "/groups/1/remove", "/groups/1/restore"],
    *["/account/password", "/account/sessions/1/end", "/account/sessions/end"],
    *["/account/second-factor/off", "/admins/add", "/admins/password", "/admins/remove"],
    *["/admins/reset-factor", "/admins/role", "/tokens/add", "/tokens/remove", "/theme"],
    *["/bans/distrust", "/bans/forgive", "/bans/remove", "/bans/trust", "/traces/pin"],
    *["/settings/backup", "/settings/remove", "/settings/undo", "/calls/1/hang-up"],
]
OPEN = {"/login", "/login/code", "/healthz", "/favicon.ico", "/static/admin.css"}
# A GET takes the last part of these for the name of a Call-ID or change, which is not there.
NAMES_TO_GET = {"/traces/pin", "/users/act/passwords.csv"}
# Tokens open /metrics, see test_api.py; the streams do not end.
NO_PAGES = {"/metrics", "/calls/events", "/users/1/setup/events"}
WILDCARDS = {"number:id": "1", "number:int": "1", "name:path": "x", "path:path": "admin.css"}
WILDCARDS |= {"act": "enable"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real server with one user, alice.  In the end it has thrown no traceback."""
    with ExitStack() as stack:
        server = Server(tmp_path_factory.mktemp("attacked") / "server")
        server.environment["SIPSERVER_ADMIN_PASSWORD"] = PASSWORD
        server.has_users("alice")
        stack.callback(server.close)
        server.start()
        yield server


@pytest.fixture
def attacker(server: Server) -> Attacker:
    return Attacker(server)


@pytest.fixture
def insider(server: Server) -> Attacker:
    """One with the administrator's cookie: a browser that is tricked by another page."""
    return Attacker(server).signs_in()


def accounts(server: Server) -> list[tuple]:
    with closing(sqlite3.connect(server.database)) as connection:
        return connection.execute("SELECT username, enabled, ha1_md5 FROM users").fetchall()


def test_the_attacks_are_on_every_page_and_act(context):
    """Those of /api/v1, /provision and /me are in files of their own."""

    def filled_in(wildcard: re.Match[str]) -> str:
        return WILDCARDS[wildcard[1]]

    app = pages(context, TokenCheck(context), ImportService(context), dict)
    gets, posts = (
        {re.sub("<(.*?)>", filled_in, each.rule) for each in app.routes if each.method == method}
        for method in ("GET", "POST")
    )
    assert gets - NO_PAGES <= set(PAGES)
    assert posts - gets == set(ACTS)


@pytest.mark.parametrize(
    "method", ["OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "CONNECT", "PROPFIND", "get"]
)
def test_no_page_knows_another_verb(insider, server, method):
    before = accounts(server)
    for path in PAGES + ACTS:
        answer = insider.asks(method, path, "Content-Length: 0", OURS)
        assert statuses(answer) == [405], (method, path)
        assert insider.cookie.encode() not in answer, "nothing is sent back as it came"
    assert accounts(server) == before


def test_only_a_post_changes_anything(insider, server):
    before = accounts(server)
    for path in ACTS:
        status = 404 if path in NAMES_TO_GET else 405
        assert statuses(insider.asks("GET", path)) == [status], path
        assert statuses(insider.asks("HEAD", path)) == [status], path
    assert accounts(server) == before
    assert statuses(insider.asks("GET", "/")) == [200], "all sessions go on"


def test_no_page_and_no_action_works_without_a_session(attacker, server):
    before = accounts(server)
    for path in set(PAGES) - OPEN:
        for method in ("GET", "HEAD"):
            answer = attacker.asks(method, path)
            assert statuses(answer) == [303], path
            assert b"\r\nLocation: /login" in answer
            assert b"alice" not in answer
    for path in ACTS:
        answer = attacker.posts(path, {})
        assert statuses(answer) == [303], path
        assert b"\r\nLocation: /login\r\n" in answer
    assert accounts(server) == before


ELSEWHERE = [
    *["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: null", "X: y"],
    *["Origin: http://evil.test", "Origin: http://pbx.test:81", "Origin: https://pbx.test.evil"],
]


def test_another_site_makes_the_browser_do_nothing(insider, server):
    """The cookie comes along, as an old browser would send it; the form is refused all the same."""
    before = accounts(server)
    for path in [*ACTS, "/login", "/users/new", "/users/import"]:
        for sender in ELSEWHERE:
            answer = insider.asks("POST", path, FORM, sender, "Content-Length: 0")
            assert statuses(answer) == [403], (path, sender)
    assert accounts(server) == before
    assert statuses(insider.asks("GET", "/")) == [200]


def test_a_name_that_leads_here_by_a_trick_gets_nothing(attacker, insider):
    """DNS rebinding: the page of evil.test is of one origin with us, but has no cookie of ours.

    A cookie without Domain is for the very name that it was set under.
    """
    mine = ("Origin: http://evil.test:8080", OURS)
    answer = attacker.asks("GET", "/users", *mine, host="evil.test:8080")
    assert statuses(answer) == [303]
    answer = attacker.asks("POST", "/users/1/remove", *mine, "Content-Length: 0", host="evil.test")
    assert b"\r\nLocation: /login\r\n" in answer
    cookie = insider.posts("/login", {"username": "admin", "password": PASSWORD})
    assert b"Domain" not in re.search(rb"Set-Cookie: [^\r]*", cookie)[0]


@pytest.mark.parametrize(
    "host", ['"><script>alert(1)</script>', "a@b:c", "[", "[::1", "x:99999999", "a b", "%00", "ü"]
)
def test_no_name_of_ours_is_believed(insider, host):
    """The settings for a phone are made from it."""
    for path in ("/", "/users/1", "/login"):
        answer = insider.asks("GET", path, host=host)
        assert statuses(answer)[0] in (200, 303, 400), (path, host)
        assert b"<script>alert" not in answer
        assert b"Location: http" not in answer


SMUGGLED = "GET /users/1/hashes HTTP/1.1\r\nHost: pbx.test\r\n\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Length: 4", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding:\tchunked"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding : chunked"],
        ["X: y\rTransfer-Encoding: chunked"],
        ["X: y", " Content-Length: 5"],
        ["Content-Length: 0", f"Content-Length: {len(SMUGGLED)}"],
        ["Content-Length: 0, 0"],
        ["Content-Length: +0"],
        ["Content-Length: 0x0"],
        ["Content-Length: -1"],
        ["Content-Length : 0"],
        ["\x0bContent-Length: 0"],
    ],
)
def test_a_smuggled_second_request_is_never_read(insider, fields):
    """RFC 9112 §6.3, §11.2: a proxy before us may see one request there where we saw two."""
    heard = insider.sends(insider.head("POST", "/login", *fields), SMUGGLED.encode())
    assert len(statuses(heard)) == 1, heard
    assert statuses(heard)[0] in (400, 411)


def test_an_unexpected_body_is_not_read_as_a_request(insider):
    head = insider.head("GET", "/healthz", f"Content-Length: {len(SMUGGLED)}")
    assert statuses(insider.sends(head, SMUGGLED.encode())) == [200]


def test_fields_with_underscores_pass_for_no_others(attacker, server):
    """In an environment of WSGI both are HTTP_X_FORWARDED_PROTO; a proxy strikes out only one."""
    form = {"username": "admin", "password": PASSWORD}
    assert b"Secure" in attacker.posts("/login", form, "X-Forwarded-Proto: https")
    assert b"Secure" not in attacker.posts("/login", form, "X_Forwarded_Proto: https")


MEGABYTE = b"x" * 1_000_000
MULTIPART = "Content-Type: multipart/form-data; boundary=x"


def resident(server: Server) -> int:
    """Octets of memory that the server holds."""
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/login", ["Content-Length: 104857600"], 413),
        ("/users/import", ["Content-Length: 104857600"], 413),
        ("/users/import", ["Content-Length: 99999999999999999999"], 413),
        ("/users/import", ["Content-Length: 60000000"], 413),
        ("/users/new", ["Content-Length: 200000"], 413),
        ("/users/import", ["Transfer-Encoding: chunked"], 411),
        ("/healthz", ["Content-Length: 104857600"], 413),
    ],
)
def test_a_hundred_megabytes_are_refused_unread(insider, server, path, fields, status):
    before = resident(server)
    head = insider.head("POST", path, MULTIPART, OURS, "Connection: close", *fields)
    chunk = b"%x\r\n%b\r\n" % (len(MEGABYTE), MEGABYTE) if "Transfer" in fields[0] else MEGABYTE
    heard = insider.sends(head, *[chunk] * 100, ends=False)
    assert statuses(heard) in ([status], []), "the connection may be reset before it is read"
    assert statuses(insider.sends(head)) == [status]
    assert resident(server) - before < 16_000_000
    assert statuses(insider.asks("GET", "/users")) == [200]


def test_a_length_that_lies_ends_the_connection(insider, server):
    head = insider.head("POST", "/users/import", MULTIPART, OURS, "Content-Length: 5000")
    assert statuses(insider.sends(head, b"--x\r\n")) == [400]
    head = insider.head("POST", "/logout", FORM, OURS, "Content-Length: 3")
    heard = insider.sends(head, b"a=b" + SMUGGLED.encode())
    assert statuses(heard) == [303, 303], "octets beyond the length are an unauthenticated request"


@pytest.mark.parametrize(
    "path",
    [
        *["../../sipserver.py", "..%2f..%2fsipserver.py", "%2e%2e/%2e%2e/sipserver.py"],
        *["....//....//sipserver.py", "..%5c..%5csipserver.py", "vendor/..%2f..%2f..%2fREADME.md"],
        *["/etc/passwd", "%2fetc/passwd", "%c0%ae%c0%ae/x", "%252e%252e/x", "admin.css%00", "."],
        *["..", "vendor", "vendor/", "..;/layout.tpl", "../layout.tpl", "%00", "a/" * 2000],
    ],
)
def test_no_path_leads_out_of_the_static_files(attacker, path):
    heard = attacker.asks("GET", f"/static/{path}")
    assert statuses(heard)[0] in (403, 404)
    assert not re.search(rb"root:|import |rebase|# ", heard.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    "wanted",
    [
        *["//evil.test", "/\\evil.test", "\\\\evil.test", "https://evil.test", "javascript:a()"],
        *["/x\r\nSet-Cookie: a=b", "/x\nX: y", "/\t/evil.test", "/\x00", "/\u2028x", "x", ""],
    ],
)
def test_a_sign_in_leads_to_our_own_pages_alone(attacker, wanted):
    form = {"username": "admin", "password": PASSWORD, "next": wanted}
    heard = attacker.posts("/login", form)
    assert re.findall(rb"\r\nLocation: ([^\r]*)\r\n", heard) == [b"/"]
    assert heard.count(b"Set-Cookie") == 1
    shown = attacker.asks("GET", f"/login?next={quote(wanted)}")
    assert b'name="next" value=""' in shown


def test_a_token_that_was_put_there_is_not_taken_over(attacker):
    """Session fixation: the attacker knows the cookie that its victim brings to the sign-in."""
    attacker.cookie = "sipserver_session=known-to-the-attacker"
    heard = attacker.posts("/login", {"username": "admin", "password": PASSWORD})
    assert b"known-to-the-attacker" not in heard
    assert statuses(attacker.asks("GET", "/users")) == [303]


@pytest.mark.parametrize(
    "cookie",
    [
        *["sipserver_session=", 'sipserver_session="\\073"', "sipserver_session", "=;=;;"],
        *["sipserver_session=' OR 1=1 --", "sipserver_session=%00", "sipserver_session=!a?gASV"],
        "sipserver_session=" + "x" * 9000,
    ],
)
def test_no_other_cookie_opens_a_page(attacker, cookie):
    """Bottle reads a signed cookie by pickle; none of ours is one."""
    attacker.cookie = cookie
    assert statuses(attacker.asks("GET", "/users"))[0] in (303, 400)


def test_the_command_ends_every_session_at_once(server):
    admin = Admin(server)
    assert admin.signs_in(PASSWORD)
    server.does("admin", "password", "--password", "set by the command")
    assert not admin.is_signed_in()
    assert not admin.signs_in(PASSWORD)
    server.does("admin", "password", "--password", PASSWORD)
    assert admin.signs_in(PASSWORD)
    assert "(command line)" in admin.reads("/audit")


def test_secrets_of_the_database_file_open_no_page(server, attacker):
    """A stolen database: token hashes and an argon2 hash, and no audit entry that says more."""
    admin = Admin(server)
    assert admin.signs_in(PASSWORD)
    with closing(sqlite3.connect(server.database)) as connection:
        latest = "SELECT * FROM sessions ORDER BY id DESC LIMIT 1"
        kept = connection.execute(latest).fetchone()
        everything = "\n".join(connection.iterdump())
    token = admin.cookie.partition("=")[2]
    for secret in (token, PASSWORD, server.password_of("alice")):
        assert secret not in everything
    for value in map(str, kept):
        attacker.cookie = f"sipserver_session={value}"
        assert statuses(attacker.asks("GET", "/users")) == [303]


def test_text_from_a_phone_is_escaped_in_html(server, insider):
    registers_nastily(server)
    for path in ("/", "/users", "/users/1", "/users?q=alice", "/audit"):
        page = insider.asks("GET", path)
        assert statuses(page) == [200]
        assert b"<script>alert" not in page
        assert b"<img src=x" not in page
        assert b"}49" not in page
    assert b"&lt;script&gt;alert(1)" in insider.asks("GET", "/users")


def test_no_cell_of_an_export_is_a_formula(insider):
    names = ["=1+1", "+4930", "-1", "@SUM(A1)", "=HYPERLINK(1)"]
    for number, name in enumerate(names):
        form = {"username": f"u{number}", "password": "x", "how": "type", "display_name": name}
        insider.posts("/users/new", form)
    export = insider.asks("GET", "/users/export.csv").decode()
    assert all(f",'{name}," in export for name in names)
    assert not re.search(r'(^|,)"?[=+\-@]', export.partition("\r\n\r\n")[2], re.MULTILINE)


def test_slow_peers_do_not_lock_others_out(server, attacker):
    """Slowloris: heads, bodies and answers that never end, from one address and from several."""
    body = attacker.head("POST", "/login", FORM, OURS, "Content-Length: 9")
    pieces = [b"GET / HTTP/1.1\r\nX: ", b"", body]
    with ExitStack() as held:
        for number in range(300):
            connection = attacker.connects(f"127.0.7.{number % 3 + 1}")
            held.callback(connection.close)
            with suppress(OSError):
                connection.sendall(pieces[number % 3])
        admin = Admin(server)
        assert admin.signs_in(PASSWORD)
        assert admin.is_signed_in()
        assert work_before_sip(server) < 0.5


def test_a_server_for_this_machine_alone_warns_of_nothing(server):
    assert "not encrypted" not in server.log.read_text()
