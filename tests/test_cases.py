"""The helper that makes one test of a table of cases: no failure may get lost in it."""

import logging

import pytest

from tests.support.cases import cases
from tests.support.world import World


def failures(test, **fixtures) -> BaseExceptionGroup:
    with pytest.raises(BaseExceptionGroup) as raised:
        test(**fixtures)
    return raised.value


def test_each_case_that_fails_is_named():
    @cases(("number", "text"), [(1, "one"), (2, "two"), (3, "three"), (4, "four")])
    def test(number, text):
        assert number != 2
        if number == 3:
            pytest.fail("no three")
        if number == 4:
            raise ValueError(text)

    group = failures(test)
    assert group.message == (
        "3 of 4 cases failed: number=2, text='two'; number=3, text='three'; number=4, text='four'"
    )
    assert list(map(type, group.exceptions)) == [AssertionError, pytest.fail.Exception, ValueError]
    assert group.exceptions[2].__notes__ == ["case 3: {'number': 4, 'text': 'four'}"]


def test_of_many_failures_all_are_named_and_ten_are_shown():
    group = failures(cases("number", range(12))(lambda number: pytest.fail("no")))
    assert group.message == "12 of 12 cases failed: " + "; ".join(f"number={n}" for n in range(12))
    assert len(group.exceptions) == 10


def test_two_tables_give_each_combination():
    seen = []

    @cases("one", "ab")
    @cases("two", "xy")
    def test(one, two):
        seen.append(one + two)
        assert (one, two) != ("b", "x")

    group = failures(test)
    assert seen == ["ax", "ay", "bx", "by"]
    assert group.message == "1 of 2 cases failed: one='b'"
    assert group.exceptions[0].message == "1 of 2 cases failed: two='x'"


def test_without_a_failure_nothing_is_raised():
    cases("number", range(3))(lambda number: None)()


def test_a_table_without_cases_is_an_error():
    with pytest.raises(AssertionError, match="no cases"):
        cases("number", [])


@pytest.fixture
def world() -> World:
    return World(settings={"sip_follow_redirects": True})


@cases("name", ["alice", "bob"])
def test_each_case_has_a_world_of_its_own(world, name):
    assert world.config.sip_follow_redirects
    assert not world.users.accounts
    world.phone(name)


def test_a_world_in_use_is_not_taken_for_a_new_one(world):
    world.phone("alice")
    group = failures(cases("number", [1])(lambda world, number: None), world=world)
    assert "has used the world" in str(group.exceptions[0])


@cases("name", ["alice", "bob"])
def test_each_case_finds_an_empty_log(caplog, name):
    assert not caplog.records
    logging.getLogger("test").warning(name)
