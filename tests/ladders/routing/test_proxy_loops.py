"""Loops within dialogs, by redirections and by other proxies' ways (RFC 5393 §4)."""

import itertools

import pytest

from sip.message.message import Request, Response, parse
from tests.support.world import REALM, Phone, World, dialog_of_caller

STRANGER = "sip:x@elsewhere.org"
OUTSIDE = "198.51.100.1"
_numbers = itertools.count(1)


def outside(world: World, name: str = "bob") -> Phone:
    """A proxy in another domain that a user's Contact names."""
    world.phone(name, registered=False).registers(f"<sip:{OUTSIDE}>")
    proxy = world.phone("proxy", registered=False, host=OUTSIDE)
    proxy.contact = ""
    return proxy


def sends_on(proxy: Phone, request: Request, uri: str, routes: tuple[str, ...] = ()) -> Request:
    """The proxy passes a request on, with its Via, to us."""
    copy = request.copy()
    copy.uri_text = uri
    copy.set_values("route", "Route", list(routes))
    copy.put_first("via", f"Via: SIP/2.0/UDP {OUTSIDE};branch=z9hG4bKx{next(_numbers)}")
    again = parse(copy.encode())
    assert isinstance(again, Request)
    proxy.transmits(again)
    return again


def statuses(phone: Phone) -> list[int | str]:
    messages = [phone.takes() for _ in range(len(phone.inbox))]
    what = [m.status if isinstance(m, Response) else m.method for m in messages]
    return [item for item in what if item != 100]


def mark_of(request: Request) -> tuple[str, str]:
    """The two parts of the branch that we have given to a request."""
    first, _, second = request.via.branch.partition(".")
    assert first.startswith("z9hG4bK")
    return first, second


@pytest.fixture
def stranger(world: World) -> Phone:
    return world.phone("stranger", registered=False)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "FLY"])
def test_branches_share_one_loop_mark_and_differ_before_it(
    world: World, stranger: Phone, method: str
):
    """§4.2.1: the first part is unique, the second tells loops; one target has it too."""
    phones = world.phones("bob", "bob", "bob")
    stranger.sends(method, phones[0].aor, from_uri=STRANGER)
    branches = [mark_of(phone.gets(method)) for phone in phones]
    assert len({first for first, _ in branches}) == 3
    assert len({second for _, second in branches}) == 1
    assert all(len(second) >= 8 for _, second in branches)


def test_the_mark_varies_with_all_that_leads_a_request_on(world: World, stranger: Phone):
    """§4.2.1, §4.2.4: Request-URI and Routes as they came, and what tells requests apart."""
    bob = world.phone("bob")
    uris = (bob.aor, f"{bob.aor};x=y", "sip:bob@192.0.2.1")
    routes: tuple[tuple[str, ...], ...] = (
        (),
        ("Route: <sip:192.0.2.1;lr>",),
        ("Route: <sip:192.0.2.1;lr>, <sip:example.com;lr>",),
    )
    marks = set()
    for uri, route in itertools.product(uris, routes):
        for _ in range(2):
            request = stranger.request(
                "MESSAGE",
                uri,
                from_uri=STRANGER,
                headers=route,
                call_id="same",
                from_tag="same",
                cseq=1,
            )
            stranger.transmits(request)
            marks.add(mark_of(bob.gets("MESSAGE"))[1])
    assert len(marks) == len(uris) * len(routes)
    for call_id, tag, number in (("other", "same", 1), ("same", "other", 1), ("same", "same", 2)):
        stranger.sends(
            "MESSAGE", bob.aor, from_uri=STRANGER, call_id=call_id, from_tag=tag, cseq=number
        )
        marks.add(mark_of(bob.gets("MESSAGE"))[1])
    assert len(marks) == len(uris) * len(routes) + 3


def test_a_request_that_comes_back_by_another_route_spirals(world: World, stranger: Phone):
    """§4.2.1: the Routes that it came with are part of what makes a loop; one turn later it has."""
    proxy = outside(world)
    stranger.sends("INVITE", f"sip:bob@{REALM}", from_uri=STRANGER)
    route = ("<sip:192.0.2.1;lr>",)
    first = proxy.gets("INVITE")
    sends_on(proxy, first, f"sip:bob@{REALM}", route)
    second = proxy.gets("INVITE")
    assert len(second.values("via")) == 4
    sends_on(proxy, second, f"sip:bob@{REALM}", route)
    proxy.gets(482)


@pytest.mark.parametrize("method", ["INFO", "INVITE", "BYE"])
def test_a_request_within_a_dialog_loops_too(world: World, stranger: Phone, method: str):
    """§4.2.2: 482, though it shows its ticket."""
    proxy = outside(world)
    call = stranger.sends("INVITE", f"sip:bob@{REALM}", from_uri=STRANGER)
    invite = proxy.gets("INVITE")
    proxy.contact = f"<sip:{OUTSIDE}>"
    proxy.answers(invite, 200)
    here = dialog_of_caller(call, stranger.gets(200, call))
    stranger.sends_within(method, here)
    request = proxy.gets(method)
    back = sends_on(proxy, request, here.target, tuple(here.routes))
    answer = proxy.gets(482)
    assert answer.via.branch == back.via.branch
    answer.remove_top_via()
    proxy.transmits(answer)
    assert 482 in statuses(stranger)


def test_a_looping_ack_ends_with_its_hops_and_gets_no_answer(world: World, stranger: Phone):
    """RFC 3261 §16.3: Max-Forwards ends it."""
    proxy = outside(world)
    call = stranger.sends("INVITE", f"sip:bob@{REALM}", from_uri=STRANGER)
    invite = proxy.gets("INVITE")
    proxy.contact = f"<sip:{OUTSIDE}>"
    proxy.answers(invite, 200)
    here = dialog_of_caller(call, stranger.gets(200, call))
    stranger.sends_within("ACK", here, cseq=call.cseq[0])
    turns = 0
    while proxy.inbox:
        ack = proxy.gets("ACK")
        turns += 1
        sends_on(proxy, ack, here.target, tuple(here.routes))
    assert turns <= 70
    assert stranger.hears_nothing()


@pytest.mark.parametrize("is_local", [True, False])
def test_a_loop_leaves_nothing_behind(world: World, is_local: bool):
    """§4.2.2, RFC 3261 §8.2.7: it is refused without memory, and its branch ends."""
    proxy = outside(world)
    alice = world.phone("alice")
    alice.sends("INVITE", f"sip:bob@{REALM}", from_uri=alice.aor if is_local else STRANGER)
    held = len(world.server.layer.servers)
    for _ in range(5):
        request = proxy.gets("INVITE")
        sends_on(proxy, request, f"sip:bob@{REALM}")
        answer = proxy.gets(482)
        proxy.inbox.append(request.encode())
    assert len(world.server.layer.servers) == held
    assert world.server.dispatcher.pending == 1
    answer.remove_top_via()
    proxy.transmits(answer)
    proxy.inbox.clear()
    world.passes(33, step=0.5)
    for phone in (alice, proxy):
        phone.inbox.clear()
    assert world.is_quiet
    assert world.server.dispatcher.pending == 0


def test_what_a_redirection_leads_to_is_told_from_a_loop():
    """RFC 3261 §16.5: a local user in a 3xx is looked up here, without another request."""
    world = World(settings={"sip_follow_redirects": True})
    proxy = outside(world, "carol")
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    stranger.sends("INVITE", bob.aor, from_uri=STRANGER)
    bob.answers(bob.gets("INVITE"), 302, headers=(f"Contact: <sip:carol@{REALM}>",))
    bob.gets("ACK")
    invite = proxy.gets("INVITE")
    sends_on(proxy, invite, bob.aor)
    looped = proxy.gets(482)
    looped.remove_top_via()
    proxy.transmits(looped)
    assert statuses(stranger) == [482]


def test_an_error_of_the_network_finds_the_branch_by_its_mark(world: World, stranger: Phone):
    """RFC 3261 §17.1.4, §18.4: what is quoted is the whole of it."""
    desk, mobile = world.phones("bob", "bob")
    stranger.sends("INVITE", desk.aor, from_uri=STRANGER)
    invite = desk.gets("INVITE")
    mobile.answers(mobile.gets("INVITE"), 404)
    world.server.layer.unreachable(invite.encode()[:500])
    world.settle()
    assert statuses(stranger) == [404]
