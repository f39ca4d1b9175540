"""Wrong passwords: how often somebody may be wrong, and how long they wait then.

Pure: the time is an argument.  A source is an address, or the network of one in IPv6; only answers
that prove that they come from there are counted here, see `guard`.
"""

from collections import OrderedDict
from dataclasses import dataclass
from math import inf

# Wrong answers for one user from one source.  A phone that is set up wrongly repeats itself without
# end, and stops here: two of them in an office don't use up the tries of the whole office.
TRIES_OF_USER = 5
# Wrong answers from one source, for whichever users.  With those that are let through after each
# wait, by two users and in the first day, it makes 20 at most; then it is one a day.
TRIES_OF_SOURCE = 11
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

    def wait(self, now: float) -> float:
        """Begin the next wait, and tell its length."""
        seconds = min(FIRST_WAIT * LONGER ** min(self.waits, 8), LONGEST_WAIT)
        self.waits += 1
        self.until = now + seconds
        self.forgotten_at = self.until + REMEMBERED
        return seconds


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
        self._doubts: dict[str, int] = {}
        self._doubts_until = inf

    def __len__(self) -> int:
        return len(self._tries)

    def waits(self, source: str, username: str | None, now: float) -> bool:
        """Tell whether a user is not looked at from a source; None is the source itself."""
        tries = self._tries.get((source, username))
        return tries is not None and now < tries.until

    def wrong(self, source: str, username: str, now: float) -> float:
        """Count a wrong answer.  Tells how long the source has to wait from now, mostly 0."""
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

    def right(self, source: str, username: str) -> None:
        """Take back what a user has done wrong from a source."""
        of_user = self._tries.pop((source, username), None)
        of_source = self._tries.get((source, None))
        if of_user is not None and of_source is not None:
            of_source.count = max(0, of_source.count - min(of_user.count, TRIES_OF_USER))

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
        for key in [key for key in self._tries if key[0] == source]:
            del self._tries[key]

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
