"""Questions to a name server on loopback (RFC 1035, 2308, 2782, 3403)."""

import struct
import time

import pytest

from sip.transport.dns import client as dns
from sip.transport.dns.client import NameServers, NoAnswer
from tests.support.dns_server import NameServer

ZONE = """
sip     300 A     192.0.2.1
sip     300 A     192.0.2.2
sip         AAAA  2001:db8::1
alias    30 CNAME sip
@           NAPTR 10 20 "s" "sip+d2t" "" _sip._tcp
_sip._udp   SRV   10 60 5070 sip
_sip._udp   SRV   20  0 5060 .
"""


@pytest.fixture
def server():
    with NameServer({"example.net": ZONE}) as server:
        yield server


@pytest.fixture
def ask(server: NameServer) -> NameServers:
    return NameServers([server.address])


def test_addresses_are_texts_and_live_as_long_as_they_say(ask: NameServers):
    """RFC 1035 §3.2.1."""
    four = ask("sip.example.net", "A")
    assert (sorted(four.found), four.seconds) == (["192.0.2.1", "192.0.2.2"], 300)
    assert ask("sip.example.net", "AAAA").found == ["2001:db8::1"]


def test_services_are_numbers_and_names(ask: NameServers):
    """RFC 2782; RFC 3403 §4."""
    assert sorted(ask("_sip._udp.example.net", "SRV").found) == [
        (10, 60, 5070, "sip.example.net"),
        (20, 0, 5060, "."),
    ]
    (naptr,) = ask("example.net", "NAPTR").found
    assert naptr == (10, 20, "S", "SIP+D2T", "_sip._tcp.example.net")


def test_an_alias_lives_no_longer_than_its_shortest_part(ask: NameServers):
    """RFC 1034 §3.6.2."""
    answer = ask("alias.example.net", "A")
    assert (sorted(answer.found), answer.seconds) == (["192.0.2.1", "192.0.2.2"], 30)


@pytest.mark.parametrize("name", ["nobody.example.net", "example.net"])
def test_nothing_is_true_for_a_while_too(ask: NameServers, name: str):
    """RFC 2308 §5: the SOA of the zone says how long."""
    answer = ask(name, "A")
    assert (list(answer.found), answer.seconds) == ([], 20)


def test_a_truncated_answer_is_asked_again_over_tcp(server, ask: NameServers):
    """RFC 7766 §5."""
    server.truncates = True
    assert len(ask("sip.example.net", "A").found) == 2
    assert [transport for *_, transport in server.asked] == ["UDP", "TCP"]


def test_a_zone_may_have_more_than_we_read():
    """A bound of ours."""
    many = "\n".join(f"sip A 192.0.2.{number}" for number in range(1, 61))
    with NameServer({"example.net": many}) as server:
        assert len(NameServers([server.address])("sip.example.net", "A").found) == dns.MAX_RECORDS


@pytest.mark.parametrize("is_by_tcp", [False, True])
def test_an_answer_that_is_too_large_is_none(monkeypatch, is_by_tcp: bool):
    """Parsing it would block all greenlets."""
    monkeypatch.setattr(dns, "SECONDS_PER_QUESTION", 0.2)
    many = "\n".join(f"sip A 192.0.{number // 250}.{number % 250}" for number in range(300))
    with NameServer({"example.net": many}) as server:
        server.truncates = is_by_tcp
        with pytest.raises(NoAnswer):
            NameServers([server.address])("sip.example.net", "A")
        assert server.asked


@pytest.mark.parametrize("kind", [2, 5, 6, 33, 35])
def test_four_kilobytes_that_take_long_to_read_are_no_answer(server, ask: NameServers, kind: int):
    """RFC 1035 §4.1.4: by pointers, each of many records may name a host of 126 labels."""

    def slow(question: bytes) -> bytes:
        long_name = b"\x01a" * 126 + b"\0"
        lead = {5: b"", 33: bytes(6), 35: bytes(7)}.get(kind, b"")
        head = question[:2] + b"\x84\x00" + question[4:6] + struct.pack("!3H", 180, 0, 0)
        first = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, len(long_name))
        pointer = struct.pack("!H", 0xC000 | len(question) + len(first))
        data = (lead + pointer * 2 + bytes(20)) if kind == 6 else lead + pointer
        record = pointer + struct.pack("!HHIH", kind, 1, 60, len(data)) + data
        return (head + question[12:] + first + long_name + record * 179)[:4096]

    server.forges = slow
    began = time.process_time()
    assert len(ask("sip.example.net", "A").found) == 2
    assert time.process_time() - began < 0.1


def test_a_name_of_many_labels_is_not_read(monkeypatch):
    """A bound of ours: RFC 1035 §2.3.4 has none but the 255 octets."""
    monkeypatch.setattr(dns, "SECONDS_PER_QUESTION", 0.2)
    for labels, count in ((10, 1), (17, 0)):
        name = "a." * labels + "example.net"
        with NameServer({"example.net": f"{name}. A 192.0.2.1"}) as server:
            try:
                assert len(NameServers([server.address])(name, "A").found) == count
            except NoAnswer:
                assert count == 0


@pytest.mark.parametrize(
    "forge",
    [
        lambda question: b"nonsense",
        lambda question: question,
        lambda question: question[:2] + b"nonsense",
        lambda question: bytes([question[0] ^ 1]) + question[1:2] + b"\x84" + question[3:],
        lambda question: question[:2] + b"\x86" + question[3:13] + b"X" + question[14:],
        lambda question: question[:2] + b"\x84" + question[3:13] + b"X" + question[14:],
        lambda question: question[:2] + bytes(5000),
    ],
)
def test_datagrams_that_are_no_answer_are_skipped(server, ask: NameServers, forge):
    """RFC 5452 §9.1: any host may send a datagram to the waiting port."""
    server.forges = forge
    assert len(ask("sip.example.net", "A").found) == 2


def test_a_connection_that_ends_too_soon_has_not_answered(server, ask, monkeypatch):
    monkeypatch.setattr(dns, "SECONDS_PER_QUESTION", 0.2)
    server.truncates = server.hangs_up = True
    with pytest.raises(NoAnswer):
        ask("sip.example.net", "A")


def test_a_name_server_that_is_down_costs_no_time(server, monkeypatch):
    """The system says so, and the next one is asked: an answer is waited for without end here."""
    monkeypatch.setattr(dns, "SECONDS_PER_TRY", 3600)
    monkeypatch.setattr(dns, "SECONDS_PER_QUESTION", 3600)
    with NameServer({"example.net": ZONE}) as down:
        pass
    ask = NameServers([down.address, server.address])
    assert ask("sip.example.net", "AAAA").found == ["2001:db8::1"]


def test_a_failure_holds_on_to_nothing(server, ask, monkeypatch):
    """It is kept for a while: neither the answers that led to it, nor a name of any length."""
    monkeypatch.setattr(dns, "SECONDS_PER_QUESTION", 0.2)
    server.rcode = 2
    with pytest.raises(NoAnswer) as caught:
        ask(".".join(["\u00e9" * 20] * 9), "A")
    assert len(str(caught.value)) <= dns.MAX_REASON
    with pytest.raises(NoAnswer) as caught:
        ask("sip.example.net", "A")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_the_text_of_a_naptr_record_is_cut():
    """RFC 3403 §4.1: its texts may have 255 octets each."""
    long = f'@ NAPTR 10 20 "{"s" * 250}" "{"SIP+D2U" * 30}" "" _sip._udp'
    with NameServer({"example.net": long}) as server:
        ((_, _, flags, service, _),) = NameServers([server.address])("example.net", "NAPTR").found
        assert len(flags) == len(service) == dns.MAX_SERVICE


def test_a_question_has_a_time_limit(server, ask, monkeypatch):
    monkeypatch.setattr(dns, "SECONDS_PER_QUESTION", 0.2)
    server.is_dead = True
    with pytest.raises(NoAnswer, match=r"sip\.example\.net"):
        ask("sip.example.net", "A")
    server.is_dead = False
    assert ask("sip.example.net", "A").found


@pytest.mark.parametrize("rcode", [2, 5])
def test_a_server_that_fails_or_refuses_has_not_answered(server, ask, monkeypatch, rcode: int):
    monkeypatch.setattr(dns, "SECONDS_PER_QUESTION", 0.2)
    server.rcode = rcode
    with pytest.raises(NoAnswer):
        ask("sip.example.net", "A")


def test_the_next_server_is_asked_when_one_is_dead(server, monkeypatch):
    """RFC 1035 §7.2."""
    with NameServer({"example.net": ZONE}) as dead:
        dead.is_dead = True
        monkeypatch.setattr(dns, "SECONDS_PER_TRY", 0.1)
        ask = NameServers([dead.address, server.address])
        assert ask("sip.example.net", "AAAA").found == ["2001:db8::1"]


@pytest.mark.parametrize("name", ["a..example.net", "x" * 64 + ".net", ".".join("a" * 200)])
def test_a_name_that_cannot_be_asked_for_is_no_fault(ask: NameServers, name: str):
    """RFC 1035 §2.3.4: a label has 63 octets at most, a name 255."""
    with pytest.raises(NoAnswer):
        ask(name, "A")


def test_without_a_name_server_there_is_a_reason(monkeypatch, tmp_path):
    monkeypatch.setattr("dns.resolver.Resolver.read_resolv_conf", _no_resolv_conf)
    with pytest.raises(NoAnswer, match="resolv"):
        NameServers()("sip.example.net", "A")


def _no_resolv_conf(self, path):
    import dns.resolver

    raise dns.resolver.NoResolverConfiguration("cannot open /etc/resolv.conf")
