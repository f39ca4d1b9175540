"""The head of a ladder: how its call went and how long it took; and the devices of its columns."""

from typing import NamedTuple

from sip.monitor.calls import Call, CallResult, CallState
from sip.monitor.trace_ladder import Devices, Outline
from sip.monitor.trace_message import Kind
from sip.monitor.traces import Trace
from webadmin.context import AppContext
from webadmin.language import _, translated
from webadmin.numbers import decimal
from webadmin.templates import span

# Characters of a device in the outcome.
_MAX_DEVICE = 40
PILLS = {Kind.SUCCESS: "on", Kind.FAILURE: "bad", Kind.CHALLENGE: "bad", Kind.PROVISIONAL: "ring"}


class Head(NamedTuple):
    """The outcome in words with its colour, and the times: `rang 4 s`, `talked 3 min 12 s`."""

    pill: str
    outcome: str
    times: list[str]


def head_of(trace: Trace, outline: Outline, call: Call | None) -> Head:
    """Return the head of a trace; `call` is the call that still rings or talks, or None."""
    if call is not None:
        times = _times(call.rang_seconds if call.answered_at else 0.0, 0.0)
        if call.state is CallState.TALKING:
            device = call.callee.device or outline.to
            return Head("on", _answered_by(device), [*times, _("talking")])
        return Head("ring", _("Ringing"), times)
    note = trace.note
    if note is None or not note.result:
        return Head(PILLS.get(outline.kind, "off"), translated(outline.outcome), [])
    times = _times(note.rang_seconds, note.talked_seconds)
    if note.result == CallResult.ANSWERED:
        return Head("on", _answered_by(note.device or outline.to), times)
    return Head("bad", translated(note.result).capitalize(), times)


def devices_of(context: AppContext, trace: Trace, outline: Outline) -> Devices:
    """Return the devices of the phones that both users have registered, by transport and address.

    Many phones name themselves in a REGISTER only.  That of the server is its domain.  Blocks for
    some milliseconds.
    """
    devices = {("", trace.messages[0].local): context.config.sip_realm}
    for name in {outline.from_, outline.to}:
        account = context.users.find(name, context.users.realm) if name else None
        entry = context.directory.entry(account.id) if account else None
        for contact in entry.contacts if entry else ():
            host, _, port = contact.address.rpartition(":")
            if port.isdecimal():
                key = contact.transport, (host.strip("[]"), int(port))
                devices[key] = contact.user_agent
    return devices


def _answered_by(device: str) -> str:
    device = device.partition(" (")[0]  # the rest is its system: baresip v4.6.0 (x86_64/Linux)
    if len(device) > _MAX_DEVICE:
        device = f"{device[: _MAX_DEVICE - 1]}…"
    return _("Answered by {device}").format(device=device) if device else _("Answered")


def _times(rang: float, talked: float) -> list[str]:
    spans = ((_("rang {span}"), rang), (_("talked {span}"), talked))
    return [text.format(span=_lasting(seconds)) for text, seconds in spans if seconds]


def _lasting(seconds: float) -> str:
    return _("{count} s").format(count=decimal(seconds, 1)) if seconds < 1 else span(seconds)
