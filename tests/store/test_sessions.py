"""Sessions of administrators: tokens, their ends, and their last use."""

import hashlib
import sqlite3
from contextlib import closing

import pytest

from sip.store import sessions as stored
from sip.store.admins import Admins
from sip.store.database import Database
from sip.store.sessions import MAX_SESSIONS, SEEN_INTERVAL, SESSION_SECONDS, Sessions
from sip.store.tokens import Role


def opened(database: Database) -> Sessions:
    """The sessions of a database in which there is an administrator."""
    Admins(database).set_password_hash("former")
    return Sessions(database)


@pytest.fixture
def admins(database: Database) -> Admins:
    return Admins(database)


@pytest.fixture
def sessions(database: Database) -> Sessions:
    return opened(database)


def signs_in(sessions, now=1000.0, name="admin", **more):
    return sessions.open(name, "192.0.2.1", "Browser/1.0", now, **more)


def rows(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_a_token_opens_its_session_and_no_other_does(sessions, path):
    token = signs_in(sessions)
    other = signs_in(sessions, now=1001)
    session = sessions.find(token, 1002)
    assert (session.address, session.user_agent) == ("192.0.2.1", "Browser/1.0")
    assert (session.created_at, session.expires_at) == (1000, 1000 + SESSION_SECONDS)
    assert sessions.find(other, 1002).id != session.id
    for wrong in ("", token[:-1], token.swapcase(), token + "\udce9", "\ud800", "é", "a\0b"):
        assert sessions.find(wrong, 1002) is None


def test_only_the_digest_of_a_token_is_in_the_file(sessions, path):
    token = signs_in(sessions)
    assert len(token) >= 43  # 256 bits
    (kept,) = rows(path, "SELECT * FROM sessions")
    assert token not in kept
    assert hashlib.sha256(token.encode()).hexdigest() in kept


def test_a_session_ends_after_its_time_however_much_it_is_used(sessions):
    token = signs_in(sessions)
    last = 1000 + SESSION_SECONDS
    for now in range(1000, last, 3600):
        assert sessions.find(token, now)
    assert sessions.find(token, last - 0.5)
    assert sessions.find(token, last) is None


def test_a_session_is_there_after_a_restart(path):
    with Database(path) as database:
        token = signs_in(opened(database))
    with Database(path) as database:
        assert Sessions(database).find(token, 1000)


def test_what_has_expired_is_deleted_when_another_signs_in(sessions, path):
    signs_in(sessions, now=1000)
    signs_in(sessions, now=1001)
    signs_in(sessions, now=1000 + SESSION_SECONDS)
    made_at = "SELECT created_at FROM sessions ORDER BY id"
    assert rows(path, made_at) == [(1001,), (1000 + SESSION_SECONDS,)]


def test_the_oldest_goes_where_there_would_be_too_many(sessions):
    tokens = [signs_in(sessions, now=1000 + n) for n in range(MAX_SESSIONS + 2)]
    alive = [sessions.find(token, 2000) is not None for token in tokens]
    assert alive == [False, False] + [True] * MAX_SESSIONS


def test_signing_out_ends_one_session_or_all_others(sessions):
    first, second, third = (signs_in(sessions, now=1000 + n) for n in range(3))
    assert [session.created_at for session in sessions.of("admin", 1010)] == [1002, 1001, 1000]
    gone = sessions.find(second, 1010).id
    sessions.close(gone)
    sessions.close(gone)
    assert sessions.find(second, 1010) is None
    assert sessions.find(first, 1010)
    assert sessions.of("admin", 1000 + SESSION_SECONDS)[0].created_at == 1002
    sessions.close_others("admin", sessions.find(first, 1010).id)
    assert sessions.find(first, 1010)
    assert sessions.find(third, 1010) is None


def test_a_session_has_time_and_address_of_its_last_use(sessions):
    token = signs_in(sessions)
    opened = sessions.find(token, 1000)
    assert (opened.seen_at, opened.seen_from) == (1000, "192.0.2.1")
    sessions.touch(opened.id, "198.51.100.9", 1070.5)
    seen = sessions.find(token, 1071)
    assert (seen.seen_at, seen.seen_from) == (1070, "198.51.100.9")
    assert (seen.created_at, seen.address) == (1000, "192.0.2.1"), "where it began stays known"


def test_of_the_uses_of_a_session_only_some_are_news(sessions):
    """Each page would else cost a commit, which REGISTERs wait for."""
    session = sessions.find(signs_in(sessions), 1000)
    assert not session.needs_touch("192.0.2.1", 1000 + SEEN_INTERVAL - 1)
    assert session.needs_touch("192.0.2.1", 1000 + SEEN_INTERVAL)
    assert session.needs_touch("192.0.2.2", 1000)


def test_a_password_replaced_while_it_was_checked_opens_nothing(admins, sessions):
    """Hashing takes a while; a password may change meanwhile."""
    checked = admins.password_hash()
    assert sessions.find(signs_in(sessions, password_hash=checked), 1000)
    admins.set_password_hash("latter")
    assert sessions.find(signs_in(sessions, password_hash=checked), 1000) is None


def test_what_a_browser_says_of_itself_is_cut_and_made_harmless(sessions):
    token = sessions.open("admin", "::1%" + "x" * 99, "a\0b\r\nc\udce9\x1b[2J" + "x" * 300, 1000)
    session = sessions.find(token, 1000)
    assert session.user_agent.startswith("a\ufffdb\ufffd\ufffdc\ufffd\ufffd[2Jx")
    assert len(session.user_agent) == stored.MAX_USER_AGENT
    assert len(session.address) == stored.MAX_ADDRESS


def test_a_session_is_found_while_another_process_writes(sessions, path):
    """Every page asks for it, so it must not wait."""
    token = signs_in(sessions)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert sessions.find(token, 1000)
        assert sessions.of("admin", 1000)
        other.execute("ROLLBACK")


def test_a_session_names_its_administrator_and_role(admins, sessions):
    admins.add("carol", Role.VIEWER, "hash")
    session = sessions.find(signs_in(sessions, name="carol"), 1000)
    assert (session.username, session.role, session.has_second_factor) == (
        *("carol", Role.VIEWER),
        False,
    )
    assert sessions.find(signs_in(sessions), 1000).role is Role.ADMIN
    assert sessions.find(signs_in(sessions, name="dave"), 1000) is None, "there is no dave"


def test_sessions_of_one_do_not_push_out_those_of_others(admins, sessions, monkeypatch):
    monkeypatch.setattr(stored, "MAX_SESSIONS", 2)
    admins.add("carol", Role.VIEWER, "hash")
    first = signs_in(sessions)
    for _ in range(4):
        signs_in(sessions, name="carol")
    assert sessions.find(first, 1000)
    assert len(sessions.of("carol", 1000)) == 2
    assert len(sessions.ids(1000)) == 3
    assert sessions.ids(1000 + SESSION_SECONDS) == set()


def test_ending_others_leaves_those_of_another_person(admins, sessions):
    admins.add("carol", Role.VIEWER, "hash")
    kept, gone, hers = (signs_in(sessions, name=name) for name in ("admin", "admin", "carol"))
    sessions.close_others("admin", sessions.find(kept, 1000).id)
    assert [sessions.find(each, 1000) is not None for each in (kept, gone, hers)] == [
        *(True, False),
        True,
    ]


def test_an_administrator_is_seen_with_each_session(admins, sessions):
    """The time stays when the session has ended."""
    admins.add("carol", Role.VIEWER, "hash")
    assert admins.find("carol").seen_at is None
    session = sessions.find(signs_in(sessions, name="carol"), 1000)
    assert admins.find("carol").seen_at == 1000
    sessions.touch(session.id, "192.0.2.1", 1070)
    sessions.close(session.id)
    assert admins.find("carol").seen_at == 1070
    assert admins.find("admin").seen_at is None
