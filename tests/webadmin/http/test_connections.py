"""Connections of browsers: their source, an address or its /64, and the pauses of a handler."""

from sip.transport.flow import network_of
from webadmin.http import connections
from webadmin.http.connections import Connection, plain_address


def test_an_ipv6_network_counts_as_one_source():
    for host, address, network in (
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::2", "2001:db8:0:1::2", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
    ):
        assert plain_address(host) == address
        assert network_of(plain_address(host)) == network


def test_a_slow_handler_pauses_after_less(monkeypatch):
    """Blocks of a file that take long to make: SIP must not wait for several of them."""
    pauses: list[float] = []
    monkeypatch.setattr(connections.gevent, "sleep", pauses.append)
    connection = Connection.__new__(Connection)
    connection._bytes_since_pause, connection._paused_at = 0, 0.0
    connection._pause_after(20_000)
    assert len(pauses) == 1, "the last pause was long ago"
    connection._paused_at = float("inf")
    connection._pause_after(200_000)
    assert len(pauses) == 1, "it was quick"
    connection._pause_after(200_000)
    assert len(pauses) == 2
