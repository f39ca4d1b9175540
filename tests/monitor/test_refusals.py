"""The latest refusals: which of them share a row, and which rows are removed first."""

import pytest

from sip.monitor.events import Refused, Sender
from sip.monitor.refusals import (
    MAX_NEW_ROWS,
    MAX_REFUSALS,
    MAX_REFUSED,
    MAX_ROWS,
    MAX_TEXT,
    Refusal,
    Refusals,
)

HERE = "192.0.2.7"


class Bench:
    """Refusals, on a clock that goes on with each of them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.refusals = Refusals()

    def refuses(self, user: str = "alice", sender: Sender = Sender.USER, **changes) -> None:
        self.now += 0.001
        values = {
            "at": self.now,
            "sender": sender,
            "method": "REGISTER",
            "status": 401,
            "cause": f"wrong password for {user}",
            "cure": "Type it again.",
            "username": user,
            "realm": "example.com",
            "user": user,
            "to": "",
            "network": changes.get("address", HERE),
            "transport": "UDP",
            "device": "a phone",
            "call_id": "one",
            "from_tag": "tag",
        }
        changes["address"] = changes.get("address", HERE), 5060
        self.refusals.add(Refused(**(values | changes)))

    def passes(self) -> None:
        """A second passes."""
        self.now += 1.0
        self.refusals.sweep()

    def users(self) -> list[str]:
        return [row.user for row in self.refusals.latest()]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_equal_refusals_are_one_row_with_both_moments(bench: Bench):
    bench.refuses()
    first_at = bench.now
    for _ in range(3):
        bench.refuses(device="another phone")
    (row,) = bench.refusals.latest()
    assert row == Refusal(
        *(first_at, bench.now, 4, "REGISTER", 401, "wrong password for alice", "Type it again."),
        *("alice", "example.com", "alice", "", HERE, "another phone"),
        call_id="one",
    )


def test_a_row_names_the_latest_call_id(bench: Bench):
    """The link to its ladder; a Call-ID that is too long could be cut only, and would lead away."""
    bench.refuses()
    bench.refuses(call_id="two")
    assert [row.call_id for row in bench.refusals.latest()] == ["two"]
    bench.refuses(call_id="x" * (MAX_TEXT + 1))
    assert [row.call_id for row in bench.refusals.latest()] == [""]


@pytest.mark.parametrize(
    "difference",
    [
        {"user": "bob"},
        {"method": "INVITE"},
        {"to": "bob"},
        {"cause": "there is no user alice"},
        {"address": "192.0.2.8"},
    ],
)
def test_what_differs_in_anything_else_is_another_row(bench: Bench, difference):
    bench.refuses()
    bench.refuses(**difference)
    assert len(bench.refusals.latest()) == 2


def test_the_latest_refusal_is_first_however_old_its_row(bench: Bench):
    for user in ("alice", "bob", "alice"):
        bench.refuses(user)
    assert bench.users() == ["alice", "bob"]


@pytest.mark.parametrize("sender", list(Sender))
def test_so_many_rows_are_kept_and_shown(bench: Bench, sender: Sender):
    for number in range(MAX_ROWS + 20):
        if number == MAX_NEW_ROWS:
            bench.passes()
        bench.refuses(f"user{number}", sender)
    assert bench.users() == [f"user{number}" for number in range(MAX_ROWS + 19, 19, -1)]


@pytest.mark.parametrize("sender", [Sender.VERIFIED, Sender.UNVERIFIED])
def test_unknown_names_evict_no_user(bench: Bench, sender: Sender):
    bench.refuses("alice")
    for second in range(5):
        bench.passes()
        for number in range(MAX_NEW_ROWS):
            address = f"10.0.{second}.{number}"
            bench.refuses(f"x{second}-{number}", sender, address=address)
    assert "alice" in bench.users()
    assert len(bench.users()) == MAX_ROWS


def test_forged_addresses_push_out_no_verified_row(bench: Bench):
    bench.refuses("alcie", Sender.VERIFIED)
    for number in range(MAX_NEW_ROWS):
        bench.refuses(f"x{number}", Sender.UNVERIFIED, address=f"10.0.0.{number}")
    bench.passes()
    for number in range(MAX_NEW_ROWS):
        bench.refuses(f"y{number}", Sender.UNVERIFIED, address=f"10.0.1.{number}")
    assert "alcie" in bench.users()


def test_an_address_with_many_rows_pushes_out_its_own(bench: Bench):
    """A guesser that tries each user of a list, from one address."""
    bench.refuses("alice", address="198.51.100.7")
    for number in range(2 * MAX_ROWS):
        if number % 100 == 0:
            bench.passes()
        bench.refuses(f"user{number}")
    assert "alice" in bench.users()


def test_a_flood_is_counted_in_part_and_new_rows_are_few(bench: Bench):
    for _ in range(2 * MAX_REFUSALS):
        bench.refuses()
    (row,) = bench.refusals.latest()
    assert row.count == MAX_REFUSALS
    bench.passes()
    for number in range(MAX_NEW_ROWS + 5):
        bench.refuses(f"user{number}", address="192.0.2.8")
    bench.refuses("alice")
    assert f"user{MAX_NEW_ROWS}" not in bench.users()
    assert bench.refusals.latest()[0].count == MAX_REFUSALS + 1


def test_texts_are_cut(bench: Bench):
    bench.refuses(user="u" * 1000, device="d" * 1000)
    (row,) = bench.refusals.latest()
    assert (len(row.user), len(row.device)) == (MAX_TEXT, MAX_TEXT)


def test_a_user_sees_its_own_refusals_and_the_calls_to_it(bench: Bench):
    bench.refuses("alice")
    bench.refuses("bob", method="INVITE", to="alice", cause="alice is not registered")
    bench.refuses("alice@other.org", username="alice", realm="other.org")
    bench.refuses("alice@example.net", Sender.VERIFIED, username="alice", realm=None)
    bench.refuses("bob")
    rows = bench.refusals.of_user("alice", "alice", "example.com")
    assert [row.user for row in rows] == ["alice@example.net", "bob", "alice"]


def test_a_refused_user_is_cleared_once(bench: Bench):
    bench.refuses("alice")
    bench.refuses("bob", Sender.UNVERIFIED)
    assert not bench.refusals.clear_refused("alice", "192.0.2.8")
    assert not bench.refusals.clear_refused("bob", HERE)
    assert bench.refusals.clear_refused("alice", HERE)
    assert not bench.refusals.clear_refused("alice", HERE)


def test_refused_users_are_bounded(bench: Bench):
    bench.refuses("alice")
    for number in range(MAX_REFUSED):
        if number % 500 == 0:
            bench.passes()
        bench.refuses(f"user{number}")
    assert not bench.refusals.clear_refused("alice", HERE)
