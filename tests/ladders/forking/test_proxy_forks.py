"""One call to three phones, in all orders of responses (RFC 3261 §16.7, §16.10)."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from sip.message.message import Request, Response
from tests.support.world import Phone, World

STRANGER = "sip:x@elsewhere.org"

# EXAMPLES=4000 in the environment searches on.
EXAMPLES = int(os.environ.get("EXAMPLES") or 60)
ACTIONS = st.one_of(
    st.tuples(
        st.integers(0, 2), st.sampled_from([100, 180, 183, 200, 302, 404, 407, 486, 487, 503, 603])
    ),
    st.sampled_from(["cancel", "a moment", "half a minute"]),
)


@settings(max_examples=EXAMPLES)
@given(
    actions=st.lists(ACTIONS, max_size=12),
    ranks=st.lists(st.sampled_from(["1.0", "0.5"]), min_size=3, max_size=3),
    dead=st.sets(st.integers(0, 2), max_size=2),
    breadth=st.sampled_from(["1", "2", "60"]),
)
def test_the_caller_hears_one_failure_or_only_2xx(
    actions, ranks: list[str], dead: set[int], breadth: str
):
    """§16.7, §16.10: never both, always one of them, never a 503; and nothing is left."""
    world = World()
    caller = world.phone("caller", registered=False, host="203.0.113.20")
    phones = [world.phone("bob", registered=False) for _ in range(3)]
    for phone, rank in zip(phones, ranks, strict=True):
        phone.registers(f"{phone.contact};q={rank}")
    world.dead.update(phones[number].address for number in dead)
    call = caller.sends(
        "INVITE", phones[0].aor, from_uri=STRANGER, headers=(f"Max-Breadth: {breadth}",)
    )
    script = Script(caller, call, phones)
    for action in actions:
        match action:
            case "cancel":
                caller.cancels(call)
            case "a moment":
                world.passes(1)
            case "half a minute":
                world.passes(33, step=0.5)
            case (number, status):
                script.answer(number, status)
        script.listen()
    for _ in range(8):  # timer C may have to run for each of three in turn
        world.passes(100, step=1)
        script.listen()
    assert script.trying == 1
    assert bool(script.failures) != bool(script.successes)
    assert len(script.failures) <= 1
    assert 503 not in script.failures
    assert script.cancelled >= script.left_ringing
    server = world.server
    assert world.is_quiet
    assert (len(server.layer.timers), server.dispatcher.pending) == (0, 0)


class Script:
    """What the parties of one call have said and heard."""

    def __init__(self, caller: Phone, call: Request, phones: list[Phone]) -> None:
        self.world, self.caller, self.call, self.phones = caller.world, caller, call, phones
        self.asked_at: dict[int, float] = {}
        self.invites: dict[int, Request] = {}
        self.left_ringing: set[int] = set()  # phones with only a provisional response
        self.ended: set[int] = set()
        self.cancelled: set[int] = set()
        self.trying = self.successes = 0
        self.failures: set[int] = set()
        self.listen()

    def answer(self, number: int, status: int) -> None:
        """Let a phone answer, where it has been rung."""
        if number not in self.invites:
            return
        self.phones[number].answers(self.invites[number], status)
        if status >= 200:
            self.ended.add(number)
        elif number not in self.ended and self.world.now < self.asked_at[number] + 32:
            self.left_ringing.add(number)  # later than timer B it belongs to nothing
        self.left_ringing -= self.ended

    def listen(self) -> None:
        """Take all that has come."""
        for number, phone in enumerate(self.phones):
            while phone.inbox:
                message = phone.takes()
                if isinstance(message, Request) and message.method == "INVITE":
                    self.invites[number] = message
                    self.asked_at.setdefault(number, self.world.now)
                elif isinstance(message, Request) and message.method == "CANCEL":
                    self.cancelled.add(number)
                    phone.answers(message, 200)
        while self.caller.inbox:
            message = self.caller.takes()
            if message.cseq[1] != "INVITE" or not isinstance(message, Response):
                continue
            self.trying += message.status == 100
            self.successes += 200 <= message.status < 300
            if message.status >= 300:
                self.failures.add(message.status)
                self.caller.acknowledges(self.call, message)
