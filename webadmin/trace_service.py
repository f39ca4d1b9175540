"""Traces for the pages and for the API: text, pcap, and the audit of credentials."""

from sip.core import explain
from sip.monitor.trace_ladder import outline_of
from sip.monitor.trace_pcap import pcap_of
from sip.monitor.trace_text import one_line, text_of
from sip.monitor.traces import Trace
from sip.store.audit import Act
from webadmin.context import AppContext
from webadmin.trace_head import devices_of

# Seconds in which one look at the credentials of a call is one entry in the audit.
_AUDITED_SECONDS = 600.0
_MAX_AUDITED = 200


class NoSuchTrace(Exception):
    """No messages with the Call-ID are in memory.  The text is a sentence."""


class TraceService:
    """Finds traces, and makes files of them in a thread.  All methods but `find` may wait."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._audited: dict[tuple[object, bytes], float] = {}

    def find(self, call_id: bytes) -> Trace:
        """Return a copy of the trace of a Call-ID, for another thread.  Raises NoSuchTrace."""
        trace = self._context.traces.find(call_id)
        if trace is None:
            off = "" if self._context.traces.limit else " No messages are kept: -trace.memory is 0."
            raise NoSuchTrace(f"No messages with this Call-ID are in memory.{off}")
        return trace.copy()

    def text(self, trace: Trace, *, secrets: bool) -> bytes:
        """Return the ladder and the messages as text."""
        devices = devices_of(self._context, trace, outline_of(trace))
        return self._context.drawing.run(
            lambda: text_of(trace, explain, secrets=secrets, devices=devices).encode()
        )

    def pcap(self, trace: Trace, *, secrets: bool) -> bytes:
        """Return the messages as a pcap file."""
        return self._context.drawing.run(lambda: pcap_of(trace, secrets=secrets))

    def record_secrets(self, call_id: bytes) -> None:
        """Record that credentials are shown: once in a while for each reader and call."""
        context, now = self._context, self._context.clock()
        reader = context.session.id if context.session else context.actor.name
        if now - self._audited.get((reader, call_id), 0.0) < _AUDITED_SECONDS:
            return
        context.record(Act.CREDENTIALS_SHOWN, f"messages of {one_line(call_id)}"[:200])
        while len(self._audited) >= _MAX_AUDITED:
            del self._audited[next(iter(self._audited))]
        self._audited[reader, call_id] = now
