"""A database of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sip.store.database import Database
from sip.store.users import Users
from tests.support.new_database import new_database


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "sip.db")


@pytest.fixture
def database(path: str) -> Iterator[Database]:
    with new_database(path, busy_timeout=0.1) as database:
        yield database


@pytest.fixture
def users(database: Database) -> Users:
    return Users(database, "example.com")
