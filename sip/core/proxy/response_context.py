"""Which of many answers goes back: the response context of RFC 3261 §16.7.  It never waits."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sip.message.message import Response

B = TypeVar("B", bound=Hashable)

# §16.7, step 6: within the 4xx, first what tells the client how to ask better; then that a person
# is there and busy; last what only says that nobody was found.
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
    """A final answer of one branch; `response` is None where nobody sent it (§16.7, step 6)."""

    status: int
    response: Response | None

    @property
    def rank(self) -> tuple[int, int]:
        """Lower is better (§16.7, step 6)."""
        hundreds = self.status // 100
        if hundreds == 6:
            return (0, 0)
        within = _RANK_OF_4XX.get(self.status, _RANK_OF_OTHERS) if hundreds == 4 else 0
        # A branch that could not be reached says less than one that answered.
        return (hundreds, within + (6 if self.response is None else 0))


class ResponseContext(Generic[B]):
    """The branches of one forwarded request, and what they answered.

    `relay` says of each final response whether it goes upstream at once; the best of the others
    is for the end, when nothing is pending.
    """

    def __init__(self) -> None:
        self.pending: set[B] = set()
        self.answers: list[Answered] = []
        self.is_decided = False  # no further branch is begun
        self.is_answered = False  # a 2xx goes upstream
        self.is_cancelled = False

    def add(self, branch: B) -> None:
        """Count on an answer from a new branch."""
        self.pending.add(branch)

    def receive(self, branch: B, status: int, response: Response | None) -> tuple[bool, set[B]]:
        """Take a branch's final answer: is it relayed at once, and which branches are cancelled.

        A 2xx is relayed and ends the search; a 6xx ends it too, but waits for the others, one of
        which may already have been answered (§16.7, steps 5 and 10).
        """
        self.pending.discard(branch)
        if 200 <= status < 300:
            self.is_decided = self.is_answered = True
            return True, set(self.pending)
        self.answers.append(Answered(status, response))
        if status >= 600 and not self.is_decided:
            self.is_decided = True
            return False, set(self.pending)
        return False, set()

    def cancel(self) -> set[B]:
        """A CANCEL came from upstream: which branches are to hear of it (§16.10)."""
        self.is_cancelled = self.is_decided = True
        return set(self.pending)

    def best(self) -> Answered:
        """Choose among the final answers (§16.7, step 6); there must be one."""
        return min(self.answers, key=lambda answer: answer.rank)

    def other_challenges(self, best: Answered) -> list[tuple[str, str]]:
        """The challenges of all other branches, for a 401 or 407 that goes back (§16.7, step 7).

        As (name, line) of header fields.
        """
        return [
            (name, line)
            for answer in self.answers
            if answer is not best and answer.response is not None and answer.status in _CHALLENGES
            for name, line in zip(answer.response.names, answer.response.lines, strict=True)
            if name in _CHALLENGE_FIELDS
        ]
