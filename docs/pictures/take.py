"""Take new screenshots for the README: python docs/pictures/take.py (needs Chromium)."""

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from sip.store.admin import Admin, hash_password
from sip.store.bindings import BindingRow, BindingStore
from sip.store.database import Database
from sip.store.users import Users
from tests.support.programs import free_port, program

PASSWORD = "only for the pictures"
REALM = "office.example"
# User name, display name, and the device and address of each phone.
PEOPLE = [
    ("101", "Reception", [("Yealink SIP-T46U 108.86.0.75", "192.168.1.21")]),
    ("102", "Front door", [("2N IP Verso 2.43.1", "192.168.1.40")]),
    ("alice", "Alice Liddell", [("Linphone/5.2.0 (Pixel 8)", "192.168.1.57"),
                                ("snomD785/10.1.184.14", "192.168.1.22")]),
    ("bob", "Bob Carter", [("baresip v4.6.0", "192.168.1.61")]),
    ("carol", "Carol Danvers", []),
    ("dave", "Dave Bowman", [("MicroSIP/3.21.6", "192.168.1.64")]),
    ("erin", "Erin O'Neill", []),
    ("lab-1", "Oscilloscope bench", [("PJSUA v2.15 Linux-6.1", "192.168.1.80")]),
]  # fmt: skip
DISABLED = "erin"


def populate(path: str) -> None:
    """Add the accounts, and bind phones to them as a REGISTER does."""
    now = int(time.time())
    with Database(path) as database:
        Admin(database).set_password_hash(hash_password(PASSWORD))
        users, bindings = Users(database, REALM), BindingStore(database, window=0)
        for number, (name, display_name, phones) in enumerate(PEOPLE):
            account = users.add(name, "secret", display_name=display_name)
            rows = [
                BindingRow(
                    user_id=account.id,
                    aor=f"{name}@{REALM}",
                    contact=f"sip:{name}@{address}:5060",
                    expires_at=now + 3000 - 371 * number - 60 * which,
                    user_agent=device,
                    flow=f"UDP/192.168.1.10:5060/{address}:5060",
                    updated_at=now - 371 * number - 40 * which,
                )
                for which, (device, address) in enumerate(phones)
            ]
            if rows:
                bindings.save(rows, [], lambda: None, rows[0].updated_at)
        bindings.close()
        users.disable(DISABLED)


def take(page: Page, url: str) -> None:
    """Open each page and take its screenshot."""
    page.goto(f"{url}/login")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    for name, path in (("overview", "/"), ("users", "/users"), ("user", "/users/3")):
        page.goto(url + path)
        page.screenshot(path=ROOT / f"docs/pictures/{name}.png")


def main() -> None:
    """Start a server with a temporary database, take the screenshots, and stop the server."""
    web = free_port(socket.SOCK_STREAM)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        populate(f"{home}/sip_users.db")
        flags = ["-sip.addr", "127.0.0.1:5060", "-web.addr", f"127.0.0.1:{web}"]
        flags += ["-sip.realm", REALM]
        flags += ["-sip.advertise", f"sip.{REALM}:5060"]
        server = subprocess.Popen([sys.executable, str(ROOT / "sipserver.py"), *flags], cwd=home)
        try:
            time.sleep(3)
            chromium = playwright.chromium.launch(
                executable_path=program("chromium"), args=["--no-sandbox"]
            )
            take(
                chromium.new_page(viewport={"width": 1280, "height": 800}),
                f"http://127.0.0.1:{web}",
            )
        finally:
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    main()
