"""Phones and other servers on TLS, and sips: addresses (RFC 3261 §26.2, RFC 5630, RFC 5922)."""

import pytest

from sip.addresses import parse_advertised
from sip.message.headers import parse_name_addr
from tests.support.flows import INSTANCE, gruus
from tests.support.forwarding import calls, exchanged, talks
from tests.support.tls_phone import PORT, SETTINGS, TlsPhone
from tests.support.world import REALM, World, dialog_of_caller

HERE = "192.0.2.1:5061"


@pytest.fixture
def world() -> World:
    return World(settings=SETTINGS)


def on_tls(world: World, name: str, number: int, scheme: str = "sip") -> TlsPhone:
    phone = TlsPhone(world, name, number, scheme=scheme)
    assert phone.registers().status == 200
    return phone


def test_each_side_knows_us_by_its_own_port(world: World):
    """RFC 5658 §5: Via and Record-Route name the port that listens for the transport."""
    alice, bob = on_tls(world, "alice", 201), world.phone("bob")
    call = talks((alice, bob))
    assert call.received.via.sent_by == "192.0.2.1:5060"
    nearer, farther = call.received.values("record-route")
    assert parse_name_addr(nearer).sip_uri.port == 5060
    assert farther.startswith(f"<sip:{HERE};transport=tls;lr;t=")
    exchanged(alice, "BYE", call.here, bob)
    call = talks((bob, alice))
    assert str(call.received.via.sent_by) == HERE
    call.ends()


def test_an_advertised_port_is_not_that_of_tls():
    advertised = parse_advertised("sip.example.com:6060")
    world = World(settings={**SETTINGS, "sip_advertise": advertised})
    alice, bob = on_tls(world, "alice", 201), world.phone("bob")
    call = calls((alice, bob))
    nearer, farther = call.received.values("record-route")
    assert "sip.example.com:6060;" in nearer
    assert "sip.example.com:5061;" in farther


def test_a_phone_on_tls_is_never_called_back(world: World):
    """Its certificate proves no address: only the phone opens another connection."""
    alice, bob = on_tls(world, "alice", 201), world.phone("bob")
    alice.hangs_up()
    bob.sends("INVITE", alice.aor)
    assert bob.gets(480)
    assert alice.carrier.asked == []
    assert not world.server.location.bindings(f"alice@{REALM}")
    alice.connects()
    alice.registers()
    talks((bob, alice)).ends()


def test_a_call_goes_on_along_a_new_connection(world: World):
    alice, bob = on_tls(world, "alice", 201), world.phone("bob")
    call = talks((alice, bob))
    alice.hangs_up()
    alice.connects()
    alice.registers()
    exchanged(bob, "BYE", call.there, alice)
    assert alice.carrier.asked == []


def test_sips_calls_a_phone_that_registered_by_sips(world: World):
    """RFC 5630 §5.3; the Record-Route is sips: too (§16.6, step 4)."""
    alice, bob = on_tls(world, "alice", 201, "sips"), on_tls(world, "bob", 202, "sips")
    call = talks((alice, bob))
    assert call.received.uri_text == "sips:bob@192.0.2.202"
    assert call.received.values("record-route")[0].startswith(f"<sips:{HERE};lr;t=")
    exchanged(alice, "INFO", call.here, bob)
    call.ends()


def test_sips_calls_no_other_phone(world: World):
    """RFC 5630 §5.3: 480 with the warning 380, for a sip: Contact on TLS or elsewhere.

    Also for the GRUUs of such a phone.
    """
    alice = on_tls(world, "alice", 201, "sips")
    on_tls(world, "bob", 202)
    carol = world.phone("carol")
    contact = f'{carol.contact};+sip.instance="{INSTANCE}"'
    answer = carol.registers(contact, headers=("Supported: gruu",))
    addresses = [f"sips:bob@{REALM}", f"sips:carol@{REALM}"]
    for uri in (*addresses, *(gruu.replace("sip:", "sips:") for gruu in gruus(answer))):
        alice.sends("INVITE", uri)
        refusal = alice.gets(480)
        assert [w for w in refusal.values("warning") if w.startswith("380 ")]
    alice.sends("INVITE", f"sips:dave@{REALM}")
    assert not [w for w in alice.gets(404).values("warning") if w.startswith("380 ")]


def test_strangers_do_not_learn_which_phones_are_on_tls(world: World):
    stranger = TlsPhone(world, "eve", 209, scheme="sips")
    world.phone("carol")
    for name in ("carol", "nobody"):
        stranger.sends("INVITE", f"sips:{name}@{REALM}", from_uri="sips:eve@elsewhere.org")
        assert stranger.gets(480).value("warning").startswith("380 ")


def test_sip_calls_a_sips_phone_over_tls(world: World):
    """RFC 5630 §5.3: with a sip: Request-URI."""
    bob, alice = on_tls(world, "bob", 202, "sips"), world.phone("alice")
    alice.sends("INVITE", f"sip:bob@{REALM}")
    assert bob.gets("INVITE").uri_text == "sip:bob@192.0.2.202"


def test_sips_needs_tls(world: World):
    """RFC 5630 §5.2 and §5.3: 400; without a certificate it is 416."""
    alice, carol = on_tls(world, "alice", 201), world.phone("carol")
    carol.sends("INVITE", f"sips:alice@{REALM}")
    carol.gets(400)
    carol.transmits(carol.request("REGISTER", f"sips:{REALM}", to=f"<{carol.aor}>"))
    carol.gets(400)
    assert alice.registers("<sips:alice@192.0.2.201>").status == 400
    plain = World().phone("carol")
    plain.sends("INVITE", f"sips:alice@{REALM}")
    plain.gets(416)


def test_a_sips_contact_replaces_the_sip_one(world: World):
    """RFC 5630 §5.1.1.1: both are one phone."""
    alice = TlsPhone(world, "alice", 201)
    alice.registers("<sip:alice@192.0.2.201>")
    alice.scheme = "sips"
    answer = alice.registers("<sips:alice@192.0.2.201>")
    assert [value.partition(">")[0] for value in answer.values("contact")] == [
        "<sips:alice@192.0.2.201"
    ]


OUTSIDE = {**SETTINGS, "sip_calls_to_outside": True}
FAR = {
    ("far.example", "NAPTR"): [(10, 0, "S", "SIPS+D2T", "_sips._tcp.far.example")],
    ("_sips._tcp.far.example", "SRV"): [(0, 0, 5098, "host.provider.example")],
    ("host.provider.example", "A"): ["192.0.2.250"],
}


@pytest.mark.parametrize("scheme", ["sip", "sips"])
def test_another_server_has_to_prove_the_domain(scheme: str):
    """RFC 5922 §7.3: the domain that was asked for, not the target of its SRV record."""
    world = World(settings=OUTSIDE)
    alice = on_tls(world, "alice", 201, scheme)
    far = TlsPhone(world, "far", 250)
    far.listens_at = "192.0.2.250", 5098
    world.zone.records = FAR
    alice.sends("INVITE", f"{scheme}:carol@far.example")
    invite = far.gets("INVITE")
    assert alice.carrier.asked == [(("192.0.2.250", 5098), "far.example")]
    assert invite.values("record-route")[0].startswith(f"<{scheme}:{HERE};")


def test_sips_goes_to_no_server_without_tls():
    """§16.6, step 7: the procedures for a sips: URI, whatever the Route and DNS say."""
    world = World(settings=OUTSIDE)
    alice = on_tls(world, "alice", 201, "sips")
    proxy = TlsPhone(world, "proxy", 251)
    alice.sends("INVITE", "sips:carol@far.example", headers=("Route: <sip:192.0.2.251;lr>",))
    proxy.gets("INVITE")
    assert alice.carrier.asked == [(("192.0.2.251", PORT), "192.0.2.251")]
    alice.inbox.clear()
    alice.sends("INVITE", "sips:carol@192.0.2.250;transport=udp")
    assert "sips needs TLS" in alice.gets(500).value("warning")
    assert not world.lost


def test_a_call_to_another_server_ends_on_a_new_connection():
    """It is opened again for the name that was proved before."""
    world = World(settings=OUTSIDE)
    alice = on_tls(world, "alice", 201)
    far = TlsPhone(world, "far", 250)
    far.listens_at = "192.0.2.250", 5098
    world.zone.records = FAR
    sent = alice.sends("INVITE", "sip:carol@far.example")
    far._flow = next(iter(world.server.layer.clients.values())).flow
    far.answers(far.gets("INVITE"), 200)
    dialog = dialog_of_caller(sent, alice.gets(200))
    alice.sends_within("ACK", dialog, cseq=sent.cseq[0])
    far.gets("ACK")
    far.hangs_up()
    alice.sends_within("BYE", dialog)
    far.gets("BYE")
    assert alice.carrier.asked == [(("192.0.2.250", 5098), "far.example")] * 2
