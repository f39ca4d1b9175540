"""The `tokens` commands."""

import json
import sys

import pytest

from sip.store.audit import Audit
from sip.store.database import Database
from sip.store.tokens import Role, Tokens, token_hash

DATABASE = "sip_users.db"


def found(token: str):
    with Database(DATABASE) as database:
        return Tokens(database).find(token_hash(token.strip()))


def test_add_prints_the_token_alone(sipserver):
    code, out, err = sipserver("tokens", "add", "prometheus")
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert found(out).role is Role.VIEWER
    code, out, err = sipserver("tokens", "add", "api", "--role", "admin")
    assert found(out).role is Role.ADMIN


def test_list_shows_each_token_but_not_its_text(sipserver):
    token = sipserver("tokens", "add", "prometheus")[1].strip()
    code, out, err = sipserver("tokens", "list")
    assert (code, err) == (0, "")
    name, role, added, used = out.strip().split("\t")
    assert (name, role, used) == ("prometheus", "viewer", "never used")
    assert added.startswith("added 20")
    with Database(DATABASE) as database:
        Tokens(database).touch("prometheus", 1_700_000_000)
    code, out, err = sipserver("tokens", "list", "--json")
    (row,) = json.loads(out)
    assert row.pop("created_at").endswith("Z")
    assert row == {"name": "prometheus", "role": "viewer", "used_at": "2023-11-14T22:13:20Z"}
    assert token not in out


def test_a_removed_token_is_gone(sipserver):
    token = sipserver("tokens", "add", "prometheus")[1]
    assert sipserver("tokens", "remove", "prometheus") == (0, "", "")
    assert found(token) is None
    code, out, err = sipserver("tokens", "remove", "prometheus")
    assert (code, out) == (1, "")
    assert "there is no token prometheus" in err


def test_both_changes_are_in_the_audit(sipserver):
    sipserver("tokens", "add", "prometheus")
    sipserver("tokens", "remove", "prometheus")
    with Database(DATABASE) as database:
        entries = Audit(database).entries("tokens")
    assert [(entry.text, entry.about) for entry in entries] == [
        ("token removed", "prometheus"),
        ("token added", "prometheus, viewer"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("tokens", "list"), 1, "there is no database"),
        (("tokens", "remove", "x"), 1, "there is no database"),
        (("tokens", "add", ""), 1, "printable"),
        (("tokens", "add", "x", "--role", "king"), 2, "choose from"),
        (("tokens", "ad", "x"), 2, "did you mean tokens add?"),
        (("tokens",), 2, "required"),
    ],
)
def test_a_wrong_command_is_one_sentence(sipserver, arguments, code, reason):
    assert sipserver(*arguments)[0] == code
    out, err = sipserver(*arguments)[1:]
    assert out == ""
    assert reason in err
    assert err.count("\n") == 1


def test_a_token_that_cannot_be_printed_is_removed(sipserver, monkeypatch):
    class FullDisk:
        def write(self, text):
            raise OSError(28, "No space left on device")

        def flush(self):
            pass

    monkeypatch.setattr("sip.cli.tokens.discard_output", lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", FullDisk())
        assert sipserver("tokens", "add", "prometheus")[0] == 1
    with Database(DATABASE) as database:
        assert not Tokens(database).list()
