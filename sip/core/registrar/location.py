"""The location service: which contacts an address-of-record is bound to (RFC 3261 §10)."""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from sip.core.domains import address_of_record, user_of_aor
from sip.core.errors import printable
from sip.core.registrar.bindings import (
    Binding,
    Bindings,
    check_removal_of_all,
    from_row,
    live,
    to_row,
    updated_bindings,
    within_limit,
)
from sip.core.registrar.contact_index import ContactIndex, contact_key, key_of_text
from sip.message.grammar import BadMessage
from sip.message.uri import Uri
from sip.store.bindings import BindingRow, BindingStore, Key
from sip.transport.flow import Endpoint, network_of

log = logging.getLogger(__name__)

# The clock of the machine was set when it is off by so much; else the two only differ in rounding.
STEP_SECONDS = 2.0
# Bindings of closed connections that are removed at one time: some milliseconds' work.  A gateway
# may have registered thousands by one connection.
CLOSED_AT_ONCE = 500
# Users whose phones were cut off, and from where: as many as there may be connections, 300 octets
# each.  The one of longest ago goes.
MAX_CUT_OFF = 20_000
# Removals at the limit are logged at most once in so many seconds.
SECONDS_BETWEEN_LINES = 1.0


class Account(Protocol):
    """Whose bindings go: an account is known by its id, a name may be taken again."""

    @property
    def id(self) -> int: ...
    @property
    def username(self) -> str: ...
    @property
    def realm(self) -> str | None: ...


class Location:
    """All bindings, in memory, each change written before it is acknowledged.

    `clock` is monotonic, `unix_clock` is for what is kept: a step of the latter neither loses a
    binding nor makes one immortal.  `on_change` is told what an address was bound to, and is now.
    """

    def __init__(
        self, store: BindingStore, clock: Callable[[], float], unix_clock: Callable[[], float]
    ) -> None:
        self.store = store
        self.clock = clock
        self.unix_clock = unix_clock
        self.on_change: Callable[[Bindings, Bindings], None] = lambda before, after: None
        self._bindings: dict[str, Bindings] = {}
        self._contacts = ContactIndex()
        self._expiring: dict[int, list[str]] = {}
        self._sweep_at: dict[str, int] = {}  # the one second in which each is looked at next
        self._swept_until = int(clock())
        self._offset = unix_clock() - clock()  # of what is kept from what is reckoned with
        self._dropped: set[int] = set()  # accounts whose bindings no undo may bring back
        # Of each open connection the addresses-of-record that it alone leads to, or once did.
        self._by_connection: dict[int, dict[str, None]] = {}
        self._closed: deque[tuple[int, dict[str, None]]] = deque()  # the same of closed ones
        self._cut_off: OrderedDict[tuple[str, str], float] = OrderedDict()  # until when
        self._next_line_at = 0.0

    def __len__(self) -> int:
        return len(self._bindings)

    def load(self, rows: Iterable[BindingRow]) -> list[Binding]:
        """Take over and give what was kept; rows that can't be read any more are left out.

        The connections of before are closed: a binding that ended with one is given, since its
        phone was there, and is bound no more.
        """
        now, unix_now = self.clock(), self.unix_clock()
        loaded: list[Binding] = []
        ended: list[Key] = []
        for row in rows:
            if row.user_id in self._dropped:
                continue  # its account has gone while others were loaded
            try:
                binding = from_row(row, now, unix_now)
            except (BadMessage, ValueError):
                continue
            loaded.append(binding)
            if binding.ends_with_connection:
                ended.append(binding.key)
                self._remember_cut_off(row.aor, binding)
            else:
                self._put(row.aor, (*self._bindings.get(row.aor, ()), binding))
        if ended:
            self.store.remove(ended)
        return loaded

    def follow_unix_clock(self) -> None:
        """Where the clock of the machine was set, set what is kept as well; doesn't wait.

        In memory nothing changes: every binding lasts as long as its phone was told.
        """
        step = self.unix_clock() - self.clock() - self._offset
        if abs(step) >= STEP_SECONDS:
            self._offset += step
            log.warning("the clock was set by %+.0f s; registrations last as they would have", step)
            self.store.shift(round(step))

    def bindings(self, aor: str) -> Bindings:
        """What an address-of-record is bound to now."""
        found = self._bindings.get(aor)
        return live(found, self.clock()) if found else ()

    def users_at(self, uri: Uri) -> list[tuple[str, str]]:
        """Return the users, by name and realm, who may be bound to a Contact, the latest first."""
        key = contact_key(uri)
        return [
            user_of_aor(aor)
            for aor in self._contacts.at(key)
            if any(key_of_text(binding.contact) == key for binding in self.bindings(aor))
        ]

    def update(self, aor: str, wanted: Sequence[Binding]) -> Bindings:
        """Apply the contacts of one REGISTER and give all that is bound then.

        Blocks until it is kept.  Raises Refused as `updated_bindings` and `within_limit` do, and
        what the store raises; then nothing has changed.
        """
        current, now = self._bindings.get(aor, ()), self.clock()
        after, removed = within_limit(updated_bindings(current, wanted, now), wanted, now)
        if removed and now >= self._next_line_at:
            self._next_line_at = now + SECONDS_BETWEEN_LINES
            log.info(
                "contact limit of %s: removed %s, the oldest of the same device",
                printable(aor[:60]),
                ", ".join([printable(binding.contact[:80]) for binding in removed]),
            )
        return self._change(aor, current, after)

    def remove_all(self, aor: str, call_id: str, cseq: int) -> None:
        """Remove every binding (§10.2.2).  Blocks and raises as `update` does."""
        current = self._bindings.get(aor, ())
        check_removal_of_all(live(current, self.clock()), call_id, cseq)
        self._change(aor, current, ())

    def is_reached_from(self, network: str, username: str, realm: str) -> bool:
        """Tell whether a user is registered from an address, or the network of one.

        So is one whose connection has closed, for as long as it had registered: it is about to
        come back.
        """
        aor = address_of_record(username, realm)
        if self._cut_off.get((network, aor), 0.0) > self.clock():
            return True
        return any(network_of(b.flow.remote[0]) == network for b in self.bindings(aor))

    def is_registered_from(self, source: Endpoint, username: str, realm: str) -> bool:
        """Return True if a phone of a user has registered from an address and port."""
        for binding in self.bindings(address_of_record(username, realm)):
            if binding.flow.remote == source:
                return True
        return False

    def connection_closed(self, connection: int) -> None:
        """Remove the bindings that a connection alone led to; doesn't wait.

        What is more than CLOSED_AT_ONCE is left to `remove_closed`.
        """
        aors = self._by_connection.pop(connection, None)
        if aors:
            self._closed.append((connection, aors))
            self.remove_closed()

    def remove_closed(self) -> None:
        """Go on with what connections that have closed led to; doesn't wait."""
        gone: list[Key] = []
        for _ in range(CLOSED_AT_ONCE):
            if not self._closed:
                break
            connection, aors = self._closed[0]
            aor, _ = aors.popitem()
            if not aors:
                self._closed.popleft()
            before = self._bindings.get(aor, ())
            ended = [
                b for b in before if b.flow.connection == connection and b.ends_with_connection
            ]
            if ended:
                self._put(aor, tuple(b for b in before if b not in ended))
            for binding in ended:
                gone.append(binding.key)
                self._remember_cut_off(aor, binding)
        if gone:
            self.store.remove(gone)

    def _remember_cut_off(self, aor: str, binding: Binding) -> None:
        key = network_of(binding.flow.remote[0]), aor
        self._cut_off.pop(key, None)
        self._cut_off[key] = binding.expires_at  # the latest are last
        if len(self._cut_off) > MAX_CUT_OFF:
            self._cut_off.popitem(last=False)

    def drop(self, aor: str, contact: str, flow: str) -> None:
        """Let go of one contact, by its text and that of its flow; no error if it isn't bound.

        It isn't the phone that asks, and it may register again at once.  Blocks until that is
        kept, and raises what the store raises.
        """
        current = self._bindings.get(aor, ())
        after = tuple(b for b in current if (b.contact, b.row_flow()) != (contact, flow))
        self._change(aor, current, after, is_phones_wish=False)

    def lose(self, aor: str, binding: Binding) -> None:
        """Let go of a binding whose phone is out of reach for good; doesn't wait."""
        current = self._bindings.get(aor, ())
        if binding in current:
            self._put(aor, tuple(b for b in current if b is not binding))
            self.store.remove([binding.key])

    def drop_accounts(self, accounts: Iterable[Account], main_realm: str) -> None:
        """Let go of all that these accounts have registered; doesn't wait.

        A realm of None is the main one.  What another account of the same name has registered
        stays.
        """
        gone: list[Key] = []
        for account in accounts:
            self._dropped.add(account.id)
            aor = address_of_record(account.username, account.realm or main_realm)
            if before := self._bindings.get(aor):
                gone += [b.key for b in before if b.user_id == account.id]
                self._put(aor, tuple(b for b in before if b.user_id != account.id))
        if gone:
            self.store.remove(gone)

    def _change(
        self, aor: str, before: Bindings, after: Bindings, *, is_phones_wish: bool = True
    ) -> Bindings:
        """Change memory first: the next request of the phone finds its order; undone if need be."""
        now, unix_now = self.clock(), self.unix_clock()
        new = [binding for binding in after if binding not in before]
        kept = [to_row(aor, binding, now, unix_now) for binding in new]
        written = [row.key for row in kept]
        keys = [old.key for old in before if old not in after]
        gone = [key for key in keys if key not in written]
        self._put(aor, after)
        if kept or gone:
            seen_at = round(unix_now) if is_phones_wish else None
            if self._dropped:
                self._dropped.difference_update(binding.user_id for binding in new)
            self.store.save(kept, gone, lambda: self._restore(aor, before), seen_at)
        return after

    def _restore(self, aor: str, before: Bindings) -> None:
        """Undo a change, but not what has been dropped since, or has ended with its connection."""
        self._put(
            aor,
            tuple(b for b in before if b.user_id not in self._dropped and not self._has_ended(b)),
        )

    def _has_ended(self, binding: Binding) -> bool:
        """Return True if a binding that was bound before ended with its connection."""
        connection = binding.flow.connection
        return binding.ends_with_connection and connection not in self._by_connection

    def _put(self, aor: str, bindings: Bindings) -> None:
        before = self._bindings.get(aor, ())
        self.on_change(before, bindings)
        if len(before) != 1 or len(bindings) != 1 or before[0].contact != bindings[0].contact:
            self._contacts.follow(aor, [b.contact for b in before], [b.contact for b in bindings])
        for binding in bindings:
            # Only a new one: what waits for `remove_closed` is not entered again.
            if binding.flow.connection and binding not in before and binding.ends_with_connection:
                self._by_connection.setdefault(binding.flow.connection, {})[aor] = None
        if not bindings:
            self._bindings.pop(aor, None)
            return
        self._bindings[aor] = bindings
        # What an undo brings back may have been due already.
        first = int(min([binding.expires_at for binding in bindings])) + 1
        second = max(first, self._swept_until)
        if second < self._sweep_at.get(aor, second + 1):
            self._sweep_at[aor] = second
            self._expiring.setdefault(second, []).append(aor)

    def sweep(self, now: float) -> None:
        """Let go of what has expired; looks only at those whose second has come."""
        until = int(now)
        seconds: Iterable[int] = range(self._swept_until, until + 1)
        if until - self._swept_until > len(self._expiring):
            seconds = [second for second in self._expiring if second <= until]
        self._swept_until = until
        expired: list[Key] = []
        for second in seconds:
            for aor in self._expiring.pop(second, ()):
                if self._sweep_at.get(aor) != second:
                    continue  # an earlier second has taken its place
                del self._sweep_at[aor]
                before = self._bindings.get(aor, ())
                expired += [b.key for b in before if b.expires_at <= now]
                self._put(aor, live(before, now))
        if expired:
            self.store.remove_expired(expired, self.unix_clock())
