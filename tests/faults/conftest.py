"""Fixtures of the tests of faults: the real server, and phones of plain sockets."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.socket_phone import SocketPhone


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.wire)


@pytest.fixture
def flags() -> list[str]:
    """Flags of the server, in addition to those of all."""
    return []


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the accounts of alice, bob and carol."""
    server = Server(tmp_path_factory.mktemp("database") / "server")
    server.has_users("alice", "bob", "carol")
    return server.database


@pytest.fixture
def environment() -> dict[str, str]:
    """Variables of its environment, in addition to ours."""
    return {}


@pytest.fixture
def server(
    tmp_path: Path, database: Path, flags: list[str], environment: dict[str, str]
) -> Iterator[Server]:
    """The real server, running; alice, bob and carol have accounts."""
    server = Server(tmp_path / "server", *flags)
    server.environment = environment
    shutil.copy(database, server.database)
    server.start()
    yield server
    server.close()


@pytest.fixture
def handset(server: Server) -> Iterator[Callable[..., SocketPhone]]:
    """A phone: `handset("alice")`; it is closed with the test."""
    with contextlib.ExitStack() as opened:
        yield lambda user: opened.enter_context(contextlib.closing(SocketPhone(server, user)))


@pytest.fixture
def registered(handset) -> Callable[[str], SocketPhone]:
    """A phone that is registered."""

    def register(user: str) -> SocketPhone:
        phone = handset(user)
        assert phone.registers() == 200
        return phone

    return register
