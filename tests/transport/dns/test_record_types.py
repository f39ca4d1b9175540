"""Records that were not asked for, in packets built octet by octet (RFC 1034 §4.3.2, RFC 3597)."""

import struct
import time

import pytest

from sip.transport.dns import client as dns
from sip.transport.dns.client import NameServers, NoAnswer
from tests.support.dns_server import NameServer

A, CNAME, SOA, SRV, NAPTR = 1, 5, 6, 33, 35
IN, CHAOS = 1, 3
ASKED = b"\xc0\x0c"  # the name of the question, which stands behind the head
# HINFO, DNAME, RRSIG, NSEC, HTTPS, TSIG, CAA, one for private use, and a number without a type.
OTHERS = [13, 39, 46, 47, 65, 250, 257, 65_400, 0]
ADDRESS = bytes([192, 0, 2, 9])
# Of any kind it would be wrong: lengths that lead beyond its end, and names that lead in a circle.
SENSELESS = b"\xc0\x0c\xff\x3f\xc0" + bytes(range(200, 256))


def record(
    kind: int, data: bytes, *, name: bytes = ASKED, family: int = IN, ttl: int = 60
) -> bytes:
    return name + struct.pack("!HHIH", kind, family, ttl, len(data)) + data


def answer(question: bytes, *sections: list[bytes]) -> bytes:
    """A DNS response: answers, authorities, additional records."""
    asked = question[: question.index(b"\0", 12) + 5]
    counts = [len(section) for section in (*sections, [], [], [])[:3]]
    head = asked[:2] + b"\x84\x00" + struct.pack("!4H", 1, *counts)
    return head + asked[12:] + b"".join(each for section in sections for each in section)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    """It says what it `forges`, and nothing else."""
    monkeypatch.setattr(dns, "SECONDS_PER_QUESTION", 0.3)
    with NameServer({}) as server:
        server.is_dead = True
        yield server


@pytest.fixture
def ask(server: NameServer) -> NameServers:
    return NameServers([server.address])


@pytest.mark.parametrize("section", range(3))
@pytest.mark.parametrize("kind", OTHERS)
def test_unrequested_records_are_skipped(server, ask, kind: int, section: int):
    """RFC 3597 §3: its octets mean nothing here; before and after the wanted record."""

    def says(question: bytes) -> bytes:
        sections = [[record(A, ADDRESS)], [], []]
        sections[section].insert(0, record(kind, SENSELESS))
        sections[section].append(record(kind, b""))
        return answer(question, *sections)

    server.forges = says
    assert ask("sip.example.net", "A").found == ["192.0.2.9"]


def test_an_address_of_another_class_is_none(server, ask):
    """RFC 3597 §2: what a kind looks like depends on its class."""
    chaos = record(A, ASKED + b"\0\x01", family=CHAOS)
    server.forges = lambda question: answer(question, [chaos, record(A, ADDRESS)])
    assert ask("sip.example.net", "A").found == ["192.0.2.9"]


def test_an_alias_leads_on_between_them(server, ask):
    """RFC 6672 §3.1: a DNAME comes with the CNAME that follows from it, each signed (RFC 4035)."""
    host = b"\x04host\xc0\x10"
    chain = [record(39, host), record(46, SENSELESS), record(CNAME, host, ttl=20)]
    found = [record(46, SENSELESS, name=host), record(A, ADDRESS, name=host)]
    server.forges = lambda question: answer(question, chain + found)
    said = ask("sip.example.net", "A")
    assert (said.found, said.seconds) == (["192.0.2.9"], 20)


def test_a_name_may_point_into_a_record_that_is_not_read(server, ask):
    """RFC 1035 §4.1.4: at any name before; so all octets stay where they are."""

    def says(question: bytes) -> bytes:
        signature = record(46, bytes(18) + b"\x04host\x07example\x03net\0")
        within = len(answer(question)) + len(record(46, bytes(18)))
        host = struct.pack("!H", 0xC000 | within)
        return answer(question, [signature, record(SRV, bytes([0, 1, 0, 2, 19, 196]) + host)])

    server.forges = says
    assert ask("_sip._udp.example.net", "SRV").found == [(1, 2, 5060, "host.example.net")]


def test_nothing_is_nothing_although_it_is_proven(server, ask):
    """RFC 2308 §5: the SOA says for how long, even beside NSEC and RRSIG."""
    soa = record(SOA, ASKED * 2 + struct.pack("!5I", 1, 2, 3, 4, 20))
    proof = [record(47, SENSELESS), record(46, SENSELESS), soa, record(50, SENSELESS)]
    server.forges = lambda question: answer(question, [], proof)
    said = ask("sip.example.net", "A")
    assert (list(said.found), said.seconds) == ([], 20)


def test_a_service_stands_among_others(server, ask):
    """RFC 3403 §4.1."""
    naptr = struct.pack("!HH", 10, 20) + b"\x01s\x07SIP+D2U\x00" + b"\x04_sip\x04_udp" + ASKED
    server.forges = lambda question: answer(
        question, [record(65, SENSELESS), record(NAPTR, naptr), record(257, SENSELESS)]
    )
    assert ask("example.net", "NAPTR").found == [(10, 20, "S", "SIP+D2U", "_sip._udp.example.net")]


def test_skipped_records_take_little_time(server, ask):
    """Not even where its data would be names of many labels."""
    long_name = b"\x01a" * 126 + b"\0"
    others = [record(2, long_name)] * 14

    def says(question: bytes) -> bytes:
        return answer(question, [record(A, ADDRESS)], others, [])

    server.forges = says
    began = time.process_time()
    assert ask("sip.example.net", "A").found == ["192.0.2.9"]
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        record(A, ADDRESS)[:-2],
        record(A, ADDRESS) + record(65, bytes(10))[:-5],
        record(A, ADDRESS) + b"\xc0",
        record(A, b"\1\2\3"),
    ],
)
def test_an_answer_that_ends_too_soon_is_none(server, ask, wrong: bytes):
    """The records after the cut are unknown."""
    server.forges = lambda question: answer(question, [wrong, b""])
    with pytest.raises(NoAnswer):
        ask("sip.example.net", "A")
