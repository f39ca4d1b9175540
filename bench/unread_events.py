"""10,000 calls a minute while readers of events never read: memory and delay, with and without.

    python bench/unread_events.py [--calls 10000] [--rate 167]

The same calls are played twice by SIPp, each time to a new server.  The second time there are five
streams of /calls/events whose browsers never read, and a webhook whose web server accepts each
connection and never reads.  Both have to lose events, and must take no memory for them.

The memory is that of the server's own pages, at the last second of each quarter of the calls.
Traces have 16 MiB, so that they are full before the second half.  The length of a call is what SIPp
measures on average, of which its phone rings 30 ms; meanwhile an OPTIONS is sent every 5 ms.  It
takes three minutes.
"""

import argparse
import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import python_build
from bench.metrics import Prober, memory_bytes, pin, usage
from bench.operations import OPERATIONS, USERS, Stage
from bench.servers import ADMIN_PASSWORD, HOST, LOAD_CORE, Ours, missing
from bench.table import aligned
from tests.support.admin import Admin

STREAMS = 5
QUARTERS = 4
PROBE_EVERY = 0.005  # seconds
MEBIBYTE = 1024 * 1024
HEAD = (
    *("readers", "MiB at 1/4", "2/4", "3/4", "4/4", "call ms", "µs CPU"),
    *("OPTIONS ms, median", "99 %", "longest", "lost calls"),
)


class WatchedServer(Ours):
    """The server with little memory for traces, and a webhook if `webhook_port` is not 0."""

    def __init__(self, home: Path, webhook_port: int) -> None:
        self.webhook_port = webhook_port
        super().__init__(home, USERS)

    def _command(self) -> list[str]:
        command = [*super()._command(), "-trace.memory", "16"]
        if self.webhook_port:
            command += ["-webhook.url", f"http://{HOST}:{self.webhook_port}/events"]
        return command

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"SIPSERVER_WEBHOOK_SECRET": "secret of the bench"}


@contextlib.contextmanager
def deaf_listener() -> Iterator[int]:
    """Listen on a port whose connections the kernel accepts and nothing reads; yield the port."""
    with socket.create_server((HOST, 0), backlog=128) as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def deaf_streams(server: Ours, number: int) -> Iterator[None]:
    """Open streams of the calls page, each with a receive buffer of a page, and never read them."""
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            admin = Admin(server)
            assert admin.signs_in(ADMIN_PASSWORD)
            browser = stack.enter_context(socket.socket())
            browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            browser.connect((HOST, server.web_port))
            browser.sendall(
                f"GET /calls/events HTTP/1.1\r\nHost: {HOST}:{server.web_port}\r\n"
                f"Cookie: {admin.cookie}\r\nAccept: text/event-stream\r\n\r\n".encode()
            )
        yield


def measure(home: Path, calls: int, rate: float, *, with_readers: bool) -> list[str]:
    """Play the calls to a new server; return the row of the table."""
    seconds = calls / rate
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(deaf_listener()) if with_readers else 0
        server = stack.enter_context(WatchedServer(home, port))
        stage = Stage(server, home)
        if with_readers:
            stack.enter_context(deaf_streams(server, STREAMS))
        memory = []
        with (
            Prober(server, PROBE_EVERY) as prober,
            usage(server) as used,
            stage.load(OPERATIONS["call"], rate=rate, seconds=seconds) as load,
        ):
            began = time.monotonic()
            for quarter in range(1, QUARTERS + 1):
                time.sleep(max(0.0, began + seconds * quarter / QUARTERS - time.monotonic()))
                memory.append(memory_bytes(server.pids())["own"])
            outcome = load.outcome()
    waits = prober.summary()
    return [
        f"{STREAMS} streams, a webhook" if with_readers else "none",
        *(f"{each / MEBIBYTE:.1f}" for each in memory),
        f"{1e3 * outcome.length:.1f}",
        f"{1e6 * used.server / max(1, outcome.successful):.0f}",
        *(f"{waits[name]:.1f}" for name in ("median", "p99", "longest")),
        str(outcome.lost),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=167.0, help="calls per second")
    options = parser.parse_args()
    if sentences := missing(with_kamailio=False):
        sys.exit("\n".join(sentences))
    pin(LOAD_CORE)
    print(python_build.heading())
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for name, with_readers in (("without", False), ("with", True)):
            home = Path(folder, name)
            rows.append(measure(home, options.calls, options.rate, with_readers=with_readers))
    print(aligned(f"{options.calls} calls, {options.rate:g} a second", HEAD, rows))


if __name__ == "__main__":
    main()
