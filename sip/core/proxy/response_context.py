"""The response context: which final response goes upstream (RFC 3261 §16.7).  It never waits."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from sip.message.message import Response

B = TypeVar("B")

# §16.7, step 6: within the 4xx, first those that tell the client how to change its request; then
# 486, a busy person; last those that only say that no phone was found.
_RANK_OF_4XX = (
    dict.fromkeys((401, 407), 0)
    | dict.fromkeys((415, 420, 421, 422, 423, 484, 494), 1)
    | {486: 2}
    | dict.fromkeys((404, 408, 480), 4)
    | {487: 5}
)
_RANK_OF_OTHERS = 3
_CHALLENGES = (401, 407)
_CHALLENGE_FIELDS = ("www-authenticate", "proxy-authenticate")


@dataclass(slots=True)
class Answered:
    """The final result of one branch; `response` is None if none was received (§16.7, step 6)."""

    status: int
    response: Response | None

    @property
    def rank(self) -> tuple[int, int]:
        """A sort key: lower is better (§16.7, step 6)."""
        hundreds = self.status // 100
        if hundreds == 6:
            return (0, 0)
        within = _RANK_OF_4XX.get(self.status, _RANK_OF_OTHERS) if hundreds == 4 else 0
        # A received response says more than a time-out or an unreachable host.
        return (hundreds, within + (6 if self.response is None else 0))


class ResponseContext(Generic[B]):
    """The branches of one forwarded request, and their final results.

    A 2xx goes upstream at once.  The best of the other responses goes upstream at the end, when no
    branch is pending.
    """

    __slots__ = ("answers", "is_answered", "is_cancelled", "is_decided", "pending")

    def __init__(self) -> None:
        self.pending: list[B] = []  # at most a few dozen, in the order of their start
        self.answers: list[Answered] = []
        self.is_decided = False  # no further branch may start
        self.is_answered = False  # a 2xx went upstream
        self.is_cancelled = False

    def add(self, branch: B) -> None:
        """Add a branch that is pending now."""
        self.pending.append(branch)

    def receive(self, branch: B, status: int, response: Response | None) -> tuple[bool, list[B]]:
        """Take the final result of a branch.

        Return whether it is relayed at once, and the branches to cancel.  A 2xx is relayed and ends
        the search.  A 6xx also ends the search, but waits for the other branches, because one of
        them may have sent a 2xx already (§16.7, steps 5 and 10).
        """
        self.pending.remove(branch)
        if 200 <= status < 300:
            self.is_decided = self.is_answered = True
            return True, self.pending[:]
        self.answers.append(Answered(status, response))
        if status >= 600 and not self.is_decided:
            self.is_decided = True
            return False, self.pending[:]
        return False, []

    def cancel(self) -> list[B]:
        """End the search after a CANCEL from upstream; return the branches to cancel (§16.10)."""
        self.is_cancelled = self.is_decided = True
        return self.pending[:]

    def best(self) -> Answered:
        """Return the best final result (§16.7, step 6); there must be one."""
        return min(self.answers, key=lambda answer: answer.rank)

    def other_challenges(self, best: Answered) -> list[tuple[str, str]]:
        """Return the challenges of the other branches, for a 401 or 407 (§16.7, step 7).

        Each is the (name, line) of a header field.
        """
        return [
            (name, line)
            for answer in self.answers
            if answer is not best and answer.response is not None and answer.status in _CHALLENGES
            for name, line in zip(answer.response.names, answer.response.lines, strict=True)
            if name in _CHALLENGE_FIELDS
        ]
