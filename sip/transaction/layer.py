"""The transaction layer: whose message is it, and who waits for it (RFC 3261 §17, §9, §16.7).

Repeats, responses, ACKs of failures and CANCELs are dealt with in place, by the greenlet that read
them; only a new request is handed on to a handler, in blocking style.  A handler that waits does so
on its Mailbox, and nothing here ever waits.
"""

import logging
import os
import re
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import gevent
from greenlet import getcurrent

from sip.message.headers import MAGIC_COOKIE, Via
from sip.message.message import Request, Response, make_response
from sip.transaction.client import ClientTransaction, InviteClientTransaction
from sip.transaction.machine import Machine, State
from sip.transaction.server import InviteServerTransaction, Key, ServerTransaction
from sip.transaction.timers import Timers
from sip.transport.flow import Flow, reply_flow
from sip.transport.transports import Transports

log = logging.getLogger("sip.transaction")

# Handlers that may wait at one time.  Each holds a greenlet of about 8 kB and a request.
MAX_WAITING = 2000
# Transactions held at one time; a finished one is held for 32 s and about 1 kB.
MAX_TRANSACTIONS = 400_000

_QUOTED_BRANCH = re.compile(rb"branch=(z9hG4bK[0-9a-f]+)")


class Tokens:
    """Unguessable text for branches, tags and nonces, 64 bits each as 16 hexadecimal digits.

    Drawn from the system in bulk: a call for each would cost more than the rest of a response.
    """

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def __call__(self) -> str:
        if not self._drawn:
            digits = os.urandom(8 * 512).hex()
            self._drawn = [digits[at : at + 16] for at in range(0, len(digits), 16)]
        return self._drawn.pop()


class Mailbox:
    """Where a handler waits.  One greenlet reads, anybody puts."""

    __slots__ = ("_items", "_waiter")

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._waiter: Any = None

    def put(self, item: object) -> None:
        """Leave something; the reader wakes in the next turn of the hub."""
        self._items.append(item)
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            gevent.get_hub().loop.run_callback(waiter.switch)

    def get(self) -> Any:
        """Take the oldest item; blocks this greenlet until there is one."""
        while not self._items:
            self._waiter = getcurrent()
            gevent.get_hub().switch()
        return self._items.popleft()


class Upstream:
    """The client's side of one request that is being served: how it is answered.

    `flow` is the one the request came by, `transaction` answers its repeats, `arrivals` is where
    the handler waits for what its branches bring, and for a CANCEL.
    """

    __slots__ = ("arrivals", "flow", "is_proven", "layer", "request", "transaction")

    def __init__(
        self, layer: "Layer", request: Request, flow: Flow, transaction: ServerTransaction
    ) -> None:
        self.layer = layer
        self.request = request
        self.flow = flow
        self.transaction = transaction
        self.arrivals = Mailbox()
        self.is_proven = False  # the sender has authenticated

    def respond(self, response: Response) -> None:
        """Send a response through the transaction."""
        self.layer.respond(self.transaction, response)

    def answer(
        self, status: int, reason: str | None = None, extra: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Make a response of our own, and send it."""
        tag = "" if status == 100 else self.layer.new_token()
        self.respond(make_response(self.request, status, reason, to_tag=tag, extra=extra))

    def forget(self) -> None:
        """Serve the request statelessly from here: its repeats are new requests (§8.2.7)."""
        self.layer.forget(self.transaction)


class Branch:
    """One client transaction of a handler, and the upstream that it works for (§16.6)."""

    __slots__ = ("layer", "transaction", "upstream")

    def __init__(self, layer: "Layer", upstream: Upstream) -> None:
        self.layer = layer
        self.upstream = upstream
        self.transaction: ClientTransaction

    def cancel(self) -> None:
        """Ask the next hop to stop ringing; without a provisional response yet, once it comes."""
        if isinstance(self.transaction, InviteClientTransaction):
            self.layer.cancel(self.transaction)


class Arrival:
    """What a branch brought: a final response, or a status in its stead; or a CANCEL.

    `branch` is None for a CANCEL from upstream.  `response` is None where nobody sent one: 408
    for silence, 503 for a next hop that could not be reached (§8.1.3.1, §16.9).
    """

    __slots__ = ("branch", "response", "status")

    def __init__(self, branch: Branch | None, status: int, response: Response | None) -> None:
        self.branch = branch
        self.status = status
        self.response = response


Handler = Callable[[Request, Upstream], None]


class Layer:
    """All transactions.  `on_request` serves a new request; `on_ack` passes on an ACK for a 2xx."""

    def __init__(self, transports: Transports, clock: Callable[[], float]) -> None:
        self.transports = transports
        self.clock = clock
        self.on_request: Handler = lambda request, upstream: None
        self.on_ack: Callable[[Request, Flow], None] = lambda request, flow: None
        self.counts: Counter[str] = Counter()
        self.new_token = Tokens()
        self.servers: dict[Key, ServerTransaction] = {}
        self.clients: dict[tuple[str, str], ClientTransaction] = {}
        self.timers = Timers(clock())
        transports.deliver = self.deliver

    # In

    def deliver(self, message: Request | Response, flow: Flow) -> None:
        """Take a message from the transports."""
        if isinstance(message, Response):
            self._receive_response(message)
        elif message.method == "ACK":
            self._receive_ack(message, flow)
        else:
            self._receive_request(message, flow)

    def _receive_request(self, request: Request, flow: Flow) -> None:
        key = transaction_key(request, request.method)
        known = self.servers.get(key)
        if known is not None:
            self.counts["repeats"] += 1
            self._send(known.repeat(), known.flow)
            return
        if len(self.servers) >= MAX_TRANSACTIONS:
            self.counts["refused at the bound"] += 1
            return
        kind = InviteServerTransaction if request.method == "INVITE" else ServerTransaction
        transaction = kind(key, reply_flow(request.via, flow))
        upstream = Upstream(self, request, flow, transaction)
        transaction.upstream = upstream
        self.servers[key] = transaction
        if request.method == "CANCEL":
            self._receive_cancel(request, upstream)
        else:
            try:
                self.on_request(request, upstream)
            finally:
                transaction.upstream = None  # the handler has ended, nobody hears a CANCEL

    def _receive_cancel(self, request: Request, upstream: Upstream) -> None:
        """§9.2: answer for this hop, and tell the handler of the INVITE, if it is still at work.

        What nobody here knows gets 481.  §16.10 has it forwarded statelessly; its branch would
        match nothing downstream, where 481 would be the answer too.
        """
        cancelled = self.servers.get(transaction_key(request, "INVITE"))
        if cancelled is None:
            upstream.answer(481)
            return
        upstream.answer(200)
        if isinstance(cancelled.upstream, Upstream):
            cancelled.upstream.arrivals.put(Arrival(None, 0, None))

    def _receive_ack(self, request: Request, flow: Flow) -> None:
        """Absorb the ACK of a failure; an ACK for a 2xx goes on to the callee (§17.1.1.3)."""
        transaction = self.servers.get(transaction_key(request, "INVITE"))
        if isinstance(transaction, InviteServerTransaction) and transaction.acknowledge(
            self.clock()
        ):
            self._follow(transaction)
            return
        if request.to.tag == self.stateless_tag(request):
            return  # it acknowledges what we refused without a transaction
        self.on_ack(request, flow)

    def _receive_response(self, response: Response) -> None:
        via = response.via
        transaction = self.clients.get((via.branch, response.cseq[1]))
        if transaction is None or via.sent_by != transaction.sent_by:
            self.counts["stray responses"] += 1
            return
        goes_on = transaction.receive(response.status, self.clock())
        if isinstance(transaction, InviteClientTransaction):
            if response.status >= 300:
                self._acknowledge(transaction, response)
            elif transaction.wants_cancel:
                self.cancel(transaction)
        branch = transaction.user
        if goes_on and isinstance(branch, Branch):
            self._pass_on(branch, response)
        if transaction.state is State.COMPLETED:
            transaction.user = None  # all has been said
        self._follow(transaction)

    def _pass_on(self, branch: Branch, response: Response) -> None:
        """Relay in place what needs no thought; a final response goes to the waiting handler.

        Provisional responses and repeats of a 2xx are relayed as they come (§16.7, step 5); the
        server transaction drops what is too late.
        """
        upstream = branch.upstream
        final_is_awaited = upstream.transaction.upstream is upstream
        if response.status >= 200 and final_is_awaited:
            upstream.arrivals.put(Arrival(branch, response.status, response))
        elif 100 < response.status < 300:
            response.drop_top_via()
            upstream.respond(response)

    def _acknowledge(self, transaction: InviteClientTransaction, response: Response) -> None:
        """Acknowledge a failure hop by hop, as often as it is repeated (§17.1.1.3)."""
        if transaction.ack is None:
            request = transaction.request
            if request is None:
                return
            transaction.ack = _ack_of_failure(request, response).encode()
            transaction.data = transaction.request = None
        self._send(transaction.ack, transaction.flow)

    def unreachable(self, quoted: bytes) -> None:
        """An ICMP error came back for a datagram of ours that began with `quoted` (§17.1.4, §18.4).

        Only one that quotes a branch of ours counts, so nobody off the path can end a call.
        """
        match = _QUOTED_BRANCH.search(quoted)
        if match is None:
            return
        method = quoted.partition(b" ")[0].decode("ascii", "replace")
        transaction = self.clients.get((match[1].decode(), method))
        if transaction is not None and transaction.state is State.TRYING:
            self._end(transaction, 503)

    # Out

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        """Send a response through a server transaction."""
        data = transaction.respond(response.status, response.encode(), self.clock())
        self._send(data, transaction.flow)
        self._follow(transaction)

    def answer_statelessly(self, upstream: Upstream, response: Response) -> None:
        """Send a final response without a transaction (§8.2.7); make it with `stateless_tag`."""
        self.forget(upstream.transaction)
        self._send(response.encode(), upstream.transaction.flow)

    def stateless_tag(self, request: Request) -> str:
        """The To tag of a stateless response, computed again when its ACK comes."""
        return format(hash((_STATELESS, request.via.branch, request.call_id)) & (2**64 - 1), "016x")

    def send_request(self, request: Request, flow: Flow, upstream: Upstream) -> Branch:
        """Start a client transaction for a request that is ready but for our Via (§16.6, step 8).

        What comes of it arrives at the upstream's mailbox, and always something does.
        """
        branch = Branch(self, upstream)
        self._start(request, flow, branch)
        return branch

    def _start(self, request: Request, flow: Flow, user: object, branch_id: str = "") -> None:
        branch_id = branch_id or MAGIC_COOKIE + self.new_token()
        sent_by = self.transports.sent_by(flow)
        request.put_first("via", f"Via: SIP/2.0/{flow.transport} {sent_by};branch={branch_id}")
        kind = InviteClientTransaction if request.method == "INVITE" else ClientTransaction
        transaction = kind(request, branch_id, sent_by.lower(), flow, user)
        if isinstance(user, Branch):
            user.transaction = transaction
        self.clients[transaction.key] = transaction
        try:
            self.transports.send(transaction.start(request, self.clock()), flow)
        except OSError as error:
            log.debug("cannot send to %s: %s", flow, error)
            self._end(transaction, 503)
            return
        self._follow(transaction)

    def send_statelessly(self, request: Request, flow: Flow) -> None:
        """Pass on an ACK: it has no responses, so no transaction (§16.11)."""
        via = f"Via: SIP/2.0/{flow.transport} {self.transports.sent_by(flow)}"
        request.put_first("via", f"{via};branch={MAGIC_COOKIE}{self.new_token()}")
        self._send(request.encode(), flow)

    def cancel(self, transaction: InviteClientTransaction) -> None:
        """Send a CANCEL for an INVITE of ours, as soon as that may be done (§9.1)."""
        if not transaction.cancel(self.clock()) or transaction.request is None:
            return
        self._follow(transaction)
        cancel = _cancel_of(transaction.request)
        self._start(cancel, transaction.flow, None, transaction.branch)

    def _send(self, data: bytes | None, flow: Flow) -> None:
        if data is None:
            return
        try:
            self.transports.send(data, flow)
        except OSError as error:
            self.counts["not sent"] += 1
            log.debug("cannot send to %s: %s", flow, error)

    # Time

    def run_due(self, now: float) -> None:
        """Do all that has fallen due by `now`."""
        for machine in self.timers.due(now):
            self._send(machine.tick(now), machine.flow)
            if isinstance(machine, InviteClientTransaction) and machine.wants_cancel:
                self.cancel(machine)  # timer C
            self._follow(machine)

    def _follow(self, machine: Machine) -> None:
        """After each event: see to a machine's next deadline, or to its end."""
        if not machine.is_over:
            self.timers.add(machine)
        elif isinstance(machine, ServerTransaction):
            self.forget(machine)
        elif isinstance(machine, ClientTransaction):
            self._end(machine, 408 if machine.timed_out else 0)

    def _end(self, transaction: ClientTransaction, status: int) -> None:
        """Let go of a client transaction; a `status` is what its end means to who waits for it."""
        transaction.end()
        if self.clients.get(transaction.key) is transaction:
            del self.clients[transaction.key]
        branch, transaction.user = transaction.user, None
        if status and isinstance(branch, Branch):
            branch.upstream.arrivals.put(Arrival(branch, status, None))

    def forget(self, transaction: ServerTransaction) -> None:
        """Let go of a server transaction."""
        transaction.deadline = None
        if self.servers.get(transaction.key) is transaction:
            del self.servers[transaction.key]


# Python's hash of text is keyed anew at each start, which is all that a stateless tag needs.
_STATELESS = os.urandom(8)


def transaction_key(request: Request, method: str) -> Key:
    """What a repeat of a request, its ACK or its CANCEL is known by (§17.2.3).

    `method` is INVITE for an ACK or CANCEL of one.  Clients of RFC 2543 mark no branch as
    unique; there the fields that repeat, taken together, must do.
    """
    via: Via = request.via
    branch = via.branch
    if branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE):
        return branch, via.sent_by, method
    number = str(request.cseq[0])
    via_text = request.required("via")
    return request.uri_text, request.from_.tag, request.call_id, number, via_text, method


def _ack_of_failure(request: Request, response: Response) -> Request:
    """Build the ACK that a client transaction sends for 300 to 699 (§17.1.1.3)."""
    return _in_the_name_of(request, "ACK", to_line=response.lines[response.names.index("to")])


def _cancel_of(request: Request) -> Request:
    """Build the CANCEL of a request of ours (§9.1); its Via is added when it is sent."""
    cancel = _in_the_name_of(request, "CANCEL", to_line=request.lines[request.names.index("to")])
    del cancel.names[0], cancel.lines[0]
    return cancel


def _in_the_name_of(request: Request, method: str, to_line: str) -> Request:
    """A request with the target, top Via, Route, From, Call-ID and number of another."""
    names, lines = ["via"], [request.lines[request.names.index("via")]]
    for name, line in zip(request.names, request.lines, strict=True):
        if name in ("route", "from", "call-id"):
            names.append(name)
            lines.append(line)
    names += ["to", "cseq", "max-forwards", "content-length"]
    lines += [to_line, f"CSeq: {request.cseq[0]} {method}", "Max-Forwards: 70", "Content-Length: 0"]
    return Request(method, request.uri_text, names, lines)
