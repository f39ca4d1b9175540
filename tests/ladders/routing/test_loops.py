"""Loops and spirals (RFC 3261 §16.3 step 4; RFC 5393 §4)."""

import itertools

import pytest

from sip.message.message import Request, parse
from tests.support.cases import cases
from tests.support.outside_proxy import OUTSIDE, STRANGER, goes_on, numbers, outside, statuses
from tests.support.world import REALM, Phone, World, dialog_of_callee, dialog_of_caller

# Loops and spirals, §4.2


@cases("method", ["INVITE", "MESSAGE", "SUBSCRIBE"])
@cases("is_local", [True, False])
def test_a_request_that_comes_back_as_it_went_has_looped(world: World, method: str, is_local: bool):
    """§4.2.2: 482 before any challenge, and the caller gets it."""
    proxy = outside(world, "bob")
    alice = world.phone("alice")
    alice.sends(method, f"sip:bob@{REALM}", from_uri=alice.aor if is_local else STRANGER)
    request = proxy.gets(method)
    proxy.transmits(goes_on(request, f"sip:bob@{REALM}"))
    looped = proxy.gets(482)
    assert looped.to.tag
    response = looped
    response.remove_top_via()
    proxy.transmits(response)
    assert 482 in statuses(alice)


def test_a_request_that_comes_back_for_another_user_spirals(world: World):
    """§4.2.1: the received Request-URI is part of what makes a loop."""
    proxy, carol = outside(world, "bob"), world.phone("carol")
    stranger = world.phone("stranger", registered=False)
    stranger.sends("INVITE", f"sip:bob@{REALM}", from_uri=STRANGER)
    proxy.transmits(goes_on(proxy.gets("INVITE"), carol.aor))
    invite = carol.gets("INVITE")
    assert len(invite.values("via")) == 4
    assert sum(" 192.0.2.1:5060;" in via for via in invite.values("via")) == 2


@pytest.mark.parametrize("method", ["INFO", "INVITE", "BYE"])
def test_a_dialog_that_spirals_passes_here_twice_each_way(world: World, method: str):
    """§4.2.1: within a dialog the Request-URI stays, and the Routes tell the passages apart."""
    proxy, carol = outside(world, "bob"), world.phone("carol")
    stranger = world.phone("stranger", registered=False)
    call = stranger.sends("INVITE", f"sip:bob@{REALM}", from_uri=STRANGER)
    outward = goes_on(proxy.gets("INVITE"), carol.aor)
    own = f"<sip:{OUTSIDE};lr>"
    outward.put_first("record-route", f"Record-Route: {own}")
    proxy.transmits(outward)
    invite = carol.gets("INVITE")
    ok = carol.answers(invite, 200)
    through = proxy.gets(200)
    through.remove_top_via()
    proxy.transmits(through)
    here, there = dialog_of_caller(call, stranger.gets(200, call)), dialog_of_callee(invite, ok)
    for dialog, near, far in ((here, stranger, carol), (there, carol, stranger)):
        near.sends_within(method, dialog)
        midway = proxy.gets(method)
        assert midway.values("route")[0] == own
        onward = goes_on(midway, midway.uri_text)
        onward.set_values("route", "Route", midway.values("route")[1:])
        proxy.transmits(onward)
        got = far.gets(method)
        assert (got.uri_text, got.values("route")) == (dialog.target, [])


def test_a_loop_is_found_however_long_it_is(world: World):
    """§4.2.2: every Via of ours is looked at, not the last alone."""
    proxy = outside(world, "bob")
    other = outside(world, "carol", "<sip:198.51.100.2>")
    stranger = world.phone("stranger", registered=False)
    stranger.sends("INVITE", f"sip:bob@{REALM}", from_uri=STRANGER)
    proxy.transmits(goes_on(proxy.gets("INVITE"), f"sip:carol@{REALM}"))
    other.transmits(goes_on(other.gets("INVITE"), f"sip:bob@{REALM}"))
    other.gets(482)
    proxy.inbox.clear()
    assert proxy.hears_nothing()


def test_a_looping_branch_is_no_harm_to_the_phone_that_rings(world: World):
    """§4.2.2, RFC 3261 §16.7: 482 is one answer among others."""
    proxy = outside(world, "bob")
    desk = world.phone("bob")
    stranger = world.phone("stranger", registered=False)
    stranger.sends("INVITE", desk.aor, from_uri=STRANGER)
    proxy.transmits(goes_on(proxy.gets("INVITE"), desk.aor))
    looped = proxy.gets(482)
    looped.remove_top_via()
    proxy.transmits(looped)
    desk.answers(desk.gets("INVITE"), 200)
    assert statuses(stranger) == [200]
    assert desk.hears_nothing()


@pytest.mark.parametrize(
    "template",
    [
        "{0}, {1}",
        'SIP / 2.0 / UDP  first.example ; x="a,b;branch=z9hG4bK" ;y, {0} , {1}',
        "SIP/2.0/TCP [2001:db8::1]:5061;branch=z9hG4bK;ttl=1;maddr=224.2.0.1;hidden, {0}, {1}",
        '{0};odd="192.0.2.1;branch=1";lone, {1}',
        'SIP/2.0/UDP h;x="\\"";branch=1,{0},{1}',
    ],
)
def test_vias_of_others_may_look_as_they_like(world: World, template: str):
    """§4.2.3: what the grammar allows makes no element fail, and hides no loop."""
    proxy, carol = outside(world, "bob"), world.phone("carol")
    stranger = world.phone("stranger", registered=False)
    stranger.sends("INVITE", f"sip:bob@{REALM}", from_uri=STRANGER)
    invite = proxy.gets("INVITE")
    vias = template.format(*invite.values("via"))
    proxy.transmits(goes_on(invite, carol.aor, vias))
    assert vias in carol.gets("INVITE").fields("via")
    proxy.inbox.clear()
    proxy.transmits(goes_on(invite, f"sip:bob@{REALM}", vias))
    proxy.gets(482)


@cases(
    "via",
    [
        "SIP/2.0/UDP 192.0.2.1:5060",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=1",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK0123456789abcdef",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK0123456789abcdef0123456789abcdef",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK0123456789abcdef.0123456789abcdef",
        'SIP/2.0/UDP 192.0.2.1:5060;branch="z9hG4bK0123456789abcdef"',
    ],
)
def test_a_via_of_ours_that_says_nothing_is_no_loop(world: World, via: str):
    """§4.2.2: the second part may be missing; one that is another's has spiraled."""
    bob, edge = world.phone("bob"), world.phone("edge", registered=False)
    edge.sends("INVITE", bob.aor, from_uri=STRANGER, headers=(f"Via: {via}",))
    bob.gets("INVITE")


def test_a_re_invite_after_a_call_is_no_loop(world: World):
    """§4.2.2: each request begins without a Via of ours, within a dialog too."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 200)
    here = dialog_of_caller(call, alice.gets(200, call))
    for _ in range(3):
        alice.sends_within("INVITE", here)
        bob.answers(bob.gets("INVITE"), 200)
        alice.gets(200)


def test_cancel_and_ack_have_the_branch_of_their_invite(world: World):
    """§4.2.1: the second part doesn't vary with the method."""
    stranger = world.phone("stranger", registered=False)
    desk, mobile = world.phones("bob", "bob")
    call = stranger.sends("INVITE", desk.aor, from_uri=STRANGER)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    desk.answers(at_desk, 180)
    mobile.answers(at_mobile, 486)
    assert mobile.gets("ACK").via.branch == at_mobile.via.branch
    stranger.inbox.clear()
    stranger.cancels(call)
    assert desk.gets("CANCEL").via.branch == at_desk.via.branch
    assert at_desk.via.branch != at_mobile.via.branch


def test_the_attack_of_two_proxies_dies_down(world: World):
    """§3: each forks to the other's two users; loop detection and breadth end it soon."""
    one = outside(world, "one")
    two = world.phone("two", registered=False)
    two.registers(f"<sip:{OUTSIDE};x=1>", f"<sip:{OUTSIDE};x=2>")
    stranger = world.phone("stranger", registered=False)
    stranger.sends("INVITE", f"sip:one@{REALM}", from_uri=STRANGER)
    seen = 0
    for _ in range(200):
        if one.hears_nothing():
            break
        message = one.takes()
        if isinstance(message, Request) and message.method == "INVITE":
            seen += 1
            for user in ("one", "two"):
                one.transmits(goes_on(message, f"sip:{user}@{REALM}"))
    assert one.hears_nothing()
    assert seen <= 10


# Loops within dialogs, by redirections and through other proxies


def sends_on(proxy: Phone, request: Request, uri: str, routes: tuple[str, ...] = ()) -> Request:
    """The proxy passes a request on, with its Via, to us."""
    copy = request.copy()
    copy.uri_text = uri
    copy.set_values("route", "Route", list(routes))
    copy.put_first("via", f"Via: SIP/2.0/UDP {OUTSIDE};branch=z9hG4bKx{next(numbers)}")
    again = parse(copy.encode())
    assert isinstance(again, Request)
    proxy.transmits(again)
    return again


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
    proxy = outside(world, "bob")
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
    proxy = outside(world, "bob")
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
    proxy = outside(world, "bob")
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
    proxy = outside(world, "bob")
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


def test_a_redirection_is_no_loop():
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
    """RFC 3261 §17.1.4, §18.4: the error quotes the whole of it."""
    desk, mobile = world.phones("bob", "bob")
    stranger.sends("INVITE", desk.aor, from_uri=STRANGER)
    invite = desk.gets("INVITE")
    mobile.answers(mobile.gets("INVITE"), 404)
    world.server.layer.unreachable(invite.encode()[:500])
    world.settle()
    assert statuses(stranger) == [404]
