"""Operations on traces: the messages of a Call-ID as JSON, as text and as a pcap file."""

from typing import Literal

from msgspec import Struct

from sip.monitor.traces import Trace
from sip.serializers.traces import trace_json
from webadmin.api.operations import (
    UNCOMPRESSED,
    Encoded,
    Operations,
    WithHeaders,
    require_admin,
    to_json,
)
from webadmin.api.problems import Problem
from webadmin.context import AppContext
from webadmin.trace_service import NoSuchTrace, TraceService

PCAP = "application/vnd.tcpdump.pcap"


class Message(Struct, frozen=True):
    """One message; `local` and `remote` are addresses with ports, `text` is the whole message."""

    at: str
    direction: Literal["in", "out"]
    local: str
    remote: str
    transport: str
    text: str


class TraceMessages(Struct, frozen=True):
    """The messages of a Call-ID, the oldest first."""

    messages: list[Message]


class TraceQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """With `secrets`, credentials are shown, to tokens with the role admin only."""

    secrets: bool = False


def mount(operations: Operations, context: AppContext) -> None:
    """Add the operations on traces."""
    traces = TraceOperations(context)
    one = "/traces/{call_id}"
    for path, handler, what, answer in (
        (f"{one}.pcap", traces.pcap, "as a pcap file", PCAP),
        (f"{one}.txt", traces.text, "as text, with a drawing", "text/plain"),
        (one, traces.show, "", TraceMessages),
    ):
        operations.get(
            *(path, handler, f"Show the messages of a Call-ID {what}".strip()),
            query=TraceQuery,
            answer=answer,
            problems=(403, 404),
        )


class TraceOperations:
    """The handlers of the operations on traces."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._service = TraceService(context)

    def show(self, call_id: str, query: TraceQuery) -> WithHeaders:
        """Return the messages."""
        trace, secrets = self._trace(call_id, query), query.secrets
        encoded = self._context.drawing.run(
            lambda: to_json(TraceMessages, trace_json(trace, secrets=secrets))
        )
        return _answer(encoded, query)

    def text(self, call_id: str, query: TraceQuery) -> WithHeaders:
        """Return the messages as text."""
        trace = self._trace(call_id, query)
        return _answer(self._service.text(trace, secrets=query.secrets), query)

    def pcap(self, call_id: str, query: TraceQuery) -> WithHeaders:
        """Return the messages as a pcap file."""
        trace = self._trace(call_id, query)
        return _answer(self._service.pcap(trace, secrets=query.secrets), query)

    def _trace(self, call_id: str, query: TraceQuery) -> Trace:
        if query.secrets:
            require_admin()
        octets = call_id.encode("utf-8", "surrogateescape")
        try:
            trace = self._service.find(octets)
        except NoSuchTrace as error:
            raise Problem(404, str(error)) from None
        if query.secrets:
            self._service.record_secrets(octets)
        return trace


def _answer(body: bytes, query: TraceQuery) -> WithHeaders:
    return WithHeaders(Encoded([body]), UNCOMPRESSED if query.secrets else {})
