"""A database of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sip.store.database import Database
from sip.store.users import Users


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "sip.db")


@pytest.fixture
def database(path: str) -> Iterator[Database]:
    with Database(path, busy_timeout=0.1) as database:
        yield database


@pytest.fixture
def users(database: Database) -> Users:
    return Users(database, "example.com")
