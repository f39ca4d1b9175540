"""The upstream and the branches of a request that is handled (RFC 3261 §16)."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from sip.message.message import Request, Response
from sip.message.responses import encode_response, to_line
from sip.transaction.branch_event import BranchEvent
from sip.transaction.client import ClientTransaction, InviteClientTransaction
from sip.transaction.mailbox import Mailbox, spawn
from sip.transaction.server import Key, ServerTransaction
from sip.transport.flow import Flow, reply_flow

if TYPE_CHECKING:
    from sip.transaction.layer import Layer

log = logging.getLogger(__name__)

# Responses of a branch that wait for an earlier one; further ones are discarded, as if lost.
MAX_WAITING = 16


class Upstream:
    """The client's side of one request: the handler responds by it.

    `flow` is the flow of the request, `received_at` the time of its arrival.  `transaction` absorbs
    its retransmissions; it is None until the handler waits or responds.  `is_verified` is True if
    the sender has shown a password or a signed Record-Route, so that its address is not forged.
    `request` is None when its handling has ended: the transaction of an accepted call exists for
    32 s more, but not its request.  `held` is the answer that a handler has left to be sent later,
    in octets; until then the handling goes on, though the handler has returned.
    """

    __slots__ = (
        "_mailbox",
        "flow",
        "held",
        "is_verified",
        "key",
        "layer",
        "received_at",
        "request",
        "transaction",
    )

    def __init__(
        self, layer: "Layer", request: Request, flow: Flow, key: Key, received_at: float
    ) -> None:
        self.layer = layer
        self.request: Request | None = request
        self.flow = flow
        self.key = key
        self.received_at = received_at
        self.is_verified = False
        self.transaction: ServerTransaction | None = None
        self.held: bytes | None = None
        self._mailbox: Mailbox | None = None

    @property
    def mailbox(self) -> Mailbox:
        """The mailbox where the handler waits for BranchEvents: ends of branches, and a CANCEL."""
        if self._mailbox is None:
            self.ensure_transaction()
            self._mailbox = Mailbox()
        return self._mailbox

    def ensure_transaction(self) -> ServerTransaction:
        """Return the server transaction; the first call creates it (§17.2).

        A handler needs it before it waits or responds.  A request that is refused at once, as most
        unauthenticated requests are, takes no memory.
        """
        transaction = self.transaction
        if transaction is None:
            transaction = self.transaction = self.layer.create_server_transaction(self)
        return transaction

    def left_events(self) -> list[BranchEvent]:
        """Take the events that the handler has left in its mailbox."""
        return [] if self._mailbox is None else self._mailbox.take_all()

    def response_flow(self) -> Flow:
        """Return the flow of the responses (§18.2.2).  Raises RuntimeError after its handler."""
        if self.request is None:
            raise RuntimeError("the handler of this request has ended")
        return reply_flow(self.request.via, self.flow)

    @property
    def sent_by(self) -> str:
        """Return our own host and port, as our Via on this flow has them."""
        return self.layer.transports.sent_by(self.flow)

    @property
    def is_active(self) -> bool:
        """Return True while the handler runs and reads its mailbox."""
        return self.request is not None

    @property
    def has_sent_response(self) -> bool:
        """Return True if a response was sent: the client may have stopped its retransmissions."""
        return self.transaction is not None and self.transaction.last is not None

    def respond(self, response: Response) -> None:
        """Send a response by the transaction; without one, a late response is discarded."""
        if self.request is not None or self.transaction is not None:
            self.layer.respond(self.ensure_transaction(), response)

    def answer(
        self, status: int, reason: str | None = None, extra: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Send a response of our own; nothing after the handler has ended."""
        request = self.request
        if request is None:
            return
        if status == 100:  # §8.2.6.1: Timestamp has the delay since the request came
            tag, delay = "", self.layer.clock() - self.received_at
        else:  # §8.2.6.2: one tag for all our own responses, also to its CANCEL (§9.2)
            tag, delay = self.layer.stateless_tag(request), 0.0
        data = encode_response(request, status, reason, to_tag=tag, extra=extra, delay=delay)
        self.layer.answer(self.ensure_transaction(), status, data, to_line(request, tag))

    def hold(self, answer: bytes) -> None:
        """Hold the 200 of a request other than INVITE until its change is on disk (output commit).

        The handler may return then.  Retransmissions are absorbed until `release`, and afterwards
        `Layer.finish` must be called.
        """
        self.ensure_transaction()
        self.held = answer

    def release(self) -> None:
        """Send the answer that was held."""
        if self.held is not None:
            self.layer.answer(self.ensure_transaction(), 200, self.held)

    def spawn(self, work: Callable[[], object]) -> None:
        """Run `work`, which may wait, in a new greenlet; its result goes to the mailbox."""
        self.mailbox.put_result(work)

    def is_merged(self) -> bool:
        """Return True if a UAS here serves this request already, by another path (§8.2.2.2).

        A UAS calls it before it does anything.  The first request of a UAS is the one that is
        served, as long as its transaction exists.  The proxy does not call it: a proxied request
        may come by several paths (§16.3).
        """
        return self.request is not None and self.layer.servers.is_merged(
            self.request, self.ensure_transaction()
        )


# Work that has to end before a response is relayed; it may wait.
Work = Callable[[], None]
# Edits a response from 101 to 299 before it is relayed.  Must not wait: it returns work that may.
EditResponse = Callable[[Response], Work | None]


class Branch:
    """One client transaction of a proxied request, and its user (§16.6).

    `edit_response`, if any, is called with each response from 101 to 299, retransmissions included.
    If it leaves work that may wait, a greenlet does it; the later responses wait behind this one.
    """

    __slots__ = ("_waiting", "edit_response", "layer", "transaction", "upstream")

    def __init__(
        self, layer: "Layer", upstream: Upstream, edit_response: EditResponse | None = None
    ) -> None:
        self.layer = layer
        self.upstream = upstream
        self.edit_response = edit_response
        self.transaction: ClientTransaction
        self._waiting: list[tuple[Response, bool, Work | None]] | None = None

    def on_response(self, response: Response, is_first: bool) -> None:
        """Put the first final response into the mailbox; relay all others at once (§16.7).

        Each branch puts one event at most, so no peer can fill the mailbox.
        """
        waiting, work = self._waiting, None
        is_final = is_first and response.status >= 200
        if waiting is not None and len(waiting) >= MAX_WAITING and not is_final:
            return
        if self.edit_response is not None and 100 < response.status < 300:
            work = self.edit_response(response)
        if waiting is not None:
            waiting.append((response, is_first, work))
        elif work is not None:
            self._waiting = [(response, is_first, work)]
            spawn(self._pass_waiting)
        else:
            self._pass_on(response, is_first)

    def _pass_waiting(self) -> None:
        """Do the work of each response that waits, and pass it on, in their order."""
        while self._waiting:
            response, is_first, work = self._waiting[0]
            try:
                if work is not None:
                    work()
            except Exception:  # a fault of ours must not lose a response
                log.exception("unhandled error before a response is relayed")
            del self._waiting[0]
            self._pass_on(response, is_first)
        self._waiting = None

    def _pass_on(self, response: Response, is_first: bool) -> None:
        status, upstream = response.status, self.upstream
        if is_first and status >= 200 and upstream.request is not None:
            upstream.mailbox.put(BranchEvent(self, status, response))
        else:
            self.layer.relay(upstream.transaction or upstream.ensure_transaction(), response)

    def on_failure(self, status: int) -> None:
        """Put a status in place of a final response, if the handler still runs (§16.9)."""
        if self.upstream.is_active:
            self.upstream.mailbox.put(BranchEvent(self, status, None))

    def cancel(self, reason: str = "") -> None:
        """Cancel an INVITE at the next hop, after its first provisional response (§9.1).

        `reason` is the value of Reason (RFC 3326).
        """
        if isinstance(self.transaction, InviteClientTransaction):
            self.layer.cancel(self.transaction, reason)
