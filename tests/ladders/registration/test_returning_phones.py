"""Phones that come back as others: bound once, or bounded (RFC 3261 §10.3; RFC 5626 §6)."""

import itertools
import logging
from collections.abc import Callable

import pytest

from sip.core.registrar.bindings import MAX_CONTACTS
from sip.core.registrar.location import MAX_REMOVED_AT_ONCE
from sip.message.headers import parse_name_addr
from sip.message.message import Response
from tests.support.cases import cases
from tests.support.forwarding import exchanged, talks
from tests.support.world import REALM, Phone, TcpPhone, World

X = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
STARTS = MAX_CONTACTS + 5
_numbers = itertools.count(1)


def bound(world: World, name: str = "bob") -> list[str]:
    return [b.contact for b in world.server.location.bindings(f"{name}@{REALM}")]


def listed(answer: Response) -> list[str]:
    return [parse_name_addr(value).uri_text for value in answer.values("contact")]


def udp(world: World, *, host: str = "192.0.2.50", port: int = 5060) -> Phone:
    return world.phone("bob", registered=False, host=host, port=port)


def own_port(world: World, name: str = "bob", *, host: str = "192.0.2.50") -> TcpPhone:
    """A phone with the source port of its connection in its Contact, where it does not listen."""
    phone = world.phone(name, registered=False, transport="TCP", host=host)
    phone.sent_by = f"{phone.address[0]}:{phone.address[1]}"
    phone.contact = f"<sip:{name}@{phone.sent_by};transport=tcp>"
    phone.listens_at = None
    return phone


def starts(phone: Phone, *, user: str = "bob", more: str = "", agent: str = "Phone/1") -> Response:
    """Register anew, as a program that remembers nothing: by a new Call-ID, from CSeq 1."""
    kind = ";transport=tcp" if isinstance(phone, TcpPhone) else ""
    contact = f"<sip:{user}@{phone.sent_by}{kind}>{more}"
    headers = (f"User-Agent: {agent}",)
    return phone.registers(contact, call_id=f"start-{next(_numbers)}", cseq=1, headers=headers)


def behind_nat(phone: Phone) -> Phone:
    phone.sent_by = "192.168.1.20:5060"
    return phone


ONE_PHONE: dict[str, Callable[[World, int], Response]] = {
    "one socket": lambda w, n: starts(udp(w), user=f"bob-{n}"),
    "one socket and instance": lambda w, n: starts(udp(w), user=f"bob-{n}", more=X + ";reg-id=1"),
    "one socket, an instance each time": lambda w, n: starts(
        udp(w), user=f"bob-{n}", more=f';+sip.instance="<urn:uuid:{n}>"'
    ),
    "one socket behind NAT": lambda w, n: starts(behind_nat(udp(w)), user=f"bob-{n}"),
    "one instance, new ports": lambda w, n: starts(udp(w, port=20_000 + n), more=X),
    "one instance, new addresses": lambda w, n: starts(udp(w, host=f"192.0.2.{20 + n}"), more=X),
    "one instance by UDP and TCP in turn": lambda w, n: starts(
        udp(w, port=20_000 + n) if n % 2 else own_port(w), more=X + ";reg-id=1"
    ),
}


@cases("how", ONE_PHONE)
def test_a_phone_that_is_known_again_is_bound_once(world: World, how: str):
    """RFC 5626 §6, whether or not NAT is seen, and claimed outbound or not."""
    for number in range(STARTS):
        answer = ONE_PHONE[how](world, number)
        assert answer.status == 200
        assert listed(answer) == bound(world)
        assert len(world.bindings.rows) == 1


NEW_EACH_TIME: dict[str, Callable[[World, int], Response]] = {
    "new ports": lambda w, n: starts(udp(w, port=20_000 + n)),
    "new users": lambda w, n: starts(udp(w, port=20_000 + n), user=f"bob-{n}"),
    "new instances": lambda w, n: starts(
        udp(w, port=20_000 + n), more=f';+sip.instance="<urn:uuid:{n}>"'
    ),
    "new reg-ids": lambda w, n: starts(udp(w, port=20_000 + n), more=f"{X};reg-id={n + 1}"),
    "new ports of NAT": lambda w, n: starts(behind_nat(udp(w, port=20_000 + n)), user=f"bob-{n}"),
    "new connections": lambda w, n: starts(own_port(w)),
    "UDP and TCP in turn": lambda w, n: starts(udp(w, port=20_000 + n) if n % 2 else own_port(w)),
    "no User-Agent": lambda w, n: starts(udp(w, port=20_000 + n), agent=""),
}


@cases("how", NEW_EACH_TIME)
def test_a_phone_that_is_new_each_time_locks_out_no_other(world: World, how: str):
    """§10.3: its own oldest binding makes way; other phones of the user stay, though as old."""
    desk = world.phone("bob", host="192.0.2.9")
    same_model = udp(world, port=7000)
    starts(same_model)
    for number in range(STARTS):
        world.passes(1, step=1)
        if number % 5 == 0:
            same_model.registers(call_id="desk", headers=("User-Agent: Phone/1",))
        answer = NEW_EACH_TIME[how](world, number)
        assert answer.status == 200
        newest = listed(answer)[0]
        assert newest in bound(world)
        assert {desk.contact.strip("<>"), same_model.contact.strip("<>")} <= set(bound(world))
    assert len(bound(world)) == len(world.bindings.rows) == MAX_CONTACTS


def test_a_new_ipv6_address_replaces_the_old_one_of_a_phone(world: World):
    """RFC 8981: its network is the same."""
    for number in range(STARTS):
        phone = udp(world, host=f"2001:db8:1:2::{number + 1:x}")
        phone.sent_by = f"[{phone.address[0]}]:5060"
        assert starts(phone).status == 200
    assert len(bound(world)) == MAX_CONTACTS


def test_at_the_limit_another_device_may_come_again_later(
    world: World, caplog: pytest.LogCaptureFixture
):
    """§21.5.4: 503 with Retry-After, which no phone takes for a wrong password, and a line."""
    caplog.set_level(logging.INFO)
    phones = [udp(world, host=f"192.0.2.{60 + n}") for n in range(MAX_CONTACTS)]
    for phone in phones:
        starts(phone)
    before = bound(world)
    late = udp(world, host="192.0.2.9")
    answer = starts(late)
    assert (answer.status, answer.value("retry-after")) == (503, "60")
    assert bound(world) == before
    assert "refused REGISTER 503 from bob@example.com" in caplog.text
    assert "192.0.2.9:5060: contact limit reached: 20 contacts" in caplog.text
    assert starts(phones[7], user="new").status == 200
    assert len(bound(world)) == MAX_CONTACTS
    phones[3].registers(expires=0)
    assert starts(late).status == 200


def test_what_makes_way_is_a_line_in_the_log(world: World, caplog: pytest.LogCaptureFixture):
    """One a second at most, for any phone."""
    caplog.set_level(logging.INFO, "sip.core.registrar.location")
    for number in range(MAX_CONTACTS + 3):
        starts(udp(world, port=20_000 + number))
    (record,) = caplog.records
    assert record.getMessage() == (
        f"contact limit of bob@{REALM}: removed sip:bob@192.0.2.50:20000, "
        "the oldest of the same device"
    )


def test_one_private_address_in_two_homes_is_two_phones(world: World):
    """RFC 5626 §6: their instances tell them apart, and a call rings both."""
    homes = [behind_nat(udp(world, host=host)) for host in ("198.51.100.7", "203.0.113.5")]
    for _ in range(2):
        for number, phone in enumerate(homes):
            phone.contact = f'<sip:bob@192.168.1.20:5060>;+sip.instance="<urn:uuid:{number}>"'
            phone.registers(call_id=f"home-{number}")
    assert bound(world) == ["sip:bob@192.168.1.20:5060"] * 2
    alice = world.phone("alice")
    alice.sends("INVITE", homes[0].aor)
    assert all(phone.gets("INVITE") for phone in homes)
    world.start_server()
    alice.sends("INVITE", homes[0].aor)
    assert all(phone.gets("INVITE") for phone in homes)
    homes[0].registers(call_id="home-0", expires=0)
    assert len(bound(world)) == 1
    alice.sends("INVITE", homes[0].aor)
    assert homes[1].gets("INVITE")
    assert homes[0].hears_nothing()


def test_two_phones_behind_one_proxy_are_two(world: World):
    """RFC 3327: with a Path the socket is the proxy's; so it is where a Via tells of one."""
    edge = udp(world)
    path = ("Supported: path", "Path: <sip:192.0.2.50;lr>")
    for number in range(3):
        contact = f"<sip:bob@192.168.1.{number}>"
        edge.registers(contact, call_id=f"c{number}", headers=path)
    assert len(bound(world)) == 3
    below = ("Via: SIP/2.0/UDP 192.168.1.77:5060;branch=z9hG4bKbelow",)
    for number in range(3, 6):
        edge.registers(f"<sip:bob@192.0.2.50;line={number}>", call_id=f"c{number}", headers=below)
    assert len(bound(world)) == 6


def test_a_phone_reads_its_own_lease_first(world: World):
    """§10.3, step 8: in a registration, a refresh, a second contact and a query."""
    desk = world.phone("bob")
    mobile = udp(world)
    ours, second, theirs = mobile.contact, "<sip:bob@192.0.2.50:5070>", desk.contact
    call = {"call_id": "mobile"}
    for _ in range(2):
        answer = mobile.registers(expires=120, **call)
        assert listed(answer) == [ours.strip("<>"), theirs.strip("<>")]
    three = [each.strip("<>") for each in (second, ours, theirs)]
    assert listed(mobile.registers(second, ours, **call)) == three
    query = mobile.request("REGISTER", f"sip:{REALM}", to=f"<{mobile.aor}>")
    mobile.transmits(query)
    mobile.transmits(mobile.with_credentials(query, mobile.gets(401)))
    assert listed(mobile.gets(200)) == [ours.strip("<>"), second.strip("<>"), theirs.strip("<>")]


# Connections that close


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_phone_that_names_its_instance_no_more_keeps_its_call(world: World, is_restarted: bool):
    """§12.2, as pjsip registers: behind NAT, along a new connection, under a new port."""
    alice, carol = world.phone("alice"), own_port(world, "carol")
    carol.sent_by = "192.168.1.20:40001"
    old = "<sip:carol@192.168.1.20:40001;transport=tcp>"
    carol.contact = old
    carol.registers(f"{old};reg-id=1{X}", call_id="carol")
    call = talks((alice, carol))
    if is_restarted:
        world.start_server()
    carol.hangs_up()
    carol.connects()
    carol.contact = "<sip:carol@192.168.1.20:40002;transport=tcp>"
    carol.registers(carol.contact, f"{old};expires=0;reg-id=1{X}", call_id="carol")
    exchanged(alice, "BYE", call.here, carol)


def test_a_closed_connection_ends_what_it_alone_led_to(world: World):
    """RFC 5626 §5.3: the port that a phone has connected from takes no other; before any call.

    Until the registration expires, the user is challenged there, even if others fail.
    """
    alice, phone = world.phone("alice"), own_port(world)
    phone.registers()
    talks((alice, phone)).ends()
    desk = world.phone("bob")
    phone.hangs_up()
    assert bound(world) == [desk.contact.strip("<>")]
    assert {row.contact for row in world.bindings.rows.values()} == {
        alice.contact.strip("<>"),
        desk.contact.strip("<>"),
    }
    assert world.server.location.is_registered_from_network("192.0.2.50", "bob", REALM)


def test_a_connection_that_is_found_closed_is_the_same(world: World):
    """The system has not reported the close yet: the call along the connection fails."""
    alice, phone = world.phone("alice"), own_port(world)
    phone.registers()
    world.streams.phones.clear()
    assert alice.gets(480, alice.sends("INVITE", phone.aor))
    assert bound(world) == []


def test_a_phone_back_before_its_connection_closed_stays(world: World):
    """The binding names the newer connection."""
    phone = own_port(world)
    phone.contact = phone.contact.replace("192.0.2.50", "192.168.1.20")
    phone.registers()
    old = phone._flow.connection
    phone.connects()
    phone.registers()
    del world.streams.phones[old]
    world.server.connection_closed(old)
    assert len(bound(world)) == 1
    phone.hangs_up()
    assert bound(world) == []


def test_a_phone_that_hung_up_before_it_was_bound_is_not_bound(world: World):
    """Its REGISTER waits while the server is starting, and its connection does not."""
    phone = own_port(world)
    streams, save = world.streams, world.bindings.save
    world.bindings.save = lambda *wanted: (streams.phones.clear(), save(*wanted))  # type: ignore[method-assign]
    request = phone.request(
        "REGISTER", f"sip:{REALM}", to=f"<{phone.aor}>", headers=(f"Contact: {phone.contact}",)
    )
    phone.transmits(request)
    phone.transmits(phone.with_credentials(request, phone.gets(401)))
    assert bound(world) == []
    assert not world.bindings.rows


def test_a_restart_loads_no_phone_known_by_its_connection_only(world: World):
    """All connections are closed then.  Its address stays that of the user for its lease."""
    listening = world.phone("bob", transport="TCP")
    for contact in ("sip:bob@192.168.1.20:5060;transport=tcp", ""):
        phone = own_port(world)
        phone.registers(f"<{contact}>" if contact else phone.contact)
    assert len(bound(world)) == 3
    world.start_server()
    assert bound(world) == [listening.contact.strip("<>")]
    assert len(world.bindings.rows) == 1
    location = world.server.location
    assert location.is_registered_from_network("192.0.2.50", "bob", REALM)
    assert not location.is_registered_from_network("192.0.2.51", "bob", REALM)
    world.passes(3601, step=100)
    assert not location.is_registered_from_network("192.0.2.50", "bob", REALM)


def test_a_gateway_with_a_thousand_users_is_removed_in_pieces(world: World):
    """One connection may carry them all, and timers and sockets have their turn between."""
    gateway = own_port(world, "line-0")
    for number in range(MAX_REMOVED_AT_ONCE + 100):
        gateway.name = f"line-{number}"
        gateway.aor = f"sip:{gateway.name}@{REALM}"
        if number:
            world.users.add(gateway.name, "secret")
        gateway.registers(f"<sip:{gateway.name}@{gateway.sent_by};transport=tcp>")
    gateway.hangs_up()
    assert len(world.server.location) == 100
    world.server.tick()
    assert len(world.server.location) == 0
    assert not world.bindings.rows
