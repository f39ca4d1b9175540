"""The next hops of a URI (RFC 3263); names are looked up in a zone of the test's own."""

from collections import Counter
from fractions import Fraction
from itertools import permutations

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.message.uri import SipUri, is_address, parse_uri
from sip.transport.dns import cache as answers
from sip.transport.dns.hosts_file import HostsFile
from sip.transport.dns.resolver import (
    Hop,
    NoRoute,
    Resolver,
    in_order,
)
from tests.support.fake_dns import FakeDns

NAME = "example.com"


@pytest.fixture
def zone() -> FakeDns:
    return FakeDns()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def resolver(zone: FakeDns, clock: Clock) -> Resolver:
    return Resolver(zone, clock, lambda is_ipv6: True, draw=lambda most: most)


def sip(text: str) -> SipUri:
    uri = parse_uri(text)
    assert isinstance(uri, SipUri)
    return uri


def hops(resolver: Resolver, uri: str) -> list[str]:
    """As text: one line a hop."""
    return [f"{transport} {host} {port}" for transport, (host, port), _ in resolver.hops(sip(uri))]


# Addresses


@pytest.mark.parametrize(
    ("uri", "hop"),
    [
        ("sip:bob@192.0.2.8", "UDP 192.0.2.8 5060"),
        ("sip:bob@192.0.2.8:5070", "UDP 192.0.2.8 5070"),
        ("sip:bob@192.0.2.8;transport=tcp", "TCP 192.0.2.8 5060"),
        ("sip:bob@[2001:DB8::0:8]:5070;transport=UDP", "UDP 2001:db8::8 5070"),
        ("sip:bob@example.com;maddr=192.0.2.9", "UDP 192.0.2.9 5060"),
        ("sip:bob@192.0.2.8:5070;maddr=192.0.2.9;transport=TCP", "TCP 192.0.2.9 5070"),
        ("sip:bob@example.com;maddr=[2001:db8::9]", "UDP 2001:db8::9 5060"),
    ],
)
def test_an_address_needs_no_look_up(resolver: Resolver, zone: FakeDns, uri: str, hop: str):
    """RFC 3263 §4.2; §4: a maddr stands for the host."""
    assert resolver.is_resolved(sip(uri))
    assert hops(resolver, uri) == [hop]
    assert zone.asked == []


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("sips:bob@192.0.2.8", "TLS"),
        ("sip:bob@192.0.2.8;transport=sctp", "sctp"),
        ("sip:bob@192.0.2.8;transport=", "transport"),
        ("sip:bob@192.0.2.256", "address"),
        ("sip:bob@1.2.3", "address"),
        ("sip:bob@0x7f000001", "neither"),
        ("sip:bob@192.0.2.8;maddr=%20", "maddr"),
        ("sip:bob@0.0.0.0", "not the address of a host"),
        ("sip:bob@224.0.1.75", "not the address of a host"),
        ("sip:bob@255.255.255.255", "not the address of a host"),
        ("sip:bob@[ff02::1]", "not the address of a host"),
        ("sip:bob@[::]", "not the address of a host"),
        ("sip:bob@nobody.example.com", "has no address"),
    ],
)
def test_no_route_has_a_reason(resolver: Resolver, uri: str, why: str):
    """The text is for the log."""
    with pytest.raises(NoRoute, match=why):
        resolver.hops(sip(uri))


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("192.0.2.1", True),
        ("::1", True),
        ("a.example", False),
        ("3com.example", False),
        ("", False),
    ],
)
def test_a_host_is_an_address_or_a_name(host: str, is_one: bool):
    """Names that need no question to the DNS."""
    assert is_address(host) is is_one


# Names: which records are asked for, and what follows from them

UDP_SRV, TCP_SRV = f"_sip._udp.{NAME}", f"_sip._tcp.{NAME}"
ADDRESSES = {(NAME, "A"): ["192.0.2.1", "192.0.2.2"], (NAME, "AAAA"): ["2001:db8::1"]}
FARM = {
    ("a.net", "A"): ["192.0.2.10"],
    ("b.net", "A"): ["192.0.2.20", "192.0.2.21"],
    ("c.net", "AAAA"): ["2001:db8::c"],
}
SRV = {
    (UDP_SRV, "SRV"): [(20, 0, 5062, "b.net"), (10, 0, 5061, "a.net")],
    (TCP_SRV, "SRV"): [(10, 0, 5063, "c.net")],
}
ALL_UDP = ["UDP 192.0.2.10 5061", "UDP 192.0.2.20 5062", "UDP 192.0.2.21 5062"]
ALL_TCP = ["TCP 2001:db8::c 5063"]
BOTH = {(NAME, "A"): ["192.0.2.1"]}


@pytest.mark.parametrize(
    ("records", "uri", "expected"),
    [
        pytest.param(
            ADDRESSES,
            f"sip:{NAME}",
            ["UDP 192.0.2.1 5060", "UDP 192.0.2.2 5060", "UDP 2001:db8::1 5060"],
            id="without SRV the domain is a host, and its addresses are all tried",
        ),
        pytest.param(
            ADDRESSES | SRV | FARM,
            f"sip:{NAME}:5070",
            ["UDP 192.0.2.1 5070", "UDP 192.0.2.2 5070", "UDP 2001:db8::1 5070"],
            id="a port asks for addresses alone",
        ),
        pytest.param(
            ADDRESSES | SRV | FARM,
            f"sip:{NAME}:5070;transport=tcp",
            ["TCP 192.0.2.1 5070", "TCP 192.0.2.2 5070", "TCP 2001:db8::1 5070"],
            id="a port and a transport",
        ),
        pytest.param(
            ADDRESSES | SRV | FARM,
            f"sip:{NAME}",
            ALL_UDP + ALL_TCP,
            id="SRV of UDP by priority, then that of TCP",
        ),
        pytest.param(
            ADDRESSES | SRV | FARM,
            f"sip:{NAME};transport=tcp",
            ALL_TCP,
            id="the SRV of a transport",
        ),
        pytest.param(
            ADDRESSES | FARM | {(UDP_SRV, "SRV"): SRV[UDP_SRV, "SRV"]},
            f"sip:{NAME};transport=tcp",
            ["TCP 192.0.2.1 5060", "TCP 192.0.2.2 5060", "TCP 2001:db8::1 5060"],
            id="a transport without SRV of its own",
        ),
        pytest.param(
            SRV | FARM | {(NAME, "NAPTR"): [(20, 1, "S", "SIP+D2U", UDP_SRV),
                                            (10, 9, "S", "SIP+D2T", TCP_SRV)]},
            f"sip:{NAME}",
            ALL_TCP + ALL_UDP,
            id="NAPTR by order",
        ),
        pytest.param(
            SRV | FARM | {(NAME, "NAPTR"): [(10, 9, "S", "SIP+D2U", UDP_SRV),
                                            (10, 1, "S", "SIP+D2T", TCP_SRV)]},
            f"sip:{NAME}",
            ALL_TCP + ALL_UDP,
            id="then by preference",
        ),
        pytest.param(
            FARM | {(NAME, "NAPTR"): [(10, 1, "S", "SIPS+D2T", "_sips._tcp.x"),
                                      (20, 1, "S", "SIP+D2T", "Elsewhere.NET")],
                    ("elsewhere.net", "SRV"): [(1, 1, 5065, "a.net")]},
            f"sip:{NAME}",
            ["TCP 192.0.2.10 5065"],
            id="NAPTR may lead to any name, and TLS is passed over",
        ),
        pytest.param(
            SRV | FARM | {(NAME, "NAPTR"): [(10, 1, "S", "SIPS+D2T", "_sips._tcp.x"),
                                            (10, 2, "U", "E2U+SIP", "."),
                                            (10, 3, "S", "SIP+D2U", ".")]},
            f"sip:{NAME}",
            ALL_UDP + ALL_TCP,
            id="NAPTR without anything that we speak",
        ),
        pytest.param(
            ADDRESSES | {(UDP_SRV, "SRV"): [(0, 0, 0, ".")]},
            f"sip:{NAME}",
            ["TCP 192.0.2.1 5060", "TCP 192.0.2.2 5060", "TCP 2001:db8::1 5060"],
            id="a service that is said not to be there",
        ),
        pytest.param(
            FARM | SRV | {(UDP_SRV, "SRV"): [(0, 0, 0, ".")]},
            f"sip:{NAME}",
            ALL_TCP,
            id="a service that is said not to be there, and another that is",
        ),
        pytest.param(
            ADDRESSES | {(NAME, "NAPTR"): [(10, 1, "S", "SIP+D2T", TCP_SRV)]},
            f"sip:{NAME}",
            ["TCP 192.0.2.1 5060", "TCP 192.0.2.2 5060", "TCP 2001:db8::1 5060"],
            id="the transport that NAPTR offers, without SRV",
        ),
        pytest.param(
            BOTH | {(UDP_SRV, "SRV"): [(1, 0, 5061, NAME), (2, 0, 5061, NAME)]},
            f"sip:{NAME}",
            ["UDP 192.0.2.1 5061"],
            id="no way twice",
        ),
        pytest.param(
            {(NAME, "A"): ["0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1"],
             (NAME, "AAAA"): ["::", "ff02::1", "2001:db8::1"]},
            f"sip:{NAME}",
            ["UDP 192.0.2.1 5060", "UDP 2001:db8::1 5060"],
            id="addresses that no host can have",
        ),
        pytest.param(
            ADDRESSES, "sip:Example.COM.:5060", [
                "UDP 192.0.2.1 5060", "UDP 192.0.2.2 5060", "UDP 2001:db8::1 5060"
            ], id="a name has no case, and perhaps a dot at its end",
        ),
        pytest.param(
            ADDRESSES, f"sip:x.example;maddr={NAME}", [
                "UDP 192.0.2.1 5060", "UDP 192.0.2.2 5060", "UDP 2001:db8::1 5060"
            ], id="a maddr may be a name",
        ),
    ],
)  # fmt: skip
def test_the_ways_to_a_name(
    resolver: Resolver, zone: FakeDns, records, uri: str, expected: list[str]
):
    """RFC 3263 §4.1, §4.2."""
    zone.records = records
    assert hops(resolver, uri) == expected


def test_only_what_may_be_needed_is_asked_for(resolver: Resolver, zone: FakeDns):
    """RFC 3263 §4.1, §4.2."""
    zone.records = dict(ADDRESSES)
    hops(resolver, f"sip:{NAME}:5070")
    assert sorted(zone.asked) == [(NAME, "A"), (NAME, "AAAA")]
    zone.asked.clear()
    hops(resolver, f"sip:{NAME};transport=tcp")
    assert zone.asked == [(TCP_SRV, "SRV")]


# Weights


def shares(rows: list[tuple[int, int, int, str]]) -> dict[tuple[str, ...], Fraction]:
    """How often each order comes out, over all that can be drawn."""
    found: Counter[tuple[str, ...]] = Counter()

    def play(draws: list[int], part: Fraction) -> None:
        taken = iter(draws)
        wants: list[int] = []

        def draw(most: int) -> int:
            number = next(taken, None)
            if number is None:
                wants.append(most)
                raise LookupError
            return number

        try:
            order = in_order(rows, draw)
        except LookupError:
            for number in range(wants[0] + 1):
                play([*draws, number], part / (wants[0] + 1))
        else:
            found[tuple(row[3] for row in order)] += part

    play([], Fraction(1))
    return found


def test_each_gets_its_share_by_weight():
    """RFC 2782: within one priority; a weight of 0 has a small chance."""
    rows = [(1, 3, 5060, "three"), (1, 1, 5060, "one"), (1, 0, 5060, "none")]
    first: Counter[str] = Counter()
    for order, part in shares(rows).items():
        first[order[0]] += part
    # The running sums are 0, 1 and 4; a number from 0 to 4 is drawn.
    assert first == {"none": Fraction(1, 5), "one": Fraction(1, 5), "three": Fraction(3, 5)}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 65_535), st.just(5060), st.sampled_from("abcdef")
        ),
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_all_are_tried_the_lower_priority_number_first(rows, chance):
    """RFC 2782: for every draw."""
    order = in_order(rows, lambda most: chance.randint(0, most))
    assert sorted(order) == sorted(rows)
    assert [row[0] for row in order] == sorted(row[0] for row in rows)


def test_the_order_of_the_answer_does_not_matter():
    """RFC 1035 §7.3: name servers turn it round."""
    rows = [(1, 0, 1, "a"), (1, 5, 2, "b"), (1, 9, 3, "c")]
    assert len({tuple(in_order(list(p), lambda most: most // 2)) for p in permutations(rows)}) == 1


# The cache


def test_an_answer_is_kept_as_long_as_it_is_true(resolver: Resolver, zone: FakeDns, clock: Clock):
    """RFC 1035 §3.2.1."""
    zone.records, zone.seconds = dict(ADDRESSES), 30.0
    hops(resolver, f"sip:{NAME}")
    zone.asked.clear()
    clock.now += 29.9
    hops(resolver, f"sip:{NAME}")
    assert zone.asked == []
    clock.now += 0.2
    hops(resolver, f"sip:{NAME}")
    assert zone.asked


def test_an_answer_that_may_not_be_kept_serves_once(resolver: Resolver, zone: FakeDns):
    """RFC 1035 §3.2.1: a TTL of zero."""
    zone.records, zone.seconds = dict(ADDRESSES), 0.0
    for _ in range(2):
        zone.asked.clear()
        assert hops(resolver, f"sip:{NAME}:5060")
        assert sorted(zone.asked) == [(NAME, "A"), (NAME, "AAAA")]


def test_nothing_is_kept_a_few_minutes_at_most(resolver: Resolver, zone: FakeDns, clock: Clock):
    """RFC 2308 §5: a zone that is being set up is seen soon."""
    zone.seconds = 1e9
    for _ in range(2):
        with pytest.raises(NoRoute):
            hops(resolver, f"sip:{NAME}:5060")
    assert len(zone.asked) == 2
    clock.now += answers.MAX_NEGATIVE_TTL + 1
    zone.records = dict(ADDRESSES)
    assert hops(resolver, f"sip:{NAME}:5060")
    clock.now += answers.MAX_TTL - 1
    zone.asked.clear()
    assert hops(resolver, f"sip:{NAME}:5060")
    assert zone.asked == []


def test_a_dead_name_server_costs_the_next_call_nothing(resolver: Resolver, zone: FakeDns, clock):
    """But it is asked again soon."""
    zone.is_dead = True
    for _ in range(2):
        with pytest.raises(NoRoute, match="no name server answers"):
            hops(resolver, f"sip:{NAME}:5060")
    assert len(zone.asked) == 2
    zone.is_dead, zone.records = False, dict(ADDRESSES)
    clock.now += answers.NO_ANSWER_TTL
    assert hops(resolver, f"sip:{NAME}:5060")


def test_a_router_that_knows_addresses_alone_will_do(zone: FakeDns, clock: Clock):
    """Some answer no question about NAPTR and SRV."""

    def ask(name: str, kind: str):
        zone.is_dead = kind in ("NAPTR", "SRV", "AAAA")
        return zone(name, kind)

    zone.records = dict(ADDRESSES)
    assert hops(Resolver(ask, clock, lambda is_ipv6: True), f"sip:{NAME}") == [
        "UDP 192.0.2.1 5060",
        "UDP 192.0.2.2 5060",
    ]


def test_simultaneous_equal_questions_are_asked_once(resolver: Resolver, zone: FakeDns):
    """A slow name server is not asked for each call of a burst."""
    zone.records = dict(ADDRESSES)
    zone.waits()
    found: list[list[Hop]] = []
    for _ in range(50):
        gevent.spawn(lambda: found.append(resolver.hops(sip(f"sip:{NAME}:5060"))))
    gevent.sleep(0)
    zone.answers()
    assert len(found) == 50
    assert sorted(zone.asked) == [(NAME, "A"), (NAME, "AAAA")]


def test_an_error_while_asking_ends_every_wait(resolver: Resolver, zone: FakeDns):
    zone.fails = RuntimeError("a fault of ours")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            resolver.hops(sip(f"sip:{NAME};transport=udp"))
    zone.fails, zone.records = None, dict(ADDRESSES)
    assert hops(resolver, f"sip:{NAME};transport=udp")


# The hosts file


def test_the_hosts_file_comes_first_and_is_read_when_it_changes(
    zone: FakeDns, clock: Clock, tmp_path
):
    """As for every other program here; it has addresses, so no services are asked for."""
    file = tmp_path / "hosts"
    file.write_text(
        "# ours\n192.0.2.7\tPBX.lan pbx # the old one\n2001:DB8::7 pbx.lan\n"
        "nonsense x\nfe80::1%eth0 y\n"
    )
    resolver = Resolver(zone, clock, lambda is_ipv6: True, HostsFile(file).addresses)
    assert hops(resolver, "sip:pbx.lan") == ["UDP 192.0.2.7 5060", "UDP 2001:db8::7 5060"]
    assert hops(resolver, "sip:PBX:5070;transport=tcp") == ["TCP 192.0.2.7 5070"]
    assert zone.asked == []
    file.write_text("192.0.2.70 pbx.lan\n")
    assert hops(resolver, "sip:pbx.lan") == ["UDP 192.0.2.70 5060"]
    file.unlink()
    with pytest.raises(NoRoute):
        hops(resolver, "sip:pbx.lan")
    assert zone.asked


@pytest.mark.parametrize("name", ["localhost", "phone.localhost"])
def test_localhost_never_leaves_the_machine(zone: FakeDns, clock: Clock, tmp_path, name: str):
    """RFC 6761 §6.3."""
    resolver = Resolver(zone, clock, lambda is_ipv6: True, HostsFile(tmp_path / "none").addresses)
    assert hops(resolver, f"sip:{name}:5070") == ["UDP 127.0.0.1 5070", "UDP ::1 5070"]
    assert zone.asked == []
