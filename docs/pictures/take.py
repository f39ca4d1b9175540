"""Take new screenshots for the README: python docs/pictures/take.py

It needs what the tests need, and pngquant.  The pictures show an office: a local network of its
own, with the server and real phones, baresip and pjsua2, that call each other.
"""

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.baresip import Baresip
from tests.support.network import BRIDGE_MAC, Machine
from tests.support.phone import Phone
from tests.support.phone_calls import part, talk
from tests.support.pjsua import Pjsua
from tests.support.programs import end, program
from tests.support.server import Server

PASSWORD = "only for the pictures"
WIDTH, HEIGHT = 1280, 800
# Pages that need more height to show what they are for.
HEIGHTS = {"overview": 960}


class Desk(Pjsua):
    user_agent = "PJSUA2 desk"
    account_setup: ClassVar = {"mediaConfig.lockCodecEnabled": False}  # no second INVITE


class Pocket(Desk):
    user_agent = "PJSUA2 pocket"


class Door(Desk):
    user_agent = "PJSUA2 door"


# User name, display name, and kind and address of each phone.
PEOPLE = [
    ("101", "Reception", [(Baresip, "192.168.1.21")]),
    ("102", "Front door", [(Door, "192.168.1.40")]),
    ("alice", "Alice Liddell", [(Baresip, "192.168.1.22"), (Pocket, "192.168.1.57")]),
    ("bob", "Bob Carter", [(Desk, "192.168.1.61")]),
    ("carol", "Carol Danvers", []),
    ("dave", "Dave Bowman", [(Baresip, "192.168.1.64")]),
    ("erin", "Erin O'Neill", []),
    ("lab-1", "Oscilloscope bench", [(Desk, "192.168.1.80")]),
]
DISABLED = "erin"
DNS_SERVER = """
import time
from tests.support.dns_server import NameServer
with NameServer({"office.example": "@ A 192.168.1.10"}) as server:
    print(server.address[1], flush=True)
    time.sleep(600)
"""


class OfficeServer(Server):
    """The server of the office, with all its people."""

    domain = "office.example"

    def has_people(self) -> None:
        """Add the accounts."""
        file = self.home / "people.csv"
        rows = [f"{name},{self.password_of(name)},{shown}" for name, shown, _ in PEOPLE]
        file.write_text("\n".join(["username,password,display_name", *rows, ""]))
        self.does("users", "import", str(file))
        self.does("users", "disable", DISABLED)
        self.does("admin", "password", "--password", PASSWORD)


class Office:
    """A network of machines, 192.168.1.0/24, with the server at .10."""

    def __init__(self, home: Path, stack: contextlib.ExitStack) -> None:
        self._home = home
        self._stack = stack
        self._ports = 0
        machine = self._machine = stack.enter_context(contextlib.closing(Machine("192.168.1.10")))
        machine.sets_up(
            f"link add lan address {BRIDGE_MAC} type bridge\n"
            "address add 192.168.1.10/24 dev lan\n"
            "link set lan up\n"
        )
        flags = "-sip.dns", f"127.0.0.1:{self._starts_dns()}"
        server = self.server = OfficeServer(home / "server", *flags, machine=machine)
        server.has_people()
        server.start()
        stack.callback(server.close)

    def _starts_dns(self) -> int:
        """Start a DNS server beside the server, and return its port."""
        command = [*self._machine.enter, sys.executable, "-c", DNS_SERVER]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._stack.callback(end, process, signal.SIGTERM)
        return int(process.stdout.readline())

    def phone(self, kind: type[Phone], user: str, address: str, password: str = "") -> Phone:
        """Start a phone on a machine of its own."""
        self._ports += 1
        machine = Machine(address, beside=self._machine)
        self._stack.enter_context(contextlib.closing(machine))
        machine.plugs_into(self._machine, "lan", f"port{self._ports}", "lan")
        home = self._home / f"phone{self._ports}"
        phone = kind(user, home, self.server, password=password or None, machine=machine)
        return self._stack.enter_context(contextlib.closing(phone))

    def browser(self) -> str:
        """Return a program that runs Chromium on the machine of the server."""
        script = self._home / "chromium"
        entered = " ".join([*self._machine.enter, program("chromium")])
        script.write_text(f'#!/bin/sh\nexec {entered} "$@"\n')
        script.chmod(0o755)
        return str(script)


def make_calls(office: Office) -> tuple[Phone, Phone]:
    """Play an hour of the office, in which two calls go on; return two phones that have none."""
    phones: dict[str, list[Phone]] = {}
    for name, _, kinds in PEOPLE:
        phones[name] = [office.phone(kind, name, address) for kind, address in kinds]
        for phone in phones[name]:
            phone.registers()
    (reception,), (door,), (bob,), (dave,) = (phones[n] for n in ("101", "102", "bob", "dave"))
    desk, pocket = phones["alice"]
    (bench,) = phones["lab-1"]
    talk(bob, reception)
    time.sleep(2)
    part(bob, reception)
    door.dials(reception)
    reception.gets_a_call(door)
    reception.refuses()
    door.call_ends(reception)
    bob.dials(f"sip:0049301234@{OfficeServer.domain}")
    bob.call_ends()
    bench.dials(dave)
    dave.gets_a_call(bench)
    bench.hangs_up()
    bench.call_ends()
    carol = office.phone(Baresip, "carol", "192.168.1.70", password="letmein")
    carol.asks_to_register()
    carol.expects("refused")
    bob.dials("sip:alice@" + OfficeServer.domain)
    desk.gets_a_call(bob)
    pocket.gets_a_call(bob)
    time.sleep(1)
    pocket.refuses()
    time.sleep(3)
    desk.answers()
    bob.is_talking(desk)
    time.sleep(5)
    bob.hangs_up()
    desk.call_ends()
    talk(reception, door)
    dave.dials("sip:alice@" + OfficeServer.domain)
    desk.gets_a_call(dave)
    pocket.gets_a_call(dave)
    time.sleep(4)
    return bench, bob


def take(page: Page, url: str, caller: Phone, callee: Phone) -> None:
    """Open each page and take its screenshot; a call between two phones has just failed."""
    page.goto(f"{url}/login")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto(url + "/history?user=alice&result=answered")
    page.get_by_role("link", name="Ladder").first.click()
    screenshot(page, "ladder")
    caller.dials(callee)
    callee.gets_a_call(caller)
    callee.refuses()
    caller.call_ends(callee)
    places = {"calls": "/calls", "overview": "/", "users": "/users", "user": "/users/3"}
    for name, path in places.items():
        page.goto(url + path)
        screenshot(page, name)


def screenshot(page: Page, name: str) -> None:
    """Save the upper part of the page."""
    page.set_viewport_size({"width": WIDTH, "height": HEIGHTS.get(name, HEIGHT)})
    page.wait_for_load_state("load")
    page.wait_for_timeout(1000)  # a live page has no end of its network
    file = ROOT / f"docs/pictures/{name}.png"
    page.screenshot(path=file)
    quantize = [program("pngquant"), "--force", "--ext", ".png", "--strip", "--skip-if-larger"]
    subprocess.run([*quantize, file], check=True)


def main() -> None:
    """Start the office, play calls, and take the screenshots."""
    with (
        tempfile.TemporaryDirectory() as home,
        contextlib.ExitStack() as stack,
        sync_playwright() as playwright,
    ):
        office = Office(Path(home), stack)
        chromium = playwright.chromium.launch(
            executable_path=office.browser(), args=["--no-sandbox"]
        )
        window = chromium.new_page(color_scheme="light")
        take(window, office.server.web_url, *make_calls(office))
        chromium.close()


if __name__ == "__main__":
    main()
