"""One user on several phones (RFC 3261 §16.6, §16.7)."""

from sip.message.message import Request
from tests.support.world import Phone, World


def test_a_phone_that_has_not_rung_yet_is_cancelled_once_it_does(world: World):
    """§9.1: no CANCEL before a provisional response."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    alice.sends("INVITE", desk.aor)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    mobile.answers(at_mobile, 200)
    assert desk.hears_nothing()
    desk.answers(at_desk, 180)
    desk.gets("CANCEL")
    alice.gets(200)
    assert alice.hears_nothing()


def test_a_second_2xx_reaches_the_caller_too(world: World):
    """§16.7, step 5: every 2xx to an INVITE is relayed."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    alice.sends("INVITE", desk.aor)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    mobile.answers(at_mobile, 200)
    desk.answers(at_desk, 200)
    assert alice.gets(200).to.tag != alice.gets(200).to.tag


def test_a_6xx_ends_the_search_but_waits_for_the_others(world: World):
    """§16.7, steps 5 and 6."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    alice.sends("INVITE", desk.aor)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    desk.answers(at_desk, 180)
    alice.gets(180)
    mobile.answers(at_mobile, 603)
    mobile.gets("ACK")
    assert alice.hears_nothing()
    desk.answers(desk.gets("CANCEL"), 200)
    desk.answers(at_desk, 487)
    desk.gets("ACK")
    alice.gets(603)


def test_contacts_of_a_lower_q_wait_for_the_higher(world: World):
    """§16.6: in order of preference."""
    alice = world.phone("alice")
    desk = world.phone("bob", registered=False)
    mobile = world.phone("bob", registered=False)
    desk.registers(f"{desk.contact};q=1.0")
    mobile.registers(f"{mobile.contact};q=0.4")
    alice.sends("INVITE", desk.aor)
    at_desk = desk.gets("INVITE")
    assert mobile.hears_nothing()
    desk.answers(at_desk, 486)
    desk.gets("ACK")
    mobile.answers(mobile.gets("INVITE"), 200)
    alice.gets(200)


def test_a_cancel_ends_the_search_through_lower_q(world: World):
    """§16.10."""
    alice = world.phone("alice")
    desk = world.phone("bob", registered=False)
    mobile = world.phone("bob", registered=False)
    desk.registers(f"{desk.contact};q=1.0")
    mobile.registers(f"{mobile.contact};q=0.4")
    call = alice.sends("INVITE", desk.aor)
    at_desk = desk.gets("INVITE")
    desk.answers(at_desk, 180)
    alice.gets(180)
    alice.cancels(call)
    alice.gets(200)
    desk.answers(desk.gets("CANCEL"), 200)
    desk.answers(at_desk, 487)
    alice.gets(487)
    assert mobile.hears_nothing()


def test_a_dead_contact_fails_fast_and_never_fails_the_fork(world: World):
    """§16.9."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    world.dead.add(desk.address)
    alice.sends("INVITE", desk.aor)
    at_mobile = mobile.gets("INVITE")
    mobile.answers(at_mobile, 486)
    alice.gets(486)


def test_a_silent_contact_does_not_hold_the_answer_of_the_other(world: World):
    """Timer B ends the silent branch; the 200 has long gone back."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    alice.sends("INVITE", desk.aor)
    desk.gets("INVITE")
    mobile.answers(mobile.gets("INVITE"), 200)
    alice.gets(200)
    world.passes(40, step=0.5)
    while not desk.hears_nothing():
        desk.gets("INVITE")
    assert world.is_quiet


def redirect(phone: Phone, invite: Request, contacts: str) -> None:
    phone.answers(invite, 302, headers=(contacts,))
    phone.gets("ACK")
