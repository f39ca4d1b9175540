"""Targets of a request, and their order by q (RFC 3261 §16.5, §16.6)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sip.core.trunk import Trunk
from sip.message.uri import (
    SipUri,
    Uri,
    is_address,
    is_same_contact,
    parse_uri,
)
from sip.transport.flow import Endpoint, Flow
from sip.transport.transport_names import DEFAULT_TRANSPORT, default_port

_DEFAULT_PARAM = DEFAULT_TRANSPORT.lower()


def as_request_uri(contact: str) -> str:
    """Take off a contact what no Request-URI may hold: headers, and `method` (§16.6, step 2)."""
    if "?" not in contact and "%" not in contact and ";method" not in contact.lower():
        return contact
    uri = parse_uri(contact)
    if not isinstance(uri, SipUri):
        return contact
    user, at, place = contact.rpartition("@")
    first, *params = place.partition("?")[0].split(";")
    kept = [text for text, (name, _) in zip(params, uri.params, strict=True) if name != "method"]
    return ";".join([f"{user}{at}{first}", *kept])


class Phone(NamedTuple):
    """A user agent that is registered here, or the user of one that isn't.

    `instance` is its instance id (RFC 5626 §4.1), `call_id` that of its REGISTER; both are "" where
    no phone is known.  `flow` is the one that its REGISTER came by; `is_only` says that the user
    has no other one.
    """

    aor: str
    instance: str = ""
    call_id: str = ""
    flow: Flow | None = None
    is_only: bool = False

    @property
    def identity(self) -> str:
        """What a phone keeps when it registers again from another address."""
        return self.instance or self.call_id


@dataclass(slots=True)
class Target:
    """One place that a request may be sent to (§16.5).

    `uri_text` becomes the Request-URI; `flow` is the way, None where the URI says it; `path` are
    Route values to go by (RFC 3327); `q` is in thousandths; `source` is the address of whoever
    named this place, "" where that is no matter; `trunk` answers what is asked there who we are;
    `phone` is the one that is registered with this place, None for any other target; `fallback`
    is the way where the name in `uri_text` leads nowhere; `is_told` says that a side of a dialog
    has named the place.
    """

    uri_text: str
    flow: Flow | None = None
    path: tuple[str, ...] = ()
    q: int = 1000
    source: str = ""
    trunk: Trunk | None = None
    phone: Phone | None = None
    fallback: Flow | None = None
    is_told: bool = False

    def is_same_place(self, other: "Target") -> bool:
        """Tell whether both lead to one place; URIs are compared as such (§16.5, §19.1.4)."""
        return (self.flow, self.path) == (other.flow, other.path) and (
            self.uri_text == other.uri_text
            or is_same_contact(parse_uri(self.uri_text), parse_uri(other.uri_text))
        )


def place_of(uri: Uri) -> str:
    """The place that a URI leads to: host, port, transport and maddr; "" for no SIP URI.

    Equal for two URIs that differ in the user part, or where one says what the other leaves to
    the default (§19.1.2).
    """
    if not isinstance(uri, SipUri):
        return ""
    maddr = (uri.param("maddr") or "").lower()
    transport = (uri.param("transport") or "").lower()
    port = uri.port
    if is_address(maddr or uri.host):  # of a name the DNS says the rest (RFC 3263 §4)
        port, transport = port or default_port(transport), transport or _DEFAULT_PARAM
    return f"{uri.scheme};{uri.host};{port or ''};{transport};{maddr}"


def place_at(endpoint: Endpoint, transport: str = DEFAULT_TRANSPORT) -> str:
    """The place of a URI that has this address and port and no more, as `place_of` writes it."""
    return f"sip;{endpoint[0]};{endpoint[1]};{transport.lower()};"


def by_preference(targets: Iterable[Target]) -> list[list[Target]]:
    """Group targets by q: equals are tried at once, the higher group first (§16.6)."""
    targets = list(targets)
    if len(targets) == 1:
        return [targets]
    groups: dict[int, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.q, []).append(target)
    return [groups[q] for q in sorted(groups, reverse=True)]
