"""Phones whose Contact no look-up leads to: called along their flow (RFC 5626 §5.3, RFC 6761)."""

import pytest
from ladders.carrying import exchanged, started_again, talks
from world import REALM, Phone, World

HOSTS = [
    "sip:6cmlnq4d@x7.invalid;transport=ws",
    "sip:bob@Mac-mini.local:5062",
    "sip:bob@deskphone",
    "sip:bob@gone.example.net",  # a name that nobody knows
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


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("contact", HOSTS)
@pytest.mark.parametrize("calls", ["it is called", "it calls"])
def test_a_phone_that_cannot_be_looked_up_has_calls(
    world: World, contact: str, calls: str, is_restarted: bool
):
    """§12.2, §16.6: both ways, and all within the call, though its Via was truthful."""
    alice, bob = world.phone("alice"), odd_phone(world, contact)
    call = talks((alice, bob) if calls == "it is called" else (bob, alice))
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


def test_two_phones_that_cannot_be_looked_up_call_each_other(world: World):
    """So does one behind the same kind of gateway on both sides."""
    bob = odd_phone(world, "sip:a1b2@q.invalid;transport=ws")
    carol = world.phone("carol", registered=False)
    carol.contact = "<sip:c3d4@z.invalid;transport=ws>"
    carol.registers()
    talks((bob, carol)).ends()
    talks((carol, bob)).ends()


def test_on_a_connection_it_is_bound_as_long_as_that(world: World):
    """RFC 7118 §5: nobody could open another one."""
    alice = world.phone("alice")
    bob = odd_phone(world, "sip:a1b2@q.invalid;transport=ws", transport="TCP")
    talks((alice, bob)).ends()
    bob.hangs_up()  # type: ignore[attr-defined]
    assert world.server.location.bindings(f"bob@{REALM}") == ()


def test_a_name_that_nobody_knows_is_lost_with_its_connection(world: World):
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
