"""The source of a connection: an IPv4 address, or the /64 of an IPv6 address."""

from sip.transport.flow import network_of
from webadmin.http.connections import plain_address


def test_an_ipv6_network_counts_as_one_source():
    for host, address, network in (
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::2", "2001:db8:0:1::2", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
    ):
        assert plain_address(host) == address
        assert network_of(plain_address(host)) == network
