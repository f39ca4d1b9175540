"""The administrators: the first one, names and roles, and the ends of their sessions."""

import sqlite3
from contextlib import closing

import pytest

from sip.store.admin_passwords import MAX_PASSWORD, hash_password, verify
from sip.store.admins import MAX_ADMINS, MAX_NAME, AdminError, Admins
from sip.store.database import Database
from sip.store.sessions import Sessions
from sip.store.tokens import Role


@pytest.fixture
def admins(database: Database) -> Admins:
    return Admins(database)


@pytest.fixture
def sessions(database: Database) -> Sessions:
    return Sessions(database)


def signs_in(sessions, name="admin"):
    return sessions.open(name, "192.0.2.1", "Browser/1.0", 1000.0)


def rows(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_the_hash_is_kept_and_nothing_else(admins, path):
    assert admins.password_hash() is None
    hashed = hash_password("secret password")
    admins.set_password_hash(hashed)
    assert admins.password_hash() == hashed
    assert rows(path, "SELECT username, password_hash FROM admins") == [("admin", hashed)]
    admins.set_password_hash("another")
    assert admins.password_hash() == "another"
    assert len(rows(path, "SELECT * FROM admins")) == 1


def test_a_new_password_ends_every_session(admins, sessions):
    tokens = [signs_in(sessions), signs_in(sessions)]
    admins.set_password_hash("another")
    assert [sessions.find(token, 1000) for token in tokens] == [None, None]


def starts(admins, environment_password, show):
    """The work of a start of the server on the password."""
    first = admins.first_password(environment_password)
    return first is not None and admins.set_first_password(first, show)


def test_the_first_start_makes_a_password_and_shows_it_once(admins):
    shown = []
    assert starts(admins, None, shown.append)
    assert not starts(admins, "", shown.append)  # compose files set empty variables
    assert len(shown) == 1
    assert verify(admins.password_hash(), shown[0])


def test_a_first_password_is_set_before_it_is_shown(admins):
    """The printed password works; a start that fails before its sockets are open prints none."""
    first = admins.first_password(None)
    assert admins.password_hash() is None
    works = []
    admins.set_first_password(
        first, lambda made: works.append(verify(admins.password_hash(), made))
    )
    assert works == [True]


def test_a_password_that_could_not_be_shown_is_not_kept(admins):
    def fail(password):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        starts(admins, None, fail)
    assert admins.password_hash() is None


def test_a_password_that_was_set_meanwhile_holds(admins):
    """By `admin password`, between the look and the writing; the other one is never shown."""
    shown = []
    first = admins.first_password(None)
    admins.set_password_hash("theirs")
    assert not admins.set_first_password(first, shown.append)
    assert (admins.password_hash(), shown) == ("theirs", [])


def test_the_environment_sets_the_password(admins, sessions):
    shown = []
    assert starts(admins, "from outside", shown.append)
    assert verify(admins.password_hash(), "from outside")
    token = signs_in(sessions)

    assert not starts(admins, "from outside", shown.append)  # the next start: nothing is new
    assert sessions.find(token, 1000) is not None
    assert not starts(admins, None, shown.append)  # nor when the variable is gone
    assert sessions.find(token, 1000) is not None

    assert starts(admins, "another", shown.append)
    assert verify(admins.password_hash(), "another")
    assert sessions.find(token, 1000) is None
    assert shown == []


@pytest.mark.parametrize("password", ["caf\udce9", "x" * (MAX_PASSWORD + 1)])
def test_an_invalid_password_in_the_environment_is_refused(admins, password):
    for _ in range(2):  # without a password, and with one
        with pytest.raises(ValueError, match="the password is"):
            admins.first_password(password)
        admins.set_password_hash("kept")
    assert admins.password_hash() == "kept"


def test_administrators_are_listed_with_their_roles(admins):
    admins.set_password_hash("first")
    admins.add("carol", Role.VIEWER, "second", now=2000)
    assert [(each.name, each.role) for each in admins.list()] == [
        ("admin", Role.ADMIN),
        ("carol", Role.VIEWER),
    ]
    carol = admins.find("carol")
    assert (carol.created_at, carol.has_second_factor, carol.recovery_codes) == (2000, False, 0)
    assert admins.password_hash("carol") == "second"
    assert admins.find("dave") is admins.password_hash("dave") is None


@pytest.mark.parametrize(
    "name", ["", "a b", "a\n", "x" * (MAX_NAME + 1), "caf\udce9", "\ud83d", "a\0"]
)
def test_a_name_that_cannot_be_used_is_refused(admins, name):
    admins.set_password_hash("first")
    with pytest.raises(AdminError, match="the name of an administrator has"):
        admins.add(name, Role.VIEWER, "hash")
    assert admins.find(name) is None
    for change in (admins.remove, lambda name: admins.set_role(name, Role.ADMIN)):
        with pytest.raises(AdminError, match="there is no administrator"):
            change(name)


@pytest.mark.parametrize("name", ["admin", "Admin", "ADMIN"])
def test_two_administrators_have_no_similar_names(admins, name):
    admins.set_password_hash("first")
    with pytest.raises(AdminError, match="there is an administrator admin already"):
        admins.add(name, Role.VIEWER, "hash")


def test_a_name_is_one_in_all_unicode_forms(admins):
    admins.set_password_hash("first")
    admins.add("ren\u00e9", Role.VIEWER, "hash")
    assert admins.find("rene\u0301").name == "ren\u00e9"
    admins.remove("rene\u0301")
    assert admins.find("ren\u00e9") is None


def test_there_are_not_more_administrators_than_allowed(admins, monkeypatch):
    monkeypatch.setattr("sip.store.admins.MAX_ADMINS", 2)
    assert MAX_ADMINS > 2
    admins.set_password_hash("first")
    admins.add("carol", Role.VIEWER, "hash")
    with pytest.raises(AdminError, match="there are 2 administrators already"):
        admins.add("dave", Role.VIEWER, "hash")


def test_one_with_role_admin_is_always_left(admins):
    with pytest.raises(AdminError, match="the first administrator needs the role admin"):
        admins.add("carol", Role.VIEWER, "hash")
    admins.set_password_hash("first")
    admins.add("carol", Role.VIEWER, "hash")
    for change in (admins.remove, lambda name: admins.set_role(name, Role.VIEWER)):
        with pytest.raises(AdminError, match="admin is the last administrator with role admin"):
            change("admin")
    admins.set_role("carol", Role.ADMIN)
    admins.set_role("admin", Role.VIEWER)
    with pytest.raises(AdminError, match="carol is the last administrator"):
        admins.remove("carol")
    admins.remove("admin")
    assert [each.name for each in admins.list()] == ["carol"]


@pytest.mark.parametrize(
    "change",
    [
        lambda admins: admins.set_role("carol", Role.ADMIN),
        lambda admins: admins.set_password_hash("another", "carol"),
        lambda admins: admins.remove("carol"),
    ],
)
def test_a_change_ends_the_sessions_of_that_one_alone(admins, sessions, change):
    admins.set_password_hash("first")
    admins.add("carol", Role.VIEWER, "hash")
    hers, other = signs_in(sessions, "carol"), signs_in(sessions)
    change(admins)
    assert sessions.find(hers, 1000) is None
    assert sessions.find(other, 1000)


def test_a_removed_first_administrator_does_not_come_back(admins):
    """A start makes `admin` only if there is no administrator at all."""
    admins.set_password_hash("first")
    admins.add("carol", Role.ADMIN, "hash")
    admins.remove("admin")
    assert admins.first_password(None) is None
    with pytest.raises(AdminError, match="there is no administrator admin"):
        admins.set_password_hash("another")
    assert admins.first_password("from outside") is not None, "unless the operator says so"


def test_the_environment_does_not_change_the_role(admins):
    admins.set_password_hash("first")
    admins.add("carol", Role.ADMIN, "hash")
    admins.set_role("admin", Role.VIEWER)
    assert starts(admins, "from outside", None)
    assert admins.find("admin").role is Role.VIEWER
