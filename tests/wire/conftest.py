"""Fixtures of the tests on the wire: real phones, and the server as its users start it."""

import contextlib
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.baresip import Baresip
from tests.support.network import LOOPBACK, Loopback, Machine, Network
from tests.support.phone import Phone, PhoneAt
from tests.support.pjsua import Pjsua
from tests.support.raw_tcp import TcpClient
from tests.support.server import CALLEES, CALLERS, Server
from tests.support.sipp import Sipp


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.wire)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the accounts that tests use, made once: an import takes a second or two."""
    server = Server(tmp_path_factory.mktemp("database") / "server")
    server.has_users("alice", "bob", "carol", *CALLERS, *CALLEES)
    return server.database


@pytest.fixture
def machine() -> Loopback | Machine:
    """Where the server runs."""
    return LOOPBACK


@pytest.fixture
def flags() -> list[str]:
    """Flags of the server, in addition to those of all."""
    return []


@pytest.fixture
def server(tmp_path: Path, database: Path, machine, flags) -> Iterator[Server]:
    """The real server, running; alice, bob, carol, CALLERS and CALLEES have accounts."""
    server = Server(tmp_path / "server", *flags, machine=machine)
    shutil.copy(database, server.database)
    server.start()
    yield server
    server.close()


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Callable[..., Phone]]:
    """Start a phone: `phone(Baresip, "alice")`; it is ended with the test."""
    number = itertools.count(1)
    with contextlib.ExitStack() as started:

        def start(kind: type[Baresip | Pjsua], user: str, *setup, **options) -> Phone:
            home = tmp_path / f"phone-{next(number)}-{user}"
            return started.enter_context(contextlib.closing(kind(user, home, *setup, **options)))

        yield start


@pytest.fixture
def registered(server: Server, phone) -> Callable[..., Phone]:
    """Start a phone and let it register: `registered(Baresip, "alice")`."""

    def start(kind: type[Baresip | Pjsua], user: str) -> Phone:
        new = phone(kind, user, server)
        new.registers()
        return new

    return start


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """The small Internet that modules with a `machine` of it play in."""
    with contextlib.closing(Network()) as network:
        yield network


@pytest.fixture
def at(server: Server, network: Network, phone) -> Callable[[PhoneAt, str], Phone]:
    """Start the phone of a user at a place, and let it register."""

    def start(place: PhoneAt, user: str) -> Phone:
        new = phone(place.kind, user, server, machine=getattr(network, place.machine))
        new.registers()
        return new

    return start


@pytest.fixture
def sipp(tmp_path: Path) -> Iterator[Callable[..., Sipp]]:
    """Start a SIPp: `sipp("callee", calls=500)`; it is ended with the test."""
    number = itertools.count(1)
    with contextlib.ExitStack() as started:

        def start(scenario: str, **options) -> Sipp:
            home = tmp_path / f"sipp-{next(number)}-{scenario}"
            return started.enter_context(contextlib.closing(Sipp(scenario, home, **options)))

        yield start


@pytest.fixture
def line(server: Server) -> Iterator[Callable[..., TcpClient]]:
    """Open a connection: `line("127.0.0.2")` from there; it is closed with the test."""
    with contextlib.ExitStack() as opened:
        yield lambda *host: opened.enter_context(contextlib.closing(TcpClient(server, *host)))
