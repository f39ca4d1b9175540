"""Fixtures and settings for all tests."""

import functools
import gc
import io
import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

import sip.cli.main
from sip.store import admin_passwords
from tests.support.cheap_hashes import CHEAP
from tests.support.programs import tail
from tests.support.server import Server
from tests.support.world import World

# Properties use the same examples in each run, so that a change fails only by its own fault; with
# EXAMPLES=20000 in the environment they try new ones each time.  No deadline: how long an example
# takes depends on the load of the machine.
settings.register_profile(
    "ours", deadline=None, derandomize=not os.environ.get("EXAMPLES"), print_blob=True
)
settings.load_profile("ours")

# No command changes the parser of the command line, which takes longer to make than most tests.
sip.cli.main._build = functools.cache(sip.cli.main._build)
# A hash takes 25 ms by intent.
admin_passwords._hasher = CHEAP


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector from the thousands of tests, which stay until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests: one that begins last would be waited for by all processes."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture
def world() -> World:
    """A server, phones to make, and a clock to advance."""
    return World()


@pytest.fixture
def sipserver(tmp_path, monkeypatch, capsys):
    """Run commands in a directory of their own; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, environment=None, stdin=None, run=lambda config: 0):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = sip.cli.main.main(arguments, run, environment or {})
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Show the server's log beside a failure."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, Server):
        report.sections.append(("Server log", tail(server.log, 200)))
    return report
