"""The web admin over a database of its own, and browsers to go to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from sip.config import Config
from sip.store.admin import Admin
from sip.store.audit import Audit
from sip.store.bans import Bans
from sip.store.database import Database
from sip.store.directory import Directory
from sip.store.users import Users
from tests.webadmin.client import Browser
from webadmin.app import build
from webadmin.context import Site

PASSWORD = "correct horse battery staple"
# What it costs to check is no matter here, and each browser signs in: at the lowest cost.
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
REALM = "example.com"


class Clock:
    """Unix time that stands still until a test turns it."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Phones:
    """A location service that remembers what it was told."""

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
def site_over(database: Database, clock: Clock, config: Config | None = None) -> Iterator[Site]:
    """What the pages stand on, over a file whose administrator has PASSWORD."""
    users, admin = Users(database, REALM), Admin(database)
    admin.set_password_hash(HASH)
    site = Site(
        config or Config(sip_realm=REALM),
        users,
        Directory(database, users),
        admin,
        Audit(database),
        Phones(),
        Bans(database),
        clock=clock,
        monotonic=clock,
    )
    try:
        yield site
    finally:
        site.close()


@pytest.fixture
def site(tmp_path: Path, clock: Clock) -> Iterator[Site]:
    with Database(str(tmp_path / "sip.db")) as database, site_over(database, clock) as site:
        yield site


@pytest.fixture
def stranger(site: Site) -> Browser:
    """A browser that hasn't signed in."""
    return Browser(build(site))


@pytest.fixture
def browser(stranger: Browser) -> Browser:
    """A browser that has."""
    answer = stranger.post("/login", username="admin", password=PASSWORD)
    assert answer.status == 303, answer.words
    return stranger
