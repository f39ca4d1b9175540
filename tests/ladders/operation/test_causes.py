"""Each cause of a refused request or a failed call: provoked, and told to those who may know."""

import re

import pytest

from sip.core.causes import CAUSES
from sip.message.message import Request, parse
from sip.monitor.events import Banned, CallEnded, MessagePassed, Refused
from sip.monitor.metrics import refusals
from tests.support.cause_scenarios import GATEWAY, SCENARIOS, SHOWN_ELSEWHERE, WITHOUT_LINE
from tests.support.failed_call_scenarios import answers
from tests.support.outside_proxy import STRANGER
from tests.support.world import REALM, World


def test_each_cause_has_a_scenario():
    assert set(SCENARIOS) | SHOWN_ELSEWHERE == set(CAUSES)


@pytest.mark.parametrize("code", SCENARIOS)
def test_a_cause_is_told_to_verified_senders_alone(code: str, monkeypatch, caplog):
    """In the log or the end of the call, in a counter, and in Warning (§20.43)."""
    caplog.set_level("INFO")
    scenario = SCENARIOS[code]
    world = World(settings=scenario.settings)
    sent = world.bus.read(MessagePassed)
    ends, refused, bans = (world.bus.read(each) for each in (CallEnded, Refused, Banned))
    scenario.provoke(world, monkeypatch)
    kind = CAUSES[code]
    said = re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(kind.text)) + "$")
    banned = [event for event in bans.take() if event.code == code]
    ended = [event for event in ends.take() if event.code == code]
    counted = world.server.layer.counts[refusals(code)]
    assert ended or banned or counted
    assert all(said.match(event.cause) for event in ended)
    assert all(said.match(event.cause) for event in refused.take() if event.code == code)
    ours = [record for record in caplog.records if record.name.startswith("sip.core")]
    lines = [record.getMessage() for record in ours]
    is_logged = any(said.search(line) for line in lines)
    assert is_logged is not (scenario.is_answered or code in WITHOUT_LINE)
    out = [parse(each.octets) for each in sent.take() if each.direction == "out"]
    warnings = [w for m in out if not isinstance(m, Request) for w in m.fields("warning")]
    assert bool(warnings) is scenario.is_told
    for warning in warnings:
        number, agent, text = warning.split(" ", 2)
        assert (number, agent) == ("399", "192.0.2.1:5060")
        assert said.match(text.strip('"'))


@pytest.mark.parametrize("how", ["unreachable", "silent", "stopping"])
def test_a_stranger_is_not_told_after_a_100(world: World, monkeypatch, how: str):
    """Its response is then sent by a transaction, like that to a user."""
    bob, stranger = world.phone("bob"), world.phone("x", registered=False)
    if how == "unreachable":
        world.dead.add(bob.address)
    stranger.sends("INVITE", bob.aor, from_uri=STRANGER)
    if how == "silent":
        world.passes(33, step=0.5)
    elif how == "stopping":
        monkeypatch.setattr("sip.dispatcher.DRAIN_SECONDS", 0.0)
        monkeypatch.setattr("sip.dispatcher.CANCEL_SECONDS", 0.0)
        world.server.dispatcher.drain()
    final = stranger.gets({"unreachable": 500, "silent": 408, "stopping": 503}[how])
    assert "warning" not in final.present


@pytest.mark.parametrize(
    ("status", "code"),
    [(600, "busy"), (403, "declined"), (604, "number_unknown_there"), (606, "media_not_accepted")],
)
def test_other_answers_have_the_same_causes(world: World, status: int, code: str):
    ends = world.bus.read(CallEnded)
    answers(status)(world, None)
    (ended,) = ends.take()
    assert (ended.code, ended.status) == (code, status)


def test_a_gateway_is_named_as_such():
    world = World(settings=GATEWAY)
    gateway = world.phone("gateway", registered=False, host="203.0.113.9")
    ends = world.bus.read(CallEnded)
    alice = world.phone("alice")
    alice.sends("INVITE", f"sip:0891234@{REALM}")
    gateway.answers(gateway.gets("INVITE"), 503)
    (ended,) = ends.take()
    assert ended.cause == "the gateway 203.0.113.9 answered 503 Service Unavailable"
    assert (ended.status, ended.code) == (500, "failed_there")
    alice.gets(500)
