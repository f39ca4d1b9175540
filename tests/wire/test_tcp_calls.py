"""Calls along real TCP sockets: broken ones, forked ones, and beside thousands of idle ones."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.baresip import Baresip, BaresipTcp
from tests.support.pjsua import Pjsua
from tests.support.server_load import cpu_seconds
from tests.support.sipp_calls import register

IDLE_CONNECTIONS = 5000
FROM_ADDRESS = 50
# Of the server, for each: two watchers, a framer, the connection.  What the kernel holds is not in.
MOST_BYTES_EACH = 8000
# Seconds of the server's CPU for an OPTIONS among them: ten times what it costs alone.
MOST_WORK_EACH = 0.005


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Room in this process for the other ends of many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE_CONNECTIONS + 200
    assert hard == resource.RLIM_INFINITY or hard >= wanted, f"ulimit -Hn {wanted} is needed"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident_bytes(pid: int) -> int:
    """The memory that a process has in use."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize("status", [None, 180], ids=["at once", "ringing"])
def test_a_reset_connection_ends_a_ringing_call_at_once(line, status):
    """RFC 3261 §18.4: no wait for timer B (32 s) or C; a socket here waits PATIENCE (10 s)."""
    alice, bob = line(), line("127.0.0.2")
    assert bob.registers("bob") == 200
    alice.calls("bob")
    invite = bob.hears()
    assert invite.startswith(b"INVITE ")
    assert alice.hears_status() == 100
    if status:
        bob.answers(invite, status)
        assert alice.hears_status() == status
    bob.resets()
    assert alice.hears_status() == 500


def test_a_phone_that_accepts_no_connection_is_480(line):
    """RFC 3261 §18.4."""
    alice, bob = line(), line("127.0.0.2")
    assert bob.registers("bob") == 200
    bob.close()
    for callee in ("bob", "bob", "carol"):
        alice.calls(callee)
        while (status := alice.hears_status()) < 200:
            pass
        assert status == 480


@pytest.mark.parametrize(
    ("first", "other"), [(Baresip, BaresipTcp), (BaresipTcp, Baresip)], ids=["UDP", "TCP"]
)
def test_phones_on_udp_and_tcp_ring_together(registered, first, other):
    """RFC 3261 §16.7, step 10: on either kind."""
    alice, desk, mobile = (
        registered(kind, user) for kind, user in ((Pjsua, "alice"), (first, "bob"), (other, "bob"))
    )
    alice.dials(desk)
    desk.gets_a_call(alice)
    mobile.gets_a_call(alice)
    desk.answers()
    alice.is_talking(desk)
    desk.is_talking(alice)
    mobile.call_ends(alice)
    alice.hears()
    desk.hears()
    desk.hangs_up()
    alice.call_ends(desk)


@pytest.mark.alone
def test_five_thousand_idle_connections_disturb_no_other(server, sipp, line, descriptors, capsys):
    """Phones on UDP register meanwhile, and each connection is there when it is needed."""
    assert line().asks() == 200
    before = resident_bytes(server.process.pid)
    hosts = [f"127.0.1.{number}" for number in range(1, IDLE_CONNECTIONS // FROM_ADDRESS + 1)]
    idle = [line(host) for host in hosts for _ in range(FROM_ADDRESS)]
    assert [one.asks() for one in idle] == [200] * IDLE_CONNECTIONS
    each = (resident_bytes(server.process.pid) - before) / IDLE_CONNECTIONS
    with capsys.disabled():
        print(f"\n{IDLE_CONNECTIONS} idle connections: {each:.0f} octets of the server each")
    assert each < MOST_BYTES_EACH
    register(server, sipp, ["alice", "bob"])
    assert idle[0].registers("carol") == 200
    worked = cpu_seconds(server)
    assert [one.asks() for one in idle[::50]] == [200] * (IDLE_CONNECTIONS // 50)
    assert cpu_seconds(server) - worked < MOST_WORK_EACH * (IDLE_CONNECTIONS // 50)
