"""The location service: the contacts that each address-of-record is bound to (RFC 3261 §10)."""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from sip.core.domains import address_of_record, user_of_aor
from sip.core.errors import printable
from sip.core.registrar.bindings import (
    Binding,
    Bindings,
    BindingsChanged,
    check_removal_of_all,
    from_row,
    live,
    to_row,
    updated_bindings,
    within_limit,
)
from sip.core.registrar.contact_index import ContactIndex, contact_key, key_of_text
from sip.core.registrar.generations import Generations
from sip.message.grammar import BadMessage
from sip.message.uri import Uri
from sip.monitor.events import (
    UNREGISTERED_BY_ADMIN,
    UNREGISTERED_BY_CLOSE,
    UNREGISTERED_BY_PHONE,
    UNREGISTERED_BY_TIME,
    Bus,
    Registered,
    Unregistered,
)
from sip.store.bindings import NOTHING_TO_SAVE, BindingRow, BindingStore, Commit, Key, NotSaved
from sip.transport.flow import Endpoint, network_of

log = logging.getLogger(__name__)

# Difference in seconds from which on the system clock has been set; less is rounding.
STEP_SECONDS = 2.0
# Bindings of closed connections that are removed at once: that takes some milliseconds.  A gateway
# may have registered thousands by one connection.
MAX_REMOVED_AT_ONCE = 500
# Users whose connections have closed, with their addresses: as many as there may be connections,
# 300 bytes each.  The oldest is removed.
MAX_DISCONNECTED = 20_000
# Minimum interval between log lines about removals at the contact limit.
SECONDS_BETWEEN_LINES = 1.0


class Account(Protocol):
    """An account whose bindings are removed; its id is unique, its name may be used again."""

    @property
    def id(self) -> int: ...
    @property
    def username(self) -> str: ...
    @property
    def realm(self) -> str | None: ...


class _DueSecond:
    """The addresses-of-record whose bindings are checked for expiry in one second."""

    __slots__ = ("aors", "second")

    def __init__(self, second: int) -> None:
        self.second = second
        self.aors: list[str] = []


class Location:
    """All bindings, in memory; each change is stored before it is acknowledged.

    `clock` is monotonic, `unix_clock` is for the database: a step of the latter neither removes a
    binding nor makes one last for ever.  Each change is published: BindingsChanged with memory,
    Registered and Unregistered when the database has it, or at once where nothing waits for that.
    `binding_count` is the number of bindings, `len` that of addresses-of-record with one.
    """

    def __init__(
        self,
        store: BindingStore,
        clock: Callable[[], float],
        unix_clock: Callable[[], float],
        bus: Bus,
    ) -> None:
        self.store = store
        self.clock = clock
        self.unix_clock = unix_clock
        self.bus = bus
        self._changed_topic = bus.topic(BindingsChanged)
        self._registered_topic = bus.topic(Registered)
        self._unregistered_topic = bus.topic(Unregistered)
        # A single binding, as most have, without a tuple around it: that would take 48 bytes.
        self._bindings: dict[str, Binding | Bindings] = {}
        self.binding_count = 0
        self._contacts = ContactIndex()
        self.generations = Generations()
        self._expiring: dict[int, _DueSecond] = {}
        # The next check of each address-of-record; a number for each would take 32 bytes more.
        self._sweep_at: dict[str, _DueSecond] = {}
        self._swept_until = int(clock())
        self._offset = unix_clock() - clock()  # of the times in the database
        self._removed_accounts: set[int] = set()  # an undo must not restore their bindings
        # Of each open connection the addresses-of-record that are, or were, reached only by it.
        self._by_connection: dict[int, dict[str, None]] = {}
        self._closed: deque[tuple[int, dict[str, None]]] = deque()  # the same for closed ones
        # By network and address-of-record: when the binding of a closed connection would expire.
        self._disconnected: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._next_line_at = 0.0

    def __len__(self) -> int:
        return len(self._bindings)

    def load(self, rows: Iterable[BindingRow]) -> list[Binding]:
        """Add the stored bindings, and return them; rows that are invalid are left out.

        All connections of before the start are closed: a binding that ended with one is returned,
        because its phone has registered, but it is no longer bound.
        """
        now, unix_now = self.clock(), self.unix_clock()
        loaded: list[Binding] = []
        ended: list[Key] = []
        for row in rows:
            if row.user_id in self._removed_accounts:
                continue  # its account was removed during the loading
            try:
                binding = from_row(row, now, unix_now)
            except (BadMessage, ValueError):
                continue
            loaded.append(binding)
            self.generations.load(row.aor, row.instance, row.generation)
            if binding.ends_with_connection:
                ended.append(binding.key)
                if row.generation:
                    self.generations.lose(row.aor, (binding,), self._bound(row.aor), now)
                self._remember_disconnected(row.aor, binding)
            else:
                self._put(row.aor, (*self._bound(row.aor), binding))
        if ended:
            self.store.remove(ended)
        return loaded

    def follow_unix_clock(self) -> None:
        """Shift the times in the database after the system clock was set; does not wait.

        In memory nothing changes: every binding lasts as long as it was granted.
        """
        step = self.unix_clock() - self.clock() - self._offset
        if abs(step) >= STEP_SECONDS:
            self._offset += step
            log.warning("system clock changed by %+.0f s; registrations keep their lifetime", step)
            self.store.shift(round(step))

    def bindings(self, aor: str) -> Bindings:
        """Return the current bindings of an address-of-record."""
        found = self._bound(aor)
        return live(found, self.clock()) if found else ()

    def _bound(self, aor: str) -> Bindings:
        """Return the bindings of an address-of-record, expired ones included."""
        found = self._bindings.get(aor, ())
        return (found,) if isinstance(found, Binding) else found

    def users_at(self, uri: Uri) -> list[tuple[str, str]]:
        """Return the users, as (name, realm), that are bound to a Contact, the latest first."""
        key = contact_key(uri)
        return [
            user_of_aor(aor)
            for aor in self._contacts.at(key)
            if any(key_of_text(binding.contact) == key for binding in self.bindings(aor))
        ]

    def update(
        self, aor: str, wanted: Sequence[Binding], *, asks_gruu: bool = False
    ) -> tuple[Bindings, Commit]:
        """Apply the contacts of one REGISTER, and return all bindings afterwards and their commit.

        `asks_gruu` says that the phone supports GRUUs.  Does not wait.  Raises Refused as
        `updated_bindings` and `within_limit` do, and NotSaved if the store cannot take it; then
        nothing has changed.
        """
        current, now = self._bound(aor), self.clock()
        after, removed = within_limit(updated_bindings(current, wanted, now), wanted, now)
        if removed and now >= self._next_line_at:
            self._next_line_at = now + SECONDS_BETWEEN_LINES
            log.info(
                "contact limit of %s: removed %s, the oldest of the same device",
                printable(aor[:60]),
                ", ".join([printable(binding.contact[:80]) for binding in removed]),
            )
        if not (asks_gruu or self.generations.numbers):
            return after, self._change(aor, current, after)
        changed = self.generations.update(aor, live(current, now), wanted, now, is_asked=asks_gruu)
        try:
            return after, self._change(
                aor, current, after, undo=lambda: self.generations.restore(changed)
            )
        except NotSaved:
            self.generations.restore(changed)
            raise

    def remove_all(self, aor: str, call_id: str, cseq: int) -> Commit:
        """Remove every binding (§10.2.2), and return the commit.  Raises as `update` does."""
        current = self._bound(aor)
        check_removal_of_all(live(current, self.clock()), call_id, cseq)
        return self._change(aor, current, ())

    def is_registered_from_network(self, network: str, username: str, realm: str) -> bool:
        """Return True if a user is registered from an IPv4 address, or an IPv6 /64.

        A user whose connection has closed counts until its binding would have expired: its phone is
        about to reconnect.
        """
        aor = address_of_record(username, realm)
        if self._disconnected.get((network, aor), 0.0) > self.clock():
            return True
        return any(network_of(b.flow.remote[0]) == network for b in self.bindings(aor))

    def is_registered_from(self, source: Endpoint, username: str, realm: str) -> bool:
        """Return True if a phone of a user has registered from an address and port."""
        for binding in self.bindings(address_of_record(username, realm)):
            if binding.flow.remote == source:
                return True
        return False

    def connection_closed(self, connection: int) -> None:
        """Remove the bindings that were reached only by a connection; does not wait.

        More than MAX_REMOVED_AT_ONCE are left to `remove_closed`.
        """
        aors = self._by_connection.pop(connection, None)
        if aors:
            self._closed.append((connection, aors))
            self.remove_closed()

    def remove_closed(self) -> None:
        """Remove further bindings of closed connections; does not wait."""
        gone: list[Key] = []
        for _ in range(MAX_REMOVED_AT_ONCE):
            if not self._closed:
                break
            connection, aors = self._closed[0]
            aor, _ = aors.popitem()
            if not aors:
                self._closed.popleft()
            before = self._bound(aor)
            ended = [
                b for b in before if b.flow.connection == connection and b.ends_with_connection
            ]
            if ended:
                self._put(aor, tuple(b for b in before if b not in ended), is_lost=True)
                self._publish_removed(aor, ended, UNREGISTERED_BY_CLOSE)
            for binding in ended:
                gone.append(binding.key)
                self._remember_disconnected(aor, binding)
        if gone:
            self.store.remove(gone)

    def _remember_disconnected(self, aor: str, binding: Binding) -> None:
        key = network_of(binding.flow.remote[0]), aor
        self._disconnected.pop(key, None)
        self._disconnected[key] = binding.expires_at  # the latest are last
        if len(self._disconnected) > MAX_DISCONNECTED:
            self._disconnected.popitem(last=False)

    def remove_contact(self, aor: str, contact: str, flow: str) -> None:
        """Remove one contact, by its text and that of its flow; no error if it is not bound.

        For the web admin, not for a phone, which may register again at once.  Blocks until that is
        stored.  Raises NotSaved.
        """
        current = self._bound(aor)
        after = tuple(b for b in current if (b.contact, b.row_flow()) != (contact, flow))
        self._change(aor, current, after, is_by_phone=False).wait()

    def remove_unreachable(self, aor: str, binding: Binding) -> None:
        """Remove a binding whose phone cannot be reached any more; does not wait."""
        current = self._bound(aor)
        if binding in current:
            self._put(aor, tuple(b for b in current if b is not binding), is_lost=True)
            self._publish_removed(aor, [binding], UNREGISTERED_BY_CLOSE)
            self.store.remove([binding.key])

    def remove_accounts(self, accounts: Iterable[Account], main_realm: str) -> None:
        """Remove all bindings of these accounts; does not wait.

        A realm of None is the main one.  Bindings of another account of the same name stay.
        """
        gone: list[Key] = []
        for account in accounts:
            self._removed_accounts.add(account.id)
            aor = address_of_record(account.username, account.realm or main_realm)
            if before := self._bound(aor):
                removed = [b for b in before if b.user_id == account.id]
                gone += [b.key for b in removed]
                self._put(aor, tuple(b for b in before if b.user_id != account.id))
                self._publish_removed(aor, removed, UNREGISTERED_BY_ADMIN)
        if gone:
            self.store.remove(gone)

    def _change(
        self,
        aor: str,
        before: Bindings,
        after: Bindings,
        *,
        is_by_phone: bool = True,
        undo: Callable[[], None] | None = None,
    ) -> Commit:
        """Change memory first, for the next request of the phone; undo it if that is not stored.

        Then `undo` is called as well, unless it is None.
        """
        now, unix_now = self.clock(), self.unix_clock()
        new = [binding for binding in after if binding not in before]
        rows = [to_row(aor, binding, now, unix_now) for binding in new]
        if self.generations.numbers:
            generation_of = self.generations.of
            rows = [row._replace(generation=generation_of(aor, row.instance)) for row in rows]
        removed: list[Key] = []
        is_refresh = _is_refresh(before, after)
        if not is_refresh:
            saved_keys = [row.key for row in rows]
            keys = [old.key for old in before if old not in after]
            removed = [key for key in keys if key not in saved_keys]
        self._put(aor, after)
        if not rows and not removed:
            return NOTHING_TO_SAVE
        seen_at = round(unix_now) if is_by_phone else None
        if self._removed_accounts:
            self._removed_accounts.difference_update(binding.user_id for binding in new)
        commit = self.store.save(rows, removed, lambda: self._restore(aor, before, undo), seen_at)
        has_listeners = self._registered_topic.listeners or self._unregistered_topic.listeners
        if has_listeners and not is_refresh:

            def publish(failure: str) -> None:
                if not failure:
                    self._publish_change(aor, before, after, is_by_phone=is_by_phone)

            commit.when_done(publish)
        return commit

    def _publish_change(
        self, aor: str, before: Bindings, after: Bindings, *, is_by_phone: bool
    ) -> None:
        """Publish what a REGISTER, or an administrator, has changed, now that it is on disk."""
        if self._registered_topic.listeners:
            known = [b.contact for b in before]
            for binding in after:
                if binding not in before and binding in self._bound(aor):
                    self._publish_registered(aor, binding, is_refresh=binding.contact in known)
        if self._unregistered_topic.listeners:
            contacts = [b.contact for b in after]
            removed = [b for b in before if b not in after and b.contact not in contacts]
            reason = UNREGISTERED_BY_PHONE if is_by_phone else UNREGISTERED_BY_ADMIN
            self._publish_removed(aor, removed, reason)

    def _publish_registered(self, aor: str, binding: Binding, *, is_refresh: bool) -> None:
        username, realm = user_of_aor(aor)
        now = self.bus.now()
        event = Registered(
            now,
            binding.user_id,
            username,
            realm,
            printable(binding.contact),
            printable(binding.profile.user_agent),
            binding.flow.remote,
            binding.flow.transport,
            binding.profile.behind_nat,
            now + binding.expires_at - self.clock(),
            is_refresh,
        )
        self._registered_topic.publish(event)

    def _publish_removed(self, aor: str, removed: Sequence[Binding], reason: str) -> None:
        if not removed or not self._unregistered_topic.listeners:
            return
        username, realm = user_of_aor(aor)
        for binding in removed:
            event = Unregistered(
                self.bus.now(),
                binding.user_id,
                username,
                realm,
                printable(binding.contact),
                printable(binding.profile.user_agent),
                binding.flow.remote,
                binding.flow.transport,
                reason,
            )
            self._unregistered_topic.publish(event)

    def _restore(self, aor: str, before: Bindings, undo: Callable[[], None] | None) -> None:
        """Undo a change, except for bindings of removed accounts and of closed connections."""
        if undo is not None:
            undo()
        self._put(
            aor,
            tuple(
                b
                for b in before
                if b.user_id not in self._removed_accounts and not self._has_ended(b)
            ),
        )

    def _has_ended(self, binding: Binding) -> bool:
        """Return True if the connection that a binding needs has closed."""
        connection = binding.flow.connection
        return binding.ends_with_connection and connection not in self._by_connection

    def _put(self, aor: str, bindings: Bindings, *, is_lost: bool = False) -> None:
        """Set the bindings of an address-of-record; `is_lost`: a closed connection ended some."""
        before = self._bound(aor)
        self.binding_count += len(bindings) - len(before)
        if not _is_refresh(before, bindings):
            self._contacts.update(aor, [b.contact for b in before], [b.contact for b in bindings])
            if self._changed_topic.listeners:
                self._changed_topic.publish(BindingsChanged(aor, before, bindings))
            if self.generations.numbers and is_lost:
                self.generations.lose(aor, before, bindings, self.clock())
            elif self.generations.numbers:
                self.generations.end(aor, before, bindings)
        for binding in bindings:
            # Only a new one: bindings that wait for `remove_closed` must not be entered again.
            if binding.flow.connection and binding not in before and binding.ends_with_connection:
                self._by_connection.setdefault(binding.flow.connection, {})[aor] = None
        if not bindings:
            self._bindings.pop(aor, None)
            return
        self._bindings[aor] = bindings[0] if len(bindings) == 1 else bindings
        # A binding that an undo restores may be due already.
        first = int(min([binding.expires_at for binding in bindings])) + 1
        second = max(first, self._swept_until)
        known = self._sweep_at.get(aor)
        if known is None or second < known.second:
            due = self._expiring.get(second)
            if due is None:
                due = self._expiring[second] = _DueSecond(second)
            due.aors.append(aor)
            self._sweep_at[aor] = due

    def sweep(self, now: float) -> None:
        """Remove expired bindings; checks only the addresses-of-record that are due."""
        until = int(now)
        seconds: Iterable[int] = range(self._swept_until, until + 1)
        if until - self._swept_until > len(self._expiring):
            seconds = [second for second in self._expiring if second <= until]
        self._swept_until = until
        expired: list[Key] = []
        for second in seconds:
            due = self._expiring.pop(second, None)
            for aor in due.aors if due else ():
                if self._sweep_at.get(aor) is not due:
                    continue  # it was checked in an earlier second
                del self._sweep_at[aor]
                before = self._bound(aor)
                removed = [b for b in before if b.expires_at <= now]
                expired += [b.key for b in removed]
                self._put(aor, live(before, now))
                self._publish_removed(aor, removed, UNREGISTERED_BY_TIME)
        if expired:
            self.store.remove_expired(expired, self.unix_clock())


def _is_refresh(before: Bindings, after: Bindings) -> bool:
    """Return True if a single contact stays bound along the same flow: its row has the same key.

    It is the same phone, too, as far as its instance shows that.
    """
    if len(before) != 1 or len(after) != 1:
        return False
    old, new = before[0], after[0]
    return (
        old.contact == new.contact
        and old.flow == new.flow
        and (old.profile is new.profile or old.row_flow() == new.row_flow())
        and old.instance == new.instance
        and old.user_id == new.user_id
    )
