"""`users set` and the `groups` commands."""

import json

from sip.store.audit import Audit
from sip.store.database import Database
from sip.store.groups import Groups
from sip.store.users import Users

DATABASE = "sip_users.db"


def audit() -> list[tuple[str, str]]:
    with Database(DATABASE) as database:
        return [(entry.text, entry.about) for entry in Audit(database).entries()]


def adds(sipserver, *names: str) -> None:
    with Database(DATABASE) as database:
        for name in names:
            Users(database).add(name, "wonder-1")


def test_set_changes_settings_and_prints_them(sipserver):
    adds(sipserver, "alice", "bob")
    flags = ("--aliases", "101,102", "--dnd", "on", "-forward-busy", "bob")
    assert sipserver("users", "set", "alice", *flags) == (0, "", "")
    assert audit()[0] == (
        "call settings changed",
        "alice: aliases 101 102, dnd on, busy bob",
    )
    more = ("--forward-busy", "off", "--dnd", "off", "--no-answer-seconds", "5")
    assert sipserver("users", "set", "alice", *more) == (0, "", "")
    code, out, err = sipserver("users", "set", "alice")
    forward = {"always": "", "busy": "", "no_answer": "", "no_answer_seconds": 5, "offline": ""}
    expected = {"aliases": ["101", "102"], "dnd": False, "forward": forward}
    assert (code, json.loads(out), err) == (0, expected, "")
    first, second = json.loads(sipserver("users", "list", "--json")[1])
    assert {name: first[name] for name in expected} == expected
    assert second["forward"]["no_answer_seconds"] == 20


def test_set_says_what_is_wrong(sipserver):
    adds(sipserver, "alice", "bob")
    for flags, reason in (
        (("--aliases", "bob"), "bob is the user bob; choose another alias"),
        (("--no-answer-seconds", "1"), "from 3 to 120"),
        (("--dnd", "x"), "must be on or off"),
    ):
        code, out, err = sipserver("users", "set", "alice", *flags)
        assert (code, out) == (1, "")
        assert reason in err
    code, out, err = sipserver("users", "set", "alice", "--forward-always", "zoe")
    assert (code, out) == (0, "")
    assert "there is no user, alias or group zoe" in err
    assert sipserver("users", "set", "alice", "--forward-always", "0891234") == (0, "", "")


def test_groups_are_added_listed_and_removed(sipserver):
    adds(sipserver, "alice", "bob")
    assert sipserver("groups", "add", "600", "--members", "alice,bob") == (0, "", "")
    flags = ("--strategy", "in_turn", "--seconds", "5", "--then", "600")
    assert sipserver("groups", "add", "sales", "--members", "bob", *flags) == (0, "", "")
    code, out, err = sipserver("groups", "list")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "600\tgo-sip-server\tall, 20 s\talice, bob\t",
        "sales\tgo-sip-server\tin_turn, 5 s\tbob\tthen 600",
    ]
    row = json.loads(sipserver("groups", "list", "--json")[1])[1]
    assert row == {
        "id": row["id"],
        "name": "sales",
        "realm": "go-sip-server",
        "members": ["bob"],
        "strategy": "in_turn",
        "seconds": 5,
        "then": "600",
    }
    assert sipserver("groups", "remove", "SALES") == (0, "", "")
    with Database(DATABASE) as database:
        assert [group.name for group in Groups(Users(database)).list()] == ["600"]
    assert audit()[:2] == [("group removed", "sales"), ("group added", "sales: bob")]
    for arguments in (("remove", "sales"), ("add", "x", "--members", "zoe")):
        code, out, err = sipserver("groups", *arguments)
        assert (code, out) == (1, "")
        assert err.startswith("sipserver.py: there is no ")
