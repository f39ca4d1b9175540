"""Route preprocessing and postprocessing (RFC 3261 §16.4, §16.6 step 6)."""

from sip.core.domains import Domains
from sip.core.proxy.route_ticket import (
    OwnRoute,
    is_own_record_route,
    own_route,
    route_as_issued,
)
from sip.message.grammar import BadMessage
from sip.message.headers import parse_name_addr
from sip.message.message import Request
from sip.message.uri import (
    SipUri,
    Uri,
    format_host,
    parse_uri,
    read_uri,
)
from sip.transport.transport_names import TRANSPORTS, WS, transport_param

# Routes through this server in one request.  A dialog gets two each time it passes here.
MAX_OWN_ROUTES = 20
# The parameters before the ticket: none for the default transport, else its name.
_USUAL_TRANSPORTS: frozenset[tuple[tuple[str, str | None], ...]] = frozenset(
    (("transport", name.lower()),) if transport_param(name) else () for name in (*TRANSPORTS, WS)
)


def _read_route(value: str) -> tuple[SipUri, OwnRoute | None]:
    """Return the URI of a Route value, and None.  Raises BadMessage.

    A ticket belongs to one dialog, so a value of ours is not parsed as a whole: it is returned with
    the URI of the part before its ticket, which is always the same.
    """
    head, mark, ticket = value.partition(";lr;t=")
    if mark and head[:5] == "<sip:" and "?" not in head:
        route = route_as_issued(value, ticket)
        us = parse_uri(head[1:]) if route is not None else None
        if isinstance(us, SipUri) and us.user is None and us.params in _USUAL_TRANSPORTS:
            return us, route
    is_plain = value[:1] == "<" and value.find(">") == len(value) - 1
    try:
        uri = read_uri(value[1:-1] if is_plain else parse_name_addr(value).uri_text)
    except BadMessage as error:
        raise BadMessage(f"Route: {error.reason}") from None
    if not isinstance(uri, SipUri):
        raise BadMessage(f"Route: {value[:60]!r} is not a SIP URI")
    return uri, None


def pop_own_routes(request: Request, domains: Domains) -> list[OwnRoute]:
    """Remove the leading Route values that name this server, and return them in order (§16.4).

    A strict router (RFC 2543) before us has put our Record-Route into the Request-URI, and the real
    Request-URI into the last Route: this is reversed first.  Raises BadMessage.
    """
    if "route" not in request.present:
        return []
    routes = request.values("route")
    taken: list[OwnRoute] = []
    uri = request.uri
    # Any address may have an `lr`; only a Record-Route of ours has a ticket.
    if routes and isinstance(uri, SipUri) and is_own_record_route(uri) and domains.is_local(uri):
        taken.append(own_route(uri))
        last, issued = _read_route(routes.pop())
        request.uri_text = last.text if issued is None else issued.text
    own = 0
    us: SipUri | None = None  # the last URI of ours: most requests have two values that begin alike
    for value in routes:
        uri, issued = _read_route(value)
        if uri is not us and not domains.is_local(uri):
            break
        us = uri
        taken.append(own_route(uri) if issued is None else issued)
        own += 1
        if own > MAX_OWN_ROUTES:
            raise BadMessage("Too many Routes through this server")
    if taken or not routes:
        request.set_values("route", "Route", routes[own:])
    return taken


def strip_own_maddr(request: Request, domains: Domains) -> None:
    """Remove a maddr that names this server, with port and transport of the URI (§16.4)."""
    if "maddr" not in request.uri_text.lower() and "%" not in request.uri_text:
        return
    uri = request.uri
    if not isinstance(uri, SipUri) or not uri.param("maddr") or domains.has_foreign_maddr(uri):
        return
    user, at, host_and_more = uri.text.rpartition("@")
    params = host_and_more.split(";")[1:]
    kept = [
        text
        for text, (name, _) in zip(params, uri.params, strict=True)
        if name not in ("maddr", "transport")
    ]
    scheme = "" if at else f"{uri.scheme}:"
    request.uri_text = ";".join([f"{user}{at}{scheme}{format_host(uri.host)}", *kept])


def postprocess_route(request: Request) -> SipUri | Uri:
    """Prepare a request for its first Route, and return the URI of the next hop (§16.6, 6-7).

    A first Route without `lr` is a strict router: it needs its own URI as the Request-URI, and the
    real Request-URI as the last Route.
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


def next_uri(request: Request) -> Uri:
    """Return the next hop of a request: its first Route, else its Request-URI (§16.6, step 7)."""
    if "route" not in request.present:
        return request.uri
    values = request.values("route")
    return parse_name_addr(values[0]).uri if values else request.uri
