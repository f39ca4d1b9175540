"""Hooks: loaded when their file changes, asked within a deadline, told of events."""

import logging
import threading
from pathlib import Path

import gevent
import pytest

from sip.core.proxy.call_router import RouteDecision
from sip.hooks import hooks as module
from sip.hooks import threads
from sip.hooks.hooks import Hooks
from sip.monitor.calls import Calls
from sip.monitor.event_queue import EventQueue
from sip.monitor.events import Bus, Registered
from sip.transport.flow import Flow
from tests.support.fake_transport import SERVER
from tests.support.world import REALM, World

# Functions of the tests for the files, by name.
SHARED: dict = {}


@pytest.fixture(autouse=True)
def shared(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(module, "ROUTE_SECONDS", 20.0)  # a busy machine is slow
    SHARED.clear()
    SHARED["heard"] = []
    SHARED["go"] = threading.Event()
    yield
    SHARED["go"].set()  # no thread outlives its test


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "hooks.py"


def write(path: Path, source: str) -> None:
    """Replace the file, as editors do."""
    new = path.with_name("new")
    new.write_text(f"from {__name__} import SHARED\n{source}")
    new.chmod(0o600)
    new.rename(path)


def until(condition) -> None:
    for _ in range(3000):
        if condition():
            return
        gevent.sleep(0.01)
    raise AssertionError("it did not happen")


def said(caplog, beginning: str) -> list[str]:
    lines = [each.getMessage() for each in caplog.records if each.name == "sip.hooks.hooks"]
    return [line for line in lines if line.startswith(beginning)]


def hooks_of(path: Path, source: str) -> Hooks:
    write(path, source)
    return Hooks(str(path), Bus(), lambda: 0.0)


def asks(hooks: Hooks) -> RouteDecision | None:
    alice = World().phone("alice", registered=False)
    request = alice.request("INVITE", f"sip:bob@{REALM}", headers=("User-Agent: Desk 1",))
    return hooks.route(request, None, Flow("UDP", SERVER, alice.address))


def test_a_hook_gets_the_facts_of_a_call(path):
    hooks = hooks_of(path, "def route(call): SHARED['heard'].append(call)")
    assert asks(hooks) is None
    (call,) = SHARED["heard"]
    assert (call.caller, call.from_user, call.to) == ("", "alice", "bob")
    assert (call.to_uri, call.device) == (f"sip:bob@{REALM}", "Desk 1")
    assert call.at.tzinfo is not None


def test_a_changed_file_is_loaded(path, caplog):
    hooks = hooks_of(path, "def route(call): call.forward_to('carol')")
    assert said(caplog, "hooks loaded") == [f"hooks loaded from {path}: route"]
    assert asks(hooks) == RouteDecision("carol")
    hooks.check()
    gevent.sleep(0)
    assert len(said(caplog, "hooks loaded")) == 1
    write(path, "def route(call): call.refuse(486, 'lunch')")
    hooks.check()
    until(lambda: len(said(caplog, "hooks loaded")) == 2)
    assert asks(hooks) == RouteDecision("", 486, "lunch")


@pytest.mark.parametrize("how", ["syntax", "gone", "rights", "slow"])
def test_a_bad_file_leaves_the_former_hooks(path, caplog, monkeypatch, how: str):
    hooks = hooks_of(path, "def route(call): call.forward_to('carol')")
    match how:
        case "syntax":
            write(path, "def route(call:")
        case "gone":
            path.unlink()
        case "rights":
            write(path, "def route(call): pass")
            path.chmod(0o666)
        case "slow":
            monkeypatch.setattr(module, "LOAD_SECONDS", 0.05)
            write(path, "SHARED['go'].wait(10)")
    hooks.check()
    until(lambda: said(caplog, "cannot load the hooks, the former hooks go on: "))
    hooks.check()
    gevent.sleep(0.02)
    assert len(said(caplog, "cannot load")) == 1  # each version is tried once
    assert asks(hooks) == RouteDecision("carol")


def test_a_start_with_a_bad_file_runs_no_hooks(path, caplog):
    hooks = hooks_of(path, "x = 1")
    assert not hooks.is_active
    assert said(caplog, "cannot load the hooks, no hooks run: ")
    write(path, "def route(call): pass")
    hooks.check()
    until(lambda: hooks.is_active)


def test_a_failing_hook_is_a_line_and_no_decision(path, caplog):
    hooks = hooks_of(path, "def route(call):\n    call.forward_to('carol')\n    1 / 0")
    assert asks(hooks) is None
    (line,) = said(caplog, "hook")[1:]
    assert line == "hook route failed: ZeroDivisionError: division by zero (line 4)"


@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_a_hook_cannot_end_the_server(path, error: str):
    assert asks(hooks_of(path, f"def route(call): raise {error}")) is None


def test_lines_about_failures_are_limited(path, caplog, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 1.0)
    now = [0.0]
    write(path, "def route(call): 1 / 0")
    hooks = Hooks(str(path), Bus(), lambda: now[0])
    for _ in range(5):
        asks(hooks)
    assert len(said(caplog, "hook route failed")) == 1
    now[0] = 1.0
    asks(hooks)
    assert said(caplog, "hook route failed")[1].endswith(" (4 more lines left out)")


def test_a_late_hook_decides_nothing(path, caplog, monkeypatch):
    monkeypatch.setattr(module, "ROUTE_SECONDS", 0.05)
    hooks = hooks_of(path, "def route(call):\n    SHARED['go'].wait(10)\n    call.refuse()")
    assert asks(hooks) is None
    assert said(caplog, "hook route took longer than 50 ms, it is ignored")
    SHARED["go"].set()
    until(lambda: not hooks._route_threads._late)
    monkeypatch.setattr(module, "ROUTE_SECONDS", 20.0)
    assert asks(hooks) == RouteDecision("", 603, "refused by a rule of this server")


def test_hooks_that_hang_are_off_until_the_file_changes(path, caplog, monkeypatch):
    monkeypatch.setattr(threads, "HUNG_SECONDS", 0.0)
    monkeypatch.setattr(module, "ROUTE_SECONDS", 0.05)
    hooks = hooks_of(path, "def route(call): SHARED['go'].wait(10)")
    for number in range(module.ROUTE_THREADS):
        assert hooks.is_active, number
        assert asks(hooks) is None
    assert not hooks.is_active
    (line,) = said(caplog, "hooks switched off")
    assert line.startswith("hooks switched off: route hangs in 4 threads; change ")
    hooks.check()
    gevent.sleep(0.02)
    assert not hooks.is_active
    monkeypatch.setattr(module, "ROUTE_SECONDS", 20.0)
    write(path, "def route(call): call.forward_to('carol')")
    hooks.check()
    until(lambda: hooks.is_active)
    assert asks(hooks) == RouteDecision("carol")


def test_a_busy_machine_does_not_switch_hooks_off(path, monkeypatch):
    """A hook that is late by less than HUNG_SECONDS only loses its call."""
    monkeypatch.setattr(module, "ROUTE_SECONDS", 0.05)
    monkeypatch.setattr(threads, "HUNG_SECONDS", 1000.0)
    hooks = hooks_of(path, "def route(call): SHARED['go'].wait(10)")
    for _ in range(module.ROUTE_THREADS + 2):
        assert asks(hooks) is None
    assert hooks.is_active


def test_another_file_and_none_can_be_set(path, tmp_path):
    hooks = hooks_of(path, "def route(call): call.forward_to('carol')")
    hooks.set_file("")
    assert asks(hooks) is None
    other = tmp_path / "other.py"
    write(other, "def route(call): call.forward_to('dave')")
    hooks.set_file(str(other))
    until(lambda: hooks.is_active)
    assert asks(hooks) == RouteDecision("dave")


# Events


def test_a_call_is_told_from_its_start_to_its_end(path):
    write(path, "def on_call(event): SHARED['heard'].append(event)")
    world = World(settings={"hooks_file": str(path)})
    Calls(world.bus)
    alice, bob = world.phones("alice", "bob")
    alice.sends("INVITE", f"sip:bob@{REALM}")
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    bob.answers(at_bob, 486)
    until(lambda: len(SHARED["heard"]) == 3)
    heard = SHARED["heard"]
    assert [event.name for event in heard] == ["call.started", "call.ringing", "call.ended"]
    end = heard[-1]
    assert (end.caller, end.callee, end.result) == ("alice", "bob", "busy")
    assert (end.status, end.cause, end.ended_by) == (486, "bob's phone is busy", "callee")
    assert (end.code, end.cure) == ("busy", "")


def test_a_phone_that_comes_and_goes_is_told(path):
    """A refresh is no event."""
    write(path, "def on_register(event): SHARED['heard'].append(event)")
    world = World(settings={"hooks_file": str(path)})
    bob = world.phone("bob")
    bob.registers()
    bob.registers(expires=0)
    until(lambda: len(SHARED["heard"]) == 2)
    came, went = SHARED["heard"]
    assert (came.name, came.username, came.address) == ("registered", "bob", bob.address[0])
    assert (went.name, went.reason) == ("unregistered", "unregistered")


def test_without_a_function_no_event_is_built(path):
    write(path, "def route(call): pass")
    world = World(settings={"hooks_file": str(path)})
    assert not world.bus.has_listener(Registered)
    assert not World().server.hooks.is_active


def test_events_that_wait_are_bounded(path, caplog):
    source = "def on_register(event):\n    SHARED['go'].wait(10)\n    SHARED['heard'].append(event)"
    write(path, source)
    world = World(settings={"hooks_file": str(path)})
    world.server.hooks._events = EventQueue(size=3)
    for number in range(8):
        world.phone(f"user{number}")
    SHARED["go"].set()
    until(lambda: not world.server.hooks._is_draining)
    assert len(SHARED["heard"]) == 4
    assert said(caplog, "hook on_register is too slow, 4 events are lost")


def test_refused_calls_push_out_no_registration(path):
    """A user calls wrong numbers while the hook is slow."""
    hook = "(event):\n    SHARED['go'].wait(10)\n    SHARED['heard'].append(event.name)\n"
    write(path, f"def on_register{hook}def on_call{hook}")
    world = World(settings={"hooks_file": str(path)})
    table = Calls(world.bus)
    world.server.hooks._events = EventQueue(size=4, refusals=2)
    alice = world.phone("alice")
    world.phone("bob")
    for _ in range(9):
        alice.sends("INVITE", f"sip:nobody@{REALM}")
    world.phone("carol")
    assert table.results["failed"] == 9
    SHARED["go"].set()
    until(lambda: not world.server.hooks._is_draining)
    assert SHARED["heard"] == [
        *("registered", "registered"),
        *("call.ended", "call.ended"),
        "registered",
    ]


def test_a_failing_event_hook_is_a_line(path, caplog):
    write(path, "def on_register(event): 1 / 0")
    world = World(settings={"hooks_file": str(path)})
    world.phone("bob")
    until(lambda: said(caplog, "hook on_register failed: ZeroDivisionError"))
