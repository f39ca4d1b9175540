"""Contacts that DNS cannot resolve: called along their flow (RFC 5626 §5.3, RFC 6761)."""

from tests.support.cases import cases
from tests.support.forwarding import calls, exchanged, started_again, talks
from tests.support.world import REALM, SDP, Phone, World

HOSTS = [
    "sip:6cmlnq4d@x7.invalid;transport=ws",
    "sip:bob@Mac-mini.local:5062",
    "sip:bob@deskphone",
    "sip:bob@gone.example.net",  # a name that does not exist
    "sip:bob@localhost",
    "sip:bob@127.0.1.1:5060",
    "sip:bob@999.1.2.3",
    "sip:bob@192.0.2.50:5061;transport=tls",
]


def odd_phone(world: World, contact: str, *, name: str = "bob", transport: str = "UDP") -> Phone:
    phone = world.phone(name, registered=False, host="192.0.2.50", transport=transport)
    phone.contact = f"<{contact}>"
    assert phone.registers().status == 200
    return phone


@cases("is_restarted", [False, True])
@cases("contact", HOSTS)
@cases("side", ["callee", "caller"])
def test_a_phone_that_cannot_be_looked_up_has_calls(
    world: World, contact: str, side: str, is_restarted: bool
):
    """§12.2, §16.6: both ways, and all within the call, though its Via was truthful."""
    alice, bob = world.phone("alice"), odd_phone(world, contact)
    call = talks((alice, bob) if side == "callee" else (bob, alice))
    if is_restarted:
        started_again(world)
    for method in ("INVITE", "INFO"):
        exchanged(call.caller, method, call.here, call.callee)
        exchanged(call.callee, method, call.there, call.caller)
    exchanged(call.callee, "BYE", call.there, call.caller)
    assert not world.lost
    assert not {name for name, _ in world.zone.asked} - {
        "gone.example.net",
        "_sip._udp.gone.example.net",
        "_sip._tcp.gone.example.net",
    }


@cases("contact", HOSTS)
@cases("says_it", ["caller", "callee"])
@cases("when", ["from the start", "later"])
def test_an_unresolvable_contact_within_a_call(world: World, contact: str, says_it: str, when: str):
    """§12.2: a phone that is registered with its address names such a Contact in a call."""
    alice, bob = world.phone("alice"), world.phone("bob", host="192.0.2.50")
    odd, other = (alice, bob) if says_it == "caller" else (bob, alice)
    if when == "from the start":
        odd.contact = f"<{contact}>"
    call = calls((alice, bob))
    bob.answers(call.received, 200, body=SDP)
    call.begins(alice.gets(200))
    assert call.here is not None
    alice.sends_within("ACK", call.here, cseq=call.invite.cseq[0])
    assert bob.gets("ACK")
    ours, theirs = (call.here, call.there) if odd is alice else (call.there, call.here)
    assert ours is not None
    assert theirs is not None
    if when == "later":
        odd.contact = f"<{contact}>"
        exchanged(odd, "INVITE", ours, other)
        theirs.target = contact
    for method in ("INFO", "INVITE", "BYE"):
        exchanged(other, method, theirs, odd)
    assert not world.lost


def test_an_unresolvable_name_is_reached_at_its_source(world: World):
    """§12.2.1.2: a phone has moved within its call, and names itself by its new name."""
    alice, bob = world.phone("alice"), world.phone("bob", host="192.0.2.50")
    call = talks((alice, bob))
    assert call.there is not None
    assert call.here is not None
    moved = world.phone("bob", registered=False, host="192.0.2.51")
    moved.cseq, moved.contact = bob.cseq, "<sip:bob@gone.example.net>"
    moved.registers()
    exchanged(moved, "INVITE", call.there, alice)
    call.here.target = "sip:bob@gone.example.net"
    exchanged(alice, "BYE", call.here, moved)
    assert bob.hears_nothing()


def test_an_unresolvable_route_is_reached_at_its_source(world: World):
    """§16.12.1: a PBX records its Route by a name of its own network."""
    alice, pbx = world.phone("alice"), world.phone("bob", host="192.0.2.50")
    call = calls((alice, pbx))
    route = "<sip:pbx.office.example;lr>"
    call.received.put_first("record-route", f"Record-Route: {route}")
    pbx.contact = "<sip:ext7@pbx.office.example>"
    pbx.answers(call.received, 200, body=SDP)
    call.begins(alice.gets(200))
    assert call.here is not None
    for method in ("ACK", "INFO", "BYE"):
        alice.sends_within(method, call.here)
        got = pbx.gets(method)
        assert got.values("route") == [route]
        if method != "ACK":
            pbx.answers(got, 200)
    assert not world.lost


def test_two_phones_that_cannot_be_looked_up_call_each_other(world: World):
    """So does one behind the same kind of gateway on both sides."""
    bob = odd_phone(world, "sip:a1b2@q.invalid;transport=ws")
    carol = world.phone("carol", registered=False)
    carol.contact = "<sip:c3d4@z.invalid;transport=ws>"
    carol.registers()
    talks((bob, carol)).ends()
    talks((carol, bob)).ends()


def test_on_a_connection_it_is_bound_as_long_as_that(world: World):
    """RFC 7118 §5: the server cannot open another connection."""
    alice = world.phone("alice")
    bob = odd_phone(world, "sip:a1b2@q.invalid;transport=ws", transport="TCP")
    talks((alice, bob)).ends()
    bob.hangs_up()  # type: ignore[attr-defined]
    assert world.server.location.bindings(f"bob@{REALM}") == ()


def test_an_unknown_name_is_lost_with_its_connection(world: World):
    """§18.4: neither its Contact nor its flow leads there: as if it had never registered."""
    alice = world.phone("alice")
    bob = odd_phone(world, "sip:bob@gone.example.net;transport=tcp", transport="TCP")
    talks((alice, bob)).ends()
    bob.hangs_up()  # type: ignore[attr-defined]
    assert len(world.server.location.bindings(f"bob@{REALM}")) == 1  # a name may be known yet
    assert alice.gets(480, alice.sends("INVITE", bob.aor))
    assert world.server.location.bindings(f"bob@{REALM}") == ()


def test_a_contact_elsewhere_that_is_known_is_meant_as_ever(world: World):
    """§16.6, step 7: what the name servers know goes before where the phone was seen."""
    alice = world.phone("alice")
    far = world.phone("far", registered=False, host="198.51.100.9", port=5062)
    world.zone.records["phones.example.net", "A"] = ["198.51.100.9"]
    bob = odd_phone(world, "sip:bob@phones.example.net:5062")
    alice.sends("INVITE", bob.aor)
    assert far.gets("INVITE")
    assert bob.hears_nothing()
