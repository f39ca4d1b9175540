"""The history of calls: each result, of calls between phones that we did not write."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.support.admin import Admin
from tests.support.baresip import Baresip
from tests.support.phone_calls import part, talk, talk_and_hear
from tests.support.pjsua import Pjsua
from tests.support.programs import until
from tests.support.server import Server
from tests.support.sipp_calls import play

PASSWORD = "correct horse battery staple"


@pytest.fixture
def past(server: Server) -> Callable[[int], list[dict[str, Any]]]:
    """Return `past(n)`: the history as soon as it has that many calls, newest first."""

    def past(number: int) -> list[dict[str, Any]]:
        def rows() -> int:
            with closing(sqlite3.connect(server.database)) as file:
                return file.execute("SELECT count(*) FROM calls").fetchone()[0]

        until(lambda: rows() >= number, f"{number} calls in the history")
        return json.loads(server.does("history", "--json"))

    return past


def name_of(side: dict[str, Any]) -> str:
    return side["name"] or side["uri"]


def result_of(call: dict[str, Any]) -> tuple[str, int, str, str]:
    return call["result"], call["status"], name_of(call["from"]), name_of(call["to"])


def test_an_answered_call_tells_times_and_devices(server, registered, past):
    alice, bob = registered(Baresip, "alice"), registered(Pjsua, "bob")
    talk_and_hear(alice, bob)
    (talking,) = json.loads(server.does("calls", "list", "--json"))
    part(alice, bob)
    (call,) = past(1)
    assert {**talking, **call} == {**call, **talking}  # what both have is the same
    assert result_of(call) == ("answered", 200, "alice", "bob")
    assert call["talked_seconds"] > 0.4
    assert 0 < call["rang_seconds"] < 60
    assert call["ended_by"] == "callee"
    assert "baresip" in call["from"]["device"]
    assert call["from"]["address"] == alice.address
    assert call["to"]["address"] == bob.address


def test_a_call_to_a_phone_that_is_switched_off_is_missed(server, registered, past):
    """It is in the history of the callee."""
    alice, bob = registered(Pjsua, "alice"), registered(Pjsua, "bob")
    bob.unregisters()
    alice.dials(bob)
    alice.call_ends(status=480)
    (call,) = past(1)
    assert result_of(call) == ("missed", 480, "alice", "bob")
    assert "not registered" in call["cause"]
    assert json.loads(server.does("history", "--json", "--user", "bob")) == [call]


@pytest.mark.parametrize(
    ("status", "result"), [(486, "busy"), (600, "busy"), (603, "declined"), (408, "missed")]
)
def test_a_call_that_a_phone_refuses_has_its_result(registered, past, status, result):
    alice, bob = registered(Baresip, "alice"), registered(Pjsua, "bob")
    alice.dials(bob)
    bob.gets_a_call(alice)
    alice.hears_ringing()
    bob.answers(status)
    alice.call_ends(bob, status=status)
    (call,) = past(1)
    assert result_of(call) == (result, status, "alice", "bob")
    assert (call["talked_seconds"], call["rang_seconds"] > 0) == (0, True)


def test_a_caller_that_hangs_up_while_it_rings_has_cancelled(registered, past):
    alice, bob = registered(Pjsua, "alice"), registered(Baresip, "bob")
    alice.dials(bob)
    bob.gets_a_call(alice)
    alice.hears_ringing()
    alice.hangs_up()
    alice.call_ends(status=487)
    (call,) = past(1)
    assert result_of(call) == ("cancelled", 487, "alice", "bob")
    assert call["ended_by"] == "caller"


def test_a_call_to_a_wrong_number_has_failed(registered, past):
    alice = registered(Pjsua, "alice")
    alice.dials("sip:nobody@example.test")
    alice.call_ends(status=404)
    (call,) = past(1)
    assert result_of(call)[:3] == ("failed", 404, "alice")
    assert "nobody" in call["to"]["uri"]


def test_a_call_with_a_wrong_password_is_refused(server, phone, registered, past):
    registered(Pjsua, "bob")
    alice = phone(Pjsua, "alice", server, password="wrong")
    alice.dials(f"sip:bob@{server.domain}")
    alice.call_ends()
    (call,) = past(1)
    assert (call["result"], name_of(call["from"])) == ("refused", "alice")
    assert "wrong password" in call["cause"]


def test_five_hundred_calls_are_five_hundred_rows(server, sipp, past):
    """Of each the right user, and the totals of the page agree."""
    play(server, sipp, "caller_challenged", "callee", calls=500)
    calls = past(500)
    assert len(calls) == 500
    assert {call["result"] for call in calls} == {"answered"}
    assert len({call["call_id"] for call in calls}) == 500
    with closing(sqlite3.connect(server.database)) as file:
        totals = file.execute("SELECT seconds, sum(calls) FROM call_totals GROUP BY seconds")
        assert totals.fetchall() == [(3600, 500), (86400, 500)]


def test_the_page_and_its_file_show_a_real_call(server, registered, past):
    server.does("admin", "password", "--password", PASSWORD)
    admin = Admin(server)
    assert admin.signs_in(PASSWORD)
    alice, bob = registered(Baresip, "alice"), registered(Pjsua, "bob")
    talk(alice, bob)
    part(alice, bob)
    (call,) = past(1)
    page = admin.reads("/history?user=bob")
    assert "Answered" in page
    assert "The callee hung up." in page
    row = list(csv.DictReader(io.StringIO(admin.reads("/history/export.csv?number=ali"))))
    assert [(each["from"], each["to"], each["call_id"]) for each in row] == [
        ("alice", "bob", call["call_id"])
    ]
