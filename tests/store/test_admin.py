"""The administrator's password, and the sessions that were opened with it."""

import hashlib
import sqlite3
from contextlib import closing

import pytest

from sip.store import admin as accounts
from sip.store.admin_passwords import MAX_PASSWORD, hash_password, verify
from sip.store.admins import Admins
from sip.store.database import Database
from sip.store.sessions import MAX_SESSIONS, SEEN_INTERVAL, SESSION_SECONDS


@pytest.fixture
def admin(database: Database) -> Admins:
    return Admins(database)


def signs_in(admin, now=1000.0, **more):
    return admin.open_session("192.0.2.1", "Browser/1.0", now, **more)


def rows(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_a_password_is_known_again_and_no_other():
    hashed = hash_password("correct horse")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hash_password("correct horse") != hashed  # a salt for each
    assert verify(hashed, "correct horse")
    for other in ("", "Correct horse", "correct horse ", "correct horse\0", "x" * 5000):
        assert not verify(hashed, other)


def test_an_accent_is_the_same_however_a_keyboard_composes_it():
    """RFC 8265 §4.2.2: passwords are compared in normalization form C."""
    assert verify(hash_password("caf\u00e9"), "cafe\u0301")


@pytest.mark.parametrize("password", ["", "x" * (MAX_PASSWORD + 1), "caf\udce9", "\ud83d"])
def test_what_cannot_be_a_password_is_refused_with_a_sentence(password):
    with pytest.raises(ValueError, match="the password is") as refusal:
        hash_password(password)
    assert type(refusal.value) is ValueError
    assert not verify(hash_password("x"), password)


def test_the_longest_password_is_taken():
    longest = "\N{PILE OF POO}" * MAX_PASSWORD
    assert verify(hash_password(longest), longest)


def test_a_longer_one_is_not_even_hashed():
    """A stranger's megabytes would cost seconds."""
    longer = "x" * (MAX_PASSWORD + 1)
    assert not verify(accounts._hasher.hash(longer), longer)


@pytest.mark.parametrize("damaged", ["", "x", "$argon2id$v=19$m=19456,t=2,p=1$AAAA", "\0"])
def test_a_damaged_hash_accepts_no_password(damaged):
    assert not verify(damaged, "")
    assert not verify(damaged, "x")


def test_the_hash_is_kept_and_nothing_else(admin, path):
    assert admin.password_hash() is None
    hashed = hash_password("secret password")
    admin.set_password_hash(hashed)
    assert admin.password_hash() == hashed
    assert rows(path, "SELECT username, password_hash FROM admins") == [("admin", hashed)]
    admin.set_password_hash("another")
    assert admin.password_hash() == "another"
    assert len(rows(path, "SELECT * FROM admins")) == 1


def test_a_new_password_ends_every_session(admin):
    tokens = [signs_in(admin), signs_in(admin)]
    admin.set_password_hash("another")
    assert [admin.session(token, 1000) for token in tokens] == [None, None]


def starts(admin, environment_password, show):
    """The work of a start of the server on the password."""
    first = admin.first_password(environment_password)
    return first is not None and admin.set_first_password(first, show)


def test_the_first_start_makes_a_password_and_shows_it_once(admin):
    shown = []
    assert starts(admin, None, shown.append)
    assert not starts(admin, "", shown.append)  # compose files set empty variables
    assert len(shown) == 1
    assert verify(admin.password_hash(), shown[0])


def test_a_first_password_is_set_before_it_is_shown(admin):
    """The printed password works; a start that fails before its sockets are open prints none."""
    first = admin.first_password(None)
    assert admin.password_hash() is None
    works = []
    admin.set_first_password(first, lambda made: works.append(verify(admin.password_hash(), made)))
    assert works == [True]


def test_a_password_that_could_not_be_shown_is_not_kept(admin):
    def fail(password):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        starts(admin, None, fail)
    assert admin.password_hash() is None


def test_a_password_that_was_set_meanwhile_holds(admin):
    """By `admin password`, between the look and the writing; the other one is never shown."""
    shown = []
    first = admin.first_password(None)
    admin.set_password_hash("theirs")
    assert not admin.set_first_password(first, shown.append)
    assert (admin.password_hash(), shown) == ("theirs", [])


def test_the_environment_sets_the_password(admin):
    shown = []
    assert starts(admin, "from outside", shown.append)
    assert verify(admin.password_hash(), "from outside")
    token = signs_in(admin)

    assert not starts(admin, "from outside", shown.append)  # the next start: nothing is new
    assert admin.session(token, 1000) is not None
    assert not starts(admin, None, shown.append)  # nor when the variable is gone
    assert admin.session(token, 1000) is not None

    assert starts(admin, "another", shown.append)
    assert verify(admin.password_hash(), "another")
    assert admin.session(token, 1000) is None
    assert shown == []


@pytest.mark.parametrize("password", ["caf\udce9", "x" * (MAX_PASSWORD + 1)])
def test_an_invalid_password_in_the_environment_is_refused(admin, password):
    for _ in range(2):  # without a password, and with one
        with pytest.raises(ValueError, match="the password is"):
            admin.first_password(password)
        admin.set_password_hash("kept")
    assert admin.password_hash() == "kept"


def test_a_token_opens_its_session_and_no_other_does(admin, path):
    token = signs_in(admin)
    other = signs_in(admin, now=1001)
    session = admin.session(token, 1002)
    assert (session.address, session.user_agent) == ("192.0.2.1", "Browser/1.0")
    assert (session.created_at, session.expires_at) == (1000, 1000 + SESSION_SECONDS)
    assert admin.session(other, 1002).id != session.id
    for wrong in ("", token[:-1], token.swapcase(), token + "\udce9", "\ud800", "é", "a\0b"):
        assert admin.session(wrong, 1002) is None


def test_only_the_digest_of_a_token_is_in_the_file(admin, path):
    token = signs_in(admin)
    assert len(token) >= 43  # 256 bits
    (kept,) = rows(path, "SELECT * FROM sessions")
    assert token not in kept
    assert hashlib.sha256(token.encode()).hexdigest() in kept


def test_a_session_ends_after_its_time_however_much_it_is_used(admin):
    token = signs_in(admin)
    last = 1000 + SESSION_SECONDS
    for now in range(1000, last, 3600):
        assert admin.session(token, now)
    assert admin.session(token, last - 0.5)
    assert admin.session(token, last) is None


def test_a_session_is_there_after_a_restart(path):
    with Database(path) as database:
        token = signs_in(Admins(database))
    with Database(path) as database:
        assert Admins(database).session(token, 1000)


def test_what_has_expired_is_deleted_when_another_signs_in(admin, path):
    signs_in(admin, now=1000)
    signs_in(admin, now=1001)
    signs_in(admin, now=1000 + SESSION_SECONDS)
    made_at = "SELECT created_at FROM sessions ORDER BY id"
    assert rows(path, made_at) == [(1001,), (1000 + SESSION_SECONDS,)]


def test_the_oldest_goes_where_there_would_be_too_many(admin):
    tokens = [signs_in(admin, now=1000 + n) for n in range(MAX_SESSIONS + 2)]
    alive = [admin.session(token, 2000) is not None for token in tokens]
    assert alive == [False, False] + [True] * MAX_SESSIONS


def test_signing_out_ends_one_session_or_all_others(admin):
    first, second, third = (signs_in(admin, now=1000 + n) for n in range(3))
    assert [session.created_at for session in admin.sessions(1010)] == [1002, 1001, 1000]
    gone = admin.session(second, 1010).id
    admin.close_session(gone)
    admin.close_session(gone)
    assert admin.session(second, 1010) is None
    assert admin.session(first, 1010)
    assert admin.sessions(1000 + SESSION_SECONDS)[0].created_at == 1002
    admin.close_others(admin.session(first, 1010).id)
    assert admin.session(first, 1010)
    assert admin.session(third, 1010) is None


def test_a_session_has_time_and_address_of_its_last_use(admin):
    token = signs_in(admin)
    opened = admin.session(token, 1000)
    assert (opened.seen_at, opened.seen_from) == (1000, "192.0.2.1")
    admin.touch_session(opened.id, "198.51.100.9", 1070.5)
    seen = admin.session(token, 1071)
    assert (seen.seen_at, seen.seen_from) == (1070, "198.51.100.9")
    assert (seen.created_at, seen.address) == (1000, "192.0.2.1"), "where it began stays known"


def test_of_the_uses_of_a_session_only_some_are_news(admin):
    """Each page would else cost a commit, which REGISTERs wait for."""
    session = admin.session(signs_in(admin), 1000)
    assert not session.needs_touch("192.0.2.1", 1000 + SEEN_INTERVAL - 1)
    assert session.needs_touch("192.0.2.1", 1000 + SEEN_INTERVAL)
    assert session.needs_touch("192.0.2.2", 1000)


def test_a_password_replaced_while_it_was_checked_opens_nothing(admin):
    """Hashing takes a while; a password may change meanwhile."""
    admin.set_password_hash("former")
    checked = admin.password_hash()
    assert admin.session(signs_in(admin, password_hash=checked), 1000)
    admin.set_password_hash("latter")
    assert admin.session(signs_in(admin, password_hash=checked), 1000) is None


def test_what_a_browser_says_of_itself_is_cut_and_made_harmless(admin):
    token = admin.open_session("::1%" + "x" * 99, "a\0b\r\nc\udce9\x1b[2J" + "x" * 300, 1000)
    session = admin.session(token, 1000)
    assert session.user_agent.startswith("a\ufffdb\ufffd\ufffdc\ufffd\ufffd[2Jx")
    assert len(session.user_agent) == accounts.MAX_USER_AGENT
    assert len(session.address) == accounts.MAX_ADDRESS


def test_a_session_is_found_while_another_process_writes(admin, path):
    """Every page asks for it, so it must not wait."""
    token = signs_in(admin)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert admin.session(token, 1000)
        assert admin.sessions(1000)
        assert admin.password_hash() is None
        other.execute("ROLLBACK")
