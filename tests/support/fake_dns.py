"""Names for tests, in place of the DNS: answers at once, late, or never."""

from collections.abc import Sequence

import gevent
from gevent.event import Event

from sip.transport.dns.client import NoAnswer, Records


class FakeDns:
    """What the name servers know: `records` by name and kind.

    `asked` are the questions that came.  Those in `silent` are not answered, and none while it
    `is_dead`; `fails` is raised.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Sequence] = {}
        self.seconds = 60.0
        self.asked: list[tuple[str, str]] = []
        self.is_dead = False
        self.silent: set[tuple[str, str]] = set()
        self.fails: Exception | None = None
        self._has_answered = False
        self._may = Event()
        self._may.set()

    def __call__(self, name: str, kind: str) -> Records:
        self.asked.append((name, kind))
        self._may.wait()
        self._has_answered = True
        if self.fails:
            raise self.fails
        if self.is_dead:
            raise NoAnswer("no name server answers")
        if (name, kind) in self.silent:
            raise NoAnswer(f"{kind} is lost")
        return Records(self.records.get((name, kind), ()), self.seconds)

    def is_at_work(self) -> bool:
        """Tell whether anything has been answered since this was asked last."""
        was, self._has_answered = self._has_answered, False
        return was

    def waits(self) -> None:
        """Answer nothing before `answers`."""
        self._may.clear()

    def may_answer(self) -> None:
        """Answer, as soon as anybody has a turn."""
        self._may.set()

    def answers(self) -> None:
        """Answer all that has been asked."""
        self.may_answer()
        for _ in range(8):
            gevent.sleep(0)
