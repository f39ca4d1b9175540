"""The command line as scripts use it: spellings, sentences and exit codes."""

import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path
from pwd import getpwuid

import pytest

from sip import __version__
from sip.store.accounts import md5
from sip.store.audit import Act, Audit
from sip.store.database import Database, DatabaseError
from sip.store.users import Users
from tests.support.programs import free_port_of_both

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ("-sip.addr", ":5061"),
        ("--sip.addr", ":5061"),
        ("-sip.addr=:5061",),
        ("--sip.addr=:5061",),
    ],
)
def test_flags_have_one_dash_or_two_a_space_or_an_equals_sign(sipserver, arguments):
    ports = []
    code, _, err = sipserver(*arguments, run=lambda config: ports.append(config.sip_addr.port) or 0)
    assert (code, err, ports) == (0, "", [5061])


@pytest.mark.parametrize(
    "arguments",
    [
        ("-db.path", "x.db", "users", "list"),
        ("users", "-db.path=x.db", "list"),
        ("users", "list", "--db.path", "x.db"),
    ],
)
def test_flags_stand_before_or_after_the_command(sipserver, arguments):
    assert sipserver(*arguments) == (0, "", "")
    assert os.path.exists("x.db")


def test_help_tells_meaning_unit_default_and_variable(sipserver):
    code, out, err = sipserver("-help")
    text = " ".join(out.split())
    assert (code, err) == (0, "")
    assert "-sip.min_expires SECONDS minimum Expires; shorter requests are refused" in text
    assert "(default 60; SIPSERVER_SIP_MIN_EXPIRES)" in text
    assert "SIPSERVER_WEB_ADDR, else PORT" in text
    for arguments in (("--help",), ("users", "-help"), ("users", "add", "-help")):
        assert sipserver(*arguments)[0] == 0
    assert "manage the administrators of the web admin" in text
    assert "--generate" in sipserver("admin", "password", "-help")[1]


def test_version(sipserver):
    assert sipserver("-version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("-sip.adr", ":5061"), "there is no flag -sip.adr; did you mean -sip.addr?"),
        (("--sip.addres=:5061",), "did you mean -sip.addr?"),
        (("users", "add", "alice", "--pasword", "x"), "did you mean -password?"),
        (("-sip.addr",), "expected one argument"),
        (("-sip.addr", "5060"), "is not an address"),
        (("user",), "there is no command user; did you mean users?"),
        (("user", "list"), "there is no command user; did you mean users?"),
        (("lst",), "there is no command lst; did you mean users list?"),
        (
            ("qqq",),
            "there is no command qqq; the commands are users, bans, ",
        ),
        (("users", "lst"), "there is no command users lst; did you mean users list?"),
        (("users", "DELETE", "x"), "did you mean users remove?"),
        (("users", "q\nq"), "there is no command users 'q\\nq'; the commands are add, remove, "),
        (("bans", "trst", "1"), "there is no command bans trst; did you mean bans trust?"),
        (
            ("bans", "ad"),
            "there is no command bans ad; the commands are list, remove, trust, distrust",
        ),
        (("users",), "required"),
        (("users", "add"), "required"),
        (("users", "add", "a", "--generate", "--password", "x"), "not allowed with"),
        (("users", "add", "a", "--password", "-x"), "begins with a dash, write --password=-..."),
        (
            ("admin", "password", "-password", "--generate"),
            "begins with a dash, write -password=-...",
        ),
        (("admin",), "required"),
        (("admin", "passwd"), "there is no command admin passwd; did you mean admin password?"),
        (("admin", "password", "x", "y"), "unrecognized arguments"),
        (("admin", "password", "--realm", "x"), "unrecognized arguments"),
    ],
)
def test_bad_usage_is_a_sentence_and_exit_code_2(sipserver, arguments, reason):
    code, out, err = sipserver(*arguments)
    assert (code, out) == (2, "")
    assert reason in err
    assert err.count("\n") == 1


def test_an_unknown_variable_is_one_warning(sipserver):
    code, _, err = sipserver(environment={"SIPSERVER_A": "1", "SIPSERVER_B": "1"})
    assert code == 0
    assert err == "sipserver.py: warning: unknown settings, ignored: SIPSERVER_A, SIPSERVER_B\n"
    _, _, err = sipserver(environment={"SIPSERVER_SIP_ADRR": ":5061"})
    assert err.endswith("ignored: SIPSERVER_SIP_ADRR (did you mean SIPSERVER_SIP_ADDR?)\n")


def test_an_account_from_its_first_day_to_its_last(sipserver):
    assert sipserver("users", "add", "alice", "--password", "secret") == (0, "", "")
    assert sipserver("users", "add", "bob", stdin="secret\n") == (0, "", "")
    code, generated, _ = sipserver("users", "add", "carl", "--realm", "example.net", "--generate")
    assert code == 0
    assert re.fullmatch(r"(\w{4}\.){3}\w{4}\n", generated), "the password, and nothing else"
    assert sipserver("users", "disable", "bob")[0] == 0
    _, out, _ = sipserver("users", "list")
    assert out.splitlines() == [
        "alice\tgo-sip-server\tenabled\t",
        "bob\tgo-sip-server\tdisabled\t",
        "carl\texample.net\tenabled\t",
    ]
    assert sipserver("users", "enable", "bob")[0] == 0
    assert sipserver("users", "password", "bob", stdin="other")[0] == 0
    assert sipserver("users", "remove", "carl", "--realm", "example.net")[0] == 0
    assert len(sipserver("users", "list")[1].splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("users", "remove", "nobody"), "there is no account nobody"),
        (("users", "add", "a b", "--password", "x"), "SIP URI"),
        (("users", "add", "alice", "--password", ""), "the password is empty"),
        (("users", "list", "-db.path", "no/where.db"), "there is no directory no"),
        (("users", "list", "-db.path", "postgres://h/d"), "are not supported yet"),
        (("users", "import", "none.csv"), "cannot read none.csv"),
        (("users", "export", "no/where.csv"), "cannot write no/where.csv"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_exit_code_1(sipserver, arguments, reason):
    sipserver("users", "list")  # makes the database
    code, out, err = sipserver(*arguments)
    assert (code, out) == (1, "")
    assert reason in err
    assert err.count("\n") == 1


def test_accounts_as_json_have_a_line_each(sipserver):
    assert sipserver("users", "list", "--json") == (0, "[]\n", "")
    sipserver("users", "add", "alice", "--password", "x")
    sipserver("users", "add", "zo\u00eb", "--password", "x", "--realm", "example.net")
    sipserver("users", "disable", "alice")
    text = "username,display_name\nalice,Alice \U0001f600 Liddell\n"
    assert sipserver("users", "import", "-", "--update", stdin=text)[0] == 0
    code, out, _ = sipserver("users", "list", "--json")
    assert code == 0
    assert out.isascii()  # every locale can print that
    assert [line.rstrip(",")[0] for line in out.splitlines()] == ["[", "{", "{", "]"]
    alice, zoe = json.loads(out)
    assert (
        alice.items()
        >= {
            "username": "alice",
            "realm": "go-sip-server",
            "display_name": "Alice \U0001f600 Liddell",
            "enabled": False,
        }.items()
    )
    assert (zoe["username"], zoe["realm"], zoe["enabled"]) == ("zo\u00eb", "example.net", True)
    assert (alice["online"], alice["last_seen"]) == (False, None)
    with closing(sqlite3.connect("sip_users.db")) as file, file:
        file.execute("UPDATE users SET online = 1, last_seen = 1700000000 WHERE realm IS NOT NULL")
    alice, zoe = json.loads(sipserver("users", "list", "--json")[1])
    assert (alice["online"], alice["last_seen"]) == (False, None)
    assert (zoe["online"], zoe["last_seen"]) == (True, "2023-11-14T22:13:20Z")
    of_realm = sipserver("users", "list", "--json", "--realm", "example.net")[1]
    assert json.loads(of_realm) == [zoe]


def test_import_and_export(sipserver):
    text = "username,password\nalice,secret7\nbob,1234\n"
    code, out, _ = sipserver("users", "import", "-", "--dry-run", stdin=text)
    assert (code, out.splitlines()[0]) == (0, "2 new, 0 changed, 0 same, 0 refused")
    assert sipserver("users", "list")[1] == ""
    code, out, _ = sipserver("users", "import", "-", stdin=text)
    assert code == 0
    assert out.splitlines()[1] == (
        "1 weak passwords: the user name, fewer than 6 characters, or only digits"
    )
    code, out, err = sipserver("users", "import", "-", stdin="username,password\nalice,x\n")
    assert code == 1
    assert out.startswith("line 2: alice already has an account")
    assert "nothing was imported" in err
    assert sipserver("users", "export", "all.csv", "--with-hashes")[0] == 0
    assert stat.S_IMODE(os.stat("all.csv").st_mode) == 0o600
    assert sipserver("users", "import", "all.csv")[1].startswith("0 new, 0 changed, 2 same")
    assert sipserver("users", "export")[1].splitlines()[0] == (
        "username,realm,display_name,enabled,aliases,dnd,forward_always,forward_busy,"
        "forward_no_answer,forward_no_answer_seconds,forward_offline"
    )


def test_a_realm_without_matching_passwords_warns(sipserver):
    sipserver("users", "add", "alice", "--password", "secret", "-sip.realm", "example.com")
    code, _, err = sipserver("users", "list")
    assert code == 0
    assert "start with -sip.realm example.com" in err


@pytest.mark.wire  # a running server, twice
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_runs_until_a_signal_stops_it(tmp_path, number):
    web, sip = free_port_of_both(), free_port_of_both()
    command = [sys.executable, str(ROOT / "sipserver.py"), f"-sip.addr=127.0.0.1:{sip}"]
    with subprocess.Popen(
        [*command, f"-web.addr=:{web}"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            lines = iter(server.stderr.readline, "")
            assert any("web admin listens" in line for line in lines)
            for host in ("127.0.0.1", "[::1]"):
                with urllib.request.urlopen(f"http://{host}:{web}/healthz", timeout=5) as answer:
                    assert (answer.status, answer.read()) == (200, b"ok")
                    assert answer.headers["Cache-Control"] == "no-store"
                    assert "Server" not in answer.headers
            second = subprocess.run(
                [*command, f"-web.addr=127.0.0.1:{web}"],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert second.returncode == 1
            assert "cannot listen on" in second.stderr.splitlines()[-1]
            server.send_signal(number)
            rest = server.stderr.read()
            assert server.wait(10) == 0
            assert "Traceback" not in rest
        finally:
            server.kill()


def test_only_a_first_command_makes_a_database(sipserver):
    """A misspelt -db.path is told, and leaves no file behind."""
    code, _, err = sipserver("users", "remove", "alice", "-db.path", "typo.db")
    assert (code, "there is no database typo.db" in err) == (1, True)
    assert not os.path.exists("typo.db")


def test_an_export_takes_no_database_for_its_file(sipserver):
    """It would be the end of all accounts."""
    sipserver("users", "add", "alice", "--password", "secret", "-db.path", "x.db")
    code, _, err = sipserver("users", "export", "x.db", "-db.path", "x.db")
    assert (code, "is a database" in err) == (1, True)
    assert sipserver("users", "list", "-db.path", "x.db")[1].startswith("alice")


def test_commands_use_the_realm_stored_in_the_database(sipserver):
    """Else their phones could not register, for no visible reason."""
    with Database("x.db") as database:
        database.remember("realm", "example.com")
    sipserver("users", "add", "alice", "--password", "secret", "-db.path", "x.db")
    assert "alice\texample.com" in sipserver("users", "list", "-db.path", "x.db")[1]
    with Database("x.db") as database:
        account = Users(database, "example.com").find("alice", "example.com")
    assert account.ha1_md5 == md5(b"alice:example.com:secret")


def test_what_is_done_on_the_command_line_stands_in_the_audit(sipserver):
    """With the operator's name, and without a password."""
    assert sipserver("users", "add", "alice", "--password", "secret-1")[0] == 0
    assert (
        sipserver("users", "add", "bob", "--password", "secret-1", "--realm", "b.example")[0] == 0
    )
    assert sipserver("users", "add", "alice", "--password", "refused")[0] == 1
    assert sipserver("users", "password", "alice", "--password", "secret-2")[0] == 0
    assert sipserver("users", "disable", "alice")[0] == 0
    assert sipserver("users", "enable", "alice")[0] == 0
    assert sipserver("users", "export")[0] == 0
    assert sipserver("users", "export", "--with-hashes")[0] == 0
    assert sipserver("users", "remove", "alice")[0] == 0
    assert sipserver("users", "import", "-", stdin="username,password\ncarl,secret-3\n")[0] == 0
    assert sipserver("users", "import", "-", "--dry-run", stdin="username,password\nd,e\n")[0] == 0
    assert sipserver("users", "list")[0] == 0
    assert sipserver("admin", "password", "--password", "secret-4")[0] == 0
    with Database("sip_users.db") as database:
        entries = Audit(database).entries()[::-1]
    assert [(entry.act, entry.about) for entry in entries] == [
        (Act.USER_ADDED, "alice"),
        (Act.USER_ADDED, "bob@b.example"),
        (Act.USER_PASSWORD, "alice"),
        (Act.USER_DISABLED, "alice"),
        (Act.USER_ENABLED, "alice"),
        (Act.EXPORTED, "without HA1s"),
        (Act.EXPORTED, "with HA1s"),
        (Act.USER_DELETED, "alice"),
        (Act.IMPORTED, "1 new, 0 changed"),
        (Act.PASSWORD_CHANGED, "all sessions ended"),
    ]
    assert {entry.who for entry in entries} == {f"{getpwuid(os.getuid()).pw_name} (command line)"}
    assert "secret" not in repr(entries)


def test_an_export_works_if_the_audit_cannot_be_written(sipserver, monkeypatch):
    def fails(*_, **__):
        raise DatabaseError("the disk is full")

    sipserver("users", "add", "alice", "--password", "secret")
    monkeypatch.setattr(Audit, "add", fails)
    code, out, err = sipserver("users", "export")
    assert (code, err) == (0, "warning: cannot write audit entry: the disk is full\n")
    assert "alice" in out
