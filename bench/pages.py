"""Response times of the pages at 100,000 users, and the delay of SIP meanwhile.

    python bench/pages.py [--users 100000] [--rounds 40]

Starts the server with a temporary database in which half of the users are online, signs in, and
loads each page and lists of the API over one connection, in gzip as browsers do.  It measures the
time to the first byte, the CPU time of the server, and what the first visit loads: the page and the
files that it names, as sent.  Meanwhile an OPTIONS is sent every 2 ms; the
longest wait for its response shows for how long no datagram was read.  A row without a page shows
the delay of the machine itself.
"""

import argparse
import gzip
import http.client
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import python_build
from sip.store.bindings import BindingRow, BindingStore
from sip.store.database import Database
from sip.store.importing import import_accounts
from sip.store.tokens import Role, Tokens
from sip.store.users import Users

ROOT = Path(__file__).parent.parent
REALM = "example.com"
PASSWORD = "password of the bench"
TICKS = os.sysconf("SC_CLK_TCK")
PAGES = {
    "no page at all": "",
    "overview": "/",
    "users, first page": "/users",
    "users, in the middle": "/users?page={middle}",
    "users, last page": "/users?page=999999",
    "online": "/users?status=online",
    "online, last page": "/users?status=online&page=999999",
    "offline, last page": "/users?status=offline&page=999999",
    "disabled (10)": "/users?status=disabled",
    "never": "/users?status=never",
    "never, by display name, last page": "/users?status=never&sort=display_name&page=999999",
    "trouble (none)": "/users?status=trouble",
    "by state, last page": "/users?sort=state&page=999999",
    "another realm (10)": "/users?realm=branch.example",
    "by display name, last page": "/users?sort=display_name&page=999999",
    "by last seen, downwards": "/users?sort=last_seen&order=desc",
    "by last seen, online, last page": "/users?sort=last_seen&status=online&page=999999",
    "search: one": "/users?q=user077777",
    "search: 111": "/users?q=7777",
    "search: all": "/users?q=user",
    "search: all, online, by last seen": "/users?q=user&status=online&sort=last_seen&order=desc",
    "search: none": "/users?q=nobody",
    "search: all devices": "/users?q=yealink",
    "search: one address, none": "/users?q=198.51.100.7",
    "search: one letter, all": "/users?q=u",
    "a user": "/users/{middle}",
    "a form": "/users/new",
    "the page of the API": "/api",
    "API: users": "/api/v1/users?limit=50",
    "API: 500 users by last seen": "/api/v1/users?limit=500&sort=-last_seen",
    "API: registrations": "/api/v1/registrations?limit=50",
    "API: 500 registrations": "/api/v1/registrations?limit=500",
    "API: registrations of a user": "/api/v1/registrations?user=user077776",
    "API: history": "/api/v1/history",
    "API: refusals": "/api/v1/refusals",
    "API: audit": "/api/v1/audit",
    "API: export": "/api/v1/users/export.csv",
}


def populate(path: str, number: int) -> None:
    """Add the accounts, and bind a phone to every second one."""
    now = int(time.time())
    with Database(path) as database:
        users = Users(database, REALM)
        file = Path(path + ".csv")
        with file.open("w") as rows:
            rows.write("username,ha1,display_name,realm,enabled\n")
            for n in range(number):
                realm = "branch.example" if n % 10_000 == 5 else ""
                enabled = "no" if n % 10_000 == 7 else ""
                rows.write(f"user{n:06},{n:032x},Room {n * 7919 % number},{realm},{enabled}\n")
        with file.open("rb") as rows:
            import_accounts(users, rows)
        bindings = BindingStore(database)
        kept = [
            BindingRow(
                user_id=account.id,
                aor=f"{account.username}@{account.realm or REALM}",
                contact=f"sip:{account.username}@192.0.2.9:5060",
                expires_at=now + 3600 + account.id % 3600,
                user_agent="Yealink SIP-T46U 108.86.0.75",
                flow="UDP/192.0.2.1:5060/192.0.2.9:5060",
                updated_at=now - account.id % 3600,
            )
            for account in users.list()
            if account.id % 2 and account.enabled
        ]
        for start in range(0, len(kept), 5000):
            bindings.save(kept[start : start + 5000], [], lambda: None, now - start // 50)
        bindings.close()


class Prober(threading.Thread):
    """Sends OPTIONS all the time, and measures how long each response takes."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", port))
        self.sock.settimeout(5)
        self.waits: list[float] = []
        self.stopping = False

    def ask(self, number: int) -> float:
        here = "{}:{}".format(*self.sock.getsockname())
        there = "{}:{}".format(*self.sock.getpeername())
        began = time.perf_counter()
        self.sock.send(
            f"OPTIONS sip:{there} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{number};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:probe@{here}>;tag=1\r\nTo: <sip:{there}>\r\n"
            f"Call-ID: {number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n".encode()
        )
        self.sock.recv(65535)
        return time.perf_counter() - began

    def run(self) -> None:
        number = 0
        while not self.stopping:
            number += 1
            self.waits.append(self.ask(number))
            time.sleep(0.002)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def sign_in(connection: http.client.HTTPConnection, web: int) -> str:
    body = urlencode({"username": "admin", "password": PASSWORD})
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": f"http://127.0.0.1:{web}",
    }
    connection.request("POST", "/login", body, headers)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 303, answer.status
    return answer.headers["Set-Cookie"].partition(";")[0]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    asked = parser.parse_args()
    print(python_build.heading())
    with tempfile.TemporaryDirectory() as home:
        path = f"{home}/users.db"
        began = time.perf_counter()
        populate(path, asked.users)
        print(f"{asked.users:,} users made in {time.perf_counter() - began:.1f} s", flush=True)
        with Database(path) as database:
            token = Tokens(database).add("bench", Role.ADMIN)
        with running(path) as server:
            measure(*server, asked.users, asked.rounds, token)


@contextmanager
def running(path: str, *flags: str) -> Iterator[tuple[int, int, int]]:
    """Run the server with a database; give its process id and its ports of SIP and web."""
    sip, web = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    server = subprocess.Popen(
        [
            *[sys.executable, str(ROOT / "sipserver.py"), "-db.path", path],
            *["-sip.addr", f"127.0.0.1:{sip}", "-web.addr", f"127.0.0.1:{web}"],
            *["-sip.realm", REALM, *flags],
        ],
        env={
            **os.environ,
            "SIPSERVER_ADMIN_PASSWORD": PASSWORD,
            "SIPSERVER_LOG_LEVEL": "error",
        },
    )
    try:
        yield server.pid, sip, web
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def measure(pid: int, sip: int, web: int, users: int, rounds: int, token: str = "") -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web, timeout=20)
    for _ in range(200):
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            break
        except OSError:
            connection.close()
            time.sleep(0.1)
    headers = {"Cookie": sign_in(connection, web), "Accept-Encoding": "gzip"}
    headers["Authorization"] = f"Bearer {token}"  # for the API alone
    print(
        f"{'page':34} {'median':>8} {'worst':>8} {'CPU':>8}   {'SIP waits, worst':>16}"
        f" {'first visit':>12}"
    )
    for name, template in PAGES.items():
        path = template.format(middle=users // 100)
        prober = Prober(sip)
        prober.start()
        loaded = _first_visit(connection, path, headers)
        began, times = cpu_seconds(pid), []
        for _ in range(rounds):
            if not path:
                time.sleep(0.025)
                continue
            start = time.perf_counter()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read(1)
            times.append(1000 * (time.perf_counter() - start))
            answer.read()
            assert answer.status == 200, (path, answer.status)
        spent = 1000 * (cpu_seconds(pid) - began) / rounds
        prober.stopping = True
        prober.join()
        times = times or [0.0]
        print(
            f"{name:34} {statistics.median(times):5.1f} ms {max(times):5.1f} ms {spent:5.1f} ms"
            f"   {1000 * max(prober.waits):13.1f} ms {loaded / 1000:9.1f} kB",
            flush=True,
        )


def _first_visit(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> int:
    """Return the octets of a page and of all files that it names."""

    def size(path: str) -> tuple[int, bytes]:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        is_packed = answer.headers["Content-Encoding"] == "gzip"
        return len(body), gzip.decompress(body) if is_packed else body

    if not path or path.startswith("/api/"):
        return 0
    octets, page = size(path)
    files = set(re.findall(r'(?:src|href)="(/static/[^"#]+)', page.decode()))
    return octets + sum(size(file)[0] for file in files)


if __name__ == "__main__":
    main()
