"""Events of calls: started, ringing, answered, ended; each once for a call.

The problem: an INVITE may be forked, its responses are repeated and relayed in place, and a dialog
is kept in no table, since its signed Record-Route is enough for the proxy.

The rule: a Call exists while there are listeners, and only then.  It is made when an INVITE outside
a dialog is forwarded, and sees the responses on their way upstream.  It is looked up by its Call-ID
and the caller's tag when a BYE is forwarded.  A BYE without a Call belongs to a call that began
before a restart, or before there were listeners: that is one CallEnded, too.
"""

from collections import OrderedDict
from collections.abc import Iterable

from sip.core.auth.authenticator import Account, Accounts
from sip.core.causes import CANCELLED, HUNG_UP, INTERNAL_ERROR, MALFORMED, STOPPING
from sip.core.domains import Domains
from sip.core.errors import Cause, Refused, printable
from sip.core.proxy.fork import Fork, Prepare
from sip.core.target import Target
from sip.message.grammar import BadMessage
from sip.message.message import Message, Request, Response
from sip.message.uri import Uri
from sip.monitor.events import (
    MAX_DEVICE,
    Bus,
    CallAnswered,
    CallEnded,
    CallRinging,
    CallStarted,
    Party,
)
from sip.transaction.upstream import EditResponse
from sip.transport.flow import Flow

# Calls in the table, about 1 kB each; the oldest is removed when there are more.
MAX_CALLS = 20_000
# Ended calls that are remembered, so that the BYE of the other side is no second end.
MAX_ENDED = 2000

# The side that has ended a call, by the cause; it is the callee for any other.
_ENDED_BY = {CANCELLED.code: "caller", STOPPING.code: "server"}

# Call-ID and From tag of the INVITE.
Key = tuple[str, str]


class Call:
    """One call, for its events."""

    __slots__ = (
        "_events",
        "call_id",
        "callee_tag",
        "caller_tag",
        "from_uri",
        "is_ringing",
        "to_uri",
    )

    def __init__(self, events: "CallEvents", request: Request) -> None:
        self._events = events
        self.call_id = request.call_id
        self.caller_tag = request.from_.tag
        self.callee_tag: str | None = None  # None before there is an answer
        self.from_uri = _uri_text(request.from_.uri)
        self.to_uri = _uri_text(request.uri)
        self.is_ringing = False

    @property
    def key(self) -> Key:
        """The key of this call in the table."""
        return self.call_id, self.caller_tag

    def wrap_prepare(self, prepare: Prepare) -> Prepare:
        """Return a `prepare` that does `prepare`, and publishes what the responses show."""

        def prepare_and_publish(outgoing: Request, target: Target, flow: Flow) -> EditResponse:
            edit = prepare(outgoing, target, flow)

            def edit_and_publish(response: Response) -> None:
                edit(response)
                self.handle_response(response, flow)

            return edit_and_publish

        return prepare_and_publish

    def handle_response(self, response: Response, flow: Flow) -> None:
        """Publish what a response from 101 to 299 on its way upstream shows."""
        if self.callee_tag is not None:
            return
        if response.status >= 200:
            self.callee_tag = _tag_of(response)
            self._events.publish_answered(self, response, flow)
        elif not self.is_ringing and 180 <= response.status < 190:
            self.is_ringing = True
            self._events.publish_ringing(self, response, flow)

    def run(self, fork: Fork, targets: Iterable[Target]) -> None:
        """Run the fork of the INVITE, and publish its failure."""
        try:
            status = fork.run(targets)
        except Refused as refused:
            cause = Cause(refused.code, refused.cause, refused.cure)
            self._events.publish_failed(self, refused.status, cause, "server")
            raise
        except BadMessage as bad:
            cause = MALFORMED.of(fault=bad.reason)
            self._events.publish_failed(self, bad.status or 400, cause, "server")
            raise
        except BaseException:
            self._events.publish_failed(self, 500, INTERNAL_ERROR.of(), "server")
            raise
        if self.callee_tag is None:
            cause = fork.failure(status)
            ended_by = _ENDED_BY.get(cause.code, "callee")
            self._events.publish_failed(self, status, cause, ended_by)


class CallEvents:
    """Publishes the events of calls."""

    def __init__(self, bus: Bus, domains: Domains, accounts: Accounts) -> None:
        self._bus = bus
        self._started_topic = bus.topic(CallStarted)
        self._ringing_topic = bus.topic(CallRinging)
        self._answered_topic = bus.topic(CallAnswered)
        self._ended_topic = bus.topic(CallEnded)
        self._domains = domains
        self._accounts = accounts
        self._calls: OrderedDict[Key, Call] = OrderedDict()
        self._ended: OrderedDict[Key, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def start(self, request: Request, flow: Flow, caller: Account | None) -> Call | None:
        """Publish that an INVITE without a To tag is forwarded; None if no event would be heard.

        `caller` is the account that it comes from.
        """
        # Most servers have no listener: their calls pay four attributes for events, and no call.
        if not (
            self._started_topic.listeners
            or self._ringing_topic.listeners
            or self._answered_topic.listeners
            or self._ended_topic.listeners
        ):
            return None
        if request.to.tag:
            return None
        call = Call(self, request)
        self._calls.pop(call.key, None)
        self._calls[call.key] = call
        self._ended.pop(call.key, None)
        if len(self._calls) > MAX_CALLS:
            self._calls.popitem(last=False)
        if self._started_topic.listeners:
            realm = self._domains.claimed_realm(request.from_.uri) or self._domains.main
            callee_realm = self._domains.realm_of(request.uri) or ""
            name = self._domains.username_of(request.uri)
            callee = self._accounts.find(name, callee_realm) if callee_realm else None
            event = CallStarted(
                self._bus.now(),
                printable(call.call_id),
                printable(call.caller_tag),
                _party(call.from_uri, caller, realm),
                _party(call.to_uri, callee, callee_realm),
                flow.remote,
                flow.transport,
                _device(request, "user-agent"),
            )
            self._started_topic.publish(event)
        return call

    def publish_ringing(self, call: Call, response: Response, flow: Flow) -> None:
        """Publish that the first phone rings."""
        if self._ringing_topic.listeners:
            event = CallRinging(
                self._bus.now(),
                printable(call.call_id),
                printable(call.caller_tag),
                response.status,
                flow.remote,
                flow.transport,
                _device(response, "user-agent") or _device(response, "server"),
            )
            self._ringing_topic.publish(event)

    def publish_answered(self, call: Call, response: Response, flow: Flow) -> None:
        """Publish that a call is answered."""
        if self._answered_topic.listeners:
            event = CallAnswered(
                self._bus.now(),
                printable(call.call_id),
                printable(call.caller_tag),
                printable(call.callee_tag or ""),
                response.status,
                flow.remote,
                flow.transport,
                _device(response, "user-agent") or _device(response, "server"),
            )
            self._answered_topic.publish(event)

    def publish_failed(self, call: Call, status: int, cause: Cause, ended_by: str) -> None:
        """Publish the end of a call that was not answered, unless a BYE has ended it already."""
        if self._calls.get(call.key) is call or call.key not in self._ended:
            self._end(call, status, cause, ended_by)

    def publish_hang_up(self, request: Request) -> None:
        """Publish the end of the call that a BYE belongs to, when the BYE is forwarded."""
        is_heard = bool(self._ended_topic.listeners)
        if not is_heard and not self._calls:
            return
        call_id, sender, other = request.call_id, request.from_.tag, request.to.tag
        for key, ended_by, peer in (
            ((call_id, sender), "caller", other),
            ((call_id, other), "callee", sender),
        ):
            call = self._calls.get(key)
            if call is not None:
                # Of several phones that have answered, the caller hangs up on all but one.
                if call.callee_tag in (None, peer):
                    status = 487 if call.callee_tag is None else 200
                    self._end(call, status, HUNG_UP.of(), ended_by)
                return
            if key in self._ended:
                return
        if not is_heard:
            return
        self._remember((call_id, sender))
        event = CallEnded(
            self._bus.now(),
            printable(call_id),
            printable(sender),
            printable(other),
            printable(request.from_.uri_text[:MAX_DEVICE]),
            printable(request.to.uri_text[:MAX_DEVICE]),
            200,
            HUNG_UP.text,
            "",
            code=HUNG_UP.code,
        )
        self._ended_topic.publish(event)

    def _end(self, call: Call, status: int, cause: Cause, ended_by: str) -> None:
        if self._calls.get(call.key) is call:
            del self._calls[call.key]
        self._remember(call.key)
        if self._ended_topic.listeners:
            event = CallEnded(
                self._bus.now(),
                printable(call.call_id),
                printable(call.caller_tag),
                printable(call.callee_tag or ""),
                call.from_uri,
                call.to_uri,
                status,
                printable(cause.text),
                ended_by,
                code=cause.code,
                cure=printable(cause.cure),
            )
            self._ended_topic.publish(event)

    def _remember(self, key: Key) -> None:
        self._ended[key] = None
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)


def _party(uri: str, account: Account | None, realm: str) -> Party:
    return (
        Party(uri, 0, "", "")
        if account is None
        else Party(uri, account.id, account.username, realm)
    )


def _uri_text(uri: Uri) -> str:
    return printable(uri.text[:MAX_DEVICE])


def _device(message: Message, name: str) -> str:
    return printable((message.value(name) or "")[:MAX_DEVICE])


def _tag_of(response: Response) -> str:
    try:
        return response.to.tag
    except BadMessage:
        return ""
