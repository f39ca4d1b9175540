"""Phones in a virtual world behind a NAT, and phones that change their address."""

from sip.message.message import Request
from tests.support.world import (
    Phone,
    World,
)

NAT = "198.51.100.7"


OTHER_NAT = "198.51.100.8"


def behind_nat(
    world: World, name: str, port: int, *, nat: str = NAT, private: str = "192.168.1.20"
):
    """Register a phone behind a NAT; it knows only its private address."""
    phone = world.phone(name, registered=False, host=nat, port=port)
    phone.sent_by = f"{private}:5060"
    phone.contact = f"<sip:{name}@{private}:5060>"
    phone.registers()
    return phone


def moves(world: World, phone: Phone, port: int) -> None:
    """Give the phone another port at its NAT; messages to the old one are lost."""
    del world.at[phone.address]
    phone.address = phone.address[0], port
    world.at[phone.address] = phone


ELSEWHERE = "192.0.2.23"


NAME = "media.example.net"


def at(world: World, phone: Phone, place: str) -> Phone:
    """Return a second address of a phone, for `answers_for`."""
    name, host, port = phone.name, f"{ELSEWHERE}{phone.address[0][-1]}", 5060
    if place == "another port":
        host, port = phone.address[0], 5070
    other = world.phone(name, registered=False, host=host, port=port)
    if place == "a name":
        world.zone.records[NAME, "A"] = [host]
        other.contact = f"<sip:{name}@{NAME}:5060>"
    return other


def answers_for(phone: Phone, other: Phone, request: Request, status: int, **more):
    """Answer a request with the Contact of the phone's second address."""
    own, phone.contact = phone.contact, other.contact
    response = phone.answers(request, status, **more)
    phone.contact = own
    return response
