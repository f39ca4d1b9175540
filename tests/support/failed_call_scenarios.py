"""What provokes each cause of a failed call, added to the table of `cause_scenarios.py`."""

from functools import partial

from sip.core.proxy.call_retries import RETRY_SECONDS
from sip.core.proxy.call_router import RouteDecision
from sip.transaction.machine import TIMER_C
from tests.support.cause_scenarios import BOB, Provoke, provokes, sends
from tests.support.fixed_router import FixedRouter
from tests.support.forwarding import talks
from tests.support.world import REALM


@provokes("refused_by_hook")
def _(world, patch):
    world.server.proxy.router = FixedRouter(RouteDecision("", 603, "lunch"))
    world.phone("alice").sends("INVITE", BOB)


provokes("unknown_callee")(lambda world, patch: sends(world, patch, uri=f"sip:999@{REALM}"))


provokes("unknown_gruu")(lambda world, patch: sends(world, patch, uri=f"sip:tgruu.x@{REALM};gr"))


@provokes("disabled_callee")
def disabled_callee(world, patch, *, enabled: bool = False):
    world.users.add("bob", "secret").enabled = enabled
    world.phone("alice").sends("INVITE", BOB)


provokes("unregistered_callee")(partial(disabled_callee, enabled=True))


@provokes("do_not_disturb")
def _(world, patch):
    alice, _ = world.phones("alice", "bob")
    world.users.set("bob", dnd=True)
    alice.sends("INVITE", BOB)


@provokes("no_member")
def _(world, patch):
    world.users.add_group("sales", "bob")
    world.phone("alice").sends("INVITE", f"sip:sales@{REALM}")


@provokes("setting_refused")
def _(world, patch):
    world.phone("alice").sends("INVITE", f"sip:*72@{REALM}")


@provokes("cancelled", told=False, answered=True)
def _(world, patch):
    alice, bob = world.phones("alice", "bob")
    invite = alice.sends("INVITE", BOB)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    alice.cancels(invite)
    bob.answers(bob.gets("CANCEL"), 200)
    bob.answers(at_bob, 487)


@provokes("hung_up", told=False, answered=True)
def _(world, patch):
    alice, bob = world.phones("alice", "bob")
    talks((alice, bob)).ends()


@provokes("no_answer", told=False, answered=True)
def _(world, patch):
    """Timer C (§16.8) cancels the phone, with the status that it stands for as Reason."""
    alice, bob = world.phones("alice", "bob")
    alice.sends("INVITE", BOB)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    world.passes(TIMER_C + 1, step=1)
    cancel = bob.gets("CANCEL")
    assert cancel.value("reason") == 'SIP;cause=408;text="Request Timeout"'
    bob.answers(cancel, 200)
    bob.answers(at_bob, 487)


def answers(status: int) -> Provoke:
    def provoke(world, patch):
        alice, bob = world.phones("alice", "bob")
        alice.sends("INVITE", BOB)
        bob.answers(bob.gets("INVITE"), status)
        world.server.proxy.calls.end_retries(world.now + RETRY_SECONDS)

    return provoke


for _code, _status in {
    "busy": 486,
    "declined": 603,
    "unavailable": 480,
    "number_unknown_there": 404,
    "media_not_accepted": 488,
    "extension_not_accepted": 421,
    "password_asked_there": 401,
    "redirected": 302,
    "method_not_accepted": 405,
    "call_unknown_there": 481,
    "changed_by_both": 491,
    "failed_there": 500,
}.items():
    provokes(_code, told=False, answered=True)(answers(_status))
