"""The commands that a running server handles on its control socket."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any
from unicodedata import normalize

from sip.control.server import Handler, Refusal
from sip.core import explain
from sip.core.guard.guard import Guard
from sip.monitor.calls import Calls
from sip.monitor.trace_pcap import pcap_of
from sip.monitor.trace_text import text_of
from sip.monitor.traces import MIB, Traces
from sip.operator_values import parse_network
from sip.serializers.calls import call_json

# Calls of one reply, the newest ones: some 100 ms of work, while no message is served.
MAX_LISTED_CALLS = 2000


def guard_handlers(guard: Guard) -> dict[str, Handler]:
    """Return the handlers for blocked logins, by name."""

    def forgive(request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Unblock the logins of one user; return the addresses, and which of them are banned."""
        user, address = normalize("NFC", str(request["user"])), request.get("address")
        try:
            network = parse_network(str(address)) if address else None
        except ValueError as error:
            raise Refusal(str(error)) from None
        banned = [login.address for login in guard.blocked_logins() if login.is_banned]
        # An account of an earlier version may be stored decomposed.
        lifted = guard.forgive({user, normalize("NFD", user)}, network)
        if not lifted:
            source = f" from {address}" if address else ""
            raise Refusal(
                f"{user} has no wrong passwords{source} to forgive; `bans` lists the blocked users"
            )
        return {"addresses": lifted, "banned": [each for each in lifted if each in banned]}

    def blocked_logins(_: Mapping[str, Any]) -> Mapping[str, Any]:
        """List the blocked logins."""
        return {"blocked_logins": [login._asdict() for login in guard.blocked_logins()]}

    return {"forgive": forgive, "blocked_logins": blocked_logins}


def call_handlers(calls: Calls, hang_up: Callable[[str, str], bool]) -> dict[str, Handler]:
    """Return the handlers for the present calls, by name."""

    def list_calls(_: Mapping[str, Any]) -> Mapping[str, Any]:
        """List the newest calls that ring or talk; `more` is the number of the others."""
        shown = [call_json(call) for call in calls.now()[:MAX_LISTED_CALLS]]
        return {"calls": shown, "more": len(calls) - len(shown)}

    def hang_up_call(request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Hang up one call; return it."""
        number = request.get("id")
        call = calls.find(number) if isinstance(number, int) else None
        if call is None or not hang_up(call.call_id, call.from_tag):
            raise Refusal(f"there is no call {number}; `calls list` shows the calls")
        return {"call": call_json(call)}

    return {"calls": list_calls, "hang_up": hang_up_call}


def trace_handlers(
    traces: Traces, in_thread: Callable[[Callable[[], str]], str]
) -> dict[str, Handler]:
    """Return the handler for the messages in memory, by name.

    `in_thread` calls a function that takes long in another thread, and returns its result.
    """

    def show_trace(request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the messages of a Call-ID as text, or as a pcap file in base64."""
        if not traces.limit:
            raise Refusal("no messages are kept: -trace.memory is 0")
        call_id = str(request["call_id"])
        trace = traces.find(call_id.encode("utf-8", "surrogateescape"))
        if trace is None:
            raise Refusal(
                f"there are no messages with the Call-ID {call_id!r}; the latest"
                f" {traces.limit // MIB} MiB are kept"
            )
        copy = trace.copy()
        if request.get("pcap"):
            pcap = in_thread(lambda: b64encode(pcap_of(copy)).decode())
            return {"pcap": pcap, "messages": len(copy.messages)}
        return {"text": in_thread(lambda: text_of(copy, explain))}

    return {"trace": show_trace}
