"""Both sides of a request that is being served: who asks, and each who is asked (RFC 3261 §16)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sip.message.message import Request, Response, make_response
from sip.transaction.branch_event import BranchEvent
from sip.transaction.client import ClientTransaction, InviteClientTransaction
from sip.transaction.mailbox import Mailbox
from sip.transaction.server import Key, ServerTransaction
from sip.transport.flow import Flow, reply_flow

if TYPE_CHECKING:
    from sip.transaction.layer import Layer


class Upstream:
    """The client's side of one request that is being served: how it is answered.

    `flow` is the one the request came by; `transaction` answers its repeats, None until somebody
    waits or answers.  `is_verified` says that the sender has shown a password or a ticket, so its
    address is not forged, `received_at` when the request came.  When all has been said,
    `request` is None: an accepted call is held for 32 s more, but not what was asked.
    """

    __slots__ = (
        "_mailbox",
        "flow",
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
        self._mailbox: Mailbox

    @property
    def mailbox(self) -> Mailbox:
        """Where the handler waits for what its branches bring, and for a CANCEL."""
        self.ensure_transaction()
        return self._mailbox

    def ensure_transaction(self) -> ServerTransaction:
        """Remember the request from now on (§17.2): who is about to wait, or to answer, holds it.

        What is refused without a wait, as most of what strangers send is, leaves no trace.
        """
        transaction = self.transaction
        if transaction is None:
            transaction = self.transaction = self.layer.create_server_transaction(self)
            self._mailbox = Mailbox()
        return transaction

    @property
    def response_flow(self) -> Flow:
        """The way of the responses (§18.2.2), for as long as the request is served."""
        if self.request is None:
            raise RuntimeError("nobody serves this request any more")
        return reply_flow(self.request.via, self.flow)

    @property
    def is_active(self) -> bool:
        """Tell whether the handler is still at work, and hears what arrives."""
        return self.request is not None

    @property
    def has_sent_response(self) -> bool:
        """Tell whether the client has heard anything yet: it may repeat its request no more."""
        return self.transaction is not None and self.transaction.last is not None

    def respond(self, response: Response) -> None:
        """Send a response through the transaction; nothing, once all has been said."""
        if self.is_active or self.transaction is not None:
            self.layer.respond(self.ensure_transaction(), response)

    def answer(
        self, status: int, reason: str | None = None, extra: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Make a response of our own, and send it."""
        if self.request is None:
            return
        if status == 100:  # a Timestamp is told how long the request has been here
            tag, delay = "", self.layer.clock() - self.received_at
        else:  # §8.2.6.2: one tag for all that we say ourselves, and for its CANCEL too (§9.2)
            tag, delay = self.layer.stateless_tag(self.request), 0.0
        self.respond(
            make_response(self.request, status, reason, to_tag=tag, extra=extra, delay=delay)
        )

    def spawn(self, work: Callable[[], object]) -> None:
        """Do in a greenlet of its own what may take long; what comes of it arrives as well."""
        self.mailbox.put_result(work)

    def is_merged(self) -> bool:
        """Tell whether a UAS here serves this very request already, come another way (§8.2.2.2).

        Only who serves a request as UAS asks, before anything is done; the first to ask holds it
        as long as its transaction exists.  To the proxy a request that has been here is none
        the worse for it (§16.3).
        """
        return self.request is not None and self.layer.servers.is_merged(
            self.request, self.ensure_transaction()
        )


# Edits a response from 101 to 299 before it is relayed.
EditResponse = Callable[[Response], None]


class Branch:
    """One client transaction of a handler, and the upstream that it works for (§16.6).

    `edit_response` is called with each response from 101 to 299, repeats included; None for
    nothing to edit.
    """

    __slots__ = ("edit_response", "layer", "transaction", "upstream")

    def __init__(
        self, layer: "Layer", upstream: Upstream, edit_response: EditResponse | None = None
    ) -> None:
        self.layer = layer
        self.upstream = upstream
        self.edit_response = edit_response
        self.transaction: ClientTransaction

    def on_response(self, response: Response, *, is_first: bool) -> None:
        """Hand the first final response to the handler; relay all others in place (§16.7).

        The handler hears of each branch's end once, so no peer can fill its mailbox.
        """
        status = response.status
        if self.edit_response is not None and 100 < status < 300:
            self.edit_response(response)
        if is_first and status >= 200 and self.upstream.is_active:
            self.upstream.mailbox.put(BranchEvent(self, status, response))
        else:
            self.layer.relay(self.upstream.ensure_transaction(), response)

    def on_failure(self, status: int) -> None:
        """Tell the handler, while it works, that no final response will come (§8.1.3.1, §16.9)."""
        if self.upstream.is_active:
            self.upstream.mailbox.put(BranchEvent(self, status, None))

    def cancel(self, reason: str = "") -> None:
        """Ask the next hop to stop ringing; without a provisional response yet, once it comes.

        `reason` is a Reason value that says why (RFC 3326).
        """
        if isinstance(self.transaction, InviteClientTransaction):
            self.layer.cancel(self.transaction, reason)
