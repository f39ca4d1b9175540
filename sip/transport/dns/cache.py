"""A cache of DNS answers, which also merges equal questions that are asked at once."""

from collections.abc import Callable, Iterable
from typing import cast

import gevent
from gevent.event import AsyncResult

from sip.transport.dns.client import NoAnswer, Records

# Cached records; an answer without any counts as one.  Each takes 0.3 kB, or 1 kB with long names.
MAX_CACHED_RECORDS = 8192
# Maximum seconds in the cache, even if the zone says more: of an answer with records, and of one
# without (RFC 2308).
MAX_TTL = 86_400.0
MAX_NEGATIVE_TTL = 300.0
# Seconds until a question without an answer may be asked again.
NO_ANSWER_TTL = 2.0
# Questions that wait for an answer at once.  Each takes a descriptor, of which a process may have
# only a thousand, and a question to a silent server lasts seconds, even if its call has ended.
MAX_PENDING_QUESTIONS = 256

# A name and a record type.
Question = tuple[str, str]
Answer = Records | NoAnswer
Ask = Callable[[str, str], Records]


class DnsCache:
    """Asks by `ask`, and caches its answers until they expire."""

    def __init__(self, ask: Ask, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock
        self._cached: dict[Question, tuple[float, Answer]] = {}  # with the time of expiry
        self._records = 0  # in the cache
        self._pending: dict[Question, AsyncResult[Answer]] = {}

    def answers(self, questions: Iterable[Question]) -> dict[Question, Answer]:
        """Return the answers to several questions, asked in parallel; waits for all of them."""
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
        until, answer = self._cached.get(question, (0.0, None))
        return answer if until > self._clock() else None

    def _answer(self, question: Question) -> Answer:
        """Return the cached answer, or ask; greenlets with one question wait for one answer."""
        known = self._known(question)
        if known is not None:
            return known
        asked = self._pending.get(question)
        if asked is not None:
            return cast(Answer, asked.get())
        if len(self._pending) >= MAX_PENDING_QUESTIONS:
            return NoAnswer("too many DNS questions are pending")
        asking = self._pending[question] = AsyncResult()
        answer: Answer = NoAnswer("the question was aborted")
        try:
            answer = self._ask(*question)
            seconds = min(answer.seconds, MAX_TTL if answer.found else MAX_NEGATIVE_TTL)
        except NoAnswer as error:
            # A new exception: the caught one keeps its whole traceback alive.
            answer, seconds = NoAnswer(str(error)), NO_ANSWER_TTL
        finally:
            del self._pending[question]
            asking.set(answer)
        self._store(question, answer, seconds)
        return answer

    def _store(self, question: Question, answer: Answer, seconds: float) -> None:
        """Cache an answer; when the cache is full, remove the oldest answers."""
        self._remove(question)
        self._records += _records_of(answer)
        while self._cached and self._records > MAX_CACHED_RECORDS:
            self._remove(next(iter(self._cached)))
        self._cached[question] = self._clock() + seconds, answer

    def _remove(self, question: Question) -> None:
        _, answer = self._cached.pop(question, (0.0, None))
        if answer is not None:
            self._records -= _records_of(answer)


def _records_of(answer: Answer) -> int:
    return 1 if isinstance(answer, NoAnswer) else max(1, len(answer.found))
