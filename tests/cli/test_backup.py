"""The commands `backup`, `restore` and `settings`."""

import json
import os
import sqlite3

from sip.store.audit import Act, Audit
from sip.store.database import Database
from sip.store.kept_settings import KeptSettings

DATABASE = "sip_users.db"


def test_a_backup_is_restored_into_an_empty_place(sipserver):
    sipserver("users", "add", "ann", "--generate")
    code, out, err = sipserver("backup", "copy.db")
    assert (code, err) == (0, "")
    assert out.startswith("backup written to copy.db, ")
    code, out, err = sipserver("restore", "copy.db", "-db.path", "other.db")
    assert (code, out, err) == (0, "restored other.db, 1 user\n", "")
    with Database("other.db") as database, Database(DATABASE) as former:
        assert Audit(database).entries()[0].act == Act.RESTORED
        assert Audit(former).entries()[0].act == Act.BACKED_UP


def test_a_restore_over_a_database_needs_force(sipserver):
    sipserver("users", "add", "ann", "--generate")
    sipserver("backup", "copy.db")
    sipserver("users", "add", "bob", "--generate")
    code, out, err = sipserver("restore", "copy.db")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "replace it with --force" in err
    code, out, err = sipserver("restore", "copy.db", "--force")
    former = f"{DATABASE}.backup-1"
    assert out == f"restored {DATABASE}, 1 user; the former database is {former}\n"
    with sqlite3.connect(former) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (2,)


def test_each_failure_is_one_sentence_with_exit_code_1(sipserver):
    for command in (("backup", "copy.db"), ("restore", "none.db")):
        code, out, err = sipserver(*command)
        assert (code, out, err.count("\n")) == (1, "", 1)
    sipserver("users", "add", "ann", "--generate")
    sipserver("backup", "copy.db")
    with open("cut.db", "wb") as cut, open("copy.db", "rb") as whole:
        cut.write(whole.read(50_000))
    before = sorted(os.listdir())
    for command in (
        ("restore", "cut.db", "-db.path", "other.db"),
        ("restore", "copy.db", "-db.path", "none/other.db"),
        ("backup", "none/copy.db"),
        ("backup", "copy.db"),
        ("backup", DATABASE, "--force"),
    ):
        code, out, err = sipserver(*command)
        assert (code, out, err.count("\n")) == (1, "", 1), command
        assert "partial" not in err
    assert sorted(os.listdir()) == before


def test_settings_are_listed_with_their_sources(sipserver):
    code, out, err = sipserver("settings", "-log.level", "debug", environment={})
    assert (code, err) == (0, "")
    assert not os.path.exists(DATABASE)
    assert "log.level\tdebug\tflag\n" in out
    with Database(DATABASE) as database:
        KeptSettings(database).save({"calls.keep": "7", "log.level": "loud"}, "ann", 1.0)
    code, out, err = sipserver("settings", "list", "--json")
    rows = {each["name"]: each for each in json.loads(out)}
    assert (rows["calls.keep"]["value"], rows["calls.keep"]["source"]) == ("7", "page")
    assert rows["log.level"]["source"] == "default"
    assert err.startswith("warning: kept setting ignored: log.level")
    secret = {"SIPSERVER_SIP_TRUNK": "0=sip:me:hush@192.0.2.9"}
    assert "hush" not in sipserver("settings", environment=secret)[1]
