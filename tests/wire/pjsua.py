"""A pjsua2 phone, which lives in a process of its own (pjsua_phone.py) and talks JSON lines."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from tests.wire.phone import Event, Phone, uri_of
from tests.wire.programs import PATIENCE, REPOSITORY, end, start, tail


class Pjsua(Phone):
    """One pjsua2 endpoint with one account."""

    kind = "pjsua2"
    private_address = ""

    def __init__(self, user: str, home: Path, server=None, password=None) -> None:
        super().__init__(user, home, server, password)
        self.output = home / "output.log"
        self.unread = b""
        setup = {
            "user": user,
            "uri": self.uri,
            "address": self.address,
            "log": str(home / "pj.log"),
        }
        setup["private_address"] = self.private_address
        if server:
            setup |= {"password": self.password, "proxy": f"sip:{server.address};lr"}
        self.process = start(
            [sys.executable, "-m", "tests.wire.pjsua_phone", json.dumps(setup)],
            self.output,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            self.expects("ready")
        except BaseException:
            self._end()
            raise

    def asks_to_register(self) -> None:
        self._do("register")

    def registers(self) -> None:
        self.asks_to_register()
        self.expects("registered")

    def unregisters(self) -> None:
        self._do("unregister")
        self.expects("unregistered")

    def dials(self, to: Phone | str) -> None:
        self._do("call", to=uri_of(to))

    def answers(self, status: int = 200) -> None:
        self._do("answer", status=status)

    def refuses(self) -> None:
        self.answers(486)

    def hangs_up(self) -> None:
        self._do("hangup")

    def holds(self) -> None:
        self._do("hold")

    def resumes(self) -> None:
        self._do("resume")

    def transfers(self, to: Phone | str) -> None:
        self._do("transfer", to=uri_of(to))

    def writes(self, text: str, to: Phone | str) -> None:
        self._do("message", to=uri_of(to), text=text)

    def packets(self) -> tuple[int, int]:
        sent, received = self._do("packets")
        return sent, received

    def close(self) -> None:
        code = self._end()
        assert code == -signal.SIGKILL, f"{self} ended by itself, with {code}\n{self.story()}"

    def _end(self) -> int:
        code = end(self.process, signal.SIGKILL)
        self.process.stdin.close()
        self.process.stdout.close()
        return code

    def _do(self, command: str, **arguments):
        """Give a command and return its result."""
        order = json.dumps({"do": command, **arguments}) + "\n"
        os.write(self.process.stdin.fileno(), order.encode())
        answer = self._answer_to(command)
        assert "error" not in answer, f"{self} refuses {command}: {answer['error']}\n{self.story()}"
        return answer["result"]

    def _listen(self, seconds: float) -> list[Event]:
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return []
        fresh = os.read(self.process.stdout.fileno(), 65536)
        assert fresh, f"{self} has ended, code {self.process.wait(PATIENCE)}\n{self._log()}"
        self.unread += fresh
        *lines, self.unread = self.unread.split(b"\n")
        events = []
        for line in map(json.loads, lines):
            if "event" in line:
                line["name"] = line.pop("event")
                events.append(Event(**line))
            else:
                self.answered.append(line)
        return events

    def _log(self) -> str:
        return tail(self.output) + "\n" + tail(self.home / "pj.log", 120)


class PjsuaBehindNat(Pjsua):
    """A pjsua2 that believes in an address from which nothing reaches it, as behind a NAT.

    Its Via and Contact name that address, and it trusts no `received` to put them right.  Its media
    are not behind the NAT: how they get through is the phones' affair.
    """

    kind = "pjsua2 behind NAT"
    private_address = "10.254.254.1"
