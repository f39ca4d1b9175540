"""CPU time of a REGISTER pair and a call in-process, without sockets and SQLite.

    python bench/quick.py [--rounds 5] [--number 2000] [--cold 200] [--compiled] [--save]

The phones run between the timed parts, so the figures contain only CPU time of the server.  A
REGISTER waits for a real group commit, whose database only takes the time.  There are two figures
of each: messages in batches of 50, which find all code in the processor's caches, and messages one
at a time with a millisecond of other work between them, which find it cold.  The second one moves
with the figures on the wire.

They are compared with the last figures in bench/figures.json of an equal Python, pure or compiled;
--save appends these.  --compiled measures the copy in build/compiled.
"""

import argparse
import email
import gc
import hashlib
import inspect
import json
import os
import statistics
import sys
import textwrap
import time
from collections import deque
from collections.abc import Callable
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import gevent
from gevent.event import Event
from gevent.hub import Hub

from bench import compiled_copy, python_build
from sip.config import Config
from sip.monitor.call_log import CallLog
from sip.monitor.calls import CallFinished, Calls
from sip.monitor.day_lines import DayLines
from sip.monitor.events import Bus
from sip.monitor.lost_phones import LostPhones
from sip.monitor.recent_events import RecentEvents
from sip.monitor.traces import Traces
from sip.server import SipServer
from sip.store.bindings import BindingStore
from sip.store.group_commit import WINDOW
from sip.transport.flow import Endpoint, Flow
from sip.transport.greenlet_pool import GreenletPool
from sip.transport.udp import UdpSocket
from tests.support.accounts import MemoryUsers

FIGURES = Path(__file__).with_name("figures.json")
REALM = "example.com"
SERVER: Endpoint = ("192.0.2.1", 5060)
CALLER: Endpoint = ("192.0.2.10", 5060)
CALLEE: Endpoint = ("192.0.2.20", 5060)
SDP = (
    "v=0\r\no=- 13 13 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    "m=audio 6000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)
BATCH = 50
COMMIT_SECONDS = (
    0.002  # of a batch, as on a fast disk; the writing thread is not part of the figure
)
PATIENCE = 60.0  # seconds, until the last message of a batch is sent; valgrind is slow
COPIED = 2 * 1024 * 1024  # bytes that other work touches: more than a core's own caches hold


class SlowDatabase:
    """A database that writes nothing, but takes the time of a commit."""

    def run(self, function: Callable[..., object]) -> list[object]:
        gevent.sleep(COMMIT_SECONDS)
        return []


class OtherWork:
    """About a millisecond of other code and data, after which the processor's caches are cold."""

    def __init__(self) -> None:
        self.source = inspect.getsource(textwrap.dedent)
        self.table = [{"name": f"row {n}", "values": [n / 7, None, True]} for n in range(60)]
        self.mail = "".join(f"Header-{n}: value {n}\n" for n in range(10)) + "\ntext\n"
        self.data = os.urandom(COPIED)

    def __call__(self) -> None:
        bytearray(self.data)
        compile(self.source, "", "exec")
        json.loads(json.dumps(self.table))
        email.message_from_string(self.mail).as_string()


class Wire(UdpSocket):
    """A UDP socket with the real greenlet pool, which reads datagrams from a list."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._pool = GreenletPool()
        self._watcher = self
        self._received: deque[tuple[bytes, Flow]] = deque()
        self._is_held = False
        self._receive_one = self._next
        self.local, self.is_ipv6, self.is_wildcard = SERVER, False, False
        self.incoming: list[tuple[bytes, Flow]] = []
        self.outgoing: list[tuple[bytes, Endpoint]] = []
        self.expected = 0  # messages, until `is_complete`
        self.is_complete = Event()

    def _next(self) -> tuple[bytes, Flow]:
        if not self.incoming:
            raise BlockingIOError
        return self.incoming.pop()

    def _drain_errors(self) -> None: ...

    def send(self, data: bytes, flow: Flow) -> None:
        self.outgoing.append((data, flow.remote))
        if len(self.outgoing) == self.expected:
            self.is_complete.set()

    def carry(
        self,
        datagrams: list[bytes],
        source: Endpoint,
        expected: int,
        between: Callable[[], object] | None = None,
    ) -> tuple[list[str], float]:
        """Feed datagrams, and wait until the server has sent as many messages as `expected`.

        All come at once; or one at a time, with a call of `between` before each.  Return the
        messages that the server has sent, in order, and its CPU seconds.
        """
        flow = Flow("UDP", SERVER, source)
        self.outgoing, self.expected, self.is_complete = [], expected, Event()
        spent = 0.0
        for batch in [[one] for one in datagrams] if between else [datagrams]:
            if between:
                between()
            self.incoming = [(data, flow) for data in reversed(batch)]
            before = time.process_time()
            while self.incoming:
                self._hub.loop.run_callback(self._readable)
                gevent.sleep(0)
            gevent.sleep(0)
            gevent.sleep(0)
            spent += time.process_time() - before
        before = time.process_time()
        assert self.is_complete.wait(PATIENCE), (len(self.outgoing), expected)
        spent += time.process_time() - before
        return [data.decode() for data, _ in self.outgoing], spent


def line(message: str, name: str) -> str:
    """Return the first header line with this name."""
    start = message.index(f"\r\n{name}: ") + 2
    return message[start : message.index("\r\n", start)]


def lines(message: str, name: str) -> list[str]:
    """Return all header lines with this name."""
    return [
        one for one in message.partition("\r\n\r\n")[0].split("\r\n") if one.startswith(name + ":")
    ]


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


class Bench:
    """One server, and its phones."""

    def __init__(self, number: int, window: float = WINDOW, *, has_readers: bool = True) -> None:
        """Prepare a server with `number` users, whose group commits wait `window` seconds.

        With readers, the events of calls, registrations and messages are read as in a real server,
        but the history is not written.
        """
        self.number = number
        self.users = MemoryUsers(REALM)
        for user in range(number):
            self.users.add(f"u{user}", "secret")
        self.wire = Wire(gevent.get_hub())
        self.server = SipServer(
            Config(sip_realm=REALM),
            self.users,
            BindingStore(SlowDatabase(), window),
            b"0123456789abcdef",
            Bus(),
        )
        bus = self.server.bus
        if has_readers:
            calls = Calls(bus)
            self.readers = (
                *(calls, CallLog(bus), DayLines(bus, calls, self.server.location)),
                *(Traces(bus), RecentEvents(bus), LostPhones(bus)),
            )
            self.finished = bus.read(CallFinished)
        self.server.dispatcher.finish_loading()
        self.server.transports.add(self.wire)
        self.wire.receive = self.server.receiver.receive
        self.round = 0
        self.spent = 0.0  # CPU seconds in the present batch
        self.between: Callable[[], object] | None = None

    def pairs(self, number: int = 0, between: Callable[[], object] | None = None) -> float:
        """Run REGISTER, 401, REGISTER with digest, 200; return CPU seconds for one user.

        Each of the first `number` users does so, or all; `between` is called before each message.
        """
        return self._in_batches(self._some_pairs, number, between)

    def calls(self, number: int = 0, between: Callable[[], object] | None = None) -> float:
        """Run an external call, from INVITE to BYE, as `pairs` does; return CPU seconds of one."""
        return self._in_batches(self._some_calls, number, between)

    def _in_batches(
        self,
        run: Callable[[range], float],
        number: int,
        between: Callable[[], object] | None,
    ) -> float:
        """Run the users in batches: as many as may have a transaction at one time."""
        self.round += 1
        self.between = between
        number = number or self.number
        batches = [range(at, min(at + BATCH, number)) for at in range(0, number, BATCH)]
        return sum(map(run, batches)) / number

    def _carry(self, datagrams: list[bytes], source: Endpoint, each: int = 1) -> list[str]:
        """Feed datagrams, each of which makes the server send `each` messages; return these."""
        sent, spent = self.wire.carry(datagrams, source, each * len(datagrams), self.between)
        self.spent += spent
        assert len(sent) == each * len(datagrams), sent[:2]
        return sent

    def _some_pairs(self, users: range) -> float:
        self.spent = 0.0
        challenges = self._carry([self._register(user, "") for user in users], CALLEE)
        answers = [
            self._register(user, self._answer(user, text))
            for user, text in zip(users, challenges, strict=True)
        ]
        results = self._carry(answers, CALLEE)
        assert all(text.startswith("SIP/2.0 200") for text in results), results[0]
        return self.spent

    def _register(self, user: int, authorization: str) -> bytes:
        number = 2 * self.round + bool(authorization)
        return (
            f"REGISTER sip:{REALM} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {CALLEE[0]}:5060;branch=z9hG4bK-{self.round}-{user}-{number};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:u{user}@{REALM}>;tag=f{user}\r\nTo: <sip:u{user}@{REALM}>\r\n"
            f"Call-ID: r{user}@{CALLEE[0]}\r\nCSeq: {number} REGISTER\r\n"
            f"Contact: <sip:u{user}@{CALLEE[0]}:5060>\r\nExpires: 3600\r\nUser-Agent: bench\r\n"
            f"{authorization}Content-Length: 0\r\n\r\n"
        ).encode()

    def _answer(self, user: int, challenge: str) -> str:
        nonce = challenge.partition('nonce="')[2].partition('"')[0]
        uri = f"sip:{REALM}"
        ha1, ha2 = md5(f"u{user}:{REALM}:secret"), md5(f"REGISTER:{uri}")
        response = md5(f"{ha1}:{nonce}:00000001:abc:auth:{ha2}")
        return (
            f'Authorization: Digest username="u{user}", realm="{REALM}", nonce="{nonce}", uri="{uri}", '
            f'response="{response}", algorithm=MD5, cnonce="abc", qop=auth, nc=00000001\r\n'
        )

    def _some_calls(self, users: range) -> float:
        self.spent = 0.0
        sent = self._carry([self._invite(user) for user in users], CALLER, each=2)  # also a 100
        at_callee = [text for text in sent if text.startswith("INVITE")]
        self._carry([self._reply(text, 180) for text in at_callee], CALLEE)
        answered = self._carry([self._reply(text, 200) for text in at_callee], CALLEE)
        assert all(text.startswith("SIP/2.0 200") for text in answered), answered[0]
        self._carry([self._within("ACK", text) for text in answered], CALLER)
        byes = self._carry([self._within("BYE", text) for text in answered], CALLER)
        assert all(text.startswith("BYE") for text in byes), byes[0]
        self._carry([self._reply(text, 200) for text in byes], CALLEE)
        return self.spent

    def _invite(self, user: int) -> bytes:
        return (
            f"INVITE sip:u{user}@{REALM} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {CALLER[0]}:5060;branch=z9hG4bK-{self.round}-{user}\r\n"
            f"Max-Forwards: 70\r\nFrom: caller <sip:caller@{CALLER[0]}:5070>;tag=c{self.round}-{user}\r\n"
            f"To: <sip:u{user}@{REALM}>\r\nCall-ID: c{self.round}-{user}@{CALLER[0]}\r\nCSeq: 1 INVITE\r\n"
            f"Contact: <sip:caller@{CALLER[0]}:5060>\r\nSubject: bench\r\nContent-Type: application/sdp\r\n"
            f"Content-Length: {len(SDP)}\r\n\r\n{SDP}"
        ).encode()

    def _reply(self, request: str, status: int) -> bytes:
        to = line(request, "To")
        if "tag=" not in to:
            to += ";tag=callee"
        body = SDP if status == 200 and request.startswith("INVITE") else ""
        return "\r\n".join(
            [
                f"SIP/2.0 {status} OK",
                *lines(request, "Via"),
                *lines(request, "Record-Route"),
                line(request, "From"),
                to,
                line(request, "Call-ID"),
                line(request, "CSeq"),
                f"Contact: <sip:callee@{CALLEE[0]}:5060>",
                f"Content-Length: {len(body)}",
                "",
                body,
            ]
        ).encode()

    def _within(self, method: str, answer: str) -> bytes:
        call = line(answer, "Call-ID")
        number = 1 if method == "ACK" else 2
        routes = [one.replace("Record-Route:", "Route:") for one in lines(answer, "Record-Route")]
        return "\r\n".join(
            [
                f"{method} sip:callee@{CALLEE[0]}:5060 SIP/2.0",
                f"Via: SIP/2.0/UDP {CALLER[0]}:5060;branch=z9hG4bK-{method}-{call[9:]}",
                *reversed(routes),
                "Max-Forwards: 70",
                line(answer, "From"),
                line(answer, "To"),
                call,
                f"CSeq: {number} {method}",
                f"Contact: <sip:caller@{CALLER[0]}:5060>",
                "Content-Length: 0",
                "",
                "",
            ]
        ).encode()

    def remove_transactions(self) -> None:
        """Expire and remove all transactions, so that each round starts without any."""
        self.server.layer.run_due(time.monotonic() + 3600)
        self.server.layer.servers.clear()
        self.server.layer.clients.clear()


def measured(bench: Bench, rounds: int, cold: int) -> dict[str, list[float]]:
    """Return the microseconds of each figure in each round."""
    found: dict[str, list[float]] = {"pair": [], "call": [], "pair, cold": [], "call, cold": []}
    other_work = OtherWork()
    for _ in range(rounds):
        found["pair"].append(1e6 * bench.pairs())
        found["call"].append(1e6 * bench.calls())
        found["pair, cold"].append(1e6 * bench.pairs(cold, other_work))
        found["call, cold"].append(1e6 * bench.calls(cold, other_work))
        bench.remove_transactions()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--number", type=int, default=2000)
    parser.add_argument("--cold", type=int, default=200, help="operations between other work")
    parser.add_argument(
        "--without-readers",
        action="store_true",
        help="no reader of events, as before there were any",
    )
    parser.add_argument("--compiled", action="store_true", help="measure build/compiled instead")
    parser.add_argument("--save", action="store_true", help="append these figures to the file")
    parser.add_argument("--figures", type=Path, default=FIGURES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compiled:
        measure_the_copy()
    gc.set_threshold(50_000, 20, 100)
    bench = Bench(options.number, has_readers=not options.without_readers)
    bench.pairs()  # registers all users, and warms up
    bench.calls()
    python, is_compiled = python_build.describe(), python_build.is_compiled()
    saved = json.loads(options.figures.read_text()) if options.figures.exists() else []
    alike = [one for one in saved if (one["python"], one["compiled"]) == (python, is_compiled)]
    before = alike[-1]["figures"] if alike else {}
    print(python_build.heading())
    print(f"{'µs CPU each':12} {'median':>8} {'least':>8} {'most':>8} {'before':>8}")
    figures: dict[str, float] = {}
    for name, each in measured(bench, options.rounds, options.cold).items():
        figures[name] = round(statistics.median(each), 1)
        print(
            f"{name:12} {figures[name]:8.1f} {min(each):8.1f} {max(each):8.1f}"
            f" {before.get(name, '-')!s:>8}"
        )
    if options.save:
        record = {
            "date": date.today().isoformat(),
            "python": python,
            "compiled": is_compiled,
            "rounds": options.rounds,
            "number": options.number,
            "figures": figures,
        }
        options.figures.write_text(json.dumps([*saved, record], indent=1) + "\n")


def measure_the_copy() -> None:
    """Become the same benchmark in the compiled copy; end if that is not current."""
    if not compiled_copy.is_current():
        sys.exit("build/compiled is not current: make compiled")
    others = [argument for argument in sys.argv[1:] if argument != "--compiled"]
    script = str(compiled_copy.COPY / "bench" / "quick.py")
    os.execv(sys.executable, [sys.executable, script, "--figures", str(FIGURES), *others])


if __name__ == "__main__":
    main()
