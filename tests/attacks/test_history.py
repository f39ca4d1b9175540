"""A flood of calls that fail must not fill the history."""

import json
import sqlite3
import time
from contextlib import closing

import pytest

from sip.store.history_writer import OUTSIDE_BURST, OUTSIDE_PER_SECOND
from tests.support.programs import until
from tests.support.server import Server

pytestmark = pytest.mark.wire

CALLS = 1500


def rows(server: Server) -> int:
    with closing(sqlite3.connect(server.database)) as file:
        return file.execute("SELECT count(*) FROM calls").fetchone()[0]


def test_a_flood_of_failing_calls_has_few_rows(server: Server, line):
    """From one connection, which proves its address; a call of a user has its row all the same."""
    began = time.monotonic()
    with closing(line("127.0.0.9")) as stranger:
        for number in range(CALLS):
            request = stranger.request("INVITE", uri=f"sip:x{number}@{server.domain}").decode()
            outside = request.replace(f"<sip:alice@{server.domain}>;", f"<sip:{number}@x.test>;", 1)
            stranger.says(outside.encode())
            while stranger.hears_status() < 200:
                pass
    lasted = time.monotonic() - began
    alice, bob = line(), line()
    assert bob.registers("bob") == 200
    alice.calls("bob")
    bob.answers(bob.hears(), 486)
    while alice.hears_status() < 200:
        pass
    until(lambda: rows(server) > OUTSIDE_BURST, "rows")
    of_alice = ["history", "--json", "--user", "alice"]
    until(lambda: len(json.loads(server.does(*of_alice))) == 1, "the row of the user")
    assert rows(server) <= 1 + OUTSIDE_BURST + OUTSIDE_PER_SECOND * (lasted + 1)
