"""The commands `admin add`, `list`, `remove`, `password NAME`, `role` and `reset-factor`."""

import json

import pyotp
import pytest

from sip.store.admin_passwords import verify
from sip.store.admins import Admins
from sip.store.audit import Audit
from sip.store.database import Database
from sip.store.second_factor import SecondFactors, make_secret
from sip.store.sessions import Sessions
from tests.support.cases import cases

NOW = 1_700_000_000.0


@pytest.fixture
def two(sipserver):
    """The commands, with an admin and a viewer."""
    assert sipserver("admin", "password", "--password", "first password") == (0, "", "")
    assert sipserver("admin", "add", "carol", "--role", "viewer", stdin="hers is long\n")[0] == 0
    return sipserver


def password_of(name: str) -> str | None:
    with Database("sip_users.db") as database:
        return Admins(database).password_hash(name)


def test_administrators_are_added_and_listed(two):
    assert verify(password_of("carol"), "hers is long")
    code, made, err = two("admin", "add", "dave", "--generate")
    assert (code, err) == (0, "")
    assert verify(password_of("dave"), made.strip())
    assert two("admin", "list") == (
        0,
        "admin\tadmin\tno second factor\tnever seen\n"
        "carol\tviewer\tno second factor\tnever seen\n"
        "dave\tadmin\tno second factor\tnever seen\n",
        "",
    )
    rows = json.loads(two("admin", "list", "--json")[1])
    assert [(row["name"], row["role"], row["second_factor"]) for row in rows] == [
        ("admin", "admin", False),
        ("carol", "viewer", False),
        ("dave", "admin", False),
    ]
    assert {row["seen_at"] for row in rows} == {None}


def test_one_is_removed_but_not_the_last_one(two):
    assert two("admin", "remove", "carol") == (0, "", "")
    assert password_of("carol") is None
    code, _, err = two("admin", "remove", "admin")
    assert (code, err) == (
        1,
        "sipserver.py: admin is the last administrator with role admin and cannot be removed\n",
    )


def test_a_password_of_another_one_is_set(two):
    assert two("admin", "password", "carol", "--password", "a new long one") == (0, "", "")
    assert verify(password_of("carol"), "a new long one")
    assert verify(password_of("admin"), "first password")


def test_a_role_is_changed_and_ends_the_sessions(two):
    with Database("sip_users.db") as database:
        token = Sessions(database).open("carol", "192.0.2.7", "", NOW, password_of("carol"))
    assert two("admin", "role", "carol", "admin") == (0, "", "")
    assert "carol\tadmin\t" in two("admin", "list")[1]
    with Database("sip_users.db") as database:
        assert Sessions(database).find(token, NOW) is None
        assert Audit(database).entries("administrators")[0].about == "carol, admin"
    assert two("admin", "role", "admin", "viewer") == (0, "", "")
    assert "cannot be made a viewer" in two("admin", "role", "carol", "viewer")[2]
    assert two("admin", "role", "carol", "king")[0] == 2


def test_a_lost_phone_is_helped_out(two):
    with Database("sip_users.db") as database:
        secret = make_secret()
        code = pyotp.TOTP(secret).at(int(NOW))
        assert SecondFactors(database).turn_on("carol", secret, code, NOW)
    assert "carol\tviewer\tsecond factor" in two("admin", "list")[1]
    two("admin", "password", "carol", "--password", "a new long one")
    assert "carol\tviewer\tsecond factor" in two("admin", "list")[1], "the password alone changed"
    assert two("admin", "reset-factor", "carol") == (0, "", "")
    assert "carol\tviewer\tno second factor" in two("admin", "list")[1]
    assert "carol has no second factor" in two("admin", "reset-factor", "carol")[2]


@cases(
    ("arguments", "reason"),
    [
        (("add", "carol", "--password", "x"), "there is an administrator carol already"),
        (("add", "a b", "--password", "x"), "printable characters without blanks"),
        (("add", "caf\udce9", "--password", "x"), "printable characters without blanks"),
        (("add", "dave", "--password", ""), "the password is empty"),
        (("role", "dave", "viewer"), "there is no administrator dave; `admin list` shows all"),
        (("role", "carol", "viewer"), "carol has the role viewer already"),
        (("role", "x", "viewer", "-db.path", "none.db"), "there is no database none.db"),
        (("remove", "dave"), "there is no administrator dave"),
        (("remove", "caf\udce9"), "there is no administrator"),
        (("password", "dave"), "there is no administrator dave; `admin list` shows all"),
        (("reset-factor", "dave"), "there is no administrator dave; `admin list` shows all"),
        (("list", "-db.path", "none.db"), "there is no database none.db"),
        (("remove", "x", "-db.path", "none.db"), "there is no database none.db"),
        (("password", "x", "-db.path", "none.db"), "there is no database none.db"),
        (("add", "x", "--role", "viewer", "--password", "x", "-db.path", "new.db"), "needs the"),
    ],
)
def test_a_command_that_cannot_be_done_is_a_sentence(two, arguments, reason):
    code, out, err = two("admin", *arguments)
    assert (code, out) == (1, "")
    assert reason in err
    assert err.count("\n") == 1


def test_the_commands_are_in_the_audit(two):
    two("admin", "add", "dave", "--password", "long enough")
    two("admin", "password", "dave", "--password", "another long one")
    two("admin", "remove", "dave")
    with Database("sip_users.db") as database:
        acts = [(entry.act, entry.about) for entry in Audit(database).entries("administrators")]
    assert acts[:3] == [
        ("administrator removed", "dave"),
        ("admin password changed", "dave, all sessions ended"),
        ("administrator added", "dave, admin"),
    ]
