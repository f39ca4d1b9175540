"""Who is us, and where a request goes (RFC 3261 §16.4-16.6).  Pure, but for what it is handed."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

from sip.core.trunk import Trunk
from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage, bounded_number, unescape, value_of
from sip.message.headers import parse_name_addr
from sip.message.message import Request
from sip.message.uri import (
    SipUri,
    TelUri,
    Uri,
    format_host,
    is_address,
    is_same_contact,
    parse_host_port,
    parse_uri,
    read_uri,
)
from sip.phone_numbers import may_be_ignored
from sip.transaction.tokens import fingerprint
from sip.transport.flow import DEFAULT_PORT, Endpoint, Flow

# Branches that one request may have at a time, wherever it has forked before (RFC 5393 §5.3.2).
MAX_BREADTH = 60
# Routes through us in one request.  A dialog gets two each time it passes here.
MAX_OWN_ROUTES = 20


class Domains:
    """The names and addresses that mean this server.

    `main` is the main realm; `names` further names of it; `realms` gives the realms that have
    users, which are local domains too; `is_own_address` tells whether a host is an address or name
    of this machine; `ports` are those that we listen on.
    """

    def __init__(
        self,
        main: str,
        names: Iterable[str],
        realms: Callable[[], frozenset[str]],
        is_own_address: Callable[[str], bool],
        ports: Iterable[int],
    ) -> None:
        self.main = main
        self._realms = realms
        self._is_own_address = is_own_address
        self._ports = frozenset(ports)
        self.set_names(names)

    def set_names(self, names: Iterable[str]) -> None:
        """Let these be the further names of the main domain."""
        self._own_names = {name.lower().rstrip("."): self.main for name in (*names, self.main)}
        self._known_realms: frozenset[str] = frozenset()  # none, so they are looked at anew
        self._realm_of_host: dict[str, str] = dict(self._own_names)

    def realm_of(self, uri: Uri) -> str | None:
        """The realm whose domain a URI is in; None where it is not ours to serve.

        An address of this machine is the main realm; with a port that we don't listen on it is
        somebody else, a softphone beside us for instance.
        """
        if isinstance(uri, TelUri):
            return self._realm_of_number(uri)
        if not isinstance(uri, SipUri) or (uri.port is not None and uri.port not in self._ports):
            return None
        realm = self._realm_named(uri.host)
        if realm is None and self._is_own_address(uri.host):
            return self.main
        return realm

    def realm_of_sender(self, uri: Uri) -> str | None:
        """The realm that a From claims to be in; None where it is a stranger's.

        A port says nothing about who somebody is: with any port a name of ours asks for a password.
        """
        realm = self.realm_of(uri)
        if realm is None and isinstance(uri, SipUri):
            return self._realm_named(uri.host)
        return realm

    def username_of(self, uri: Uri) -> str:
        """Return the user that a URI of a domain here names, unescaped, "" where it names none.

        A tel: URI names the user of its number.  A phone-context that is one of our domains is
        left out, and so is one that is a number: it says where in the telephone network the caller
        is, and a local number is taken as it is dialled here.  The domain of another organization
        stays, and with it the number is the name of no user here (RFC 3966 §5.1.5).
        """
        if isinstance(uri, SipUri) and uri.user and "%" not in uri.user and ";" not in uri.user:
            return uri.user  # nearly always
        if isinstance(uri, TelUri):
            params = [f"{name}={unescape(value or '')}" for name, value in uri.params]
            params = [param for param in params if not may_be_ignored(param, uri.number)]
            username = ";".join([uri.number, *params])
        else:
            username = username_of(uri)
        if ";" not in username:
            return username
        first, *params = username.split(";")
        return ";".join([first, *[param for param in params if not self._is_own_context(param)]])

    def _is_own_context(self, param: str) -> bool:
        name, _, context = param.partition("=")
        if name.lower() != "phone-context":
            return False
        return context[:1] == "+" or self._realm_of_context(context) is not None

    def _realm_of_context(self, context: str) -> str | None:
        try:
            host, port = parse_host_port(context)
        except BadMessage:
            return None
        if port is not None:
            return None
        return self._realm_named(host) or (self.main if self._is_own_address(host) else None)

    def _realm_of_number(self, uri: TelUri) -> str:
        """Return the realm that the phone-context of a number names, else the main one."""
        for name, value in uri.params:
            if name == "phone-context" and value:
                return self._realm_of_context(unescape(value)) or self.main
        return self.main

    def _realm_named(self, host: str) -> str | None:
        realms = self._realms()
        if realms is not self._known_realms:
            self._known_realms = realms
            self._realm_of_host = {realm.lower(): realm for realm in realms} | self._own_names
        if host[-1:] == ".":  # the root of the DNS, which every name has behind it
            host = host[:-1]
        return self._realm_of_host.get(host)

    def is_aimed_past_us(self, uri: Uri) -> bool:
        """Tell whether a maddr asks for another place than the host of its URI (§16.5)."""
        if not isinstance(uri, SipUri) or not uri.params:
            return False
        maddr = uri.param("maddr")
        if not maddr:
            return False
        if uri.port is not None and uri.port not in self._ports:
            return True
        host, _ = parse_host_port(maddr)
        return self._realm_named(host) is None and not self._is_own_address(host)

    def has_realm(self, realm: str) -> bool:
        """Tell whether credentials of a realm are for us."""
        return realm == self.main or realm in self._realms()

    def is_us(self, uri: Uri) -> bool:
        """Tell whether a URI names this server or one of its domains."""
        return self.realm_of(uri) is not None


def address_of_record(username: str, realm: str) -> str:
    """Return the canonical form of an AOR, an unescaped user in a realm (§10.3, step 5).

    `username` is the name of the account.  An @ in it stays escaped, so that the first @ of an AOR
    stands before its realm.
    """
    return f"{username.replace('@', '%40')}@{realm}" if "@" in username else f"{username}@{realm}"


def user_of_aor(aor: str) -> tuple[str, str]:
    """Take an AOR apart: the name of the account, and its realm."""
    username, _, realm = aor.partition("@")
    return username.replace("%40", "@"), realm


def username_of(uri: Uri) -> str:
    """Return the user part of a URI as it stands there, unescaped, or the number of a tel: URI.

    Which account it means is told by `Domains.username_of` and the accounts.
    """
    if isinstance(uri, SipUri):
        return uri.username
    return uri.number if isinstance(uri, TelUri) else ""


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
        port, transport = port or DEFAULT_PORT, transport or "udp"
    return f"{uri.scheme};{uri.host};{port or ''};{transport};{maddr}"


def place_at(endpoint: Endpoint, transport: str = "UDP") -> str:
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


def breadth_left(request: Request) -> int:
    """Into how many branches at once a request may still be split (RFC 5393 §5.3).

    Raises BadMessage.
    """
    if "max-breadth" not in request.present:
        return MAX_BREADTH
    breadth = bounded_number(request.required("max-breadth"), MAX_BREADTH)
    if breadth is None:
        raise BadMessage("Malformed Max-Breadth")
    return min(breadth, MAX_BREADTH)


def has_looped(request: Request, mark: str) -> bool:
    """Tell whether a request has been here with all the same that leads it on (RFC 5393 §4.2.1).

    `mark` is in each branch of ours that it got; it is keyed, so nobody else writes it.
    """
    vias = [line for name, line in zip(request.names, request.lines, strict=True) if name == "via"]
    return any(mark in via for via in vias)


def loop_mark(request: Request) -> str:
    """What tells a loop from a spiral: all that a request is led on by, as it came (RFC 5393 §4.2).

    The same for a CANCEL as for its INVITE.  Raises BadMessage.
    """
    tag, number = request.from_.tag, str(request.cseq[0])
    routes = request.fields("route") if "route" in request.present else ()
    return "." + fingerprint(request.uri_text, *routes, request.call_id, tag, number)


# What stands in our Record-Routes behind `;lr;t=`, to the end.
_USUAL_TICKET = re.compile(
    r"([0-9a-f]++);([fbh])=([A-Za-z0-9.:/\[\]_+-]++)(?:;u=([0-9a-f.]++))?(?:;a=([0-9a-f]++))?>"
)


_USUAL_TRANSPORTS: tuple[tuple[tuple[str, str | None], ...], ...] = ((), (("transport", "tcp"),))


def _read_route(value: str) -> SipUri:
    """The URI of a Route value, which is seen for its dialog alone: nothing of it is kept.

    What a Record-Route of ours says up to its ticket is always the same, and is kept.
    """
    head, mark, rest = value.partition(";lr;t=")
    if (
        mark
        and "?" not in head
        and (usual := _USUAL_TICKET.fullmatch(rest))
        and head[:5] == "<sip:"
    ):
        us = parse_uri(head[1:])
        if isinstance(us, SipUri) and us.user is None and us.params in _USUAL_TRANSPORTS:
            ticket, name, way, users, answer = usual.groups()
            params = (*us.params, ("lr", None), ("t", ticket), (name, way))
            if users:
                params = (*params, ("u", users))
            if answer:
                params = (*params, ("a", answer))
            return SipUri(value[1:-1], "sip", None, None, us.host, us.port, params, us.headers)
    is_plain = value[:1] == "<" and value.find(">") == len(value) - 1
    try:
        uri = read_uri(value[1:-1] if is_plain else parse_name_addr(value).uri_text)
    except BadMessage as error:
        raise BadMessage(f"Route: {error.reason}") from None
    if not isinstance(uri, SipUri):
        raise BadMessage(f"Route: {value[:60]!r} is not a SIP URI")
    return uri


def take_own_routes(request: Request, domains: Domains) -> list[SipUri]:
    """Take off the leading Route values that name us, and hand them out in order (§16.4).

    A previous hop that is a strict router (RFC 2543) has put our Record-Route into the
    Request-URI, and the real one behind the Routes: that is set right first.
    """
    if "route" not in request.present:
        return []
    routes = request.values("route")
    taken: list[SipUri] = []
    uri = request.uri
    # An `lr` alone may stand in anybody's address; only a Record-Route of ours has a ticket.
    if routes and is_own_record_route(uri) and domains.is_us(uri):
        taken.append(uri)
        request.uri_text = _read_route(routes.pop()).text
    own = 0
    for value in routes:
        route = _read_route(value)
        if not domains.is_us(route):
            break
        taken.append(route)
        own += 1
        if own > MAX_OWN_ROUTES:
            raise BadMessage("Too many Routes through this server")
    if taken or not routes:
        request.set_values("route", "Route", routes[own:])
    return taken


def is_own_record_route(uri: Uri) -> TypeGuard[SipUri]:
    """Tell whether a URI that names us has the form of our Record-Routes: a ticket and no user."""
    return isinstance(uri, SipUri) and uri.user is None and uri.param("t") is not None


def strip_own_maddr(request: Request, domains: Domains) -> None:
    """Take off a maddr that names us, with what else said how to get here (§16.4)."""
    if "maddr" not in request.uri_text.lower() and "%" not in request.uri_text:
        return
    uri = request.uri
    if not isinstance(uri, SipUri) or not uri.param("maddr") or domains.is_aimed_past_us(uri):
        return
    user, at, place = uri.text.rpartition("@")
    params = place.split(";")[1:]
    kept = [
        text
        for text, (name, _) in zip(params, uri.params, strict=True)
        if name not in ("maddr", "transport")
    ]
    scheme = "" if at else f"{uri.scheme}:"
    request.uri_text = ";".join([f"{user}{at}{scheme}{format_host(uri.host)}", *kept])


def set_out_route(request: Request) -> SipUri | Uri:
    """Make the request ready for its first Route, and give the URI that it is sent to (§16.6, 6-7).

    A first Route without `lr` is a strict router: it wants its own URI as the Request-URI, and
    the real one as the last Route.
    """
    values = request.values("route")
    if not values:
        return request.uri
    first = parse_name_addr(values[0])
    uri = first.sip_uri
    if uri.param("lr") is None:
        rest = [*values[1:], f"<{request.uri_text}>"]
        request.set_values("route", "Route", rest)
        request.uri_text = first.uri_text
    return uri


def hops_left(request: Request) -> int:
    """Max-Forwards (§16.3, step 3); where there is none, such that 70 goes on (§16.6, step 3).

    Raises BadMessage.
    """
    if "max-forwards" not in request.present:
        return 71
    line = request.lines[request.names.index("max-forwards")]
    return _cached_hops(line) if len(line) <= _LONGEST_HOPS else _hops(line)


def _hops(line: str) -> int:
    hops = bounded_number(value_of(line), 255)
    if hops is None or hops > 255:
        raise BadMessage("Malformed Max-Forwards")
    return hops


_LONGEST_HOPS = 32
_cached_hops = cached_parse(512)(_hops)
