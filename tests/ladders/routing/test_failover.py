"""One address after the other of a next hop that has several (RFC 3263 §4.3; RFC 3261 §18.1.1)."""

import gevent
import pytest

from sip.core.proxy.forwarder import SECONDS_AVOIDED
from sip.message.uri import SipUri, parse_uri
from sip.transport.dns.resolver import Hop, NoRoute
from tests.support.forwarding import calls, exchanged
from tests.support.world import SDP, Phone, World

FARM = "farm.example.net"


class Names:
    """A resolver that knows one name; `is_slow` makes it wait for the test."""

    def __init__(self, *hops: Hop) -> None:
        self.found = list(hops)
        self.asked = 0
        self.may_go_on = gevent.event.Event()
        self.may_go_on.set()

    def is_resolved(self, uri: SipUri) -> bool:
        return uri.host != FARM or self.may_go_on.is_set()

    def hops(self, uri: SipUri) -> list[Hop]:
        if uri.host != FARM:
            return [Hop("UDP", (uri.host, uri.port or 5060))]
        self.asked += 1
        self.may_go_on.wait()
        if not self.found:
            raise NoRoute("no such name")
        return list(self.found)


@pytest.fixture
def alice(world: World) -> Phone:
    return world.phone("alice")


@pytest.fixture
def farm(world: World) -> list[Phone]:
    """Bob's address is a name, with three addresses behind it."""
    phones = [world.phone("bob", registered=False) for _ in range(3)]
    phones[0].registers(f"<sip:bob@{FARM}>")
    return phones


@pytest.fixture
def names(world: World, farm: list[Phone]) -> Names:
    names = Names(*(Hop("UDP", phone.address) for phone in farm))
    world.server.proxy.forwarder.resolver = names
    return names


def connected(world: World, phone: Phone) -> Hop:
    """The hop of a phone that listens for connections at its address."""
    phone.listens_at = phone.address
    return Hop("TCP", phone.address)


def test_a_silent_address_is_passed_over_after_timer_b(world: World, alice, farm, names):
    """§17.1.1.2: 32 s; then a new branch, and the same Call-ID and CSeq."""
    invite = alice.sends("INVITE", farm[0].aor)
    first = farm[0].gets("INVITE")
    world.passes(31.5, step=0.5)
    assert farm[1].hears_nothing()
    world.passes(1, step=0.1)
    second = farm[1].gets("INVITE")
    assert second.via.branch != first.via.branch
    assert (second.call_id, second.cseq) == (first.call_id, first.cseq)
    farm[1].answers(second, 200)
    assert alice.gets(200, invite)
    assert farm[2].hears_nothing()


def test_an_unreachable_address_is_passed_over_at_once(world: World, alice, farm, names):
    """§18.4: ICMP says so."""
    world.dead = {farm[0].address, farm[1].address}
    call = calls((alice, farm[2]))
    call.is_answered()


def test_so_is_one_that_is_unavailable(world: World, alice, farm, names):
    """RFC 3263 §4.3: a 503 is no answer for the caller while there is another."""
    alice.sends("INVITE", farm[0].aor)
    farm[0].answers(farm[0].gets("INVITE"), 503)
    farm[1].answers(farm[1].gets("INVITE"), 486)
    assert alice.gets(486)
    assert farm[2].hears_nothing()


@pytest.mark.parametrize("status", [404, 480, 486, 500, 504, 600])
def test_any_other_answer_is_one(world: World, alice, farm, names, status: int):
    """RFC 3263 §4.3: only 503 speaks for the host."""
    alice.sends("INVITE", farm[0].aor)
    farm[0].answers(farm[0].gets("INVITE"), status)
    assert alice.gets(status)
    assert farm[1].hears_nothing()


def test_when_all_have_failed_the_caller_hears_once(world: World, alice, farm, names):
    """§16.7, step 6: 503 of the last goes on as 500."""
    alice.sends("INVITE", farm[0].aor)
    for phone in farm:
        phone.answers(phone.gets("INVITE"), 503)
        phone.gets("ACK")
    assert alice.gets(500)
    assert all(phone.hears_nothing() for phone in farm)


def test_what_has_failed_is_asked_last_for_a_while(world: World, alice, farm, names):
    """Else each call would wait for it anew."""
    world.dead = {farm[0].address}
    calls((alice, farm[1])).is_answered()
    world.dead = set()
    calls((alice, farm[1])).is_answered()
    assert farm[0].hears_nothing()
    world.passes(SECONDS_AVOIDED + 1, step=1)
    for phone in (alice, *farm):
        phone.inbox.clear()
    calls((alice, farm[0]))


def test_an_acknowledgement_goes_where_its_call_is(world: World, alice, farm, names):
    """§13.2.2.4: it goes to the host in the call, not to the dead address that is first again."""
    names.found.reverse()
    world.dead = {phone.address for phone in farm[1:]}
    call = calls((alice, farm[0]))
    farm[0].contact = f"<sip:bob@{FARM}>"
    farm[0].answers(call.received, 180)
    alice.gets(180)
    world.passes(SECONDS_AVOIDED + 1, step=1)
    call.is_answered()
    exchanged(alice, "BYE", call.here, farm[0])


def test_an_acknowledgement_takes_the_way_that_there_is(world: World, alice):
    """RFC 3263 §4.3: a server of one family knows no way to addresses of the other."""
    bob = world.phone("bob")
    alice.contact = f"<sip:alice@{FARM}>"
    call = calls((alice, bob))
    call.is_answered()
    forwarder = world.server.proxy.forwarder
    forwarder.resolver = Names(Hop("UDP", ("2001:db8::5", 5060)), Hop("UDP", alice.address))
    bob.sends_within("INVITE", call.there, cseq=2)
    alice.answers(alice.gets("INVITE"), 200)
    bob.gets(200)
    world.passes(SECONDS_AVOIDED + 1, step=1)
    alice.inbox.clear()
    bob.sends_within("ACK", call.there, cseq=2)
    assert alice.gets("ACK")


def test_a_way_that_is_none_is_asked_last_for_a_while(world: World, alice, farm, names):
    """As one that is silent: no socket of ours leads there, or no network."""
    names.found.insert(0, Hop("UDP", ("2001:db8::5", 5060)))
    calls((alice, farm[0])).is_answered()
    uri = parse_uri(f"sip:bob@{FARM}")
    assert world.server.proxy.forwarder.next_hops(uri) == [*names.found[1:], names.found[0]]


def test_a_host_that_has_rung_keeps_the_call(world: World, alice, farm, names):
    """§16.6, step 11: timer C ends it; no other phone rings instead."""
    alice.sends("INVITE", farm[0].aor)
    farm[0].answers(farm[0].gets("INVITE"), 180)
    world.passes(181 + 33, step=1)
    assert farm[0].gets("CANCEL")
    assert farm[1].hears_nothing()
    alice.gets(180)
    assert alice.gets(408)


def test_a_cancelled_call_tries_no_other_host(world: World, alice, farm, names):
    """§16.10."""
    invite = alice.sends("INVITE", farm[0].aor)
    farm[0].gets("INVITE")
    cancel = alice.cancels(invite)
    assert alice.gets(200, cancel)
    world.passes(33, step=0.25)
    assert alice.gets(487, invite)
    assert farm[1].hears_nothing()


def test_another_method_goes_on_too(world: World, alice, farm, names):
    """RFC 3263 §4.3: for any request."""
    world.dead = {farm[0].address}
    message = alice.sends("MESSAGE", farm[0].aor, body=b"hello")
    farm[1].answers(farm[1].gets("MESSAGE"), 200)
    assert alice.gets(200, message)


def test_a_fork_tries_the_addresses_of_each_target_by_themselves(world: World, alice, farm, names):
    """§16.7: a dead address fails neither its target nor the fork."""
    desk = world.phone("bob")
    world.dead = {farm[0].address}
    alice.sends("INVITE", desk.aor)
    ringing = desk.gets("INVITE")
    farm[1].answers(farm[1].gets("INVITE"), 486)
    desk.answers(ringing, 200)
    assert alice.gets(200)


def test_a_slow_name_leads_to_its_second_address_too(world: World, alice, farm, names):
    """It delays only its own branch."""
    names.may_go_on.clear()
    world.dead = {farm[0].address}
    alice.sends("INVITE", farm[0].aor)
    assert alice.gets(100)
    names.may_go_on.set()
    world.settle()
    farm[1].answers(farm[1].gets("INVITE"), 200)
    assert alice.gets(200)


def test_the_breadth_is_one_for_any_number_of_addresses(world: World, alice, farm, names):
    """RFC 5393 §5.3.3: one is tried at a time."""
    world.dead = {farm[0].address}
    alice.sends("INVITE", farm[0].aor, headers=("Max-Breadth: 1",))
    received = farm[1].gets("INVITE")
    assert received.value("max-breadth") == "1"


# Datagrams and connections


def large() -> bytes:
    return SDP + b"a=candidate:1 1 UDP 1 192.0.2.9 4000 typ host\r\n" * 40


def test_a_large_request_goes_by_a_connection_where_one_is_known(world: World, alice, farm, names):
    """§18.1.1: over 1300 octets; Via and Record-Route say so."""
    names.found.append(connected(world, farm[0]))
    invite = calls((alice, farm[0])).received
    assert invite.via.transport == "UDP"
    farm[0].answers(invite, 486)
    farm[0].gets("ACK")
    alice.gets(486)
    invite = calls((alice, farm[0]), body=large()).received
    assert invite.via.transport == "TCP"
    assert "transport=tcp" in invite.values("record-route")[0]


def test_it_goes_by_a_datagram_where_that_fails(world: World, alice, farm, names):
    """§18.1.1: no host accepts the connection."""
    names.found.append(Hop("TCP", farm[0].address))
    invite = calls((alice, farm[0]), body=large()).received
    assert invite.via.transport == "UDP"


def test_it_stays_a_datagram_where_no_connection_is_known(world: World, alice, farm, names):
    """RFC 3263 §4.1: nothing says that TCP is taken there."""
    invite = calls((alice, farm[0]), body=large()).received
    assert invite.via.transport == "UDP"


def test_what_no_datagram_holds_needs_a_connection(world: World, alice, farm, names):
    """§18.1.1: by any way that is left."""
    body = SDP + b"a=x\r\n" * 13_000
    names.found.append(connected(world, farm[0]))
    assert calls((alice, farm[0]), body=body).received.body == body


def test_a_connection_that_failed_is_not_tried_first_next_time(
    world: World, alice, farm, names, monkeypatch
):
    """RFC 3263 §4.3: each large request would wait for it."""
    names.found.append(Hop("TCP", farm[0].address))  # no peer accepts it
    opened = []
    original = world.streams.open

    def opens(local, remote, transport="", name=""):
        opened.append(remote)
        return original(local, remote)

    monkeypatch.setattr(world.streams, "open", opens)
    calls((alice, farm[0]), body=large())
    assert opened
    opened.clear()
    calls((alice, farm[0]), body=large())
    assert not opened


def test_a_connection_is_reused_and_reopened_after_a_break(world: World, alice, farm, names):
    """§18.1.1; and the requests on it fail with it (§18.4)."""
    names.found = [connected(world, farm[0])]
    opened = []
    for _ in range(2):
        received = calls((alice, farm[0])).received
        opened.append(set(world.streams.phones))
        farm[0].answers(received, 200)
        alice.gets(200)
    assert opened[0] == opened[1]
    received = calls((alice, farm[0])).received
    world.streams.close(farm[0])
    world.settle()
    assert alice.gets(500)
    calls((alice, farm[0]))
    assert world.streams.phones.keys() != opened[0]


@pytest.mark.parametrize("status", [None, 180])
def test_a_phone_that_rang_keeps_the_call_on_a_broken_connection(
    world: World, alice, farm, names, status
):
    """RFC 3263 §4.3: a host with a response may still ring; only silent hosts are skipped."""
    names.found = [connected(world, farm[0]), Hop("UDP", farm[1].address)]
    alice.sends("INVITE", farm[0].aor)
    received = farm[0].gets("INVITE")
    if status:
        farm[0].answers(received, status)
        alice.gets(status)
    world.streams.close(farm[0])
    world.settle()
    assert farm[1].hears_nothing() == bool(status)
    assert (alice.gets(500) if status else farm[1].gets("INVITE")) is not None
