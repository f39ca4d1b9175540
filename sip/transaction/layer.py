"""The transaction layer: whose message is it, and who waits for it (RFC 3261 §17, §9, §16.7).

Repeats, responses, ACKs of failures and CANCELs are dealt with in place, by the greenlet that read
them; only a new request is handed on to a handler, in blocking style.  A handler that waits does so
on its Mailbox, and nothing here ever waits.
"""

import errno
import logging
import re
from collections import Counter
from collections.abc import Callable

from sip.message.headers import MAGIC_COOKIE
from sip.message.message import Request, Response, make_response
from sip.transaction.branch_event import BranchEvent
from sip.transaction.client import ClientTransaction, InviteClientTransaction
from sip.transaction.client_index import ClientsByConnection
from sip.transaction.machine import Machine, State
from sip.transaction.matching import (
    ack_of_failure,
    cancel_of,
    has_way_back,
    tag_of,
    transaction_key,
)
from sip.transaction.server import InviteServerTransaction, ServerTransaction
from sip.transaction.server_table import ServerTransactions
from sip.transaction.timers import Timers
from sip.transaction.tokens import FINGERPRINT_LENGTH, Tokens, fingerprint
from sip.transaction.upstream import Branch, EditResponse, Upstream
from sip.transport.flow import Flow
from sip.transport.transports import Transports

log = logging.getLogger(__name__)

# Handlers that may wait at one time: calls that ring, most of all, and ten thousand of them are to
# ring at once.  Each holds a greenlet and two copies of its request, some 18 kB together.
MAX_WAITING = 12_000
# Transactions held at one time; a finished one is held for 32 s and about 1 kB.
MAX_TRANSACTIONS = 400_000

# Addresses and transports of ours that are told apart; a machine has a few.
MAX_OWN_VIAS = 256

# Our Via as `_start` writes it: the first one of whatever we have sent.
_QUOTED_BRANCH = re.compile(rb"\r\nVia: [^\r;]*;branch=(z9hG4bK[0-9a-f.]{16,})")


Handler = Callable[[Request, Upstream], None]


class Layer:
    """All transactions.

    `on_request` serves a new request, `on_ack` passes on an ACK for a 2xx; `on_closed`, which must
    not wait, is told the number of each connection that ends.
    """

    def __init__(self, transports: Transports, clock: Callable[[], float]) -> None:
        self.transports = transports
        self.clock = clock
        self.on_request: Handler = lambda request, upstream: None
        self.on_ack: Callable[[Request, Flow], None] = lambda request, flow: None
        self.on_closed: Callable[[int], None] = lambda connection: None
        self.counts: Counter[str] = Counter()
        self.new_token = Tokens()
        self.servers = ServerTransactions()
        self.clients: dict[tuple[str, str], ClientTransaction] = {}
        self.awaited = ClientsByConnection()
        self.timers = Timers(clock())
        self._own_vias: dict[str, str] = {}  # our Vias up to their branch, and their sent-by
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
        # A CANCEL makes room; and but for those of an INVITE that is held, none is remembered.
        is_full = len(self.servers) + len(self.clients) >= MAX_TRANSACTIONS
        if is_full and request.method != "CANCEL":
            self.counts["refused at the bound"] += 1
            return
        upstream = Upstream(self, request, flow, key, self.clock())
        if request.method == "CANCEL":
            self._receive_cancel(request, upstream)
            return
        try:
            self.on_request(request, upstream)
        finally:
            upstream.request = None  # nobody hears a CANCEL any more
            if upstream.transaction is not None:
                self._tidy_up(upstream, upstream.transaction)

    def hold(self, upstream: Upstream) -> ServerTransaction:
        """The transaction of a request that is being served; its repeats are known from now on."""
        method = upstream.key[-1]
        kind = InviteServerTransaction if method == "INVITE" else ServerTransaction
        transaction = kind(upstream.key, upstream.way_back, upstream.received_at)
        self.servers.hold(transaction)
        if method != "CANCEL":  # which is answered at once
            transaction.upstream = upstream
            self.timers.add(transaction)
        return transaction

    def _tidy_up(self, upstream: Upstream, transaction: ServerTransaction) -> None:
        """See to what a handler has left.  What it has not answered nobody will."""
        transaction.upstream = None
        for arrival in upstream.arrivals.empty():
            # Two phones may answer in one turn of the hub, and each 2xx goes on (§16.7, step 5).
            if arrival.response is not None:
                self._relay(transaction, arrival.response)
        if not transaction.is_answered:
            self.forget(transaction)

    def _receive_cancel(self, request: Request, upstream: Upstream) -> None:
        """§9.2: answer for this hop, and tell the handler of the INVITE, if it is still at work.

        What nobody here knows gets 481.  §16.10 has it forwarded statelessly; its branch would
        match nothing downstream, where 481 would be the answer too.
        """
        cancelled = self.servers.cancelled(request)
        own_tag = self.stateless_tag(request)
        if not isinstance(cancelled, InviteServerTransaction):
            # Without memory: strangers send these, and each would cost a kilobyte for 32 s.
            status = 481 if cancelled is None else 200
            response = make_response(request, status, to_tag=own_tag)
            self.answer_statelessly(upstream, response)
            return
        upstream.respond(make_response(request, 200, to_tag=tag_of(cancelled.to_line) or own_tag))
        if isinstance(cancelled.upstream, Upstream):
            reason = ", ".join(filter(None, request.fields("reason")))
            cancelled.upstream.arrivals.put(BranchEvent(None, 0, None, reason))

    def _receive_ack(self, request: Request, flow: Flow) -> None:
        """Absorb the ACK of a failure; an ACK for a 2xx goes on to the callee (§17.1.1.3)."""
        transaction = self.servers.acknowledged(request)
        if transaction is None:
            tag = request.to.tag
            if len(tag) == FINGERPRINT_LENGTH and tag == self.stateless_tag(request):
                return  # it acknowledges what we refused without a transaction
        elif transaction.acknowledge(self.clock()):
            self._follow(transaction)
            return
        self.on_ack(request, flow)

    def _receive_response(self, response: Response) -> None:
        transaction = self._asked(response)
        if transaction is None:
            self.counts["stray responses"] += 1
            return
        branch = transaction.user
        is_relayed = isinstance(branch, Branch)
        # What answers our own CANCEL has our Via alone (§8.1.3.3), all else one below it (§16.7).
        if (is_relayed or transaction.method == "CANCEL") and is_relayed != has_way_back(response):
            self.counts["stray responses"] += 1
            return
        is_first = transaction.state in (State.TRYING, State.PROCEEDING)
        goes_on = transaction.receive(response.status, self.clock())
        if isinstance(transaction, InviteClientTransaction):
            if response.status >= 300:
                self._acknowledge(transaction, response)
            elif transaction.wants_cancel:
                self.cancel(transaction)
        if goes_on and isinstance(branch, Branch):
            if branch.edit_response is not None and 100 < response.status < 300:
                branch.edit_response(response)
            if is_first and response.status >= 200 and branch.upstream.is_served:
                # The handler hears of each branch's end once, so nobody can fill its mailbox.
                branch.upstream.arrivals.put(BranchEvent(branch, response.status, response))
            else:
                self._relay(branch.upstream.hold(), response)
        if transaction.state is State.COMPLETED:
            transaction.user = None  # all has been said
        self._follow(transaction)

    def _asked(self, response: Response) -> ClientTransaction | None:
        """The transaction that a response answers: by branch, sent-by and method (§17.1.3)."""
        method = response.cseq[1]
        # Nearly everybody gives our Via back as we wrote it.
        ours, _, branch = response.lines[response.names.index("via")].partition(";branch=")
        sent_by = self._own_vias.get(ours)
        transaction = self.clients.get((branch.lower(), method)) if sent_by else None
        if transaction is None:
            via = response.via
            sent_by = via.sent_by
            transaction = self.clients.get((via.branch.lower(), method))
        return transaction if transaction and transaction.sent_by == sent_by else None

    def _relay(self, transaction: ServerTransaction, response: Response) -> None:
        """Pass on in place what needs no thought: provisional responses, further 2xx (§16.7).

        The server transaction drops what is too late.  An INVITE alone has such responses: others
        get no provisional one but 100 (RFC 4320 §4.1), and one final one.
        """
        if 100 < response.status < 300 and response.cseq[1] == "INVITE":
            response.remove_top_via()
            self.respond(transaction, response)

    def _acknowledge(self, transaction: InviteClientTransaction, response: Response) -> None:
        """Acknowledge a failure hop by hop, as often as it is repeated (§17.1.1.3)."""
        if transaction.ack is None:
            request = transaction.request
            if request is None:
                return
            transaction.ack = ack_of_failure(request, response).encode()
            transaction.data = transaction.request = None
        self._send(transaction.ack, transaction.flow)

    def unreachable(self, quoted: bytes) -> None:
        """An ICMP error came back for a datagram of ours that began with `quoted` (§17.1.4, §18.4).

        Only one that quotes a branch of ours counts, so nobody off the path can end a call.  Nor
        does one for an INVITE that has been heard: what is not repeated has no `data`.
        """
        match = _QUOTED_BRANCH.search(quoted)
        if match is None:
            return
        method = quoted.partition(b" ")[0].decode("ascii", "replace")
        transaction = self.clients.get((match[1].decode().lower(), method))
        if transaction is not None and transaction.data is not None:
            self._end(transaction, 503)

    def closed(self, connection: int) -> None:
        """A connection has ended, and what was asked along it and not answered fails (§18.4).

        So does an INVITE that rings.  Its phone may open another connection for the answer
        (§18.2.2); but one whose connection breaks has mostly lost its power or was started anew,
        and its caller would listen for three minutes to what rings nowhere.
        """
        self.on_closed(connection)
        for transaction in self.awaited.by(connection):
            self._end(transaction, 503)

    # Out

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        """Send a response through a server transaction."""
        data = transaction.respond(response.status, response.encode(), self.clock())
        if data is not None and isinstance(transaction, InviteServerTransaction):
            transaction.to_line = response.lines[response.names.index("to")]
        self._send(data, transaction.flow)
        self._follow(transaction)

    def answer_statelessly(self, upstream: Upstream, response: Response) -> None:
        """Send a final response without a transaction (§8.2.7); make it with `stateless_tag`."""
        if upstream.transaction is not None:
            self.forget(upstream.transaction)
        self._send(response.encode(), upstream.way_back)
        upstream.request = None

    def stateless_tag(self, request: Request) -> str:
        """The To tag of our own answers; of a stateless one it is computed again for its ACK."""
        return fingerprint(request.via.branch.lower(), request.call_id)

    def send_request(
        self,
        request: Request,
        flow: Flow,
        upstream: Upstream,
        loop_mark: str = "",
        edit_response: EditResponse | None = None,
    ) -> Branch:
        """Start a client transaction for a request that is ready but for our Via (§16.6, step 8).

        What comes of it arrives at the upstream's mailbox, and always something does.  `loop_mark`
        is the second part of the branch (RFC 5393 §4.2.1), hexadecimal digits behind a dot;
        `edit_response` is called with each response from 101 to 299 before it is relayed.
        """
        branch = Branch(self, upstream, edit_response)
        self._start(request, flow, branch, f"{MAGIC_COOKIE}{self.new_token()}{loop_mark}")
        return branch

    def _start(self, request: Request, flow: Flow, user: object, branch_id: str) -> None:
        ours = f"Via: SIP/2.0/{flow.transport} {self.transports.sent_by(flow)}"
        sent_by = self._own_vias.get(ours) or self._know_via(ours)
        request.put_first("via", f"{ours};branch={branch_id}")
        kind = InviteClientTransaction if request.method == "INVITE" else ClientTransaction
        transaction = kind(request, branch_id, sent_by, flow, user)
        if isinstance(user, Branch):
            user.transaction = transaction
        data = transaction.start(request, self.clock())
        self.clients[transaction.key] = transaction
        try:
            transaction.flow = self.transports.send(data, flow)
        except OSError as error:
            log.debug("cannot send to %s: %s", flow, error)
            self._end(transaction, 513 if error.errno == errno.EMSGSIZE else 503)
            return
        if flow.connection:
            self.awaited.note(transaction)
        self._follow(transaction)

    def _know_via(self, ours: str) -> str:
        """Remember what we write above others' Vias, and give its sent-by in lower case."""
        if len(self._own_vias) >= MAX_OWN_VIAS:
            self._own_vias.clear()
        sent_by = self._own_vias[ours] = ours.rpartition(" ")[2].lower()
        return sent_by

    def send_statelessly(self, request: Request, flow: Flow) -> None:
        """Pass on an ACK: it has no responses, so no transaction (§16.11).

        Its branch follows from the one it came with, so that a repeat goes on as a repeat.
        """
        branch_id = MAGIC_COOKIE + fingerprint(*transaction_key(request, request.method))
        via = f"Via: SIP/2.0/{flow.transport} {self.transports.sent_by(flow)}"
        request.put_first("via", f"{via};branch={branch_id}")
        self._send(request.encode(), flow)

    def cancel(self, transaction: InviteClientTransaction, reason: str = "") -> None:
        """Send a CANCEL for an INVITE of ours, as soon as that may be done (§9.1)."""
        if not transaction.cancel(self.clock(), reason) or transaction.request is None:
            return
        self._follow(transaction)
        cancel = cancel_of(transaction.request, transaction.cancel_reason)
        self._start(cancel, transaction.flow, None, transaction.branch)

    def _send(self, data: bytes | None, flow: Flow) -> bool:
        """Send what there is to send.  False: there is no way."""
        if data is None:
            return True
        try:
            self.transports.send(data, flow)
        except OSError as error:
            self.counts["not sent"] += 1
            log.debug("cannot send to %s: %s", flow, error)
            return False
        return True

    # Time

    def run_due(self, now: float) -> None:
        """Do all that has fallen due by `now`."""
        for machine in self.timers.due(now):
            try:
                self._run(machine, now)
            except Exception:
                # The others have left the wheel as well: they must not lose their timers with it.
                log.exception("while running a timer of a transaction along %s", machine.flow)
                self._let_go(machine, 500)

    def _run(self, machine: Machine, now: float) -> None:
        was_sent = self._send(machine.tick(now), machine.flow)
        if isinstance(machine, ClientTransaction) and not was_sent:
            self._end(machine, 503)  # §17.1.4; a server transaction stays as it is (RFC 6026 §8.8)
        elif isinstance(machine, InviteClientTransaction) and machine.wants_cancel:
            self.cancel(machine)  # timer C
        elif isinstance(machine, ServerTransaction) and machine.wants_trying:
            machine.wants_trying = False
            if isinstance(machine.upstream, Upstream):
                machine.upstream.answer(100)
        elif isinstance(machine, InviteServerTransaction) and machine.is_over and machine.last:
            self.counts["failures without an ACK"] += 1  # §17.2.1: timer H
        self._follow(machine)

    def _follow(self, machine: Machine) -> None:
        """After each event: see to a machine's next deadline, or to its end."""
        if machine.state is not State.TERMINATED:
            self.timers.add(machine)
        else:
            timed_out = isinstance(machine, ClientTransaction) and machine.timed_out
            self._let_go(machine, 408 if timed_out else 0)

    def _let_go(self, machine: Machine, status: int) -> None:
        if isinstance(machine, ServerTransaction):
            self.forget(machine)
        elif isinstance(machine, ClientTransaction):
            self._end(machine, status)

    def _end(self, transaction: ClientTransaction, status: int) -> None:
        """Let go of a client transaction; a `status` is what its end means to who waits for it."""
        transaction.end()
        if self.clients.get(transaction.key) is transaction:
            del self.clients[transaction.key]
        if transaction.flow.connection:
            self.awaited.let_go(transaction)
        branch, transaction.user = transaction.user, None
        if status and isinstance(branch, Branch) and branch.upstream.is_served:
            branch.upstream.arrivals.put(BranchEvent(branch, status, None))

    def forget(self, transaction: ServerTransaction) -> None:
        """Let go of a server transaction: it answers nothing any more."""
        transaction.end()
        self.servers.let_go(transaction)
