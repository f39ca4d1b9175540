"""The SIP server: builds the parts, says who serves which method, starts and stops."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gevent
from gevent.event import Event

from sip.config import Config
from sip.core.auth.authenticator import Authenticator
from sip.core.auth.digest import Nonces
from sip.core.domains import Domains, username_of
from sip.core.errors import Refused
from sip.core.guard.guard import MAX_PROVEN, Guard, is_scanner
from sip.core.options import answer_options
from sip.core.proxy.proxy import Proxy
from sip.core.proxy.route_ticket import Tickets
from sip.core.proxy.trunk_table import Trunks
from sip.core.registrar.location import Location
from sip.core.registrar.nat_keepalive import KeepAlive
from sip.core.registrar.registrar import Expiry, Registrar
from sip.core.request_log import RequestLog
from sip.core.stateless import respond_statelessly
from sip.listening import ListeningAddress, open_sockets
from sip.memory import PeakDetector, long_lived_objects, trim_heap
from sip.message.cache import clear_parse_caches
from sip.message.datagram import for_log
from sip.message.framing import PING
from sip.message.grammar import BadMessage
from sip.message.headers import parse_name_addr
from sip.message.message import Request
from sip.monitor.refusals import Refusals
from sip.store.bindings import BindingStore, NotSaved
from sip.store.users import Account, Users
from sip.transaction.branch_event import BranchEvent
from sip.transaction.client import ClientTransaction
from sip.transaction.layer import MAX_WAITING, Layer
from sip.transaction.machine import Machine, State
from sip.transaction.server import InviteServerTransaction
from sip.transaction.upstream import Upstream
from sip.transport.dns.client import NameServers
from sip.transport.dns.hosts_file import HostsFile
from sip.transport.dns.resolver import Resolver
from sip.transport.flow import Flow
from sip.transport.local_addresses import LocalAddresses
from sip.transport.tcp import Streams
from sip.transport.transports import Transports

log = logging.getLogger(__name__)

# How often what is due is looked for: a timer is at most this late.
TICK_SECONDS = 0.05
# A tick that is so late says that a round of all that has come takes as long.
LATE_SECONDS = 0.1
# How often expired bindings are let go of; a look-up never finds one, whenever that is.
SWEEP_SECONDS = 1.0
# How often the gateways of trunks are looked up: whoever has moved is let in again so soon.
TRUNKS_SECONDS = 60.0
# Handlers that may wait when all that strangers send has its places already.
PLACES_KEPT = 2000
# What a client is told when all handlers wait: long enough for a burst to pass.
RETRY_AFTER_SECONDS = 5
_RETRY_AFTER = (("Retry-After", str(RETRY_AFTER_SECONDS)),)
# Accounts whose phones are dropped before the sockets have their turn: a millisecond's work.
ACCOUNTS_AT_ONCE = 500
# BindingStore that are read at a start, likewise: some milliseconds' work.
BINDINGS_AT_ONCE = 1000
# At the end: how long what has begun may take, and then what rings, to be cancelled.  Together with
# the last commit it is less than the five seconds after which people lose their patience.
SECONDS_TO_END = 2.5
SECONDS_TO_CANCEL = 1.0
# Reason (RFC 3326) of the CANCEL that a phone gets then.
_STOPPING = 'SIP;cause=503;text="Server Stopping"'
_NOT_SAVED = "Registration Not Saved"


class SipServer:
    """A registrar and proxy over the accounts of `users` and the bindings kept by `bindings`.

    `secret` (at least 16 octets, the same after a restart) signs what must stay good when the
    server is started again.  The clocks and the resolver are arguments so that tests can turn them.
    """

    def __init__(
        self,
        config: Config,
        users: Users,
        bindings: BindingStore,
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
        self.local_addresses = LocalAddresses(self.transports)
        self.domains = Domains(
            config.sip_realm,
            config.sip_domains,
            users.realms,
            self.local_addresses,
            self._ports(),
        )
        self.location = Location(bindings, clock, unix_clock)
        self.keepalive = KeepAlive(config.sip_keepalive, clock())
        self.location.on_change = self.keepalive.follow
        self.layer.on_closed = self.location.connection_closed
        users.on_gone = self.drop_phones
        nonces = Nonces(os.urandom(32), self.layer.new_token)
        self.guard = Guard(clock, unix_clock, config.guard_trusted, self.location.is_reached_from)
        users.on_credentials_changed = self.guard.forgive_accounts
        self.transports.admits = self.streams.admits = self.guard.admits
        self.guard.thin = self.transports.thin
        self.streams.keeps_waiting = self.guard.keeps_waiting
        authenticator = Authenticator(
            users, self.domains, nonces, config.sip_digest, clock, self.guard
        )
        resolver = resolver or Resolver(NameServers(config.sip_dns), clock, HostsFile().addresses)
        resolver.has_family = self.transports.has_family
        self.trunks = Trunks(config.sip_trunk, resolver)
        self.request_log = RequestLog(self.domains, users.find, Refusals(unix_clock))
        self.registrar = Registrar(
            authenticator,
            self.domains,
            self.location,
            resolver,
            _expiry(config),
            clock,
            self.request_log,
        )
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
        self.layer.on_ack = self.serve_ack
        self.granted_buffers: list[int] = []  # octets, of each UDP socket
        self._loaded = Event()
        self._waiting = 0
        self._peaks = PeakDetector()
        self._watchers: list[Any] = []
        self._ticked_at = clock()

    def take_over(self, config: Config) -> None:
        """Go on with other settings; those that are in use by sockets or the store stay."""
        self.config = config
        self.domains.set_names(config.sip_domains)
        self.proxy.authenticator.algorithms = config.sip_digest
        self.registrar.expiry = _expiry(config)
        self.proxy.calls_from_outside = config.sip_calls_from_outside
        self.proxy.calls_to_outside = config.sip_calls_to_outside
        self.proxy.follow_redirects = config.sip_follow_redirects
        self.guard.trust(config.guard_trusted)
        self.trunks.set(config.sip_trunk)
        self.find_gateways()

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
                    extra=_RETRY_AFTER,
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
            self._refuse(request, upstream, Refused(500, str(error), reason=_NOT_SAVED))
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

    def serve_ack(self, request: Request, flow: Flow) -> None:
        """Pass on the ACK of a 2xx; log why one is dropped, since nothing answers it."""
        if cause := self.proxy.pass_on_ack(request, flow):
            self.layer.counts["ACKs without a way"] += 1
            self.request_log.dropped(request, flow, cause)

    def _has_place_for(self, request: Request, upstream: Upstream) -> bool:
        """Tell whether one more may wait; the last places are for who registers or is known.

        Who is in a call is known by its ticket, and may hang up wherever it comes from.
        """
        is_known = (
            request.method == "REGISTER"
            or self.guard.is_proven(upstream.flow.remote)
            or self.proxy.is_within_dialog(request)
        )
        return self._waiting < (MAX_WAITING if is_known else MAX_WAITING - PLACES_KEPT)

    def _refuse(self, request: Request, upstream: Upstream, refused: Refused) -> None:
        """Answer with a refusal.

        Who has not proven who they are gets it once and nothing is remembered: each repeat of
        the request is judged anew, and nobody can have us repeat an answer to a forged address.
        """
        self.layer.counts[f"answered {refused.status}"] += 1
        self.request_log.refused(request, upstream.flow, refused, is_proven=upstream.is_proven)
        # Who has heard a 100 repeats nothing any more: what follows it must be repeated by us.
        if upstream.is_proven or upstream.was_told:
            upstream.answer(refused.status, refused.reason, refused.extra)
            return
        reason = refused.reason.encode("ascii", "replace").decode() if refused.reason else None
        respond_statelessly(request, upstream, refused.status, refused.extra, reason)

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
        answer_options(request, upstream, self.unix_clock())

    def _is_for_us(self, request: Request) -> bool:
        """Tell whether a request ends here: its Request-URI and all its Routes name us."""
        is_local = self.domains.is_local
        if "route" not in request.present:
            return is_local(request.uri)
        routes = [parse_name_addr(value).uri for value in request.values("route")]
        return all(map(is_local, (request.uri, *routes)))

    def drop_phones(self, accounts: Sequence[Account]) -> None:
        """Let go of the phones of accounts that are gone or disabled; calls find them no more."""
        for start in range(0, len(accounts), ACCOUNTS_AT_ONCE):
            if start:
                gevent.sleep(0.001)  # 0 would let no socket have its turn
            some = accounts[start : start + ACCOUNTS_AT_ONCE]
            self.location.drop_accounts(some, self.config.sip_realm)

    # Running

    def start(self) -> None:
        """Answer what asks for the server itself; all else waits until `load` is done.

        Listens, unless that was done.  Raises ListenError.
        """
        if not self.transports.sockets:
            self.listen()
        self.layer.on_request, self.layer.on_ack = self._serve_later, self._pass_on_later
        hub = gevent.get_hub()
        work_at = [
            (TICK_SECONDS, self.tick),
            (SWEEP_SECONDS, self.sweep),
            (TRUNKS_SECONDS, self.find_gateways),
        ]
        self.find_gateways()
        for seconds, work in work_at:
            timer = hub.loop.timer(seconds, seconds)
            timer.start(work)
            self._watchers.append(timer)
        self.transports.start()

    def load(self) -> None:
        """Learn which phones were bound when the server ended, while the sockets have their turns,
        and serve all.  Raises what the store raises.
        """
        with long_lived_objects():
            rows = self.bindings.load(self.unix_clock())
            while rows:
                loaded = self.location.load(rows[:BINDINGS_AT_ONCE])
                if len(rows) < MAX_PROVEN + BINDINGS_AT_ONCE:  # of more the guard forgets some
                    for binding in loaded:
                        self.guard.prove(binding.flow.remote)
                del rows[:BINDINGS_AT_ONCE]  # its memory is taken by what is read next
                gevent.sleep(0.001)  # 0 would let no socket have its turn
        self.layer.on_request, self.layer.on_ack = self.serve, self.serve_ack
        self._loaded.set()

    def _serve_later(self, request: Request, upstream: Upstream) -> None:
        """Serve as soon as every phone is known; what asks for the server itself, at once."""
        if request.method != "OPTIONS" or "@" in request.uri_text:
            upstream.hold()
            self._wait_for_phones()
        self.serve(request, upstream)

    def _pass_on_later(self, request: Request, flow: Flow) -> None:
        if self._wait_for_phones():
            self.serve_ack(request, flow)

    def _wait_for_phones(self) -> bool:
        """Wait until they are loaded.  False: as many wait already as may; a request is refused."""
        if self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        try:
            self._loaded.wait()
        finally:
            self._waiting -= 1
        return True

    def listen(self) -> None:
        """Open the sockets.  Raises ListenError, with none left open."""
        self.transports.streams = self.streams
        address, unreachable = self.config.sip_addr, self.layer.unreachable
        opened = open_sockets(address, self.transports, self.streams, unreachable)
        self.granted_buffers = [sock.granted_buffer_bytes for sock in opened]

    def listening(self) -> list[ListeningAddress]:
        """Return each address with an open socket, by its transport."""
        udp = [ListeningAddress("UDP", *sock.local) for sock in self.transports.sockets]
        return udp + [ListeningAddress("TCP", *each.local) for each in self.streams.listeners]

    def tick(self) -> None:
        """Do what is due; in the hub, where it must not wait, and an exception must not escape."""
        try:
            now = self.clock()
            is_late = now - self._ticked_at > TICK_SECONDS + LATE_SECONDS
            self._ticked_at = now
            self.guard.tick(now, is_behind=is_late or self.transports.is_behind)
            self.layer.run_due(now)
            self.location.remove_closed()
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
        self.request_log.sweep()
        self.local_addresses.forget()
        self.streams.close_late(self.clock())
        self.guard.sweep()
        self.proxy.strangers.sweep()
        self.trim_memory()
        try:
            self.location.follow_unix_clock()
            self.location.sweep(self.clock())
        except Exception:
            log.exception("while letting go of expired bindings")

    def trim_memory(self) -> None:
        """After a rush, let the system have what it took."""
        if self._peaks.is_over(len(self.layer.servers) + len(self.layer.clients)):
            clear_parse_caches()
            gevent.get_hub().threadpool.spawn(trim_heap)

    def find_gateways(self) -> None:
        """Look up the addresses of trunks; in a greenlet of its own, for names take time."""
        gevent.spawn(self.trunks.refresh)

    def see_off(self) -> None:
        """Take nothing new, and wait a moment for what is at work; what rings still is ended.

        Blocks for as long as that takes, SECONDS_TO_END and SECONDS_TO_CANCEL at most.
        """
        self.streams.stop_listening()
        self.layer.on_request = self._turn_away
        if self._quiet_within(SECONDS_TO_END):
            return
        log.info("%d requests are not answered yet; calls that ring are ended", self._waiting)
        for transaction in tuple(self.layer.servers.values()):
            upstream = transaction.upstream
            if isinstance(transaction, InviteServerTransaction) and isinstance(upstream, Upstream):
                upstream.answer(503, extra=_RETRY_AFTER)
                upstream.arrivals.put(BranchEvent(None, 0, None, _STOPPING))
        self._quiet_within(SECONDS_TO_CANCEL)

    def _turn_away(self, request: Request, upstream: Upstream) -> None:
        """Leave a datagram unanswered: it comes again, and meets the server that is started next.

        On a connection nothing comes again.  Who is in a call is served to the last: it may want to
        hang up.
        """
        if upstream.flow.transport == "UDP":
            return
        if request.to.tag:
            self.serve(request, upstream)
            return
        refusal = Refused(503, "the server is stopping", extra=_RETRY_AFTER)
        self._refuse(request, upstream, refusal)

    def _quiet_within(self, seconds: float) -> bool:
        """Wait so long for every answer and for the ACK of every failure; tell whether all came."""
        give_up_at = self.clock() + seconds
        while self._waiting or any(map(_is_at_work, self._transactions())):
            if self.clock() >= give_up_at:
                return False
            gevent.sleep(TICK_SECONDS)
        return True

    def _transactions(self) -> Iterator[Machine]:
        yield from self.layer.clients.values()
        yield from self.layer.servers.values()

    def stop(self) -> None:
        """Close the sockets; what was acknowledged is kept already."""
        for watcher in self._watchers:
            watcher.stop()
            watcher.close()
        self._watchers.clear()
        self.transports.stop()


def _expiry(config: Config) -> Expiry:
    return Expiry(config.sip_min_expires, config.sip_max_expires, config.sip_default_expires)


def _is_at_work(machine: Machine) -> bool:
    """Tell whether a transaction waits for the answer of a peer, or for its ACK."""
    if isinstance(machine, ClientTransaction):
        return machine.state in (State.TRYING, State.PROCEEDING)
    return isinstance(machine, InviteServerTransaction) and machine.state is State.COMPLETED
