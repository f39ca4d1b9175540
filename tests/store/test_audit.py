"""The audit: entries that it keeps, and entries that it removes."""

import sqlite3
from contextlib import closing

import pytest

from sip.store import audit as module
from sip.store import schema
from sip.store.admins import Admins
from sip.store.audit import ANONYMOUS, KEPT_SECONDS, KINDS, MAX_TEXT, PAGE_SIZE, Act, Audit
from sip.store.database import Database
from sip.store.sessions import SESSION_SECONDS, Sessions
from sip.store.tokens import Role


@pytest.fixture
def audit(database: Database) -> Audit:
    return Audit(database)


def abouts(entries):
    return [entry.about for entry in entries]


def test_an_entry_has_actor_time_and_address(audit):
    audit.add(Act.USER_ADDED, "admin", "192.0.2.7", "alice", now=1000.9)
    (entry,) = audit.entries()
    assert (entry.at, entry.who, entry.address) == (1000, "admin", "192.0.2.7")
    assert (entry.act, entry.about) == ("user added", "alice")


def test_it_is_there_after_a_restart(path):
    with Database(path) as database:
        Audit(database).add(Act.SIGNED_OUT, "admin")
    with Database(path) as database:
        assert [entry.act for entry in Audit(database).entries()] == [Act.SIGNED_OUT]


def test_audit_pages_are_sorted_latest_first(audit):
    for number in range(PAGE_SIZE + 10):
        audit.add(Act.USER_ADDED, "admin", about=f"user{number}", now=1000)
    first = audit.entries()
    assert len(first) == PAGE_SIZE + 1, "one more tells that there are more"
    assert first[0].about == f"user{PAGE_SIZE + 9}"
    rest = audit.entries(before=first[PAGE_SIZE - 1].id)
    assert abouts(rest) == [f"user{number}" for number in range(9, -1, -1)]


def test_one_kind_can_be_asked_for_alone(audit):
    for act in Act:
        audit.add(act, "admin")
    for kind, acts in KINDS.items():
        assert {entry.act for entry in audit.entries(kind)} == set(acts)


def test_every_act_is_of_one_kind():
    assert sorted(act for acts in KINDS.values() for act in acts) == sorted(Act)


def test_what_is_too_old_goes(audit):
    audit.add(Act.SIGNED_IN, "admin", about="old", now=1000)
    audit.add(Act.SIGNED_IN, "admin", about="young", now=1001)
    audit.add(Act.SIGNED_IN, "admin", about="last", now=1001 + KEPT_SECONDS)
    assert abouts(audit.entries()) == ["last", "young"]


def test_strangers_push_out_nothing_but_strangers(audit, monkeypatch):
    """Else password guesses could push out the entries of an administrator."""
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    monkeypatch.setattr(module, "MAX_ANONYMOUS_ENTRIES", 2)
    for number in range(4):
        audit.add(Act.USER_DELETED, "admin", about=f"user{number}", now=1000)
    for number in range(5):
        audit.add(Act.SIGN_IN_REFUSED, ANONYMOUS, about=f"guess{number}", now=1000)
    assert abouts(audit.entries()) == ["guess4", "guess3", "user3", "user2", "user1"]


def test_what_comes_from_outside_is_cut_and_made_harmless(audit):
    audit.add(Act.SIGNED_IN, "admin", "::1", "a\0b\r\nc\udce9\x1b[2J" + "x" * 999)
    (entry,) = audit.entries()
    assert entry.about.startswith("a\ufffdb\ufffd\ufffdc\ufffd\ufffd[2Jx")
    assert len(entry.about) == MAX_TEXT


def test_it_is_read_while_another_process_writes(audit, path):
    audit.add(Act.SIGNED_IN, "admin")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len(audit.entries()) == 1
        other.execute("ROLLBACK")


def test_sessions_of_before_were_last_seen_when_they_began(path):
    """A file of an earlier server is brought up to date, and all sessions go on."""
    with closing(sqlite3.connect(path)) as connection:
        for step in schema.STEPS[:3]:
            for statement in step:
                connection.execute(statement)
        connection.execute("INSERT INTO admins VALUES ('admin', 'hash', 1000)")
        connection.execute(
            "INSERT INTO sessions (token_hash, username, address, user_agent, created_at,"
            " expires_at) VALUES ('52f6', 'admin', '192.0.2.1', 'Firefox', 1000, ?)",
            (1000 + SESSION_SECONDS,),
        )
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 3")
        connection.commit()
    with Database(path) as database:
        (session,) = Sessions(database).of("admin", 1000)
        assert (session.seen_at, session.seen_from) == (1000, "192.0.2.1")
        assert session.role is Role.ADMIN, "the only administrator could do all"
        assert Admins(database).find("admin").seen_at == 1000
        Audit(database).add(Act.SIGNED_IN, "admin")
