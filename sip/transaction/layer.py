"""The transaction layer: match messages to transactions and users (RFC 3261 §17, §9, §16.7).

The greenlet that has read a message handles it.  Retransmissions, responses, ACKs of failures and
CANCELs are handled here; only a new request goes to a handler, in blocking style.  A handler waits
on its Mailbox.  Nothing here waits, except `send_own_request`.
"""

import errno
import logging
import re
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from sip.memory import shrink
from sip.message.headers import MAGIC_COOKIE, METHODS
from sip.message.message import Request, Response
from sip.message.responses import encode_response
from sip.monitor.metrics import (
    DROPPED_TRANSACTION_LIMIT,
    MESSAGES_UNSENT,
    REQUESTS_RETRANSMITTED,
    RESPONSES_UNACKNOWLEDGED,
    RESPONSES_UNMATCHED,
    Counters,
)
from sip.transaction.branch_event import BranchEvent
from sip.transaction.client import ClientTransaction, InviteClientTransaction, TransactionUser
from sip.transaction.client_index import ClientsByConnection
from sip.transaction.machine import Machine, State
from sip.transaction.matching import (
    ack_of_failure,
    cancel_of,
    has_second_via,
    split_key,
    tag_of,
    transaction_key,
)
from sip.transaction.own_request import UNSUPPORTED_METHODS, NoResponse, OwnRequest
from sip.transaction.server import InviteServerTransaction, ServerTransaction
from sip.transaction.server_table import ServerTransactions
from sip.transaction.timers import Timers
from sip.transaction.tokens import FINGERPRINT_LENGTH, Tokens, fingerprint
from sip.transaction.upstream import Branch, EditResponse, Upstream
from sip.transport.flow import Flow
from sip.transport.transports import Transports

log = logging.getLogger(__name__)

# Reason (RFC 3326) of the CANCEL when timer C has fired: it stands for a 408 (RFC 3261 §16.8).
_NO_ANSWER = 'SIP;cause=408;text="Request Timeout"'

# Transactions in memory; a finished one takes about 1 kB for 32 s.
MAX_TRANSACTIONS = 400_000

OTHER_METHOD = "other"  # in the counts: a peer can write any name

# Cached texts of our Via, one for each own address and transport; a machine has a few.
MAX_OWN_VIAS = 256

# Our Via as `_start` writes it: the first Via of each request that we have sent.
_QUOTED_BRANCH = re.compile(rb"\r\nVia: [^\r;]*;branch=(z9hG4bK[0-9a-f.]{16,})")


class RequestHandler(Protocol):
    """The user of the layer: it gets the messages that the layer does not handle itself."""

    def handle_request(self, request: Request, upstream: Upstream) -> None:
        """Handle a new request; may wait."""

    def handle_ack(self, request: Request, flow: Flow) -> None:
        """Forward an ACK for a 2xx; may wait."""


class Layer:
    """All transactions; carries messages between the transports and the handlers.

    Call `start` before the first message.  `requests` counts the requests received, without
    retransmissions, by method and transport; `responses` counts the responses sent, likewise, by
    method and first digit of the status.  Methods that are not in METHODS count as OTHER_METHOD.
    """

    def __init__(self, transports: Transports, clock: Callable[[], float]) -> None:
        self.transports = transports
        self.clock = clock
        self._handler: RequestHandler
        self.counts = Counters()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.responses: Counter[tuple[str, int]] = Counter()
        self.new_token = Tokens()
        self.servers = ServerTransactions()
        self.clients: dict[tuple[str, str], ClientTransaction] = {}
        self.clients_by_connection = ClientsByConnection()
        self.timers = Timers(clock())
        self._own_vias: dict[str, str] = {}  # sent-by of our Via, by the Via without its branch

    def start(self, handler: RequestHandler) -> None:
        """Hand new requests, and each ACK for a 2xx, to this handler from now on."""
        self._handler = handler

    # In

    def deliver(self, message: Request | Response, flow: Flow) -> None:
        """Take a message from the receiver, and handle it in this greenlet."""
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
            self.counts[REQUESTS_RETRANSMITTED] += 1
            self._send(known.repeat(), known.flow)
            return
        self._count_request(request.method, flow.transport)
        # A CANCEL frees memory, and it gets a transaction only if its INVITE has one.
        is_full = len(self.servers) + len(self.clients) >= MAX_TRANSACTIONS
        if is_full and request.method != "CANCEL":
            self.counts[DROPPED_TRANSACTION_LIMIT] += 1
            return
        upstream = Upstream(self, request, flow, key, self.clock())
        if request.method == "CANCEL":
            self._receive_cancel(request, upstream)
            return
        try:
            self._handler.handle_request(request, upstream)
        finally:
            if upstream.held is None:
                self.finish(upstream)

    def _count_request(self, method: str, transport: str) -> None:
        self.requests[method if method in METHODS else OTHER_METHOD, transport] += 1

    def _count_response(self, method: str, status: int) -> None:
        self.responses[method if method in METHODS else OTHER_METHOD, status // 100] += 1

    def create_server_transaction(self, upstream: Upstream) -> ServerTransaction:
        """Create the transaction of a request; its retransmissions are absorbed from now on."""
        _, method = split_key(upstream.key)
        kind = InviteServerTransaction if method == "INVITE" else ServerTransaction
        transaction = kind(upstream.key, upstream.response_flow(), upstream.received_at)
        self.servers.add(transaction)
        if method != "CANCEL":  # a CANCEL is answered at once
            transaction.upstream = upstream
            self.timers.add(transaction)
        return transaction

    def finish(self, upstream: Upstream) -> None:
        """End the handling of a request: its handler has returned, and no answer is held.

        A 2xx that the handler has left is relayed; a transaction that it has not answered is
        removed.
        """
        upstream.request = None  # a CANCEL has no effect any more
        transaction = upstream.transaction
        if transaction is None:
            return
        transaction.upstream = None
        for event in upstream.left_events():
            # Two phones may answer in one turn of the hub; each 2xx is relayed (§16.7, step 5).
            if event.response is not None:
                self.relay(transaction, event.response)
        if not transaction.is_answered:
            self.remove_server_transaction(transaction)

    def _receive_cancel(self, request: Request, upstream: Upstream) -> None:
        """Answer a CANCEL, and hand it to the handler of the INVITE if that still runs (§9.2).

        A CANCEL that matches nothing gets 481.  §16.10 has it forwarded statelessly, but its branch
        would match nothing downstream either, and the answer there would be 481 too.
        """
        cancelled = self.servers.find_cancelled(request)
        own_tag = self.stateless_tag(request)
        if not isinstance(cancelled, InviteServerTransaction):
            # Stateless: anyone can send these, and each transaction would take 1 kB for 32 s.
            status = 481 if cancelled is None else 200
            data = encode_response(request, status, to_tag=own_tag)
            self.answer_statelessly(upstream, status, data)
            return
        data = encode_response(request, 200, to_tag=tag_of(cancelled.to_line) or own_tag)
        self.answer(upstream.ensure_transaction(), 200, data)
        if isinstance(cancelled.upstream, Upstream):
            reason = ", ".join(filter(None, request.fields("reason")))
            cancelled.upstream.mailbox.put(BranchEvent(None, 0, None, reason))

    def _receive_ack(self, request: Request, flow: Flow) -> None:
        """Absorb the ACK of a failure; the ACK of a 2xx goes on to the callee (§17.1.1.3)."""
        self._count_request("ACK", flow.transport)
        transaction = self.servers.find_acknowledged(request)
        if transaction is None:
            tag = request.to.tag
            if len(tag) == FINGERPRINT_LENGTH and tag == self.stateless_tag(request):
                return  # the ACK of a stateless response of ours
        elif transaction.acknowledge(self.clock()):
            self._reschedule(transaction)
            return
        self._handler.handle_ack(request, flow)

    def _receive_response(self, response: Response) -> None:
        transaction = self._match_response(response)
        if transaction is None:
            self.counts[RESPONSES_UNMATCHED] += 1
            return
        user = transaction.user
        # A response to a request of our own has our Via alone (§8.1.3.3); a response to relay has
        # another Via below it (§16.7).
        if (
            user is not None or transaction.method == "CANCEL"
        ) and transaction.is_relayed != has_second_via(response):
            self.counts[RESPONSES_UNMATCHED] += 1
            return
        is_first = transaction.state in (State.TRYING, State.PROCEEDING)
        goes_on = transaction.receive(response.status, self.clock())
        if isinstance(transaction, InviteClientTransaction):
            if response.status >= 300:
                self._acknowledge(transaction, response)
            elif transaction.wants_cancel:
                self.cancel(transaction)
        if goes_on and user is not None:
            user.on_response(response, is_first)
        if transaction.state is State.COMPLETED:
            transaction.user = None  # no further response goes on to it
        self._reschedule(transaction)

    def _match_response(self, response: Response) -> ClientTransaction | None:
        """Return the transaction of a response, by branch, sent-by and method (§17.1.3)."""
        method = response.cseq[1]
        # Fast path: most peers return our Via exactly as we wrote it.
        ours, _, branch = response.lines[response.present["via"]].partition(";branch=")
        sent_by = self._own_vias.get(ours)
        transaction = self.clients.get((branch.lower(), method)) if sent_by else None
        if transaction is None:
            via = response.via
            sent_by = via.sent_by
            transaction = self.clients.get((via.branch.lower(), method))
        return transaction if transaction and transaction.sent_by == sent_by else None

    def relay(self, transaction: ServerTransaction, response: Response) -> None:
        """Relay a provisional response or a further 2xx without the handler (§16.7).

        The server transaction discards late ones.  Only an INVITE has such responses: other methods
        get one final response, and no provisional one but 100 (RFC 4320 §4.1).
        """
        if 100 < response.status < 300 and response.cseq[1] == "INVITE":
            response.remove_top_via()
            self.respond(transaction, response)

    def _acknowledge(self, transaction: InviteClientTransaction, response: Response) -> None:
        """Send the ACK of a failure, again for each retransmission of it (§17.1.1.3)."""
        if transaction.ack is None:
            request = transaction.request
            if request is None:
                return
            transaction.ack = ack_of_failure(request, response).encode()
            transaction.data = transaction.request = None
        self._send(transaction.ack, transaction.flow)

    def unreachable(self, quoted: bytes) -> None:
        """Take an ICMP error for a datagram of ours that began with `quoted` (§17.1.4, §18.4).

        Only an error that quotes a branch of ours counts, so an attacker off the path cannot end a
        call.  An error after a provisional response to an INVITE is ignored: the INVITE is not
        retransmitted any more, and its `data` is None.
        """
        match = _QUOTED_BRANCH.search(quoted)
        if match is None:
            return
        method = quoted.partition(b" ")[0].decode("ascii", "replace")
        transaction = self.clients.get((match[1].decode().lower(), method))
        if transaction is not None and transaction.data is not None:
            self._end(transaction, 503)

    def closed(self, connection: int) -> None:
        """Take the end of a connection: requests on it without a final response fail (§18.4).

        An INVITE that rings fails too.  Its phone may open another connection for the response
        (§18.2.2), but a phone whose connection breaks has usually lost power or was restarted, and
        the caller would hear ringing for three minutes.
        """
        for transaction in self.clients_by_connection.unanswered(connection):
            self._end(transaction, 503)

    def stop(self) -> None:
        """End our own requests with 503: no timer runs any more that could end them."""
        for transaction in tuple(self.clients.values()):
            if transaction.user is not None and not transaction.is_relayed:
                self._end(transaction, 503)

    # Out

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        """Send a response through a server transaction."""
        to_line = response.lines[response.present["to"]]
        self.answer(transaction, response.status, response.encode(), to_line)

    def answer(
        self, transaction: ServerTransaction, status: int, data: bytes, to_line: str = ""
    ) -> None:
        """Send the octets of a response through a server transaction.

        The transaction of an INVITE matches the ACK, and answers a CANCEL, by `to_line`, the To
        line of the response; others do not need it.
        """
        sent = transaction.respond(status, data, self.clock())
        if sent is not None:
            if isinstance(transaction, InviteServerTransaction):
                transaction.to_line = to_line
                self._count_response("INVITE", status)
            else:
                self._count_response(split_key(transaction.key)[1], status)
        self._send(sent, transaction.flow)
        self._reschedule(transaction)

    def answer_statelessly(self, upstream: Upstream, status: int, data: bytes) -> None:
        """Send a final response without a transaction (§8.2.7); make it with `stateless_tag`."""
        self._count_response(split_key(upstream.key)[1], status)
        if upstream.transaction is not None:
            self.remove_server_transaction(upstream.transaction)
        self._send(data, upstream.response_flow())
        upstream.request = None

    def stateless_tag(self, request: Request) -> str:
        """Return the To tag of our own responses; the ACK of a stateless one is matched by it."""
        return fingerprint(request.via.branch.lower(), request.call_id)

    def send_request(
        self,
        request: Request,
        flow: Flow,
        upstream: Upstream,
        loop_mark: str = "",
        edit_response: EditResponse | None = None,
    ) -> Branch:
        """Forward a request that is ready but for our Via, by a client transaction (§16.6, step 8).

        Its end always comes to the upstream's mailbox, as a BranchEvent.  `loop_mark` is the second
        part of the branch (RFC 5393 §4.2.1): a dot and hexadecimal digits.  `edit_response` is
        called with each response from 101 to 299 before it is relayed.
        """
        branch = Branch(self, upstream, edit_response)
        branch_id = f"{MAGIC_COOKIE}{self.new_token()}{loop_mark}"
        branch.transaction = self._start(request, flow, branch, branch_id, True)
        return branch

    def send_own_request(self, request: Request, flow: Flow) -> Response:
        """Send a request of this server and wait for its final response (§8.1, §17.1.2).

        `request` is ready but for our Via; `build_request` makes one.  It is not changed, so it may
        be sent again.  Waits up to 32 s (timer F), so it must not be called in the hub.  Raises
        NoResponse if no final response comes, and ValueError for INVITE, ACK and CANCEL.
        """
        if request.method in UNSUPPORTED_METHODS:
            raise ValueError(f"{request.method} is not sent as a request of our own")
        if len(self.servers) + len(self.clients) >= MAX_TRANSACTIONS:
            raise NoResponse(503, f"transaction limit reached: {MAX_TRANSACTIONS}")
        user = OwnRequest()
        branch_id = f"{MAGIC_COOKIE}{self.new_token()}"
        transaction = self._start(request.copy(), flow, user, branch_id)
        try:
            return user.wait()
        finally:
            transaction.user = None  # the greenlet may have been killed, or a Timeout has fired

    def start_own_request(
        self, request: Request, flow: Flow, user: TransactionUser
    ) -> ClientTransaction:
        """Send a request of this server; `user` gets the responses.  Doesn't wait (§8.1, §13.2).

        To an INVITE `user` sends the ACK of each 2xx (§13.2.2.4); failures are acknowledged here.
        """
        return self._start(request, flow, user, f"{MAGIC_COOKIE}{self.new_token()}")

    def _start(
        self,
        request: Request,
        flow: Flow,
        user: TransactionUser | None,
        branch_id: str,
        is_relayed: bool = False,
    ) -> ClientTransaction:
        ours = f"Via: SIP/2.0/{flow.transport} {self.transports.sent_by(flow)}"
        sent_by = self._own_vias.get(ours) or self._cache_via(ours)
        request.put_first("via", f"{ours};branch={branch_id}")
        kind = InviteClientTransaction if request.method == "INVITE" else ClientTransaction
        transaction = kind(request, branch_id, sent_by, flow, user)
        transaction.is_relayed = is_relayed
        data = transaction.start(request, self.clock())
        self.clients[transaction.key] = transaction
        try:
            transaction.flow = self.transports.send(data, flow)
        except OSError as error:
            log.debug("cannot send to %s: %s", flow, error)
            self._end(transaction, 513 if error.errno == errno.EMSGSIZE else 503)
            return transaction
        if flow.connection:
            self.clients_by_connection.add(transaction)
        self._reschedule(transaction)
        return transaction

    def _cache_via(self, ours: str) -> str:
        """Cache a Via of ours, without its branch, and return its sent-by in lower case."""
        if len(self._own_vias) >= MAX_OWN_VIAS:
            self._own_vias.clear()
        sent_by = self._own_vias[ours] = ours.rpartition(" ")[2].lower()
        return sent_by

    def send_statelessly(self, request: Request, flow: Flow) -> None:
        """Forward an ACK, which has no responses and so no transaction (§16.11).

        Its branch is computed from that of the ACK received, so a retransmission keeps it.
        """
        branch_id = MAGIC_COOKIE + fingerprint(transaction_key(request, request.method))
        via = f"Via: SIP/2.0/{flow.transport} {self.transports.sent_by(flow)}"
        request.put_first("via", f"{via};branch={branch_id}")
        self._send(request.encode(), flow)

    def cancel(self, transaction: InviteClientTransaction, reason: str = "") -> None:
        """Send the CANCEL of an INVITE, now or after its first provisional response (§9.1)."""
        if not transaction.cancel(self.clock(), reason) or transaction.request is None:
            return
        self._reschedule(transaction)
        cancel = cancel_of(transaction.request, transaction.cancel_reason)
        self._start(cancel, transaction.flow, None, transaction.branch)

    def _send(self, data: bytes | None, flow: Flow) -> bool:
        """Send `data`, if any.  Return False if the transport has failed."""
        if data is None:
            return True
        try:
            self.transports.send(data, flow)
        except OSError as error:
            self.counts[MESSAGES_UNSENT] += 1
            log.debug("cannot send to %s: %s", flow, error)
            return False
        return True

    # Time

    def run_due(self, now: float) -> None:
        """Fire all timers that are due at `now`.  Does not wait: it runs in the hub."""
        for machine in self.timers.due(now):
            try:
                self._run(machine, now)
            except Exception:
                # All due machines have left the wheel: the others must still get their turn.
                log.exception("unhandled error in a timer of a transaction on %s", machine.flow)
                self._remove(machine, 500)

    def _run(self, machine: Machine, now: float) -> None:
        was_sent = self._send(machine.tick(now), machine.flow)
        if isinstance(machine, ClientTransaction) and not was_sent:
            self._end(machine, 503)  # §17.1.4; a server transaction stays as it is (RFC 6026 §8.8)
        elif isinstance(machine, InviteClientTransaction) and machine.wants_cancel:
            self.cancel(machine, _NO_ANSWER if machine.state is State.PROCEEDING else "")  # timer C
        elif isinstance(machine, ServerTransaction) and machine.wants_trying:
            machine.wants_trying = False
            if isinstance(machine.upstream, Upstream):
                machine.upstream.answer(100)
        elif isinstance(machine, InviteServerTransaction) and machine.is_over and machine.last:
            self.counts[RESPONSES_UNACKNOWLEDGED] += 1  # §17.2.1: timer H
        self._reschedule(machine)

    def _reschedule(self, machine: Machine) -> None:
        """Put a machine into the timer wheel after an event, or remove it if it is terminated."""
        if machine.state is not State.TERMINATED:
            self.timers.add(machine)
        else:
            timed_out = isinstance(machine, ClientTransaction) and machine.timed_out
            self._remove(machine, 408 if timed_out else 0)

    def _remove(self, machine: Machine, status: int) -> None:
        if isinstance(machine, ServerTransaction):
            self.remove_server_transaction(machine)
        elif isinstance(machine, ClientTransaction):
            self._end(machine, status)

    def _end(self, transaction: ClientTransaction, status: int) -> None:
        """Remove a client transaction; its user gets `status`, unless that is 0."""
        transaction.end()
        if self.clients.get(transaction.key) is transaction:
            del self.clients[transaction.key]
        if transaction.flow.connection:
            self.clients_by_connection.remove(transaction)
        user, transaction.user = transaction.user, None
        if status and user is not None:
            user.on_failure(status)

    def compact(self) -> None:
        """Give back the memory that the tables keep after a load peak."""
        self.servers.compact()
        shrink(self.clients)

    def remove_server_transaction(self, transaction: ServerTransaction) -> None:
        """End and remove a server transaction: retransmissions are new requests from now on."""
        transaction.end()
        self.servers.remove(transaction)
