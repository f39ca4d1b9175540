"""Sentences for forwarded calls in a ladder, from Diversion (RFC 5806) and Reason (RFC 3326)."""

from sip.monitor.trace_message import ShownMessage, user_of

# How a Diversion names the reason of a forwarding (RFC 5806 §10).
_DIVERSIONS = {
    "unconditional": "all calls",
    "user-busy": "busy",
    "no-answer": "no answer",
    "unavailable": "not registered",
    "do-not-disturb": "do not disturb",
}


def forwarding_of(message: ShownMessage) -> str:
    """Return why an INVITE was forwarded here, or a CANCEL sent for that; "" for any other.

    An INVITE says it in Diversion, a CANCEL of this server in Reason.
    """
    if message.method == "CANCEL":
        text = message.field("reason").partition('text="')[2].partition('"')[0]
        return f"Forwarded{text[9:]}." if text.startswith("forwarded to ") else ""
    diversion = message.field("diversion") if message.method == "INVITE" else ""
    if not diversion:
        return ""
    reason = diversion.partition(";reason=")[2].partition(";")[0].strip('"')
    why = _DIVERSIONS.get(reason, "")
    return f"Forwarded by {user_of(diversion)}" + (f": {why}." if why else ".")
