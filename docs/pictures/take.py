"""Take new screenshots for the README: python docs/pictures/take.py (needs Chromium)."""

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from sip.store.admin import Admin, hash_password
from sip.store.bindings import BindingRow, BindingStore
from sip.store.database import Database
from sip.store.users import Users
from tests.support.programs import free_port, program
from tests.support.socket_phone import Call, SocketPhone

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
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 9 8 0\r\na=rtpmap:9 G722/8000\r\n"
)
CLIP = {"x": 0, "y": 0, "width": 1280, "height": 800}


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


class Phone(SocketPhone):
    """A phone that says its model, and has a session description."""

    def __init__(self, server: SimpleNamespace, user: str, device: str) -> None:
        super().__init__(server, user)
        self.device = device
        self.offer = OFFER

    def sends(self, method: str, uri: str, call: Call, *more: str, via: str = "") -> str:
        return super().sends(method, uri, call, *more, f"User-Agent: {self.device}", via=via)


def make_calls(port: int) -> list[Phone]:
    """Play an hour of the office: calls of each kind, of which two go on; return the phones."""
    server = SimpleNamespace(
        hosts=["127.0.0.1"], port=port, domain=REALM, password_of=lambda user: "secret"
    )
    wrong = SimpleNamespace(**{**vars(server), "password_of": lambda user: "letmein"})
    devices = {name: phones[0][0] for name, _, phones in PEOPLE if phones}
    phones = {name: Phone(server, name, device) for name, device in devices.items()}
    for phone in phones.values():
        phone.registers()
    alice, bob, door, dave = (phones[name] for name in ("alice", "bob", "102", "dave"))
    for caller, callee in ((alice, bob), (door, alice), (bob, phones["101"])):
        call, _ = caller.calls(callee)
        time.sleep(1.2)
        caller.hangs_up(call, callee)
    for caller, callee, status in ((bob, dave, 486), (dave, alice, 603)):
        caller.dials(callee)
        callee.answers(callee.hears("INVITE "), status)
    bob.dials("<sip:0049301234@office.example>")
    carol = Phone(wrong, "carol", "MicroSIP/3.21.6")
    for _ in range(2):
        carol.registers()
    alice.calls(door)
    dave.dials(bob)
    bob.answers(bob.hears("INVITE "), 180)
    time.sleep(4)
    return [*phones.values(), carol]


def take(page: Page, url: str) -> None:
    """Open each page and take its screenshot."""
    page.goto(f"{url}/login")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    places = {"overview": "/", "users": "/users", "user": "/users/3", "calls": "/calls"}
    for name, path in places.items():
        page.goto(url + path)
        screenshot(page, name)
    page.goto(url + "/history?user=alice&result=answered")
    page.get_by_role("link", name="Ladder").first.click()
    screenshot(page, "ladder")


def screenshot(page: Page, name: str) -> None:
    """Save the upper part of the page."""
    page.wait_for_load_state("networkidle")
    page.screenshot(path=ROOT / f"docs/pictures/{name}.png", clip=CLIP)


def main() -> None:
    """Start a server with a temporary database, play calls, and take the screenshots."""
    web, sip = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        populate(f"{home}/sip_users.db")
        flags = ["-sip.addr", f"127.0.0.1:{sip}", "-web.addr", f"127.0.0.1:{web}"]
        flags += ["-sip.realm", REALM]
        server = subprocess.Popen([sys.executable, str(ROOT / "sipserver.py"), *flags], cwd=home)
        try:
            time.sleep(3)
            phones = make_calls(sip)
            chromium = playwright.chromium.launch(
                executable_path=program("chromium"), args=["--no-sandbox"]
            )
            take(
                chromium.new_page(viewport={"width": 1280, "height": 800}),
                f"http://127.0.0.1:{web}",
            )
            for phone in phones:
                phone.close()
        finally:
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    main()
