"""Overload: a TCP peer that sends more than its share."""

import contextlib

import pytest

from tests.support.raw_tcp import TcpClient

pytestmark = pytest.mark.wire

REQUESTS = 100  # at once; a burst is eight


@pytest.mark.parametrize("addresses", [1, 200])
def test_all_that_is_asked_on_a_connection_is_answered_in_time(server, flood, addresses):
    """RFC 3261 §18: a dropped message is never repeated there, so it waits (§17.1.2.2, timer F)."""
    (process,) = flood("OPTIONS", addresses=addresses, seconds=8, rate=25_000)
    with contextlib.closing(TcpClient(server)) as line:
        while process.poll() is None:  # its whole length
            line.socket.settimeout(32.0)
            line.says(b"".join(line.request("OPTIONS") for _ in range(REQUESTS)))
            assert [line.hears_status() for _ in range(REQUESTS)] == [200] * REQUESTS
