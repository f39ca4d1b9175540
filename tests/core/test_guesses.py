"""How often somebody may be wrong."""

import pytest

from sip.core.guesses import (
    FIRST_WAIT,
    LONGEST_WAIT,
    MAX_DOUBTED,
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
