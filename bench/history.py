"""Times of the history at 1,000,000 calls: the page with each filter, and the delay of SIP.

    python bench/history.py [--calls 1000000] [--rounds 20] [--db FILE]

Fills a database in a temporary directory: 10,000 users, 20,000 numbers outside, 90 days, and a door
that takes part in each fifth call; prints what a row costs.  Then it starts the server, and loads
the page as bench/pages.py does, with the list, the totals and the chart of each filter.  With --db
the file is kept, and used again if it is there.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import pages, python_build
from sip.monitor.calls import Call, CallResult, Side
from sip.store.database import Database
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


def day(days_ago: int) -> str:
    """Return a date as the page takes it."""
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - days_ago * 86_400))


DOOR_NAME = f"user{DOOR:05}"
PAGES = {
    "no page at all": "",
    "all": "/history",
    "all, 60 days back": f"/history?before={int((time.time() - 60 * 86_400) * 1e6)}",
    "answered": "/history?result=answered",
    "refused (1 %)": "/history?result=refused",
    "all but answered": f"/history?result={','.join([*WEIGHTS][1:])}",
    "a week, 60 days ago": f"/history?from={day(67)}&to={day(60)}",
    "busy, the last 7 days": f"/history?result=busy&from={day(7)}",
    "a user": "/history?user=user04242",
    "a user, declined, till 60 days ago": f"/history?user=user04242&result=declined&to={day(60)}",
    "the door (a fifth of all)": f"/history?user={DOOR_NAME}",
    "the door, refused": f"/history?user={DOOR_NAME}&result=refused",
    "number: one": "/history?number=%2B49300004242",
    "number: 10 sides": "/history?number=user0424",
    "number: 100 sides": "/history?number=user042",
    "number: 1,000 sides": "/history?number=user04",
    "number: all": "/history?number=user",
    "number: all, refused": "/history?number=user&result=refused",
    "number: two letters, none": "/history?number=zz",
    "number: none": "/history?number=zzzz",
    "number and user": f"/history?user={DOOR_NAME}&number=%2B49300004242",
}


def main() -> None:
    """Fill the database, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--db", default="")
    asked = parser.parse_args()
    print(python_build.heading())
    with tempfile.TemporaryDirectory() as directory:
        path = asked.db or str(Path(directory) / "bench.db")
        if not os.path.exists(path):
            with Database(path) as database:
                fill(database, asked.calls)
        print(f"{os.path.getsize(path) / asked.calls:.0f} octets a call", flush=True)
        pages.PAGES.clear()
        pages.PAGES.update(PAGES)
        with pages.running(path, "-calls.keep", "3650") as server:
            pages.measure(*server, asked.calls, asked.rounds)


if __name__ == "__main__":
    main()
