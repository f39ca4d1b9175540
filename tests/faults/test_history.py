"""The history of calls when the server ends: by SIGKILL, by SIGTERM, within a call."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.support.programs import until

# Seconds: those that a kill may lose, and one in which this machine was busy.
MAY_BE_LOST = 2.0


def kept(database: Path) -> dict[str, int]:
    """The Call-IDs and results of the rows on disk; the totals agree with them."""
    with closing(sqlite3.connect(database)) as file:
        rows = dict(file.execute("SELECT call_id, result FROM calls").fetchall())
        for unit in (3600, 86_400):
            ((total,),) = file.execute(
                "SELECT ifnull(sum(calls), 0) FROM call_totals WHERE seconds = ?", (unit,)
            )
            assert total == len(rows)
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return rows


def test_a_kill_loses_no_call_but_those_of_the_last_second(server, registered):
    alice, bob = registered("alice"), registered("bob")
    ended: list[tuple[float, str]] = []
    end = time.monotonic() + 2 * MAY_BE_LOST
    while time.monotonic() < end:
        call, _ = alice.calls(bob)
        alice.hangs_up(call, bob)
        ended.append((time.monotonic(), call.call_id))
    killed_at = time.monotonic()
    server.kill()
    rows = kept(server.database)
    certain = {call_id for at, call_id in ended if at < killed_at - MAY_BE_LOST}
    assert certain
    assert certain <= rows.keys() <= {call_id for _, call_id in ended}
    server.start()
    call, _ = alice.calls(bob)
    alice.hangs_up(call, bob)
    until(lambda: call.call_id in kept(server.database), "the history goes on")


def test_a_stop_loses_no_call(server, registered):
    alice, bob = registered("alice"), registered("bob")
    call, _ = alice.calls(bob)
    alice.hangs_up(call, bob)
    server.stop()
    assert kept(server.database) == {call.call_id: 0}


def test_a_call_of_before_a_kill_is_one_answered_row(server, registered):
    alice, bob = registered("alice"), registered("bob")
    call, theirs = alice.calls(bob)
    server.kill()
    server.start()
    assert kept(server.database) == {}
    bob.hangs_up(theirs, alice)
    until(lambda: kept(server.database) == {call.call_id: 0}, "the row of the call")


def test_settings_of_the_history_change_by_sighup(tmp_path, server, registered):
    """With 0 days the rows go, and no new one comes."""
    alice, bob = registered("alice"), registered("bob")
    call, _ = alice.calls(bob)
    alice.hangs_up(call, bob)
    until(lambda: kept(server.database), "a row")
    server.stop()
    file = tmp_path / "settings.toml"
    file.write_text("calls.keep = 90\n")
    server.flags = (*server.flags, "-config", str(file))
    server.start()
    assert kept(server.database)
    file.write_text("calls.keep = 0\n")
    server.process.send_signal(1)
    until(lambda: not kept(server.database), "the rows are gone")
    assert "settings reloaded: changed calls.keep" in server.log.read_text()
