"""Wrong passwords: how often somebody may be wrong, and how long they wait then.

Pure: the time is an argument.  A source is an address, or the network of one in IPv6; only answers
that prove that they come from there are counted here, see `guard`.

One typo is one try.  Some phones answer each challenge of a request again, within milliseconds and
with the same password, and a server cannot see that it is the same one.  So a few answers of one
Call-ID within some seconds are folded into one try.  A guesser may do the same with a different
password in each answer, so the answers that a source has folded are bounded as well: 20 answers
at most are compared with a password before the source waits, 14 for one user, and 28 in the first
day.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf

# Wrong answers for one user from one source.  A phone that is set up wrongly repeats itself without
# end, and stops here: two of them in an office don't use up the tries of the whole office.
TRIES_OF_USER = 5
# Wrong answers from one source, for whichever users.  With those that are let through after each
# wait, by two users and in the first day, it makes 20 at most; then it is one a day.
TRIES_OF_SOURCE = 11
# Answers of one Call-ID that are one try, where they come so soon after the first of them, in
# seconds: widespread stacks give up after five, even over a slow line.
ANSWERS_OF_TRY = 5
FOLD_SECONDS = 10.0
# Answers from one source that are folded into others: two typos of such a phone, and one more.
MAX_FOLDED = 9
# Call-IDs whose latest answers are remembered, some 300 octets each; the oldest goes, and the next
# answer of that Call-ID is a try of its own.
MAX_CALLS = 4096
# Wrong answers to nonces that a source was not given.
TRIES_WITHOUT_PROOF = 1
# The first wait, the longest, and how much longer each is than the one before.
FIRST_WAIT = 600.0
LONGEST_WAIT = 86_400.0
LONGER = 4.0
# So long after the last of it nothing is remembered any more.
REMEMBERED = 7 * 86_400.0
# Sources, and users at a source, that are remembered; the oldest goes, some 300 octets each.
MAX_KEPT = 20_000
# Sources whose answers to nonces of somebody else are counted, until all are forgotten together.
MAX_DOUBTED = 20_000


@dataclass(slots=True)
class _Tries:
    """What has been wrong so far, and until when nothing more is looked at."""

    count: int = 0
    waits: int = 0
    until: float = 0.0
    forgotten_at: float = inf
    folded: int = 0  # answers that were not counted

    def wait(self, now: float) -> float:
        """Begin the next wait, and tell its length."""
        seconds = min(FIRST_WAIT * LONGER ** min(self.waits, 8), LONGEST_WAIT)
        self.waits += 1
        self.until = now + seconds
        self.forgotten_at = self.until + REMEMBERED
        return seconds


@dataclass(slots=True)
class _Call:
    """The wrong answers of one Call-ID: the first of a try, how many were folded, the latest."""

    began_at: float
    folded: int = 0
    answers: list[int] = field(default_factory=list)


class Guesses:
    """Counts wrong answers, by source and by user at a source.

    At its bound a user is not looked at any more from that source, then a source not at all; after
    the wait there is one try, and a longer wait.  What a user does wrong then is an old story and
    counts against its source no more, unless that had to wait before.  A right answer takes back
    what its user has added: those were slips.  Nobody who knows one password gets more guesses at
    another.
    """

    def __init__(self) -> None:
        self._tries: OrderedDict[tuple[str, str | None], _Tries] = OrderedDict()
        self._calls: OrderedDict[int, _Call] = OrderedDict()
        self._doubts: dict[str, int] = {}
        self._doubts_until = inf

    def __len__(self) -> int:
        return len(self._tries)

    def waits(self, source: str, username: str | None, now: float) -> bool:
        """Tell whether a user is not looked at from a source; None is the source itself."""
        tries = self._tries.get((source, username))
        return tries is not None and now < tries.until

    def wrong(
        self, source: str, username: str, now: float, *, call_id: str = "", answer: str = ""
    ) -> float:
        """Count a wrong answer.  Return how long the source has to wait from now, mostly 0.

        `answer` is the digest that was sent in a request of `call_id`; without a Call-ID each
        answer is a try.
        """
        if call_id and self._is_same_try(source, username, now, call_id, answer):
            return 0.0
        of_user = self._of(source, username, now)
        of_user.count += 1
        is_old_story = of_user.count > TRIES_OF_USER
        if of_user.count >= TRIES_OF_USER:
            of_user.wait(now)
        of_source = self._of(source, None, now)
        if not is_old_story or of_source.count >= TRIES_OF_SOURCE:
            of_source.count += 1
        if of_source.count < TRIES_OF_SOURCE or now < of_source.until:
            return 0.0
        return of_source.wait(now)

    def _is_same_try(
        self, source: str, username: str, now: float, call_id: str, answer: str
    ) -> bool:
        """Return True for an answer that belongs to a try which is counted already.

        The very same answer again, a datagram that was repeated for one, tells a guesser nothing
        new and is never counted.
        """
        key, digest = hash((source, username, call_id)), hash(answer)
        call = self._calls.get(key)
        if call is None:
            call = self._calls[key] = _Call(-inf)
            if len(self._calls) > MAX_CALLS:
                self._calls.popitem(last=False)
        elif digest in call.answers:
            return True
        call.answers = [*call.answers[1 - ANSWERS_OF_TRY :], digest]
        if now >= call.began_at + FOLD_SECONDS:
            call.began_at, call.folded = now, 0
            self._calls.move_to_end(key)
            return False
        of_source = self._of(source, None, now)
        if call.folded >= ANSWERS_OF_TRY - 1 or of_source.folded >= MAX_FOLDED:
            return False
        call.folded += 1
        of_source.folded += 1
        self._of(source, username, now).folded += 1
        return True

    def right(self, source: str, username: str) -> bool:
        """Take back what a user has done wrong from a source; False: nothing."""
        of_user = self._tries.pop((source, username), None)
        of_source = self._tries.get((source, None))
        if of_user is not None and of_source is not None:
            of_source.count = max(0, of_source.count - min(of_user.count, TRIES_OF_USER))
            of_source.folded = max(0, of_source.folded - of_user.folded)
        return of_user is not None

    def shut(self, source: str, now: float) -> float:
        """Let a source wait for another reason, and tell how long."""
        of_source = self._of(source, None, now)
        of_source.count = max(of_source.count, TRIES_OF_SOURCE)
        return of_source.wait(now)

    def times(self, source: str) -> int:
        """Tell how often a source had to wait."""
        tries = self._tries.get((source, None))
        return tries.waits if tries else 0

    def restore(self, source: str, times: int, until: float, now: float) -> None:
        """Know again what was known before a restart."""
        tries = self._of(source, None, now)
        tries.count, tries.waits, tries.until = TRIES_OF_SOURCE, times, until
        tries.forgotten_at = max(now, until) + REMEMBERED

    def forgive(self, source: str) -> None:
        """Know nothing more of a source."""
        self.forgive_all(lambda each: each == source)

    def forgive_all(self, is_forgiven: Callable[[str], bool]) -> None:
        """Know nothing more of all sources that `is_forgiven` says yes to."""
        for key in [key for key in self._tries if is_forgiven(key[0])]:
            del self._tries[key]
        for source in [source for source in self._doubts if is_forgiven(source)]:
            del self._doubts[source]

    def of_users(self, now: float) -> Iterator[tuple[str, str, int, float, bool]]:
        """Give each user at a source with wrong answers, the latest first.

        As (source, username, tries, until, is_source): `until` is the end of the wait, of the
        user's own or of that of the whole source, 0.0 where there is none.
        """
        for (source, username), tries in reversed(self._tries.items()):
            if username is None or now >= tries.forgotten_at:
                continue
            until = tries.until if now < tries.until else 0.0
            of_source = self._tries.get((source, None))
            is_source = of_source is not None and now < of_source.until
            if is_source and of_source is not None:
                until = max(until, of_source.until)
            yield source, username, tries.count, until, is_source

    def is_doubted(self, source: str, now: float) -> bool:
        """Tell whether a source has answered nonces of somebody else often enough.

        Such an answer lets nobody in, but a right one hears that only its nonce was wrong
        (RFC 7616 §3.3), which is worth a guess.  Anybody may have sent it in the name of that
        address, so nobody is banned for it, and who is really there answers our own nonce.
        """
        if now >= self._doubts_until:
            self._doubts.clear()
        count = self._doubts.get(source)
        if count is None:
            return len(self._doubts) >= MAX_DOUBTED
        return count >= TRIES_WITHOUT_PROOF

    def doubt(self, source: str, now: float) -> None:
        """Count a wrong answer to a nonce that was not made for its source."""
        if not self._doubts:
            self._doubts_until = now + LONGEST_WAIT
        if source in self._doubts or len(self._doubts) < MAX_DOUBTED:
            self._doubts[source] = self._doubts.get(source, 0) + 1

    def _of(self, source: str, username: str | None, now: float) -> _Tries:
        key = source, username
        tries = self._tries.pop(key, None)
        if tries is None or now >= tries.forgotten_at:
            tries = _Tries()
        tries.forgotten_at = max(now, tries.until) + REMEMBERED
        self._tries[key] = tries  # the latest are last
        if len(self._tries) > MAX_KEPT:
            self._tries.popitem(last=False)
        return tries
