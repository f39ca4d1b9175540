"""A pjsua2 phone in a process of its own (pjsua_process.py), driven by lines of JSON."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from tests.support.phone import Event, Phone, uri_of
from tests.support.programs import PATIENCE, REPOSITORY, end, start, tail, until


class Pjsua(Phone):
    """One pjsua2 endpoint with one account."""

    kind = "pjsua2"
    private_address = ""
    user_agent = ""  # its User-Agent field, which it does not send if this is empty
    roams = False  # it takes each address that its machine has, or gets later
    # Settings of its account; a name in capitals is a constant of pjsua2.
    account_setup: ClassVar[dict[str, bool | int | str]] = {}

    def __init__(self, user: str, home: Path, *setup, **options) -> None:
        super().__init__(user, home, *setup, **options)
        self.output = home / "output.log"
        self.log = home / "pj.log"
        self.unread = b""
        setup = {
            "user": user,
            "transport": self.transport,
            "uri": self.uri,
            "address": "" if self.roams else self.address,
            "log": str(self.log),
            "account_setup": self.account_setup,
        }
        setup["private_address"] = self.private_address
        setup["user_agent"] = self.user_agent
        if self.server:
            setup |= {"password": self.password, "proxy": f"{self.proxy};lr"}
        self.process = start(
            [
                *[*self.machine.enter, sys.executable, "-m", "tests.support.pjsua_process"],
                json.dumps(setup),
            ],
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

    def is_given(self, password: str) -> None:
        """Take another password, and register with it."""
        self._do("password", password=password)

    def unregisters(self) -> None:
        self._do("unregister")
        self.expects("unregistered")

    def handles_ip_change(self) -> None:
        """Note that its machine has another address, as an app is told by its system."""
        self.address = self.machine.phone_address()
        self._do("handle_ip_change")

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

    def refreshes(self, by: str) -> None:
        """Refresh the session: `by` UPDATE or INVITE."""
        self._do({"UPDATE": "update", "INVITE": "resume"}[by])

    def transfers_to_other_call(self) -> None:
        """Connect the peers of its first and its last call (RFC 5589 §7)."""
        self._do("transfer_to_other_call")

    def dials_digits(self, digits: str) -> None:
        """Send DTMF in INFO requests."""
        self._do("dtmf", digits=digits)

    def types(self, to: Phone | str) -> None:
        """Tell that a message is being written (RFC 3994)."""
        self._do("typing", to=uri_of(to))

    def watches(self, whom: Phone | str) -> None:
        """Subscribe to the presence of a user."""
        self._do("watch", whom=uri_of(whom))

    def watches_no_more(self) -> None:
        self._do("watch_no_more")

    def says_it_is(self, note: str) -> None:
        """Show its watchers a presence with that note."""
        self._do("presence", note=note)

    def has_received(self, *lines: str) -> re.Match[str]:
        """Wait for a message in which these lines, regular expressions, stand in this order."""
        found: list[re.Match[str]] = []

        def is_there() -> bool:
            found.extend(self._received(lines))
            return bool(found)

        try:
            until(is_there, f"{self} receives {lines}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}") from None
        return found[0]

    def has_every_ack(self) -> None:
        """Wait for the ACK of each INVITE that has come: before it, no other may be sent."""

        def numbers(method: str) -> set[str]:
            found = self._received((f"{method} .*", rf"CSeq: (\d+) {method}"))
            return {match[1] for match in found}

        until(lambda: numbers("INVITE") <= numbers("ACK"), f"{self} has every ACK")

    def has_not_received(self, *lines: str) -> None:
        """Fail if a message with these lines has come; what may have caused one must be over."""
        found = self._received(lines)
        assert not found, f"{self} has received {found[0][0]}\n{self.story()}"

    def _received(self, lines: tuple[str, ...]) -> list[re.Match[str]]:
        inside = r"(?:(?!^--end msg--).*\n)*?"  # of one message, whole lines
        wanted = re.compile(
            r"bytes (?:Request|Response) msg .* from (?:UDP|TCP) .*:\n"
            + "".join(rf"{inside}{line}\r?\n" for line in lines),
            re.MULTILINE,
        )
        self._do("flush")
        return list(wanted.finditer(self.log.read_text(errors="replace")))

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
        return tail(self.output) + "\n" + tail(self.log, 120)


class PjsuaBehindNat(Pjsua):
    """A pjsua2 that believes in an address from which nothing reaches it, as behind a NAT.

    Its Via and Contact name that address, and it trusts no `received` to put them right.  Its media
    are not behind the NAT: how they get through is the phones' affair.
    """

    kind = "pjsua2 behind NAT"
    private_address = "10.254.254.1"


class PjsuaReliable(Pjsua):
    """A pjsua2 that insists on reliable provisional responses (RFC 3262)."""

    kind = "pjsua2 with 100rel"
    account_setup: ClassVar = {"callConfig.prackUse": "PJSUA_100REL_MANDATORY"}


class PjsuaTimed(Pjsua):
    """A pjsua2 that insists on a session timer, of any length (RFC 4028)."""

    kind = "pjsua2 with a session timer"
    account_setup: ClassVar = {
        "callConfig.timerUse": "PJSUA_SIP_TIMER_REQUIRED",
        "callConfig.timerSessExpiresSec": 100,
    }


class PjsuaTimedSlowly(PjsuaTimed):
    """The same, but for sessions of half an hour at least."""

    account_setup: ClassVar = {
        "callConfig.timerUse": "PJSUA_SIP_TIMER_REQUIRED",
        "callConfig.timerSessExpiresSec": 1800,
        "callConfig.timerMinSESec": 1800,
    }


class PjsuaWithMailbox(Pjsua):
    """A pjsua2 that subscribes to its own address for news of its mailbox (RFC 3842)."""

    kind = "pjsua2 with a mailbox"
    account_setup: ClassVar = {"mwiConfig.enabled": True}


class PjsuaPublishing(Pjsua):
    """A pjsua2 that publishes its presence to its own address (RFC 3903)."""

    kind = "pjsua2 that publishes"
    account_setup: ClassVar = {"presConfig.publishEnabled": True}


class Aware(Pjsua):
    """A pjsua2 that learns from `received` and `rport` what it is called outside, and says so."""

    kind = "aware pjsua2"
    # Else it sends a re-INVITE of its own as soon as a call is up, and ours would meet it.
    account_setup: ClassVar = {"mediaConfig.lockCodecEnabled": False}


class Private(Pjsua):
    """A pjsua2 that goes by the address it has, and sends nothing to keep a way open."""

    kind = "unaware pjsua2"
    account_setup: ClassVar = Aware.account_setup | {
        "natConfig.viaRewriteUse": 0,
        "natConfig.contactRewriteUse": 0,
        "natConfig.sdpNatRewriteUse": 0,
        "natConfig.udpKaIntervalSec": 0,
    }


class PrivateTcp(Private):
    """The same on a connection; when it breaks it is opened again every second."""

    kind = "unaware pjsua2 on TCP"
    transport = "tcp"
    retries: ClassVar = {
        "regConfig.firstRetryIntervalSec": 1,
        "regConfig.retryIntervalSec": 1,
        "regConfig.randomRetryIntervalSec": 0,
    }
    account_setup: ClassVar = Private.account_setup | retries


class PjsuaTls(Pjsua):
    kind = "pjsua2 on TLS"
    transport = "tls"
