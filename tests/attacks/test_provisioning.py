"""Attacks on /provision, /me and the addresses behind a proxy, of a server that runs."""

import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.support.server import Server
from tests.support.web_attacker import PASSWORD, Attacker, statuses
from webadmin.sign_in_limits import MAX_TRIES

pytestmark = pytest.mark.wire

SECRET = "a-secret-path-of-this-server"
MAC = "001565aabbcc"
FILE = f"/provision/{SECRET}/{MAC}.cfg"
# At one moment.
PHONES = 12


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one user and its desk phone, behind a proxy on this machine."""
    server = Server(tmp_path_factory.mktemp("attacked") / "server", "-web.proxies", "127.0.0.1")
    server.environment["SIPSERVER_ADMIN_PASSWORD"] = PASSWORD
    server.environment["SIPSERVER_PROVISION_SECRET"] = SECRET
    server.has_users("alice", "bob")
    server.start()
    yield server
    server.close()
    assert SECRET not in server.log.read_text()


@pytest.fixture
def admin(server: Server) -> Attacker:
    """An administrator that has entered the phone of alice."""
    admin = Attacker(server).signs_in()
    assert statuses(admin.posts("/users/1/desk-phones", {"mac": MAC}))[0] in (303, 422)
    return admin


def at_one_moment(server: Server, path: str) -> list[bytes]:
    """Ask for a path from many phones at once."""
    with ThreadPoolExecutor(PHONES) as pool:
        return list(pool.map(lambda _: Attacker(server).asks("GET", path), range(PHONES)))


def ha1(server: Server) -> str:
    with closing(sqlite3.connect(server.database)) as connection:
        return connection.execute("SELECT ha1_md5 FROM users ORDER BY id").fetchone()[0]


def test_of_many_phones_one_gets_a_link_or_a_password(server, admin):
    """All ask at the same moment; no second one gets them, and no log has them."""
    secrets = []
    for kind, (path, found) in {
        "link": (_link(admin), rb"<entry [^>]*name=\"ha1\"[^>]*>([0-9a-f]{32})<|ha1[^0-9a-f]"),
        "password": (FILE, rb"account\.1\.password = (\S+)"),
    }.items():
        if kind == "password":
            assert statuses(admin.posts("/users/1/desk-phones/open", {"mac": MAC})) == [303]
        answers = at_one_moment(server, path)
        given = [answer for answer in answers if re.search(found, answer)]
        assert len(given) == 1, (kind, [statuses(answer) for answer in answers])
        secrets.append(path.rpartition("/")[2] if kind == "link" else _password(given[0]))
    log = server.log.read_text()
    assert not [secret for secret in secrets if secret in log and secret != f"{MAC}.cfg"]


def _link(admin: Attacker) -> str:
    """Make a link on a page that came by HTTPS, and return its path."""
    answer = admin.posts("/users/1/setup/link", {})
    (path,) = re.findall(rb"\r\nLocation: (/[^\r]*)\r\n", answer)
    page = admin.asks("GET", path.decode(), "X-Forwarded-Proto: https")
    (link,) = re.findall(rb'value="https://[^/"]+(/provision/link/[^"]+)"', page)
    return link.decode()


def _password(answer: bytes) -> str:
    return re.search(rb"account\.1\.password = (\S+)", answer)[1].decode()


ODD_PATHS = [
    *(f"/provision/{SECRET}/../{SECRET}/{MAC}.cfg", f"/provision/{SECRET}%00/{MAC}.cfg"),
    *(f"/provision/{SECRET.upper()}/{MAC}.cfg", f"/provision/{SECRET}/{MAC}.cfg%00.xml"),
    *(f"/provision/{SECRET[:-1]}*/{MAC}.cfg", f"/provision/{SECRET}/%2e%2e/{MAC}.cfg"),
    *(f"/provision//{SECRET}/{MAC}.cfg", f"/provision/{SECRET}/{MAC}.cfg/", "/provision"),
    *(f"/provision/{SECRET}/{'%D9%A0' * 12}.cfg", f"/provision/link/{SECRET}", "/provision/%ff"),
    *(f"/provision/{'x' * 5000}/{MAC}.cfg", f"/provision/link/{'x' * 5000}"),
]


def test_an_odd_path_or_method_gives_no_file_and_takes_none(server, admin):
    before = ha1(server)
    assert statuses(admin.posts("/users/1/desk-phones/open", {"mac": MAC})) == [303]
    for path in ODD_PATHS:
        for method in ("GET", "HEAD", "POST", "get", "PROPFIND"):
            answer = Attacker(server).asks(method, path, "Content-Length: 0")
            assert statuses(answer)[0] in (404, 405, 429), (method, path)
            assert b"alice" not in answer
    for method in ("HEAD", "POST", "get", "head", "OPTIONS"):
        Attacker(server).asks(method, FILE, "Content-Length: 0")
    assert ha1(server) == before
    assert b"account.1.password" in Attacker(server).asks("GET", FILE)


def test_no_address_that_a_client_states_evades_a_limit(server):
    """A proxy appends the true one; a client beside it is believed nothing."""

    def guess(door: str, field: str, source: str) -> int:
        attacker = Attacker(server)
        fields = ("Connection: close", field, "Authorization: Bearer sipserver_guess")
        if door.endswith("/login"):
            form = {"username": "admin", "password": "guess"}
            return statuses(attacker.posts(door, form, field, source=source))[0]
        return statuses(attacker.sends(attacker.head("GET", door, *fields), source=source))[0]

    for door in ("/login", "/api/v1/users", "/provision/link/guess"):
        for number in range(MAX_TRIES):
            forged = f"X-Forwarded-For: 203.0.113.{number}"
            assert guess(door, f"{forged}, 198.51.100.7", "127.0.0.1") != 429
            assert guess(door, forged, "127.0.0.9") != 429
        for field in ("198.51.100.7", "203.0.113.99, 198.51.100.7", "\x22, 198.51.100.7"):
            assert guess(door, f"X-Forwarded-For: {field}", "127.0.0.1") == 429, door
        for field in ("203.0.113.99", "127.0.0.1", "198.51.100.8"):
            assert guess(door, f"X-Forwarded-For: {field}", "127.0.0.9") == 429, door
        assert guess(door, "X-Forwarded-For: 198.51.100.8", "127.0.0.1") != 429, door


def test_a_user_session_opens_no_other_door(server, admin):
    """Neither pages nor the API, with any name of the cookie; and no cookie of theirs opens /me."""
    user = Attacker(server)
    form = {"username": "bob", "password": server.password_of("bob")}
    answer = user.posts("/me/login", form)
    token = re.search(rb"Set-Cookie: sipserver_me=([^;]+)", answer)[1].decode()
    for cookie in ("sipserver_me", "sipserver_session"):
        user.cookie = f"{cookie}={token}"
        for path in ("/", "/users", "/users/1", "/settings"):
            assert statuses(user.asks("GET", path)) == [303]
        for fields in ((), (f"Authorization: Bearer {token}",)):
            assert statuses(user.asks("GET", "/api/v1/users", *fields))[0] in (401, 429)
        assert statuses(user.posts("/users/1/password", {"how": "make"}))[0] in (303, 403)
    user.cookie = admin.cookie.replace("sipserver_session", "sipserver_me")
    assert b"Sign in" in user.asks("GET", "/me")
    user.cookie = f"sipserver_me={token}"
    assert b"Sign in" not in user.asks("GET", "/me")
