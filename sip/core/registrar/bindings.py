"""Bindings of an address-of-record, and how a REGISTER changes them (RFC 3261 §10.3).

Problem: a phone that comes back with another Contact must not leave its old binding behind, or its
    calls ring at dead addresses; but a binding of another phone must never be replaced.
Model: a new binding replaces an old one with an equal Contact (§19.1.4), with the same instance and
    reg-id (RFC 5626 §6), from the same socket after a restart, or of the same Call-ID with a higher
    CSeq if the old flow or Contact can no longer lead to the phone.  Bindings of Outbound are
    compared by instance and reg-id alone.
Invariant: a REGISTER is applied as a whole or not at all; a request that a later one of the same
    Call-ID has overtaken changes nothing (500).
Bounds: MAX_CONTACTS per address-of-record.  At the bound the oldest bindings of the same device are
    removed; without any, the REGISTER is refused (503).

Pure: the time is an argument.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from sip.core import causes
from sip.core.errors import Refused
from sip.core.target import Phone, Target, as_request_uri, is_sips
from sip.message.cache import cached_parse
from sip.message.grammar import split_list
from sip.message.uri import SipUri, is_same_contact, parse_uri
from sip.store.bindings import BindingRow, Key
from sip.transport.flow import Flow, flow_text, network_of, read_flow
from sip.transport.transport_names import default_port

# Contacts of one address-of-record.  A call to it rings all of them, so this is also what one
# INVITE can be multiplied by (RFC 5393).
MAX_CONTACTS = 20
# Longest Retry-After at that limit, in seconds: a binding may be removed before the first one
# expires, when a connection closes or a phone is switched off.
MAX_RETRY_AFTER = 60

# Marks after the flow in a database row; the second is followed by the reg-id.
_BEHIND_NAT, _OUTBOUND = ";nat", ";ob="

# The form of most Contacts.  A match shows that the URI is valid without parsing it: at a start
# there may be 100,000, and calls wait until all are loaded.
_USUAL_CONTACT = re.compile(
    r"sip:(?:[A-Za-z0-9._+-]+@)?\d+\.\d+\.\d+\.\d+(?::[1-5]?[1-9]\d{0,3})?(?:;transport=\w+)?",
    re.ASCII,
)


class Profile(NamedTuple):
    """The fields of a binding that are equal for many phones, as for those of one model.

    `q` is in thousandths; `path` is that of RFC 3327, `reg_id` that of RFC 5626, 0 without one;
    `params` are the other parameters of the contact, as received.  `lifetime` are the seconds that
    the last REGISTER was granted.  `behind_nat` says that the phone is reached only along the flow
    of its REGISTER; `is_proxied` is True if another proxy forwarded that, so the flow is the
    proxy's (not stored on disk).  `is_outbound` says that the phone uses Outbound: it keeps its
    flow alive itself, and without a Path it is reached only along that.
    """

    q: int = 1000
    path: tuple[str, ...] = ()
    reg_id: int = 0
    user_agent: str = ""
    params: str = ""
    lifetime: int = 0
    behind_nat: bool = False
    is_proxied: bool = False
    is_outbound: bool = False


@cached_parse(1024)  # of 300 bytes each, and its texts: 3 MB at most
def shared(profile: Profile) -> Profile:
    """Return one object for equal profiles."""
    return profile


@dataclass(slots=True, eq=False)
class Binding:
    """One contact of an address-of-record (§10.2).

    `user_id` is the account that registered it, `contact` the URI as received, `expires_at` in
    seconds of the monotonic clock.  `flow` is the flow of its REGISTER; `instance` is that of
    RFC 5626, "" without one.  Bindings are compared by identity: a refreshed binding is another
    one.  There may be 100,000: what is equal for many of them is in one `profile`.
    """

    user_id: int
    contact: str
    expires_at: float
    call_id: str
    cseq: int
    instance: str
    flow: Flow
    profile: Profile

    def has_contact(self, contact: str) -> bool:
        """Compare contacts as URIs (§19.1.4); `transport=udp` makes no difference.

        A sips: Contact replaces the sip: Contact of the same phone (RFC 5630 §5.1.1.1).
        """
        if self.contact == contact:
            return True
        one, other = self.contact, contact
        if is_sips(one) != is_sips(other):
            one, other = (f"sip:{uri[5:]}" if is_sips(uri) else uri for uri in (one, other))
        return is_same_contact(parse_uri(one), parse_uri(other))

    def is_contact_of(self, other: "Binding") -> bool:
        """Return True if both have equal Contacts that mean the same phone.

        A private address means another phone in each network.  Instance ids show which phones are
        different (RFC 5626 §6); without them equal URIs are one binding (§10.3, step 7).  Two
        bindings of Outbound are one if they are of one instance and one reg-id, with any Contact.
        """
        if self.profile.is_outbound and other.profile.is_outbound:
            return self.profile.reg_id == other.profile.reg_id and self.has_instance_of(other)
        if not self.has_contact(other.contact):
            return False
        are_two_phones = self.instance and other.instance and not self.has_instance_of(other)
        return not (
            are_two_phones
            and self.profile.behind_nat
            and other.profile.behind_nat
            and network_of(self.flow.remote[0]) != network_of(other.flow.remote[0])
        )

    def has_instance_of(self, other: "Binding") -> bool:
        """Compare instance ids; the URN of a UUID is case-insensitive (RFC 5626 §4.1)."""
        if not self.instance or not other.instance:
            return False
        return self.instance == other.instance or self.instance.lower() == other.instance.lower()

    @property
    def registered_at(self) -> float:
        """The time of its last REGISTER, by the monotonic clock."""
        return self.expires_at - self.profile.lifetime

    @property
    def key(self) -> Key:
        """The key of its database row."""
        return self.user_id, self.contact, self.row_flow()

    def row_flow(self) -> str:
        """Return the flow as text for the database; with Outbound it ends with the reg-id."""
        text, profile = flow_text(self.flow), self.profile
        if profile.behind_nat:
            text += _BEHIND_NAT
        return f"{text}{_OUTBOUND}{profile.reg_id}" if profile.is_outbound else text

    def replaces(self, old: "Binding") -> bool:
        """Return True if this binding is of the same phone as `old`, which has another Contact.

        The same instance and reg-id are one binding, with any Contact (RFC 5626 §6); several
        reg-ids of one instance are flows in parallel.  Without them a phone is recognized by its
        socket, or by its Call-ID with a higher CSeq.
        """
        if self.has_instance_of(old):
            if self.profile.reg_id == old.profile.reg_id:
                return True
            if self.profile.reg_id and old.profile.reg_id:
                return False
        if self.flow.remote == old.flow.remote:
            return self._is_restart_of(old)
        # A binding behind NAT or on a connection was reached only along its flow, and that does not
        # lead to the phone any more.  The same is true if both Contacts are their source sockets:
        # such a phone has learned its public address from its NAT.
        needs_flow = old.needs_flow or old.flow.connection > 0
        if not needs_flow and not (old._contact_is_source() and self._contact_is_source()):
            return False
        return self.call_id == old.call_id and old.cseq < self.cseq

    def inherit_instance(self, former: Sequence["Binding"]) -> None:
        """Copy the instance of a replaced binding of the same Call-ID, if the REGISTER has none.

        One Call-ID is one user agent (§10.2).  Phones with pjsip send their instance in the first
        REGISTER, and later only in the Contact that they remove.
        """
        for old in former:
            if not self.instance and old.instance and old.call_id == self.call_id:
                self.instance = old.instance
                self.profile = shared(self.profile._replace(reg_id=old.profile.reg_id))

    def _is_restart_of(self, old: "Binding") -> bool:
        """Return True if both are of one socket whose program was restarted in between.

        A program that was not restarted keeps its Call-ID (§10.2) and may bind several contacts.
        The socket of a proxy may carry several phones, and so may one that registers contacts on
        other hosts.
        """
        return (
            self.call_id != old.call_id
            and self.flow.transport == old.flow.transport
            and not self._is_behind_proxy()
            and not old._is_behind_proxy()
            and self._host() == old._host()
        )

    def _is_behind_proxy(self) -> bool:
        return bool(self.profile.path) or self.profile.is_proxied

    @property
    def needs_flow(self) -> bool:
        """Return True if the phone is reached only along the flow of its REGISTER.

        With a Path it is reached by its proxy.
        """
        profile = self.profile
        return profile.behind_nat or (profile.is_outbound and not profile.path)

    def _host(self) -> str:
        """Return the host that requests to this contact are sent to."""
        if self.needs_flow or self.flow.connection:
            return self.flow.remote[0]
        return self._contact_host()

    def _contact_host(self) -> str:
        uri = parse_uri(self.contact)
        return uri.host if isinstance(uri, SipUri) else self.contact

    def _contact_is_source(self) -> bool:
        """Return True if the contact is the socket that its REGISTER came from."""
        uri = parse_uri(self.contact)
        if not isinstance(uri, SipUri):
            return False
        port = uri.port or default_port(uri.param("transport"))
        return self.flow.remote == (uri.host, port)

    @property
    def ends_with_connection(self) -> bool:
        """Return True if the phone is reached only by the connection in `flow`.

        That is so behind NAT, over TLS, with Outbound (RFC 5626 §7), and if the contact is the port
        that the phone connected from: on that port it accepts no connection.  With a Path the
        connection is a proxy's.
        """
        if not self.flow.connection or self.profile.path:
            return False
        return (
            self.flow.is_only_way
            or self.needs_flow
            or (self._contact_is_source() and self._has_its_transport())
        )

    @property
    def is_secure(self) -> bool:
        """Return True if requests to sips: URIs may go to this contact (RFC 5630 §5.3)."""
        return is_sips(self.contact) and (self.flow.is_secure or bool(self.profile.path))

    def _has_its_transport(self) -> bool:
        uri = parse_uri(self.contact)
        said = uri.param("transport") if isinstance(uri, SipUri) else None
        return said is None or said.upper() == self.flow.transport

    def is_same_device(self, other: "Binding") -> bool:
        """Return True if two bindings seem to be one device, by User-Agent and address.

        Of IPv6 the /64 is compared: many devices change their address each day.  With a Path the
        flow is the proxy's, so the host of the contact is compared.
        """
        if self.has_instance_of(other):
            return True
        if self.has_contact(other.contact):
            return True
        return (
            self.profile.user_agent == other.profile.user_agent
            and self.profile.path == other.profile.path
            and self._device_network() == other._device_network()
        )

    def _device_network(self) -> str:
        return self._contact_host() if self.profile.path else network_of(self.flow.remote[0])

    def is_set_later_than(self, call_id: str, cseq: int) -> bool:
        """Return True if a request of this Call-ID and CSeq is too late to change it (§10.3)."""
        return self.call_id == call_id and cseq <= self.cseq

    def target(self, aor: str, *, is_connected: bool, is_only: bool = False) -> Target:
        """Return the target of requests to this contact of `aor`.

        `is_connected` says that the connection of its REGISTER is still open, `is_only` that the
        user has no other phone.  If the name in the contact cannot be resolved, the flow is the
        fallback, unless it is a proxy's.
        """
        uri_text = as_request_uri(self.contact)
        profile = self.profile
        path = profile.path
        needs_flow = profile.behind_nat or (profile.is_outbound and not path)
        flow = self.flow if needs_flow or (is_connected and not path) else None
        fallback = None if path else self.flow
        source, phone = self.flow.remote[0], self.phone(aor, is_only=is_only)
        return Target(uri_text, flow, path, profile.q, source, phone=phone, fallback=fallback)

    def phone(self, aor: str, *, is_only: bool) -> Phone:
        """Return the phone of this binding, as one of `aor`."""
        instance, profile = self.instance.lower(), self.profile
        device, is_outbound = profile.user_agent, profile.is_outbound
        return Phone(aor, instance, self.call_id, self.flow, is_only, device, is_outbound)


Bindings = tuple[Binding, ...]


class BindingsChanged(NamedTuple):
    """An event: an address-of-record is bound to other contacts or flows.

    Published when memory changes: before the change is on disk, and again if it is undone.  Not
    published for the refresh of a single contact along the same flow, which nearly all are.
    """

    aor: str
    before: Bindings
    after: Bindings


def live(bindings: Bindings, now: float) -> Bindings:
    """Return the bindings that have not expired."""
    for binding in bindings:
        if binding.expires_at <= now:
            return tuple(b for b in bindings if b.expires_at > now)
    return bindings


def latest_flows_first(bindings: Bindings) -> Bindings:
    """Order bindings by their last REGISTER if several are of one instance (RFC 5626 §7)."""
    instances = [binding.instance.lower() for binding in bindings if binding.instance]
    if len(set(instances)) == len(instances):
        return bindings
    return tuple(sorted(bindings, key=lambda binding: -binding.registered_at))


def updated_bindings(current: Bindings, wanted: Sequence[Binding], now: float) -> Bindings:
    """Apply the contacts of one REGISTER, all or none (§10.3, step 7), and return the result.

    A wanted binding that has expired removes the equal ones.  A phone that stops sending its
    instance keeps it.  Raises Refused (500) if a later request of the same Call-ID has overtaken
    this one.
    """
    bindings = list(live(current, now))
    if len(bindings) == len(wanted) == 1 and wanted[0].expires_at > now:
        new = wanted[0]
        if bindings[0].is_contact_of(new):  # a refresh, as nearly every REGISTER is
            _check_order(bindings, new, wanted)
            new.inherit_instance(bindings)
            return (new,)
    leaving = [new for new in wanted if new.expires_at <= now] if len(wanted) > 1 else []
    for new in wanted:
        # Equality of URIs is not transitive: a contact cannot be a dictionary key, and one contact
        # may be equal to several that differ from each other.
        equal = [b for b in bindings if b.is_contact_of(new)]
        _check_order(equal, new, wanted)
        if new.expires_at <= now:
            bindings = [b for b in bindings if b not in equal]
        elif equal:  # in the place of the first
            first = equal[0]
            new.inherit_instance(equal)
            kept = [b for b in bindings if b is first or b not in equal]
            bindings = [new if b is first else b for b in kept]
        else:
            new.inherit_instance([*leaving, *(b for b in bindings if _is_named(b, leaving))])
            replaced = [b for b in bindings if new.replaces(b) and not _is_named(b, wanted)]
            _check_order(replaced, new, wanted)
            new.inherit_instance(replaced)
            bindings = [b for b in bindings if b not in replaced]
            bindings.append(new)
    return tuple(bindings)


def _check_order(found: Sequence[Binding], new: Binding, wanted: Sequence[Binding]) -> None:
    """Refuse a REGISTER that a later one has overtaken (§10.3, step 7).  Raises Refused (500)."""
    for old in found:
        if old.is_set_later_than(new.call_id, new.cseq) and old not in wanted:
            raise _out_of_order(new.cseq)


def _is_named(binding: Binding, wanted: Sequence[Binding]) -> bool:
    """Return True if the REGISTER itself contains the contact of a binding."""
    return any(binding.is_contact_of(new) for new in wanted)


def within_limit(
    bindings: Bindings, wanted: Sequence[Binding], now: float
) -> tuple[Bindings, Bindings]:
    """Enforce MAX_CONTACTS: return the bindings that stay, and those that are removed.

    The oldest bindings of the same device are removed: a phone that registers as another one each
    time is mostly the only one there.  Raises Refused (503) if there are too few of them: a binding
    ends by itself, and 403 would tell phones that their password is wrong (§21.4.4, §21.5.4).
    """
    excess = len(bindings) - MAX_CONTACTS
    if excess <= 0:
        return bindings, ()
    old = [b for b in bindings if b not in wanted]
    of_device = [b for b in old if any(b.is_same_device(new) for new in wanted)]
    if len(of_device) < excess:
        seconds = min((b.expires_at for b in old), default=now) - now
        retry_after = max(1, min(ceil(seconds), MAX_RETRY_AFTER))
        raise Refused(
            503,
            causes.TOO_MANY_CONTACTS.of(count=str(len(old))),
            reason="Too Many Contacts",
            extra=(("Retry-After", str(retry_after)),),
        )
    removed = sorted(of_device, key=lambda binding: binding.registered_at)[:excess]
    return tuple(b for b in bindings if b not in removed), tuple(removed)


def own_first(
    bindings: Bindings, wanted: Sequence[Binding], call_id: str, flow: Flow
) -> Sequence[Binding]:
    """Order the bindings for the response to a REGISTER: the phone's own first (§10.3, step 8).

    Many phones read the lifetime of the first Contact.  First are those of the request, in its
    order, then other ones of the same Call-ID or socket, then all others.
    """
    if len(bindings) < 2:
        return bindings
    named = [new for new in wanted if new in bindings]
    source = flow.transport, flow.remote
    others = [b for b in bindings if b not in named]
    own = [b for b in others if b.call_id == call_id or (b.flow.transport, b.flow.remote) == source]
    return [*named, *own, *(b for b in others if b not in own)]


def check_removal_of_all(current: Bindings, call_id: str, cseq: int) -> None:
    """Check that `Contact: *` may remove all bindings (§10.3, step 6).  Raises Refused (500)."""
    if any(binding.is_set_later_than(call_id, cseq) for binding in current):
        raise _out_of_order(cseq)


def _out_of_order(cseq: int) -> Refused:
    return Refused(500, causes.CSEQ_OUT_OF_ORDER.of(cseq=str(cseq)), reason="CSeq Out of Order")


def to_row(aor: str, binding: Binding, now: float, unix_now: float) -> BindingRow:
    """Return the database row of a binding; `now` and `unix_now` are the same moment.

    The generation of the temporary GRUUs is left out.
    """
    profile = binding.profile
    return BindingRow(
        user_id=binding.user_id,
        aor=aor,
        contact=binding.contact,
        expires_at=round(unix_now + binding.expires_at - now),
        q=profile.q / 1000,
        call_id=binding.call_id,
        cseq=binding.cseq,
        path=", ".join(profile.path),
        instance=binding.instance,
        reg_id=profile.reg_id,
        user_agent=profile.user_agent,
        flow=binding.row_flow(),
        updated_at=round(unix_now),
        params=profile.params,
    )


def from_row(row: BindingRow, now: float, unix_now: float) -> Binding:
    """Return the binding of a database row.  Raises BadMessage or ValueError if it is invalid.

    It lasts from now no longer than it was granted, even if the system clock was wrong then.
    """
    granted = row.expires_at - row.updated_at
    flow_text, *marks = row.flow.split(";")
    if not _USUAL_CONTACT.fullmatch(row.contact):
        parse_uri(row.contact)
    profile = Profile(
        q=round(row.q * 1000),
        path=tuple(part for part in split_list(row.path) if part) if row.path else (),
        reg_id=row.reg_id,
        user_agent=row.user_agent,
        params=row.params,
        lifetime=granted,
        behind_nat=_BEHIND_NAT[1:] in marks,
        is_outbound=any(mark.startswith(_OUTBOUND[1:]) for mark in marks),
    )
    return Binding(
        user_id=row.user_id,
        contact=row.contact,
        expires_at=now + min(row.expires_at - unix_now, granted),
        call_id=row.call_id,
        cseq=row.cseq,
        instance=row.instance,
        flow=read_flow(flow_text),
        profile=shared(profile),
    )
