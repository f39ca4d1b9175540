"""The latest refusals of registrations and calls, with cause and cure; in memory alone.

Anybody can have requests refused, so nobody may push out what an administrator looks for.  Rows are
kept apart by what is known of the sender.  In a full table the address with the most rows loses its
oldest one, so a phone that fails in many ways, or a guesser, pushes out its own rows first.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

# Rows shown, and rows kept of each kind of sender, about 1 kB each.
MAX_ROWS = 200
# Rows of each kind that are shown for sure, where there are more than MAX_ROWS in all.
_SHARES = (100, 50, 50)
# New rows in a second, some 20 µs each; a refusal like one in the table costs a tenth.
MAX_NEW_ROWS = 200
# Refusals looked at in a second: beyond that, the server has better things to do.
MAX_REFUSALS = 2000
# Characters of each text.
MAX_TEXT = 300
# Senders with a refusal since they registered last, a hundred octets each.
MAX_REFUSED = 2000


class Sender(IntEnum):
    """What is known of the sender of a refused request."""

    USER = 0  # a user here, at an address that is not forged
    VERIFIED = 1  # of no user here, at an address that is not forged
    UNVERIFIED = 2  # a datagram that anybody may have sent


@dataclass(slots=True)
class Refusal:
    """Requests that were refused for one cause: one row.  Moments are Unix seconds.

    `username` is that of the phone, "" where it names none; `realm` is None where it asked for a
    domain that is none of this server's.  `user` and `to` are `name` in the main realm, else
    `name@realm`; `to` is "" for a registration.  `address` and `device` are those of the latest.
    """

    first_at: float
    last_at: float
    count: int
    method: str
    status: int
    cause: str
    cure: str
    username: str
    realm: str | None
    user: str
    to: str
    address: str
    device: str

    def concerns(self, user: str, username: str, realm: str) -> bool:
        """Return True for a row that belongs on the page of a user."""
        if user in (self.user, self.to):
            return True
        # A phone of this user may have been given a wrong domain.
        return self.username == username and self.realm in (None, realm)


_Key = tuple[str, str, str, str, int, str, str]


class _Table:
    """Rows of one kind of sender, the latest last."""

    def __init__(self) -> None:
        self.rows: OrderedDict[_Key, Refusal] = OrderedDict()
        self._rows_of: Counter[str] = Counter()  # by network

    def add(self, key: _Key, row: Refusal) -> None:
        if len(self.rows) >= MAX_ROWS:
            self._make_room()
        self.rows[key] = row
        self._rows_of[key[-1]] += 1

    def _make_room(self) -> None:
        ((network, count),) = self._rows_of.most_common(1)
        oldest = next(iter(self.rows))
        if count > 1:
            oldest = next(key for key in self.rows if key[-1] == network)
        del self.rows[oldest]
        self._rows_of[oldest[-1]] -= 1
        if not self._rows_of[oldest[-1]]:
            del self._rows_of[oldest[-1]]


class Refusals:
    """Refused registrations and calls, equal ones in one row.

    Two are equal that differ in nothing but their time and device, and the port or, in IPv6, the
    /64 that they came from.  `refused` are users at an address who were refused there, and have not
    registered since.
    """

    def __init__(self, unix_clock: Callable[[], float]) -> None:
        self._unix_clock = unix_clock
        self._tables = [_Table() for _ in Sender]
        self.refused: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._new_left = MAX_NEW_ROWS
        self._left = MAX_REFUSALS

    def note(
        self,
        sender: Sender,
        *,
        method: str,
        status: int,
        cause: str,
        cure: str,
        username: str,
        realm: str | None,
        user: str,
        to: str,
        address: str,
        network: str,
        device: str,
    ) -> None:
        """Enter one refusal; in a flood, not each."""
        if self._left <= 0:
            return
        self._left -= 1
        if sender is Sender.USER:
            self.refused[user, network] = None
            if len(self.refused) > MAX_REFUSED:
                self.refused.popitem(last=False)
        now, table = self._unix_clock(), self._tables[sender]
        key = user, to, method, cause, status, cure, network
        row = table.rows.get(key)
        if row is not None:
            row.count += 1
            row.last_at, row.address, row.device = now, address, device[:MAX_TEXT]
            table.rows.move_to_end(key)
        elif self._new_left > 0:
            self._new_left -= 1
            texts = [text[:MAX_TEXT] for text in (user, to, address, device)]
            table.add(
                key,
                Refusal(now, now, 1, method, status, cause, cure, username, realm, *texts),
            )

    def clear_refused(self, user: str, network: str) -> bool:
        """Return True, once, for a user who was refused at an address since this was last asked."""
        if (user, network) not in self.refused:
            return False
        del self.refused[user, network]
        return True

    def latest(self) -> list[Refusal]:
        """Return the latest rows, the newest first; some of each kind of sender."""
        kinds = [list(reversed(table.rows.values())) for table in self._tables]
        shown = [rows[:share] for rows, share in zip(kinds, _SHARES, strict=True)]
        room = MAX_ROWS - sum(map(len, shown))
        for rows, part in zip(kinds, shown, strict=True):
            more = rows[len(part) : len(part) + room]
            part += more
            room -= len(more)
        found = [row for part in shown for row in part]
        return sorted(found, key=lambda row: row.last_at, reverse=True)

    def of_user(self, user: str, username: str, realm: str) -> list[Refusal]:
        """Return the rows that concern a user, the newest first."""
        found = [
            row
            for table in self._tables
            for row in table.rows.values()
            if row.concerns(user, username, realm)
        ]
        return sorted(found, key=lambda row: row.last_at, reverse=True)

    def sweep(self) -> None:
        """Begin a new second."""
        self._new_left, self._left = MAX_NEW_ROWS, MAX_REFUSALS
