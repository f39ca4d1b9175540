"""Fixtures: the web admin with a database of its own, and browsers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sip.config import Config
from sip.monitor.events import AdminActed, Bus
from sip.store.admins import Admins
from sip.store.audit import Audit
from sip.store.bans import Bans
from sip.store.bindings import BindingRow, BindingStore
from sip.store.database import Database
from sip.store.directory import Directory
from sip.store.sessions import Sessions
from sip.store.tokens import Role, Tokens
from sip.store.users import Users
from tests.support.cheap_hashes import CHEAP
from tests.support.new_database import new_database
from tests.support.wsgi_browser import Browser
from webadmin.app import build
from webadmin.context import AppContext

PASSWORD = "correct horse battery staple"
HASH = CHEAP.hash(PASSWORD)
REALM = "example.com"
FLOW = "UDP/192.0.2.1:5060/198.51.100.20:61000"


class Clock:
    """Unix time that only tests change."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Phones:
    """A location service that records its calls."""

    online: int = 0
    dropped: list[tuple[str, str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return self.online

    def remove_contact(self, aor: str, contact: str, flow: str) -> None:
        self.dropped.append((aor, contact, flow))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def context_over(
    database: Database, clock: Clock, config: Config | None = None
) -> Iterator[AppContext]:
    """Return the context of the pages; the password of admin is PASSWORD."""
    users, admins, audit, bus = Users(database, REALM), Admins(database), Audit(database), Bus()
    bus.listen(AdminActed, audit.on_admin_acted)
    admins.set_password_hash(HASH)
    context = AppContext(
        config or Config(sip_realm=REALM),
        users,
        Directory(database, users),
        admins,
        Sessions(database),
        audit,
        Phones(),
        Bans(database),
        Tokens(database),
        bus,
        clock=clock,
        monotonic=clock,
    )
    try:
        yield context
    finally:
        context.close()


@pytest.fixture
def context(tmp_path: Path, clock: Clock) -> Iterator[AppContext]:
    with new_database(tmp_path / "sip.db") as database, context_over(database, clock) as context:
        yield context


@pytest.fixture
def stranger(context: AppContext) -> Browser:
    """A browser that is not signed in."""
    return Browser(build(context))


@pytest.fixture
def browser(stranger: Browser) -> Browser:
    """A browser that is signed in."""
    answer = stranger.post("/login", username="admin", password=PASSWORD)
    assert answer.status == 303, answer.words
    return stranger


@pytest.fixture
def bound(context, clock):
    """Bind a contact to an account, as a REGISTER would."""
    bindings = BindingStore(context.users.database, window=0)

    def bind(account, contact="sip:alice@198.51.100.20:5060", seconds=3600, **columns):
        row = BindingRow(
            user_id=account.id,
            aor=f"{account.username}@example.com",
            contact=contact,
            expires_at=int(clock.now) + seconds,
            updated_at=int(clock.now),
            **{"user_agent": "Yealink SIP-T46U", "flow": FLOW, **columns},
        )
        bindings.save([row], [], lambda: None, int(clock.now)).wait()

    yield bind
    bindings.close()


@pytest.fixture
def viewer(stranger: Browser, context: AppContext) -> Browser:
    """A browser in which carol, a viewer, is signed in."""
    context.admins.add("carol", Role.VIEWER, HASH)
    viewer = Browser(stranger.app, address="198.51.100.7")
    assert viewer.post("/login", username="carol", password=PASSWORD).status == 303
    return viewer
