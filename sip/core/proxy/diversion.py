"""History-Info and Diversion: the forwardings of a call, for the phone or gateway that gets it.

Phones and gateways read one of both: History-Info is the standard (RFC 7044, with the causes of
RFC 4458), Diversion is what most desk phones and providers know (RFC 5806).
"""

import re
from typing import NamedTuple
from urllib.parse import quote

from sip.message.grammar import BadMessage
from sip.message.message import Request
from sip.message.uri import SipUri, format_host, parse_host_port

# For each reason of RFC 5806: the cause of RFC 4458 in the URI of the new target, by RFC 7544 §7,
# and the status that has ended the former one, "" if that has not rung.
_CAUSES = {
    "unconditional": ("302", ""),
    "user-busy": ("486", "486"),
    "no-answer": ("408", "408"),
    "unavailable": ("503", "480"),
    "do-not-disturb": ("404", ""),
}
# An index has a number for each hop, and each new entry repeats it twice: a longer one is not read.
_INDEX = re.compile(r";\s*index\s*=\s*([0-9.]{1,200})(?![0-9.])", re.IGNORECASE)
_USER = "-_.!~*'()&=+$,;?/"  # §25.1 `user`, unescaped
# A caller with one of these wishes that no history is given away (RFC 7044 §10.1).
_PRIVATE = ("history", "header")


class Diversion(NamedTuple):
    """One forwarding: of the user or group `by` in a realm, to `target`, for a reason."""

    by: str
    realm: str
    target: str
    reason: str


def add_diversions(outgoing: Request, diversions: list[Diversion]) -> None:
    """Add the forwardings of a call to a copy of its INVITE, the latest on top.

    Raises BadMessage if the fields that it has already cannot be read.
    """
    if any(word in (outgoing.value("privacy") or "").lower() for word in _PRIVATE):
        return
    for each in diversions:
        by = _uri(each.by, each.realm, outgoing)
        line = f"Diversion: <{by}>;reason={each.reason};counter=1"
        if "diversion" in outgoing.present:
            outgoing.put_first("diversion", line)
        else:
            outgoing.append("diversion", line)
    entries = outgoing.values("history-info")
    found = _INDEX.search(entries[-1]) if entries else None
    index = found[1] if found else "1"
    cause = ""
    for each in diversions:
        next_cause, status = _CAUSES[each.reason]
        reason = f"?Reason=SIP%3Bcause%3D{status}" if status else ""
        entry = f"<{_uri(each.by, each.realm, outgoing)}{cause}{reason}>;index={index}"
        if cause:  # the entry of the forwarding before this one
            entries[-1] = f"{entry};mp={index.rpartition('.')[0]}"
        elif not found:
            entries.append(entry)
        uri = each.target
        if ":" not in uri:
            uri = _uri(uri, each.realm, outgoing)
        cause = f";cause={next_cause}"
        entries.append(f"<{uri}{cause}>;index={index}.1;mp={index}")
        index += ".1"
    outgoing.set_values("history-info", "History-Info", entries)


def remove_diversions(request: Request) -> None:
    """Remove the forwardings that a user states in a request: only this server knows them."""
    for name in ("diversion", "history-info"):
        if name in request.present:
            request.remove(name)


def _uri(username: str, realm: str, outgoing: Request) -> str:
    """Return the URI of a name; a realm that is no host gives way to the host that was called."""
    try:
        parse_host_port(realm)
    except BadMessage:
        called = outgoing.to.uri
        realm = format_host(called.host) if isinstance(called, SipUri) else "anonymous.invalid"
    return f"sip:{quote(username, safe=_USER)}@{realm}"
