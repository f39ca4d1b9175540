"""Failures of the server or the network during a fork, or several in one turn (RFC 3261 §16)."""

import errno
import itertools
from collections.abc import Callable

import pytest

from sip.message.message import Request, Response
from sip.message.uri import SipUri
from tests.support.cases import cases
from tests.support.world import REALM, Dialog, Phone, World, dialog_of_callee, dialog_of_caller

STRANGER = "sip:x@elsewhere.org"


def statuses(phone: Phone) -> list[int | str]:
    messages = [phone.takes() for _ in range(len(phone.inbox))]
    what = [m.status if isinstance(m, Response) else m.method for m in messages]
    return [item for item in what if item != 100]


def in_one_turn(world: World, steps: list[Callable[[], object]]) -> None:
    """All that is sent meanwhile is read before any handler has its turn."""
    settle, world.settle = world.settle, lambda: None  # type: ignore[method-assign]
    for step in steps:
        step()
    world.settle = settle  # type: ignore[method-assign]
    world.settle()


def is_quiet_after(world: World, *phones: Phone, seconds: float = 40) -> bool:
    world.passes(seconds, step=0.5)
    for phone in phones:
        phone.inbox.clear()
    return world.is_quiet and world.server.dispatcher.pending == 0


def ringing(world: World) -> tuple[Phone, Request, list[Phone], list[Request], Phone]:
    """A call that rings at two phones, and has a third to be tried after them."""
    phones = [world.phone("bob", registered=False) for _ in range(3)]
    for phone, q in zip(phones, ("0.9", "0.9", "0.1"), strict=True):
        phone.registers(f"{phone.contact};q={q}")
    caller = world.phone("caller", registered=False)
    call = caller.sends("INVITE", phones[0].aor, from_uri=STRANGER)
    invites = [phone.gets("INVITE") for phone in phones[:2]]
    for phone, invite in zip(phones[:2], invites, strict=True):
        phone.answers(invite, 180)
    assert statuses(caller) == [180, 180]
    return caller, call, phones[:2], invites, phones[2]


# Several events in one turn, §16.7, §16.10


@cases("order", list(itertools.permutations(range(3))))
def test_a_cancel_beside_the_last_failures_ends_the_search(world: World, order: tuple[int, ...]):
    """§16.10: in whichever order they are read, the next group is not rung."""
    caller, call, phones, invites, third = ringing(world)
    steps = [
        lambda: phones[0].answers(invites[0], 486),
        lambda: phones[1].answers(invites[1], 480),
        lambda: caller.cancels(call),
    ]
    in_one_turn(world, [steps[number] for number in order])
    assert third.hears_nothing()
    assert statuses(caller) == [200, 486]
    assert is_quiet_after(world, caller, *phones)


@cases("order", list(itertools.permutations(range(3))))
def test_two_2xx_and_a_cancel_in_one_turn(world: World, order: tuple[int, ...]):
    """§16.7, step 5: both 2xx go to the caller, and no failure."""
    caller, call, phones, invites, third = ringing(world)
    steps = [
        lambda: phones[0].answers(invites[0], 200),
        lambda: phones[1].answers(invites[1], 200),
        lambda: caller.cancels(call),
    ]
    in_one_turn(world, [steps[number] for number in order])
    assert statuses(caller) == [200, 200, 200]  # one of them is that of the CANCEL
    assert third.hears_nothing()
    assert all(phone.hears_nothing() for phone in phones)
    assert is_quiet_after(world, caller)


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_a_2xx_beside_a_6xx_is_the_answer(world: World, order: tuple[int, ...]):
    """§16.7, step 5: a 6xx waits for phones that ring already."""
    caller, _, phones, invites, third = ringing(world)
    steps = [
        lambda: phones[0].answers(invites[0], 603),
        lambda: phones[1].answers(invites[1], 200),
    ]
    in_one_turn(world, [steps[number] for number in order])
    assert statuses(caller) == [200]
    assert third.hears_nothing()
    assert is_quiet_after(world, caller, *phones)


@cases("order", list(itertools.permutations(range(3))))
def test_an_error_of_the_network_beside_a_failure_and_a_cancel(
    world: World, order: tuple[int, ...]
):
    """§16.9, §16.10: a phone that was not heard yet is gone, and its 503 stays here."""
    desk, mobile = world.phones("bob", "bob")
    caller = world.phone("caller", registered=False)
    call = caller.sends("INVITE", desk.aor, from_uri=STRANGER)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    steps = [
        lambda: world.server.layer.unreachable(at_desk.encode()),
        lambda: mobile.answers(at_mobile, 404),
        lambda: caller.cancels(call),
    ]
    in_one_turn(world, [steps[number] for number in order])
    assert statuses(caller) in ([200, 404], [404, 200])
    assert desk.hears_nothing()
    assert is_quiet_after(world, caller, mobile)


# A fault of ours, §16.7 step 10


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_fault_during_a_fork_leaves_no_phone_ringing(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str
):
    """§16.7, step 10: after any final response upstream, pending branches are cancelled."""
    desk, mobile = world.phones("bob", "bob")
    caller = world.phone("caller", registered=False)
    resolver = world.server.proxy.forwarder.resolver
    is_resolved, count = resolver.is_resolved, itertools.count(1)

    def fails(uri: SipUri) -> bool:
        if next(count) == 2:
            raise RuntimeError("a fault of ours")
        return is_resolved(uri)

    monkeypatch.setattr(resolver, "is_resolved", fails)
    caller.sends(method, desk.aor, from_uri=STRANGER)
    assert statuses(caller) == [500]
    request = desk.gets(method)
    if method == "INVITE":
        desk.answers(request, 180)
        desk.answers(desk.gets("CANCEL"), 200)
    desk.answers(request, 487)
    desk.inbox.clear()
    assert mobile.hears_nothing()
    assert is_quiet_after(world, caller)


def test_a_fault_while_others_ring_cancels_them(world: World, monkeypatch: pytest.MonkeyPatch):
    """§16.7, step 10: later too, when a group is begun beside one that rings."""
    bob = world.phones("bob", "bob", "bob")
    caller = world.phone("caller", registered=False)
    caller.sends("INVITE", bob[0].aor, from_uri=STRANGER, headers=("Max-Breadth: 2",))
    first, second = (phone.gets("INVITE") for phone in bob[:2])
    bob[0].answers(first, 180)

    def fails(uri: SipUri) -> bool:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(world.server.proxy.forwarder.resolver, "is_resolved", fails)
    bob[1].answers(second, 486)
    bob[0].answers(bob[0].gets("CANCEL"), 200)
    bob[0].answers(first, 487)
    assert statuses(caller) == [180, 500]
    assert is_quiet_after(world, caller, *bob)


# What no datagram holds, §21.5.14


def too_large(world: World, monkeypatch: pytest.MonkeyPatch, *phones: Phone) -> None:
    """No datagram to these phones is small enough."""
    (sock,) = world.server.transports.sockets
    send = sock.send

    def sends(data: bytes, flow) -> None:
        if flow.remote in {phone.address for phone in phones}:
            raise OSError(errno.EMSGSIZE, "Message too long")
        send(data, flow)

    monkeypatch.setattr(sock, "send", sends)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "FLY"])
def test_a_message_too_large_for_udp_is_513(world: World, monkeypatch, method: str):
    """§18.1.1, §21.5.14: 513, and never a 500 that means a phone is gone."""
    desk, mobile = world.phones("bob", "bob")
    caller = world.phone("caller", registered=False)
    too_large(world, monkeypatch, desk, mobile)
    caller.sends(method, desk.aor, from_uri=STRANGER)
    assert statuses(caller) == [513]
    assert is_quiet_after(world, caller)


def test_where_it_reaches_one_phone_that_one_decides(world: World, monkeypatch):
    """§16.7, step 6: a received response says more."""
    desk, mobile = world.phones("bob", "bob")
    caller = world.phone("caller", registered=False)
    too_large(world, monkeypatch, desk)
    caller.sends("INVITE", desk.aor, from_uri=STRANGER)
    mobile.answers(mobile.gets("INVITE"), 486)
    assert statuses(caller) == [486]


# Within a dialog


def talk(caller: Phone, callee: Phone, **more) -> tuple[Dialog, Dialog]:
    call = caller.sends("INVITE", callee.aor, **more)
    invite = callee.gets("INVITE")
    ok = callee.answers(invite, 200)
    return dialog_of_caller(call, caller.gets(200, call)), dialog_of_callee(invite, ok)


@cases("method", ["INFO", "BYE", "ACK"])
@cases("maddr", ["192.0.2.1", "192.0.2.1;transport=udp", REALM])
def test_a_maddr_that_names_us_is_taken_off_a_target(world: World, method: str, maddr: str):
    """§16.4: else a request within a dialog would be sent to ourselves."""
    alice, bob = world.phones("alice", "bob")
    here, _ = talk(alice, bob)
    here.target = f"sip:bob@{bob.address[0]};x=y;maddr={maddr}"
    alice.sends_within(method, here)
    assert bob.gets(method).uri_text == f"sip:bob@{bob.address[0]};x=y"
    assert not world.lost


def test_an_ack_to_our_address_goes_to_the_best_phone(world: World):
    """§16.11: to one place; §16.12: a target that names us is looked up."""
    alice = world.phone("alice")
    desk, mobile = world.phone("bob", registered=False), world.phone("bob", registered=False)
    desk.registers(f"{desk.contact};q=0.2")
    mobile.registers(f"{mobile.contact};q=0.8")
    call = alice.sends("INVITE", mobile.aor)
    mobile.contact = f"<{mobile.aor}>"
    mobile.answers(mobile.gets("INVITE"), 200)
    here = dialog_of_caller(call, alice.gets(200, call))
    alice.sends_within("ACK", here, cseq=call.cseq[0])
    assert mobile.gets("ACK").uri_text == f"sip:bob@{mobile.address[0]}:5060"
    assert desk.hears_nothing()
    mobile.registers(expires=0)
    for target in (f"sip:nobody@{REALM}", f"sip:{REALM}"):
        here.target = target
        alice.sends_within("ACK", here, cseq=call.cseq[0])
    assert desk.hears_nothing()
    assert mobile.hears_nothing()
    assert not world.lost


@pytest.mark.parametrize("method", ["INFO", "INVITE", "BYE", "ACK"])
def test_a_strict_router_behind_a_flow_gets_what_it_wants(world: World, method: str):
    """§16.6, step 6: its own URI as the Request-URI, the target as the last Route."""
    edge, bob = world.phone("edge", registered=False), world.phone("bob")
    own = f"sip:{edge.address[0]}"
    _, there = talk(edge, bob, from_uri=STRANGER, headers=(f"Record-Route: <{own}>",))
    target = there.target
    bob.sends_within(method, there)
    request = edge.gets(method)
    assert (request.uri_text, request.values("route")) == (own, [f"<{target}>"])


@pytest.mark.parametrize("contact", ["<nonsense", "<sip:", "", '"', "<sip:a@b>, <sip:c@d>"])
def test_an_unreadable_contact_of_the_caller_is_passed_on(world: World, contact: str):
    """§16.3, step 1: it SHOULD be ignored; its sender is reached along its flow."""
    alice, bob = world.phones("alice", "bob")
    alice.contact = contact
    alice.sends("INVITE", bob.aor)
    assert bob.gets("INVITE").fields("contact") == [contact]


# Bounds


@pytest.mark.parametrize("follows", [True, False])
def test_how_many_users_one_request_looks_up_is_bounded(
    monkeypatch: pytest.MonkeyPatch, follows: bool
):
    """RFC 5393 §5: accounts that name each other, twenty each, by Contacts and by redirections."""
    world = World(settings={"sip_follow_redirects": follows})
    last = None
    for number in range(120):
        phone = world.phone(f"u{number}", registered=False, host=f"198.18.0.{number + 1}")
        others = [(number * 20 + step) % 120 for step in range(1, 20)]
        contacts = [f"<sip:u{other}@{REALM};x={other}>" for other in others]
        phone.registers(*contacts, *([phone.contact] if number == 0 else []))
        last = last or phone
    accounts = world.server.proxy.authenticator.accounts
    find, seen = accounts.find, []

    def finds(*args):
        seen.append(args)
        return find(*args)

    monkeypatch.setattr(accounts, "find", finds)
    caller = world.phone("caller", registered=False)
    caller.sends("INVITE", f"sip:u0@{REALM}", from_uri=STRANGER)
    assert last is not None
    everybody = tuple(f"Contact: <sip:u{number}@{REALM}>" for number in range(120))
    last.answers(last.gets("INVITE"), 302, headers=everybody)
    assert statuses(caller) == [302]
    assert len(seen) <= 62


def test_a_phone_called_by_its_contact_is_not_called_again():
    """§16.5: a place that is in the target set already is not added by a redirection."""
    world = World(settings={"sip_follow_redirects": True})
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    alice.sends("INVITE", desk.contact.strip("<>"))
    desk.answers(desk.gets("INVITE"), 302, headers=(f"Contact: <{desk.aor}>",))
    desk.gets("ACK")
    assert desk.hears_nothing()
    mobile.answers(mobile.gets("INVITE"), 200)
    assert statuses(alice) == [200]
