"""Floods against the memory of messages."""

import re
import time

import pytest

from tests.support.admin import Admin
from tests.support.server import Server
from tests.support.sipp_calls import play

pytestmark = pytest.mark.wire

SHOWN = re.compile(r"The password of `admin` in the web admin is  (\S+)\n")
SECONDS = 3


@pytest.fixture
def flags() -> list[str]:
    return ["-trace.memory", "1"]


@pytest.mark.parametrize("kind", ["REGISTER", "OPTIONS", "INVITE", "garbage"])
def test_a_flood_pushes_out_no_ladder_of_a_call(server: Server, sipp, flood, kind):
    """From 200 addresses, with many times the octets that the memory holds."""
    play(server, sipp, "caller_challenged", "callee", calls=10)
    admin = Admin(server)
    (password,) = SHOWN.findall(server.log.read_text())
    assert admin.signs_in(password)
    calls = re.findall('href="(/traces/[^"]+)"', admin.reads("/traces?q=INVITE%20"))
    assert len(calls) == 10
    for sender in flood(kind, addresses=200, seconds=SECONDS, rate=3000):
        sender.communicate()
    time.sleep(0.5)  # the server handles the messages meanwhile
    for path in calls:
        assert "answered" in admin.reads(path)
    assert "Unhandled" not in server.log.read_text()
    server.has_no_traceback()
