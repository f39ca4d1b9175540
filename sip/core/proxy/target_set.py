"""The target set: all places that one request may go to (RFC 3261 §16.5)."""

from dataclasses import replace

from sip.core.auth.authenticator import Account, Accounts
from sip.core.domains import Domains, address_of_record
from sip.core.registrar.bindings import Binding
from sip.core.registrar.location import Location
from sip.core.target import Target
from sip.message.grammar import BadMessage
from sip.message.headers import parse_name_addr, parse_q
from sip.message.message import Response
from sip.message.uri import Uri, is_same_contact, parse_uri
from sip.transport.transports import Transports

# What may name a local user as its contact may name another: so many steps are followed.
MAX_FORWARDS_BY_CONTACT = 5
# Users and places that one request is led to, all such steps included (RFC 5393 §5).
MAX_TARGETS = 60


class TargetSet:
    """Finds places, none of them twice, for as long as a request is being forwarded.

    `transports` tells where flows lead.
    """

    def __init__(
        self,
        accounts: Accounts,
        domains: Domains,
        location: Location,
        transports: Transports,
    ) -> None:
        self.accounts = accounts
        self.domains = domains
        self.location = location
        self.transports = transports
        self._names: set[tuple[str, str]] = set()  # that were looked up
        self._accounts: set[int] = set()  # that they have led to, by their ids
        self._targets: list[Target] = []
        self._closed: list[
            tuple[Target, str, Binding]
        ] = []  # whose connection is to be opened anew

    def of_user(self, username: str, realm: str) -> list[Target]:
        """The contacts of a user.  A contact that names us is a forward to another user here."""
        ahead = self._first(username, realm)
        found: list[Target] = []
        for _ in range(MAX_FORWARDS_BY_CONTACT):
            here, ahead = ahead, []
            for account, place in here:
                for target in self._contacts_of(account, place):
                    forwarded = self._forward_of(target)
                    if forwarded is not None:
                        ahead += self._first(*forwarded)
                    elif self._is_new(target):
                        self._targets.append(target)
                        found.append(target)
        return found

    def of_contact(self, uri: Uri, realm: str) -> list[Target]:
        """Return the one phone of a realm whose Contact a URI is, whatever user it names.

        So a call is aimed that is to replace another one at the phone that has it (RFC 3891 §4).
        Where several have the same Contact, each behind a NAT of its own, it is the phone of the
        user that the Contact names, else the one that registered last.
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
        """What a 3xx says in our own domains, looked up, and taken out of it (§16.5, §16.7).

        What leads elsewhere stays in it for the caller, and so does who has been called already.
        The q of its Contacts stands above that of what they are bound to.
        """
        found: list[Target] = []
        kept: list[str] = []
        try:
            values = response.values("contact")
        except BadMessage:
            return []
        for number, value in enumerate(values):
            targets = self._of_contact(value) if number < MAX_TARGETS else []
            if not targets:
                kept.append(value)
            found += targets
        if found:
            response.set_values("contact", "Contact", kept)
        return found

    def _of_contact(self, value: str) -> list[Target]:
        """Nothing for what can't be read, leads elsewhere, or wants TLS on the way (§26.2.2)."""
        try:
            contact = parse_name_addr(value)
            uri, q = contact.uri, parse_q(contact.params.get("q"))
            is_elsewhere = uri.scheme == "sips" or self.domains.has_foreign_maddr(uri)
        except BadMessage:
            return []
        realm = self.domains.realm_of(uri)
        if realm is None or is_elsewhere:
            return []
        username = self.domains.username_of(uri)
        return [replace(target, q=q) for target in self.of_user(username, realm)]

    def _first(self, username: str, realm: str) -> list[tuple[Account, str]]:
        """Return the account of a name: each once, and for no more names than the bound."""
        name = username, realm
        if name in self._names or len(self._names) >= MAX_TARGETS:
            return []
        self._names.add(name)
        account = self.accounts.find(username, realm)
        if account is None or account.id in self._accounts:
            return []
        self._accounts.add(account.id)
        return [(account, realm)]

    def _is_new(self, target: Target) -> bool:
        """Tell whether a place is none of the known: two users may lead to one phone (§16.5)."""
        return len(self._targets) < MAX_TARGETS and not any(
            target.is_same_place(known) for known in self._targets
        )

    def contacts(self, username: str, realm: str) -> list[Target]:
        """What the user of a name is bound to, in whichever spelling it is."""
        account = self.accounts.find(username, realm)
        return [] if account is None else self._contacts_of(account, realm)

    def _contacts_of(self, account: Account, realm: str) -> list[Target]:
        """What a user is bound to; whose account is gone or disabled is not reached any more."""
        if not account.enabled:
            return []
        aor = address_of_record(account.username, realm)
        found: list[Target] = []
        bindings = self.location.bindings(aor)
        for binding in bindings:
            is_connected = binding.flow.connection > 0 and self.transports.leads_on(binding.flow)
            if binding.ends_with_connection and not is_connected:
                self.location.lose(aor, binding)  # nobody but the phone can open another one
                continue
            target = binding.target(aor, is_connected=is_connected, is_only=len(bindings) == 1)
            found.append(target)
            if (
                binding.flow.connection
                and not binding.path  # it was the connection of the proxy before the phone
                and not self.transports.is_open(binding.flow)
            ):
                self._closed.append((target, aor, binding))
        return found

    def lose(self, target: Target) -> bool:
        """Let go of a phone whose connection was closed, and which takes no other.

        True: it was one; all that is bound to its place goes.
        """
        gone = [(aor, binding) for at, aor, binding in self._closed if at.is_same_place(target)]
        for aor, binding in gone:
            self.location.lose(aor, binding)
        return bool(gone)

    def _forward_of(self, target: Target) -> tuple[str, str] | None:
        """The user here that a contact names, by whatever Path; None for all others."""
        if target.flow is not None:
            return None
        uri = parse_uri(target.uri_text)
        realm = self.domains.realm_of(uri)
        return None if realm is None else (self.domains.username_of(uri), realm)
