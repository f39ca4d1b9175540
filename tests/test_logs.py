"""The log as JSON objects."""

import io
import json
import logging

import pytest

from sip.logs import JsonFormatter
from sip.monitor.call_log import CallLog
from sip.monitor.calls import Calls
from tests.support.cause_scenarios import SCENARIOS
from tests.support.world import REALM, World


@pytest.fixture
def lines():
    """Return the log lines of the server as JSON, from the level info."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("sip")
    before, logger.level = logger.level, logging.INFO
    logger.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_a_line_has_time_level_logger_and_message(lines):
    logging.getLogger("sip.example").warning("two\nlines from %s", "ü")
    (line,) = lines()
    assert line.pop("at").endswith("Z")
    assert line == {"level": "warning", "logger": "sip.example", "message": "two\nlines from ü"}


def test_an_error_has_its_traceback_in_the_same_line(lines):
    try:
        raise ValueError("nothing here")
    except ValueError:
        logging.getLogger("sip.example").exception("failed")
    (line,) = lines()
    assert "ValueError: nothing here" in line["trace"]
    assert "Traceback" in line["trace"]


def test_a_refused_call_has_call_id_user_and_address(world: World, lines):
    alice = world.phone("alice")
    invite = alice.sends("INVITE", f"sip:nobody@{REALM}")
    (line,) = [line for line in lines() if line["message"].startswith("refused INVITE 404")]
    assert line["call_id"] == invite.call_id
    assert line["user"] == f"alice@{REALM}"
    assert line["cause"] == "unknown_callee"
    assert line["address"] == alice.address[0]


def test_a_registration_has_call_id_user_and_address(world: World, lines):
    alice = world.phone("alice")
    (line,) = [line for line in lines() if line["message"].startswith("registered alice")]
    assert (line["user"], line["address"]) == ("alice", alice.address[0])
    assert line["call_id"]


def test_a_malformed_message_has_its_address(world: World, lines):
    world.deliver(b"no SIP at all\r\n\r\n", ("192.0.2.66", 5060))
    (line,) = lines()
    assert (line["address"], line["cause"]) == ("192.0.2.66", "malformed")
    assert "call_id" not in line


def test_a_target_that_is_not_reached_has_call_id_and_cause(lines):
    scenario = SCENARIOS["no_route"]
    scenario.provoke(World(settings=scenario.settings), None)
    unreachable, refused = lines()[-2:]
    assert unreachable["message"].startswith("unreachable: ")
    assert refused["message"].startswith("refused INVITE 500 ")
    assert unreachable["cause"] == refused["cause"] == "no_route"
    assert unreachable["call_id"] == refused["call_id"]


def test_a_call_that_is_busy_has_call_id_and_cause(world: World, lines):
    CallLog(world.bus)
    Calls(world.bus)
    alice, bob = world.phones("alice", "bob")
    invite = alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 486)
    (line,) = [line for line in lines() if line["message"].startswith("busy call ")]
    assert (line["call_id"], line["cause"]) == (invite.call_id, "busy")
