"""Phones that change their network within a call: from Wi-Fi to Wi-Fi, to the street, by DHCP.

The way they were reached by is gone without a word: a cable is pulled out.  The other side of the
call, which has not moved, reaches them nevertheless.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import ClassVar

import pytest

from tests.support.baresip import Baresip, BaresipTcp
from tests.support.network import Machine, Mobile, Network
from tests.support.phone import Phone, PhoneAt
from tests.support.phone_calls import talk
from tests.support.pjsua import Aware, Pjsua, Private, PrivateTcp
from tests.support.server import Server


class Telling(Aware):
    """A pjsua2 that registers from its new address, and then tells its peer by a re-INVITE."""

    kind = "telling pjsua2"
    roams = True


class TellingTcp(Telling):
    """The same on a connection, which is opened anew."""

    kind = "telling pjsua2 on TCP"
    transport = "tcp"
    account_setup: ClassVar = Telling.account_setup | PrivateTcp.retries


class Hasty(Private):
    """A pjsua2 that tells its peer only: no registration says where it is."""

    kind = "hasty pjsua2"
    roams = True


class Silent(Telling):
    """A pjsua2 that registers from its new address, and tells its peer nothing.

    It goes on to name its old address in the dialog, and takes requests for it.
    """

    kind = "silent pjsua2"
    account_setup: ClassVar = Telling.account_setup | {"ipChangeConfig.reinviteFlags": 0}


class SilentTcp(Silent):
    """The same on a connection."""

    kind = "silent pjsua2 on TCP"
    transport = "tcp"
    account_setup: ClassVar = Silent.account_setup | PrivateTcp.retries


@pytest.fixture
def machine(network: Network) -> Machine:
    """Where the server of `conftest.py` runs."""
    return network.server


@pytest.fixture
def mobile(server: Server, network: Network, phone) -> Iterator[Callable[..., Pjsua]]:
    """Start Alice's phone, which can be carried about, and let it register."""
    with closing(Mobile(network)) as machine:

        def start(kind: type[Pjsua], place: str, address: str) -> Pjsua:
            machine.moves_to(place, address)
            new = phone(kind, "alice", server, machine=machine)
            new.registers()
            return new

        yield start


def settle(*phones: Phone) -> None:
    """Wait for the last ACK: only then may a cable be pulled out, or a re-INVITE be sent."""
    for phone in phones:
        if isinstance(phone, Pjsua):
            phone.has_every_ack()


def move(alice: Pjsua, bob: Phone, place: str, address: str) -> None:
    """Carry Alice's phone elsewhere, until it has done all that it does about that."""
    alice.machine.moves_to(place, address)
    if isinstance(alice, Silent):
        alice.handles_ip_change()
        alice.expects("registered")
    else:
        alice.agrees_anew_with(bob, alice.handles_ip_change)
    settle(alice, bob)


def hold(one: Phone, other: Phone) -> None:
    """Hold the other side and resume: two re-INVITEs, each with its 200 and its ACK."""
    for do in (one.holds, one.resumes):
        one.agrees_anew_with(other, do)
        settle(one, other)


def hang_up(one: Phone, other: Phone) -> None:
    one.hangs_up()
    one.call_ends(other)
    other.call_ends(one)


def restart(server: Server, *phones: Phone) -> None:
    """Restart the server; phones on connections open new ones, and register."""
    for phone in phones:
        phone.events = [event for event in phone.events if event.name != "registered"]
    server.restart()
    for phone in phones:
        if phone.transport == "tcp":
            phone.expects("registered")


# Where a call begins, and where its phone is carried to then.
ABROAD = (("home", "192.168.1.20"), ("office", "192.168.1.20"), ("street", "192.0.2.40"))
DHCP = (("street", "192.0.2.40"), ("street", "192.0.2.41"), ("home", "192.168.1.20"))

IN_HOME = (("home", "192.168.1.20"), ("home", "192.168.1.21"), ("home", "192.168.1.22"))


@pytest.mark.parametrize(
    ("kind", "journey", "peer", "caller"),
    [
        (Telling, ABROAD, PhoneAt(Private, "office_desk"), "mobile"),
        (TellingTcp, ABROAD, PhoneAt(Private, "kitchen"), "peer"),
        (Silent, ABROAD, PhoneAt(PrivateTcp, "office_desk"), "mobile"),
        (SilentTcp, ABROAD, PhoneAt(PrivateTcp, "office_desk"), "mobile"),
        (Silent, IN_HOME, PhoneAt(Pjsua, "street"), "mobile"),
        (SilentTcp, IN_HOME, PhoneAt(Private, "office_desk"), "peer"),
        (Hasty, ABROAD, PhoneAt(BaresipTcp, "street"), "peer"),
        (Telling, DHCP, PhoneAt(Pjsua, "street"), "peer"),
        (TellingTcp, DHCP, PhoneAt(Baresip, "street"), "mobile"),
        (Silent, DHCP, PhoneAt(Baresip, "street"), "peer"),
    ],
    ids=[
        "Wi-Fi",
        "Wi-Fi by TCP",
        "Wi-Fi, only registered",
        "Wi-Fi by TCP, only registered",
        "same Wi-Fi, only registered",
        "same Wi-Fi by TCP, only registered",
        "Wi-Fi, only told",
        "DHCP",
        "DHCP by TCP",
        "DHCP, only registered",
    ],
)
def test_a_call_follows_a_phone_into_other_networks(mobile, at, kind, journey, peer, caller):
    """RFC 3261 §12.2, RFC 5626 §5.3: re-INVITE, ACK and BYE of the other side, and its own."""
    alice, bob = mobile(kind, *journey[0]), at(peer, "bob")
    talk(*((alice, bob) if caller == "mobile" else (bob, alice)))
    settle(alice, bob)
    for place in journey[1:]:
        move(alice, bob, *place)
        hold(bob, alice)
        hold(alice, bob)
    hang_up(bob, alice)


@pytest.mark.parametrize(
    ("kind", "journey", "peer"),
    [
        (Telling, ABROAD, PhoneAt(Private, "office_desk")),
        (Silent, DHCP, PhoneAt(Pjsua, "street")),
        (TellingTcp, ABROAD, PhoneAt(Private, "office_desk")),
        (SilentTcp, DHCP, PhoneAt(PrivateTcp, "office_desk")),
    ],
    ids=["Wi-Fi", "DHCP, only registered", "Wi-Fi by TCP", "DHCP by TCP, only registered"],
)
def test_a_restart_loses_no_phone_that_has_moved(server, mobile, at, kind, journey, peer):
    """RFC 5626 §5.3: the learned target is forgotten, and the binding leads to the phone."""
    alice, bob = mobile(kind, *journey[0]), at(peer, "bob")
    talk(bob, alice)
    settle(alice, bob)
    for place in journey[1:]:
        move(alice, bob, *place)
        restart(server, alice, bob)
        hold(bob, alice)
    hang_up(bob, alice)
