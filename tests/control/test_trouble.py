"""The commands `trouble` and `health`: what the server replies, and what they print."""

import json
from ipaddress import ip_network
from types import SimpleNamespace

import pytest

from sip.cli import trouble as command
from sip.config import Config
from sip.control.protocol import NotRunning
from sip.control.trouble import trouble_handlers
from sip.core.guard.guard import Guard
from sip.core.guard.password_limits import MAX_FAILURES_OF_USER
from sip.monitor.events import Bus, Refused, Sender
from sip.monitor.health import Check
from sip.monitor.refusals import Refusals
from sip.store.bans import Ban, Bans
from sip.store.database import Database

NOW = 1_700_000_000.0
HERE = "192.0.2.7"
CHECKS = [
    Check("Clock", "ok", "All is well."),
    Check("Disk space", "warning", "100 MB are free.", "Delete files."),
]


@pytest.fixture
def handlers(tmp_path):
    """The handlers of a server that was asked for wrong things."""
    clock = lambda: NOW  # noqa: E731
    guard = Guard(clock, clock, (), lambda *who: False, lambda rules: False, Bus())
    for _ in range(MAX_FAILURES_OF_USER):
        guard.login_failed(HERE, "carol", nonce_is_ours=True)
    refusals = Refusals()
    who = ("wrong password for carol", "Type it again.", "carol", "example.com", "carol", "")
    head = (NOW, Sender.USER, "REGISTER", 401)
    for _ in range(2):
        refusals.add(Refused(*head, *who, (HERE, 5060), HERE, "UDP", "Desk", "one", "tag"))
    server = SimpleNamespace(
        config=Config(guard_trusted=(ip_network("10.0.0.0/8"),)), guard=guard, unix_clock=clock
    )
    with Database(str(tmp_path / "sip.db")) as database:
        bans = Bans(database)
        bans.save(Ban("192.0.2.66", "guessed passwords", int(NOW) - 60, int(NOW) + 540, 1))
        bans.trust("192.0.2.128/25")
        yield trouble_handlers(server, refusals, bans, SimpleNamespace(checks=lambda: CHECKS))


def test_trouble_has_the_lists_of_the_page(handlers):
    reply = json.loads(json.dumps(handlers["trouble"]({})))
    at = "2023-11-14T22:13:20Z"
    assert reply == {
        "refusals": [
            {"first_at": at, "last_at": at, "count": 2, "method": "REGISTER", "status": 401}
            | {"cause": "wrong password for carol", "cure": "Type it again.", "user": "carol"}
            | {"code": ""}
            | {"to": "", "address": HERE, "device": "Desk", "call_id": "one"}
        ],
        "waits": [
            {"id": int(NOW * 1000), "user": "carol", "address": HERE, "tries": 5}
            | {"until": "2023-11-14T22:23:20Z"}
        ],
        "bans": [
            {"address": "192.0.2.66", "reason": "guessed passwords", "times": 1}
            | {"banned_at": "2023-11-14T22:12:20Z", "until": "2023-11-14T22:22:20Z"}
        ],
        "trusted": [
            {"network": "10.0.0.0/8", "source": "setting"},
            {"network": "192.0.2.128/25", "source": "added"},
        ],
    }


def test_health_has_all_checks_and_the_worst_status(handlers):
    reply = handlers["health"]({})
    assert reply["status"] == "warning"
    assert reply["checks"][1] == {
        "name": "Disk space",
        "status": "warning",
        "detail": "100 MB are free.",
        "cure": "Delete files.",
    }


@pytest.fixture
def asks(handlers, monkeypatch, sipserver):
    """Run a command against these handlers."""

    def ask(database: str, do: str):
        return json.loads(json.dumps(handlers[do]({})))

    monkeypatch.setattr(command, "ask", ask)
    return sipserver


def test_trouble_is_printed_in_sentences(asks):
    code, out, err = asks("trouble")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"carol at {HERE}: registration refused with 401, 2 times, the last 2023-11-14T22:13:20Z:"
        " wrong password for carol",
        "        Type it again.",
        f"carol at {HERE} has to wait until 2023-11-14T22:23:20Z, after 5 wrong passwords;"
        f" `forgive carol {HERE}` ends it",
        "192.0.2.66 is banned until 2023-11-14T22:22:20Z: guessed passwords",
        "10.0.0.0/8 is trusted",
        "192.0.2.128/25 is trusted",
    ]
    code, out, _ = asks("trouble", "--json")
    assert (code, set(json.loads(out))) == (0, {"refusals", "waits", "bans", "trusted"})


def test_health_is_printed_with_the_cure_and_an_exit_code(asks):
    code, out, err = asks("health")
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "ok      Clock: All is well.",
        "WARNING Disk space: 100 MB are free.",
        "        Delete files.",
    ]
    code, out, _ = asks("health", "--json")
    assert (code, json.loads(out)["status"]) == (1, "warning")


@pytest.mark.parametrize("name", ["trouble", "health"])
def test_without_a_server_the_command_says_so(sipserver, name, monkeypatch):
    def ask(database: str, do: str):
        raise NotRunning("no server is running with the database sip.db")

    monkeypatch.setattr(command, "ask", ask)
    code, out, err = sipserver(name)
    assert (code, out) == (1, "")
    assert err == "sipserver.py: no server is running with the database sip.db\n"
