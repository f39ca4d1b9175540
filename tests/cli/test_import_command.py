"""`users import` on a terminal: what its flags allow, what it prints, and where."""

import csv
import io
import os
import sys

import pytest

from sip.cli.main import main
from sip.store.audit import Audit
from sip.store.database import Database, DatabaseError
from sip.store.users import Users


@pytest.fixture
def imports(tmp_path, monkeypatch, capsys):
    """Import a file in a directory of its own; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(content: str | bytes, *flags: str):
        octets = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "users.csv").write_bytes(octets)
        code = main(["users", "import", "users.csv", *flags], lambda config: 0, {})
        return code, *capsys.readouterr()

    return call


def stored() -> list[str]:
    with Database("sip_users.db") as database:
        return [account.username for account in Users(database).list()]


def test_each_refusal_names_the_flag_that_accepts_it(imports):
    rows = "extension,Room,display_name\nann,7,Müller\n"
    code, out, err = imports(rows.encode("windows-1252"))
    assert code == 1
    assert out.splitlines()[:4] == [
        "line 1: the file is not UTF-8; it may be Windows-1252, with names like 'Müller'",
        "line 1: unknown column 'Room'",
        "line 2: ann is a new user without password and ha1",
        "0 new, 0 changed, 0 same, 3 refused",
    ]
    for flag in ("--generate", "--skip-unknown", "--encoding windows-1252"):
        assert flag in err
    assert "--update" not in err
    assert "ignored:" not in out
    flags = ["--generate", "--skip-unknown", "--encoding", "windows-1252"]
    code, out, err = imports(rows.encode("windows-1252"), *flags)
    assert code == 0
    assert stored() == ["ann"]
    assert "unknown columns, ignored: Room" in err
    assert "encoding: windows-1252" in err


def test_the_import_reports_the_encoding_it_chose(imports):
    code, out, _ = imports("username,password\nann,wonder-1\n".encode("utf-16"))
    assert code == 0
    assert "encoding: UTF-16\n" in out


def test_a_dry_run_lists_each_change(imports):
    imports("username,password\n" + "".join(f"user{n:02},wonder-1\n" for n in range(30)))
    rows = "username,display_name\n" + "".join(f"user{n:02},Room {n}\n" for n in range(30))
    code, out, _ = imports(rows, "--dry-run", "--update")
    assert code == 0
    lines = [f"line {n + 2}: user{n:02} changes: display_name" for n in range(30)]
    assert out.splitlines() == [*lines, "0 new, 30 changed, 0 same, 0 refused"]
    assert imports(rows, "--update")[1] == "0 new, 30 changed, 0 same, 0 refused\n"


def test_generated_passwords_alone_are_standard_output(imports):
    """So that `> passwords.csv` makes a file of them; they are stored before they are printed."""
    code, out, err = imports("username,display_name\nann,Ann\n", "--generate", "--dry-run")
    assert (code, stored()) == (0, [])
    assert "generated passwords for new users: 1\n" in out
    code, out, err = imports("username,display_name\nann,Ann\n", "--generate")
    assert code == 0
    ((username, realm, display_name, password),) = list(csv.reader(io.StringIO(out)))[1:]
    assert (username, realm, display_name) == ("ann", "", "Ann")
    assert "1 new, 0 changed, 0 same, 0 refused" in err
    assert password not in err
    assert imports(f"username,password\nann,{password}\n")[1].startswith("0 new, 0 changed, 1 same")
    with Database("sip_users.db") as database:
        assert password not in repr(Audit(database).entries())


def test_nothing_is_printed_where_nothing_was_written(imports, monkeypatch):
    def breaks(*_):
        raise DatabaseError("the disk is full")

    monkeypatch.setattr("sip.store.import_plan._write", breaks)
    code, out, _ = imports("username\nann\n", "--generate")
    assert (code, out) == (1, "")


def test_passwords_that_cannot_be_shown_are_reported(imports, monkeypatch):
    class Full(io.StringIO):
        def writelines(self, lines):
            raise OSError(28, "No space left on device")

        def fileno(self):
            return os.open(os.devnull, os.O_WRONLY)

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Full())
        code, _, err = imports("username\nann\n", "--generate")
        assert code == 1
        assert "the generated passwords cannot be shown: No space left on device" in err
        assert "users password NAME --generate" in err
        patch.setattr(sys, "stdout", None)
        code, _, err = imports("username\nbob\n", "--generate")
        assert (code, "standard output is closed; generated passwords" in err) == (1, True)
    assert stored() == ["ann"]


def test_warnings_are_printed_in_part(imports):
    rows = "username,password\n" + "".join(f"user{n}, wonder-1\n" for n in range(30))
    _, out, _ = imports(rows)
    assert out.count("warning: line ") == 20
    assert "and 10 more warnings" in out
