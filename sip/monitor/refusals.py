"""The latest refusals of registrations and calls, with cause and cure; in memory only.

The problem: any sender can have requests refused, and a flood of them must not push out the rows
that an administrator looks for.  The rule: there is one table for each kind of sender (see Sender
in events.py).  If a table is full, the network with the most rows loses its oldest row, so a phone
that fails in many ways, or a password guesser, pushes out its own rows first.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass

from sip.monitor.events import Refused, Sender

# Rows on a page, and rows in each table, about 1 kB each.
MAX_ROWS = 200
# Rows of each kind of sender that a page always has room for, if there are more than MAX_ROWS.
_SHARES = (100, 50, 50)
# New rows per second, some 20 µs each; a refusal that has a row already costs a tenth of that.
MAX_NEW_ROWS = 200
# Refusals counted per second; more are ignored, to save CPU time.
MAX_REFUSALS = 2000
# Characters of each text.
MAX_TEXT = 300
# Users with a refusal since their last registration, a hundred octets each.
MAX_REFUSED = 2000


@dataclass(slots=True)
class Refusal:
    """One row: requests that were refused for one cause.  Times are Unix seconds.

    The fields are those of the event Refused; `address`, a host without port, `device` and
    `call_id` are those of the latest request.  A Call-ID that is too long is "".
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
    code: str = ""
    call_id: str = ""

    def concerns(self, user: str, username: str, realm: str) -> bool:
        """Return True if the row belongs on the page of a user."""
        if user in (self.user, self.to):
            return True
        # A phone of this user may have been given a wrong domain.
        return self.username == username and self.realm in (None, realm)


_Key = tuple[str, str, str, str, int, str, str]


class _Table:
    """The rows of one kind of sender, the latest last."""

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
    """Refused registrations and calls; equal refusals share a row.

    Refusals are equal if they differ only in their time, device, port, and IPv6 address within a
    /64.  `refused` holds (user, network) of users that were refused there and have not registered
    since.
    """

    def __init__(self) -> None:
        self._tables = [_Table() for _ in Sender]
        self.refused: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._new_left = MAX_NEW_ROWS
        self._left = MAX_REFUSALS

    def add(self, refused: Refused) -> None:
        """Add one refusal; in a flood, some are ignored."""
        if self._left <= 0:
            return
        self._left -= 1
        user, to, network = refused.user, refused.to, refused.network
        if refused.sender is Sender.USER:
            self.refused[user, network] = None
            if len(self.refused) > MAX_REFUSED:
                self.refused.popitem(last=False)
        at, table = refused.at, self._tables[refused.sender]
        method, status, cause, cure = refused.method, refused.status, refused.cause, refused.cure
        key = user, to, method, cause, status, cure, network
        row = table.rows.get(key)
        call_id = refused.call_id if len(refused.call_id) <= MAX_TEXT else ""
        if row is not None:
            row.count += 1
            row.last_at, row.address = at, refused.address[0]
            row.device, row.call_id = refused.device[:MAX_TEXT], call_id
            table.rows.move_to_end(key)
        elif self._new_left > 0:
            self._new_left -= 1
            texts = (user, to, refused.address[0], refused.device)
            user, to, address, device = (text[:MAX_TEXT] for text in texts)
            row = Refusal(
                at,
                at,
                1,
                method,
                status,
                cause,
                cure,
                refused.username,
                refused.realm,
                user,
                to,
                address,
                device,
                refused.code,
                call_id,
            )
            table.add(key, row)

    def clear_refused(self, user: str, network: str) -> bool:
        """Remove a user from `refused`; return True if it was refused at that network."""
        if (user, network) not in self.refused:
            return False
        del self.refused[user, network]
        return True

    def clear_network(self, network: str) -> None:
        """Remove all users from `refused` that were refused at a network: its ban was removed."""
        for key in [key for key in self.refused if key[1] == network]:
            del self.refused[key]

    def latest(self) -> list[Refusal]:
        """Return the latest rows, the newest first, some of each kind of sender."""
        kinds = [list(reversed(table.rows.values())) for table in self._tables]
        shown = [rows[:share] for rows, share in zip(kinds, _SHARES, strict=True)]
        room = MAX_ROWS - sum(map(len, shown))
        for rows, part in zip(kinds, shown, strict=True):
            more = rows[len(part) : len(part) + room]
            part += more
            room -= len(more)
        found = [row for part in shown for row in part]
        return sorted(found, key=lambda row: row.last_at, reverse=True)

    def rows(self) -> list[Refusal]:
        """Return all rows, the newest first."""
        found = [row for table in self._tables for row in table.rows.values()]
        return sorted(found, key=lambda row: row.last_at, reverse=True)

    def of_user(self, user: str, username: str, realm: str) -> list[Refusal]:
        """Return the rows that concern a user, the newest first."""
        return [row for row in self.rows() if row.concerns(user, username, realm)]

    def sweep(self) -> None:
        """Begin a new second."""
        self._new_left, self._left = MAX_NEW_ROWS, MAX_REFUSALS
