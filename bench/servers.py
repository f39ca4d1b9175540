"""The compared servers: each runs on one core, with the same users and the same work."""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.phones import answers_options
from tests.support.programs import end, free_port, free_port_of_both, start, tail, until

ROOT = Path(__file__).parent.parent
DOMAIN = "example.test"
HOST = "127.0.0.1"
PASSWORD = "secret"
ADMIN_PASSWORD = "password of the bench"
SCHEMA = Path("/usr/share/kamailio/db_sqlite")  # of kamailio-sqlite-modules
STOPS_WITHIN = 5.0  # seconds
STARTS_WITHIN = 60.0  # seconds, for 100,000 accounts
SERVER_CORE = max(os.sched_getaffinity(0))
LOAD_CORE = min(os.sched_getaffinity(0))  # of SIPp, the probes and this process


def missing(*, with_kamailio: bool = True) -> list[str]:
    """Return a sentence for each missing program or core."""
    needed = {"sipp": "SIPp is not installed: apt-get install sip-tester."}
    if with_kamailio:
        needed["kamailio"] = "Kamailio is not installed: apt-get install kamailio."
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    lacking = [sentence for name, sentence in needed.items() if not shutil.which(name, path=path)]
    if with_kamailio and not SCHEMA.is_dir():
        lacking.append(
            "Kamailio's SQLite module is not installed: apt-get install kamailio-sqlite-modules."
        )
    if len(os.sched_getaffinity(0)) < 2:
        lacking.append("Two cores are needed, one for the server and one for the load.")
    return lacking


class Server:
    """One server, with all its processes on SERVER_CORE; its files are in `home`."""

    name: str
    label: str

    def __init__(self, home: Path, users: list[str]) -> None:
        """Prepare a server with accounts for `users`, all with the same PASSWORD."""
        self.home = home
        self.users = users
        self.log = home / "server.log"
        self.port = free_port_of_both(HOST)
        self.process: subprocess.Popen | None = None
        home.mkdir(parents=True)
        self._prepare()

    def _prepare(self) -> None: ...

    def _command(self) -> list[str]: ...

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, and return as soon as it answers OPTIONS."""
        command = ["taskset", "-c", str(SERVER_CORE), *self._command()]
        self.process = start(command, self.log, cwd=self.home, env=self._environment())
        try:
            until(
                lambda: self.process.poll() is not None or answers_options((HOST, self.port)),
                f"{self.label} answers OPTIONS",
                STARTS_WITHIN,
            )
            assert self.process.poll() is None, f"{self.label} ended\n{tail(self.log)}"
        except BaseException:
            self.stop()
            raise

    def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End the server and its child processes by their pids; kill them if they take too long."""
        if self.process is None:
            return
        family = self.pids() if self.process.poll() is None else []
        with contextlib.suppress(AssertionError):
            end(self.process, by, STOPS_WITHIN)
        for pid in family[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process = None

    def pids(self) -> list[int]:
        """Return the pids of the server process and of all its descendants."""
        return list(_family(self.process.pid))


def _family(pid: int) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ends just now
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        yield pid
        for child in children:
            yield from _family(int(child))


class Ours(Server):
    """sipserver.py as in production: users in SQLite, and each registration on disk before its 200."""

    name, label = "ours", "sipserver"
    root = ROOT  # the folder of its sipserver.py
    python = sys.executable

    def _prepare(self) -> None:
        self.web_port = free_port(socket.SOCK_STREAM)
        rows = self.home / "users.csv"
        rows.write_text(
            "\n".join(["username,password", *(f"{u},{PASSWORD}" for u in self.users)]) + "\n"
        )
        self.run("users", "import", str(rows))

    @property
    def web_url(self) -> str:
        return f"http://{HOST}:{self.web_port}"

    def run(self, *command: str) -> None:
        """Run a command of sipserver.py to its end."""
        subprocess.run(
            [*self._command(), *command], env=self._environment(), check=True, capture_output=True
        )

    def _command(self) -> list[str]:
        return [
            *[self.python, str(self.root / "sipserver.py"), "-sip.addr", self.address],
            *["-web.addr", f"{HOST}:{self.web_port}", "-db.path", str(self.home / "users.db")],
            *["-sip.realm", DOMAIN],
        ]

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SIPSERVER_")}
        return kept | {"SIPSERVER_ADMIN_PASSWORD": ADMIN_PASSWORD}


class Kamailio(Server):
    """Kamailio with the configuration bench/kamailio/{name}.cfg."""

    tables: tuple[str, ...]
    flags: tuple[str, ...]

    def _prepare(self) -> None:
        (self.home / "run").mkdir()
        self.database = self.home / "kamailio.db"
        with sqlite3.connect(self.database) as database:
            for table in ("standard", *self.tables):
                database.executescript((SCHEMA / f"{table}-create.sql").read_text())
            database.executemany(self.insert, self._rows())
        database.close()

    insert: str

    def _rows(self) -> Iterator[tuple[str, str]]:
        for user in self.users:
            text = f"{user}:{DOMAIN}:{PASSWORD}"
            yield user, hashlib.md5(text.encode()).hexdigest()

    def _command(self) -> list[str]:
        config = Path(__file__).with_name("kamailio") / f"{self.name}.cfg"
        program = shutil.which("kamailio", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        return [
            *[program, "-f", str(config), "-DD", "-E"],
            *["-l", f"udp:{self.address}", "-l", f"tcp:{self.address}"],
            *["-A", f'DOMAIN="{DOMAIN}"', "-A", f'DATABASE="sqlite:///{self.database}"'],
            *["-Y", str(self.home / "run"), "-w", str(self.home)],
            *["-P", str(self.home / "run/pid"), *self.flags],
        ]


class TunedKamailio(Kamailio):
    """The fastest configuration that we found: HA1s and bindings only in memory."""

    name, label = "tuned", "Kamailio, tuned"
    tables = ("htable",)
    insert = "INSERT INTO htable (key_name, key_value) VALUES (?, ?)"
    flags = ("-x", "fm", "-X", "fm", "-m", "1024", "-M", "64")


class DebianKamailio(Kamailio):
    """Debian's configuration: the default allocator, HA1s from SQLite, bindings in memory."""

    name, label = "debian", "Kamailio, Debian's way"
    tables = ("auth_db",)
    insert = f"INSERT INTO subscriber (username, domain, ha1) VALUES (?, '{DOMAIN}', ?)"
    flags = ("-m", "512", "-M", "8")


SERVERS: dict[str, type[Server]] = {
    kind.name: kind for kind in (Ours, TunedKamailio, DebianKamailio)
}
