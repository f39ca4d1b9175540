"""The location service: which contacts an address-of-record is bound to (RFC 3261 §10)."""

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Protocol

from sip.core.contact_index import ContactIndex, contact_key, key_of_text
from sip.core.refusal import Refused
from sip.core.routing import Phone, Target, address_of_record, as_request_uri, user_of_aor
from sip.message.grammar import BadMessage, split_list
from sip.message.uri import SipUri, Uri, is_same_contact, parse_uri
from sip.store.bindings import BindingRow
from sip.store.bindings import Bindings as Journal
from sip.transport.flow import DEFAULT_PORT, Endpoint, Flow, flow_text, network_of, read_flow

log = logging.getLogger("sip.location")

# Contacts of one address-of-record.  A call to it rings all of them, so this is also what one
# INVITE can be multiplied by (RFC 5393).
MAX_CONTACTS = 20

# The clock of the machine was set when it is off by so much; else the two only differ in rounding.
STEP_SECONDS = 2.0

# What most phones bind.  It is seen at a glance that it can be read: at a start there may be a
# hundred thousand, and nobody is answered before all are known.
_USUAL_CONTACT = re.compile(
    r"sip:(?:[A-Za-z0-9._+-]+@)?\d+\.\d+\.\d+\.\d+(?::[1-5]?[1-9]\d{0,3})?(?:;transport=\w+)?",
    re.ASCII,
)


@dataclass(slots=True, eq=False)
class Binding:
    """One contact of an address-of-record (§10.2).

    `user_id` is the account that registered it, `contact` the URI as it came, `expires_at` seconds
    of the monotonic clock, `q` in thousandths.  `flow` is the way that its REGISTER came;
    `behind_nat` says that only it leads back.  `instance` and `reg_id` are those of RFC 5626, ""
    and 0 where there are none; `params` are the other parameters of the contact, as they came.
    A binding is compared by identity: one that was refreshed is another.
    """

    user_id: int
    contact: str
    expires_at: float
    q: int
    call_id: str
    cseq: int
    path: tuple[str, ...]
    instance: str
    reg_id: int
    user_agent: str
    flow: Flow
    behind_nat: bool
    params: str = ""

    def has_contact(self, contact: str) -> bool:
        """Compare contacts as URIs (§19.1.4), whether or not one says `transport=udp`."""
        return self.contact == contact or is_same_contact(
            parse_uri(self.contact), parse_uri(contact)
        )

    def is_moved_by(self, new: "Binding") -> bool:
        """Tell whether a phone behind NAT has come back from elsewhere with another contact.

        The flow was the only way to it, and it leads there no more (RFC 5626 §6).  So it is with
        one on a connection, and with one that has learned what its NAT calls it outside: its
        contact is, then as now, the very socket that it was seen at.
        """
        is_bound = self.behind_nat or self.flow.connection
        own = self.instance, self.reg_id
        is_same_phone = self.instance != "" and own == (new.instance, new.reg_id)
        if self.flow.remote == new.flow.remote:
            # From there it may bind several contacts; but it has learned what its NAT calls it.
            return bool(is_bound) and is_same_phone
        if not is_bound and not (self._is_its_source() and new._is_its_source()):
            return False
        if self.call_id == new.call_id:
            return self.cseq < new.cseq
        return is_same_phone

    def _is_its_source(self) -> bool:
        """Tell whether the contact is the socket that its REGISTER came from."""
        uri = parse_uri(self.contact)
        return isinstance(uri, SipUri) and self.flow.remote == (uri.host, uri.port or DEFAULT_PORT)

    def is_set_later_than(self, call_id: str, cseq: int) -> bool:
        """Tell whether a request of that Call-ID and CSeq comes too late to change this (§10.3)."""
        return self.call_id == call_id and cseq <= self.cseq

    def target(self, aor: str, *, is_connected: bool) -> Target:
        """Where a request for this contact of `aor` goes.

        `is_connected` says that the connection leads on by which it was registered.
        """
        uri_text = as_request_uri(self.contact)
        flow = self.flow if self.behind_nat or (is_connected and not self.path) else None
        source = self.flow.remote[0]
        return Target(uri_text, flow, self.path, self.q, source, phone=self.phone(aor))

    def phone(self, aor: str) -> Phone:
        """The phone that is bound, as one of `aor`."""
        return Phone(aor, self.instance, self.call_id, self.flow)


Bindings = tuple[Binding, ...]


class Account(Protocol):
    """Whose bindings go: an account is known by its id, a name may be taken again."""

    @property
    def id(self) -> int: ...
    @property
    def username(self) -> str: ...
    @property
    def realm(self) -> str | None: ...


def live(bindings: Bindings, now: float) -> Bindings:
    """The bindings that have not expired."""
    for binding in bindings:
        if binding.expires_at <= now:
            return tuple(b for b in bindings if b.expires_at > now)
    return bindings


def updated_bindings(current: Bindings, wanted: Sequence[Binding], now: float) -> Bindings:
    """Apply the contacts of one REGISTER, all or none (§10.3, step 7).

    What is wanted with no time left goes.  Raises Refused, and nothing is changed: 500 for a
    request that one of the same Call-ID has overtaken, 403 for too many contacts.
    """
    bindings = list(live(current, now))
    for new in wanted:
        # Equality of URIs is not transitive: a contact is no key to look up by, and one may be
        # equal to several that differ from each other.
        equal = [b for b in bindings if b.has_contact(new.contact)]
        for old in equal:
            if old.is_set_later_than(new.call_id, new.cseq) and old not in wanted:
                raise _out_of_order(new.cseq)
        if new.expires_at <= now:
            bindings = [b for b in bindings if b not in equal]
        elif equal:  # in the place of the first
            first = equal[0]
            kept = [b for b in bindings if b is first or b not in equal]
            bindings = [new if b is first else b for b in kept]
        else:
            bindings = [b for b in bindings if b in wanted or not b.is_moved_by(new)]
            bindings.append(new)
    if len(bindings) > MAX_CONTACTS:
        raise Refused(
            403, f"more than {MAX_CONTACTS} contacts for one address", reason="Too Many Contacts"
        )
    return tuple(bindings)


def check_removal_of_all(current: Bindings, call_id: str, cseq: int) -> None:
    """See whether `Contact: *` may remove every binding (§10.3, step 6).  Raises Refused (500)."""
    if any(binding.is_set_later_than(call_id, cseq) for binding in current):
        raise _out_of_order(cseq)


def _out_of_order(cseq: int) -> Refused:
    return Refused(
        500, f"CSeq {cseq} is not above that of an earlier REGISTER", reason="CSeq Out of Order"
    )


class Location:
    """All bindings, in memory, each change written before it is acknowledged.

    `clock` is monotonic, `unix_clock` is for what is kept: a step of the latter neither loses a
    binding nor makes one immortal.  `on_change` is told what an address was bound to, and is now.
    """

    def __init__(
        self, journal: Journal, clock: Callable[[], float], unix_clock: Callable[[], float]
    ) -> None:
        self.journal = journal
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

    def __len__(self) -> int:
        return len(self._bindings)

    def load(self, rows: Iterable[BindingRow]) -> list[Binding]:
        """Take over and give what was kept; rows that can't be read any more are left out."""
        now, unix_now = self.clock(), self.unix_clock()
        loaded: list[Binding] = []
        for row in rows:
            if row.user_id in self._dropped:
                continue  # its account has gone while others were loaded
            try:
                binding = _from_row(row, now, unix_now)
            except (BadMessage, ValueError):
                continue
            self._put(row.aor, (*self._bindings.get(row.aor, ()), binding))
            loaded.append(binding)
        return loaded

    def follow_unix_clock(self) -> None:
        """Where the clock of the machine was set, set what is kept as well; doesn't wait.

        In memory nothing changes: every binding lasts as long as its phone was told.
        """
        step = self.unix_clock() - self.clock() - self._offset
        if abs(step) >= STEP_SECONDS:
            self._offset += step
            log.warning("the clock was set by %+.0f s; registrations last as they would have", step)
            self.journal.shift(round(step))

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

        Blocks until it is kept.  Raises Refused as `updated_bindings` does, and what the journal
        raises; then nothing has changed.
        """
        current = self._bindings.get(aor, ())
        return self._change(aor, current, updated_bindings(current, wanted, self.clock()))

    def remove_all(self, aor: str, call_id: str, cseq: int) -> None:
        """Remove every binding (§10.2.2).  Blocks and raises as `update` does."""
        current = self._bindings.get(aor, ())
        check_removal_of_all(live(current, self.clock()), call_id, cseq)
        self._change(aor, current, ())

    def is_reached_from(self, network: str, username: str, realm: str) -> bool:
        """Tell whether a user is registered from an address, or the network of one."""
        bindings = self.bindings(address_of_record(username, realm))
        return any(network_of(binding.flow.remote[0]) == network for binding in bindings)

    def is_registered_from(self, source: Endpoint, username: str, realm: str) -> bool:
        """Return True if a phone of a user has registered from an address and port."""
        for binding in self.bindings(address_of_record(username, realm)):
            if binding.flow.remote == source:
                return True
        return False

    def drop(self, aor: str, contact: str) -> None:
        """Let go of one contact, by its text; one that isn't bound is no error.

        It isn't the phone that asks, and it may register again at once.  Blocks until that is
        kept, and raises what the journal raises.
        """
        current = self._bindings.get(aor, ())
        after = tuple(b for b in current if b.contact != contact)
        self._change(aor, current, after, is_phones_wish=False)

    def lose(self, aor: str, binding: Binding) -> None:
        """Let go of a binding whose phone is out of reach for good; doesn't wait."""
        current = self._bindings.get(aor, ())
        if binding in current:
            self._put(aor, tuple(b for b in current if b is not binding))
            self.journal.drop([(binding.user_id, binding.contact)])

    def drop_accounts(self, accounts: Iterable[Account], main_realm: str) -> None:
        """Let go of all that these accounts have registered; doesn't wait.

        A realm of None is the main one.  What another account of the same name has registered
        stays.
        """
        gone: list[tuple[int, str]] = []
        for account in accounts:
            self._dropped.add(account.id)
            aor = address_of_record(account.username, account.realm or main_realm)
            if before := self._bindings.get(aor):
                gone += [(account.id, b.contact) for b in before if b.user_id == account.id]
                self._put(aor, tuple(b for b in before if b.user_id != account.id))
        if gone:
            self.journal.drop(gone)

    def _change(
        self, aor: str, before: Bindings, after: Bindings, *, is_phones_wish: bool = True
    ) -> Bindings:
        """Change memory first: the next request of the phone finds its order; undone if need be."""
        now, unix_now = self.clock(), self.unix_clock()
        new = [binding for binding in after if binding not in before]
        kept = [_to_row(aor, binding, now, unix_now) for binding in new]
        gone: list[tuple[int, str]] = []
        for old in before:
            row = old.user_id, old.contact
            if old not in after and all(row != (b.user_id, b.contact) for b in new):
                gone.append(row)
        self._put(aor, after)
        if kept or gone:
            seen_at = round(unix_now) if is_phones_wish else None
            if self._dropped:
                self._dropped.difference_update(binding.user_id for binding in new)
            self.journal.save(kept, gone, lambda: self._restore(aor, before), seen_at)
        return after

    def _restore(self, aor: str, before: Bindings) -> None:
        """Undo a change, but not what has been dropped since."""
        self._put(aor, tuple(b for b in before if b.user_id not in self._dropped))

    def _put(self, aor: str, bindings: Bindings) -> None:
        before = self._bindings.get(aor, ())
        self.on_change(before, bindings)
        if len(before) != 1 or len(bindings) != 1 or before[0].contact != bindings[0].contact:
            self._contacts.follow(aor, [b.contact for b in before], [b.contact for b in bindings])
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
        expired: list[tuple[int, str]] = []
        for second in seconds:
            for aor in self._expiring.pop(second, ()):
                if self._sweep_at.get(aor) != second:
                    continue  # an earlier second has taken its place
                del self._sweep_at[aor]
                before = self._bindings.get(aor, ())
                expired += [(b.user_id, b.contact) for b in before if b.expires_at <= now]
                self._put(aor, live(before, now))
        if expired:
            self.journal.forget(expired, self.unix_clock())


def _to_row(aor: str, binding: Binding, now: float, unix_now: float) -> BindingRow:
    flow = flow_text(binding.flow)
    return BindingRow(
        user_id=binding.user_id,
        aor=aor,
        contact=binding.contact,
        expires_at=round(unix_now + binding.expires_at - now),
        q=binding.q / 1000,
        call_id=binding.call_id,
        cseq=binding.cseq,
        path=", ".join(binding.path),
        instance=binding.instance,
        reg_id=binding.reg_id,
        user_agent=binding.user_agent,
        flow=f"{flow};nat" if binding.behind_nat else flow,
        updated_at=round(unix_now),
        params=binding.params,
    )


def _from_row(row: BindingRow, now: float, unix_now: float) -> Binding:
    """What a row says.

    It lasts no longer from now than it was granted, wherever the clock was when it was written.
    """
    granted = row.expires_at - row.updated_at
    flow_text, _, nat = row.flow.partition(";")
    if not _USUAL_CONTACT.fullmatch(row.contact):
        parse_uri(row.contact)
    return Binding(
        user_id=row.user_id,
        contact=row.contact,
        expires_at=now + min(row.expires_at - unix_now, granted),
        q=round(row.q * 1000),
        call_id=row.call_id,
        cseq=row.cseq,
        path=tuple(part for part in split_list(row.path) if part) if row.path else (),
        instance=row.instance,
        reg_id=row.reg_id,
        user_agent=intern(row.user_agent),
        flow=read_flow(flow_text),
        behind_nat=nat == "nat",
        params=intern(row.params),
    )
