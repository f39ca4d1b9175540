"""The target set: all targets of one request (RFC 3261 §16.5)."""

from dataclasses import replace

from sip.core import causes
from sip.core.auth.authenticator import Account, Accounts
from sip.core.domains import Domains, address_of_record, user_of_aor
from sip.core.errors import Cause, Refused
from sip.core.gruu import is_gruu
from sip.core.registrar.bindings import Binding, latest_flows_first
from sip.core.registrar.gruus import Gruus
from sip.core.registrar.location import Location
from sip.core.target import Phone, Target, is_sips
from sip.message.grammar import BadMessage
from sip.message.headers import parse_name_addr, parse_q
from sip.message.message import Response
from sip.message.uri import SipUri, Uri, is_same_contact, parse_uri
from sip.transport.flow import Flow
from sip.transport.transports import Transports

# A contact may name another local user, whose contact may name a third: so many steps are followed.
MAX_FORWARDS_BY_CONTACT = 5
# Most users, and most targets, of one request, all such steps included (RFC 5393 §5).
MAX_TARGETS = 60


def phone_along(location: Location, aor: str, flow: Flow) -> Phone:
    """Return the phone of a user at the end of a flow; without instance id if unknown."""
    bindings = location.bindings(aor)
    for binding in bindings:
        if binding.flow.remote == flow.remote:
            return binding.phone(aor, is_only=len(bindings) == 1)
    return Phone(aor)


class TargetSet:
    """Collects the targets of one request while it is forwarded, each of them once.

    The problem: a contact may name another local user, and a redirection may add targets later; so
    one phone may be found several times, and two users may forward to each other.  The model: users
    and names that were looked up are remembered, and so are all targets.  The invariant: no user is
    looked up twice, no address is a target twice (§16.5).  The bounds: MAX_FORWARDS_BY_CONTACT
    steps, MAX_TARGETS names and targets.
    """

    __slots__ = (
        "_accounts",
        "_closed",
        "_names",
        "_targets",
        "accounts",
        "domains",
        "gruus",
        "insecure_user",
        "is_secure",
        "location",
        "transports",
    )

    def __init__(
        self,
        accounts: Accounts,
        domains: Domains,
        location: Location,
        transports: Transports,
        gruus: Gruus,
        is_secure: bool = False,
    ) -> None:
        self.accounts = accounts
        self.gruus = gruus
        self.domains = domains
        self.location = location
        self.transports = transports
        # Lists are smaller than sets, and most requests have one name.
        self._names: list[tuple[str, str]] = []  # (user name, realm), looked up
        self._accounts: list[int] = []  # ids of the accounts that were found
        self._targets: list[Target] = []
        # Targets with their AOR and binding whose connection is closed and has to be reopened.
        self._closed: list[tuple[Target, str, Binding]] = []
        self.is_secure = is_secure  # the request is to a sips: URI: only such Contacts count
        self.insecure_user = ""  # the first user whose Contacts were left out for that

    def of_user(self, username: str, realm: str, *, is_redirected: bool = False) -> list[Target]:
        """Return the contacts of a user; a contact in a local domain forwards to another user.

        A user that another one forwards or redirects to may not want to be disturbed.
        """
        ahead = self._look_up(username, realm)
        if is_redirected:
            ahead = self._undisturbed(ahead)
        found: list[Target] = []
        for _ in range(MAX_FORWARDS_BY_CONTACT):
            here, ahead = ahead, []
            for account, account_realm in here:
                targets = self._contacts_of(account, account_realm)
                for target in targets if len(targets) < 2 else _one_of_each_phone(targets):
                    forwarded = self._forwarded_user(target)
                    if forwarded is not None and is_gruu(uri := parse_uri(target.uri_text)):
                        found += self.of_gruu(uri, forwarded[1])
                    elif forwarded is not None:
                        ahead += self._undisturbed(self._look_up(*forwarded))
                    elif self._is_new(target):
                        self._targets.append(target)
                        found.append(target)
        return found

    def of_uri(self, uri: Uri, realm: str) -> list[Target]:
        """Return the targets of a URI in a local domain: those of its user, or of its GRUU."""
        if is_gruu(uri):
            return self.of_gruu(uri, realm)
        username = self.domains.username_of(uri)
        return self.of_user(username, realm) if username else []

    def of_gruu(self, uri: Uri, realm: str) -> list[Target]:
        """Return the phone that a GRUU names; none if there is none, or if it is away.

        A contact of it that names another local user is no phone.
        """
        for target in self.phones_of_gruu(uri, realm):
            if self._forwarded_user(target) is None and self.add(target):
                return [target]
        return []

    def phones_of_gruu(self, uri: Uri, realm: str) -> list[Target]:
        """Return the phone that a GRUU names, whether or not it is a target already."""
        user = self.user_of_gruu(uri, realm)
        if user is None:
            return []
        account, account_realm, instance = user
        phones = _one_of_each_phone(self._contacts_of(account, account_realm))
        return [each for each in phones if each.phone and each.phone.instance == instance]

    def gruu_user(self, uri: Uri, realm: str) -> Account | None:
        """Return the account of a GRUU; None if this server has no such GRUU.

        Each instance id gives a public GRUU of a user: they are not stored (RFC 5627 §5.3).
        """
        user = self.user_of_gruu(uri, realm)
        return None if user is None else user[0]

    def user_of_gruu(self, uri: Uri, realm: str) -> tuple[Account, str, str] | None:
        """Return the account, the realm and the instance id, in lower case, of a GRUU."""
        if not isinstance(uri, SipUri):
            return None
        if value := uri.param("gr"):
            username, instance = self.domains.username_of(uri), f"<{value.lower()}>"
        else:
            phone = self.gruus.phone_of(uri)
            if phone is None:
                return None
            (username, realm), instance = user_of_aor(phone[0]), phone[1]
        account = self.accounts.find(username, realm)
        return None if account is None else (account, realm, instance)

    def of_contact(self, uri: Uri, realm: str) -> list[Target]:
        """Return the one phone of a realm that has registered this Contact, for any user.

        A call with Replaces is sent to the Contact of the phone that has the other call (RFC 3891
        §4).  If several phones have the same Contact, each behind its own NAT, the phone of the
        user that the Contact names is taken, else the phone that registered last.
        """
        users = [(self.domains.username_of(uri), realm)]
        users += [user for user in self.location.users_at(uri) if user[1] == realm]
        for user in dict.fromkeys(users):
            for target in self.contacts(*user):
                if is_same_contact(parse_uri(target.uri_text), uri):
                    self._targets.append(target)
                    return [target]
        return []

    def of_redirection(self, response: Response) -> list[Target]:
        """Return the targets of the local Contacts of a 3xx, and remove these Contacts (§16.5).

        External Contacts, and those of phones that were called already, stay for the caller.  The q
        of a Contact in the 3xx overrides the q of the bindings.
        """
        found: list[Target] = []
        kept: list[str] = []
        try:
            values = response.values("contact")
        except BadMessage:
            return []
        for number, value in enumerate(values):
            targets = self._of_redirect_contact(value) if number < MAX_TARGETS else []
            if not targets:
                kept.append(value)
            found += targets
        if found:
            response.set_values("contact", "Contact", kept)
        return found

    def _of_redirect_contact(self, value: str) -> list[Target]:
        """Return no target for an unreadable or external Contact.

        And none for one with another scheme than the Request-URI (RFC 5630 §5.3).
        """
        try:
            contact = parse_name_addr(value)
            uri, q = contact.uri, parse_q(contact.params.get("q"))
            is_other_scheme = is_sips(contact.uri_text) != self.is_secure
            is_elsewhere = is_other_scheme or self.domains.has_foreign_maddr(uri)
        except BadMessage:
            return []
        realm = self.domains.realm_of(uri)
        if realm is None or is_elsewhere:
            return []
        if is_gruu(uri):
            account = self.gruu_user(uri, realm)
            is_free = account is not None and self._undisturbed([(account, realm)])
            targets = self.of_gruu(uri, realm) if is_free else []
        else:
            username = self.domains.username_of(uri)
            targets = self.of_user(username, realm, is_redirected=True)
        return [replace(target, q=q) for target in targets]

    def _look_up(self, username: str, realm: str) -> list[tuple[Account, str]]:
        """Return the account of a name and its realm; none if seen before or over the bound."""
        name = username, realm
        if name in self._names or len(self._names) >= MAX_TARGETS:
            return []
        self._names.append(name)
        account = self.accounts.find(username, realm)
        if account is None or account.id in self._accounts:
            return []
        self._accounts.append(account.id)
        return [(account, realm)]

    @staticmethod
    def _undisturbed(found: list[tuple[Account, str]]) -> list[tuple[Account, str]]:
        """Leave out users that do not want to be disturbed."""
        return [
            (account, realm)
            for account, realm in found
            if account.call_settings is None or not account.call_settings.dnd
        ]

    def add(self, target: Target) -> bool:
        """Add a target; False if it is there already, or if there are too many."""
        if not self._is_new(target):
            return False
        self._targets.append(target)
        return True

    def _is_new(self, target: Target) -> bool:
        """Return True if no known target has this address: two users may share a phone (§16.5)."""
        return len(self._targets) < MAX_TARGETS and not any(
            target.is_same_address(known) for known in self._targets
        )

    def contacts(self, username: str, realm: str) -> list[Target]:
        """Return the contacts of a user; the name may be in any spelling."""
        account = self.accounts.find(username, realm)
        return [] if account is None else self._contacts_of(account, realm)

    def _contacts_of(self, account: Account, realm: str) -> list[Target]:
        """Return the contacts of an account, none if it is disabled.

        Of one instance the latest comes first.  A binding that needs its connection is removed if
        the connection is gone.
        """
        if not account.enabled:
            return []
        aor = address_of_record(account.username, realm)
        found: list[Target] = []
        bindings = self.location.bindings(aor)
        if len(bindings) > 1:
            bindings = latest_flows_first(bindings)
        for binding in bindings:
            is_connected = binding.flow.connection > 0 and self.transports.is_reachable(
                binding.flow
            )
            if binding.ends_with_connection and not is_connected:
                # Only the phone can open another connection.
                self.location.remove_unreachable(aor, binding)
                continue
            if self.is_secure and not binding.is_secure:
                self.insecure_user = self.insecure_user or account.username
                continue
            target = binding.target(aor, is_connected=is_connected, is_only=len(bindings) == 1)
            if target.uri_text[3:4] != ":" and not self.is_secure and is_sips(target.uri_text):
                target.uri_text = f"sip:{target.uri_text[5:]}"  # RFC 5630 §5.3; sent over TLS
            found.append(target)
            if (
                binding.flow.connection
                and not binding.profile.path  # with a Path, the edge proxy has the connection
                and not self.transports.is_open(binding.flow)
            ):
                self._closed.append((target, aor, binding))
        return found

    def explain(self, refused: Refused, sent_by: str, *, is_external: bool) -> Refused:
        """Return a refusal; a 480 to a sips: URI gets a Warning that says why (RFC 5630 §5.3).

        An external caller gets it for each user: it must not learn which phones there are.
        """
        if not self.is_secure or refused.status != 480:
            return refused
        if not is_external and not self.insecure_user:
            return refused
        cause = Cause(refused.code, refused.cause, refused.cure)
        if self.insecure_user:
            cause = causes.SIPS_NOT_ALLOWED.of(name=self.insecure_user)
        warning = "Warning", f'380 {sent_by} "SIPS Not Allowed"'
        return Refused(480, cause, reason=refused.reason, extra=(*refused.extra, warning))

    def remove_unreachable(self, target: Target) -> bool:
        """Remove all bindings of a phone whose connection is closed and that accepts no other.

        Return True if there was such a binding.
        """
        gone = [(aor, binding) for at, aor, binding in self._closed if at.is_same_address(target)]
        for aor, binding in gone:
            self.location.remove_unreachable(aor, binding)
        return bool(gone)

    def _forwarded_user(self, target: Target) -> tuple[str, str] | None:
        """Return the local user (name, realm) that a contact names, with any Path; else None."""
        if target.flow is not None:
            return None
        uri = parse_uri(target.uri_text)
        realm = self.domains.realm_of(uri)
        return None if realm is None else (self.domains.username_of(uri), realm)


def _one_of_each_phone(targets: list[Target]) -> list[Target]:
    """Return one target for each phone: never two of one instance at a time.

    The others of an instance, mostly flows of Outbound, are tried if the latest one fails
    (RFC 5626 §7, RFC 5627 §6.1).
    """
    by_phone: dict[str, list[Target]] = {}
    for number, target in enumerate(targets):
        instance = target.phone.instance if target.phone is not None else ""
        by_phone.setdefault(instance or str(number), []).append(target)
    if len(by_phone) == len(targets):
        return targets
    phones: list[Target] = []
    for first, *others in by_phone.values():
        phones.append(replace(first, others=tuple(others)) if others else first)
    return phones
