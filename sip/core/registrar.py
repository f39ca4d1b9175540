"""The registrar (RFC 3261 §10.3): the eight steps, in blocking style."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network

from sip.core.authentication import Authenticator
from sip.core.location import MAX_CONTACTS, Binding, Bindings, Location
from sip.core.refusal import Refused
from sip.core.routing import Domains, address_of_record, username_of
from sip.message.grammar import BadMessage, quote
from sip.message.headers import (
    MAX_SECONDS,
    NameAddr,
    parse_name_addr,
    parse_q,
    parse_seconds,
)
from sip.message.message import Request, make_response
from sip.message.uri import SipUri
from sip.transaction.layer import Upstream
from sip.transport.flow import Flow, shows_source
from sip.transport.resolver import is_address

# Option tags that a REGISTER may require: Path (RFC 3327).
SUPPORTED = frozenset({"path"})

# Characters of one Contact.  A push token and an instance together take about 500 (RFC 8599 §14).
MAX_CONTACT_LENGTH = 1000
# Characters of all Path values, and of a Call-ID: a few edge proxies, a UUID and a host name.
MAX_PATH_LENGTH = 1000
MAX_CALL_ID_LENGTH = 300

# RFC 1918, 3927, 4193, 4291 §2.5.6, 6598, loopback, and what says no address at all.
_PRIVATE = [
    ip_network(text)
    for text in (
        "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 100.64.0.0/10 127.0.0.0/8 "
        "0.0.0.0/8 fc00::/7 fe80::/10 ::/127"
    ).split()
]


@dataclass(slots=True)
class Expiry:
    """How long bindings may last, in seconds."""

    minimum: int
    maximum: int
    default: int

    def granted(self, asked: int) -> int:
        """What is granted for what was asked; 0 stays 0.  Raises Refused (423) for too little."""
        if asked == 0:
            return 0
        if asked < self.minimum:
            minimum = (("Min-Expires", str(self.minimum)),)
            raise Refused(423, f"asked to expire in {asked} s already", extra=minimum)
        return min(asked, self.maximum)


class Registrar:
    """Serves REGISTER requests."""

    def __init__(
        self,
        authenticator: Authenticator,
        domains: Domains,
        location: Location,
        expiry: Expiry,
        clock: Callable[[], float],
    ) -> None:
        self.authenticator = authenticator
        self.domains = domains
        self.location = location
        self.expiry = expiry
        self.clock = clock

    def handle(self, request: Request, upstream: Upstream) -> None:
        """Serve one REGISTER.  Blocks until its bindings are kept; a refusal is a Refused."""
        if self.domains.realm_of(request.uri) is None:  # step 1
            raise Refused(404, f"{request.uri_text[:60]} is not a domain of this server")
        check_required(request)  # step 2
        realm = self._realm_of_to(request)
        source = upstream.flow.remote[0]
        account = self.authenticator.authenticate(request, realm, source)  # step 3
        upstream.is_proven = True
        username = username_of(request.to.uri)  # step 5
        if username != account.username:  # step 4
            raise Refused(403, f"{account.username} may not register for {username[:60]}")
        aor = address_of_record(username, realm)
        contacts = request.values("contact")
        if not contacts:
            bindings = self.location.bindings(aor)
        elif "*" in contacts:
            self._check_star(request, contacts)
            self.location.remove_all(aor, request.call_id, request.cseq[0])
            bindings = ()
        else:
            wanted = self._wanted(request, contacts, upstream.flow, account.id)  # step 6
            bindings = self.location.update(aor, wanted)  # step 7
        self._answer(request, upstream, bindings)  # step 8

    def _realm_of_to(self, request: Request) -> str:
        realm = self.domains.realm_of(request.to.uri)
        if realm is None:
            raise Refused(404, f"{request.to.uri_text[:60]} is not in a domain of this server")
        return realm

    def _check_star(self, request: Request, contacts: list[str]) -> None:
        """§10.3, step 6: `*` stands alone, and with an Expires of zero."""
        if len(contacts) > 1 or request.value("expires") != "0":
            raise BadMessage("Contact * goes alone and with Expires 0")

    def _wanted(
        self, request: Request, contacts: list[str], flow: Flow, user_id: int
    ) -> list[Binding]:
        path = tuple(request.values("path"))
        _check_bounds(contacts, path, request.call_id)
        now = self.clock()
        header_expires = parse_seconds(request.value("expires"), self.expiry.default)
        if any(self.domains.is_us(parse_name_addr(value).sip_uri) for value in path):
            raise Refused(403, "its Path leads back here")
        user_agent = (request.value("user-agent") or "")[:200]
        truthful = shows_source(request.via, flow)
        wanted: list[Binding] = []
        for value in contacts:
            contact = parse_name_addr(value)
            asked = _asked_seconds(contact, header_expires)
            uri = contact.uri
            binding = Binding(
                user_id=user_id,
                contact=contact.uri_text,
                expires_at=now + self.expiry.granted(asked),
                q=parse_q(contact.params.get("q")),
                call_id=request.call_id,
                cseq=request.cseq[0],
                path=path,
                instance=(contact.params.get("+sip.instance") or "")[:200],
                reg_id=parse_seconds(contact.params.get("reg-id"), 0),
                user_agent=user_agent,
                flow=flow,
                behind_nat=not path
                and isinstance(uri, SipUri)
                and not self.domains.is_us(uri)
                and needs_flow(uri, flow, truthful=truthful),
            )
            wanted.append(binding)
        return wanted

    def _answer(self, request: Request, upstream: Upstream, bindings: Bindings) -> None:
        now = self.clock()
        extra = tuple(("Contact", _contact_value(binding, now)) for binding in bindings)
        path = request.values("path")
        if path and "path" in [tag.lower() for tag in request.values("supported")]:
            extra += tuple(("Path", value) for value in path)
        tag = upstream.layer.new_token()
        upstream.respond(make_response(request, 200, to_tag=tag, extra=extra))


def _check_bounds(contacts: list[str], path: tuple[str, ...], call_id: str) -> None:
    """Refuse what is more than any phone has.

    Contacts are compared each with all others, as URIs; Path and Call-ID are kept with each.
    """
    if (
        len(contacts) > MAX_CONTACTS
        or any(len(contact) > MAX_CONTACT_LENGTH for contact in contacts)
        or sum(map(len, path)) > MAX_PATH_LENGTH
        or len(call_id) > MAX_CALL_ID_LENGTH
    ):
        raise Refused(403, "more or longer contacts, Path or Call-ID than any phone has")


def _asked_seconds(contact: NameAddr, header_expires: int) -> int:
    """The expires parameter, else the Expires header, else the default (§10.2.1.1)."""
    text = contact.params.get("expires")
    return header_expires if text is None else min(parse_seconds(text, 3600), MAX_SECONDS)


def _contact_value(binding: Binding, now: float) -> str:
    seconds = max(0, round(binding.expires_at - now))
    q = "" if binding.q == 1000 else f";q={binding.q / 1000:g}"
    instance = f";+sip.instance={quote(binding.instance)}" if binding.instance else ""
    reg_id = f";reg-id={binding.reg_id}" if binding.reg_id else ""
    return f"<{binding.contact}>;expires={seconds}{q}{instance}{reg_id}"


def needs_flow(contact: SipUri, flow: Flow, *, truthful: bool) -> bool:
    """Tell whether a phone can be reached only along the flow that its request came by.

    So it is when its Via does not say the source, or when its Contact is a private address that
    is not the source's; a Contact elsewhere under a truthful Via is meant.
    """
    if not truthful:
        return True
    host = contact.host
    return host != flow.remote[0] and is_address(host) and _is_private(host)


@lru_cache(maxsize=1024)
def _is_private(host: str) -> bool:
    """Tell whether an address means something else elsewhere.  `ipaddress` counts test nets too."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE if network.version == address.version)


def check_required(request: Request) -> None:
    """§8.2.2.3: refuse what is required and not understood.  Raises Refused (420)."""
    unknown = [tag for tag in request.values("require") if tag.lower() not in SUPPORTED]
    if unknown:
        extra = (("Unsupported", ", ".join(unknown)),)
        raise Refused(420, f"requires {', '.join(unknown)[:80]}", extra=extra)
