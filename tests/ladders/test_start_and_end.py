"""Requests while the bindings are loaded, and requests while the server drains."""

from ladders.carrying import talks
from world import REALM, World


def test_while_phones_load_only_the_server_itself_answers(world: World):
    """A repeat meanwhile is a repeat (§17.2.3): it is served once."""
    alice = world.phone("alice")
    server = world.server
    server.layer.on_request = server._serve_later

    alice.gets(200, alice.sends("OPTIONS", f"sip:{REALM}"))
    invite = alice.sends("INVITE", f"sip:bob@{REALM}", answers_challenge=False)
    alice.transmits(invite)
    assert not alice.inbox

    server._loaded.set()
    world.settle()
    alice.gets(407, invite)
    assert not alice.inbox


def test_while_phones_are_loaded_no_more_wait_than_ever(world: World, monkeypatch):
    """Each waiting request uses memory, and no sender has authenticated yet."""
    monkeypatch.setattr("sip.server.MAX_WAITING", 1)
    monkeypatch.setattr("sip.server.PLACES_KEPT", 0)
    alice, server = world.phone("alice"), world.server
    server.layer.on_request, server.layer.on_ack = server._serve_later, server._pass_on_later
    first, second = (
        alice.sends("INVITE", f"sip:bob@{REALM}", answers_challenge=False) for _ in range(2)
    )
    alice.gets(503, second)
    server._loaded.set()
    world.settle()
    alice.gets(407, first)


def test_a_draining_server_leaves_a_datagram_unanswered(world: World):
    """§21.5.4 allows to drop the request; the phone repeats it to the next server."""
    alice = world.phone("alice")
    world.server.layer.on_request = world.server._turn_away

    invite = alice.sends("INVITE", f"sip:bob@{REALM}", answers_challenge=False)
    assert not alice.inbox
    assert not [key for key in world.server.layer.servers if "INVITE" in key]

    world.start_server()
    alice.transmits(invite)
    alice.gets(407, invite)


def test_a_draining_server_refuses_on_tcp_but_lets_calls_end(world: World):
    """On TCP a request is not repeated, and a BYE that is refused would leave the call open."""
    alice, bob = world.phone("alice", transport="TCP"), world.phone("bob")
    call = talks((alice, bob))
    world.server.layer.on_request = world.server._turn_away

    refusal = alice.gets(503, alice.sends("OPTIONS", f"sip:{REALM}"))
    assert int(refusal.value("retry-after")) > 0
    bye = alice.sends_within("BYE", call.here)
    bob.answers(bob.gets("BYE"), 200)
    alice.gets(200, bye)
