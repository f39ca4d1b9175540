"""The users that an administrator has ticked, kept over the pages of the list for each session."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

# Users that one session can choose, and sessions that have chosen some: some 8 MB each.
MAX_CHOSEN = 200_000
MAX_SESSIONS = 8
# Seconds after the last tick.
MAX_AGE = 15 * 60
_NUMBERS = 10**12


@dataclass
class Selection:
    """The ids of the chosen users.  `number` changes with them, so that a page can name them."""

    changed_at: float = 0.0
    ids: set[int] = field(default_factory=set)
    number: int = 0


class Selections:
    """The selections of all sessions; the oldest one makes room for a new one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._selections: dict[int, Selection] = {}  # by session, the oldest first

    def of(self, session: int) -> Selection:
        """Return the selection of a session; it is empty after MAX_AGE."""
        selection = self._selections.get(session)
        if selection is None or self._clock() > selection.changed_at + MAX_AGE:
            self._selections.pop(session, None)
            return Selection()
        return selection

    def tick(self, session: int, shown: Iterable[int], ticked: Iterable[int]) -> Selection:
        """Take over the ticks of one page: of the users that it has shown, those are chosen."""
        selection = self.of(session)
        before = len(selection.ids)
        chosen = [number for number in ticked if number not in selection.ids]
        gone = set(shown).difference(ticked) & selection.ids
        selection.ids -= gone
        selection.ids.update(chosen[: MAX_CHOSEN - len(selection.ids)])
        if gone or len(selection.ids) != before:
            self._keep(session, selection)
        return selection

    def replace(self, session: int, ids: set[int]) -> Selection:
        """Choose exactly these users."""
        selection = Selection(ids=ids)
        self._keep(session, selection)
        return selection

    def clear(self, session: int) -> None:
        """Choose no user."""
        self._selections.pop(session, None)

    def _keep(self, session: int, selection: Selection) -> None:
        selection.changed_at, selection.number = self._clock(), secrets.randbelow(_NUMBERS)
        self._selections.pop(session, None)
        if selection.ids:
            while len(self._selections) >= MAX_SESSIONS:
                del self._selections[next(iter(self._selections))]
            self._selections[session] = selection
