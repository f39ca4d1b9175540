"""What comes before the phones of before are all known, and what comes when the server ends."""

from ladders.carrying import talks
from world import REALM, World


def test_while_phones_are_loaded_the_server_answers_for_itself_and_all_else_waits(world: World):
    """A repeat meanwhile is a repeat (§17.2.3): it is served once."""
    alice = world.phone("alice")
    world.start_server(loads=False)

    alice.gets(200, alice.sends("OPTIONS", f"sip:{REALM}"))
    invite = alice.sends("INVITE", f"sip:bob@{REALM}", answers_challenge=False)
    alice.transmits(invite)
    assert not alice.inbox

    world.finish_loading()
    alice.gets(407, invite)
    assert not alice.inbox


def test_while_phones_are_loaded_no_more_wait_than_ever(world: World, monkeypatch):
    """Each that waits holds memory, and nobody has shown yet who he is."""
    monkeypatch.setattr("sip.dispatcher.MAX_HANDLERS", 1)
    monkeypatch.setattr("sip.dispatcher.RESERVED_HANDLERS", 0)
    alice = world.phone("alice")
    world.start_server(loads=False)
    first, second = (
        alice.sends("INVITE", f"sip:bob@{REALM}", answers_challenge=False) for _ in range(2)
    )
    alice.gets(503, second)
    world.finish_loading()
    alice.gets(407, first)


def test_a_server_that_ends_leaves_a_datagram_unanswered_and_serves_the_next_as_ever(world: World):
    """§21.5.4 lets it drop the request; the phone repeats it to whoever is started next."""
    alice = world.phone("alice")
    world.server.drain()

    invite = alice.sends("INVITE", f"sip:bob@{REALM}", answers_challenge=False)
    assert not alice.inbox
    assert not [key for key in world.server.layer.servers if "INVITE" in key]

    world.start_server()
    alice.transmits(invite)
    alice.gets(407, invite)


def test_a_server_that_ends_refuses_on_a_connection_but_lets_a_call_be_ended(world: World):
    """Nobody repeats a request there, and who hangs up would do so in vain."""
    alice, bob = world.phone("alice", transport="TCP"), world.phone("bob")
    call = talks((alice, bob))
    world.server.drain()

    refusal = alice.gets(503, alice.sends("OPTIONS", f"sip:{REALM}"))
    assert int(refusal.value("retry-after")) > 0
    bye = alice.sends_within("BYE", call.here)
    bob.answers(bob.gets("BYE"), 200)
    alice.gets(200, bye)
