"""Log lines and events of refused requests and of registrations."""

import logging
from collections.abc import Callable

from sip.core.auth.authenticator import Account
from sip.core.domains import Domains
from sip.core.errors import Cause, Challenged, Refused, printable
from sip.core.registrar.bindings import Bindings
from sip.message.grammar import BadMessage
from sip.message.message import Request
from sip.message.parties import recipient_of, sender_of
from sip.message.uri import Uri, format_host_port
from sip.monitor import events
from sip.monitor.events import Bus, Sender
from sip.monitor.refusals import Refusals
from sip.store.accounts import full_name
from sip.store.bindings import Commit
from sip.transport.flow import Flow, network_of

log = logging.getLogger(__name__)

# Log lines per second of refused requests, some 30 µs each; the rest is one line with their number.
MAX_REFUSALS_LOGGED = 20
# The same of registrations.  It is more, because each takes a password: a thousand new phones are
# logged within ten seconds.
MAX_REGISTRATIONS_LOGGED = 100
# Methods whose refusals are published: users notice that they cannot register or call.
_PUBLISHED = frozenset({"REGISTER", "INVITE"})
# After a 423 a phone asks again by itself (RFC 3261 §10.2.8).
_INTERVAL_TOO_BRIEF = 423
# Characters of a User-Agent in a log line.
_MAX_DEVICE = 60


class RequestLog:
    """Logs refused requests and phones that register, and publishes refusals.

    `find` looks up an account by user name and realm.  `refusals` remembers which users were
    refused: their next registration is logged.
    """

    def __init__(
        self,
        domains: Domains,
        find: Callable[[str, str], Account | None],
        refusals: Refusals,
        bus: Bus,
    ) -> None:
        self.refusals = refusals
        self._domains = domains
        self._find = find
        self._bus = bus
        self._refusal_topic = bus.topic(events.RefusalSent)
        self._refusals_left = MAX_REFUSALS_LOGGED
        self._registrations_left = MAX_REGISTRATIONS_LOGGED

    def refused(self, request: Request, flow: Flow, refused: Refused, *, is_verified: bool) -> None:
        """Log and publish one refused request.

        A challenge of a request without credentials is no refusal.  `is_verified` is True if the
        sender has shown a password or a ticket.
        """
        if not refused.cause:
            return
        event = f"refused {request.method[:20]} {refused.status}"
        self._line(event, request, flow, refused.cause, refused.code)
        if self._refusal_topic.listeners:
            self._publish_answer(request, refused)
        if request.method not in _PUBLISHED or refused.status == _INTERVAL_TOO_BRIEF:
            return
        if not self._bus.has_listener(events.Refused):
            return
        # The account of a wrong password is only claimed, and the row says so: wrong password.
        names_caller = is_verified or isinstance(refused, Challenged)
        is_verified = is_verified or flow.source_is_verified
        if isinstance(refused, Challenged):
            if not refused.is_refusal:
                return
            is_verified = is_verified or refused.is_verified
        self._publish(request, flow, refused, is_verified=is_verified, names_caller=names_caller)

    def dropped(self, request: Request, flow: Flow, cause: Cause) -> None:
        """Log an ACK that cannot be forwarded; an ACK is never answered."""
        self._line(f"dropped {request.method}", request, flow, cause.text, cause.code)

    def _publish_answer(self, request: Request, refused: Refused) -> None:
        event = events.RefusalSent(
            self._bus.now(),
            printable(request.value("call-id") or ""),
            printable(request.value("cseq") or ""),
            refused.status,
            printable(refused.cause),
            printable(refused.cure),
            refused.code,
        )
        self._refusal_topic.publish(event)

    def _line(self, event: str, request: Request, flow: Flow, cause: str, code: str) -> None:
        """Write a log line, unless there were too many in this second."""
        self._refusals_left -= 1
        if self._refusals_left >= 0:
            sender, recipient = sender_of(request), recipient_of(request)
            source = format_host_port(*flow.remote)
            call_id = printable(request.value("call-id") or "")
            fields = {"call_id": call_id, "user": sender, "address": flow.remote[0], "cause": code}
            log.info(
                "%s from %s to %s at %s: %s",
                event,
                sender,
                recipient,
                source,
                printable(cause),
                extra=fields,
            )

    def _publish(
        self,
        request: Request,
        flow: Flow,
        refused: Refused,
        *,
        is_verified: bool,
        names_caller: bool,
    ) -> None:
        is_register = request.method == "REGISTER"
        from_tag = ""
        try:
            from_tag = request.from_.tag
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
        caller = callee = None
        if not is_register:
            caller = self._party(request, is_caller=True, is_named=names_caller)
            callee = self._party(request, is_caller=False)
        event = events.Refused(
            at=self._bus.now(),
            sender=sender,
            method=request.method,
            status=refused.status,
            cause=printable(refused.cause),
            cure=printable(refused.cure),
            username=username,
            realm=realm,
            user=user,
            to=to,
            address=flow.remote,
            network=network_of(flow.remote[0]),
            transport=flow.transport,
            device=printable((request.value("user-agent") or "")[: events.MAX_DEVICE]),
            call_id=printable(request.value("call-id") or ""),
            from_tag=printable(from_tag),
            code=refused.code,
            is_in_dialog=not is_register and ";tag=" in (request.value("to") or "").lower(),
            caller=caller,
            callee=callee,
        )
        self._bus.publish(event)

    def _party(
        self, request: Request, *, is_caller: bool, is_named: bool = True
    ) -> events.Party | None:
        """Return one side of a refused INVITE, None if its URI cannot be read.

        Without `is_named` it is no account: any caller can write the URI of a user.
        """
        try:
            uri = request.from_.uri if is_caller else request.uri
        except BadMessage:
            return None
        username, realm = self._domains.username_of(uri), self._domains.claimed_realm(uri)
        account = None if realm is None else self._find(username, realm)
        text = printable(uri.text[: events.MAX_DEVICE])
        if account is None or realm is None or not is_named:
            return events.Party(text, 0, "", "")
        return events.Party(text, account.id, account.username, realm, account.display_name)

    def _named(self, uri: Uri) -> tuple[str, str | None, str]:
        """Return the user name and realm of a URI, and the name on the pages."""
        username, realm = self._domains.username_of(uri), self._domains.claimed_realm(uri)
        if realm is None:
            return username, None, printable(uri.text.partition(":")[2].partition(";")[0])
        account = self._find(username, realm)  # which may have the name in another spelling
        username = username if account is None else account.username
        return username, realm, printable(self._shown(username, realm))

    def _shown(self, username: str, realm: str) -> str:
        return full_name(username, None if realm == self._domains.main else realm)

    def registered(
        self,
        commit: Commit,
        request: Request,
        flow: Flow,
        username: str,
        realm: str,
        before: Bindings,
    ) -> None:
        """Log a phone that is new, at a new address, or was refused before, when it is on disk.

        `before` are the bindings of the user until now.
        """
        host = flow.remote[0]
        is_known = False
        for binding in before:
            if binding.flow.remote[0] == host:
                is_known = True
                break
        if is_known and not self.refusals.refused:
            return  # the usual case

        def log_saved(failure: str) -> None:
            if not failure:
                news = "" if is_known else "at a new address" if before else "was not registered"
                self._log_registered(request, flow, self._shown(username, realm), news)

        commit.when_done(log_saved)

    def _log_registered(self, request: Request, flow: Flow, user: str, news: str) -> None:
        """Write a log line, unless there were too many in this second; `news` may be ""."""
        was_refused = self.refusals.clear_refused(user, network_of(flow.remote[0]))
        if not news and not was_refused:
            return
        self._registrations_left -= 1
        if self._registrations_left < 0:
            return
        call_id = printable(request.value("call-id") or "")
        fields = {"call_id": call_id, "user": printable(user), "address": flow.remote[0]}
        log.info(
            "registered %s at %s %s: %s, %s",
            printable(user),
            format_host_port(*flow.remote),
            flow.transport,
            "after a refusal" if was_refused else news,
            printable((request.value("user-agent") or "no User-Agent")[:_MAX_DEVICE]),
            extra=fields,
        )

    def sweep(self) -> None:
        """Begin a new second; log how many lines the last one has left out."""
        if self._refusals_left < 0:
            log.info("refused %d more requests", -self._refusals_left)
        if self._registrations_left < 0:
            log.info("registered %d more phones", -self._registrations_left)
        self._refusals_left = MAX_REFUSALS_LOGGED
        self._registrations_left = MAX_REGISTRATIONS_LOGGED
        self.refusals.sweep()
