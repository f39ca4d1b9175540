"""What every test may use."""

import pytest
from world import World

from tests.wire.programs import tail
from tests.wire.server import Server


@pytest.fixture
def world() -> World:
    """A server, phones to make, and a clock to turn."""
    return World()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes many minutes, unless it is asked for."""
    if "siege" not in config.option.markexpr:
        items[:] = [item for item in items if item.get_closest_marker("siege") is None]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Show the server's log beside a failure."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, Server):
        report.sections.append(("Server log", tail(server.log, 200)))
    return report
