"""Runs of SIPp with our scenarios, its exit code and its statistics."""

import csv
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.network import LOOPBACK, Loopback, Machine
from tests.support.programs import end, program, start, tail, until

SCENARIOS = Path(__file__).parents[1] / "wire/scenarios"


@dataclass(frozen=True)
class Statistics:
    """The counters of SIPp at its end."""

    started: int
    successful: int
    failed: int
    repeated: int  # messages sent again because nothing came back in time


class Sipp:
    """One run of a scenario, `calls` times, that ends by itself within `seconds`."""

    def __init__(
        self,
        scenario: str,
        home: Path,
        *,
        calls: int,
        rate: int = 100,
        to: str = "127.0.0.1:5060",
        domain: str = "example.test",
        from_domain: str | None = None,
        contact: str = "",
        method: str = "INVITE",
        address: str | None = None,
        port: int = 5060,
        machine: Loopback | Machine = LOOPBACK,
        people: list[tuple[str, str, str]] | None = None,
        pause: float = 0.1,
        seconds: int = 60,
        transport: str = "udp",
    ) -> None:
        """Start it, sending to the socket `to`.

        `people` are rows of callee, caller and the caller's password, taken in turns.  `contact`
        and `method` are what a scenario says of them.  On "tcp" all calls share one connection.
        """
        self.scenario, self.calls, self.seconds = scenario, calls, seconds
        self.home = home
        self.transport = transport
        self.proc = machine.proc
        self.address = address or machine.phone_address()
        self.port = port
        home.mkdir(parents=True)
        command = [
            *[*machine.enter, program("sipp"), to, "-sf", str(SCENARIOS / f"{scenario}.xml")],
            *["-i", self.address, "-p", str(port), "-bind_local", "-mi", self.address],
            *["-t", {"udp": "u1", "tcp": "t1"}[transport]],
            *["-m", str(calls), "-r", str(rate), "-l", str(calls), "-d", str(int(pause * 1000))],
            *["-key", "domain", domain, "-key", "from_domain", from_domain or domain],
            *["-key", "contact", contact, "-key", "method", method],
            *["-timeout", f"{seconds}s", "-timeout_error", "-recv_timeout", "20000"],
            *["-nostdin", "-skip_rlimit"],
            *["-trace_stat", "-stf", str(home / "statistics.csv"), "-fd", "1"],
            *["-trace_err", "-error_file", str(home / "errors.log")],
            *["-trace_msg", "-message_file", str(home / "messages.log")],
        ]
        if people is not None:
            rows = [f"{a};{b};[authentication username={b} password={c}]" for a, b, c in people]
            (home / "people.csv").write_text("\n".join(["SEQUENTIAL", *rows]) + "\n")
            command += ["-inf", str(home / "people.csv")]
        self.process = start(command, home / "screen.log", cwd=home)
        try:
            until(self._listens_or_ended, f"{self} listens at {self.socket}")
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"SIPp {self.scenario}"

    @property
    def socket(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    def succeeds(self) -> Statistics:
        """Wait for its end; every call must have gone as its scenario is written, none lost."""
        try:
            self.process.wait(self.seconds + 10)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} did not end\n{self.story()}") from None
        assert self.process.returncode == 0, f"exit {self.process.returncode}\n{self.story()}"
        counted = self.statistics()
        assert (counted.successful, counted.failed) == (self.calls, 0), self.story()
        return counted

    def statistics(self) -> Statistics:
        with (self.home / "statistics.csv").open(newline="") as file:
            *_, last = csv.DictReader(file, delimiter=";")
        columns = ("TotalCallCreated", "SuccessfulCall(C)", "FailedCall(C)", "Retransmissions(C)")
        return Statistics(*(int(last[column]) for column in columns))

    def close(self) -> None:
        end(self.process, signal.SIGKILL)

    def story(self) -> str:
        """The text to read when a run has failed."""
        files = ("screen.log", "errors.log", "messages.log")
        parts = [f"{name} ends:\n{tail(self.home / name, 60)}" for name in files]
        return "\n\n".join([f"{self} at {self.socket}", *parts])

    def _listens_or_ended(self) -> bool:
        # An own probe of the socket would be a call to SIPp, and a bind could be in its way.
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        packed = socket.inet_pton(family, self.address)
        words = [packed[at : at + 4][::-1].hex() for at in range(0, len(packed), 4)]
        place = f" {''.join(words)}:{self.port:04x} ".upper()
        tables = (self.proc / "net" / kind for kind in ("udp", "udp6", "tcp", "tcp6"))
        return self.process.poll() is not None or any(
            place in table.read_text().upper() for table in tables if table.exists()
        )
