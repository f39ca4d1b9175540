"""Where a ticket leads, and when it ends (RFC 3261 §16.6; RFC 5626 §5.3)."""

import pytest

from tests.support.forwarding import exchanged, talks
from tests.support.nat_phones import behind_nat
from tests.support.world import REALM, Dialog, Phone, World, dialog_of_caller

VICTIM = "203.0.113.77"
STRANGER = "sip:x@elsewhere.org"


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
