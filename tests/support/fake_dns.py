"""A DNS in memory: it answers at once, late or never."""

from collections.abc import Sequence

import gevent
from gevent.event import Event

from sip.transport.dns.client import NoAnswer, Records


class FakeDns:
    """Records by name and type, in `records`.

    `asked` are the questions so far.  Questions in `silent` get no answer, and none gets one while
    it `is_dead`; `fails` is raised.
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
        """Return True if a question was answered since the last call."""
        was, self._has_answered = self._has_answered, False
        return was

    def waits(self) -> None:
        """Answer nothing before `answers`."""
        self._may.clear()

    def may_answer(self) -> None:
        """Answer as soon as another greenlet runs."""
        self._may.set()

    def answers(self) -> None:
        """Answer all that has been asked."""
        self.may_answer()
        for _ in range(8):
            gevent.sleep(0)
