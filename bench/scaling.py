"""Growth of cost and latency: with the rate, the number of bindings, and the size of a fork."""

import random
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench.metrics import Prober, memory_bytes
from bench.operations import CALLEES, CALLERS, OPERATIONS, PHONES, Operation, Stage
from bench.phones import Phone
from bench.servers import DOMAIN, HOST, PASSWORD, SERVERS, Server
from bench.turns import Repeats, play
from tests.support.programs import own_address

PROBE_EVERY = 0.005  # seconds
BINDING = 1_000  # REGISTER pairs per second, until all phones are registered
WEIGHED = 10_000  # bindings from which on memory is measured; the memory of fewer is noise
SETTLE_SECONDS = 40  # transactions last for 32 s (timers H, J, L and M)
CALLEE_PROCESS = Path(__file__).with_name("callee_process.py")
FORKS_A_SECOND = 50
FORKERS = [f"fork{number:02}" for number in range(1, 11)]  # each has as many contacts as its number


def cost_of(stage: Stage, operation: Operation, **load) -> dict[str, object]:
    """Return the figures of one load; it is repeated once if other processes disturb it."""
    (turn,) = Repeats(1).quietest(lambda: [play(stage, operation, **load)])
    return asdict(turn)


def latency_of(stage: Stage, operation: Operation, **load) -> dict[str, float]:
    """Return the response times of OPTIONS during a load, in milliseconds."""
    with Prober(stage.server, PROBE_EVERY) as prober:
        stage.run(operation, **load)
    return prober.summary()


def with_the_rate(
    stage: Stage, operation: Operation, top: int, seconds: float, points: int
) -> list[dict[str, object]]:
    """Return cost and latency at `points` rates from 100 per second to `top`, in equal factors."""
    rates = [round(100 * (top / 100) ** (n / (points - 1))) for n in range(points)]
    return [
        {
            "server": stage.server.name,
            "operation": operation.name,
            "rate": rate,
            **cost_of(stage, operation, rate=rate, seconds=seconds),
            "latency": latency_of(stage, operation, rate=rate, seconds=seconds),
        }
        for rate in rates
    ]


def with_the_bindings(
    home: Path, name: str, size: int, seconds: float, settle: float = SETTLE_SECONDS
) -> dict[str, object]:
    """Return the cost of a pair and a call with `size` bindings, and the memory of a binding."""
    phones = [f"phone{n:06}" for n in range(size)]
    users = [*phones, *CALLEES["udp"], *CALLEES["tcp"], *CALLERS]
    pair, call = OPERATIONS["pair"], OPERATIONS["call"]
    with SERVERS[name](home / name, users) as server:
        stage = Stage(server, home / name)
        time.sleep(1)
        empty = memory_bytes(server.pids())
        bound = stage.run(pair, rate=BINDING, seconds=size / BINDING, phones=phones)
        time.sleep(settle if size >= WEIGHED else 1)
        memory = memory_bytes(server.pids())
        some = random.Random(size).sample(phones, min(size, 5000))
        return {
            "server": name,
            "bindings": size,
            "lost": bound.lost,
            "empty": empty,
            "memory": memory,
            "bytes_each": (memory["own"] - empty["own"]) / max(1, bound.successful),
            "pair": cost_of(stage, pair, seconds=seconds, phones=some),
            "call": cost_of(stage, call, seconds=seconds),
            "latency": latency_of(stage, call, seconds=seconds),
        }


class RingingPhones:
    """The phones of a fork, in one process: all ring, and the one named `first` answers."""

    def __init__(self) -> None:
        self.address = own_address()

    def __enter__(self) -> "RingingPhones":
        self.process = subprocess.Popen(
            [sys.executable, str(CALLEE_PROCESS), self.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.process.stdout.readline()  # it listens
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate("", timeout=10)

    def bind(self, server: Server, sizes: list[int]) -> None:
        """Bind the contacts of the users in FORKERS that have these sizes, before the calls."""
        with Phone((HOST, server.port), DOMAIN, here=(self.address, 5060)) as phone:
            for size in sizes:
                for contact in ["first", *(f"ring{n}" for n in range(1, size))]:
                    uri = f"sip:{contact}@{self.address}:5060"
                    assert phone.register(FORKERS[size - 1], PASSWORD, uri) == 200


def with_the_fork(
    home: Path, name: str, sizes: list[int], seconds: float
) -> list[dict[str, object]]:
    """Return the cost of a call to users with several contacts: one answers, the others ring."""
    found: list[dict[str, object]] = []
    with SERVERS[name](
        home / name, [*PHONES[:100], *CALLEES["udp"], *CALLEES["tcp"], *CALLERS, *FORKERS]
    ) as server:
        stage = Stage(server, home / name)
        phones = RingingPhones()
        phones.bind(server, sizes)
        call = OPERATIONS["fork"]
        with phones:
            for size in sizes:
                rows = [f"{FORKERS[size - 1]};external{n:02}" for n in range(100)]
                load = {"rate": FORKS_A_SECOND, "seconds": seconds, "rows": rows}
                found.append(
                    {
                        "server": name,
                        "contacts": size,
                        **cost_of(stage, call, **load),
                        "latency": latency_of(stage, call, **load),
                    }
                )
    return found
