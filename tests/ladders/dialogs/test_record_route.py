"""Record-Route within dialogs, and its signature (RFC 3261 §16.6 step 4, RFC 6665 §4.3).

So a phone that was started anew, or that knows the dialog by that request alone, goes on through
us; and no attacker gains by it.
"""

import re

import pytest

from sip.message.headers import parse_name_addr
from sip.message.message import Request
from tests.support.cases import cases
from tests.support.forwarding import (
    Call,
    carried,
    each_pair,
    exchanged,
    started_again,
    talks,
)
from tests.support.nat_phones import behind_nat
from tests.support.world import REALM, Dialog, Phone, World, dialog_of_callee, dialog_of_caller

STRANGER = "sip:x@elsewhere.org"
METHODS = ("INVITE", "UPDATE", "NOTIFY", "SUBSCRIBE", "REFER", "INFO", "MESSAGE", "FLY")


def sides(call: Call) -> list[tuple[Phone, Dialog, Phone]]:
    """The sender, the dialog and the receiver of a request."""
    assert call.here is not None
    assert call.there is not None
    return [(call.caller, call.here, call.callee), (call.callee, call.there, call.caller)]


def learns(sender: Phone, method: str, dialog: Dialog, receiver: Phone) -> tuple[Dialog, Dialog]:
    """A request within a dialog; what its sender and its receiver make of it, knowing no more."""
    sent = sender.sends_within(method, dialog)
    got = carried(sent, receiver)
    answer = receiver.answers(got, 200)
    heard = sender.gets(200, sent)
    assert heard.values("record-route") == got.values("record-route")
    from_answer = Dialog(
        sent.call_id,
        sent.from_.tag,
        heard.to.tag,
        dialog.target,
        list(reversed(heard.values("record-route"))),
    )
    return from_answer, dialog_of_callee(got, answer)


@cases("method", METHODS)
@each_pair()
def test_a_dialog_follows_the_contact_of_a_request_within_it(world: World, pair, method: str):
    """§12.1.1, §12.1.2: both sides learn the routes that they had; the ways stay the same."""
    call = talks(pair)
    for near, dialog, far in sides(call):
        again, learnt = learns(near, method, dialog, far)
        assert again.routes == dialog.routes
        other = call.there if dialog is call.here else call.here
        assert other is not None
        assert (learnt.routes, learnt.target) == (other.routes, other.target)
        exchanged(far, "INFO", learnt, near)
        exchanged(near, "UPDATE", again, far)
    assert not world.lost


@cases("method", ["INVITE", "NOTIFY"])
@each_pair()
def test_so_it_does_after_the_server_was_started_again(world: World, pair, method: str):
    """§16.6, step 4: the signed value is put back, so it need not be stored."""
    call = talks(pair)
    started_again(world)
    for near, dialog, far in sides(call):
        _, learnt = learns(near, method, dialog, far)
        started_again(world)
        exchanged(far, "INFO", learnt, near)


@each_pair()
def test_a_dialog_may_be_learnt_again_and_again(world: World, pair):
    """§16.6, step 4: the routes don't grow."""
    call = talks(pair)
    (alice, here, bob), (_, there, _) = sides(call)
    count = len(here.routes)
    for _ in range(3):
        here, there = learns(alice, "UPDATE", here, bob)
        there, here = learns(bob, "UPDATE", there, alice)
        assert len(here.routes) == len(there.routes) == count


@each_pair()
def test_a_bye_needs_none(world: World, pair):
    """§15: nothing goes on after it."""
    call = talks(pair)
    (alice, here, bob), _ = sides(call)
    alice.sends_within("BYE", here)
    assert not bob.gets("BYE").values("record-route")


@each_pair()
def test_an_ack_needs_none(world: World, pair):
    """§16.11: neither does an ACK, which has no response."""
    call = talks(pair)
    (alice, here, bob), _ = sides(call)
    alice.sends_within("ACK", here, cseq=call.invite.cseq[0])
    assert not bob.gets("ACK").values("record-route")


@each_pair()
def test_a_forked_subscription_is_known_by_its_notify_alone(world: World, pair):
    """RFC 6665 §4.3, §4.4.1: the 200 of one phone reached the subscriber, not that of the other."""
    alice, desk = pair
    mobile = world.phone("bob", registered=False)
    if "192.168" in desk.contact:
        mobile.contact = desk.contact.replace("1.20", "1.30")
    mobile.registers()
    subscribe = alice.sends("SUBSCRIBE", desk.aor, headers=("Event: presence",))
    at_desk, at_mobile = carried(subscribe, desk), carried(subscribe, mobile)
    desk.answers(at_desk, 200)
    there = dialog_of_callee(at_mobile, mobile.answers(at_mobile, 200))
    alice.gets(200)
    about = ("Event: presence", "Subscription-State: active")
    mobile.sends_within("NOTIFY", there, headers=about)
    notify = alice.gets("NOTIFY")
    here = dialog_of_callee(notify, alice.answers(notify, 200))
    mobile.gets(200)
    exchanged(alice, "SUBSCRIBE", here, mobile, headers=("Event: presence", "Expires: 0"))
    assert desk.hears_nothing()


def test_values_of_others_stand_below_ours(world: World):
    """§16.6, step 4: a proxy before us that records itself again comes next on the way back."""
    alice, bob = world.phones("alice", "bob")
    call = talks((alice, bob))
    (_, here, _), _ = sides(call)
    alice.sends_within("INVITE", here, headers=("Record-Route: <sip:10.0.0.2;lr>",))
    assert bob.gets("INVITE").values("record-route") == [*here.routes, "<sip:10.0.0.2;lr>"]


def test_a_strict_router_before_us_changes_nothing(world: World):
    """§16.4: our value stood in the Request-URI."""
    alice, bob = world.phones("alice", "bob")
    call = talks((alice, bob))
    (_, here, _), _ = sides(call)
    (own,) = here.routes
    strict = Dialog(
        here.call_id, here.local_tag, here.remote_tag, own.strip("<>"), [f"<{here.target}>"]
    )
    alice.sends_within("UPDATE", strict)
    update = bob.gets("UPDATE")
    assert update.uri_text == here.target
    assert update.values("record-route") == [own]


# Tickets that a phone has written in its own way


def escaped(route: str) -> str:
    """The same Route with its ticket and flow escaped, as a phone may write them (§19.1.4)."""
    return re.sub(r"(?<=;t=).|(?<=;f=).", lambda match: f"%{ord(match[0]):02X}", route, count=0)


@cases("method", ["INVITE", "UPDATE", "NOTIFY"])
@each_pair()
def test_an_escaped_ticket_is_as_good(world: World, pair, method: str):
    """§19.1.2, §19.1.4: the dialog goes on from it."""
    call = talks(pair)
    for near, dialog, far in sides(call):
        dialog.routes = [escaped(route) for route in dialog.routes]
        assert any("%" in route for route in dialog.routes)
        _, learnt = learns(near, method, dialog, far)
        exchanged(far, "INFO", learnt, near)


# Senders without a right to the dialog


def talk(world: World) -> tuple[Phone, Phone, Dialog]:
    """A call of an external caller to Bob."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    call = stranger.sends("INVITE", bob.aor, from_uri=STRANGER)
    invite = bob.gets("INVITE")
    bob.answers(invite, 200)
    return stranger, bob, dialog_of_caller(call, stranger.gets(200, call))


def own_values(request: Request) -> list[str]:
    return [value for value in request.values("record-route") if "192.0.2.1" in value]


@pytest.mark.parametrize("method", ["INVITE", "NOTIFY", "UPDATE"])
def test_a_request_without_a_ticket_gets_none(world: World, method: str):
    """§16.3: it is a request outside a dialog, with any tags."""
    stranger, bob, here = talk(world)
    here.routes = ["<sip:192.0.2.1;lr>"]
    stranger.sends_within(method, here)
    assert bob.hears_nothing()
    assert "record-route" not in stranger.takes().names


@cases(
    "more",
    [
        *(";maddr=203.0.113.9", ";MADDR=203.0.113.9;x", ";m%61ddr=203.0.113.9", ";ttl=1"),
        "?Route=%3Csip:203.0.113.9%3E",
    ],
)
@cases("at", [0, -1])
def test_what_a_phone_adds_to_our_route_is_not_recorded(world: World, more: str, at: int):
    """§16.6, step 4: what we put there leads to us, and is not signed as a whole.

    A phone that learns the dialog from it would send requests and passwords to another host.
    """
    stranger, bob, here = talk(world)
    here.routes[at] = here.routes[at].replace(">", f"{more}>")
    stranger.sends_within("INVITE", here)
    assert not bob.gets("INVITE").values("record-route")


def test_a_ticket_of_another_dialog_leads_nowhere_from_this_one(world: World):
    """§12: Routes before the valid ticket may be of any origin; they open nothing later."""
    alice, carol = world.phones("alice", "carol")
    free = talks((alice, carol)).here
    assert free is not None
    stranger, bob, here = talk(world)
    here.routes.insert(0, free.routes[0])
    stranger.contact = "<sip:victim@203.0.113.9>"
    stranger.sends_within("INVITE", here)
    invite = bob.gets("INVITE")
    learnt = dialog_of_callee(invite, bob.answers(invite, 200))
    stranger.inbox.clear()
    bob.sends_within("INFO", learnt)
    assert not world.lost
    assert bob.takes().status in (403, 407)  # type: ignore[attr-defined]


def test_an_overheard_dialog_leads_only_to_its_two_sides(world: World):
    """RFC 3261 §26: a ticket with a flow leads along it, for any sender."""
    stranger, bob, here = talk(world)
    stranger.sends_within("UPDATE", here)
    update = bob.gets("UPDATE")
    values = own_values(update)
    thief = world.phone("thief", registered=False)
    for routes in (values, values[::-1], values[:1], values[1:]):
        overheard = Dialog(
            here.call_id, here.local_tag, here.remote_tag, "sip:victim@203.0.113.9", routes
        )
        thief.sends_within("INVITE", overheard)
    assert not world.lost
    assert all(parse_name_addr(value).sip_uri.param("f") for value in values)
    assert {phone.name for phone in world.at.values() if phone.inbox} <= {
        *("stranger", "bob", "thief")
    }
    assert f"@{REALM}" not in "".join(values)


# Where a signed Record-Route leads, and when it ends (RFC 3261 §16.6; RFC 5626 §5.3)


VICTIM = "203.0.113.77"


@pytest.fixture
def victim(world: World) -> Phone:
    return world.phone("victim", registered=False, host=VICTIM)


def forged(dialog: Dialog, target: str, *, made_up: str) -> Dialog:
    """A dialog with the initiator's tag on either side, and another target."""
    tags = {"local": ("whatever", dialog.remote_tag), "remote": (dialog.remote_tag, "whatever")}
    return Dialog(dialog.call_id, *tags[made_up], target, dialog.routes)


@pytest.mark.parametrize("made_up", ["local", "remote"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "ACK"])
def test_an_overheard_ticket_gives_no_access(world, victim, method: str, made_up: str):
    """Not from another address, nor for a deleted account, nor long after the call."""
    alice, bob = world.phones("alice", "bob")
    call = talks((alice, bob))
    call.ends()
    thief = world.phone("thief", registered=False)
    dialog = forged(call.there, f"sip:x@{VICTIM}", made_up=made_up)
    thief.sends_within(method, dialog)
    world.server.remove_bindings([world.users.accounts.pop(("bob", REALM))])
    world.passes(40 * 86_400, step=86_400)
    bob.sends_within(method, dialog)
    assert victim.hears_nothing()


@pytest.mark.parametrize("by", ["its target", "a maddr", "a Route"])
@pytest.mark.parametrize("method", ["INVITE", "INFO", "ACK"])
def test_a_user_gets_outside_by_no_dialog(world: World, victim, by: str, method: str):
    """§16.3: a place that no side has told is not reached, while calls to outside are off.

    Without a Route of others the request reaches the other side, where it is registered.
    """
    alice, bob = world.phones("alice", "bob")
    here = talks((alice, bob)).here
    here.remote = bob.aor
    if by == "a Route":
        here.routes.append(f"<sip:{VICTIM};lr>")
    else:
        here.target = f"sip:x@{VICTIM}" if by == "its target" else f"{here.target};maddr={VICTIM}"
    sent = alice.sends_within(method, here)
    if by != "a Route":
        assert bob.gets(method).uri_text == bob.contact.strip("<>")
    elif method != "ACK":
        alice.transmits(alice.with_credentials(sent, alice.gets(407)))
        assert alice.gets(403)
    assert bob.hears_nothing()
    assert victim.hears_nothing()


def test_a_port_that_no_side_has_named_is_not_reached(world: World):
    """§12.2.1.1: the request goes to the phone of the dialog, where it is registered."""
    alice, bob = world.phones("alice", "bob")
    other_port = world.phone("bob2", registered=False, host=bob.address[0], port=5070)
    here = talks((alice, bob)).here
    for more in (":5070", ":5070;transport=tcp", ";transport=tcp"):
        here.target = f"sip:bob@{bob.address[0]}{more}"
        alice.sends_within("INFO", here)
        assert bob.gets("INFO").uri_text == bob.contact.strip("<>")
    assert other_port.hears_nothing()


@pytest.mark.parametrize("goes_by", ["unregistering", "expiry", "losing its account"])
def test_a_phone_behind_nat_that_is_gone_is_430(world: World, goes_by: str):
    """RFC 5626 §5.3: by then its NAT may have given the port to another host."""
    bob, stranger = behind_nat(world, "bob", 33_333), world.phone("x", registered=False)
    stranger.aor = STRANGER
    invite = stranger.sends("INVITE", bob.aor, answers_challenge=False)
    bob.answers(bob.gets("INVITE"), 200)
    here = dialog_of_caller(invite, stranger.gets(200))
    exchanged(stranger, "INFO", here, bob)
    if goes_by == "unregistering":
        bob.registers(expires=0)
    elif goes_by == "expiry":
        world.passes(3700, step=60)
    else:
        world.server.remove_bindings([world.users.accounts.pop(("bob", REALM))])
    bob.inbox.clear()
    stranger.sends_within("NOTIFY", here, headers=("Event: check-sync",))
    assert stranger.gets(430)
    assert bob.hears_nothing()


def test_a_phone_behind_nat_is_still_there_after_a_restart(world: World):
    """Its binding is kept, and so its flow is known."""
    alice, bob = world.phone("alice"), behind_nat(world, "bob", 33_333)
    call = talks((alice, bob))
    world.start_server()
    exchanged(alice, "BYE", call.here, bob)


def test_it_is_known_though_nothing_keeps_it_alive():
    """-sip.keepalive 0."""
    world = World(settings={"sip_keepalive": 0})
    call = talks((world.phone("alice"), behind_nat(world, "bob", 33_333)))
    call.ends()
    assert not world.lost
