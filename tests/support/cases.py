"""A test over a table of cases: it runs them all, and names each that fails.

It is written like `pytest.mark.parametrize`, but is one test: what pytest does around each test
takes longer than most cases.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

_FAILURES = (Exception, pytest.fail.Exception, BaseExceptionGroup)
_SHOWN = 100  # characters of a value in the heading, which names all cases that failed
_TRACEBACKS = 10  # of the first of them


def cases(names: str | tuple[str, ...], values: Iterable[Any]) -> Callable[..., Callable]:
    """Call the test for each of `values`, which are tuples if there are several names.

    Each case has a `world` of its own, with the settings of the fixture, and finds `caplog` empty;
    other fixtures are shared.  Two of these decorators make a case of each combination.
    """
    several = not isinstance(names, str)
    table = [
        dict(zip(names, value, strict=True)) if several else {names: value} for value in values
    ]
    assert table, "there are no cases"

    def decorate(test: Callable) -> Callable:
        signature = inspect.signature(test)

        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            failed = {}
            for number, case in enumerate(table):
                try:
                    test(**_fresh(fixtures), **case)
                except _FAILURES as error:
                    error.add_note(f"case {number}: {case}")
                    failed[number] = error
            if failed:
                which = "; ".join(_shown(table[number]) for number in failed)
                heading = f"{len(failed)} of {len(table)} cases failed: {which}"
                raise BaseExceptionGroup(heading, list(failed.values())[:_TRACEBACKS])

        left = [each for name, each in signature.parameters.items() if name not in table[0]]
        run.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return run

    return decorate


def _fresh(fixtures: dict[str, Any]) -> dict[str, Any]:
    """Replace or empty what a case before has used."""
    if "caplog" in fixtures:
        fixtures["caplog"].clear()
    if (world := fixtures.get("world")) is None:
        return fixtures
    is_used = world.users.accounts or world.at
    assert not is_used, "a fixture of the test has used the world"
    return fixtures | {"world": dataclasses.replace(world)}  # with the same settings


def _shown(case: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={repr(value)[:_SHOWN]}" for name, value in case.items())
