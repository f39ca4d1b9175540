"""Browsers: WebSocket clients, which listen nowhere (RFC 7118)."""

import pytest

from sip.message.headers import parse_credentials, parse_name_addr
from tests.support.fake_transport import MemoryCarrier
from tests.support.forwarding import calls, exchanged, talks
from tests.support.world import REALM, Phone, TcpPhone, World


class Browser(TcpPhone):
    """A browser, which names itself by a host that nothing can resolve (RFC 7118 §8.1)."""

    def __init__(self, world: World, name: str, number: int, transport: str = "WSS") -> None:
        self.transport = transport
        carriers = world.server.transports.carriers
        if transport not in carriers:
            carriers[transport] = MemoryCarrier(world, 7000, transport)
        self._carrier = carriers[transport]
        super().__init__(world, name, (f"198.51.100.{number}", 40_000 + number), 443)
        self.listens_at = None
        self.sent_by = f"df7jal23ls{number}.invalid"
        self.contact = f"<sip:{name}@{self.sent_by};transport=ws>"
        world.at[self.address] = self
        if (name, REALM) not in world.users.accounts:
            world.users.add(name, "secret")

    @property
    def carrier(self) -> MemoryCarrier:
        return self._carrier


@pytest.fixture
def alice(world: World) -> Browser:
    """A registered browser."""
    alice = Browser(world, "alice", 201)
    assert alice.registers().status == 200
    return alice


@pytest.fixture
def bob(world: World) -> Phone:
    return world.phone("bob")


@pytest.mark.parametrize("transport", ["WS", "WSS"])
def test_a_browser_calls_a_phone_and_is_called_back(world: World, bob: Phone, transport: str):
    """RFC 7118 §5.1, §5.2: WSS in Via, and ws in a URI for both."""
    alice = Browser(world, "alice", 201, transport)
    assert alice.registers().status == 200
    call = talks((alice, bob))
    vias = [via.partition(" ")[0] for via in call.received.values("via")]
    assert vias == ["SIP/2.0/UDP", f"SIP/2.0/{transport}"]
    nearer, farther = (
        parse_name_addr(value).sip_uri for value in call.received.values("record-route")
    )
    assert (nearer.param("transport"), farther.param("transport")) == (None, "ws")
    exchanged(bob, "BYE", call.there, alice)
    call = talks((bob, alice))
    assert call.received.via.transport == transport
    exchanged(alice, "INFO", call.there, bob)
    exchanged(bob, "BYE", call.here, alice)
    world.passes(40.0)
    assert world.is_quiet
    assert not world.lost


def test_two_browsers_talk(world: World, alice: Browser):
    carol = Browser(world, "carol", 202)
    assert carol.registers().status == 200
    call = talks((alice, carol))
    exchanged(carol, "BYE", call.there, alice)


def test_its_binding_ends_with_its_socket(world: World, alice: Browser, bob: Phone):
    """RFC 5626 §4.2.2: its Contact leads nowhere, so a call fails at once."""
    alice.hangs_up()
    world.passes(0.1)
    assert len(world.server.location) == 1  # Bob's
    bob.sends("INVITE", alice.aor)
    assert bob.gets(480)
    assert not world.lost


def test_a_new_socket_replaces_the_old_binding(world: World, alice: Browser, bob: Phone):
    """A page that is loaded again: the old socket may still look open."""
    instance = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>";reg-id=1'
    alice.registers(alice.contact + instance)
    alice.connects()
    alice.contact = f"<sip:other@x{alice.sent_by};transport=ws>"
    answer = alice.registers(alice.contact + instance)
    assert len(answer.values("contact")) == 1
    call = calls((bob, alice))
    assert call.received.uri.user == "other"


def test_md5_is_its_last_challenge(world: World, bob: Phone):
    """The libraries of browsers know MD5 alone, and answer the last challenge."""
    algorithms = {}
    for phone in (Browser(world, "alice", 201), bob):
        phone.transmits(phone.request("REGISTER", f"sip:{REALM}", to=f"<{phone.aor}>"))
        values = phone.gets(401).fields("www-authenticate")
        algorithms[phone] = [parse_credentials(value).params["algorithm"] for value in values]
    assert list(algorithms.values()) == [["SHA-256", "MD5"], ["MD5", "SHA-256"]]


def test_a_ping_goes_along_its_socket(world: World, alice: Browser):
    """RFC 7118 §6: before a reverse proxy ends it after a minute of silence."""
    world.passes(26.0)
    assert world.pings == [alice.address]


def test_no_request_opens_a_websocket():
    """RFC 7118 §5: only clients open them."""
    world = World(settings={"sip_calls_to_outside": True})
    bob = world.phone("bob")
    bob.sends("INVITE", "sip:x@198.51.100.7;transport=ws")
    assert bob.gets(500)
