"""How often somebody may be wrong."""

import pytest

from sip.core.guard.password_limits import (
    ANSWERS_OF_TRY,
    FIRST_WAIT,
    FOLD_SECONDS,
    LONGEST_WAIT,
    MAX_CALLS,
    MAX_DOUBTED,
    MAX_FOLDED,
    MAX_KEPT,
    REMEMBERED,
    TRIES_OF_SOURCE,
    TRIES_OF_USER,
    TRIES_WITHOUT_PROOF,
    Guesses,
)

HERE, THERE = "192.0.2.7", "192.0.2.8"


@pytest.fixture
def guesses() -> Guesses:
    return Guesses()


def wrong(guesses: Guesses, username: str, times: int, now: float = 0.0) -> float:
    return max(guesses.wrong(HERE, username, now) for _ in range(times))


def test_a_user_is_looked_at_so_often_from_one_address(guesses: Guesses):
    wrong(guesses, "alice", TRIES_OF_USER - 1)
    assert not guesses.waits(HERE, "alice", 0.0)
    wrong(guesses, "alice", 1)
    assert guesses.waits(HERE, "alice", FIRST_WAIT - 1)
    assert not guesses.waits(HERE, "alice", FIRST_WAIT)
    assert not guesses.waits(HERE, "bob", 0.0)
    assert not guesses.waits(THERE, "alice", 0.0)
    assert not guesses.waits(HERE, None, 0.0)


def test_an_address_waits_after_so_many_whoever_they_were_for(guesses: Guesses):
    for number in range(TRIES_OF_SOURCE - 1):
        assert wrong(guesses, f"user{number}", 1) == 0.0
    assert wrong(guesses, "another", 1) == FIRST_WAIT
    assert guesses.waits(HERE, None, FIRST_WAIT - 1)
    assert not guesses.waits(THERE, None, 0.0)
    assert guesses.times(HERE) == 1


def test_after_a_wait_there_is_one_try_and_a_longer_wait(guesses: Guesses):
    now, waits = 0.0, []
    for number in range(TRIES_OF_SOURCE - 1):
        wrong(guesses, f"user{number}", 1)
    for number in range(10):
        waits.append(wrong(guesses, f"next{number}", 1, now))
        now += waits[-1]
    assert waits[:4] == [FIRST_WAIT, 4 * FIRST_WAIT, 16 * FIRST_WAIT, 64 * FIRST_WAIT]
    assert waits[-1] == LONGEST_WAIT


def test_two_phones_with_a_wrong_password_do_not_use_up_the_tries_of_an_office(guesses: Guesses):
    """What is not looked at is not counted."""
    now = 0.0
    for _ in range(TRIES_OF_USER + 20):
        for username in ("one", "two"):
            assert wrong(guesses, username, 1, now) == 0.0
        now += LONGEST_WAIT
    assert not guesses.waits(HERE, None, now)


def test_nobody_has_more_than_twenty_tries_in_a_day_however_they_are_spread():
    """A guesser who is asked at every chance, with so many users in turn."""
    for users in range(1, 21):
        guesses, tries = Guesses(), 0
        for minute in range(24 * 60):
            for number in range(users):
                while not (
                    guesses.waits(HERE, None, minute * 60)
                    or guesses.waits(HERE, f"user{number}", minute * 60)
                ):
                    guesses.wrong(HERE, f"user{number}", minute * 60)
                    tries += 1
        assert tries <= 20 - TRIES_WITHOUT_PROOF


def test_a_right_answer_takes_back_the_slips_of_its_user_and_nobody_elses(guesses: Guesses):
    wrong(guesses, "alice", 4)
    wrong(guesses, "bob", 5)
    guesses.right(HERE, "alice")
    guesses.right(HERE, "alice")
    guesses.right(HERE, "carol")
    assert wrong(guesses, "alice", 4) == 0.0
    assert wrong(guesses, "dora", TRIES_OF_SOURCE - 9) == FIRST_WAIT


def test_who_is_wrong_once_in_a_while_is_not_counted_for_ever(guesses: Guesses):
    for week in range(2 * TRIES_OF_SOURCE):
        assert wrong(guesses, "alice", 1, week * (REMEMBERED + 1)) == 0.0
        assert not guesses.waits(HERE, "alice", week * (REMEMBERED + 1))


def test_what_was_known_before_a_restart_is_known_again(guesses: Guesses):
    guesses.restore(HERE, 3, 500.0, 100.0)
    assert guesses.waits(HERE, None, 499.0)
    assert not guesses.waits(HERE, None, 500.0)
    assert wrong(guesses, "alice", 1, 500.0) == 64 * FIRST_WAIT


def test_who_is_forgiven_begins_anew(guesses: Guesses):
    wrong(guesses, "alice", TRIES_OF_SOURCE)
    guesses.forgive(HERE)
    assert not guesses.waits(HERE, None, 0.0)
    assert not guesses.waits(HERE, "alice", 0.0)
    assert len(guesses) == 0


def test_the_oldest_go_at_the_bound(guesses: Guesses):
    wrong(guesses, "first", 1)
    for number in range(MAX_KEPT):
        guesses.wrong(f"10.0.0.{number}", "x", 0.0)
    assert len(guesses) <= MAX_KEPT
    assert wrong(guesses, "first", TRIES_OF_USER - 1) == 0.0
    assert not guesses.waits(HERE, "first", 0.0)


def test_answers_to_nonces_of_others_are_told_nothing_after_a_few(guesses: Guesses):
    for _ in range(TRIES_WITHOUT_PROOF):
        assert not guesses.is_doubted(HERE, 0.0)
        guesses.doubt(HERE, 0.0)
    assert guesses.is_doubted(HERE, 0.0)
    assert not guesses.is_doubted(THERE, 0.0)
    assert not guesses.waits(HERE, None, 0.0)  # anybody may have sent them
    assert not guesses.is_doubted(HERE, LONGEST_WAIT)


def test_forged_addresses_do_not_push_out_who_is_doubted(guesses: Guesses):
    for _ in range(TRIES_WITHOUT_PROOF):
        guesses.doubt(HERE, 0.0)
    for number in range(MAX_DOUBTED + 10):
        guesses.doubt(f"forged {number}", 0.0)
    assert guesses.is_doubted(HERE, 1.0)
    assert guesses.is_doubted("somebody new", 1.0)


# Several answers that are one try


def answers(guesses: Guesses, times: int, call_id: str, username: str = "alice", now: float = 0.0):
    """Answer wrongly with another digest each time, as often as it is looked at."""
    looked_at = 0
    for number in range(times):
        if guesses.waits(HERE, username, now) or guesses.waits(HERE, None, now):
            break
        looked_at += 1
        guesses.wrong(HERE, username, now, call_id=call_id, answer=f"{call_id} {number} {now}")
    return looked_at


def test_a_few_answers_of_one_call_are_one_try(guesses: Guesses):
    """A phone that answers each challenge again makes two typos, and there are three tries more."""
    for typo in range(2):
        assert answers(guesses, ANSWERS_OF_TRY, f"typo {typo}", now=typo) == ANSWERS_OF_TRY
    (waiting,) = guesses.of_users(3.0)
    assert waiting[2:4] == (2, 0.0)


def test_answers_of_one_call_far_apart_are_a_try_each(guesses: Guesses):
    for number in range(TRIES_OF_USER):
        assert answers(guesses, 1, "one", now=number * FOLD_SECONDS) == 1
    assert guesses.waits(HERE, "alice", TRIES_OF_USER * FOLD_SECONDS)


def test_the_very_same_answer_is_never_counted_again(guesses: Guesses):
    """A datagram that is repeated (RFC 3261 §17.1.2.2) is no guess, however late it comes."""
    for second in range(100):
        guesses.wrong(HERE, "alice", float(second), call_id="one", answer="the same")
    (waiting,) = guesses.of_users(100.0)
    assert waiting[2] == 1


@pytest.mark.parametrize(
    ("users", "calls", "most"),
    [
        (1, 1, ANSWERS_OF_TRY + TRIES_OF_USER - 1),  # one Call-ID for all guesses
        (1, 100, TRIES_OF_USER + MAX_FOLDED),  # a new one as often as that helps
        (20, 100, TRIES_OF_SOURCE + MAX_FOLDED),
    ],
)
def test_a_guesser_gains_little_by_the_folding(guesses: Guesses, users: int, calls: int, most: int):
    looked_at = 0
    for call in range(calls):
        for user in range(users):
            size = 100 if calls == 1 else ANSWERS_OF_TRY
            looked_at += answers(guesses, size, f"call {call}", f"user{user}")
    assert looked_at == most <= 20


def test_a_guesser_that_folds_has_few_answers_in_a_day():
    for users in range(1, 21):
        guesses, looked_at = Guesses(), 0
        for minute in range(24 * 60):
            for user in range(users):
                call_id = f"{minute} {user}"
                now = minute * 60.0
                looked_at += answers(guesses, ANSWERS_OF_TRY, call_id, f"user{user}", now)
        assert looked_at <= 20 - TRIES_WITHOUT_PROOF + MAX_FOLDED


def test_a_right_answer_takes_back_what_was_folded_as_well(guesses: Guesses):
    for turn in range(10):
        assert answers(guesses, ANSWERS_OF_TRY, f"{turn}") == ANSWERS_OF_TRY
        guesses.right(HERE, "alice")
    assert answers(guesses, 100, "last") == ANSWERS_OF_TRY + TRIES_OF_USER - 1


def test_calls_are_forgotten_at_the_bound(guesses: Guesses):
    for number in range(MAX_CALLS + 10):
        guesses.wrong(f"10.0.{number}", "x", 0.0, call_id="one", answer="a")
    assert len(guesses._calls) == MAX_CALLS


def test_users_with_wrong_answers_are_listed_the_latest_first(guesses: Guesses):
    wrong(guesses, "alice", 2)
    wrong(guesses, "bob", TRIES_OF_USER)
    assert list(guesses.of_users(1.0)) == [
        (HERE, "bob", TRIES_OF_USER, FIRST_WAIT, False),
        (HERE, "alice", 2, 0.0, False),
    ]
    until = wrong(guesses, "carol", TRIES_OF_SOURCE - 7)
    assert [(row[1], row[3:]) for row in guesses.of_users(1.0)][-1] == ("alice", (until, True))
