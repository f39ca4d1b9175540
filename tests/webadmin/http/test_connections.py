"""Who is a neighbour of whom."""

from webadmin.http.connections import address_and_network


def test_neighbours_in_ipv6_share_their_places():
    for host, address, network in (
        ("192.0.2.1", "192.0.2.1", "192.0.2.1/32"),
        ("2001:db8:0:1::2", "2001:db8:0:1::2", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1/32"),
    ):
        assert address_and_network(host) == (address, network)
