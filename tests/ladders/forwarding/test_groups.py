"""Calls to groups: all members at once, or one after another; and then another target."""

from sip.message.message import Request
from tests.support.world import REALM, Phone, World

SALES = f"sip:sales@{REALM}"


def ends(phone: Phone, invite: Request) -> None:
    phone.answers(phone.gets("CANCEL"), 200)
    phone.answers(invite, 487)
    phone.gets("ACK")


def test_all_members_ring_and_the_first_to_answer_has_the_call(world: World):
    """§16.7, step 10.  One member that declines stops only its own phone."""
    alice, bob, carol, dan = world.phones("alice", "bob", "carol", "dan")
    world.users.add_group("sales", "bob", "carol", "dan")
    alice.sends("INVITE", SALES)
    at_bob, at_carol, at_dan = (phone.gets("INVITE") for phone in (bob, carol, dan))
    bob.answers(at_bob, 180)
    dan.answers(at_dan, 603)
    dan.gets("ACK")
    assert bob.hears_nothing()
    carol.answers(at_carol, 200)
    ends(bob, at_bob)
    alice.gets(180)
    alice.gets(200)


def test_phones_ring_together_whatever_their_q(world: World):
    alice, bob = world.phones("alice", "bob")
    carol = world.phone("carol", registered=False)
    carol.registers(f"{carol.contact};q=0.1")
    world.users.add_group("sales", "bob", "carol")
    alice.sends("INVITE", SALES)
    bob.gets("INVITE")
    carol.gets("INVITE")


def test_members_that_cannot_ring_are_left_out(world: World):
    """Do not disturb, disabled, not registered, removed; a member's forwarding is not followed."""
    alice, bob, carol, dan, eve = world.phones("alice", "bob", "carol", "dan", "eve")
    world.phone("frank", registered=False)
    world.users.add_group("sales", "bob", "carol", "dan", "frank", "removed")
    world.users.set("bob", dnd=True)
    world.users.accounts["carol", REALM].enabled = False
    world.users.set("dan", always="eve")
    alice.sends("INVITE", SALES)
    dan.gets("INVITE")
    assert all(phone.hears_nothing() for phone in (bob, carol, eve))


def test_members_ring_in_turn(world: World):
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.add_group("sales", "bob", "carol", strategy="in_turn", seconds=10)
    invite = alice.sends("INVITE", SALES)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    assert carol.hears_nothing()
    world.passes(10.1)
    at_carol = carol.gets("INVITE")
    carol.answers(at_carol, 180)
    ends(bob, at_bob)
    world.passes(10.1)
    ends(carol, at_carol)
    for status in (180, 180, 480):
        refusal = alice.gets(status)
    assert "no member of the group sales has answered" in (refusal.value("warning") or "")
    alice.acknowledges(invite, refusal)
    world.passes(40)
    assert world.is_quiet


def test_a_busy_member_gives_its_turn_away(world: World):
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.add_group("sales", "bob", "carol", strategy="in_turn", seconds=10)
    alice.sends("INVITE", SALES)
    bob.answers(bob.gets("INVITE"), 486)
    bob.gets("ACK")
    carol.answers(carol.gets("INVITE"), 200)
    alice.gets(200)


def test_a_call_that_no_member_takes_goes_to_another_group(world: World):
    """Each user rings once in a call: bob is in both groups."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    world.users.add_group("sales", "bob", seconds=5, then="102")
    world.users.add_group("102", "bob", "carol", then="sales")
    alice.sends("INVITE", SALES)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    world.passes(5.1)
    at_carol = carol.gets("INVITE")
    cancel = bob.gets("CANCEL")
    assert cancel.value("reason") == (
        'SIP;cause=408;text="forwarded to 102: no answer in the group sales"'
    )
    bob.answers(cancel, 200)
    bob.answers(at_bob, 487)
    bob.gets("ACK")
    carol.answers(at_carol, 486)
    carol.gets("ACK")
    for status in (180, 181, 486):
        alice.gets(status)


def test_a_group_without_phones_is_a_480(world: World):
    alice = world.phone("alice")
    world.phone("bob", registered=False)
    world.users.add_group("sales", "bob")
    alice.sends("INVITE", SALES)
    alice.gets(480)
