"""The SIP server: builds the parts, says who serves which method, starts and stops."""

import ctypes
import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

import gevent

from sip.config import Config
from sip.core.authentication import Authenticator
from sip.core.digest import Nonces
from sip.core.guard import Guard, is_scanner
from sip.core.keepalive import KeepAlive
from sip.core.location import Location
from sip.core.proxy import OWN_METHODS, Proxy
from sip.core.refusal import Fields, Refused, octets_beyond, printable
from sip.core.registrar import (
    ACCEPTED,
    SUPPORTED,
    Expiry,
    Registrar,
    check_content,
    check_required,
    sip_date,
)
from sip.core.routing import Domains, address_of_record, username_of
from sip.core.ticket import Tickets
from sip.core.trunks import Trunks
from sip.message.framing import PING
from sip.message.grammar import BadMessage
from sip.message.headers import parse_name_addr
from sip.message.kept import forget_what_is_kept
from sip.message.message import Request, for_log, make_response
from sip.message.uri import format_host_port
from sip.store.bindings import Bindings, NotSaved
from sip.store.users import Account, Users
from sip.transaction.layer import MAX_WAITING, Layer, Upstream
from sip.transport.dns import NameServers
from sip.transport.flow import network_of
from sip.transport.hosts import Hosts
from sip.transport.resolver import Resolver, is_address
from sip.transport.stream import Streams
from sip.transport.transports import Transports
from sip.transport.udp import RECEIVE_BUFFER_BYTES, UdpSocket

log = logging.getLogger("sip")

# How often what is due is looked for: a timer is at most this late.
TICK_SECONDS = 0.05
# A tick that is so late says that a round of all that has come takes as long.
LATE_SECONDS = 0.1
# How often expired bindings are let go of; a look-up never finds one, whenever that is.
SWEEP_SECONDS = 1.0
# How often the gateways of trunks are looked up: whoever has moved is let in again so soon.
TRUNKS_SECONDS = 60.0
# Handlers that may wait when those of all strangers' calls have their places already.
PLACES_KEPT = 2000
# What a client is told when all handlers wait: long enough for a burst to pass.
RETRY_AFTER_SECONDS = 5
# Accounts whose phones are dropped before the sockets have their turn: a millisecond's work.
ACCOUNTS_AT_ONCE = 500
# Octets that go out for one that came, before anybody has shown to be where it seems to be.
MOST_OCTETS_FOR_ONE = 3
CHALLENGES = (401, 407)
_BROADCAST = ip_address("255.255.255.255")
# Transactions held at a time that are a rush: they take a few megabytes.
RUSH = 1000
# Refusals logged in a second; the counts go on beyond.
MAX_REFUSALS_LOGGED = 20


class ListenError(OSError):
    """An address cannot be listened on; the text is for the operator."""


class SipServer:
    """A registrar and proxy over the accounts of `users` and the bindings kept by `bindings`.

    `secret` (at least 16 octets, the same after a restart) signs what must stay good when the
    server is started again.  The clocks and the resolver are arguments so that tests can turn them.
    """

    def __init__(
        self,
        config: Config,
        users: Users,
        bindings: Bindings,
        secret: bytes,
        *,
        clock: Callable[[], float] = time.monotonic,
        unix_clock: Callable[[], float] = time.time,
        resolver: Resolver | None = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.unix_clock = unix_clock
        self.bindings = bindings
        advertised = config.sip_advertise
        self.transports = Transports(
            clock, (advertised.host, advertised.port) if advertised else None
        )
        self.layer = Layer(self.transports, clock)
        self.streams = Streams(
            self.transports.receive, self.layer.closed, self.transports.refuse_stream, clock
        )
        self.own_addresses = OwnAddresses(self.transports)
        self.domains = Domains(
            config.sip_realm,
            config.sip_domains,
            users.realms,
            self.own_addresses,
            self._ports(),
        )
        self.location = Location(bindings, clock, unix_clock)
        self.keepalive = KeepAlive(config.sip_keepalive, clock())
        self.location.on_change = self.keepalive.follow
        users.on_gone = self.drop_phones
        nonces = Nonces(os.urandom(32), self.layer.new_token)
        self.guard = Guard(clock, unix_clock, config.guard_trusted, self._is_at_home)
        self.transports.admits = self.streams.admits = self.guard.admits
        authenticator = Authenticator(
            users, self.domains, nonces, config.sip_digest, clock, self.guard
        )
        expiry = Expiry(config.sip_min_expires, config.sip_max_expires, config.sip_default_expires)
        resolver = resolver or Resolver(NameServers(config.sip_dns), clock, Hosts().addresses)
        resolver.has_family = self.transports.has_family
        self.trunks = Trunks(config.sip_trunk, resolver)
        self.registrar = Registrar(authenticator, self.domains, self.location, expiry, clock)
        self.proxy = Proxy(
            self.layer,
            authenticator,
            self.domains,
            self.location,
            Tickets(secret),
            resolver,
            self.trunks,
            calls_to_outside=config.sip_calls_to_outside,
            calls_from_outside=config.sip_calls_from_outside,
            follow_redirects=config.sip_follow_redirects,
            is_bound=self.keepalive.__contains__,
        )
        # Who serves which method; the proxy serves every other, known or not.
        self.methods: dict[str, Callable[[Request, Upstream], None]] = {
            "REGISTER": self.serve_register,
            "OPTIONS": self.serve_options,
        }
        self.layer.on_request = self.serve
        self.layer.on_ack = self.proxy.pass_on_ack
        self.granted_buffers: list[int] = []  # octets, of each socket
        self._waiting = 0
        self._most_held = 0  # transactions, since memory was given back last
        self._refusals_left = MAX_REFUSALS_LOGGED
        self._watchers: list[Any] = []
        self._ticked_at = clock()

    def _ports(self) -> tuple[int, ...]:
        advertised = self.config.sip_advertise
        own = self.config.sip_addr.port
        return (own, advertised.port) if advertised and advertised.port else (own,)

    # Serving

    def serve(self, request: Request, upstream: Upstream) -> None:
        """Serve one new request: its handler, and an answer for whatever the handler raises."""
        user_agent = request.value("user-agent")
        if user_agent and is_scanner(user_agent):
            self.guard.meet_scanner(upstream.flow, user_agent)
            return  # not a word: nobody is found who doesn't answer
        if self._waiting >= MAX_WAITING - PLACES_KEPT and not self._has_place_for(
            request, upstream
        ):
            self._refuse(
                request,
                upstream,
                Refused(
                    503,
                    f"{self._waiting} requests are being waited for",
                    extra=(("Retry-After", str(RETRY_AFTER_SECONDS)),),
                ),
            )
            return
        self._waiting += 1
        try:
            self.methods.get(request.method, self.proxy.handle)(request, upstream)
        except Refused as refused:
            self._refuse(request, upstream, refused)
        except BadMessage as bad:
            refusal = Refused(bad.status or 400, bad.reason, reason=bad.reason)
            self._refuse(request, upstream, refusal)
        except NotSaved as error:
            upstream.answer(500, "Registration Not Saved")
            log.error("a REGISTER was answered 500, for it could not be kept: %s", error)
        except Exception:
            upstream.answer(500)
            log.exception("while serving %r", for_log(request.encode()))
        except BaseException:  # a handler that is ended from outside leaves nobody waiting
            upstream.answer(500)
            raise
        finally:
            self._waiting -= 1
            if upstream.is_proven:
                self.guard.prove(upstream.flow.remote)

    def _has_place_for(self, request: Request, upstream: Upstream) -> bool:
        """Tell whether one more may wait; the last places are not for strangers' calls."""
        is_strangers = request.method == "INVITE" and not self.guard.is_proven(upstream.flow.remote)
        return self._waiting < (MAX_WAITING - PLACES_KEPT if is_strangers else MAX_WAITING)

    def _refuse(self, request: Request, upstream: Upstream, refused: Refused) -> None:
        """Answer with a refusal.

        Who has not proven who they are gets it once and nothing is remembered: each repeat of
        the request is judged anew, and nobody can have us repeat an answer to a forged address.
        """
        self.layer.counts[f"answered {refused.status}"] += 1
        if refused.cause and self._refusals_left > 0:
            self._refusals_left -= 1
            source = format_host_port(*upstream.flow.remote)
            cause = printable(refused.cause)
            log.info("%s %s from %s: %s", refused.status, request.method, source, cause)
        # Who has heard a 100 repeats nothing any more: what follows it must be repeated by us.
        if upstream.is_proven or upstream.was_told:
            upstream.answer(refused.status, refused.reason, refused.extra)
            return
        reason = refused.reason.encode("ascii", "replace").decode() if refused.reason else None
        self._answer_once(request, upstream, refused.status, refused.extra, reason)

    def _answer_once(
        self,
        request: Request,
        upstream: Upstream,
        status: int,
        extra: Fields,
        reason: str | None = None,
    ) -> None:
        """Answer without memory (§8.2.7), and by UDP with three octets for one at most.

        The address may be forged, and we would send where somebody else aims.  What is too much is
        left out from the end, the second algorithm of a challenge first.  A request so short that
        its challenge doesn't fit at all is no phone's, and hears nothing.
        """
        tag = self.layer.stateless_tag(request)
        response = make_response(request, status, reason, to_tag=tag, extra=extra)
        if extra and upstream.flow.transport == "UDP":
            too_much = octets_beyond(MOST_OCTETS_FOR_ONE, request, response, upstream.flow)
            if too_much > 0:
                while extra and too_much > 0:
                    too_much -= len(": \r\n".join(extra[-1]))
                    extra = extra[:-1]
                if too_much > 0 or (status in CHALLENGES and not extra):
                    self.layer.counts["too short to be answered"] += 1
                    return
                response = make_response(request, status, reason, to_tag=tag, extra=extra)
        self.layer.answer_statelessly(upstream, response)

    def serve_register(self, request: Request, upstream: Upstream) -> None:
        """Serve a REGISTER once, by however many ways it comes (§8.2.2.2).

        One to another domain is the proxy's (§10.3, step 1).
        """
        if not self._is_for_us(request):
            self.proxy.handle(request, upstream)
            return
        # Without credentials it is challenged, whichever way it came, and nothing is done.
        if "authorization" in request.present and upstream.is_merged():
            raise Refused(482, "it has come another way already")
        self.registrar.handle(request, upstream)

    def serve_options(self, request: Request, upstream: Upstream) -> None:
        """Answer an OPTIONS to the server itself (§11.2); one to a user is the proxy's."""
        if username_of(request.uri) or not self._is_for_us(request):
            self.proxy.handle(request, upstream)
            return
        check_required(request)
        check_content(request)
        extra = (
            ("Allow", OWN_METHODS),
            ("Accept", ACCEPTED),
            ("Accept-Encoding", "identity"),
            ("Accept-Language", "en"),
            ("Supported", ", ".join(sorted(SUPPORTED))),
            ("Date", sip_date(int(self.unix_clock()))),
        )
        self._answer_once(request, upstream, 200, extra)

    def _is_at_home(self, network: str, username: str, realm: str) -> bool:
        """Tell whether a user has registered from an address or network."""
        bindings = self.location.bindings(address_of_record(username, realm))
        return any(network_of(binding.flow.remote[0]) == network for binding in bindings)

    def _is_for_us(self, request: Request) -> bool:
        """Tell whether a request ends here: its Request-URI and all its Routes name us."""
        is_us = self.domains.is_us
        if "route" not in request.present:
            return is_us(request.uri)
        routes = [parse_name_addr(value).uri for value in request.values("route")]
        return all(map(is_us, (request.uri, *routes)))

    def drop_phones(self, accounts: Sequence[Account]) -> None:
        """Let go of the phones of accounts that are gone or disabled; calls find them no more."""
        for start in range(0, len(accounts), ACCOUNTS_AT_ONCE):
            if start:
                gevent.sleep(0.001)  # 0 would let no socket have its turn
            some = accounts[start : start + ACCOUNTS_AT_ONCE]
            self.location.drop_accounts(some, self.config.sip_realm)

    # Running

    def start(self) -> None:
        """Load what is kept, listen, and serve.  Raises ListenError."""
        self.location.load(self.bindings.load(self.unix_clock()))
        for flow in self.location.flows():
            self.guard.prove(flow.remote)
        self.listen()
        hub = gevent.get_hub()
        work_at = [(TICK_SECONDS, self.tick), (SWEEP_SECONDS, self.sweep)]
        if self.trunks:
            self.find_gateways()
            work_at.append((TRUNKS_SECONDS, self.find_gateways))
        for seconds, work in work_at:
            timer = hub.loop.timer(seconds, seconds)
            timer.start(work)
            self._watchers.append(timer)
        self.transports.start()

    def listen(self) -> None:
        """Open the sockets.  Raises ListenError, with none left open."""
        address = self.config.sip_addr
        hosts = [address.host] if address.host else ["0.0.0.0", "::"]  # noqa: S104  # what was asked
        self.transports.streams = self.streams
        for host in hosts:
            transport = "UDP"
            try:
                sock = UdpSocket(
                    (host, address.port), self.transports.receive, self.layer.unreachable
                )
                self.transports.add(sock)
                transport = "TCP"
                self.streams.listen((host, sock.port))
            except OSError as error:
                if host == "::" and not address.host and error.errno == errno.EAFNOSUPPORT:
                    log.info("this machine has no IPv6")
                    continue
                self.transports.stop()
                raise ListenError(
                    f"cannot listen on {transport} {format_host_port(host, address.port)}: "
                    f"{(error.strerror or str(error)).lower()}. Stop the other server, "
                    f"or choose another address with -sip.addr :{address.port + 10}"
                ) from None
            self.granted_buffers.append(sock.granted_buffer_bytes)
            log.info(
                "SIP on UDP and TCP %s, receive buffer %d kB of %d kB asked",
                format_host_port(host, sock.port),
                sock.granted_buffer_bytes // 1024,
                RECEIVE_BUFFER_BYTES // 1024,
            )

    def tick(self) -> None:
        """Do what is due; in the hub, where it must not wait, and an exception must not escape."""
        try:
            now = self.clock()
            is_late = now - self._ticked_at > TICK_SECONDS + LATE_SECONDS
            self._ticked_at = now
            self.guard.tick(now, is_behind=is_late or self.transports.is_behind)
            self.layer.run_due(now)
            self.keep_alive(now)
        except Exception:
            log.exception("while running timers")

    def keep_alive(self, now: float) -> None:
        """Send a ping along the flows whose turn it is; one that gets lost comes again."""
        for flow in self.keepalive.due(now):
            try:
                self.transports.send(PING, flow)
            except OSError:
                self.layer.counts["keep-alives not sent"] += 1

    def sweep(self) -> None:
        """Let go of expired bindings, and of what may have changed outside."""
        self._refusals_left = MAX_REFUSALS_LOGGED
        self.own_addresses.forget()
        self.streams.close_late(self.clock())
        self.guard.sweep()
        self.give_back_memory()
        try:
            self.location.sweep(self.clock())
        except Exception:
            log.exception("while letting go of expired bindings")

    def give_back_memory(self) -> None:
        """After a rush, let the system have what it took."""
        held = len(self.layer.servers) + len(self.layer.clients)
        self._most_held = max(self._most_held, held)
        if self._most_held > RUSH and held < self._most_held // 4:
            self._most_held = held
            forget_what_is_kept()
            gevent.get_hub().threadpool.spawn(_trim)

    def find_gateways(self) -> None:
        """Look up the addresses of trunks; in a greenlet of its own, for names take time."""
        gevent.spawn(self.trunks.refresh)

    def stop(self) -> None:
        """Close the sockets; what was acknowledged is kept already."""
        for watcher in self._watchers:
            watcher.stop()
            watcher.close()
        self._watchers.clear()
        self.transports.stop()


class OwnAddresses:
    """Tells which hosts are this machine: its names and the addresses of its interfaces.

    Whether an address is ours is asked by binding to it, and remembered until `forget`, since
    addresses come and go.
    """

    KEPT_HOSTS = 1024

    def __init__(self, transports: Transports) -> None:
        self._names = {"localhost", socket.gethostname().lower()}
        if transports.advertised:
            self._names.add(transports.advertised[0].lower())
        self._transports = transports
        self._known: dict[str, bool] = {}

    def __call__(self, host: str) -> bool:
        """Tell whether `host` is this machine; IPv6 without brackets."""
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= self.KEPT_HOSTS:
                self._known.clear()
            known = self._known[host] = self._is_own(host)
        return known

    def forget(self) -> None:
        """Ask the system anew from now on."""
        self._known.clear()

    def _is_own(self, host: str) -> bool:
        if host.removesuffix(".") in self._names:
            return True
        if not is_address(host):
            return False
        sockets = self._transports.sockets
        is_listened_on = any(sock.local[0] == host and not sock.is_wildcard for sock in sockets)
        return is_listened_on or _can_bind(host)


def _trim() -> None:
    """Give free memory back; the C library keeps it else.  Takes milliseconds, without the GIL."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)


def _can_bind(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if address.is_multicast or address.is_unspecified or address == _BROADCAST:
        return False  # nobody's own, though one may bind to them
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
