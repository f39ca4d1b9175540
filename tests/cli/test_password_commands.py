"""Passwords on the command line: their sources, when they are shown, and the messages."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sip.store.accounts import md5
from sip.store.admin_passwords import verify
from sip.store.admins import Admins
from sip.store.database import Database
from sip.store.sessions import Sessions
from sip.store.users import Users

ROOT = Path(__file__).parents[2]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def administrator(path="sip_users.db"):
    """The hash of the administrator's password, and whether a session is open."""
    with Database(path) as database:
        return Admins(database).password_hash(), bool(Sessions(database).ids(0))


def account(name: str):
    with Database("sip_users.db") as database:
        return Users(database).find(name, "go-sip-server")


def test_the_terminal_is_asked_twice(sipserver, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal())
    answers = iter(["secret", "secert", "secret", "secret"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    assert sipserver("users", "add", "alice")[2].endswith(
        "the two passwords are different; try again\n"
    )
    assert sipserver("users", "add", "alice")[0] == 0


@pytest.mark.parametrize("flag", ["--password=-x", "-password=-x", "--password=--"])
def test_a_password_may_begin_with_a_dash(sipserver, flag):
    assert sipserver("users", "add", "alice", flag)[:2] == (0, "")
    with Database("sip_users.db") as database:
        account = Users(database).find("alice", "go-sip-server")
    password = flag.partition("=")[2]
    assert account.ha1_md5 == md5(f"alice:go-sip-server:{password}".encode())


def test_a_password_with_a_dash_is_not_repeated_in_the_error(sipserver):
    """Others may read the screen, and a build keeps its log."""
    assert "secret" not in sipserver("users", "add", "alice", "--password", "-secret")[2]


def test_a_new_admin_password_ends_the_sessions(sipserver):
    assert sipserver("admin", "password", "--password", "first one") == (0, "", "")
    with Database("sip_users.db") as database:
        Sessions(database).open("admin", "192.0.2.1", "", 1.0)
    assert verify(administrator()[0], "first one")
    assert administrator()[1]
    assert sipserver("admin", "password", stdin="another one\n") == (0, "", "")
    assert verify(administrator()[0], "another one")
    assert not administrator()[1]
    code, made, err = sipserver("-db.path", "new.db", "admin", "password", "--generate")
    assert (code, err) == (0, "")
    assert verify(administrator("new.db")[0], made.strip())


def test_the_administrator_is_asked_twice_on_a_terminal(sipserver, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal())
    answers = iter(["long enough", "long enuogh", "long enough", "long enough"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    assert sipserver("admin", "password")[0] == 1
    assert sipserver("admin", "password") == (0, "", "")
    assert verify(administrator()[0], "long enough")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--password", ""), "the password is empty"),
        (("--password", "x" * 1025), "longer than 1,024 characters"),
        (("--password", "caf\udce9"), "not UTF-8"),
        (("--password", "x", "-db.path", "no/where.db"), "there is no directory no"),
    ],
)
def test_an_administrators_password_that_will_not_do(sipserver, arguments, reason):
    sipserver("admin", "password", "--password", "this one stays")
    code, out, err = sipserver("admin", "password", *arguments)
    assert (code, out) == (1, "")
    assert reason in err
    assert err.count("\n") == 1
    assert verify(administrator()[0], "this one stays")


@pytest.mark.parametrize("command", [("admin", "password"), ("users", "add", "alice")])
def test_a_line_of_input_that_is_not_utf8_is_a_sentence(sipserver, monkeypatch, command):
    latin1 = io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdin", latin1)
    code, _, err = sipserver(*command)
    assert (code, err) == (
        1,
        "sipserver.py: the password is not UTF-8; choose another password\n",
    )


def test_what_the_administrator_should_know_is_said(sipserver):
    code, out, err = sipserver("admin", "password", "--password", "1234567")
    assert (code, out, err) == (0, "", "warning: the password has fewer than 8 characters\n")
    err = sipserver("admin", "password", "--password", "Admin-2026")[2]
    assert err == "warning: the password is the user name, or similar\n"
    environment = {"SIPSERVER_ADMIN_PASSWORD": "from outside"}
    code, _, err = sipserver("admin", "password", stdin="12345678\n", environment=environment)
    assert code == 0
    assert "SIPSERVER_ADMIN_PASSWORD is set, and replaces this password" in err
    assert err.count("\n") == 1
    assert "from outside" not in err
    environment = {"SIPSERVER_ADMIN_PASSWORD": ""}
    assert sipserver("admin", "password", stdin="12345678\n", environment=environment)[2] == ""


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("users", "add", "bob"), "bob already has an account"),
        (("users", "add", "a b"), "SIP URI"),
        (("users", "add", "eve", "--realm", 'a"b'), "is not a realm"),
        (("users", "password", "eve"), "there is no account eve"),
        (("users", "password", "bob", "-db.path", "none.db"), "there is no database"),
        (("admin", "password", "-db.path", "no/where.db"), "there is no directory no"),
    ],
)
def test_a_generated_password_is_printed_once_it_is_set(sipserver, command, told):
    """A script that takes the output for the password must get none where there is none."""
    sipserver("users", "add", "bob", "--password", "wonder-4711")
    code, out, err = sipserver(*command, "--generate")
    assert (code, out) == (1, "")
    assert told in err


def test_a_generated_password_is_the_one_that_is_set(sipserver):
    sipserver("users", "add", "bob", "--password", "wonder-4711")
    code, out, err = sipserver("users", "password", "bob", "--generate")
    assert (code, err) == (0, "")
    assert account("bob").ha1_md5 == md5(f"bob:go-sip-server:{out.strip()}".encode())


@pytest.mark.parametrize(
    "command",
    [
        *[("users", "add", "alice"), ("users", "password", "bob")],
        *[("admin", "password"), ("admin", "add", "admin")],
    ],
)
def test_a_generated_password_is_not_set_if_output_is_lost(sipserver, monkeypatch, command):
    sipserver("users", "add", "bob", "--password", "wonder-4711")
    before = account("bob").ha1_md5
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert sipserver(*command, "--generate")[0] == 1
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, str(ROOT / "sipserver.py"), *command, "--generate"],
            env=buffered,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "sipserver.py: cannot show the password, so it was not set: No space left on device\n"
    )
    assert sipserver("users", "list")[1] == "bob\tgo-sip-server\tenabled\t\n"
    assert account("bob").ha1_md5 == before
    assert administrator()[0] is None


@pytest.mark.parametrize(
    ("password", "why"),
    [("Alice1", "is the user name, or similar"), ("8842", "has fewer than 6 characters")],
)
def test_a_weak_password_is_accepted_with_a_warning(sipserver, password, why):
    warning = f"warning: weak password of alice: it {why}\n"
    add = ("users", "add", "alice", "--password", password)
    assert sipserver(*add) == (0, "", warning)
    assert sipserver("users", "password", "alice", stdin=f"{password}\n") == (0, "", warning)
    assert sipserver("users", "password", "alice", stdin="wonder-4711\n") == (0, "", "")
    assert sipserver(*add)[0] == 1, "there is one already"
    assert "weak" not in sipserver(*add)[2], "a password that was not set is not shown"
