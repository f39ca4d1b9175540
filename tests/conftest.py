"""What every test may use."""

import io
import os
import sys

import pytest
from hypothesis import settings
from world import World

from sip.cli.main import main
from tests.wire.programs import tail
from tests.wire.server import Server

# Properties have the same examples in each run, so that nobody's change fails by another's luck;
# with EXAMPLES=20000 in the environment they search on, each time elsewhere.  How long an example
# takes depends on who else uses the machine, and is no fault.
settings.register_profile(
    "ours", deadline=None, derandomize=not os.environ.get("EXAMPLES"), print_blob=True
)
settings.load_profile("ours")


@pytest.fixture
def world() -> World:
    """A server, phones to make, and a clock to turn."""
    return World()


@pytest.fixture
def sipserver(tmp_path, monkeypatch, capsys):
    """Call the command line in a directory of its own; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, environment=None, stdin=None, run=lambda config: 0):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main(arguments, run, environment or {})
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
