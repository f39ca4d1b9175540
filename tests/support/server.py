"""The server as a process: two ports and a database file."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.support.network import LOOPBACK, Loopback, Machine
from tests.support.programs import REPOSITORY, end, free_port, start, tail, until

STARTS_WITHIN = 60.0  # seconds; Python, gevent and SQLAlchemy on a machine that is very busy

# Users for many calls at once; alice, bob and carol have phones.
CALLERS = [f"caller{number:02}" for number in range(50)]
CALLEES = [f"callee{number:02}" for number in range(50)]


class Server:
    """One server on one address with a fresh database; it may be started again on the same two."""

    domain = "example.test"

    def __init__(self, home: Path, *flags: str, machine: Loopback | Machine = LOOPBACK) -> None:
        """A server with its files in `home`, and `flags` in addition to those of all servers."""
        self.home = home
        self.machine = machine
        self.flags = flags
        self.log = home / "server.log"
        self.hosts, self.port = machine.server_sockets()
        self.web_port = free_port(socket.SOCK_STREAM)
        self.tls_port = free_port(socket.SOCK_STREAM)  # used if the flags name a certificate
        self.environment: dict[str, str] = {}  # besides ours
        self.process: subprocess.Popen | None = None
        self.database = home / "users.db"
        home.mkdir(parents=True)

    @property
    def address(self) -> str:
        return f"{self.hosts[0]}:{self.port}"

    def address_for(self, host: str, transport: str = "udp") -> str:
        """Its address for a transport in the version of IP that `host` belongs to."""
        ours = next(each for each in self.hosts if (":" in each) == (":" in host))
        port = self.tls_port if transport == "tls" else self.port
        return f"[{ours}]:{port}" if ":" in ours else f"{ours}:{port}"

    @property
    def web_url(self) -> str:
        scheme = "https" if "-web.cert" in self.flags else "http"
        return f"{scheme}://127.0.0.1:{self.web_port}"

    @staticmethod
    def password_of(user: str) -> str:
        """The password that `has_users` gives to a user."""
        return f"secret-of-{user}"

    def has_users(self, *users: str) -> None:
        """Import accounts; a server that runs already knows them then."""
        rows = [f"{user},{self.password_of(user)}" for user in users]
        self.imports_users(["username,password", *rows])

    def imports_users(self, lines: list[str]) -> None:
        """Import the lines of a CSV file; a server that runs already knows the accounts then."""
        file = self.home / "users.csv"
        file.write_text("\n".join(lines) + "\n")
        self.does("users", "import", str(file))
        self._reads_accounts()

    def add_user(self, user: str, password: str) -> None:
        """Add one account, with a password of its own."""
        self.does("users", "add", user, "--password", password)
        self._reads_accounts()

    def _reads_accounts(self) -> None:
        """Have a server that runs read its accounts anew: it does so by itself as well, but later.

        It says that it has read its settings, and reads its accounts before it turns to the next
        SIGHUP, so the second answer comes when both are done.
        """
        said = "settings reloaded"
        for _ in range(2 if self.process else 0):
            before = self.log.read_text().count(said)
            self.process.send_signal(signal.SIGHUP)
            until(lambda count=before: self.log.read_text().count(said) > count, said)

    def does(self, *command: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run an administrator's command to its end, and return what it prints.

        It has to end with one of the exit codes `codes`.
        """
        done = subprocess.run(
            self._command(*command),
            env=self._environment(),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode in codes, (
            f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}"
        )
        return done.stdout

    def start(self) -> None:
        """Start it, and return as soon as it answers OPTIONS."""
        self.process = start(self._command(), self.log, cwd=self.home, env=self._environment())
        deadline = time.monotonic() + STARTS_WITHIN
        while not self.answers_options():
            code = self.process.poll()
            if code is not None or time.monotonic() > deadline:
                self.kill()
                ended = "no answer to OPTIONS" if code is None else f"it ended with {code}"
                raise AssertionError(f"the server did not start: {ended}\n{tail(self.log)}")

    def stop(self) -> None:
        """Stop it as an operator does, and hold it to a clean end."""
        code = end(self.process, signal.SIGTERM)
        self.process = None
        assert code == 0, f"stopped by SIGTERM, it ended with {code}\n{tail(self.log)}"
        self.has_no_traceback()

    def kill(self) -> None:
        """End it as a power cut does."""
        end(self.process, signal.SIGKILL)
        self.process = None

    def restart(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End it in either way and start it again, on the same port and database."""
        self.kill() if by is signal.SIGKILL else self.stop()
        self.start()

    def close(self) -> None:
        if self.process:
            self.stop()
        self.has_no_traceback()

    def has_no_traceback(self) -> None:
        assert "Traceback" not in self.log.read_text(errors="replace"), tail(self.log, 80)

    def answers_options(self, seconds: float = 0.2) -> bool:
        """Whether a 200 to OPTIONS comes back within `seconds` (RFC 3261 §11)."""
        with self.machine.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(seconds)
            probe.connect((self.hosts[0], self.port))
            address = "{}:{}".format(*probe.getsockname())
            branch = os.urandom(8).hex()
            request = [
                f"OPTIONS sip:{self.address} SIP/2.0",
                f"Via: SIP/2.0/UDP {address};branch=z9hG4bK{branch};rport",
                "Max-Forwards: 70",
                f"From: <sip:probe@{address}>;tag={branch}",
                f"To: <sip:{self.address}>",
                f"Call-ID: {branch}@{address}",
                "CSeq: 1 OPTIONS",
                "Content-Length: 0",
            ]
            try:
                probe.send("".join(f"{line}\r\n" for line in [*request, ""]).encode())
                return probe.recv(65535).startswith(b"SIP/2.0 200 ")
            except OSError:  # a timeout, or no process listens yet
                time.sleep(0.05)
                return False

    def lost_datagrams(self) -> int:
        """Datagrams that the kernel has dropped since its sockets of SIP had no room for them."""
        lost = 0
        for table in ("udp", "udp6"):
            path = Path(f"/proc/{self.process.pid}/net/{table}")
            for fields in map(str.split, path.read_text().splitlines()[1:]):
                if int(fields[1].rpartition(":")[2], 16) == self.port:
                    lost += int(fields[-1])
        return lost

    def _command(self, *command: str) -> list[str]:
        listens_at = self.address if len(self.hosts) == 1 else f":{self.port}"
        return [
            *[*self.machine.enter, sys.executable, str(REPOSITORY / "sipserver.py"), *command],
            *["-sip.addr", listens_at, "-web.addr", f"127.0.0.1:{self.web_port}"],
            *["-tls.addr", f"{listens_at.rpartition(':')[0]}:{self.tls_port}"],
            *["-db.path", str(self.database), "-sip.realm", self.domain],
            *self.flags,
        ]

    def _environment(self) -> dict[str, str]:
        """Ours without what would set up the server: the flags, and a test, shall."""
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("SIPSERVER_") and name not in ("PORT", "DATABASE_URL")
        }
        return ours | self.environment
