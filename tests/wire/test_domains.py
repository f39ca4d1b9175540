"""Two of our servers, with a domain each, and a name server between them (RFC 3263)."""

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.baresip import Baresip
from tests.support.certificates import Certificates
from tests.support.dns_server import NameServer
from tests.support.phone_calls import part, talk_and_hear
from tests.support.pjsua import Pjsua
from tests.support.programs import free_port
from tests.support.server import Server

HERE, THERE = "example.test", "example.other"


def zone(port: int, *, transports: str = "udp", more: str = "") -> str:
    """A domain with its server at a port of this machine."""
    kinds = {
        "udp": ("SIP+D2U", "_sip._udp"),
        "tcp": ("SIP+D2T", "_sip._tcp"),
        "tls": ("SIPS+D2T", "_sips._tcp"),
    }
    records = [
        line
        for service, prefix in map(kinds.__getitem__, transports.split())
        for line in (
            f'@ NAPTR 10 10 "s" "{service}" "" {prefix}',
            f"{prefix} SRV 10 10 {port} sip",
        )
    ]
    return "\n".join([*records, "sip A 127.0.0.1", more])


class Pair:
    """Two servers that find each other by name."""

    def __init__(self, here: Server, there: Server) -> None:
        self.here, self.there = here, there

    def know(self, names: NameServer) -> None:
        """Start both, with that name server."""
        host, port = names.address
        for server in (self.here, self.there):
            server.flags += ("-sip.dns", f"{host}:{port}", "-sip.calls_to_outside", "on")
            server.start()


@pytest.fixture
def pair(tmp_path: Path, database: Path) -> Iterator[Pair]:
    here, there = Server(tmp_path / "here"), Server(tmp_path / "there")
    there.domain = THERE
    shutil.copy(database, here.database)
    there.has_users("bob", "carol")
    yield Pair(here, there)
    here.close()
    there.close()


def phones(pair: Pair, phone: Callable, caller: type, callee: type) -> tuple:
    """Alice here and Bob there, registered each with their own server."""
    alice, bob = phone(caller, "alice", pair.here), phone(callee, "bob", pair.there)
    alice.registers()
    bob.registers()
    return alice, bob


@pytest.mark.parametrize(
    ("caller", "callee", "transport"), [(Baresip, Pjsua, "udp"), (Pjsua, Baresip, "tcp")]
)
def test_two_servers_call_each_other_by_domain(pair, phone, caller, callee, transport: str):
    """RFC 3263 §4: NAPTR, SRV, A; the callee hangs up along both Record-Routes."""
    zones = {
        HERE: zone(pair.here.port, transports=transport),
        THERE: zone(pair.there.port, transports=transport),
    }
    with NameServer(zones) as names:
        pair.know(names)
        alice, bob = phones(pair, phone, caller, callee)
        for one, other in ((alice, bob), (bob, alice)):
            talk_and_hear(one, other)
            other.holds()
            other.hears_nothing()
            other.resumes()
            other.hears()
            other.hangs_up()
            one.call_ends(other)
            other.call_ends(one)
    assert {kind for _, kind, _ in names.asked} >= {"NAPTR", "SRV", "A"}


def test_two_servers_prove_their_domains_over_tls(pair, phone, tmp_path: Path):
    """RFC 5922: each has a certificate for its domain, not for the host of its SRV record."""
    certificates = Certificates(tmp_path)
    for server in (pair.here, pair.there):
        flags = certificates.flags(server.domain)
        server.flags += (*flags, "-tls.ca", str(certificates.ca), "-log.level", "debug")
    zones = {
        server.domain: zone(server.tls_port, transports="tls") for server in (pair.here, pair.there)
    }
    with NameServer(zones) as names:
        pair.know(names)
        alice, bob = phones(pair, phone, Baresip, Pjsua)
        for one, other in ((alice, bob), (bob, alice)):
            talk_and_hear(one, other)
            part(one, other)
        wrong, key = certificates.issue("other.example")
        (tmp_path / f"{THERE}.pem").write_bytes(wrong.read_bytes())
        (tmp_path / f"{THERE}.key").write_bytes(key.read_bytes())
        pair.there.restart()
        bob.registers()
        alice.dials(bob)
        assert alice.call_ends(bob).status == 500
    assert f"the certificate is not for {THERE}" in pair.here.log.read_text()


def test_a_server_that_is_gone_is_passed_over(pair, phone):
    """RFC 3263 §4.3: the next SRV is tried at once when no process listens."""
    dead = free_port(socket.SOCK_DGRAM)
    more = f"_sip._udp SRV 1 1 {dead} sip"
    with NameServer({THERE: zone(pair.there.port, more=more)}) as names:
        pair.know(names)
        alice, bob = phones(pair, phone, Pjsua, Pjsua)
        talk_and_hear(alice, bob)
        bob.hangs_up()
        alice.call_ends(bob)


def test_a_call_outlives_both_servers(pair, phone):
    """RFC 3261 §16.6, step 4: what goes on is in the phones' routes alone."""
    with NameServer({THERE: zone(pair.there.port)}) as names:
        pair.know(names)
        alice, bob = phones(pair, phone, Pjsua, Baresip)
        talk_and_hear(alice, bob)
        pair.here.restart()
        pair.there.restart()
        bob.hangs_up()
        alice.call_ends(bob)


def test_a_dead_dns_server_delays_only_the_call_that_needs_it(pair, phone):
    """RFC 3263 §4: a call to a local user is not affected."""
    with NameServer({THERE: zone(pair.there.port)}) as names:
        names.is_dead = True
        pair.know(names)
        alice, _ = phones(pair, phone, Pjsua, Pjsua)
        carol, dave = (phone(Pjsua, user, pair.here) for user in ("carol", "bob"))
        carol.registers()
        dave.registers()
        alice.dials(f"sip:bob@{THERE}")
        talk_and_hear(carol, dave)
        alice.never_notices("ringing")
        dave.hangs_up()
        alice.call_ends(status=500)


def test_a_stranger_is_let_out_by_neither(pair, phone):
    """RFC 3261 §16.3, step 6: a user with an account there can call, another cannot."""
    with NameServer({THERE: zone(pair.there.port)}) as names:
        pair.know(names)
        mallory = phone(Pjsua, "alice", pair.here, "guessed")
        mallory.dials(f"sip:bob@{THERE}")
        mallory.call_ends(status=407)
    assert names.asked == []
