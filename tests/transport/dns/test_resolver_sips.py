"""Next hops over TLS: which records are asked for, and the name to prove (RFC 3263 §4)."""

import pytest

from sip.message.uri import parse_uri
from sip.transport.dns.resolver import Hop, NoRoute, Resolver
from tests.support.fake_dns import FakeDns

NAME = "example.com"
SIPS, TCP = f"_sips._tcp.{NAME}", f"_sip._tcp.{NAME}"
OFFER = (NAME, "NAPTR")
SECURE = ("TLS", ("192.0.2.9", 5071), NAME)
RECORDS = {
    (SIPS, "SRV"): [(0, 0, 5071, "host.provider.example")],
    (TCP, "SRV"): [(0, 0, 5070, "host.provider.example")],
    ("host.provider.example", "A"): ["192.0.2.9"],
    (NAME, "A"): ["192.0.2.1"],
}
BOTH = {OFFER: [(10, 0, "S", "SIPS+D2T", SIPS), (20, 0, "S", "SIP+D2T", TCP)]}


@pytest.mark.parametrize(
    ("uri", "more", "hops"),
    [
        (f"sips:{NAME}", {}, [SECURE]),
        (f"sips:{NAME}", BOTH, [SECURE]),
        (f"sips:{NAME};transport=tcp", {}, [SECURE]),
        (f"sip:{NAME};transport=tls", {}, [SECURE]),
        (f"sip:{NAME}", BOTH, [SECURE, ("TCP", ("192.0.2.9", 5070), "")]),
        (f"sip:{NAME}", {}, [("TCP", ("192.0.2.9", 5070), "")]),  # no _sips without NAPTR
        (f"sips:{NAME}:5099", {}, [("TLS", ("192.0.2.1", 5099), NAME)]),
        (f"sips:{NAME}", {(SIPS, "SRV"): []}, [("TLS", ("192.0.2.1", 5061), NAME)]),
        ("sips:192.0.2.8", {}, [("TLS", ("192.0.2.8", 5061), "192.0.2.8")]),
        ("sip:192.0.2.8;transport=tls", {}, [("TLS", ("192.0.2.8", 5061), "192.0.2.8")]),
    ],
)
def test_the_ways_to_a_secure_name(uri: str, more: dict, hops: list):
    zone = FakeDns()
    zone.records = RECORDS | more
    resolver = Resolver(zone, lambda: 0.0, lambda is_ipv6: not is_ipv6, speaks=lambda name: True)
    assert resolver.hops(parse_uri(uri)) == [Hop(*hop) for hop in hops]


@pytest.mark.parametrize("uri", [f"sips:{NAME};transport=udp", f"sips:{NAME};transport=sctp"])
def test_sips_goes_by_no_other_transport(uri: str):
    zone = FakeDns()
    resolver = Resolver(zone, lambda: 0.0, lambda is_ipv6: True, speaks=lambda name: True)
    with pytest.raises(NoRoute, match="sips needs TLS"):
        resolver.hops(parse_uri(uri))
    assert not zone.asked
