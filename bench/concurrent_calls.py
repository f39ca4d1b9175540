"""Memory of concurrent calls: many that ring at once, then the same number established."""

import time
from pathlib import Path

from bench.metrics import memory_bytes
from bench.operations import OPERATIONS, USERS, Stage
from bench.scaling import SETTLE_SECONDS
from bench.servers import SERVERS


def measure_concurrent_calls(
    home: Path, name: str, number: int, rate: int, settle: float = SETTLE_SECONDS
) -> dict[str, object]:
    """Start `number` calls at `rate` per second; the last one rings before the first is answered."""
    coming = number / rate  # seconds until all have started
    ring = talk = coming + 5
    with SERVERS[name](home / name, USERS) as server:
        stage = Stage(server, home / name)
        time.sleep(1)
        before, began = memory_bytes(server.pids()), time.monotonic()
        moments = {"ringing": coming + 3, "established": ring + coming + 3}
        found: dict[str, object] = {"server": name, "number": number, "before": before}
        call = OPERATIONS["call-407"]  # of local users: external calls are limited
        with stage.load(call, rate=rate, seconds=coming, ring=ring, talk=talk) as load:
            for state, after in moments.items():
                time.sleep(max(0.0, began + after - time.monotonic()))
                memory = memory_bytes(server.pids())
                open_calls = load.open()
                each = (memory["own"] - before["own"]) / max(1, open_calls)
                found[state] = {"open": open_calls, "memory": memory, "bytes_each": each}
            outcome = load.outcome()
        time.sleep(settle)
        after = memory_bytes(server.pids())
        return found | {"lost": outcome.lost, "repeated": outcome.repeated, "after": after}
