"""Phones behind NAT: private Contacts, ports that change, keep-alives (RFC 5626; RFC 3581)."""

import pytest

from sip.message.message import Request, parse
from sip.monitor.metrics import KEEPALIVES_RECEIVED, KEEPALIVES_UNSENT
from tests.support.cases import cases
from tests.support.fake_transport import SERVER
from tests.support.forwarding import Call, calls, exchanged, talks
from tests.support.nat_phones import NAT, OTHER_NAT, behind_nat, moves
from tests.support.world import REALM, World


def ends_both_ways(call: Call) -> None:
    exchanged(call.caller, "INVITE", call.here, call.callee)
    exchanged(call.callee, "INVITE", call.there, call.caller)
    exchanged(call.callee, "REFER", call.there, call.caller, headers=("Refer-To: <sip:x@h>",))
    exchanged(call.caller, "BYE", call.here, call.callee)


@cases("is_restarted", [False, True])
@cases("caller_is", ["public", "behind another NAT", "behind the same NAT"])
def test_calls_go_both_ways_and_so_does_all_within_them(
    world: World, caller_is: str, is_restarted: bool
):
    """RFC 5626 §5.3: each side along its flow; the tickets outlive the server."""
    bob = behind_nat(world, "bob", 33_333)
    if caller_is == "public":
        alice = world.phone("alice")
    else:
        nat = NAT if "same" in caller_is else OTHER_NAT
        private = "192.168.1.21" if "same" in caller_is else "192.168.1.20"
        alice = behind_nat(world, "alice", 33_334, nat=nat, private=private)
    for pair in ((alice, bob), (bob, alice)):
        call = talks(pair)
        if is_restarted:
            world.start_server()
        ends_both_ways(call)
    assert not world.lost


def test_several_phones_of_one_user_behind_one_nat_ring(world: World):
    """§16.6: each along its own flow."""
    phones = [
        behind_nat(world, "bob", 33_333 + number, private=f"192.168.1.{20 + number}")
        for number in range(3)
    ]
    alice = world.phone("alice")
    alice.sends("INVITE", phones[0].aor)
    invites = [phone.gets("INVITE") for phone in phones]
    assert len({invite.uri_text for invite in invites}) == 3


@pytest.mark.parametrize("same", ["contact", "call_id", "instance"])
def test_calls_go_to_the_port_of_the_latest_register(world: World, same: str):
    """RFC 5626 §6: the old flow leads nowhere, so its binding goes."""
    bob = behind_nat(world, "bob", 33_333)
    instance = ';+sip.instance="<urn:uuid:1>"' if same == "instance" else ""
    more = {"call_id": "one"} if same == "call_id" else {}
    bob.registers(bob.contact + instance, **more)
    moves(world, bob, 44_444)
    if same != "contact":
        bob.contact = "<sip:bob@192.168.1.20:5062>"
    answer = bob.registers(bob.contact + instance, **more)
    assert len(answer.values("contact")) == 1
    talks((world.phone("alice"), bob)).ends()
    assert not world.lost


@pytest.mark.parametrize("asks", ["caller", "callee"])
def test_a_call_goes_on_when_the_port_changes_within_it(world: World, asks: str):
    """The ticket names the old flow; the phone has told its new one by its next REGISTER."""
    alice, bob = world.phone("alice"), behind_nat(world, "bob", 33_333)
    call = talks((alice, bob))
    moves(world, bob, 44_444)
    bob.registers()
    if asks == "callee":
        exchanged(bob, "INVITE", call.there, alice)
    exchanged(alice, "BYE", call.here, bob)
    assert not world.lost


def test_the_same_private_address_elsewhere_is_another_phone(world: World):
    """Every home has a 192.168.1.20: what goes to one is not led to another instance."""
    alice, home = world.phone("alice"), behind_nat(world, "bob", 33_333)
    home.registers(home.contact + ';+sip.instance="<urn:uuid:1>"')
    call = talks((alice, home))
    office = world.phone("bob", registered=False, host=OTHER_NAT, port=44_444)
    office.sent_by = home.sent_by
    office.registers(home.contact + ';+sip.instance="<urn:uuid:2>"')
    exchanged(alice, "BYE", call.here, home)
    assert office.hears_nothing()


def test_a_router_with_a_new_public_address_keeps_its_calls(world: World):
    """Its phone has registered anew; the private Contact is the same, the Call-ID is not."""
    alice, bob = world.phone("alice"), behind_nat(world, "bob", 33_333)
    call = talks((alice, bob))
    bob = behind_nat(world, "bob", 44_444, nat=OTHER_NAT)
    exchanged(alice, "INVITE", call.here, bob)
    exchanged(alice, "BYE", call.here, bob)
    assert not world.lost


def test_ipv6_phones_with_site_addresses_are_behind_nat_too(world: World):
    """RFC 4193: fc00::/7 is nowhere else."""
    bob = world.phone("bob", registered=False, host=NAT, port=33_333)
    bob.registers("<sip:bob@[fd00::20]:5060>")
    alice = world.phone("alice")
    alice.sends("INVITE", bob.aor)
    assert bob.gets("INVITE").uri_text == "sip:bob@[fd00::20]:5060"


# Keep-alives


def passes(world: World, seconds: float) -> list[tuple[str, int]]:
    """Let time pass; where keep-alives have gone meanwhile."""
    world.pings.clear()
    world.passes(seconds)
    return sorted(world.pings)


def test_a_phone_behind_nat_is_kept_in_reach_and_no_other(world: World):
    """Each 25 s; also after a restart; it hears nothing that it would answer."""
    bob = behind_nat(world, "bob", 33_333)
    world.phone("alice")
    for _ in range(2):
        assert passes(world, 25) == [bob.address]
        assert passes(world, 25) == [bob.address]
        world.start_server()
    assert bob.hears_nothing()


def test_a_phone_that_has_moved_is_kept_at_its_new_port_alone(world: World):
    """A port that the NAT has given to another host gets no requests."""
    bob = behind_nat(world, "bob", 33_333)
    moves(world, bob, 44_444)
    bob.registers()
    assert passes(world, 25) == [(NAT, 44_444)]


@pytest.mark.parametrize("goes_by", ["its wish", "time", "its account"])
def test_a_phone_without_a_binding_gets_no_keep_alive(world: World, goes_by: str):
    bob = behind_nat(world, "bob", 33_333)
    if goes_by == "its wish":
        bob.registers(expires=0)
    elif goes_by == "time":
        world.passes(3601, step=60)
    else:
        account = world.users.find("bob", REALM)
        assert account is not None
        world.server.remove_bindings([account])
    assert passes(world, 50) == []


def test_it_comes_as_often_as_the_setting_says():
    world = World(settings={"sip_keepalive": 10})
    bob = behind_nat(world, "bob", 33_333)
    assert passes(world, 30) == [bob.address] * 3
    world = World(settings={"sip_keepalive": 0})
    behind_nat(world, "bob", 33_333)
    assert passes(world, 60) == []


def test_a_failed_keep_alive_harms_no_other_phone(world: World, monkeypatch):
    """It comes again."""
    bob = behind_nat(world, "bob", 33_333)
    (sock,) = world.server.transports.sockets
    send = sock.send

    def fails(data, flow):
        if flow.remote == bob.address:
            raise OSError("no way")
        send(data, flow)

    monkeypatch.setattr(sock, "send", fails)
    assert passes(world, 50) == []
    assert world.server.layer.counts[KEEPALIVES_UNSENT] == 2
    monkeypatch.undo()
    world.server.layer.unreachable(b"\r\n\r\n")
    assert passes(world, 25) == [bob.address]
    assert calls((world.phone("alice"), bob))


def test_pings_of_phones_are_taken_in_silence(world: World):
    """RFC 5626 §3.5.1, and what older phones send."""
    bob = behind_nat(world, "bob", 33_333)
    for ping in (b"\r\n\r\n", b"\0\0\0\0", b"\r\n"):
        world.deliver(ping, bob.address)
    assert bob.hears_nothing()
    assert world.server.receiver.counts[KEEPALIVES_RECEIVED] == 3
    assert SERVER not in world.pings


def test_a_phone_is_called_at_the_port_it_listens_on(
    world: World,
):
    """§18.2.2: without rport its Via says where; its Contact is meant too."""
    host = "192.0.2.50"
    listening = world.phone("bob", registered=False, host=host, port=5060)
    sending = world.phone("bob", registered=False, host=host, port=49_152)
    sending.sent_by, sending.contact = f"{host}:5060", f"<sip:bob@{host}:5060>"
    register = sending.request(
        "REGISTER", f"sip:{REALM}", to=f"<{sending.aor}>", headers=(f"Contact: {sending.contact}",)
    )

    def without_rport(request: Request) -> Request:
        message = parse(request.encode().replace(b";rport", b""))
        assert isinstance(message, Request)
        return message

    sending.transmits(without_rport(register))
    answer = sending.with_credentials(register, listening.gets(401))
    sending.transmits(without_rport(answer))
    assert listening.gets(200)
    world.phone("alice").sends("INVITE", listening.aor)
    assert listening.gets("INVITE")
    assert sending.hears_nothing()


def test_a_phone_that_learned_its_public_address_is_bound_once(world: World):
    """RFC 5626 §6: the same instance, from the same socket, has another contact now."""
    bob = world.phone("bob", registered=False, host=NAT, port=33_333)
    more = ';+sip.instance="<urn:uuid:1>"'
    bob.sent_by, bob.contact = "192.168.1.20:5060", f"<sip:bob@192.168.1.20:5060>{more}"
    bob.registers()
    bob.sent_by, bob.contact = f"{NAT}:33333", f"<sip:bob@{NAT}:33333>{more}"
    bob.registers()
    world.phone("alice").sends("INVITE", bob.aor)
    assert bob.gets("INVITE")
    assert bob.hears_nothing()
