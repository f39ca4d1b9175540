"""Forwarding, do not disturb, groups and star codes, with phones that we did not write."""

import json
import sqlite3
from contextlib import closing

import pytest

from tests.support.baresip import Baresip
from tests.support.phone import Phone
from tests.support.pjsua import Pjsua
from tests.support.programs import until
from tests.support.server import Server


@pytest.fixture
def flags() -> list[str]:
    return ["-rtp.ports", "11000-11999"]


def dials_codes(phone: Phone, server: Server, *codes: str) -> None:
    """Dial star codes; the robot confirms each, and hangs up."""
    for code in codes:
        phone.dials(f"sip:{code}@{server.domain}")
        phone.expects("talking")
        phone.expects("closed")


def reaches(alice: Phone, dialled: str, server: Server, answers: Phone) -> None:
    """Call a number; another phone than the dialled one answers."""
    alice.dials(f"sip:{dialled}@{server.domain}")
    answers.gets_a_call(alice)
    answers.answers()
    alice.expects("talking")
    answers.expects("talking")
    answers.hears(5)
    ends(alice, answers)


def ends(alice: Phone, other: Phone) -> None:
    """End a call, whose other side is not the one that was dialled."""
    alice.hangs_up()
    for phone in (alice, other):
        phone.expects("closed")


def test_each_kind_of_forwarding_and_a_group(server: Server, registered):
    server.does("users", "set", "bob", "--no-answer-seconds", "3", "--aliases", "102")
    server.does("groups", "add", "600", "--members", "bob,carol", "--seconds", "30")
    alice, bob = registered(Pjsua, "alice"), registered(Baresip, "bob")
    carol = registered(Pjsua, "carol")

    dials_codes(bob, server, "*92carol", "*90carol")
    alice.dials(f"sip:102@{server.domain}")
    bob.gets_a_call(alice)
    carol.gets_a_call(alice)  # after 3 s
    bob.expects("closed")
    carol.answers()
    alice.expects("talking")
    ends(alice, carol)

    alice.dials(bob)
    bob.gets_a_call(alice)
    bob.refuses()
    carol.gets_a_call(alice)
    alice.hangs_up()
    carol.expects("closed")

    dials_codes(bob, server, "*72carol")
    reaches(alice, "bob", server, carol)

    dials_codes(bob, server, "*73", "*91", "*93", "*78", "*52carol")
    alice.dials(bob)
    alice.call_ends(status=480)

    dials_codes(bob, server, "*79")
    alice.dials(f"sip:600@{server.domain}")
    bob.gets_a_call(alice)
    carol.gets_a_call(alice)
    bob.answers()
    alice.expects("talking")
    carol.expects("closed")
    ends(alice, bob)

    bob.unregisters()
    reaches(alice, "bob", server, carol)
    causes = causes_of(server)
    assert "forwarded to carol: no answer in 3 s" in causes
    assert "forwarded to carol: bob is not registered" in causes


def causes_of(server: Server) -> list[str]:
    """Return the causes in the history, when all calls are in it."""

    def rows() -> int:
        with closing(sqlite3.connect(server.database)) as file:
            return file.execute("SELECT count(*) FROM calls WHERE result = 0").fetchone()[0]

    until(lambda: rows() >= 13, "the calls in the history")
    return [call["cause"] for call in json.loads(server.does("history", "--json"))]
