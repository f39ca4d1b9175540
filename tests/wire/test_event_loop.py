"""Nothing blocks the event loop: while Python works, no datagram is read."""

import csv
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.admin import Admin
from tests.support.programs import until
from tests.support.server import CALLEES, Server
from tests.support.sipp_calls import register

pytestmark = pytest.mark.alone

# What Python runs at the start of a program that has it on its path, and what it then says.
WATCH = str(Path(__file__).with_name("hub_watch"))
REPORT = "holds the hub"
FORM = "application/x-www-form-urlencoded"
PASSWORD = "secret of the admin"


@pytest.fixture
def monitored(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch):
    """The real server, which tells what holds its hub."""
    monkeypatch.setenv("PYTHONPATH", WATCH)
    server = Server(tmp_path / "server")
    shutil.copy(database, server.database)
    # Else the first start would make a password, and hashing it takes longer than is allowed here;
    # that is before the first socket is open.
    server.does("admin", "password", "--password", PASSWORD)
    server.start()
    yield server
    server.close()


def imported(server: Server, number: int) -> subprocess.Popen[str]:
    """Begin to import so many users, by another process as an administrator would."""
    file = server.home / "many.csv"
    with file.open("w", newline="") as rows:
        writer = csv.writer(rows)
        writer.writerow(["username", "password"])
        writer.writerows([f"many{n:06}", f"secret-of-many{n:06}"] for n in range(number))
    return subprocess.Popen(
        server._command("users", "import", str(file)),
        cwd=server.home,
        env=server._environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("work", "holds"),
    [
        ("while time.thread_time() < until: pass", True),
        ("select.select([], [], [], 0.6)", True),
        ("gevent.sleep(0.6)", False),
    ],
)
def test_the_watch_sees_what_holds_the_hub(monkeypatch: pytest.MonkeyPatch, work, holds):
    """Else the next test could not fail: work of its own, and a call that blocks."""
    monkeypatch.setenv("PYTHONPATH", WATCH)
    script = (
        "from gevent import monkey; monkey.patch_all(select=False)\n"
        "import gevent, select, time\n"
        "def hold():\n"
        "    until = time.thread_time() + 0.1\n"
        f"    {work}\n"
        "gevent.sleep(0.1); gevent.spawn(hold).join(); gevent.sleep(0.1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert (REPORT in done.stderr) == holds, done.stderr


def test_the_hub_is_not_held_by_registers_and_an_import(monitored, sipp):
    """REGISTERs go on during a large import; the running server then knows the new users."""
    importing = imported(monitored, 100_000)
    phones = sipp("callee", calls=1)
    for _ in range(6):
        register(monitored, sipp, CALLEES, phones.address, phones.socket)
    output, errors = importing.communicate(timeout=120)
    assert importing.returncode == 0, errors
    assert "100000 new" in output
    admin = Admin(monitored)
    assert admin.signs_in(PASSWORD)
    until(lambda: "of 100,103 users" in admin.reads("/"), "the running server knows all of them")
    register(monitored, sipp, ["many099999"])
    monitored.stop()
    log = monitored.log.read_text(errors="replace")
    assert REPORT not in log, log[log.index(REPORT) - 200 :][:6000]


def test_the_hub_is_not_held_by_pages_and_new_users(monitored, sipp):
    """An import in the browser, pages of 100,000 users and REGISTERs, all at once; and a backup.

    Half of the new users get a generated password.
    """
    output, errors = imported(monitored, 80_000).communicate(timeout=120)
    assert "80000 new" in output, errors
    admin = Admin(monitored)
    assert admin.signs_in(PASSWORD)
    phones = sipp("callee", calls=1)
    passwords = [f"secret-of-more{n:06}" if n % 2 else "" for n in range(20_000)]
    rows = "".join(f"more{n:06},{password}\n" for n, password in enumerate(passwords))
    with ThreadPoolExecutor(1) as beside:
        importing = beside.submit(admin.imports, f"username,password\n{rows}", generate="yes")
        while not importing.done():
            for page in (
                "/",
                "/users?page=900",
                "/users?q=many",
                "/users?sort=last_seen",
                "/login",
            ):
                admin.asks("GET", page)
            register(monitored, sipp, CALLEES, phones.address, phones.socket)
        importing.result()
    assert len(admin.takes_passwords().splitlines()) == 10_001
    assert len(admin.reads("/users/export.csv").splitlines()) > 100_000
    status, backup = admin.asks("POST", "/settings/backup", b"x=y", FORM)
    assert (status, backup.startswith("SQLite")) == (200, True)
    register(monitored, sipp, ["more019999"])
    monitored.stop()
    log = monitored.log.read_text(errors="replace")
    assert REPORT not in log, log[log.index(REPORT) - 200 :][:6000]
