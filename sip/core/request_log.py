"""What the operator is told of requests: log lines, and the refusals that the pages show."""

import logging
from collections.abc import Callable

from sip.core.auth.authenticator import Account
from sip.core.domains import Domains
from sip.core.errors import Challenged, Refused, printable
from sip.core.registrar.bindings import Bindings
from sip.message.grammar import BadMessage
from sip.message.message import Request
from sip.message.parties import recipient_of, sender_of
from sip.message.uri import Uri, format_host_port
from sip.monitor.refusals import Refusals, Sender
from sip.store.accounts import full_name
from sip.transport.flow import Flow, network_of

log = logging.getLogger(__name__)

# Lines in a second of each kind, some 30 µs each; the rest is summed up in one.
MAX_REFUSALS_LOGGED = 20
# More, since each phone has one, and no stranger any: a thousand new phones take ten seconds.
MAX_REGISTRATIONS_LOGGED = 100
# What is kept for the pages: who can't register, who can't call.
_SHOWN = frozenset({"REGISTER", "INVITE"})
# A phone that hears 423 asks again by itself (RFC 3261 §10.2.8).
_INTERVAL_TOO_BRIEF = 423
# Characters of a User-Agent in a line.
_MAX_DEVICE = 60


class RequestLog:
    """Tells of refused requests and of phones that register.

    `find` looks up an account by user name and realm; `refusals` keeps what the pages show.
    """

    def __init__(
        self, domains: Domains, find: Callable[[str, str], Account | None], refusals: Refusals
    ) -> None:
        self.refusals = refusals
        self._domains = domains
        self._find = find
        self._refusals_left = MAX_REFUSALS_LOGGED
        self._registrations_left = MAX_REGISTRATIONS_LOGGED

    def refused(self, request: Request, flow: Flow, refused: Refused, *, is_proven: bool) -> None:
        """Tell of one refused request; a challenge to one without credentials is no refusal.

        `is_proven` says that the sender has shown a password or a ticket.
        """
        if not refused.cause:
            return
        self._line(f"refused {request.method[:20]} {refused.status}", request, flow, refused.cause)
        if request.method not in _SHOWN or refused.status == _INTERVAL_TOO_BRIEF:
            return
        is_verified = is_proven or flow.transport != "UDP"
        if isinstance(refused, Challenged):
            if not refused.is_refusal:
                return
            is_verified = is_verified or refused.is_verified
        self._note(request, flow, refused, is_verified=is_verified)

    def dropped(self, request: Request, flow: Flow, cause: str) -> None:
        """Tell of an ACK that leads nowhere: nothing answers it."""
        self._line(f"dropped {request.method}", request, flow, cause)

    def _line(self, event: str, request: Request, flow: Flow, cause: str) -> None:
        """Write a line, unless there were too many in this second."""
        self._refusals_left -= 1
        if self._refusals_left >= 0:
            sender, recipient = sender_of(request), recipient_of(request)
            source = format_host_port(*flow.remote)
            log.info(
                "%s from %s to %s at %s: %s", event, sender, recipient, source, printable(cause)
            )

    def _note(self, request: Request, flow: Flow, refused: Refused, *, is_verified: bool) -> None:
        is_register = request.method == "REGISTER"
        try:
            username, realm, user = self._named(
                request.to.uri if is_register else request.from_.uri
            )
        except BadMessage:
            username, realm, user = "", None, sender_of(request)
        to = ""
        if not is_register:
            try:
                to = self._named(request.uri)[2]
            except BadMessage:
                to = recipient_of(request)
        sender = Sender.UNVERIFIED
        if is_verified:
            is_user = realm is not None and self._find(username, realm) is not None
            sender = Sender.USER if is_user else Sender.VERIFIED
        host = flow.remote[0]
        self.refusals.note(
            sender,
            method=request.method,
            status=refused.status,
            cause=printable(refused.cause),
            cure=printable(refused.cure),
            username=username,
            realm=realm,
            user=user,
            to=to,
            address=host,
            network=network_of(host),
            device=printable(request.value("user-agent") or ""),
        )

    def _named(self, uri: Uri) -> tuple[str, str | None, str]:
        """Return the user name and realm of a URI, and what the pages call both."""
        username, realm = self._domains.username_of(uri), self._domains.claimed_realm(uri)
        if realm is None:
            return username, None, printable(uri.text.partition(":")[2].partition(";")[0])
        account = self._find(username, realm)  # which may have the name in another spelling
        username = username if account is None else account.username
        return username, realm, printable(self._shown(username, realm))

    def _shown(self, username: str, realm: str) -> str:
        return full_name(username, None if realm == self._domains.main else realm)

    def registered(
        self, request: Request, flow: Flow, username: str, realm: str, before: Bindings
    ) -> None:
        """Tell of a phone that is new, at a new address, or was refused before.

        `before` is what the user was bound to until now.
        """
        host = flow.remote[0]
        is_known = False
        for binding in before:
            if binding.flow.remote[0] == host:
                is_known = True
                break
        if is_known and not self.refusals.refused:
            return  # as nearly all
        user = self._shown(username, realm)
        was_refused = self.refusals.clear_refused(user, network_of(host))
        if is_known and not was_refused:
            return
        self._registrations_left -= 1
        if self._registrations_left < 0:
            return
        why = "after a refusal"
        if not was_refused:
            why = "at a new address" if before else "was not registered"
        log.info(
            "registered %s at %s %s: %s, %s",
            printable(user),
            format_host_port(*flow.remote),
            flow.transport,
            why,
            printable((request.value("user-agent") or "no User-Agent")[:_MAX_DEVICE]),
        )

    def sweep(self) -> None:
        """Begin a new second, and sum up what the last one had too much of."""
        if self._refusals_left < 0:
            log.info("refused %d more requests", -self._refusals_left)
        if self._registrations_left < 0:
            log.info("registered %d more phones", -self._registrations_left)
        self._refusals_left = MAX_REFUSALS_LOGGED
        self._registrations_left = MAX_REGISTRATIONS_LOGGED
        self.refusals.sweep()
