"""The bindings on disk: what a promised 200 stands for."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import gevent
import pytest

from sip.store.bindings import BindingRow, Bindings, NotSaved
from sip.store.database import Database

ROOT = Path(__file__).parents[2]
DESK = BindingRow(
    aor="sip:alice@example.com",
    contact="<sip:alice@192.0.2.1:5060>",
    expires_at=2000,
    q=0.7,
    call_id="abc@desk",
    cseq=2147483647,
    path="<sip:edge.example.com;lr>",
    instance="<urn:uuid:1>",
    reg_id=1,
    user_agent="Desk/1.0",
    flow="udp 192.0.2.1 5060",
    updated_at=1000,
)
KEY = DESK[:2]


@pytest.fixture
def bindings(database):
    bindings = Bindings(database)
    yield bindings
    bindings.close()


def never():
    raise AssertionError("undone")


def test_a_row_comes_back_as_it_was(bindings):
    bindings.save([DESK], [], never)
    assert bindings.load(1000) == [DESK]


def test_octets_that_are_no_utf8_come_back_too(bindings):
    odd = DESK._replace(user_agent="T\udce9l\udce9phone \x00 \U0001f4de")
    bindings.save([odd], [], never)
    assert bindings.load(1000) == [odd]
    bindings.save([], [KEY], never)
    assert bindings.load(1000) == []


def test_a_refresh_replaces_the_row(bindings):
    bindings.save([DESK], [], never)
    later = DESK._replace(expires_at=3000, cseq=1, flow="udp 192.0.2.1 6000", updated_at=1500)
    bindings.save([later], [], never)
    assert bindings.load(1000) == [later]


def test_in_one_batch_the_last_word_on_a_contact_counts(bindings):
    other = DESK._replace(contact="<sip:alice@192.0.2.2>")
    work = [
        gevent.spawn(bindings.save, [DESK, other], [], never),
        gevent.spawn(bindings.save, [], [KEY, other[:2]], never),
        gevent.spawn(bindings.save, [DESK._replace(cseq=7)], [], never),
    ]
    gevent.joinall(work, raise_error=True)
    assert bindings.load(1000) == [DESK._replace(cseq=7)]


def test_loading_leaves_out_and_deletes_what_is_over(bindings, path):
    bindings.save([DESK, DESK._replace(aor="sip:bob@example.com", expires_at=5000)], [], never)
    assert [row.aor for row in bindings.load(2000.5)] == ["sip:bob@example.com"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM bindings").fetchone() == (1,)


def test_forgetting_spares_a_row_that_was_refreshed(bindings):
    other = DESK._replace(aor="sip:bob@example.com", expires_at=2060)
    bindings.save([DESK, other], [], never)
    bindings.forget([KEY, other[:2]], now=2000.2)
    bindings.close()
    assert bindings.load(0) == [other]


def test_a_database_that_cannot_write_undoes_and_says_so(bindings, path):
    undone = []
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotSaved, match="locked"):
            bindings.save([DESK], [], lambda: undone.append(DESK))
        other.execute("ROLLBACK")
    assert undone == [DESK]
    assert bindings.load(0) == []


SAVING = """
import itertools, sys, gevent
from sip.store.bindings import BindingRow, Bindings
from sip.store.database import Database

def phone(bindings, number):
    for n in itertools.count():
        row = BindingRow(f"sip:{number}@example.com", f"<sip:{n}@192.0.2.1>", 2_000_000_000)
        bindings.save([row], [], sys.exit)
        print(row.aor, row.contact, flush=True)

with Database(sys.argv[1]) as database:
    bindings = Bindings(database)
    gevent.joinall([gevent.spawn(phone, bindings, number) for number in range(10)])
"""


def test_what_was_promised_survives_kill_9(path):
    with subprocess.Popen(
        [sys.executable, "-c", SAVING, path],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        promised = [process.stdout.readline().split() for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        promised += [line.split() for line in process.stdout if line.endswith("\n")]
    with Database(path) as database:
        bindings = Bindings(database)
        kept = {(row.aor, row.contact) for row in bindings.load(0)}
        bindings.close()
    assert len(promised) >= 200
    assert {tuple(pair) for pair in promised} <= kept
