"""Targets of a request, and their order by q (RFC 3261 §16.5, §16.6)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from sip.core.trunk import Trunk
from sip.message.headers import parse_name_addr
from sip.message.uri import (
    SipUri,
    Uri,
    is_address,
    is_same_contact,
    parse_uri,
)
from sip.transport.flow import Endpoint, Flow
from sip.transport.transport_names import DEFAULT_TRANSPORT, SECURE_PORT, default_port

_DEFAULT_PARAM = DEFAULT_TRANSPORT.lower()


def is_sips(uri_text: str) -> bool:
    """Return True for the text of a sips: URI.

    Hot code asks first for `uri_text[3:4] != ":"`, which is false for sip: and tel:.
    """
    return uri_text[:5].lower() == "sips:"


def as_request_uri(contact: str) -> str:
    """Remove from a Contact the parts that no Request-URI may have (§16.6, step 2).

    Those are headers and the `method` parameter.
    """
    if "?" not in contact and "%" not in contact and ";method" not in contact.lower():
        return contact
    uri = parse_uri(contact)
    if not isinstance(uri, SipUri):
        return contact
    user, at, host_and_more = contact.rpartition("@")
    first, *params = host_and_more.partition("?")[0].split(";")
    kept = [text for text, (name, _) in zip(params, uri.params, strict=True) if name != "method"]
    return ";".join([f"{user}{at}{first}", *kept])


class Phone(NamedTuple):
    """A registered phone, or a user without a known phone.

    `instance` is its instance id (RFC 5626 §4.1), `call_id` the Call-ID of its REGISTER; both are
    "" if no phone is known.  `flow` is the flow of its REGISTER, `device` the User-Agent; `is_only`
    is True if the user has no other phone; `is_outbound` is True if it uses Outbound.
    """

    aor: str
    instance: str = ""
    call_id: str = ""
    flow: Flow | None = None
    is_only: bool = False
    device: str = ""
    is_outbound: bool = False

    @property
    def identity(self) -> str:
        """The id that a phone keeps when it registers again from another address."""
        return self.instance or self.call_id


@dataclass(slots=True)
class Target:
    """One address that a request may be sent to (§16.5).

    - `uri_text` becomes the Request-URI.
    - `flow` is the flow to send along; None: resolve the URI.
    - `path` has the Route values to add (RFC 3327).
    - `q` is in thousandths.
    - `source` is the host that has named this address; "" if it does not matter.
    - `trunk` has the credentials for challenges of this gateway.
    - `phone` is the phone registered with this address; None for any other target.
    - `fallback` is the flow to use if the name in `uri_text` cannot be resolved.
    - `is_from_dialog` is True if a side of a dialog has named this address.
    - `others` are other flows to the same phone, to be tried if this one fails (RFC 5626 §7).
    """

    uri_text: str
    flow: Flow | None = None
    path: tuple[str, ...] = ()
    q: int = 1000
    source: str = ""
    trunk: Trunk | None = None
    phone: Phone | None = None
    fallback: Flow | None = None
    is_from_dialog: bool = False
    others: "tuple[Target, ...]" = ()

    def is_same_address(self, other: "Target") -> bool:
        """Return True if both lead to one address; URIs are compared by §19.1.4 (§16.5)."""
        return (self.flow, self.path) == (other.flow, other.path) and (
            self.uri_text == other.uri_text
            or is_same_contact(parse_uri(self.uri_text), parse_uri(other.uri_text))
        )

    def is_behind(self, host: str) -> bool:
        """Return True if it was named by a host, or is reached by it, as by an edge proxy."""
        if host == self.source:
            return True
        return bool(self.path) and parse_name_addr(self.path[0]).sip_uri.host == host

    def is_at(self, endpoint: Endpoint) -> bool:
        """Return True if a phone was seen at an address and port, or has it in its Contact.

        The Contact of a phone with Outbound may be its address on an earlier flow.
        """
        phone = self.phone
        if phone is not None and phone.flow is not None and phone.flow.remote == endpoint:
            return True
        if phone is not None and phone.is_outbound:
            return False
        uri = parse_uri(self.uri_text)
        return isinstance(uri, SipUri) and endpoint == (
            uri.host,
            uri.port or default_port(uri.param("transport")),
        )


def differ_in_port(one: Uri, other: Uri) -> bool:
    """Return True if two Contacts differ at most in their port."""
    if not isinstance(one, SipUri) or not isinstance(other, SipUri):
        return False
    return is_same_contact(replace(one, port=other.port), other)


def address_key(uri: Uri) -> str:
    """Return host, port, transport and maddr of a URI as one string; "" if it is no SIP URI.

    Two URIs have one key if they differ only in the user part, or if one of them writes out the
    defaults of the other (§19.1.2).
    """
    if not isinstance(uri, SipUri):
        return ""
    maddr = (uri.param("maddr") or "").lower()
    transport = (uri.param("transport") or "").lower()
    port = uri.port
    if is_address(maddr or uri.host):  # for a name, DNS gives port and transport (RFC 3263 §4)
        usual = SECURE_PORT if uri.scheme == "sips" else default_port(transport)
        port, transport = port or usual, transport or _DEFAULT_PARAM
    return f"{uri.scheme};{uri.host};{port or ''};{transport};{maddr}"


def endpoint_key(endpoint: Endpoint, transport: str = DEFAULT_TRANSPORT) -> str:
    """Return the `address_key` of a URI that has only this address, port and transport."""
    return f"sip;{endpoint[0]};{endpoint[1]};{transport.lower()};"


def by_preference(targets: Iterable[Target]) -> list[list[Target]]:
    """Group targets by q, highest first; the targets of a group are tried at once (§16.6)."""
    targets = list(targets)
    if len(targets) == 1:
        return [targets]
    groups: dict[int, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.q, []).append(target)
    return [groups[q] for q in sorted(groups, reverse=True)]
