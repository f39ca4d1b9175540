"""Phones in a small Internet with real NAT: the kernel's masquerade, on routers of the tests' own.

Both homes use the same private addresses, so a message that goes to the address that a phone gave
goes astray, or to another phone.  Media are not looked at: they are the phones' affair.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.baresip import Baresip, BaresipTcp, OutboundBaresip
from tests.support.network import Machine, Network, Router
from tests.support.phone import PhoneAt
from tests.support.phone_calls import talk
from tests.support.pjsua import Aware, Private, PrivateTcp
from tests.support.programs import until
from tests.support.server import CALLEES, Server
from tests.support.sipp_calls import play, register

SECONDS_REMEMBERED = 3


def places(*pairs: tuple[PhoneAt, PhoneAt]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("one", "other"), pairs, ids=[f"{one}-{other}" for one, other in pairs]
    )


@pytest.fixture
def machine(network: Network) -> Machine:
    """Where the server of `conftest.py` runs."""
    return network.server


@pytest.fixture
def forgetful(network: Network) -> Iterator[Router]:
    """The router at home, when it forgets a way that nothing has used for some seconds."""
    network.home.forgets_after(SECONDS_REMEMBERED)
    yield network.home
    network.home.forgets_after(30)  # Linux's own


def flows_of(server: Server, user: str) -> list[str]:
    """The flows of a user's bindings, as they are kept."""
    with closing(sqlite3.connect(server.database)) as database:
        rows = database.execute("SELECT flow FROM bindings WHERE aor LIKE ?", [f"{user}@%"])
        return [flow for (flow,) in rows]


@pytest.mark.parametrize(
    "place",
    [
        PhoneAt(Private, "home_desk"),
        PhoneAt(PrivateTcp, "home_desk"),
        PhoneAt(Baresip, "home_desk"),
        PhoneAt(Baresip, "street6"),
    ],
    ids=str,
)
def test_a_phone_behind_nat_hears_the_robot(at, server: Server, place: PhoneAt):
    """Sound goes where the phone's own comes from, whatever its description says."""
    alice = at(place, "alice")
    for name in ("echo", "tone", "whoami"):
        alice.dials(f"sip:{name}@{server.domain}")
        alice.is_talking()
        alice.hears()
        if name == "whoami":
            said = alice.expects("message").text
            assert (", behind NAT, PCMU" in said) == (place.machine == "home_desk"), said
        alice.hangs_up()
        alice.call_ends()


@places(
    (PhoneAt(Baresip, "home_desk"), PhoneAt(Aware, "street")),
    (PhoneAt(PrivateTcp, "home_desk"), PhoneAt(Baresip, "street")),
    (PhoneAt(Baresip, "home_desk"), PhoneAt(Private, "kitchen")),
    (PhoneAt(BaresipTcp, "home_desk"), PhoneAt(Private, "kitchen")),
    (PhoneAt(Private, "home_desk"), PhoneAt(Baresip, "office_desk")),
    (PhoneAt(PrivateTcp, "home_desk"), PhoneAt(BaresipTcp, "office_desk")),
    (PhoneAt(Aware, "home_desk"), PhoneAt(PrivateTcp, "office_desk")),
    (PhoneAt(Baresip, "home_desk"), PhoneAt(BaresipTcp, "street6")),
    (PhoneAt(BaresipTcp, "home_desk"), PhoneAt(Baresip, "street6")),
    (PhoneAt(OutboundBaresip, "home_desk"), PhoneAt(PrivateTcp, "office_desk")),
)
def test_phones_behind_nat_call_and_are_called(at, one, other):
    """RFC 3581 §4, RFC 5626 §5.3: each request of a dialog finds its side, from either side."""
    alice, bob = at(one, "alice"), at(other, "bob")

    talk(alice, bob)
    alice.agrees_anew_with(bob, alice.holds)
    bob.hangs_up()
    alice.call_ends(bob)
    bob.call_ends(alice)

    talk(bob, alice)
    alice.agrees_anew_with(bob, alice.holds)
    bob.hangs_up()
    alice.call_ends(bob)
    bob.call_ends(alice)


@places(
    (PhoneAt(Aware, "street"), PhoneAt(Baresip, "home_desk")),
    (PhoneAt(Baresip, "home_desk"), PhoneAt(Private, "office_desk")),
    (PhoneAt(PrivateTcp, "home_desk"), PhoneAt(Baresip, "office_desk")),
    (PhoneAt(Baresip, "home_desk"), PhoneAt(PrivateTcp, "office_desk")),
    (PhoneAt(PrivateTcp, "home_desk"), PhoneAt(PrivateTcp, "office_desk")),
    (PhoneAt(OutboundBaresip, "home_desk"), PhoneAt(OutboundBaresip, "office_desk")),
)
def test_a_call_outlives_the_server(server, at, one, other):
    """RFC 3261 §16.4, RFC 5626 §5.3: flows that tickets name, and phones that come back on others.

    A datagram goes along the old flow.  A connection behind NAT only its phone can open again.
    """
    alice, bob = at(one, "alice"), at(other, "bob")

    talk(alice, bob)
    server.restart()
    for phone in (alice, bob):
        if phone.transport == "tcp":
            phone.expects("registered")
    bob.hangs_up()
    alice.call_ends(bob)
    bob.call_ends(alice)


@places(
    (PhoneAt(Private, "home_desk"), PhoneAt(Private, "office_desk")),
    (PhoneAt(Baresip, "home_desk"), PhoneAt(PrivateTcp, "office_desk")),
)
def test_a_call_is_transferred_between_phones_behind_nat(at, one, other):
    """RFC 3515, RFC 5589 §6.1: REFER in the dialog, its NOTIFYs, and the new call."""
    alice, bob, carol = at(one, "alice"), at(other, "bob"), at(PhoneAt(Baresip, "kitchen"), "carol")

    talk(alice, bob)
    bob.transfers(carol)
    carol.gets_a_call(alice)
    carol.answers()
    carol.is_talking(alice)
    alice.is_talking(carol)
    bob.call_ends(alice)
    carol.hangs_up()
    alice.call_ends(carol)


@pytest.mark.parametrize("kind", [Private, Aware], ids=["unaware", "aware"])
@pytest.mark.parametrize("address", ["192.0.2.11", "192.0.2.111"], ids=["port", "address"])
def test_a_phone_with_a_new_nat_port_is_reached_there(server, network, at, kind, address):
    """RFC 5626 §6: the next REGISTER moves the binding, and nothing is left behind."""
    alice = at(PhoneAt(kind, "home_desk"), "alice")
    bob = at(PhoneAt(Baresip, "office_desk"), "bob")
    (before,) = flows_of(server, "alice")

    network.home.takes_ports(30000)
    network.home.dials_in_again(address)
    alice.registers()
    until(lambda: len(flows_of(server, "alice")) == 1, "alice has one binding")
    (after,) = flows_of(server, "alice")
    assert after != before
    assert f"/{address}:30" in after

    talk(bob, alice)
    alice.hangs_up()
    bob.call_ends(alice)
    alice.call_ends(bob)


@pytest.mark.parametrize("flags", [["-sip.keepalive", "1"]], ids=["every second"])
def test_a_router_that_forgets_is_reminded_in_time(forgetful, at, flags):
    """RFC 5626 §4.4: what the server sends keeps the way open, and the phone minds none of it."""
    alice = at(PhoneAt(Private, "home_desk"), "alice")
    bob = at(PhoneAt(Baresip, "street"), "bob")

    before = forgetful.datagrams_in()
    until(
        lambda: forgetful.datagrams_in() > before + SECONDS_REMEMBERED,
        "more keep-alives than the router remembers seconds",
    )
    talk(bob, alice)
    alice.hangs_up()
    bob.call_ends(alice)


def test_a_contact_on_another_port_than_the_source_is_used(server, network, at, sipp):
    """RFC 3261 §10.2: the Via was truthful, so the phone knows where it wants its calls."""
    user = CALLEES[0]
    elsewhere = sipp("callee", calls=1, machine=network.street)
    register(server, sipp, [user], elsewhere.address, elsewhere.socket, machine=network.street)
    alice = at(PhoneAt(Private, "home_desk"), "alice")

    alice.dials(f"sip:{user}@{server.domain}")
    alice.is_talking()
    alice.hangs_up()
    elsewhere.succeeds()


def test_a_call_survives_a_new_nat_port(network, at):
    """RFC 5626 §5.3: the ticket's flow is dead, the phone behind the same NAT is found again."""
    alice = at(PhoneAt(Private, "home_desk"), "alice")
    bob = at(PhoneAt(Baresip, "office_desk"), "bob")

    talk(alice, bob)
    network.home.takes_ports(40000)
    network.home.dials_in_again(network.home.addresses[0])
    alice.registers()
    bob.hangs_up()
    alice.call_ends(bob)
    bob.call_ends(alice)


@pytest.mark.parametrize(
    ("caller", "callee", "by"),
    [
        ("street", "street6", ("udp", "udp")),
        ("street6", "street", ("tcp", "udp")),
        ("street6", "street6", ("udp", "tcp")),
        ("home_desk", "street6", ("tcp", "udp")),
    ],
)
def test_calls_between_ipv4_ipv6_and_nat_are_set_up_and_ended(
    server, network, sipp, caller: str, callee: str, by: tuple[str, str]
):
    """RFC 5658: by the hundred, and each side knows the server by its own address.

    They register by IPv4: in a digest SIPp writes an address of IPv6 without its brackets.
    """
    on = getattr(network, caller), getattr(network, callee)
    home = next(address for address in on[1].addresses if "." in address)
    outside = {"from_domain": "elsewhere.test", "registers_at": home}
    play(server, sipp, "caller", "callee", calls=100, by=by, on=on, **outside)
