"""Each cause of a refused request or a failed call: provoked, and told to those who may know."""

import re

import pytest

from sip.core import explain
from sip.core.causes import CAUSES
from sip.message.message import Response, parse
from sip.monitor.calls import Calls
from sip.monitor.events import Banned, CallEnded, MessagePassed, Refused
from sip.monitor.metrics import refusals
from sip.monitor.trace_ladder import ladder_of
from sip.monitor.traces import Traces
from tests.support.cases import cases
from tests.support.cause_scenarios import GATEWAY, SCENARIOS, SHOWN_ELSEWHERE, WITHOUT_LINE
from tests.support.failed_call_scenarios import answers
from tests.support.outside_proxy import STRANGER
from tests.support.world import REALM, World

# Causes without a failed response: bans, and the end of an answered call.
WITHOUT_FAILURE = {"no_credentials", "password_guessing", "scanner", "hung_up"}


def test_each_cause_has_a_scenario():
    assert set(SCENARIOS) | SHOWN_ELSEWHERE == set(CAUSES)


@cases("code", SCENARIOS)
def test_a_cause_is_told_to_verified_senders_alone(code: str, monkeypatch, caplog):
    """In the log or the end of the call, in a counter; in Warning and Reason (RFC 6432)."""
    caplog.set_level("INFO")
    scenario = SCENARIOS[code]
    world = World(settings=scenario.settings)
    sent = world.bus.read(MessagePassed)
    ends, refused, bans = (world.bus.read(each) for each in (CallEnded, Refused, Banned))
    with monkeypatch.context() as patch:
        scenario.provoke(world, patch)
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
    passed = map(MessagePassed._make, sent.take())
    out = [parse(each.octets) for each in passed if each.direction == "out"]
    responses = [message for message in out if isinstance(message, Response)]
    warnings = [warning for response in responses for warning in response.fields("warning")]
    assert bool(warnings) is scenario.is_told
    for response in responses:
        told = (response.value("warning") or "").partition('"')[2]
        reason = response.value("reason")
        assert reason is None or (told and response.cseq[1] == "INVITE")
        assert reason is None or re.fullmatch(rf'Q\.850;cause=\d+;text="{re.escape(told)}', reason)
    for warning in warnings:
        number, agent, text = warning.split(" ", 2)
        assert (number, agent) == ("399", "192.0.2.1:5060")
        assert said.match(text.strip('"'))


@cases("code", SCENARIOS)
def test_the_ladder_shows_the_cause_with_its_cure(code: str, monkeypatch):
    scenario = SCENARIOS[code]
    world = World(settings=scenario.settings)
    Calls(world.bus)
    traces = Traces(world.bus)
    with monkeypatch.context() as patch:
        scenario.provoke(world, patch)
    kind = CAUSES[code]
    text = f"{explain.as_sentence(kind.text)} {kind.cure}".strip()
    shown = re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(text)))
    whys = [row.why for trace in traces.latest() for row in ladder_of(trace, explain).rows]
    assert any(map(shown.fullmatch, whys)) is not (code in WITHOUT_FAILURE), whys


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


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("unknown_callee", 1),
        ("unregistered_callee", 18),
        ("call_to_outside", 21),
        ("no_response", 102),
    ],
)
def test_a_caller_gets_the_cause_value_of_q850(code: str, number: int):
    """RFC 3398 §8.2.6.1, RFC 6432."""
    world = World()
    sent = world.bus.read(MessagePassed)
    SCENARIOS[code].provoke(world, None)
    passed = map(MessagePassed._make, sent.take())
    out = [parse(each.octets) for each in passed if each.direction == "out"]
    reasons = [m.value("reason") for m in out if isinstance(m, Response) and m.value("reason")]
    assert reasons
    assert all(reason.startswith(f"Q.850;cause={number};text=") for reason in reasons)


@cases(
    ("fields", "words"),
    [
        (('Warning: 399 gw "no circuits"',), "no circuits"),
        (('Reason: Q.850;cause=34;text="no circuits."',), "no circuits; Q.850 cause 34"),
        (("Reason: Q.850 ;cause=34",), "Q.850 cause 34"),
        (('Reason: SIP;cause=488;text="Not Acceptable Here"',), ""),
        (('Warning: 399 gw "' + "\\" * 3000,), ""),
        (("Reason: " + "Q.850;" * 5000,), ""),
    ],
)
def test_a_phone_is_quoted(world: World, fields: tuple[str, ...], words: str):
    """Its Warning and Reason stand in the log and in the history."""
    alice, bob = world.phones("alice", "bob")
    ends = world.bus.read(CallEnded)
    alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 488, headers=fields)
    (ended,) = ends.take()
    clause = "bob's phone accepts none of the offered codecs or encryption"
    assert ended.cause == (f"{clause}, and says: {words}" if words else clause)


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
