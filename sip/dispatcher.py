"""The dispatcher: calls the handler of each new request, and answers its errors.

It is the transaction user of the server (RFC 3261 §17).  It holds the state of the server (loading,
serving, draining), limits the number of handlers, and answers and logs each refusal.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Final

import gevent
from gevent.event import Event

from sip.core import causes
from sip.core.cause_fields import cause_fields, reason_of
from sip.core.domains import Domains, username_of
from sip.core.errors import Challenged, Fields, Refused, printable
from sip.core.guard.guard import Guard, is_scanner
from sip.core.options import answer_options
from sip.core.proxy.proxy import Proxy
from sip.core.registrar.registrar import Registrar
from sip.core.request_log import RequestLog
from sip.core.stateless import respond_statelessly
from sip.message.datagram import for_log
from sip.message.grammar import BadMessage
from sip.message.headers import parse_name_addr
from sip.message.message import Request
from sip.monitor.metrics import DROPPED_UNROUTABLE_ACK, refusals
from sip.store.bindings import Commit, NotSaved
from sip.transaction.branch_event import BranchEvent
from sip.transaction.client import ClientTransaction
from sip.transaction.layer import Layer
from sip.transaction.machine import Machine, State
from sip.transaction.server import InviteServerTransaction
from sip.transaction.upstream import Upstream
from sip.transport.flow import Flow

log = logging.getLogger(__name__)

# Handlers that run at one time: most of them wait for calls that ring, and ten thousand calls must
# be able to ring at once.  Each holds a greenlet and two copies of its request, 18 kB together.
MAX_HANDLERS = 12_000
# Handlers reserved for REGISTER, verified sources and in-dialog requests.
RESERVED_HANDLERS = 2000
# Retry-After of a 503, in seconds: long enough for a burst to pass.
RETRY_AFTER_SECONDS = 5
_RETRY_AFTER = (("Retry-After", str(RETRY_AFTER_SECONDS)),)
# While draining: seconds until all requests are answered, and then until ringing calls are
# cancelled.  With the last commit a stop takes less than 5 s, so that no operator kills the server.
DRAIN_SECONDS = 2.5
CANCEL_SECONDS = 1.0
# Seconds between two checks whether all requests are answered.
_POLL_SECONDS = 0.05
# Reason (RFC 3326) of the CANCEL that a ringing phone gets then.
_STOPPING = reason_of(503, causes.STOPPING.text)
_TIMED_OUT = 408
_NOT_SAVED = "Registration Not Saved"

# A handler returns None, or the commit that the answer held in its upstream waits for.
Handler = Callable[[Request, Upstream], Commit | None]


class ServerState:
    """The states of the server's life, in their order; none comes back.

    Plain constants as in `State`: each request looks one up.
    """

    LOADING: Final = "loading"  # bindings are being read: only OPTIONS to the server is answered
    SERVING: Final = "serving"
    DRAINING: Final = "draining"  # the server stops: no new work, except within a call


class Dispatcher:
    """Handles the new requests, and the ACKs of 2xx, that the transaction layer hands on."""

    def __init__(
        self,
        layer: Layer,
        guard: Guard,
        domains: Domains,
        registrar: Registrar,
        proxy: Proxy,
        request_log: RequestLog,
        unix_clock: Callable[[], float],
    ) -> None:
        self._layer = layer
        self._guard = guard
        self._domains = domains
        self._registrar = registrar
        self._proxy = proxy
        self._request_log = request_log
        self._unix_clock = unix_clock
        self.state: str = ServerState.LOADING
        self._loaded = Event()
        # The handlers by method; the proxy handles every other method, known or not.
        self.methods: dict[str, Handler] = {
            "REGISTER": self.serve_register,
            "OPTIONS": self.serve_options,
        }
        self.pending = 0  # requests that are handled, that wait for the loading or for the disk

    # States

    def finish_loading(self) -> None:
        """Go from LOADING to SERVING, and handle all waiting requests; DRAINING stays."""
        if self.state is ServerState.LOADING:
            self.state = ServerState.SERVING
        self._loaded.set()

    def drain(self) -> None:
        """Go to DRAINING: accept no new work, wait for what is pending, then cancel ringing calls.

        Blocks until all is answered, DRAIN_SECONDS and CANCEL_SECONDS at most.
        """
        self.state = ServerState.DRAINING
        if self._wait_until_idle(DRAIN_SECONDS):
            return
        log.info("draining: %d requests are still pending, cancelling ringing calls", self.pending)
        for transaction in tuple(self._layer.servers.values()):
            upstream = transaction.upstream
            if isinstance(transaction, InviteServerTransaction) and isinstance(upstream, Upstream):
                told = cause_fields(upstream, 503, causes.STOPPING.text)
                upstream.answer(503, extra=(*_RETRY_AFTER, *told))
                upstream.mailbox.put(BranchEvent(None, 503, None, _STOPPING))
        self._wait_until_idle(CANCEL_SECONDS)

    def _wait_until_idle(self, seconds: float) -> bool:
        """Wait for every answer, and for the ACK of every failure.  False: not all came in time."""
        give_up_at = self._layer.clock() + seconds
        while self.pending or any(map(_is_pending, self._transactions())):
            if self._layer.clock() >= give_up_at:
                return False
            gevent.sleep(_POLL_SECONDS)
        return True

    def _transactions(self) -> Iterator[Machine]:
        yield from self._layer.clients.values()
        yield from self._layer.servers.values()

    # Requests

    def handle_request(self, request: Request, upstream: Upstream) -> None:
        """Handle one new request: call its handler, and answer what the handler raises."""
        if self.state is not ServerState.SERVING and not self._may_serve(request, upstream):
            return
        user_agent = request.value("user-agent")
        if user_agent and is_scanner(user_agent):
            self._guard.scanner_seen(upstream.flow, user_agent)
            return  # no answer: a scanner does not find a server that is silent
        if self.pending >= MAX_HANDLERS - RESERVED_HANDLERS and not self._is_admitted(
            request, upstream
        ):
            cause = causes.OVERLOADED.of(count=str(self.pending))
            self._refuse(request, upstream, Refused(503, cause, extra=_RETRY_AFTER))
            return
        self.pending += 1
        commit: Commit | None = None
        try:
            commit = self.methods.get(request.method, self._proxy.handle)(request, upstream)
        except Refused as refused:
            self._refuse(request, upstream, refused)
        except BadMessage as bad:
            refusal = Refused(bad.status or 400, causes.malformed(bad.reason), reason=bad.reason)
            self._refuse(request, upstream, refusal)
        except NotSaved as error:
            self._refuse(request, upstream, _not_saved(str(error)))
        except Exception:
            fields = {
                "call_id": printable(request.value("call-id") or ""),
                "address": upstream.flow.remote[0],
                "cause": causes.INTERNAL_ERROR.code,
            }
            log.exception(
                "unhandled error while handling %r", for_log(request.encode()), extra=fields
            )
            self._refuse(request, upstream, Refused(500, causes.INTERNAL_ERROR.of()))
        except BaseException:  # the handler was killed: its client must not wait for an answer
            upstream.answer(500)
            raise
        finally:
            if upstream.is_verified:
                self._guard.mark_verified(upstream.flow.remote)
            if commit is None:
                self.pending -= 1
            else:
                commit.when_done(lambda failure: self._release(request, upstream, failure))

    def _release(self, request: Request, upstream: Upstream, failure: str) -> None:
        """Send the held answer of a request whose change is on disk, or else 500.

        Runs in the hub, so it must not wait.  Many run in a row, while their code is in the caches.
        """
        self.pending -= 1
        try:
            if failure:
                self._refuse(request, upstream, _not_saved(failure))
            else:
                upstream.release()
        finally:
            self._layer.finish(upstream)

    def handle_ack(self, request: Request, flow: Flow) -> None:
        """Forward the ACK of a 2xx; log why one is dropped, since an ACK has no response."""
        if self.state is ServerState.LOADING and not self._wait_until_loaded():
            return
        if (cause := self._proxy.forward_ack(request, flow)) is not None:
            self._layer.counts[DROPPED_UNROUTABLE_ACK] += 1
            self._request_log.dropped(request, flow, cause)

    # Admission

    def _may_serve(self, request: Request, upstream: Upstream) -> bool:
        """Before and after SERVING: return True if a request is served all the same."""
        if self.state is ServerState.LOADING:
            # Only OPTIONS to the server itself needs no binding.
            if request.method != "OPTIONS" or "@" in request.uri_text:
                upstream.ensure_transaction()
                self._wait_until_loaded()
            return True
        return self._refuse_while_draining(request, upstream)

    def _wait_until_loaded(self) -> bool:
        """Wait for the end of LOADING.  False: MAX_HANDLERS requests wait already."""
        if self.pending >= MAX_HANDLERS:
            return False
        self.pending += 1
        try:
            self._loaded.wait()
        finally:
            self.pending -= 1
        return True

    def _refuse_while_draining(self, request: Request, upstream: Upstream) -> bool:
        """Refuse a request while draining; return True for one within a dialog on a connection.

        A datagram stays unanswered: the client repeats it, to the server that is started next.  On
        a connection a request is not repeated, and one within a call may be a BYE.
        """
        if not upstream.flow.is_reliable:
            return False
        if request.to.tag:
            return True
        refusal = Refused(503, causes.STOPPING.of(), extra=_RETRY_AFTER)
        self._refuse(request, upstream, refusal)
        return False

    def _is_admitted(self, request: Request, upstream: Upstream) -> bool:
        """Return True if one more handler may start; the last ones are reserved.

        They are for REGISTER, for verified sources and for requests within a call, which their
        ticket shows: a caller may hang up from any address.
        """
        is_known = (
            request.method == "REGISTER"
            or self._guard.is_verified(upstream.flow.remote)
            or self._proxy.is_within_dialog(request)
        )
        return self.pending < (MAX_HANDLERS if is_known else MAX_HANDLERS - RESERVED_HANDLERS)

    def _refuse(self, request: Request, upstream: Upstream, refused: Refused) -> None:
        """Answer with a refusal, and log it.

        An unverified source gets the refusal once, and no transaction is stored: each repeat of its
        request is handled anew.  So a forged request never makes this server repeat a response to
        its victim.
        """
        self._layer.counts[refusals(refused.code)] += 1
        self._request_log.refused(request, upstream.flow, refused, is_verified=upstream.is_verified)
        # After a 100 the client repeats nothing: this server has to repeat its final response.
        # The same after a wait: to most methods the transaction sends no 408 (RFC 4320 §4.2).
        if upstream.is_verified or upstream.has_sent_response or refused.status == _TIMED_OUT:
            # A challenge looks the same for each user name, known or not.
            told: Fields = ()
            if not isinstance(refused, Challenged):
                told = cause_fields(upstream, refused.status, refused.told)
            extra = (*refused.extra, *told)
            upstream.answer(refused.status, refused.reason, extra)
            return
        reason = refused.reason.encode("ascii", "replace").decode() if refused.reason else None
        respond_statelessly(request, upstream, refused.status, refused.extra, reason)

    # Handlers

    def serve_register(self, request: Request, upstream: Upstream) -> Commit | None:
        """Handle a REGISTER once, even if it arrives by several paths (§8.2.2.2).

        A REGISTER for another domain goes to the proxy (§10.3, step 1).
        """
        domain = self._realm_here(request)
        if domain is None:
            self._proxy.handle(request, upstream)
            return None
        # A REGISTER without credentials is challenged on every path: that changes nothing here.
        if "authorization" in request.present and upstream.is_merged():
            raise Refused(482, causes.MERGED_REQUEST.of())
        return self._registrar.handle(request, upstream, domain)

    def serve_options(self, request: Request, upstream: Upstream) -> None:
        """Answer an OPTIONS to the server itself (§11.2); one to a user goes to the proxy."""
        if username_of(request.uri) or self._realm_here(request) is None:
            self._proxy.handle(request, upstream)
            return
        answer_options(request, upstream, self._unix_clock())

    def _realm_here(self, request: Request) -> str | None:
        """Return the realm of the Request-URI; None if that, or a Route, does not name us."""
        if "route" in request.present:
            routes = [parse_name_addr(value).uri for value in request.values("route")]
            if not all(map(self._domains.is_local, routes)):
                return None
        return self._domains.realm_of(request.uri)


def _not_saved(failure: str) -> Refused:
    return Refused(500, causes.NOT_SAVED.of(fault=failure), reason=_NOT_SAVED)


def _is_pending(machine: Machine) -> bool:
    """Return True while a transaction waits for the answer of a peer, or for its ACK."""
    if isinstance(machine, ClientTransaction):
        return machine.state in (State.TRYING, State.PROCEEDING)
    return isinstance(machine, InviteServerTransaction) and machine.state is State.COMPLETED
