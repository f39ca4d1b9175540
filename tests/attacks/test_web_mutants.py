"""Thousands of requests that are nearly right, to the API, the pages, /provision and /me.

They come beside guessers, and beside peers that read no answer.  The server stays as it is: no 500,
no traceback, no growth; and a program with its token, a phone and SIP are served as before.
"""

import json
import os
import random
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.fuzz.mutator import PIECES
from tests.support.server import Server
from tests.support.web_attacker import FORM, OURS, PASSWORD, Attacker, statuses
from webadmin.api.operations import PREFIX

# `make siege` sends as many as take about SIEGE_SECONDS.
SIEGE_SECONDS = int(os.environ.get("SIEGE_SECONDS", "60"))
COUNT, A_SECOND = 300, 150
# Growth of memory that a second pass may cause, in octets.
MAX_GROWTH = 8_000_000
SECRET = "a-secret-path-of-this-server"
MAC = "001565aabbcc"

# Operations that would end the siege: they change how the server is reached, or the honest user.
LEFT_OUT = ("/settings", "/events", "/users/import")
VALUES = {"id": "2", "registration_id": "2-a", "call_id": "one", "address": "192.0.2.66"}
VALUES |= {"network": "192.0.2.0%2F24"}
BODY = {"username": "zoe", "name": "sales", "members": ["bob"], "network": "192.0.2.0/24"}
QUERY = {"limit": "5", "user": "bob", "q": "a", "state": "online,trouble", "sort": "-last_seen"}
QUERY |= {"realm": "example.test", "from": "2026-01-01T00:00:00Z", "result": "missed"}
FIELDS = (
    *(b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: evil.test", b"Expect: x"),
    *(b"Accept-Encoding: gzip;q=2", b"Range: bytes=0-0,-1", b"If-None-Match: *", b"Upgrade: x"),
    *(b"X-Forwarded-For: 1.2.3.4", b"X-HTTP-Method-Override: DELETE", b"Cookie: ;=;\xff"),
    *(b"Authorization: Bearer \xc3\xa9", b"HX-Request: true", b"Origin: null", b"Referer: \xff"),
)
PAGES = ["/", "/users?q=a&sort=x&page=2", "/users/2", "/history?from=2026-01-01", "/traces/x"]
PAGES += ["/groups/1", "/audit?kind=users", "/trouble", "/users/export.csv?state=online", "/me"]
PAGES += [f"/provision/{SECRET}/{MAC}.cfg", "/provision/link/abc", "/metrics", "/api"]
FORMS = ["/users/new", "/groups/new", "/users/2/calls", "/users/2/desk-phones", "/users/choose"]
FORMS += ["/users/import/columns", "/bans/trust", "/me/login", "/login", "/traces/pin"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The real server with two users; it keeps no messages in memory."""
    server = Server(tmp_path / "server", "-trace.memory", "0")
    server.environment["SIPSERVER_ADMIN_PASSWORD"] = PASSWORD
    server.environment["SIPSERVER_PROVISION_SECRET"] = SECRET
    server.has_users("alice", "bob")
    server.start()
    yield server
    server.close()  # which holds it to a clean end, and a log without a traceback


class Besieger(Attacker):
    """Sends mutants of requests that the server would serve."""

    def __init__(self, server: Server, token: str) -> None:
        super().__init__(server)
        self.signs_in()
        self._bearer = f"Authorization: Bearer {token}"
        document = self.asks("GET", f"{PREFIX}/openapi.json").partition(b"\r\n\r\n")[2]
        self._requests = [*self._of_api(json.loads(document)), *self._of_pages()]
        assert len(self._requests) > 50

    def _of_api(self, document: dict) -> Iterator[bytes]:
        for path, methods in document["paths"].items():
            filled = re.sub(r"\{(\w+)\}", lambda found: VALUES[found[1]], path)
            if filled.startswith(LEFT_OUT):
                continue
            for method, operation in methods.items():
                names = {each["name"] for each in operation.get("parameters", ())} & QUERY.keys()
                query = "&".join(f"{name}={QUERY[name]}" for name in sorted(names))
                content = operation.get("requestBody", {}).get("content", {})
                schema = content.get("application/json", {}).get("schema", {}).get("$ref", "")
                properties = document["components"]["schemas"].get(schema.rpartition("/")[2], {})
                values = {n: BODY[n] for n in properties.get("properties", {}) if n in BODY}
                body = json.dumps(values).encode() if schema else b""
                fields = (self._bearer, f"Content-Length: {len(body)}")
                fields += ("Content-Type: application/json",) if schema else ()
                yield self.head(method.upper(), f"{PREFIX}{filled}?{query}", *fields) + body

    def _of_pages(self) -> Iterator[bytes]:
        for path in PAGES:
            yield self.head("GET", path)
        body = b"username=zoe&password=x&how=make&name=sales&members=bob&mac=0&id=2&network=::1/128"
        for path in FORMS:
            yield self.head("POST", path, FORM, OURS, f"Content-Length: {len(body)}") + body

    def mutant(self, number: int) -> bytes:
        """Return a request with one to four faults, mostly one; one number is one mutant."""
        rng = random.Random(number)
        data = bytearray(rng.choice(self._requests))
        for _ in range(rng.choice((1, 1, 2, 4))):
            # Half of them in the path and the query; a damaged field is mostly 400.
            at = rng.randrange(data.find(b"\r\n") if rng.random() < 0.5 else len(data))
            match rng.randrange(5):
                case 0:
                    data[at:at] = rng.choice(PIECES)
                case 1:
                    data[at : at + rng.randint(1, 20)] = b""
                case 2:
                    data[at] = rng.randrange(256)
                case 3:
                    line = data.find(b"\r\n") + 2
                    data[line:line] = rng.choice(FIELDS) + b"\r\n"
                case _:
                    data[at:at] = data[at : at + rng.randint(1, 40)] * rng.choice((1, 2, 50))
        return bytes(data)

    def guesses(self, number: int) -> list[int]:
        """Guess a token, a link, the secret path and a user's password, from another address."""
        self_at = f"127.77.{number // 250 % 250}.{number % 250 + 1}"
        guess = f"Authorization: Bearer sipserver_{number}"
        close = "Connection: close"
        doors = [
            self.head("GET", f"{PREFIX}/users", guess, close),
            self.head("GET", f"/provision/link/{number}", close),
            self.head("GET", f"/provision/{'x' * 20}{number}/{MAC}.cfg", close),
        ]
        return [status for door in doors for status in statuses(self.sends(door, source=self_at))]


def resident(server: Server) -> int:
    """Octets of memory that the server holds."""
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


def descriptors(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def holds_answers(attacker: Attacker, token: str) -> Iterator[socket.socket]:
    """Ask for long answers, and read none of them."""
    bearer = f"Authorization: Bearer {token}"
    heads = [
        attacker.head("GET", f"{PREFIX}/events", bearer),
        attacker.head("GET", f"{PREFIX}/users/export.csv", bearer),
        attacker.head("GET", "/users/export.csv"),
        attacker.head("POST", "/settings/backup", FORM, OURS, "Content-Length: 0"),
        attacker.head("GET", "/calls/events"),
    ]
    for number, head in enumerate(heads * 4):
        connection = attacker.connects(f"127.78.0.{number + 1}")
        with suppress(OSError):
            connection.sendall(head)
        yield connection


def served(server: Server, token: str) -> None:
    """Hold the server to serving a program, a browser, and SIP."""
    honest = Attacker(server)
    bearer = f"Authorization: Bearer {token}"
    assert statuses(honest.asks("GET", f"{PREFIX}/users?q=alice", bearer)) == [200]
    assert statuses(honest.asks("GET", "/healthz")) == [200]
    assert server.answers_options(5.0)


def besieged(server: Server, count: int) -> None:
    """Send so many mutants twice; the second time, the server has grown no more."""
    token = server.does("tokens", "add", "mutants", "--role", "admin").strip()
    honest = server.does("tokens", "add", "honest", "--role", "viewer").strip()
    besieger, found, sizes = Besieger(server, token), {}, []
    served(server, honest)
    for _ in range(2):
        with ExitStack() as held:
            for connection in holds_answers(besieger, token):
                held.callback(connection.close)
            for number in range(count):
                for status in statuses(besieger.sends(besieger.mutant(number))):
                    found[status] = found.get(status, 0) + 1
                if number % 25 == 0:
                    assert set(besieger.guesses(number)) <= {401, 404, 429}
                    served(server, honest)
        served(server, honest)
        sizes.append((resident(server), descriptors(server)))
    print(f"\n{count} mutants twice: {dict(sorted(found.items()))}, {sizes}")
    assert set(found) & set(range(500, 600)) <= {501, 503, 505}
    assert found.get(200, 0) > count / 20  # else nothing was reached
    assert sizes[1][0] - sizes[0][0] < MAX_GROWTH
    assert sizes[1][1] <= sizes[0][1] + 5
    server.has_no_traceback()


@pytest.mark.wire
@pytest.mark.alone
def test_some_mutants_of_requests_break_nothing(server: Server):
    besieged(server, COUNT)


@pytest.mark.siege
@pytest.mark.wire
@pytest.mark.timeout(10 * SIEGE_SECONDS + 120)
def test_thousands_of_mutants_of_requests_break_nothing(server: Server):
    """The figures are shown."""
    besieged(server, SIEGE_SECONDS * A_SECOND // 2)
