"""Overload, unhandled errors and memory after a peak."""

import sys
from dataclasses import replace

import gevent
import pytest

from tests.support.world import World, dialog_of_caller


def test_above_the_limit_of_handlers_503_has_retry_after(world: World, monkeypatch):
    """§21.5.4: it is sent at once; requests that are pending go on."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor)
    invite = bob.gets("INVITE")
    monkeypatch.setattr("sip.dispatcher.MAX_HANDLERS", 1)
    bob.sends("INVITE", alice.aor)
    assert bob.gets(503).value("retry-after") == "5"
    bob.answers(invite, 200)
    alice.gets(200, call)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_reserved_handlers_are_not_for_external_callers(world: World, monkeypatch, method: str):
    """External callers may ring every phone, or send messages to phones that are off; users here
    can call all the same.
    """
    alice, bob = world.phones("alice", "bob")
    stranger = world.phone("thief", registered=False)
    monkeypatch.setattr("sip.dispatcher.MAX_HANDLERS", 2)
    monkeypatch.setattr("sip.dispatcher.RESERVED_HANDLERS", 1)
    outside = {"from_uri": "sip:x@elsewhere.test"}
    stranger.sends(method, bob.aor, **outside)
    bob.gets(method)
    stranger.sends(method, bob.aor, **outside)
    stranger.gets(503)
    alice.sends("INVITE", bob.aor)
    bob.gets("INVITE")


def test_an_external_caller_may_hang_up_during_overload(world: World, monkeypatch):
    """Reserved handlers are for requests within a call too: a ticket shows that there is one."""
    bob = world.phone("bob")
    caller, thief = world.phone("x", registered=False), world.phone("thief", registered=False)
    outside = {"from_uri": "sip:x@elsewhere.test"}
    call = caller.sends("INVITE", bob.aor, **outside)
    bob.answers(bob.gets("INVITE"), 200)
    dialog = dialog_of_caller(call, caller.gets(200, call))
    monkeypatch.setattr("sip.dispatcher.MAX_HANDLERS", 2)
    monkeypatch.setattr("sip.dispatcher.RESERVED_HANDLERS", 1)
    thief.sends("INVITE", bob.aor, **outside)
    bob.gets("INVITE")
    thief.sends_within("BYE", replace(dialog, call_id="of no call"))
    thief.gets(503)
    caller.sends_within("BYE", dialog)
    bob.gets("BYE")


def test_an_unhandled_error_is_a_500_and_cancels_branches(monkeypatch, caplog):
    """§21.5.1; §16.7, step 10: no phone rings on for a call that has been answered."""
    world = World(settings={"sip_follow_redirects": True})
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    call = alice.sends("INVITE", desk.aor)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    mobile.answers(at_mobile, 180)
    alice.gets(180, call)
    monkeypatch.setattr(world.users, "find", lambda *_: 1 / 0)
    desk.answers(at_desk, 302, headers=("Contact: <sip:carol@example.com>",))
    mobile.gets("CANCEL")
    alice.gets(500, call)
    assert "ZeroDivisionError" in caplog.text


def test_memory_is_returned_once_after_a_load_peak(world: World, monkeypatch: pytest.MonkeyPatch):
    """Not during the peak, and not again before the next one."""
    given: list[str] = []
    monkeypatch.setattr("sip.memory.PEAK_TRANSACTIONS", 5)
    monkeypatch.setattr("sip.server.clear_parse_caches", lambda: given.append("kept"))
    monkeypatch.setattr("sip.server.trim_heap", lambda: given.append("free"))
    alice, bob = world.phones("alice", "bob")
    for _ in range(4):
        call = alice.sends("INVITE", bob.aor)
        bob.answers(bob.gets("INVITE"), 486)
        bob.gets("ACK")
        alice.gets(486, call)
    world.server.sweep()
    assert given == []
    world.passes(40.0)
    for _ in range(2):
        world.server.sweep()
        gevent.get_hub().threadpool.join()
    assert given == ["kept", "free"]
    assert sys.getsizeof(world.server.layer.clients) == sys.getsizeof({})
