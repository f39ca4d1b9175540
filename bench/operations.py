"""The operations that are measured: their SIPp scenarios, rates and users."""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.phones import Phone
from bench.servers import DOMAIN, HOST, PASSWORD, Server
from bench.sipp_load import GRACE, OF_THE_TESTS, OURS, Outcome, Sipp, authentication
from tests.support.programs import own_address

PHONES = [f"phone{n:05}" for n in range(10_000)]  # users that register
CALLEES = {kind: [f"{kind}{n:02}" for n in range(100)] for kind in ("udp", "tcp")}
CALLERS = [f"caller{n:02}" for n in range(100)]  # local users, asked for credentials
EXTERNAL_CALLERS = [f"external{n:02}" for n in range(100)]
USERS = [*PHONES, *CALLEES["udp"], *CALLEES["tcp"], *CALLERS]
# Seconds that a phone rings: otherwise several workers may forward the 200 before the 180.
RINGS = 0.03
REFRESHES = 21  # in refresh.xml, after the REGISTER that is challenged


@dataclass(frozen=True)
class Operation:
    """One kind of work, and the `rate` per second at which its cost is measured."""

    name: str
    scenario: Path
    rate: int
    is_call: bool = False
    is_local: bool = False  # the caller is a local user, and is challenged
    has_callee: bool = True  # a SIPp of this load plays the callee
    each: int = 1  # operations in one run of the scenario

    def rows(self, kind: str, phones: list[str]) -> list[str]:
        """Return the lines of SIPp's injection file: users, and their credentials."""
        if not self.is_call:
            return [f"{user};{authentication(user)}" for user in phones]
        callers = CALLERS if self.is_local else EXTERNAL_CALLERS
        return [
            f"{callee};{caller};{authentication(caller)}"
            for callee, caller in zip(CALLEES[kind], callers, strict=True)
        ]


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("pair", OURS / "pair.xml", 2000),
        Operation("refresh", OURS / "refresh.xml", 2000, each=REFRESHES),
        Operation("call", OF_THE_TESTS / "caller.xml", 800, is_call=True),
        Operation(
            "call-407", OF_THE_TESTS / "caller_challenged.xml", 800, is_call=True, is_local=True
        ),
        Operation("fork", OF_THE_TESTS / "caller_of_two.xml", 50, is_call=True, has_callee=False),
        Operation("options", OURS / "options.xml", 2000),
    )
}


MEASURED = [name for name in OPERATIONS if name != "fork"]  # operations of the section `costs`


class Stage:
    """A running server with registered callees, and the loads for it."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server, self.home = server, home
        # The same addresses in every load, so that the next REGISTER updates a binding.
        self.phone_address, self.callee_address = own_address(), own_address()
        self._bind()

    def register_all(self, seconds: float) -> None:
        """Register the phones, all of them within 5 s, so that each later REGISTER is a refresh."""
        self.run(OPERATIONS["pair"], seconds=seconds)

    def restart(self) -> None:
        """Restart a server that was overloaded: it would still work on queued requests."""
        self.server.stop(signal.SIGKILL)
        self.server.start()
        self._bind()

    def _bind(self) -> None:
        """Check that the server does the same work as the others, and register the callees."""
        # From the address of the callee: otherwise it would look like a phone behind NAT.
        here = (self.callee_address, 5060)
        with Phone((HOST, self.server.port), DOMAIN, here=here) as phone:
            self._check(phone)
            for kind, users in CALLEES.items():
                for user in users:
                    contact = f"sip:{user}@{self.callee_address}:5060;transport={kind}"
                    status = phone.register(user, PASSWORD, contact)
                    assert status == 200, (self.server.label, user, status)

    def _check(self, phone: Phone) -> None:
        """Check that the server verifies passwords and challenges calls, as the others do."""
        someone, contact = CALLEES["udp"][0], f"sip:{self.callee_address}:5060"
        for user, password in ((someone, "wrong"), ("nobody", PASSWORD)):
            status = phone.register(user, password, contact)
            assert status in (401, 403), f"{self.server.label}: {user}/{password} got {status}"
        answer = phone.ask("INVITE", f"sip:{someone}@{DOMAIN}", CALLERS[0])
        assert answer.startswith("SIP/2.0 407"), f"{self.server.label}: {answer}"

    @contextlib.contextmanager
    def load(
        self,
        operation: Operation,
        *,
        kind: str = "udp",
        rate: float | None = None,
        seconds: float = 5.0,
        phones: list[str] = PHONES,
        rows: list[str] | None = None,
        ring: float = RINGS,
        talk: float = 0.0,
        grace: float = GRACE,
    ) -> Iterator[Sipp]:
        """Start `operation` at `rate` per second for `seconds`, over `kind`: udp or tcp.

        A called phone rings for `ring` seconds, and a call lasts for `talk` seconds.  An operation
        that has not ended `grace` seconds after the planned end is lost.
        """
        rate = (rate or operation.rate) / operation.each
        calls = max(1, int(rate * seconds))
        longest = seconds + ring + talk + grace + 0.1 * operation.each
        with contextlib.ExitStack() as stack:
            if operation.is_call and operation.has_callee:
                stack.enter_context(
                    Sipp(
                        OURS / "callee.xml",
                        self.home,
                        self.server,
                        address=self.callee_address,
                        calls=calls,
                        transport=kind,
                        pause=ring,
                        seconds=longest + 1,
                    )
                )
            yield stack.enter_context(
                Sipp(
                    operation.scenario,
                    self.home,
                    self.server,
                    calls=calls,
                    rate=rate,
                    transport=kind,
                    address=self.phone_address,
                    rows=rows or operation.rows(kind, phones),
                    from_domain=DOMAIN if operation.is_local else None,
                    pause=talk,
                    seconds=longest,
                )
            )

    def run(self, operation: Operation, **options) -> Outcome:
        """Run a load, and wait for its end."""
        with self.load(operation, **options) as load:
            return load.outcome()
