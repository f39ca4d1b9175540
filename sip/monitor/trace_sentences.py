"""Sentences for the failures in a ladder, by their status (RFC 3261 §21)."""

from sip.monitor.trace_message import ShownMessage, user_of

_SENTENCES = {
    301: "The user has moved for good; the answer names the new address.",
    302: "The phone forwards its calls to the address in Contact.",
    400: "The sender of this answer could not read the request.",
    402: "The other side wants a payment first.",
    403: "The other side understood the request, and refuses it.",
    404: "The other side does not know this number or name.",
    405: "The other side does not allow this method here.",
    408: "There was no answer in time.",
    410: "This number or name is not in use any more.",
    413: "The body of the request is too large for the other side.",
    414: "The address in the request is too long for the other side.",
    415: "The other side cannot read the type of the body.",
    416: "The other side does not know this kind of address.",
    420: "The request needs an extension that the other side does not have.",
    421: "The other side needs an extension that the request does not offer.",
    422: "The session interval is too short for the other side; it names a minimum in Min-SE.",
    423: "The asked time of registration is too short; the answer names a minimum.",
    480: "No phone of this user can be reached now, or it does not take calls (do not disturb).",
    481: "The other side does not know this call any more.",
    482: "The request came back to a server that it had passed already: a loop.",
    483: "The request has passed too many servers.",
    484: "The number is incomplete.",
    485: "The name or number can mean several users.",
    486: "The phone is busy, or its user has declined the call.",
    487: "The call was cancelled before an answer.",
    488: "The phone takes none of the offered codecs or media.",
    489: "The other side does not know this event package.",
    491: "Both sides have changed the call at the same moment; one of them tries again.",
    493: "The other side cannot decrypt the body.",
    494: "The other side asks for security agreement first.",
    500: "The other side has an internal fault.",
    501: "The other side does not know this method.",
    502: "A server behind this one has sent an invalid response.",
    503: "The other side is overloaded, or could not be reached.",
    504: "A server behind this one has not answered in time.",
    505: "The other side does not speak this version of SIP.",
    513: "The message is too large for the other side.",
    600: "The user is busy on all phones.",
    603: "The user has declined the call.",
    604: "This user does not exist anywhere.",
    606: "The user wants to talk, but not with the offered codecs or media.",
    607: "The user has marked the call as unwanted.",
    608: "A service on the way has rejected the call.",
}
_CLASSES = {
    3: "The other side names another address for this user.",
    4: "The other side could not serve the request as it was.",
    5: "The other side could not serve the request now.",
    6: "The user can be reached nowhere.",
}


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


def sentence_of(message: ShownMessage) -> str:
    """Return why a response from 300 on was sent, in a plain sentence."""
    sentence = _SENTENCES.get(message.status) or _CLASSES.get(message.status // 100, "")
    if message.passed.direction == "out":
        return sentence
    warning = message.field("warning").partition('"')[2].rpartition('"')[0][:200]
    return f"{sentence} It says: {warning}" if warning else sentence
