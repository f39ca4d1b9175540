"""The phones of a call, as its messages show them to events: device, address, behind NAT or not."""

from sip.core.errors import printable
from sip.core.proxy.record_route import is_target_behind_nat
from sip.core.registrar.nat import is_private_elsewhere
from sip.core.target import Target
from sip.message.grammar import BadMessage, value_of
from sip.message.headers import parse_name_addr
from sip.message.message import Message, Request, Response
from sip.message.uri import SipUri, parse_uri
from sip.monitor.events import MAX_DEVICE, RingingPhone
from sip.transport.flow import Flow, via_matches_source


def phone_of(response: Response, target: Target, flow: Flow) -> RingingPhone:
    """Return the phone that has sent a response."""
    name = "user-agent" if "user-agent" in response.present else "server"
    device = device_of(response, name)
    if not device and target.phone is not None:
        device = printable(target.phone.device)
    behind_nat = is_target_behind_nat(target, flow)
    if behind_nat and target.phone is not None and target.phone.is_outbound:
        # With Outbound each phone is reached along its flow; its Contact shows a NAT.
        uri = parse_uri(target.uri_text)
        behind_nat = not isinstance(uri, SipUri) or uri.host != flow.remote[0]
    return RingingPhone(flow.remote, flow.transport, device, behind_nat)


def device_of(message: Message, name: str) -> str:
    """Return the User-Agent or Server field of a message as printable text, "" without one."""
    at = message.present.get(name)
    return "" if at is None else printable(value_of(message.lines[at])[:MAX_DEVICE])


def is_caller_behind_nat(request: Request, flow: Flow, contact: str) -> bool:
    """Return True if neither Via nor Contact of a caller lead to it, as far as they show it."""
    if f"@{flow.remote[0]}" in contact:  # most callers
        return False
    try:
        if not via_matches_source(request.via, flow):
            return True
        uri = parse_name_addr(value_of(contact)).uri
    except BadMessage:
        return False
    return isinstance(uri, SipUri) and is_private_elsewhere(uri, flow.remote[0])
