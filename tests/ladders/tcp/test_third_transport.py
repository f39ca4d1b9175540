"""A transport that the server has never heard of: a table entry and a carrier are all it needs.

It is reliable, has connections, and a default port of its own, as TLS and WebSocket do.
"""

import pytest

from sip.core.registrar.nat_keepalive import KeepAlive
from sip.message.headers import parse_name_addr
from sip.transport.flow import Flow, parse_flow
from sip.transport.transport_names import TRANSPORTS, TransportInfo
from tests.support.fake_transport import MemoryCarrier
from tests.support.forwarding import calls, exchanged, talks
from tests.support.world import REALM, Phone, TcpPhone, World

PORT = 5099


@pytest.fixture
def carrier(world: World, monkeypatch) -> MemoryCarrier:
    """The third transport, in memory."""
    monkeypatch.setitem(TRANSPORTS, "TEST", TransportInfo("SIP+D2X", "_sip._test", PORT))
    made = MemoryCarrier(world, 5000, "TEST")
    world.server.transports.add_carrier("TEST", made)
    return made


class ThirdPhone(TcpPhone):
    """A phone on the third transport, which listens at the default port."""

    transport = "TEST"

    def __init__(self, world: World, name: str, number: int, carrier: MemoryCarrier) -> None:
        self._carrier = carrier
        super().__init__(world, name, (f"192.0.2.{number}", 40_000 + number), PORT)
        self.sent_by = self.address[0]  # no port: it listens at the default one
        self.contact = f"<sip:{name}@{self.sent_by};transport=test>"
        world.at[self.address] = self
        if (name, REALM) not in world.users.accounts:
            world.users.add(name, "secret")

    @property
    def carrier(self) -> MemoryCarrier:
        return self._carrier


@pytest.fixture
def alice(world: World, carrier: MemoryCarrier) -> ThirdPhone:
    alice = ThirdPhone(world, "alice", 201, carrier)
    assert alice.registers().status == 200
    return alice


@pytest.fixture
def bob(world: World) -> Phone:
    return world.phone("bob")


def test_it_calls_a_phone_on_udp_and_hangs_up(world: World, alice: ThirdPhone, bob: Phone):
    """Via and Record-Route name each side's own transport (RFC 5658 §4)."""
    call = talks((alice, bob))
    assert [via.partition(" ")[0] for via in call.received.values("via")] == [
        "SIP/2.0/UDP",
        "SIP/2.0/TEST",
    ]
    nearer, farther = (
        parse_name_addr(value).sip_uri for value in call.received.values("record-route")
    )
    assert (nearer.param("transport"), farther.param("transport")) == (None, "test")
    exchanged(alice, "BYE", call.here, bob)
    world.passes(40.0)
    assert world.is_quiet
    assert not world.lost


def test_it_is_called_on_its_connection(world: World, alice: ThirdPhone, bob: Phone):
    numbers = set(alice.carrier.phones)
    call = talks((bob, alice))
    assert call.received.via.transport == "TEST"
    call.ends()
    assert set(alice.carrier.phones) == numbers


def test_a_closed_connection_is_opened_to_its_default_port(alice: ThirdPhone, bob: Phone):
    alice.hangs_up()
    call = calls((bob, alice))
    (number,) = alice.carrier.phones
    assert alice.carrier.is_reachable(Flow("TEST", ("192.0.2.1", 5060), alice.address, number))
    assert alice.listens_at == (alice.address[0], PORT)
    call.is_answered()
    call.ends()


def test_a_phone_that_listens_no_more_is_gone(alice: ThirdPhone, bob: Phone):
    alice.hangs_up(listens=False)
    bob.sends("INVITE", alice.aor)
    assert bob.gets(480)


def test_nothing_is_retransmitted_on_it(world: World, alice: ThirdPhone, bob: Phone):
    """§17.1.1.2: timer A does not run on a reliable transport; timer B does."""
    bob.sends("INVITE", alice.aor)
    alice.gets("INVITE")
    world.passes(31.0)
    assert alice.hears_nothing()
    world.passes(2.0)
    assert bob.gets(408)


def test_a_failure_waits_for_its_ack_without_repeats(world: World, alice: ThirdPhone, bob: Phone):
    """§17.2.1: timer G does not run on a reliable transport; it does on UDP."""
    alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 486)
    world.settle()
    bob.gets("ACK")
    alice.gets(486)
    world.passes(10.0)
    assert alice.hears_nothing()


def test_it_needs_no_nat_keepalive(world: World, alice: ThirdPhone):
    alice.moves_behind_nat("192.168.1.20:5060")
    alice.registers()
    keepalive: KeepAlive = world.server.keepalive
    world.passes(60.0)
    assert not world.pings
    assert not any(flow.transport == "TEST" for flow in keepalive.due(world.now + 60))


def test_a_name_leads_to_it_by_its_service(world: World, alice: ThirdPhone, bob: Phone):
    """RFC 3263 §4.1: a NAPTR record names it, and its SRV record host and port."""
    alice.hangs_up()
    alice.connects()
    alice.contact = "<sip:alice@far.example>"
    alice.listens_at = alice.address[0], 5098
    world.zone.records = {
        ("far.example", "NAPTR"): [(10, 0, "S", "SIP+D2X", "_sip._test.far.example")],
        ("_sip._test.far.example", "SRV"): [(0, 0, 5098, "host.far.example")],
        ("host.far.example", "A"): [alice.address[0]],
    }
    world.at[alice.address] = alice
    alice.registers()
    alice.carrier.phones.clear()
    call = calls((bob, alice))
    assert call.received.via.transport == "TEST"
    assert ("_sip._test.far.example", "SRV") in world.zone.asked


def test_its_flows_are_read_back(alice: ThirdPhone):
    """A binding in the database keeps its flow as text."""
    flow = alice.source
    assert parse_flow(str(flow)) == flow
    assert (flow.is_reliable, flow.is_connection, flow.source_is_verified) == (True, True, True)
    assert not flow.needs_keepalive
