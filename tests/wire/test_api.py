"""The API of a running server, tried by programs: schemathesis, and the example of the manual."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from sip.store.bans import Ban, Bans
from sip.store.database import Database
from tests.support.past_calls import past_call, write_calls
from tests.support.programs import REPOSITORY, end, start, until
from tests.support.server import Server
from tests.support.socket_phone import SocketPhone

pytestmark = pytest.mark.wire

EXAMPLE = REPOSITORY / "docs" / "examples" / "api_client.py"
# The HTTP server refuses a path of more than 64 kB with 414.
SETTINGS = """
[checks]
negative_data_rejection.expected-statuses = [
    400, 401, 403, 404, 405, 409, 411, 413, 414, 415, 422, 429, 503
]
"""


class Populated(NamedTuple):
    """A server, and the phones of its users."""

    server: Server
    alice: SocketPhone
    bob: SocketPhone


@pytest.fixture
def populated(server: Server) -> Iterator[Populated]:
    """A server with two users and their phones, a ban, and a call that has ended."""
    server.imports_users(
        ["username,password", *(f"{name},{server.password_of(name)}" for name in ("alice", "bob"))]
    )
    now = int(time.time())
    with Database(str(server.database)) as database:
        Bans(database).save(Ban("192.0.2.66", "guessed passwords", now, now + 600, 1))
        write_calls(database, [past_call(now - 60)])
    with closing(SocketPhone(server, "alice")) as alice, closing(SocketPhone(server, "bob")) as bob:
        assert (alice.registers(), bob.registers()) == (200, 200)
        yield Populated(server, alice, bob)


@pytest.mark.timeout(300)
def test_schemathesis_finds_no_undescribed_answer(populated: Populated):
    """Each operation answers as the document says, and never with 500."""
    server, alice, bob = populated
    alice.calls(bob)
    token = server.does("tokens", "add", "schemathesis", "--role", "admin").strip()
    # A rule that a JSON schema cannot say may refuse a value that fits it: a name with a blank.
    # Wrong tokens are soon 429; tests/attacks/test_api.py tries each operation without a token.
    # The stream of events does not end.
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run"),
        f"{server.web_url}/api/v1/openapi.json",
        *("--header", f"Authorization: Bearer {token}"),
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance,ignored_auth"),
        *("--exclude-path", "/events"),
        *("--max-examples", "15", "--seed", "1", "--no-color"),
    ]
    (server.home / "schemathesis.toml").write_text(SETTINGS)
    result = subprocess.run(
        command, cwd=server.home, capture_output=True, text=True, timeout=240, check=False
    )
    assert result.returncode == 0, result.stdout


def test_the_example_adds_lists_and_follows(populated: Populated):
    """It is 40 lines of Python, with nothing but the standard library."""
    server, alice, bob = populated
    assert len(EXAMPLE.read_text().splitlines()) <= 40
    token = server.does("tokens", "add", "example", "--role", "admin").strip()
    output = server.home / "example.txt"
    environment = {**os.environ, "SERVER": server.web_url, "TOKEN": token}
    client = start([sys.executable, str(EXAMPLE), "zoe"], output, env=environment)

    def lines() -> list[str]:
        return output.read_text().splitlines()

    def is_told() -> bool:
        alice.hangs_up(alice.calls(bob)[0], bob)
        return any("'result': 'answered'" in line for line in lines())

    try:
        until(lambda: "zoe is offline" in lines(), "the list")
        assert lines()[0].startswith("zoe ")
        assert {"alice is online", "bob is online"} <= set(lines())
        until(is_told, "an event")
        server.does("tokens", "remove", "example")
        until(lambda: client.poll() is not None, "the end of the stream")
        assert client.returncode == 0
    finally:
        end(client, signal.SIGTERM)
