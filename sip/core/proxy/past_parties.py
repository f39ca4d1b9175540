"""The parties of a call that began before this process, by the BYE that ends it.

From and To of a BYE may name any user: no password is checked within a dialog.  The tickets of the
dialog are signed, and have the marks of the users of both sides (route_ticket.py).  So a party is
an account only if the ticket has its mark.
"""

from contextlib import suppress
from typing import NamedTuple

from sip.core.auth.authenticator import Accounts
from sip.core.causes import HUNG_UP
from sip.core.domains import Domains, address_of_record
from sip.core.errors import printable
from sip.core.proxy.record_route import first_uri
from sip.core.proxy.route_ticket import DialogSide, OwnRoute, Tickets
from sip.core.registrar.location import Location
from sip.message.grammar import BadMessage
from sip.message.headers import NameAddr
from sip.message.message import Request
from sip.message.uri import Uri
from sip.monitor.events import MAX_DEVICE, CallEnded, Party


class Parties(NamedTuple):
    """The caller and the callee of a call, and the tag of each."""

    caller: Party
    callee: Party
    caller_tag: str
    callee_tag: str


class PastParties:
    """Finds the parties of a call by a request within its dialog."""

    def __init__(
        self, tickets: Tickets, domains: Domains, accounts: Accounts, location: Location
    ) -> None:
        self._tickets = tickets
        self._domains = domains
        self._accounts = accounts
        self._location = location

    def end_of(
        self, at: float, bye: Request, routes: list[OwnRoute], side: DialogSide
    ) -> CallEnded:
        """Return the event of a BYE that has ended a call; `of` has the parameters."""
        parties = self.of(bye, routes, side)
        return CallEnded(
            at,
            printable(bye.call_id),
            printable(parties.caller_tag),
            printable(parties.callee_tag),
            parties.caller.uri,
            parties.callee.uri,
            200,
            HUNG_UP.text,
            "",
            code=HUNG_UP.code,
            caller=parties.caller,
            callee=parties.callee,
        )

    def of(self, request: Request, routes: list[OwnRoute], side: DialogSide) -> Parties:
        """Return the parties of a dialog.

        `routes` are our own Routes of the request, `side` is the one that it goes to.
        """
        sender, recipient = request.from_, request.to
        sender_side = self._tickets.sender_side(request, routes)
        one = self._party(sender, sender_side, first_uri(request, "contact"))
        other = self._party(recipient, side, request.uri)
        if self._tickets.is_from_initiator(request, routes):
            return Parties(one, other, sender.tag, recipient.tag)
        return Parties(other, one, recipient.tag, sender.tag)

    def _party(self, named: NameAddr, side: DialogSide | None, contact: Uri | None) -> Party:
        """Return a party by its URI in From or To, else by its Contact: its call was forwarded."""
        text = printable(named.uri_text[:MAX_DEVICE])
        if side is not None and side.user:
            domains = self._domains
            names: list[tuple[str, str]] = []
            with suppress(BadMessage):  # a BYE with an odd URI is as good as any other
                uri = named.uri
                names.append((domains.username_of(uri), domains.claimed_realm(uri) or domains.main))
            if contact is not None:
                names += self._location.users_at(contact)
            for name, realm in names:
                account = self._accounts.find(name, realm)
                if account is not None and self._tickets.is_of_user(
                    side, address_of_record(account.username, realm)
                ):
                    return Party(text, account.id, account.username, realm)
        return Party(text, 0, "", "")
