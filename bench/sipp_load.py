"""Loads by SIPp: a scenario, its number of calls and rate, and the outcome."""

import collections
import csv
import itertools
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.servers import DOMAIN, LOAD_CORE, PASSWORD, Server
from tests.support.programs import end, own_address, program, start, tail, until

OURS = Path(__file__).with_name("scenarios")
OF_THE_TESTS = Path(__file__).parent.parent / "tests" / "wire" / "scenarios"
OUTSIDE = "outside.test"  # the domain of external callers
TRANSPORTS = {"udp": "u1", "tcp": "t1"}  # one socket, or one connection, for all calls
GRACE = 8  # seconds that a load may take longer than planned; then missing operations are lost
_number = itertools.count(1)


@dataclass(frozen=True)
class Outcome:
    """The counters of SIPp at its end."""

    planned: int
    successful: int
    repeated: int  # retransmitted messages
    seconds: float  # from the first to the last
    length: float = 0.0  # seconds of one of them on average

    @property
    def lost(self) -> int:
        return self.planned - self.successful

    @property
    def rate(self) -> float:
        """Successful operations per second."""
        return self.successful / self.seconds if self.seconds else 0.0


class Sipp:
    """One SIPp process with its own scenario and address, on LOAD_CORE."""

    def __init__(
        self,
        scenario: Path,
        home: Path,
        server: Server,
        *,
        calls: int,
        rate: float = 100,
        transport: str = "udp",
        rows: list[str] | None = None,
        from_domain: str | None = None,
        address: str | None = None,
        pause: float = 0.0,
        seconds: float = 60,
        open_at_once: int | None = None,
    ) -> None:
        """Start SIPp; `rows` are the lines of its injection file, `pause` is in seconds.

        SIPp ends after `calls` calls, or after `seconds`.
        """
        self.calls, self.rate, self.seconds = calls, rate, seconds
        self.home = home / f"sipp-{next(_number)}-{scenario.stem}"
        self.home.mkdir(parents=True)
        self.address = address or own_address()
        command = [
            *["taskset", "-c", str(LOAD_CORE), program("sipp"), server.address],
            *["-sf", str(scenario), "-i", self.address, "-p", "5060", "-bind_local"],
            *["-mi", self.address, "-t", TRANSPORTS[transport], "-m", str(calls)],
            *["-r", f"{rate:g}", "-l", str(open_at_once or calls), "-d", str(int(pause * 1e3))],
            *["-key", "domain", DOMAIN, "-key", "from_domain", from_domain or OUTSIDE],
            *[
                "-timeout",
                f"{int(seconds)}s",
                "-recv_timeout",
                str(int(1e3 * seconds)),
                "-buff_size",
                "4000000",
            ],
            *["-nostdin", "-skip_rlimit", "-timer_resol", "1", "-deadcall_wait", "0"],
            *["-trace_stat", "-stf", str(self.home / "statistics.csv"), "-fd", "1"],
            *["-trace_err", "-error_file", str(self.home / "errors.log")],
        ]
        if rows is not None:
            (self.home / "rows.csv").write_text("\n".join(["SEQUENTIAL", *rows]) + "\n")
            command += ["-inf", str(self.home / "rows.csv")]
        self.process = start(command, self.home / "screen.log", cwd=self.home)
        try:
            until(self._listens_or_ended, f"SIPp {scenario.stem} listens")
        except BaseException:
            end(self.process, signal.SIGKILL)
            raise

    def __enter__(self) -> "Sipp":
        return self

    def __exit__(self, *_: object) -> None:
        end(self.process, signal.SIGKILL)

    def _listens_or_ended(self) -> bool:
        # SIPp would count a probe as a call, and a test by bind could take its port.
        octets = bytes(map(int, self.address.split(".")))[::-1].hex().upper()
        tables = (Path(f"/proc/net/{kind}").read_text() for kind in ("udp", "tcp"))
        return self.process.poll() is not None or any(f" {octets}:13C4 " in t for t in tables)

    def outcome(self) -> Outcome:
        """Wait for the end of SIPp, and return its counters."""
        try:
            self.process.wait(self.seconds + 15)
        except subprocess.TimeoutExpired:
            end(self.process, signal.SIGKILL)
        last = self._statistics()
        return Outcome(
            self.calls,
            int(last["SuccessfulCall(C)"]),
            int(last["Retransmissions(C)"]),
            _moment(last["CurrentTime"]) - _moment(last["StartTime"]),
            _duration(last["CallLength(C)"]),
        )

    def open(self) -> int:
        """Return the number of open calls, as of the last second."""
        return int(self._statistics()["CurrentCall"])

    def _statistics(self) -> dict[str, str]:
        with (self.home / "statistics.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file, delimiter=";") if row["FailedCall(C)"]]
        return rows[-1] if rows else collections.defaultdict(lambda: "0")

    def story(self) -> str:
        """Return the end of SIPp's logs, for an error message."""
        return tail(self.home / "errors.log", 30) + tail(self.home / "screen.log", 30)


def _moment(text: str) -> float:
    """Return the Unix time in SIPp's tab-separated date, time and seconds."""
    return float(text.split("\t")[-1])


def _duration(text: str) -> float:
    """Return the seconds of SIPp's hours, minutes, seconds and microseconds, "0" for none."""
    seconds = 0.0
    for factor, part in zip((1e-6, 1, 60, 3600), reversed(text.split(":")), strict=False):
        seconds += factor * int(part)
    return seconds


def authentication(user: str) -> str:
    """Return the keyword that SIPp replaces by an Authorization header field."""
    return f"[authentication username={user} password={PASSWORD}]"
