"""CPU time of a REGISTER pair and a call in-process, without sockets and database.

    python bench/quick.py [--rounds 5] [--number 2000] [--save]

The phones run between the timed parts, one batch at a time, so the figures contain only CPU time of
the server.  They are compared with those saved in bench/figures.json.
"""

import argparse
import gc
import hashlib
import json
import platform
import statistics
import sys
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import gevent
from gevent.hub import Hub

from sip.config import Config
from sip.monitor.events import Bus
from sip.server import SipServer
from sip.transport.flow import Endpoint, Flow
from sip.transport.greenlet_pool import GreenletPool
from sip.transport.udp import UdpSocket
from tests.support.accounts import MemoryBindingStore, MemoryUsers

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
BUDGET = {"pair": (60, 40), "call": (80, 50)}  # µs: the maximum, and the goal


class Wire(UdpSocket):
    """A UDP socket with the real greenlet pool, which reads datagrams from a list."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._pool = GreenletPool()
        self._watcher = self
        self._receive_one = self._next
        self.local, self.is_ipv6, self.is_wildcard = SERVER, False, False
        self.incoming: list[tuple[bytes, Flow]] = []
        self.outgoing: list[tuple[bytes, Endpoint]] = []

    def _next(self) -> tuple[bytes, Flow]:
        if not self.incoming:
            raise BlockingIOError
        return self.incoming.pop()

    def _drain_errors(self) -> None: ...

    def send(self, data: bytes, flow: Flow) -> None:
        self.outgoing.append((data, flow.remote))

    def carry(self, datagrams: list[bytes], source: Endpoint) -> tuple[list[str], float]:
        """Feed a batch; return the messages that the server sent, in order, and its CPU seconds."""
        flow = Flow("UDP", SERVER, source)
        self.incoming = [(data, flow) for data in reversed(datagrams)]
        self.outgoing = []
        before = time.process_time()
        while self.incoming:
            self._hub.loop.run_callback(self._readable)
            gevent.sleep(0)
        gevent.sleep(0)
        gevent.sleep(0)
        spent = time.process_time() - before
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

    def __init__(self, number: int) -> None:
        self.number = number
        self.users = MemoryUsers(REALM)
        for user in range(number):
            self.users.add(f"u{user}", "secret")
        self.wire = Wire(gevent.get_hub())
        self.server = SipServer(
            Config(sip_realm=REALM), self.users, MemoryBindingStore(), b"0123456789abcdef", Bus()
        )
        self.server.dispatcher.finish_loading()
        self.server.transports.add(self.wire)
        self.wire.receive = self.server.receiver.receive
        self.round = 0

    def pairs(self) -> float:
        """Run REGISTER, 401, REGISTER with digest, 200 for each user; return CPU seconds per pair."""
        self.round += 1
        return sum(map(self._some_pairs, self._batches())) / self.number

    def _batches(self) -> list[range]:
        """Return the users in batches: as many as may have a transaction at one time."""
        return [range(at, at + BATCH) for at in range(0, self.number, BATCH)]

    def _some_pairs(self, users: range) -> float:
        first = [self._register(user, "") for user in users]
        challenges, spent = self.wire.carry(first, CALLEE)
        answers = [
            self._register(user, self._answer(user, text))
            for user, text in zip(users, challenges, strict=True)
        ]
        results, more = self.wire.carry(answers, CALLEE)
        assert len(results) == len(users)
        assert all(text.startswith("SIP/2.0 200") for text in results), results[0]
        return spent + more

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

    def calls(self) -> float:
        """Run an external call, from INVITE to BYE, to each user; return CPU seconds per call."""
        self.round += 1
        return sum(map(self._some_calls, self._batches())) / self.number

    def _some_calls(self, users: range) -> float:
        spent = 0.0
        invites = [self._invite(user) for user in users]
        sent, cost = self.wire.carry(invites, CALLER)
        spent += cost
        at_callee = [text for text in sent if text.startswith("INVITE")]
        assert len(at_callee) == len(users)
        _, cost = self.wire.carry([self._reply(text, 180) for text in at_callee], CALLEE)
        spent += cost
        sent, cost = self.wire.carry([self._reply(text, 200) for text in at_callee], CALLEE)
        spent += cost
        answered = [text for text in sent if text.startswith("SIP/2.0 200")]
        assert len(answered) == len(users), (len(answered), sent[:2])
        sent, cost = self.wire.carry([self._within("ACK", text) for text in answered], CALLER)
        assert len(sent) == len(users)
        spent += cost
        sent, cost = self.wire.carry([self._within("BYE", text) for text in answered], CALLER)
        spent += cost
        byes = [text for text in sent if text.startswith("BYE")]
        assert len(byes) == len(users), sent[:2]
        sent, cost = self.wire.carry([self._reply(text, 200) for text in byes], CALLEE)
        assert len(sent) == len(users)
        return spent + cost

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--number", type=int, default=2000)
    parser.add_argument("--save", action="store_true", help="save these figures")
    options = parser.parse_args()
    gc.set_threshold(50_000, 20, 100)
    bench = Bench(options.number)
    bench.pairs()  # registers all users, and warms up
    bench.calls()
    measured: dict[str, list[float]] = {"pair": [], "call": []}
    for _ in range(options.rounds):
        measured["pair"].append(bench.pairs() * 1e6)
        measured["call"].append(bench.calls() * 1e6)
        bench.remove_transactions()
    kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    print(
        f"{'µs CPU each':12} {'median':>8} {'least':>8} {'most':>8} {'kept':>8} {'must':>6} {'aim':>6}"
    )
    figures: dict[str, object] = {}
    for name, values in measured.items():
        median = statistics.median(values)
        figures[name] = round(median, 1)
        must, aim = BUDGET[name]
        before = kept.get("figures", {}).get(name, "-")
        print(
            f"{name:12} {median:8.1f} {min(values):8.1f} {max(values):8.1f} {before!s:>8} {must:6} {aim:6}"
        )
    if options.save:
        record = {
            "date": date.today().isoformat(),
            "python": platform.python_version(),
            "rounds": options.rounds,
            "number": options.number,
            "figures": figures,
        }
        FIGURES.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
