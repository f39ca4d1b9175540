"""What every test may use."""

import pytest
from world import World

from tests.wire.programs import tail
from tests.wire.server import Server


@pytest.fixture
def world() -> World:
    """A server, phones to make, and a clock to turn."""
    return World()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Show the server's log beside a failure."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, Server):
        report.sections.append(("Server log", tail(server.log, 200)))
    return report
