"""Requests while the server loads its bindings, and while it drains."""

from tests.support.forwarding import talks
from tests.support.world import REALM, World


def test_while_loading_only_options_to_the_server_is_answered(world: World):
    """All others wait; a retransmission meanwhile is not served twice (§17.2.3)."""
    alice = world.phone("alice")
    world.start_server(loads=False)

    alice.gets(200, alice.sends("OPTIONS", f"sip:{REALM}"))
    invite = alice.sends("INVITE", f"sip:bob@{REALM}", answers_challenge=False)
    alice.transmits(invite)
    assert not alice.inbox

    world.finish_loading()
    alice.gets(407, invite)
    assert not alice.inbox


def test_while_loading_waiting_requests_are_limited(world: World, monkeypatch):
    """Each waiting request holds memory, and its sender is not verified yet."""
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


def test_a_draining_server_leaves_datagrams_unanswered(world: World):
    """§21.5.4 allows that; the phone repeats the request, and the next server answers it."""
    alice = world.phone("alice")
    world.server.drain()

    invite = alice.sends("INVITE", f"sip:bob@{REALM}", answers_challenge=False)
    assert not alice.inbox
    assert not [key for key in world.server.layer.servers if "INVITE" in key]

    world.start_server()
    alice.transmits(invite)
    alice.gets(407, invite)


def test_a_draining_server_serves_calls_on_a_connection(world: World):
    """A request is not repeated there, and a BYE must reach the other phone; others get 503."""
    alice, bob = world.phone("alice", transport="TCP"), world.phone("bob")
    call = talks((alice, bob))
    world.server.drain()

    refusal = alice.gets(503, alice.sends("OPTIONS", f"sip:{REALM}"))
    assert int(refusal.value("retry-after")) > 0
    bye = alice.sends_within("BYE", call.here)
    bob.answers(bob.gets("BYE"), 200)
    alice.gets(200, bye)
