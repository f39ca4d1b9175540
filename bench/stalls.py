"""Stalls: the longest time in which our server reads no datagram while it does other work."""

import time
from collections.abc import Callable
from pathlib import Path

from bench.metrics import Prober
from bench.operations import OPERATIONS, USERS, Stage
from bench.servers import ADMIN_PASSWORD, Ours
from tests.support.admin import Admin

EVERY = 0.002  # seconds between a response and the next request
PAGES = ("/", "/users", "/users?page=50", "/users?q=phone", "/users?sort=last_seen&order=desc")
IMPORTED = 20_000


def measure_gaps(home: Path, seconds: float, imported: int = IMPORTED) -> list[dict[str, object]]:
    """Probe the server during each activity; return the response times in milliseconds."""
    with Ours(home / "ours", USERS) as server:
        stage = Stage(server, home / "ours")
        stage.run(OPERATIONS["pair"], seconds=5)
        admin = Admin(server)
        assert admin.signs_in(ADMIN_PASSWORD)
        rows = ["username,password", *(f"new{n:05},secret" for n in range(imported))]
        file = home / "more.csv"
        file.write_text("\n".join(row.replace("new", "other") for row in rows) + "\n")

        def read_pages() -> None:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                for page in PAGES:
                    admin.reads(page)

        def import_by_command() -> None:
            server.run("users", "import", str(file))
            time.sleep(2)  # the running server reads the change within a second

        activities: dict[str, Callable[[], object]] = {
            "nothing else": lambda: time.sleep(seconds),
            "admin pages are read": read_pages,
            f"{imported:,} users are uploaded": lambda: admin.imports("\n".join(rows)),
            f"{imported:,} users are imported by command": import_by_command,
            "2,000 pairs a second are written": lambda: stage.run(
                OPERATIONS["pair"], seconds=seconds
            ),
        }
        return [{"while": name, **_probed(server, work)} for name, work in activities.items()]


def _probed(server: Ours, work: Callable[[], object]) -> dict[str, float]:
    with Prober(server, EVERY) as prober:
        work()
    return prober.summary()
