"""Star codes: a user dials them to change the own forwarding, or do not disturb."""

import pytest

from sip.core.trunk import parse_trunks
from sip.store.call_settings import USUAL
from tests.support.world import REALM, World


def settings_of(world: World, name: str):
    return world.users.accounts[name, REALM].call_settings or USUAL


@pytest.mark.parametrize(
    ("code", "off", "field"),
    [
        ("*72", "*73", "always"),
        ("*90", "*91", "busy"),
        ("*92", "*93", "no_answer"),
        ("*52", "*53", "offline"),
    ],
)
def test_each_forwarding_has_a_code_for_on_and_off(code: str, off: str, field: str):
    world = World(settings={"robot": False})
    alice, _ = world.phones("alice", "bob")
    world.users.set("bob", aliases=["102"])
    alice.sends("INVITE", f"sip:{code}102@{REALM}")
    done = alice.gets(480)
    assert done.reason.endswith("are forwarded to 102")
    assert getattr(settings_of(world, "alice"), field) == "102"
    alice.sends("INVITE", f"sip:{off}@{REALM}")
    assert alice.gets(480).reason.endswith("are no longer forwarded")
    assert settings_of(world, "alice") == USUAL


def test_do_not_disturb_is_switched_by_a_code():
    world = World(settings={"robot": False})
    alice = world.phone("alice")
    alice.sends("INVITE", f"sip:*78@{REALM}")
    assert alice.gets(480).reason == "do not disturb is on"
    assert settings_of(world, "alice").dnd
    alice.sends("INVITE", f"sip:%2A79@{REALM}")
    alice.gets(480)
    assert not settings_of(world, "alice").dnd


@pytest.mark.parametrize(
    ("dialled", "status"),
    [("*72", 484), ("*72999", 404), ("*72alice", 403), ("*99", 404), ("*730", 404)],
)
def test_a_code_that_cannot_be_obeyed_is_refused(world: World, dialled: str, status: int):
    alice = world.phone("alice")
    alice.sends("INVITE", f"sip:{dialled}@{REALM}")
    alice.gets(status)
    assert settings_of(world, "alice") == USUAL


def test_only_a_call_of_an_authenticated_user_is_obeyed(world: World):
    """An external caller, and a MESSAGE, change nothing."""
    alice = world.phone("alice")
    stranger = world.phone("stranger", registered=False, host="203.0.113.7")
    stranger.aor = "sip:stranger@203.0.113.7"
    stranger.sends("INVITE", f"sip:*78@{REALM}")
    stranger.gets(480)
    alice.sends("MESSAGE", f"sip:*78@{REALM}")
    alice.gets(404)
    assert settings_of(world, "alice") == USUAL


def test_a_user_or_a_trunk_with_the_name_of_a_code_comes_first():
    world = World(settings={"sip_trunk": parse_trunks("*7=sip:203.0.113.9")})
    alice, star = world.phones("alice", "*78")
    gateway = world.phone("gateway", registered=False, host="203.0.113.9")
    alice.sends("INVITE", f"sip:*78@{REALM}")
    star.gets("INVITE")
    alice.sends("INVITE", f"sip:*79@{REALM}")
    gateway.gets("INVITE")
