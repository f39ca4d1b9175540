"""Loops, spirals and how widely a request may be forked (RFC 5393)."""

import itertools

import pytest

from sip.message.message import Request, Response, parse
from tests.support.world import REALM, Phone, World, dialog_of_callee, dialog_of_caller

STRANGER = "sip:x@elsewhere.org"
OUTSIDE = "198.51.100.1"  # another domain's proxy, which some Contact leads to


def outside(world: World, name: str, contact: str = f"<sip:{OUTSIDE}>") -> Phone:
    """A user with another proxy as Contact, and that proxy."""
    world.phone(name, registered=False).registers(contact)
    host = contact.strip("<>").rpartition("@")[2].removeprefix("sip:").partition(";")[0]
    proxy = world.phone("proxy", registered=False, host=host)
    proxy.contact = ""
    return proxy


_numbers = itertools.count(1)


def goes_on(request: Request, uri: str, vias: str = "") -> Request:
    """The request as another proxy passes it on; `vias` are written instead of those it had."""
    copy = request.copy()
    copy.uri_text = uri
    copy.set("max-forwards", f"Max-Forwards: {int(copy.value('max-forwards') or 70) - 1}")
    if vias:
        copy.set_values("via", "Via", [vias])
    copy.put_first("via", f"Via: SIP/2.0/UDP {OUTSIDE};branch=z9hG4bKp{next(_numbers)}")
    return parse(copy.encode())  # type: ignore[return-value]


def statuses(phone: Phone) -> list[int | str]:
    messages = [phone.takes() for _ in range(len(phone.inbox))]
    what = [m.status if isinstance(m, Response) else m.method for m in messages]
    return [item for item in what if item != 100]


# Loops and spirals, §4.2


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE"])
@pytest.mark.parametrize("is_local", [True, False])
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


@pytest.mark.parametrize(
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


def test_the_same_request_by_two_ways_is_no_loop(world: World):
    """§4.2.2: it has no Via of ours; RFC 3261 §16.3 has it passed on."""
    bob, edge = world.phone("bob"), world.phone("edge", registered=False)
    request = edge.request("INVITE", bob.aor, from_uri=STRANGER)
    for _ in range(2):
        edge.transmits(goes_on(request, bob.aor))
    assert statuses(bob) == ["INVITE", "INVITE"]


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


# Max-Breadth, §5.3


def pending_breadth(phones: list[Phone], known: dict[str, tuple[Phone, Request]]) -> int:
    """Take what has come to the phones; the sum of what is not answered yet."""
    for phone in phones:
        while phone.inbox:
            request = phone.gets("MESSAGE")
            known[request.via.branch] = phone, request
    return sum(int(request.value("max-breadth")) for _, request in known.values())


@pytest.mark.parametrize("breadth", [1, 2, 3, 4, 5, 7, 60])
@pytest.mark.parametrize("phones", [1, 2, 3, 5])
def test_branches_at_work_never_have_more_breadth_than_came(
    world: World, breadth: int, phones: int
):
    """§5.3.3: the outgoing sum is at most the incoming value, and each phone is tried."""
    bobs = world.phones(*["bob"] * phones)
    stranger = world.phone("stranger", registered=False)
    stranger.sends("MESSAGE", bobs[0].aor, from_uri=STRANGER, headers=(f"Max-Breadth: {breadth}",))
    known: dict[str, tuple[Phone, Request]] = {}
    for tried in range(phones):
        total = pending_breadth(bobs, known)
        assert total == breadth if tried == 0 else total <= breadth
        assert len(known) == min(breadth, phones - tried)
        branch = next(iter(known))
        phone, request = known.pop(branch)
        phone.answers(request, 486)
    assert not known
    assert all(phone.hears_nothing() for phone in bobs)
    stranger.gets(486)


@pytest.mark.parametrize(
    ("came", "goes"),
    [((), "60"), (("7",), "7"), (("1",), "1"), (("61",), "60"), (("9" * 30,), "60")],
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "FLY"])
def test_one_target_has_all_the_breadth_there_is(world: World, method: str, came, goes: str):
    """§5.3.3: added where there is none, cut to our maximum, and never counted down."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    headers = tuple(f"Max-Breadth: {value}" for value in came)
    stranger.sends(method, bob.aor, from_uri=STRANGER, headers=headers)
    assert bob.gets(method).fields("max-breadth") == [goes]


def test_requests_within_a_dialog_have_it_too(world: World):
    """§5.3.3: all proxied requests."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 200)
    here = dialog_of_caller(call, alice.gets(200, call))
    alice.sends_within("ACK", here, cseq=call.cseq[0])
    assert bob.gets("ACK").fields("max-breadth") == ["60"]
    alice.sends_within("INFO", here, headers=("Max-Breadth: 3",))
    assert bob.gets("INFO").fields("max-breadth") == ["3"]


def test_phones_tried_one_after_the_other_have_all_of_it_each(world: World):
    """§5.2, sequential forking; §5.3.3.1."""
    stranger = world.phone("stranger", registered=False)
    desk, mobile = world.phone("bob", registered=False), world.phone("bob", registered=False)
    desk.registers(f"{desk.contact};q=0.9")
    mobile.registers(f"{mobile.contact};q=0.1")
    stranger.sends("INVITE", desk.aor, from_uri=STRANGER)
    for phone in (desk, mobile):
        invite = phone.gets("INVITE")
        assert invite.value("max-breadth") == "60"
        phone.answers(invite, 486)


def test_breadth_given_back_goes_to_a_waiting_phone(world: World):
    """§5.5: as one of them fails the next begins; the others need not have ended."""
    stranger = world.phone("stranger", registered=False)
    phones = world.phones("bob", "bob", "bob", "bob")
    stranger.sends("INVITE", phones[0].aor, from_uri=STRANGER, headers=("Max-Breadth: 2",))
    invites = [phone.gets("INVITE") for phone in phones[:2]]
    assert all(phone.hears_nothing() for phone in phones[2:])
    phones[0].answers(invites[0], 486)
    third = phones[2].gets("INVITE")
    assert third.value("max-breadth") == "1"
    assert phones[3].hears_nothing()
    phones[2].answers(third, 200)
    stranger.gets(200)
    assert phones[3].hears_nothing()
    phones[1].answers(invites[1], 180)
    phones[1].gets("CANCEL")


def test_targets_waiting_for_breadth_are_not_tried_after_cancel(world: World):
    """RFC 3261 §16.10, §5.5: a CANCEL frees breadth, but no branch starts."""
    stranger = world.phone("stranger", registered=False)
    desk, mobile = world.phones("bob", "bob")
    call = stranger.sends("INVITE", desk.aor, from_uri=STRANGER, headers=("Max-Breadth: 1",))
    invite = desk.gets("INVITE")
    desk.answers(invite, 180)
    stranger.cancels(call)
    desk.answers(desk.gets("CANCEL"), 200)
    desk.answers(invite, 487)
    desk.gets("ACK")
    assert statuses(stranger) == [180, 200, 487]
    assert mobile.hears_nothing()


def test_what_waits_for_breadth_is_not_tried_after_a_6xx(world: World):
    """RFC 3261 §16.7, step 5: it MUST NOT be."""
    stranger = world.phone("stranger", registered=False)
    desk, mobile, car = world.phones("bob", "bob", "bob")
    stranger.sends("INVITE", desk.aor, from_uri=STRANGER, headers=("Max-Breadth: 2",))
    desk.answers(desk.gets("INVITE"), 603)
    desk.gets("ACK")
    invite = mobile.gets("INVITE")
    assert car.hears_nothing()
    mobile.answers(invite, 486)
    assert car.hears_nothing()
    assert statuses(stranger) == [603]


def test_dead_phones_give_their_breadth_back(world: World):
    """§5.3.3.1, RFC 3261 §16.9: they count as having answered 503."""
    stranger = world.phone("stranger", registered=False)
    phones = world.phones("bob", "bob", "bob")
    world.dead.update(phone.address for phone in phones[:2])
    stranger.sends("INVITE", phones[0].aor, from_uri=STRANGER, headers=("Max-Breadth: 1",))
    invite = phones[2].gets("INVITE")
    assert invite.value("max-breadth") == "1"
    phones[2].answers(invite, 200)
    assert statuses(stranger) == [200]
