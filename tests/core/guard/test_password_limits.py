"""Limits on wrong passwords, per user and per source."""

import pytest

from sip.core.guard import password_limits
from sip.core.guard.password_limits import (
    ANSWERS_PER_ATTEMPT,
    FIRST_BLOCK_SECONDS,
    FOLD_SECONDS,
    MAX_BLOCK_SECONDS,
    MAX_CALLS,
    MAX_FAILURES_OF_SOURCE,
    MAX_FAILURES_OF_USER,
    MAX_FOLDED,
    MAX_RECORDS,
    MAX_UNVERIFIED_FAILURES,
    MAX_UNVERIFIED_SOURCES,
    REMEMBERED_SECONDS,
    FailedLogins,
)

HERE, THERE = "192.0.2.7", "192.0.2.8"


@pytest.fixture
def logins() -> FailedLogins:
    return FailedLogins()


def wrong(logins: FailedLogins, username: str, times: int, now: float = 0.0) -> float:
    return max(logins.count_failure(HERE, username, now) for _ in range(times))


def test_a_user_is_blocked_after_five_failures_at_a_source(logins: FailedLogins):
    wrong(logins, "alice", MAX_FAILURES_OF_USER - 1)
    assert not logins.is_blocked(HERE, "alice", 0.0)
    wrong(logins, "alice", 1)
    assert logins.is_blocked(HERE, "alice", FIRST_BLOCK_SECONDS - 1)
    assert not logins.is_blocked(HERE, "alice", FIRST_BLOCK_SECONDS)
    assert not logins.is_blocked(HERE, "bob", 0.0)
    assert not logins.is_blocked(THERE, "alice", 0.0)
    assert not logins.is_blocked(HERE, None, 0.0)


def test_a_source_is_blocked_after_failures_of_any_users(logins: FailedLogins):
    for number in range(MAX_FAILURES_OF_SOURCE - 1):
        assert wrong(logins, f"user{number}", 1) == 0.0
    assert wrong(logins, "another", 1) == FIRST_BLOCK_SECONDS
    assert logins.is_blocked(HERE, None, FIRST_BLOCK_SECONDS - 1)
    assert not logins.is_blocked(THERE, None, 0.0)
    assert logins.block_count(HERE) == 1


def test_after_a_block_one_attempt_then_a_longer_block(logins: FailedLogins):
    now, waits = 0.0, []
    for number in range(MAX_FAILURES_OF_SOURCE - 1):
        wrong(logins, f"user{number}", 1)
    for number in range(10):
        waits.append(wrong(logins, f"next{number}", 1, now))
        now += waits[-1]
    assert waits[:4] == [
        FIRST_BLOCK_SECONDS,
        4 * FIRST_BLOCK_SECONDS,
        16 * FIRST_BLOCK_SECONDS,
        64 * FIRST_BLOCK_SECONDS,
    ]
    assert waits[-1] == MAX_BLOCK_SECONDS


def test_two_wrong_phones_do_not_use_up_the_tries_of_an_office(
    logins: FailedLogins,
):
    """Answers that are not checked are not counted."""
    now = 0.0
    for _ in range(MAX_FAILURES_OF_USER + 20):
        for username in ("one", "two"):
            assert wrong(logins, username, 1, now) == 0.0
        now += MAX_BLOCK_SECONDS
    assert not logins.is_blocked(HERE, None, now)


def test_a_source_has_at_most_twenty_tries_per_day():
    """A guesser that tries at every chance, with so many users in turn."""
    for users in range(1, 21):
        logins, tries = FailedLogins(), 0
        for minute in range(24 * 60):
            for number in range(users):
                while not (
                    logins.is_blocked(HERE, None, minute * 60)
                    or logins.is_blocked(HERE, f"user{number}", minute * 60)
                ):
                    logins.count_failure(HERE, f"user{number}", minute * 60)
                    tries += 1
        assert tries <= 20 - MAX_UNVERIFIED_FAILURES


def test_a_right_password_clears_only_the_failures_of_its_user(logins: FailedLogins):
    wrong(logins, "alice", 4)
    wrong(logins, "bob", 5)
    logins.clear_user(HERE, "alice")
    logins.clear_user(HERE, "alice")
    logins.clear_user(HERE, "carol")
    assert wrong(logins, "alice", 4) == 0.0
    assert wrong(logins, "dora", MAX_FAILURES_OF_SOURCE - 9) == FIRST_BLOCK_SECONDS


def test_old_failures_are_forgotten(logins: FailedLogins):
    for week in range(2 * MAX_FAILURES_OF_SOURCE):
        assert wrong(logins, "alice", 1, week * (REMEMBERED_SECONDS + 1)) == 0.0
        assert not logins.is_blocked(HERE, "alice", week * (REMEMBERED_SECONDS + 1))


def test_restore_continues_the_blocks_of_before_a_restart(logins: FailedLogins):
    logins.restore(HERE, 3, 500.0, 100.0)
    assert logins.is_blocked(HERE, None, 499.0)
    assert not logins.is_blocked(HERE, None, 500.0)
    assert wrong(logins, "alice", 1, 500.0) == 64 * FIRST_BLOCK_SECONDS


def test_a_cleared_source_starts_anew(logins: FailedLogins):
    wrong(logins, "alice", MAX_FAILURES_OF_SOURCE)
    logins.clear_source(HERE)
    assert not logins.is_blocked(HERE, None, 0.0)
    assert not logins.is_blocked(HERE, "alice", 0.0)
    assert len(logins) == 0


def test_the_oldest_go_at_the_bound(logins: FailedLogins):
    wrong(logins, "first", 1)
    for number in range(MAX_RECORDS):
        logins.count_failure(f"10.0.0.{number}", "x", 0.0)
    assert len(logins) <= MAX_RECORDS
    assert wrong(logins, "first", MAX_FAILURES_OF_USER - 1) == 0.0
    assert not logins.is_blocked(HERE, "first", 0.0)


def test_answers_to_foreign_nonces_are_blocked_after_one(logins: FailedLogins):
    for _ in range(MAX_UNVERIFIED_FAILURES):
        assert not logins.is_unverified_blocked(HERE, 0.0)
        logins.count_unverified_failure(HERE, 0.0)
    assert logins.is_unverified_blocked(HERE, 0.0)
    assert not logins.is_unverified_blocked(THERE, 0.0)
    assert not logins.is_blocked(HERE, None, 0.0)  # they may be forged
    assert not logins.is_unverified_blocked(HERE, MAX_BLOCK_SECONDS)


def test_forged_addresses_do_not_evict_unverified_failures(logins: FailedLogins):
    for _ in range(MAX_UNVERIFIED_FAILURES):
        logins.count_unverified_failure(HERE, 0.0)
    for number in range(MAX_UNVERIFIED_SOURCES + 10):
        logins.count_unverified_failure(f"forged {number}", 0.0)
    assert logins.is_unverified_blocked(HERE, 1.0)
    assert logins.is_unverified_blocked("somebody new", 1.0)


# Several answers that are one try


def answers(
    logins: FailedLogins, times: int, call_id: str, username: str = "alice", now: float = 0.0
):
    """Answer wrongly with another digest each time, as often as it is looked at."""
    looked_at = 0
    for number in range(times):
        if logins.is_blocked(HERE, username, now) or logins.is_blocked(HERE, None, now):
            break
        looked_at += 1
        logins.count_failure(
            HERE, username, now, call_id=call_id, answer=f"{call_id} {number} {now}"
        )
    return looked_at


def test_a_few_answers_of_one_call_are_one_try(logins: FailedLogins):
    """A phone that answers each challenge again makes two typos, and there are three tries more."""
    for typo in range(2):
        assert answers(logins, ANSWERS_PER_ATTEMPT, f"typo {typo}", now=typo) == ANSWERS_PER_ATTEMPT
    (waiting,) = logins.by_user(3.0)
    assert waiting[2:4] == (2, 0.0)


def test_answers_of_one_call_far_apart_are_a_try_each(logins: FailedLogins):
    for number in range(MAX_FAILURES_OF_USER):
        assert answers(logins, 1, "one", now=number * FOLD_SECONDS) == 1
    assert logins.is_blocked(HERE, "alice", MAX_FAILURES_OF_USER * FOLD_SECONDS)


def test_the_very_same_answer_is_never_counted_again(logins: FailedLogins):
    """A datagram that is repeated (RFC 3261 §17.1.2.2) is no guess, however late it comes."""
    for second in range(100):
        logins.count_failure(HERE, "alice", float(second), call_id="one", answer="the same")
    (waiting,) = logins.by_user(100.0)
    assert waiting[2] == 1


@pytest.mark.parametrize(
    ("users", "calls", "most"),
    [
        (1, 1, ANSWERS_PER_ATTEMPT + MAX_FAILURES_OF_USER - 1),  # one Call-ID for all guesses
        (1, 100, MAX_FAILURES_OF_USER + MAX_FOLDED),  # a new one as often as that helps
        (20, 100, MAX_FAILURES_OF_SOURCE + MAX_FOLDED),
    ],
)
def test_a_guesser_gains_little_by_the_folding(
    logins: FailedLogins, users: int, calls: int, most: int
):
    looked_at = 0
    for call in range(calls):
        for user in range(users):
            size = 100 if calls == 1 else ANSWERS_PER_ATTEMPT
            looked_at += answers(logins, size, f"call {call}", f"user{user}")
    assert looked_at == most <= 20


def test_a_guesser_that_folds_has_few_answers_in_a_day():
    for users in range(1, 21):
        logins, looked_at = FailedLogins(), 0
        for minute in range(24 * 60):
            for user in range(users):
                call_id = f"{minute} {user}"
                now = minute * 60.0
                looked_at += answers(logins, ANSWERS_PER_ATTEMPT, call_id, f"user{user}", now)
        assert looked_at <= 20 - MAX_UNVERIFIED_FAILURES + MAX_FOLDED


def test_a_right_answer_takes_back_what_was_folded_as_well(logins: FailedLogins):
    for turn in range(10):
        assert answers(logins, ANSWERS_PER_ATTEMPT, f"{turn}") == ANSWERS_PER_ATTEMPT
        logins.clear_user(HERE, "alice")
    assert answers(logins, 100, "last") == ANSWERS_PER_ATTEMPT + MAX_FAILURES_OF_USER - 1


def test_calls_are_forgotten_at_the_bound(logins: FailedLogins):
    for number in range(MAX_CALLS + 10):
        logins.count_failure(f"10.0.{number}", "x", 0.0, call_id="one", answer="a")
    assert len(logins._calls) == MAX_CALLS


def test_users_with_wrong_answers_are_listed_the_latest_first(logins: FailedLogins):
    wrong(logins, "alice", 2)
    wrong(logins, "bob", MAX_FAILURES_OF_USER)
    assert list(logins.by_user(1.0)) == [
        (HERE, "bob", MAX_FAILURES_OF_USER, FIRST_BLOCK_SECONDS, False),
        (HERE, "alice", 2, 0.0, False),
    ]
    until = wrong(logins, "carol", MAX_FAILURES_OF_SOURCE - 7)
    assert [(row[1], row[3:]) for row in logins.by_user(1.0)][-1] == ("alice", (until, True))


def test_blocked_users_are_listed_page_by_page(logins: FailedLogins, monkeypatch):
    """Each once, the latest first; a page looks at few blocks, so it may be short."""
    monkeypatch.setattr(password_limits, "MAX_EXAMINED", 4)
    for number in range(9):
        for _ in range(MAX_FAILURES_OF_USER):
            logins.count_failure(f"10.0.0.{number}", f"user{number}", 0.0)
    for number in (3, 5, 6, 7):
        logins.clear_user(f"10.0.0.{number}", f"user{number}")
    pages, before = [], None
    while True:
        found, before = logins.blocked_users(1.0, before, 2)
        pages.append([each.username for each in found])
        if before is None:
            break
    assert pages == [["user8"], ["user4", "user2"], ["user1", "user0"]]


def test_blocks_that_have_ended_do_not_pile_up(logins: FailedLogins, monkeypatch):
    monkeypatch.setattr(password_limits, "MAX_RECORDS", 5)
    for number in range(30):
        for _ in range(MAX_FAILURES_OF_USER):
            logins.count_failure(f"10.0.0.{number}", "alice", 0.0)
    assert len(logins._user_blocks) <= 10
    found, before = logins.blocked_users(1.0, None, 50)
    assert before is None
    assert [each.source for each in found] == ["10.0.0.29", "10.0.0.28"]
