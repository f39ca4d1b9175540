"""Times of the history at 1,000,000 calls: lists, summaries, batches of new rows.

    python bench/history.py [--calls 1000000] [--rounds 9] [--db FILE]

Fills a database in a temporary directory: 10,000 users, 20,000 numbers outside, 90 days, and a door
that takes part in each fifth call.  A time is that of a greenlet that waits, with the switch to the
reader thread; the CPU time is that of the whole process.  With --db the file is kept, and used
again if it is there.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import python_build
from sip.monitor.calls import Call, CallResult, Side
from sip.store.database import Database
from sip.store.history import CallFilter, History
from sip.store.history_writer import MAX_BATCH, _Rows

REALM = "example.com"
DAYS = 90
USERS, OUTSIDE = 10_000, 20_000
DOOR = 77
WEIGHTS = {
    CallResult.ANSWERED: 62,
    CallResult.MISSED: 18,
    CallResult.BUSY: 6,
    CallResult.DECLINED: 4,
    CallResult.CANCELLED: 7,
    CallResult.REFUSED: 1,
    CallResult.FAILED: 2,
}
STATUS = dict(zip(WEIGHTS, (200, 480, 486, 603, 487, 403, 404), strict=True))


def side(chance: random.Random) -> Side:
    """Return the door, a user, or a number outside."""
    draw = chance.random()
    if draw < 0.1:
        number = DOOR
    elif draw < 0.8:
        number = int(USERS * chance.random() ** 2)
    else:
        number = int(OUTSIDE * chance.random() ** 2)
        return Side(f"sip:+4930{number:07}@gateway.example", 0, "", "", "", ("192.0.2.1", 5060), "")
    username = f"user{number:05}"
    address = (f"10.0.{number // 250}.{number % 250}", 5060)
    return Side("", number + 1, username, REALM, "Phone of the bench 1.2.3", address, "UDP")


def calls(number: int, first: float, last: float) -> list[Call]:
    """Return calls of that time, in the order of their starts."""
    chance = random.Random(first)
    results = chance.choices([*WEIGHTS], [*WEIGHTS.values()], k=number)
    made = []
    for at, result in enumerate(results):
        start = first + (last - first) * at / number
        call = Call(at, f"{start:.6f}-{at:08x}@10.0.0.7", "tag", side(chance), side(chance), start)
        is_answered = result == CallResult.ANSWERED
        call.ringing_at = start + 0.2 if result != CallResult.FAILED else 0.0
        call.answered_at = start + 6 if is_answered else 0.0
        call.ended_at = start + (6 + chance.random() * 300 if is_answered else 15)
        call.result, call.status = result, STATUS[result]
        call.cause = "hung up" if is_answered else f"unknown callee {at}"
        call.ended_by = "caller"
        made.append(call)
    return made


def fill(database: Database, number: int) -> None:
    """Add the calls, in transactions as the server does, and print what they cost."""
    database.run(
        lambda tables: tables.executable.connection.driver_connection.executemany(
            "INSERT INTO users (id, username, display_name, ha1_md5, created_at, updated_at)"
            " VALUES (?, ?, ?, '', 0, 0)",
            [(n + 1, f"user{n:05}", f"Room {n}") for n in range(USERS)],
        )
    )
    rows, now = _Rows(), time.time()
    step, chunk = DAYS * 86_400 / number, 50_000
    cpu = 0.0
    for start in range(0, number, chunk):
        first = now - DAYS * 86_400 + start * step
        made = calls(min(chunk, number - start), first, first + chunk * step)
        before = time.process_time()
        for at in range(0, len(made), MAX_BATCH):
            batch = made[at : at + MAX_BATCH]
            database.run(lambda tables, batch=batch: rows.add(tables, batch))
        cpu += time.process_time() - before
    print(f"a row costs {cpu / number * 1e6:.1f} µs of CPU in batches of {MAX_BATCH}", flush=True)


def timed(label: str, work: Callable[[], object], rounds: int) -> None:
    """Print median and maximum of the time, and the CPU time of a round, in milliseconds."""
    times = []
    cpu = time.process_time()
    for _ in range(rounds):
        before = time.perf_counter()
        work()
        times.append((time.perf_counter() - before) * 1e3)
    cpu = (time.process_time() - cpu) / rounds * 1e3
    print(f"{label:46} {statistics.median(times):9.2f} {max(times):9.2f} {cpu:9.2f}", flush=True)


def filters(now: float) -> dict[str, CallFilter]:
    """Return the filters to measure, by what they ask for."""
    week = now - 7 * 86_400
    ago = now - 60 * 86_400
    return {
        "all": CallFilter(),
        "answered": CallFilter(results=("answered",)),
        "refused (1 %)": CallFilter(results=("refused",)),
        "all but answered": CallFilter(results=tuple(WEIGHTS)[1:]),
        "a week, 60 days ago": CallFilter(since=ago, until=ago + 7 * 86_400),
        "the last 7 days, busy": CallFilter(results=("busy",), since=week),
        "a user": CallFilter(user="user04242"),
        "a user, declined, 60 days ago": CallFilter(
            user="user04242", results=("declined",), until=ago
        ),
        "the door (200,000 calls)": CallFilter(user=f"user{DOOR:05}"),
        "the door, refused": CallFilter(user=f"user{DOOR:05}", results=("refused",)),
        "no such user": CallFilter(user="nobody"),
        "number: one": CallFilter(number="+49300004242"),
        "number: the door": CallFilter(number=f"user{DOOR:05}"),
        "number: 10 sides": CallFilter(number="user0424"),
        "number: 100 sides": CallFilter(number="user042"),
        "number: 1,000 sides": CallFilter(number="user04"),
        "number: 100 sides outside": CallFilter(number="+493001999"),
        "number: all": CallFilter(number="user"),
        "number: all, refused": CallFilter(number="user", results=("refused",)),
        "number: two letters": CallFilter(number="oo"),
        "number: two letters, none": CallFilter(number="zz"),
        "number: none": CallFilter(number="zzzz"),
        "number and user": CallFilter(user=f"user{DOOR:05}", number="+49300004242"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--db", default="")
    options = parser.parse_args()
    print(python_build.heading())
    sys.setswitchinterval(0.0005)
    with tempfile.TemporaryDirectory() as directory:
        path = options.db or str(Path(directory) / "bench.db")
        is_new = not os.path.exists(path)
        before = time.perf_counter()
        with Database(path) as database:
            print(f"opened in {time.perf_counter() - before:.2f} s")
            if is_new:
                fill(database, options.calls)
            print(f"{os.path.getsize(path) / options.calls:.0f} octets a call", flush=True)
            measure(History(database), options.rounds)


def measure(history: History, rounds: int) -> None:
    """Print the times of each filter: its first page, a page after it, and its summary."""
    now = time.time()
    print(f"{'':46} {'median':>9} {'maximum':>9} {'CPU':>9}  ms")
    for name, wanted in filters(now).items():
        first = history.page(wanted)
        shown = f"{name} ({len(first.calls)}{'+' if first.next else ''})"
        timed(shown, lambda wanted=wanted: history.page(wanted), rounds)
        if first.next:
            after = first.next
            timed("    next page", lambda w=wanted, a=after: history.page(w, a), rounds)
        timed("    summary", lambda wanted=wanted: history.summary(wanted, now), rounds)
    timed("latest of a user", lambda: history.latest(user_id=DOOR + 1), rounds)
    timed("today", history.today, rounds)


if __name__ == "__main__":
    main()
