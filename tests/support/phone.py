"""The actions and events that each real phone has, whichever program it is.

A test speaks to a phone in the words of its user (`dials`, `answers`, `hangs_up`) and waits for
events that the user would notice (`hears_ringing`, `is_talking`).  Behind them are two programs
that share no line of code, so that the server meets more than one reading of the RFC.
"""

import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tests.support.network import LOOPBACK, Loopback, Machine
from tests.support.programs import PATIENCE, end
from tests.support.server import Server

PACKETS_A_SECOND = 50  # PCMU in frames of 20 ms


@dataclass(frozen=True)
class Event:
    """Something that a phone has noticed."""

    name: str  # registered, unregistered, refused, incoming, ringing, talking, closed, message, …
    peer: str = ""  # the user part of the other side
    status: int | None = None  # of the final response behind the event, where there was one
    text: str = ""  # a message's body, or the program's own words
    warning: str = ""  # the text of the last Warning in a response of the call


@dataclass(frozen=True)
class PhoneAt:
    """A phone of some make at a machine of the network."""

    kind: "type[Phone]"
    machine: str

    def __str__(self) -> str:
        return f"{self.kind.__name__}-{self.machine}"


class Phone:
    """A phone without its engine; `Baresip` and `Pjsua` drive one each."""

    kind: str
    transport = "udp"  # the way to its server
    process: subprocess.Popen

    def __init__(
        self,
        user: str,
        home: Path,
        server: Server | None = None,
        password: str | None = None,
        machine: Loopback | Machine = LOOPBACK,
    ) -> None:
        """A phone of `user` with its files in `home`; without `server` it is called directly.

        It is given the right password, or `password`, and runs on `machine`.
        """
        self.user = user
        self.password = password or Server.password_of(user)
        self.home = home
        self.server = server
        self.machine = machine
        self.address = machine.phone_address()
        self.events: list[Event] = []  # noticed, and not yet asked for by the test
        self.history: list[Event] = []
        self.answered: list[dict] = []  # what the engine has answered to commands, in their order
        home.mkdir(parents=True)

    def __repr__(self) -> str:
        return f"{self.user}'s {self.kind}"

    @property
    def uri(self) -> str:
        """Where to call this phone: its address-of-record, or its socket without a server."""
        user = quote(self.user, safe="-_.!~*'()&=+$,;?/")  # RFC 3261 §25.1
        return f"sip:{user}@{self.server.domain if self.server else f'{self.address}:5060'}"

    @property
    def proxy(self) -> str:
        """The URI of its server, as its account is set up."""
        address = self.server.address_for(self.address, self.transport)
        return f"sip:{address};transport={self.transport}"

    # What an engine provides.

    def registers(self) -> None: ...
    def asks_to_register(self) -> None: ...
    def unregisters(self) -> None: ...
    def dials(self, to: "Phone | str") -> None: ...
    def answers(self) -> None: ...
    def refuses(self) -> None: ...
    def hangs_up(self) -> None: ...
    def holds(self) -> None: ...
    def resumes(self) -> None: ...
    def transfers(self, to: "Phone | str") -> None: ...
    def writes(self, text: str, to: "Phone | str") -> None: ...
    def packets(self) -> tuple[int, int]: ...
    def close(self) -> None: ...
    def _listen(self, seconds: float) -> list[Event]: ...
    def _log(self) -> str: ...

    def dies(self) -> None:
        """Its battery is empty: it leaves without a word."""
        end(self.process, signal.SIGKILL)

    # What a user notices.

    def gets_a_call(self, caller: "Phone | None" = None) -> Event:
        """It rings here."""
        return self.expects("incoming", peer=caller.user if caller else None)

    def hears_ringing(self, of: "Phone | None" = None) -> Event:
        """The phone that was called has said 180."""
        return self.expects("ringing", peer=of.user if of else None)

    def is_talking(self, to: "Phone | None" = None) -> Event:
        """The call is set up: 2xx and ACK have both been seen."""
        return self.expects("talking", peer=to.user if to else None)

    def agrees_anew_with(self, other: "Phone", do: Callable[[], None]) -> None:
        """`do` something about the media of the call: an offer and an answer go to and fro."""
        for phone in (self, other):
            phone.events = [event for event in phone.events if event.name != "media agreed"]
        do()
        for phone in (self, other):
            phone.expects("media agreed")

    def call_ends(self, with_: "Phone | None" = None, status: int | None = None) -> Event:
        """The call is over, where `status` is given because that final response came."""
        return self.expects("closed", peer=with_.user if with_ else None, status=status)

    def reads(self, text: str, from_: "Phone") -> Event:
        """A MESSAGE has come and is shown."""
        return self.expects("message", peer=from_.user, text=text)

    def expects(self, name: str, seconds: float = PATIENCE, **fields) -> Event:
        """Wait for the event `name` with these fields (None: any value), and take it."""
        wanted = {key: value for key, value in fields.items() if value is not None}
        deadline = time.monotonic() + seconds
        while True:
            for event in self.events:
                if event.name == name and all(getattr(event, k) == v for k, v in wanted.items()):
                    self.events.remove(event)
                    return event
            left = deadline - time.monotonic()
            if left <= 0:
                asked = ", ".join([name, *(f"{k}={v}" for k, v in wanted.items())])
                raise AssertionError(f"{self} never noticed: {asked}\n{self.story()}")
            self._hear(min(left, 0.1))

    def never_notices(self, name: str, seconds: float = 0.5) -> None:
        """Fail if the event `name` has come, or comes within `seconds`."""
        self._hear_all(seconds)
        unwanted = [event for event in self.events if event.name == name]
        assert not unwanted, f"{self} noticed what it should not have\n{self.story()}"

    def hears(self, packets: int = PACKETS_A_SECOND // 2) -> None:
        """So many more packets of audio have come in, in at most a few times their own length."""
        _, before = self.packets()
        deadline = time.monotonic() + 5 * packets / PACKETS_A_SECOND + 2
        while (heard := self.packets()[1] - before) < packets:
            assert time.monotonic() < deadline, (
                f"{self} has heard {heard} packets, not {packets}\n{self.story()}"
            )
            self._hear(0.1)

    def hears_nothing(self, seconds: float = 1.0) -> None:
        """Audio has stopped, apart from packets on their way."""
        self._hear_all(0.3)
        _, before = self.packets()
        self._hear_all(seconds)
        heard = self.packets()[1] - before
        assert heard == 0, f"{self} still hears: {heard} packets in {seconds:g} s\n{self.story()}"

    def story(self) -> str:
        """All that this phone has noticed and logged, for the message of a test that failed."""
        noticed = "\n".join(f"  {event}" for event in self.history) or "  nothing"
        return f"{self} at {self.address} noticed:\n{noticed}\nits log ends:\n{self._log()}"

    def _answer_to(self, command: str) -> dict:
        """The answer of the engine to its last command."""
        deadline = time.monotonic() + PATIENCE
        while not self.answered:
            assert time.monotonic() < deadline, f"{self} never did {command}\n{self.story()}"
            self._hear(0.1)
        return self.answered.pop(0)

    def _hear(self, seconds: float) -> None:
        """Take in what happens within `seconds`, or until something happens."""
        events = self._listen(seconds)
        self.events += events
        self.history += events

    def _hear_all(self, seconds: float) -> None:
        """Take in all that happens within `seconds`."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._hear(left)


def user_of(uri: str) -> str:
    """The user part of a SIP URI, alone or in a name-addr, unescaped; empty where there is none."""
    found = re.search(r"sips?:([^@>;]+)@", uri)
    return unquote(found[1]) if found else ""


def uri_of(to: Phone | str) -> str:
    return to if isinstance(to, str) else to.uri
