"""Changes of all users at once, at 100,000 users, and what phones notice of them.

    python bench/bulk.py [--users 100000] [--only WORD]

Starts the server with the users of pages.py, half of them online, and changes all of them on the
pages as an administrator does.  Meanwhile one phone registers again and again, and OPTIONS are sent
every 2 ms.  A gap is the longest time in which the event loop ran nothing, "held" is that without
the waits for a core of the machine, see watched_server.py.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import python_build
from bench.pages import PASSWORD, REALM, ROOT, Prober, free_port, populate, sign_in
from bench.phones import Phone
from sip.store.database import Database
from sip.store.tokens import Role, Tokens
from sip.store.users import Users

SECRET = "password of the phone"
PHONE = "phone"
ALL = "/users?q=user"  # without the phone
Gap = tuple[float, float, float, list[str]]  # see watched_server.py
FORM = "application/x-www-form-urlencoded"


class Browser:
    """A browser that is signed in, without scripts."""

    def __init__(self, web: int) -> None:
        self._web = web
        self._connection = HTTPConnection("127.0.0.1", web, timeout=120)
        self._cookie = sign_in(self._connection, web)

    def asks(self, method: str, path: str, body: bytes = b"", kind: str = "") -> str:
        """Return the page, or where a redirect leads."""
        headers = {"Cookie": self._cookie, "Origin": f"http://127.0.0.1:{self._web}"}
        if kind:
            headers["Content-Type"] = kind
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        page = answer.read().decode("utf-8", "replace")
        assert answer.status in (200, 303), (path, answer.status, page)
        return answer.headers["Location"] or page

    def posts(self, path: str, **fields: str) -> str:
        return self.asks("POST", path, urlencode(fields).encode(), FORM)

    def changes_all(self, act: str) -> None:
        """Choose all users, apply a change, and wait for its end."""
        query = ALL.partition("?")[2]
        self.posts(f"/users/choose?{query}", all="yes")
        page = self.asks("GET", f"/users/act/{act}?{query}")
        number = _number(page)
        self.posts(f"/users/act/{act}?{query}", number=number)
        while "<progress" in (page := self.asks("GET", f"/users/act?{query}")):
            time.sleep(0.1)
        assert "No user was changed" not in page, page
        if act == "passwords":
            self.posts("/users/act/passwords.csv", number=_number(page))

    def undoes(self) -> None:
        page = self.asks("GET", "/users/undo")
        step = re.search(r"/users/undo/(\d+)", page)
        assert step, page
        self.posts(f"/users/undo/{step[1]}")

    def imports(self, rows: bytes) -> None:
        """Upload a file, apply it, and wait for its end."""
        edge = "----edge"
        head = 'Content-Disposition: form-data; name="file"; filename="users.csv"'
        body = f"--{edge}\r\n{head}\r\nContent-Type: text/csv\r\n\r\n".encode()
        body += rows + f"\r\n--{edge}--\r\n".encode()
        self.asks("POST", "/users/import", body, f"multipart/form-data; boundary={edge}")
        page = self._waits("Nothing is written yet.")
        self.posts("/users/import/apply", number=_number(page))
        self._waits("Imported:")

    def _waits(self, words: str) -> str:
        while words not in (page := self.asks("GET", "/users/import")):
            assert "Nothing was imported" not in page, page
            time.sleep(0.1)
        return page


def _number(page: str) -> str:
    found = re.search(r'name="number" value="(\d+)"', page)
    assert found, page
    return found[1]


def api(web: int, token: str, method: str, path: str, body: bytes = b"") -> None:
    connection = HTTPConnection("127.0.0.1", web, timeout=120)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/csv"}
    connection.request(method, f"/api/v1/users/{path}", body or None, headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()


class Registering(threading.Thread):
    """A phone that registers every 20 ms; `waits` are the seconds until the 200."""

    def __init__(self, sip: int) -> None:
        super().__init__(daemon=True)
        self._phone = Phone(("127.0.0.1", sip), REALM, 60)
        self.waits: list[float] = []
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            began = time.perf_counter()
            contact = f"sip:{PHONE}@{self._phone.here}"
            assert self._phone.register(PHONE, SECRET, contact) == 200
            self.waits.append(time.perf_counter() - began)
            time.sleep(0.02)


@contextmanager
def watched(path: str, gaps: Path) -> Iterator[tuple[int, int, int]]:
    """Run the server with a watch; give its process id and its ports of SIP and web."""
    sip, web = free_port(2), free_port(1)
    server = subprocess.Popen(
        [
            *[sys.executable, str(ROOT / "bench/watched_server.py"), str(gaps)],
            *["-db.path", path, "-sip.addr", f"127.0.0.1:{sip}", "-web.addr", f"127.0.0.1:{web}"],
            *["-sip.realm", REALM, "-guard.trusted", "127.0.0.0/8"],
        ],
        env={
            **os.environ,
            "SIPSERVER_ADMIN_PASSWORD": PASSWORD,
            "SIPSERVER_LOG_LEVEL": "error",
        },
    )
    try:
        for _ in range(300):
            try:
                HTTPConnection("127.0.0.1", web, timeout=5).request("GET", "/healthz")
                break
            except OSError:
                time.sleep(0.1)
        yield server.pid, sip, web
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def measured(name: str, work: Callable[[], None], pid: int, sip: int, gaps: Path) -> None:
    """Do some work, and print how long it took and what was noticed meanwhile."""
    _read_gaps(pid, gaps)
    prober, phone = Prober(sip), Registering(sip)
    prober.start()
    phone.start()
    began = time.perf_counter()
    work()
    took = time.perf_counter() - began
    prober.stopping = phone.stopping = True
    prober.join()
    phone.join()
    worst = _read_gaps(pid, gaps)
    print(
        f"{name:26} {took:6.1f} s {1000 * max(phone.waits):9.0f} ms"
        f" {1000 * statistics.median(phone.waits):7.0f} ms {1000 * max(prober.waits):9.1f} ms"
        f" {1000 * worst[0][0]:9.1f} ms {1000 * max(gap[1] for gap in worst):7.1f} ms"
        f" {1000 * max(gap[2] for gap in worst):7.1f} ms",
        flush=True,
    )
    if "--stacks" in sys.argv:
        for gap, held, cpu, stacks in worst[:4]:
            print(f"    {1000 * gap:.1f} ms, held {1000 * held:.1f}, of the hub {1000 * cpu:.1f}")
            for text in stacks:
                print(f"        {text}")


def _read_gaps(pid: int, gaps: Path) -> list[Gap]:
    gaps.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    while not gaps.exists():
        time.sleep(0.01)
    found: list[Gap] = json.loads(gaps.read_text())
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--only", default="")
    parser.add_argument("--stacks", action="store_true", help="what ran in the longest gaps")
    asked = parser.parse_args()
    print(python_build.heading())
    with tempfile.TemporaryDirectory() as home:
        path, gaps = f"{home}/users.db", Path(home) / "gaps.json"
        populate(path, asked.users)
        with Database(path) as database:
            Users(database, REALM).add(PHONE, SECRET)
            token = Tokens(database).add("bench", Role.ADMIN)
        rows = ["username,password,display_name"]
        rows += [f"new{n:06},secret {n * 7919},Desk {n}" for n in range(asked.users)]
        file = "\n".join(rows).encode()
        names = "\n".join(["username", *(f"other{n:06}" for n in range(asked.users))]).encode()
        with watched(path, gaps) as (pid, sip, web):
            browser = Browser(web)
            with Phone(("127.0.0.1", sip), REALM, 60) as phone:  # waits until bindings are loaded
                assert phone.register(PHONE, SECRET, f"sip:{PHONE}@{phone.here}") == 200
            print(
                f"{'':26} {'takes':>8} {'REGISTER, worst':>12} {'median':>7}"
                f" {'OPTIONS, worst':>9} {'gap':>9} {'held':>9} {'of hub':>9}"
            )
            works: dict[str, Callable[[], None]] = {
                "nothing": lambda: time.sleep(3),
                "disable": lambda: browser.changes_all("disable"),
                "undo of disable": browser.undoes,
                "disable again": lambda: browser.changes_all("disable"),
                "enable": lambda: browser.changes_all("enable"),
                "new passwords": lambda: browser.changes_all("passwords"),
                "undo of new passwords": browser.undoes,
                "delete": lambda: browser.changes_all("delete"),
                "undo of delete": browser.undoes,
                "import": lambda: browser.imports(file),
                "undo of import": browser.undoes,
                "import by the API": lambda: api(web, token, "POST", "import?generate=true", names),
                "export by the API": lambda: api(web, token, "GET", "export.csv"),
            }
            for name, work in works.items():
                if asked.only in name:
                    measured(name, work, pid, sip, gaps)


if __name__ == "__main__":
    main()
