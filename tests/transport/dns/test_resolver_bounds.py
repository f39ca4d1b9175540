"""Large and hostile zones, and missing answers, on the way to a next hop (RFC 3263, 2782)."""

import pytest

from sip.message.uri import SipUri, parse_uri
from sip.transport.dns import resolver as module
from sip.transport.dns.resolver import NoRoute, Resolver
from tests.support.fake_dns import FakeDns

NAME = "example.com"
UDP_SRV, TCP_SRV = f"_sip._udp.{NAME}", f"_sip._tcp.{NAME}"


@pytest.fixture
def zone() -> FakeDns:
    return FakeDns()


@pytest.fixture
def resolver(zone: FakeDns) -> Resolver:
    return Resolver(zone, lambda: 1000.0, lambda is_ipv6: True, draw=lambda most: 0)


def sip(text: str) -> SipUri:
    uri = parse_uri(text)
    assert isinstance(uri, SipUri)
    return uri


def hops(resolver: Resolver, uri: str = f"sip:{NAME}") -> list[str]:
    return [f"{transport} {host} {port}" for transport, (host, port), _ in resolver.hops(sip(uri))]


def four(count: int, net: int = 2) -> list[str]:
    return [f"192.0.{net}.{number}" for number in range(1, count + 1)]


# Large zones


def test_so_many_ways_and_no_more(resolver: Resolver, zone: FakeDns):
    """A bound of ours: a silent one takes a caller half a minute."""
    zone.records = {(NAME, "A"): four(32)}
    assert len(hops(resolver)) == module.MAX_HOPS


@pytest.mark.parametrize("has_addresses", [False, True])
def test_a_zone_that_multiplies_is_asked_little(resolver: Resolver, zone: FakeDns, has_addresses):
    """A hostile zone: each service leads to many servers, and these to many addresses."""
    services = [f"s{number}.{NAME}" for number in range(32)]
    zone.records = {
        (NAME, "NAPTR"): [(1, n, "S", "SIP+D2U", at) for n, at in enumerate(services)],
        **{(at, "SRV"): [(1, 1, 5060, f"h{n}.{at}") for n in range(32)] for at in services},
    }
    if has_addresses:
        zone.records |= {(f"h{n}.{at}", "A"): four(32) for at in services for n in range(32)}
        assert len(hops(resolver)) == module.MAX_HOPS
        assert len(zone.asked) == 3 + module.MAX_SERVICES + 2 * module.MAX_HOPS
    else:
        with pytest.raises(NoRoute):
            hops(resolver)
        servers = module.MAX_SERVICES * module.MAX_SERVERS
        assert len(zone.asked) == 3 + module.MAX_SERVICES + 2 * servers


def test_few_servers_of_a_silent_zone_are_asked(resolver: Resolver, zone: FakeDns):
    """The caller hears nothing meanwhile."""
    rows = [(n, 1, 5060, f"h{n}.net") for n in range(16)]
    zone.records = {(UDP_SRV, "SRV"): rows[:8], (TCP_SRV, "SRV"): rows[8:]}
    zone.silent = {(f"h{n}.net", kind) for n in range(16) for kind in ("A", "AAAA")}
    with pytest.raises(NoRoute, match="is lost"):
        hops(resolver)
    assert len(zone.silent.intersection(zone.asked)) == 2 * module.MAX_HOPS


def test_a_server_with_many_addresses_hides_no_other(resolver: Resolver, zone: FakeDns):
    """RFC 2782: the next target is there for when the first fails."""
    zone.records = {
        (UDP_SRV, "SRV"): [(1, 1, 5060, "one.net"), (2, 1, 5060, "two.net")],
        ("one.net", "A"): four(9),
        ("two.net", "A"): ["198.51.100.1", "198.51.100.2"],
    }
    assert hops(resolver) == [f"UDP {address} 5060" for address in [*four(6), "198.51.100.1",
                                                                    "198.51.100.2"]]  # fmt: skip


def test_many_servers_by_udp_hide_none_by_tcp(resolver: Resolver, zone: FakeDns):
    """RFC 3261 §18.1.1: a message too large for a datagram needs it."""
    zone.records = {
        (UDP_SRV, "SRV"): [(n, 1, 5060, f"h{n}.net") for n in range(12)],
        (TCP_SRV, "SRV"): [(1, 1, 5060, "tcp.net")],
        ("tcp.net", "A"): ["198.51.100.1"],
        **{(f"h{n}.net", "A"): four(2, n) for n in range(12)},
    }
    found = hops(resolver)
    assert found == [f"UDP 192.0.{n}.1 5060" for n in range(7)] + ["TCP 198.51.100.1 5060"]


def test_one_family_hides_not_the_other(resolver: Resolver, zone: FakeDns):
    """A network may have lost one of them."""
    zone.records = {(NAME, "A"): four(32), (NAME, "AAAA"): ["2001:db8::1"]}
    assert hops(resolver) == [*(f"UDP {host} 5060" for host in four(7)), "UDP 2001:db8::1 5060"]


@pytest.mark.parametrize(
    ("is_ipv6", "kind", "hop"),
    [(False, "A", "UDP 192.0.2.1 5060"), (True, "AAAA", "UDP 2001:db8::1 5060")],
)
def test_a_family_that_we_have_no_socket_of_is_not_asked_for(zone: FakeDns, is_ipv6, kind, hop):
    """Neither in the DNS nor in the hosts file."""
    zone.records = {(NAME, "A"): four(1), (NAME, "AAAA"): ["2001:db8::1"]}
    both = ["192.0.2.1", "2001:db8::1"]
    resolver = Resolver(
        zone,
        lambda: 1000.0,
        lambda asked: asked == is_ipv6,
        lambda name: both if name == "pbx.lan" else [],
    )
    assert hops(resolver) == [hop]
    assert (NAME, kind) in zone.asked
    assert len(zone.asked) == 4
    assert hops(resolver, "sip:pbx.lan") == [hop]
    zone.records = {}
    with pytest.raises(NoRoute):
        hops(resolver, "sip:nobody.net:5060")


# Silence

SERVER = {(UDP_SRV, "SRV"): [(1, 1, 5060, "sip.net")], ("sip.net", "A"): ["192.0.2.9"]}
WEB_SITE = {(NAME, "A"): ["203.0.113.80"]}


@pytest.mark.parametrize(
    ("silent", "uri"),
    [
        ([UDP_SRV], f"sip:{NAME}"),
        ([TCP_SRV], f"sip:{NAME}"),
        ([UDP_SRV, TCP_SRV], f"sip:{NAME}"),
        ([UDP_SRV], f"sip:{NAME};transport=udp"),
    ],
)
def test_silence_about_services_says_not_that_there_are_none(resolver, zone, silent, uri: str):
    """RFC 2782: the domain is a host as well if there is no SRV; else its web site got the call."""
    zone.silent = {(at, "SRV") for at in silent}
    zone.records = WEB_SITE | {(NAME, "NAPTR"): []}
    with pytest.raises(NoRoute, match="SRV is lost"):
        hops(resolver, uri)


def test_a_service_that_is_known_serves_while_another_is_silent(resolver, zone):
    """RFC 3263 §4.2."""
    zone.silent = {(TCP_SRV, "SRV"), (NAME, "NAPTR")}
    zone.records = SERVER | WEB_SITE
    assert hops(resolver) == ["UDP 192.0.2.9 5060"]


def test_an_unanswered_naptr_service_is_no_host(resolver, zone):
    """RFC 3263 §4.1."""
    zone.silent = {("sip.elsewhere.net", "SRV")}
    zone.records = WEB_SITE | {(NAME, "NAPTR"): [(1, 1, "S", "SIP+D2U", "sip.elsewhere.net")]}
    with pytest.raises(NoRoute, match="SRV is lost"):
        hops(resolver)


@pytest.mark.parametrize("uri", [f"sip:{NAME}", f"sip:{NAME};transport=udp"])
def test_a_domain_without_srv_answers_is_a_host(resolver, zone, uri: str):
    """Some routers know addresses alone."""
    zone.silent = {(UDP_SRV, "SRV"), (TCP_SRV, "SRV"), (NAME, "NAPTR")}
    zone.records = dict(WEB_SITE)
    assert hops(resolver, uri) == ["UDP 203.0.113.80 5060"]


@pytest.mark.parametrize("uri", [f"sip:{NAME}", f"sip:{NAME};transport=udp"])
def test_a_domain_that_says_it_has_no_service_is_not_called(resolver, zone, uri: str):
    """RFC 2782: a target of "." is a clear no."""
    zone.records = WEB_SITE | {(at, "SRV"): [(0, 0, 0, ".")] for at in (UDP_SRV, TCP_SRV)}
    with pytest.raises(NoRoute, match="no such service"):
        hops(resolver, uri)
    assert (NAME, "A") not in zone.asked


# All places


def places(resolver: Resolver, uri: str = f"sip:{NAME}") -> tuple[list[str], bool]:
    found, is_complete = resolver.endpoints(sip(uri))
    return sorted(host for host, _ in found), is_complete


def test_all_places_are_found_however_many(resolver: Resolver, zone: FakeDns):
    """Whichever of them calls."""
    zone.records = {(UDP_SRV, "SRV"): [(1, 1, 5060, f"h{n}.net") for n in range(32)]}
    zone.records |= {(f"h{n}.net", "A"): [f"192.0.2.{n}"] for n in range(32)}
    assert places(resolver) == (sorted(f"192.0.2.{n}" for n in range(32)), True)
    assert places(resolver, "sip:192.0.2.9:5070") == (["192.0.2.9"], True)


@pytest.mark.parametrize("silent", [(NAME, "NAPTR"), (TCP_SRV, "SRV"), ("sip.net", "AAAA")])
def test_one_question_without_answer_may_hide_a_place(resolver, zone, silent):
    zone.records, zone.silent = dict(SERVER), {silent}
    assert places(resolver) == (["192.0.2.9"], False)


def test_without_any_place_there_is_no_way(resolver, zone):
    zone.records = {(UDP_SRV, "SRV"): [(1, 1, 5060, "sip.net")]}
    with pytest.raises(NoRoute, match="no address"):
        places(resolver)


def test_so_many_places_and_no_more(resolver: Resolver, zone: FakeDns, monkeypatch):
    """The same each time."""
    monkeypatch.setattr(module, "MAX_TRUNK_ENDPOINTS", 4)
    zone.records = {(NAME, "A"): four(9)}
    assert places(resolver) == (four(4), True)
