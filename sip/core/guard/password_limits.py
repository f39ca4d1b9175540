"""Limits on wrong passwords: how many a source may send, and how long it is blocked afterwards.

Problem: stop password guessing, but do not block an office for one phone with a wrong password, nor
    a phone whose address an attacker forges.
Model: failed logins are counted per user at a source, and per source.  At a bound the user, or the
    whole source, is blocked.  Each block is BLOCK_GROWTH times longer than the one before, with one
    attempt between two blocks.  A right password clears the failures of its user.
Invariant: only an answer to a nonce that was given to this source counts against the source, so a
    forged datagram bans no source.  A guesser who knows one password gains no attempts at others.
Bounds: 20 passwords per source are compared before it is blocked, or 14 for one user, and 28 in
    the first day; MAX_RECORDS, MAX_CALLS and MAX_UNVERIFIED_SOURCES entries are remembered.

One typo is one attempt.  Some phones answer each challenge of a request again, within milliseconds
and with the same password, and a server cannot see that it is the same one.  So a few answers of
one Call-ID within some seconds are folded into one attempt.  A guesser may do the same with a
different password in each answer, so the folded answers of a source are bounded as well.

Pure: the time is an argument.  A source is an IPv4 address, or the /64 network of an IPv6 address.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

# Failures of one user from one source.  A phone with a wrong password repeats it for ever and stops
# here: two such phones in an office do not use up the attempts of the whole office.
MAX_FAILURES_OF_USER = 5
# Failures from one source, of all users.  Together with the attempts between two blocks, of two
# users and in the first day, they are 20 at most; later it is one attempt per day.
MAX_FAILURES_OF_SOURCE = 11
# Answers of one Call-ID that count as one attempt if they arrive within FOLD_SECONDS of the first:
# widespread SIP stacks give up after five, even over a slow line.
ANSWERS_PER_ATTEMPT = 5
FOLD_SECONDS = 10.0
# Answers of one source that are folded into others: two typos of such a phone, and one more.
MAX_FOLDED = 9
# Call-IDs whose latest answers are remembered, some 300 octets each.  The oldest is removed; the
# next answer of that Call-ID is an attempt of its own.
MAX_CALLS = 4096
# Wrong answers to nonces that were not given to this source.
MAX_UNVERIFIED_FAILURES = 1
# The first block and the longest, in seconds, and the factor from each block to the next.
FIRST_BLOCK_SECONDS = 600.0
MAX_BLOCK_SECONDS = 86_400.0
BLOCK_GROWTH = 4.0
# Seconds after the last failure or block until the record is removed.
REMEMBERED_SECONDS = 7 * 86_400.0
# Sources, and users at a source, that are remembered, some 300 octets each; the oldest is removed.
MAX_RECORDS = 20_000
# Blocks that one page of blocked users looks at, about a microsecond each.
MAX_EXAMINED = 2_000
# Sources whose answers to foreign nonces are counted; all of them are removed together.
MAX_UNVERIFIED_SOURCES = 20_000


@dataclass(slots=True)
class _Record:
    """The failures of a source, or of a user at a source, and the end of its block.

    `number` is that of the latest block of a user.
    """

    count: int = 0
    blocks: int = 0
    blocked_until: float = 0.0
    forgotten_at: float = inf
    folded: int = 0  # answers that were not counted
    number: int = 0

    def block(self, now: float) -> float:
        """Begin the next block, and return its length in seconds."""
        seconds = min(FIRST_BLOCK_SECONDS * BLOCK_GROWTH ** min(self.blocks, 8), MAX_BLOCK_SECONDS)
        self.blocks += 1
        self.blocked_until = now + seconds
        self.forgotten_at = self.blocked_until + REMEMBERED_SECONDS
        return seconds


class BlockedUser(NamedTuple):
    """A user whose logins from one source are blocked; `number` grows with each block."""

    number: int
    source: str
    username: str
    failures: int
    blocked_until: float


@dataclass(slots=True)
class _Call:
    """The wrong answers of one Call-ID: start of an attempt, number folded, latest digests."""

    began_at: float
    folded: int = 0
    answers: list[int] = field(default_factory=list)


class FailedLogins:
    """Counts failed logins per source, and per user at a source.

    `first_number` is that of the first block of a user.
    """

    def __init__(self, first_number: int = 1) -> None:
        self._next_number = first_number
        # Number, source and username of each block of a user; those that have ended stay for a
        # while, at most 2 * MAX_RECORDS, and are told apart by the number in the record.
        self._user_blocks: list[tuple[int, str, str]] = []
        self._records: OrderedDict[tuple[str, str | None], _Record] = OrderedDict()
        self._calls: OrderedDict[int, _Call] = OrderedDict()
        self._unverified: dict[str, int] = {}
        self._unverified_until = inf

    def __len__(self) -> int:
        return len(self._records)

    def is_blocked(self, source: str, username: str | None, now: float) -> bool:
        """Return True while logins of `username` from `source` are blocked.

        None as `username` asks for the whole source.
        """
        record = self._records.get((source, username))
        return record is not None and now < record.blocked_until

    def count_failure(
        self, source: str, username: str, now: float, *, call_id: str = "", answer: str = ""
    ) -> float:
        """Count a wrong answer.  Return how many seconds the whole source is blocked, mostly 0.

        `answer` is the digest that was sent in a request of `call_id`; without a Call-ID each
        answer is an attempt.  A failure of a user beyond its bound, between two blocks, counts
        against the source only if the source was at its own bound before.
        """
        if call_id and self._is_same_attempt(source, username, now, call_id, answer):
            return 0.0
        of_user = self._record(source, username, now)
        of_user.count += 1
        is_counted_already = of_user.count > MAX_FAILURES_OF_USER
        if of_user.count >= MAX_FAILURES_OF_USER:
            of_user.block(now)
            self._add_user_block(source, username, of_user)
        of_source = self._record(source, None, now)
        if not is_counted_already or of_source.count >= MAX_FAILURES_OF_SOURCE:
            of_source.count += 1
        if of_source.count < MAX_FAILURES_OF_SOURCE or now < of_source.blocked_until:
            return 0.0
        return of_source.block(now)

    def _is_same_attempt(
        self, source: str, username: str, now: float, call_id: str, answer: str
    ) -> bool:
        """Return True for an answer that belongs to an attempt which is counted already.

        The very same answer again, as in a retransmitted datagram, tells a guesser nothing new and
        is never counted.
        """
        key, digest = hash((source, username, call_id)), hash(answer)
        call = self._calls.get(key)
        if call is None:
            call = self._calls[key] = _Call(-inf)
            if len(self._calls) > MAX_CALLS:
                self._calls.popitem(last=False)
        elif digest in call.answers:
            return True
        call.answers = [*call.answers[1 - ANSWERS_PER_ATTEMPT :], digest]
        if now >= call.began_at + FOLD_SECONDS:
            call.began_at, call.folded = now, 0
            self._calls.move_to_end(key)
            return False
        of_source = self._record(source, None, now)
        if call.folded >= ANSWERS_PER_ATTEMPT - 1 or of_source.folded >= MAX_FOLDED:
            return False
        call.folded += 1
        of_source.folded += 1
        self._record(source, username, now).folded += 1
        return True

    def clear_user(self, source: str, username: str) -> bool:
        """Remove the failures of a user at a source, also from the source's count.

        Return False if there were none.
        """
        of_user = self._records.pop((source, username), None)
        of_source = self._records.get((source, None))
        if of_user is not None and of_source is not None:
            of_source.count = max(0, of_source.count - min(of_user.count, MAX_FAILURES_OF_USER))
            of_source.folded = max(0, of_source.folded - of_user.folded)
        return of_user is not None

    def block(self, source: str, now: float) -> float:
        """Block a source for another reason, and return for how many seconds."""
        of_source = self._record(source, None, now)
        of_source.count = max(of_source.count, MAX_FAILURES_OF_SOURCE)
        return of_source.block(now)

    def block_count(self, source: str) -> int:
        """Return how often a source was blocked."""
        record = self._records.get((source, None))
        return record.blocks if record else 0

    def restore(self, source: str, blocks: int, blocked_until: float, now: float) -> None:
        """Set the record of a source as it was before a restart."""
        record = self._record(source, None, now)
        record.count, record.blocks = MAX_FAILURES_OF_SOURCE, blocks
        record.blocked_until = blocked_until
        record.forgotten_at = max(now, blocked_until) + REMEMBERED_SECONDS

    def clear_source(self, source: str) -> None:
        """Remove all failures and blocks of a source."""
        self.clear_sources(lambda each: each == source)

    def clear_sources(self, is_cleared: Callable[[str], bool]) -> None:
        """Remove all failures and blocks of the sources for which `is_cleared` returns True."""
        for key in [key for key in self._records if is_cleared(key[0])]:
            del self._records[key]
        for source in [source for source in self._unverified if is_cleared(source)]:
            del self._unverified[source]

    def by_user(self, now: float) -> Iterator[tuple[str, str, int, float, bool]]:
        """Yield each user at a source with failures, the latest first.

        As (source, username, failures, blocked_until, is_source_blocked): `blocked_until` is the
        end of the block of the user or of the whole source, 0.0 if there is none.
        """
        for (source, username), record in reversed(self._records.items()):
            if username is None or now >= record.forgotten_at:
                continue
            until = record.blocked_until if now < record.blocked_until else 0.0
            of_source = self._records.get((source, None))
            is_source = of_source is not None and now < of_source.blocked_until
            if is_source and of_source is not None:
                until = max(until, of_source.blocked_until)
            yield source, username, record.count, until, is_source

    def blocked_users(
        self, now: float, before: int | None, limit: int
    ) -> tuple[list[BlockedUser], int | None]:
        """Return up to `limit` blocked users, the latest first, and the `before` of the next page.

        Only those with a number below `before`, and none of a source that is blocked as a whole.
        At the end of the list the second value is None.  A page may have fewer than `limit` before
        that, because MAX_EXAMINED bounds its cost.
        """
        blocks = self._user_blocks
        found: list[BlockedUser] = []
        end = len(blocks) if before is None else bisect_left(blocks, (before,))
        first = max(0, end - MAX_EXAMINED)
        for place in range(end - 1, first - 1, -1):
            number, source, username = blocks[place]
            record = self._records.get((source, username))
            if record is None or record.number != number or now >= record.blocked_until:
                continue  # it has ended
            if self.is_blocked(source, None, now):
                continue
            if len(found) >= limit:
                return found, found[-1].number
            until = record.blocked_until
            found.append(BlockedUser(number, source, username, record.count, until))
        return found, blocks[first][0] if first else None

    def _add_user_block(self, source: str, username: str, record: _Record) -> None:
        record.number = self._next_number
        self._next_number += 1
        if len(self._user_blocks) >= 2 * MAX_RECORDS:
            del self._user_blocks[:MAX_RECORDS]
        self._user_blocks.append((record.number, source, username))

    def is_unverified_blocked(self, source: str, now: float) -> bool:
        """Return True while answers of `source` to foreign nonces are blocked.

        Such an answer is never accepted, but a right one is told that only its nonce was wrong
        (RFC 7616 §3.3), which is worth a guess.  It may be forged in the name of that address, so
        the address is not banned for it, and a phone there still may answer its own nonce.
        """
        if now >= self._unverified_until:
            self._unverified.clear()
        count = self._unverified.get(source)
        if count is None:
            return len(self._unverified) >= MAX_UNVERIFIED_SOURCES
        return count >= MAX_UNVERIFIED_FAILURES

    def count_unverified_failure(self, source: str, now: float) -> None:
        """Count a wrong answer to a nonce that was not given to `source`."""
        if not self._unverified:
            self._unverified_until = now + MAX_BLOCK_SECONDS
        if source in self._unverified or len(self._unverified) < MAX_UNVERIFIED_SOURCES:
            self._unverified[source] = self._unverified.get(source, 0) + 1

    def _record(self, source: str, username: str | None, now: float) -> _Record:
        key = source, username
        record = self._records.pop(key, None)
        if record is None or now >= record.forgotten_at:
            record = _Record()
        record.forgotten_at = max(now, record.blocked_until) + REMEMBERED_SECONDS
        self._records[key] = record  # the latest are last
        if len(self._records) > MAX_RECORDS:
            self._records.popitem(last=False)
        return record
