"""The messages of a trace as JSON."""

from typing import Any

from sip.monitor.events import Address, MessagePassed
from sip.monitor.trace_redaction import redact
from sip.monitor.traces import Trace
from sip.times import rfc3339


def trace_json(trace: Trace, *, secrets: bool = False) -> dict[str, Any]:
    """Return the messages of a trace, the oldest first; without credentials unless `secrets`."""
    return {"messages": [_message(passed, secrets=secrets) for passed in trace.messages]}


def _message(passed: MessagePassed, *, secrets: bool) -> dict[str, Any]:
    octets = passed.octets if secrets else redact(passed.octets)
    return {
        "at": rfc3339(passed.at, milliseconds=True),
        "direction": passed.direction,
        "local": _endpoint(passed.local),
        "remote": _endpoint(passed.remote),
        "transport": passed.transport,
        "text": octets.decode("utf-8", "backslashreplace"),
    }


def _endpoint(address: Address) -> str:
    """Return an address with its port."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
