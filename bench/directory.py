"""Times of the store at 100,000 users: queries of the pages, an import, REGISTERs.

    python bench/directory.py [--users 100000] [--rounds 15]

Creates a database in a temporary directory; half of its users are online.  The times are those that
a greenlet waits, including the switch to the reader thread.
"""

import argparse
import gc
import io
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import gevent

from sip.store.bindings import BindingRow, BindingStore, _Change, _values, _Writer
from sip.store.database import Database
from sip.store.directory import Directory, Question
from sip.store.importing import apply, check, exported, read_csv
from sip.store.users import Users

REALM = "example.com"
FIRST = "Anna Bernd Clara Dieter Eva Frank Greta Hans Ina Jörg Karin Lars Maria Nina Otto".split()
LAST = "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Koch".split()


def accounts(number: int) -> str:
    """Return a CSV file: numbers, phones and names; some in other realms, ten disabled."""
    rows = ["username,ha1,ha1_sha256,ha1_sha512_256,realm,display_name,enabled"]
    for n in range(number):
        username = (
            f"+4930{n:07}",
            f"phone{n:06}",
            f"{FIRST[n % 15]}.{LAST[n % 11]}{n}".lower(),
        )[n % 3]
        realm = (
            "sparse.example" if n % (number // 10) == 7 else "other.example" if n % 5 == 0 else ""
        )
        name = "" if n % 10 == 0 else f"{FIRST[n % 15]} {LAST[n * 7 % 11]}"
        enabled = "no" if n % (number // 10) == 9 else "yes"
        rows.append(f"{username},{n:032x},{n:064x},{n:064x},{realm},{name},{enabled}")
    return "\n".join(rows) + "\n"


class Measured(Database):
    """Measures how long the latest transaction held the write lock, in milliseconds."""

    lock_milliseconds = 0.0

    def _transact(self, begin, function, then):
        before = time.perf_counter()

        def measure(result):
            if begin == "BEGIN IMMEDIATE":
                self.lock_milliseconds = (time.perf_counter() - before) * 1e3
            return then and then(result)

        return super()._transact(begin, function, measure)


class Gaps:
    """Measures the longest time in which the hub ran no other greenlet."""

    def __enter__(self) -> "Gaps":
        self.worst = 0.0
        self._watching = gevent.spawn(self._watch)
        gevent.sleep(0.01)
        self.worst = 0.0
        return self

    def _watch(self) -> None:
        last = time.perf_counter()
        while True:
            gevent.sleep(0.001)
            now = time.perf_counter()
            self.worst = max(self.worst, now - last - 0.001)
            last = now

    def __exit__(self, *_: object) -> None:
        self._watching.kill()


def timed(label: str, work: Callable[[], object], rounds: int = 1) -> None:
    times = []
    with Gaps() as gaps:
        for _ in range(rounds):
            before = time.perf_counter()
            work()
            times.append((time.perf_counter() - before) * 1e3)
    print(
        f"{label:44} {statistics.median(times):9.2f} {max(times):9.2f} {gaps.worst * 1e3:9.2f}",
        flush=True,
    )


def row(number: int, username: str, realm: str, at: int) -> BindingRow:
    """Return the binding of a usual desk phone."""
    host = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:5060"
    return BindingRow(
        user_id=number,
        aor=f"{username}@{realm}",
        contact=f"sip:{username}@{host}",
        expires_at=at + 3600,
        call_id=f"{number}-a1b2c3d4e5f6@{host}",
        cseq=at % 1000,
        instance="<urn:uuid:00000000-0000-1000-8000-000a95a0e128>",
        user_agent="Yealink SIP-T46S 66.85.0.5",
        flow=f"UDP/192.0.2.1:5060/{host};nat",
        updated_at=at,
    )


def register(
    database: Database, writer: _Writer, some: list[BindingRow], batch: int
) -> tuple[float, float]:
    """Write REGISTERs in batches; return CPU microseconds each, and the longest batch in ms."""
    worst, cpu = 0.0, time.process_time()
    for start in range(0, len(some), batch):
        changes = [
            _Change([_values(one)], (), one.updated_at) for one in some[start : start + batch]
        ]
        before = time.perf_counter()
        database.run(lambda tables, changes=changes: writer.write(tables, changes))
        worst = max(worst, time.perf_counter() - before)
    return (time.process_time() - cpu) / len(some) * 1e6, worst * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    sys.setswitchinterval(0.0005)  # as the server does
    gc.set_threshold(50_000, 20, 100)
    gc.freeze()
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "sip.db")
        with Measured(path) as database:
            run(database, options.users, options.rounds)


def run(database: Measured, number: int, rounds: int) -> None:
    users = Users(database, REALM)
    directory = Directory(database, users)
    print(f"{'milliseconds':44} {'median':>9} {'worst':>9} {'hub gap':>9}")
    text = accounts(number).encode()
    pool = gevent.get_hub().threadpool
    files = []
    timed("read a file", lambda: files.append(pool.spawn(read_csv, io.BytesIO(text), REALM).get()))
    timed("check it", lambda: check(users, files[0]))
    timed("apply it", lambda: apply(users, files[0]))
    print(f"{'  of that under the write lock':44} {database.lock_milliseconds:9.2f}")
    timed("apply it again", lambda: apply(users, files[0]))
    changed = text.replace(b" Meyer", b" Maier")
    files[0] = pool.spawn(read_csv, io.BytesIO(changed), REALM, update=True).get()
    timed("change 9 % of the display names", lambda: apply(users, files[0]))
    print(f"{'  of that under the write lock':44} {database.lock_milliseconds:9.2f}")
    timed("reload", users.reload, 3)
    timed("export", lambda: sum(map(len, exported(users))))
    register_all(database, users)
    pages(directory, rounds)
    account = users.list()[number // 2]
    timed("one entry", lambda: directory.entry(account.id), rounds)
    timed("disable", lambda: users.disable(account.username, account.realm), rounds)
    timed(
        "set a display name",
        lambda: users.set_display_name(account.username, f"X {time.time()}", account.realm),
        rounds,
    )


def register_all(database: Database, users: Users) -> None:
    """Register half of the users, then refresh some, and compare."""
    random.seed(1)
    now = int(time.time())
    enabled = [a for a in users.list() if a.enabled]
    half = random.sample(enabled, len(enabled) // 2)
    rows = [row(a.id, a.username, a.realm or REALM, now - random.randrange(3600)) for a in half]
    writer = _Writer(database)
    register(database, writer, rows, 1000)
    print(f"{'microseconds of CPU a REGISTER':44} {'refresh':>9} {'worst ms':>9}")
    for batch in (1, 10, 50):
        some = [one._replace(updated_at=now + batch) for one in random.sample(rows, 3000)]
        each, worst = register(database, writer, some, batch)
        print(f"{f'  {batch} in a transaction':44} {each:9.2f} {worst:9.2f}")
    online = {one.user_id for one in rows}
    offline = [a for a in enabled if a.id not in online]
    first = [row(a.id, a.username, a.realm or REALM, now) for a in random.sample(offline, 1000)]
    each, worst = register(database, writer, first, 10)
    print(f"{'  10 in a transaction, for the first time':44} {each:9.2f} {worst:9.2f}")
    bindings = BindingStore(database)
    timed("load the bindings", lambda: bindings.load(now), 1)
    bindings.close()


def pages(directory: Directory, rounds: int) -> None:
    """Measure every kind of query, on its first page, in the middle and at the end."""
    print(f"{'milliseconds':44} {'median':>9} {'worst':>9} {'hub gap':>9}")
    filters: list[dict[str, object]] = [
        {},
        {"status": "online"},
        {"status": "offline"},
        {"status": "disabled"},
        {"status": "enabled"},
        {"realm": REALM},
        {"realm": "sparse.example"},
        {"realm": "other.example", "status": "online"},
        {"realm": "nowhere.example"},
    ]
    for chosen in filters:
        for sort in ("username", "display_name", "last_seen"):
            for descending in (False, True):
                question = Question(sort=sort, descending=descending, **chosen)
                ask(directory, question, rounds, everywhere=not descending)
    for search in (
        "p",
        "+4",
        "ü",
        "%",
        "phone012345",
        "meyer",
        "müller",
        "pho",
        "493000",
        "49300",
        "e.m",
        "zzzz",
    ):
        for chosen in ({}, {"status": "online"}, {"status": "disabled"}):
            for sort in ("username", "last_seen"):
                ask(directory, Question(search=search, sort=sort, **chosen), rounds)


def ask(directory: Directory, question: Question, rounds: int, everywhere: bool = False) -> None:
    last = directory.page(question).pages
    total = directory.page(question).total
    what = " ".join(
        str(part)
        for part in (question.search, question.status, question.realm, question.sort)
        if part
    ) + (" desc" if question.descending else "")
    for page in sorted({1, last // 2 or 1, last} if everywhere else {1, last}):
        asked = Question(
            question.search,
            question.status,
            question.realm,
            question.sort,
            question.descending,
            page,
        )
        timed(f"{what} p{page} ({total})", lambda asked=asked: directory.page(asked), rounds)


if __name__ == "__main__":
    main()
