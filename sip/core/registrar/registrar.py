"""The registrar (RFC 3261 §10.3): the eight steps, in blocking style."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sys import intern
from typing import NamedTuple

from sip.core import causes
from sip.core.auth.authenticator import Authenticator
from sip.core.domains import Domains, address_of_record
from sip.core.errors import Refused
from sip.core.registrar.bindings import (
    MAX_CONTACTS,
    Binding,
    Bindings,
    Profile,
    own_first,
    shared,
)
from sip.core.registrar.location import Location
from sip.core.registrar.nat import is_behind_nat, reusable_flow
from sip.core.request_log import RequestLog
from sip.core.uas import check_content, check_required, check_secure_scheme, sip_date
from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage, quote, without_params
from sip.message.headers import parse_name_addr, parse_q, parse_seconds
from sip.message.message import Request
from sip.message.responses import encode_response
from sip.message.uri import SipUri, Uri
from sip.store.bindings import NOTHING_TO_SAVE, Commit
from sip.transaction.upstream import Upstream
from sip.transport.dns.resolver import Resolver
from sip.transport.flow import Flow, via_matches_source

# Characters of one Contact.  A push token and an instance together take about 500 (RFC 8599 §14).
MAX_CONTACT_LENGTH = 1000
# Characters of all Path values, and of a Call-ID: a few edge proxies, a UUID and a host name.
MAX_PATH_LENGTH = 1000
MAX_CALL_ID_LENGTH = 300
# §10.3, step 7: an hour or more is never too brief, even below the configured minimum.
NEVER_TOO_BRIEF = 3600
# §10.2.1.1: the value of a malformed expires parameter.
EXPIRES_IF_MALFORMED = 3600
# Characters of a cached Contact; most have fewer than a hundred, one with capabilities some 300.
_LONGEST_CACHED = 400
# Contact parameters that a binding stores in fields of its own, and the GRUUs, which only a server
# may set (RFC 5627 §5.1).
_OWN_PARAMETERS = frozenset({"expires", "q", "+sip.instance", "reg-id", "pub-gruu", "temp-gruu"})


@dataclass(slots=True)
class Expiry:
    """Bounds of the lifetime of bindings, in seconds."""

    minimum: int
    maximum: int
    default: int

    def granted(self, requested: int) -> int:
        """Return the granted lifetime for the requested one; 0 stays 0.  Raises Refused (423)."""
        if requested == 0:
            return 0
        minimum = min(self.minimum, NEVER_TOO_BRIEF)
        if requested < minimum:
            extra = (("Min-Expires", str(minimum)),)
            cause = causes.INTERVAL_TOO_BRIEF.of(requested=str(requested), minimum=str(minimum))
            raise Refused(423, cause, extra=extra)
        return min(requested, self.maximum)


class Registrar:
    """Handles REGISTER requests."""

    def __init__(
        self,
        authenticator: Authenticator,
        domains: Domains,
        location: Location,
        resolver: Resolver,
        expiry: Expiry,
        clock: Callable[[], float],
        request_log: RequestLog,
    ) -> None:
        self.authenticator = authenticator
        self.domains = domains
        self.location = location
        self.resolver = resolver
        self.expiry = expiry
        self.clock = clock
        self.request_log = request_log

    def handle(self, request: Request, upstream: Upstream, domain: str) -> Commit:
        """Handle one REGISTER, and return the commit of its bindings.

        `domain` is the realm of the domain in the Request-URI (§8.2.2.1; §10.3, step 1).
        The 200 is held in `upstream` until that is done: no greenlet waits for the disk.  Raises
        Refused, BadMessage or NotSaved.
        """
        if (scheme := request.uri.scheme) != "sip":
            check_secure_scheme(scheme, upstream.flow, upstream.layer.transports)
        check_required(request)  # step 2
        check_content(request)
        path = _supported_path(request)
        to = request.to.sip_uri  # RFC 4475 §3.3.4: 400 for any other
        user = self.domains.user_at(to)
        realm = self.domains.main if user is None else user.realm
        source = upstream.flow.remote[0]
        account = self.authenticator.authenticate(request, realm, source)  # step 3
        upstream.is_verified = True
        # Step 5.  The names and addresses of the main domain are valid for all realms.
        if user is None:
            raise Refused(404, causes.wrong_domain(self.domains, to, upstream.sent_by))
        if domain not in (realm, self.domains.main):
            raise Refused(404, causes.WRONG_ADDRESS.of(uri=to.text, domain=domain))
        aor = user.aor
        if user.username != account.username:  # step 4
            if not self.authenticator.is_named(account, to, realm):
                raise Refused(403, causes.OTHER_USER.of(name=account.username, claimed=to.username))
            aor = address_of_record(account.username, realm)
        contacts = request.values("contact")
        wanted: list[Binding] = []
        bindings: Bindings = ()
        commit = NOTHING_TO_SAVE
        if not contacts:
            bindings = self.location.bindings(aor)
        elif "*" in contacts:
            self._check_star(request, contacts)
            commit = self.location.remove_all(aor, request.call_id, request.cseq[0])
        else:
            wanted = self._requested_bindings(
                request, contacts, path, upstream.flow, account.id
            )  # step 6
            before = self.location.bindings(aor)
            bindings, commit = self.location.update(aor, wanted)  # step 7
            if upstream.flow.connection and not upstream.layer.transports.is_open(upstream.flow):
                # It closed before there was a binding that could end with it.
                self.location.connection_closed(upstream.flow.connection)
            if wanted[0] in bindings:
                self.request_log.registered(
                    commit, request, upstream.flow, to.username, realm, before
                )
        listed = own_first(bindings, wanted, request.call_id, upstream.flow)
        upstream.hold(self._answer(request, upstream, listed, path))  # step 8
        return commit

    def _check_star(self, request: Request, contacts: list[str]) -> None:
        """Check `Contact: *`: it is alone, with Expires 0 (§10.3, step 6).  Raises BadMessage."""
        if len(contacts) > 1 or parse_seconds(request.value("expires"), 1) != 0:
            raise BadMessage("Contact * must be alone, with Expires 0")

    def _requested_bindings(
        self,
        request: Request,
        contacts: list[str],
        path: tuple[str, ...],
        flow: Flow,
        user_id: int,
    ) -> list[Binding]:
        _check_bounds(contacts, path, request.call_id)
        now = self.clock()
        header_expires = parse_seconds(request.value("expires"), self.expiry.default)
        if any(self.domains.is_local(_read_path(value)) for value in path):
            raise Refused(400, causes.PATH_LOOP.of(), reason="Path Leads Back Here")
        user_agent = (request.value("user-agent") or "")[:200]
        via_is_true = via_matches_source(request.via, flow)
        is_proxied = _is_proxied(request)
        wanted: list[Binding] = []
        for value in contacts:
            contact = _read_contact(value)
            uri = contact.uri
            if uri.scheme == "sips":
                _check_sips_contact(request, path)
            requested = header_expires if contact.expires is None else contact.expires
            lifetime = self.expiry.granted(requested)
            profile = Profile(
                q=contact.q,
                path=path,
                reg_id=contact.reg_id,
                user_agent=user_agent,
                params=contact.params,
                lifetime=lifetime,
                behind_nat=not path
                and isinstance(uri, SipUri)
                and is_behind_nat(uri, flow, self.domains, self.resolver, via_is_true=via_is_true),
                is_proxied=is_proxied,
            )
            binding = Binding(
                user_id=user_id,
                contact=contact.uri_text,
                expires_at=now + lifetime,
                call_id=request.call_id,
                cseq=request.cseq[0],
                instance=contact.instance,
                flow=reusable_flow(uri, flow, via_is_true=via_is_true),
                profile=shared(profile),
            )
            wanted.append(binding)
        return wanted

    def _answer(
        self,
        request: Request,
        upstream: Upstream,
        bindings: Sequence[Binding],
        path: tuple[str, ...],
    ) -> bytes:
        now = self.clock()
        extra = (
            *(("Contact", _contact_value(binding, now)) for binding in bindings),
            ("Date", sip_date(int(self.location.unix_clock()))),
            *(("Path", value) for value in path),
        )
        tag = upstream.layer.stateless_tag(request)
        return encode_response(request, 200, to_tag=tag, extra=extra)


def _supported_path(request: Request) -> tuple[str, ...]:
    """Return the Path of a request.  Raises Refused (420) if its phone does not support Path.

    So the phone learns that a proxy has inserted itself into its route (RFC 3327 §5.3).
    """
    if "path" not in request.present:
        return ()
    if "path" not in [tag.lower() for tag in request.values("supported")]:
        raise Refused(420, causes.PATH_UNSUPPORTED.of(), extra=(("Unsupported", "path"),))
    return tuple(request.values("path"))


def _check_bounds(contacts: list[str], path: tuple[str, ...], call_id: str) -> None:
    """Refuse more than any real phone sends.  Raises Refused (400).

    Each Contact is compared with all others, as URIs, and stored with Path and Call-ID.  The status
    is not 403, which would tell a phone that its password is wrong.
    """
    if len(contacts) > MAX_CONTACTS:
        raise _too_large("Too Many Contacts")
    if any(len(contact) > MAX_CONTACT_LENGTH for contact in contacts):
        raise _too_large("Contact Too Long")
    if sum(map(len, path)) > MAX_PATH_LENGTH:
        raise _too_large("Path Too Long")
    if len(call_id) > MAX_CALL_ID_LENGTH:
        raise _too_large("Call-ID Too Long")


def _check_sips_contact(request: Request, path: tuple[str, ...]) -> None:
    """Check that all URIs that lead to a sips: Contact are sips: (RFC 5630 §5.2).

    Raises Refused (400).
    """
    paths = [parse_name_addr(value).sip_uri for value in path]
    if request.uri.scheme != "sips" or any(uri.scheme != "sips" for uri in paths):
        phrase = "Contact is SIPS, Request-URI or Path is not"
        raise Refused(400, causes.SIPS_CONTACT.of(), reason=phrase)


def _too_large(phrase: str) -> Refused:
    return Refused(400, causes.REGISTER_TOO_LARGE.of(fault=phrase), reason=phrase)


def _is_proxied(request: Request) -> bool:
    """Return True if a proxy forwarded a request: there is a Via below the top one."""
    return request.names.count("via") > 1 or "," in request.lines[request.present["via"]]


def _read_path(value: str) -> SipUri:
    """Return the URI of a Path value.  Raises BadMessage."""
    try:
        return parse_name_addr(value).sip_uri
    except BadMessage as error:
        raise BadMessage(f"Path: {error.reason}") from None


class _Contact(NamedTuple):
    """The meaning of one Contact of a REGISTER (§10.2.1, RFC 5626 §4.2).

    `expires` is in seconds, None without the parameter (§10.2.1.1); `q` is in thousandths.
    `instance` is "" and `reg_id` 0 without one; `params` are the other parameters, mostly
    capabilities (RFC 3840 §6): phones of one model send the same, and share one string.
    """

    uri: Uri
    uri_text: str
    q: int
    expires: int | None
    instance: str
    reg_id: int
    params: str


def _parse_contact(value: str) -> _Contact:
    """Parse one Contact of a REGISTER.  Raises BadMessage."""
    try:
        contact = parse_name_addr(value)
        uri, q = contact.uri, parse_q(contact.params.get("q"))
    except BadMessage as error:
        raise BadMessage(f"Contact: {error.reason}") from None
    params = contact.params
    expires, others = None, ""
    if "expires" in params:
        expires = parse_seconds(params["expires"], EXPIRES_IF_MALFORMED)
    if not _OWN_PARAMETERS.issuperset(params):
        others = intern(without_params(contact.params_text, _OWN_PARAMETERS))
    instance = (params.get("+sip.instance") or "")[:200]
    reg_id = parse_seconds(params.get("reg-id"), 0) if instance else 0  # RFC 5626 §6
    return _Contact(uri, contact.uri_text, q, expires, instance, reg_id, others)


_cached_contact = cached_parse(4096)(_parse_contact)  # equal in each refresh of a phone; < 6 MB


def _read_contact(value: str) -> _Contact:
    """Parse one Contact of a REGISTER, or return it from the cache.  Raises BadMessage."""
    return (_cached_contact if len(value) <= _LONGEST_CACHED else _parse_contact)(value)


def _contact_value(binding: Binding, now: float) -> str:
    seconds = max(1, round(binding.expires_at - now))  # 0 would mean that it is removed
    profile = binding.profile
    q = "" if profile.q == 1000 else f";q={profile.q / 1000:g}"
    instance = f";+sip.instance={quote(binding.instance)}" if binding.instance else ""
    reg_id = f";reg-id={profile.reg_id}" if profile.reg_id else ""
    return f"<{binding.contact}>;expires={seconds}{q}{instance}{reg_id}{profile.params}"
