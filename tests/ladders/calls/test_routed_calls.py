"""Calls that the operator's own code forwards or refuses."""

import gevent

from sip.core.proxy.call_router import RouteDecision
from sip.core.trunk import parse_trunks
from tests.support.cases import cases
from tests.support.fixed_router import FixedRouter
from tests.support.forwarding import talks
from tests.support.outside_proxy import STRANGER
from tests.support.world import REALM, World

GATEWAY = "203.0.113.9"
NIGHT = f"sip:night@{REALM}"


def routes(world: World, target: str, status: int = 0, text: str = "", **more) -> FixedRouter:
    router = FixedRouter(RouteDecision(target, status, text), **more)
    world.server.proxy.router = router
    return router


@cases("target", ["bob", f"sip:bob@{REALM}", "sip:bob@192.0.2.1;user=ip"])
@cases("sender", [None, STRANGER])
def test_a_forwarded_call_rings_at_its_new_target(world: World, target: str, sender):
    alice, bob = world.phones("alice", "bob")
    router = routes(world, target)
    more = {"from_uri": sender} if sender else {}
    invite = alice.sends("INVITE", NIGHT, **more)
    at_bob = bob.gets("INVITE", invite)
    assert at_bob.uri_text == bob.contact.strip("<>")
    bob.answers(at_bob, 200)
    alice.gets(200, invite)
    ((asked, caller),) = router.asked
    assert asked.uri_text == NIGHT
    assert (caller.username if caller else None) == (None if sender else "alice")


def test_a_call_that_passes_goes_on(world: World):
    alice, bob = world.phones("alice", "bob")
    world.server.proxy.router = FixedRouter(None)
    alice.sends("INVITE", bob.aor)
    bob.gets("INVITE")


def test_a_name_that_is_escaped_names_its_user(world: World):
    alice, ann = world.phone("alice"), world.phone("ann@example.org")
    routes(world, "ann%40example.org")
    alice.sends("INVITE", NIGHT)
    ann.gets("INVITE")


def test_a_refusal_has_its_status_and_its_reason(world: World):
    """RFC 3261 §20.43: for a caller that is known here; a stranger gets the status alone."""
    alice = world.phone("alice")
    routes(world, "", 486, "lunch until one")
    told = alice.gets(486, alice.sends("INVITE", NIGHT))
    assert told.value("warning").endswith('"refused by a hook: lunch until one"')
    again = alice.request("INVITE", NIGHT, from_uri=STRANGER)
    for _ in range(2):
        alice.transmits(again)
        assert alice.gets(486, again).value("warning") is None
        alice.acknowledges(again, told)
    world.passes(40, step=0.5)
    alice.inbox.clear()
    assert world.is_quiet


def test_a_stranger_reaches_no_gateway_by_a_hook():
    world = World(settings={"sip_trunk": parse_trunks(f"0=sip:{GATEWAY}")})
    gateway = world.phone("gateway", registered=False, host=GATEWAY)
    alice = world.phone("alice")
    routes(world, "0301234")
    alice.gets(480, alice.sends("INVITE", NIGHT, from_uri=STRANGER))
    assert gateway.hears_nothing()
    alice.sends("INVITE", NIGHT)
    assert gateway.gets("INVITE").uri_text == f"sip:0301234@{GATEWAY}"


def test_a_hook_opens_no_way_to_other_domains(world: World):
    alice = world.phone("alice")
    routes(world, "sip:x@example.net")
    alice.gets(403, alice.sends("INVITE", NIGHT))
    alice.gets(403, alice.sends("INVITE", NIGHT, from_uri=STRANGER))


def test_a_wrong_password_is_refused_before_the_hook(world: World):
    alice, mallory = world.phone("alice"), world.phone("mallory", registered=False)
    router = routes(world, "bob")
    invite = mallory.request("INVITE", NIGHT, from_uri=alice.aor)
    mallory.transmits(invite)
    mallory.transmits(mallory.with_credentials(invite, mallory.gets(407), "wrong"))
    mallory.gets(407)
    assert not router.asked


def test_requests_within_a_call_and_other_methods_pass(world: World):
    alice, bob = world.phones("alice", "bob")
    router = routes(world, "bob")
    call = talks((alice, bob))
    assert len(router.asked) == 1
    alice.sends_within("INVITE", call.here)
    bob.gets("INVITE")
    lost = f"<{bob.aor}>;tag={call.here.remote_tag}"  # without Route, as a phone that ignores ours
    alice.sends("INVITE", bob.aor, to=lost, call_id=call.here.call_id)
    bob.gets("INVITE")
    alice.sends("MESSAGE", bob.aor)
    bob.gets("MESSAGE")
    assert len(router.asked) == 1


def test_a_retransmission_meanwhile_is_the_same_call(world: World):
    """§17.2.1: the hook is asked once, and the phone rings once."""
    alice, bob = world.phones("alice", "bob")
    router = routes(world, "bob", meanwhile=lambda: gevent.sleep(0.02))
    invite = alice.sends("INVITE", NIGHT)
    alice.transmits(invite)
    gevent.sleep(0.05)
    world.settle()
    bob.gets("INVITE", invite)
    assert bob.hears_nothing()
    assert len(router.asked) == 1


def test_a_cancel_meanwhile_ends_the_call(world: World):
    """§9.2."""
    alice, bob = world.phones("alice", "bob")
    routes(world, "bob", meanwhile=lambda: gevent.sleep(0.02))
    invite = alice.sends("INVITE", NIGHT)
    alice.cancels(invite)
    alice.gets(200)
    gevent.sleep(0.05)
    world.settle()
    at_bob = bob.gets("INVITE", invite)
    bob.answers(at_bob, 180)
    bob.answers(bob.gets("CANCEL"), 200)
    bob.answers(at_bob, 487)
    alice.gets(180)
    alice.gets(487)
