"""What name servers have answered, and the questions that they are being asked."""

from collections.abc import Callable, Iterable
from typing import cast

import gevent
from gevent.event import AsyncResult

from sip.transport.dns.client import Records, Unanswered

# Rows of answers that are kept, one at least of each answer: 0.3 kB, or 1 kB of the longest names.
MAX_KEPT_ROWS = 8192
# The longest that one is kept, whatever its zone says; and one that says that there is nothing.
MAX_SECONDS = 86_400.0
MAX_SECONDS_OF_NOTHING = 300.0
# How long a name server that did not answer is not asked the same again.
SECONDS_AFTER_SILENCE = 2.0
# Questions on their way at once.  Each has a descriptor, of which a system may give a thousand, and
# one to a silent server lasts seconds, whether or not the call that asked is still there.
MAX_OPEN_QUESTIONS = 256

# A name and a kind.
Question = tuple[str, str]
Answer = Records | Unanswered
Ask = Callable[[str, str], Records]


class DnsCache:
    """Asks by `ask`, and remembers what it says for as long as that is true."""

    def __init__(self, ask: Ask, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock
        self._kept: dict[Question, tuple[float, Answer]] = {}  # and until when
        self._rows = 0  # of all that is kept
        self._asking: dict[Question, AsyncResult[Answer]] = {}

    def to(self, questions: Iterable[Question]) -> dict[Question, Answer]:
        """The answers to several questions, which are asked at once; waits for all of them."""
        wanted = list(dict.fromkeys(questions))
        unknown = [question for question in wanted if self._known(question) is None]
        if len(unknown) < 2:
            return {question: self._answer(question) for question in wanted}
        asked = {question: gevent.spawn(self._answer, question) for question in unknown}
        return {
            question: asked[question].get() if question in asked else self._answer(question)
            for question in wanted
        }

    def _known(self, question: Question) -> Answer | None:
        until, answer = self._kept.get(question, (0.0, None))
        return answer if until > self._clock() else None

    def _answer(self, question: Question) -> Answer:
        """What is known, else what the name servers say; one asks, and all others wait for it."""
        known = self._known(question)
        if known is not None:
            return known
        asked = self._asking.get(question)
        if asked is not None:
            return cast(Answer, asked.get())
        if len(self._asking) >= MAX_OPEN_QUESTIONS:
            return Unanswered("too many questions are waiting for an answer")
        asking = self._asking[question] = AsyncResult()
        answer: Answer = Unanswered("the question was given up")
        try:
            answer = self._ask(*question)
            seconds = min(answer.seconds, MAX_SECONDS if answer.found else MAX_SECONDS_OF_NOTHING)
        except Unanswered as error:
            # One of our own: what was raised holds on to all that it has come through.
            answer, seconds = Unanswered(str(error)), SECONDS_AFTER_SILENCE
        finally:
            del self._asking[question]
            asking.set(answer)
        self._keep(question, answer, seconds)
        return answer

    def _keep(self, question: Question, answer: Answer, seconds: float) -> None:
        """Remember an answer, in place of those that were remembered first."""
        self._forget(question)
        self._rows += _rows_of(answer)
        while self._kept and self._rows > MAX_KEPT_ROWS:
            self._forget(next(iter(self._kept)))
        self._kept[question] = self._clock() + seconds, answer

    def _forget(self, question: Question) -> None:
        _, answer = self._kept.pop(question, (0.0, None))
        if answer is not None:
            self._rows -= _rows_of(answer)


def _rows_of(answer: Answer) -> int:
    return 1 if isinstance(answer, Unanswered) else max(1, len(answer.found))
