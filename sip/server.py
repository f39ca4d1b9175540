"""The SIP server: builds, starts and stops its parts, and runs their timers."""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import gevent

from sip.addresses import Address, Advertised
from sip.config import Config
from sip.core.auth.authenticator import Authenticator
from sip.core.auth.digest import Nonces
from sip.core.auth.phone_logins import PhoneLogins
from sip.core.causes import malformed
from sip.core.domains import Domains, address_of_record
from sip.core.guard.guard import MAX_VERIFIED, Guard
from sip.core.proxy.call_rules import CallRules
from sip.core.proxy.media_relay import MediaRelay
from sip.core.proxy.proxy import Proxy
from sip.core.proxy.robot_targets import ROBOT, RobotTargets
from sip.core.proxy.route_ticket import Tickets
from sip.core.proxy.trunk_table import Trunks
from sip.core.registrar.bindings import BindingsChanged
from sip.core.registrar.gruus import Gruus
from sip.core.registrar.location import Location
from sip.core.registrar.nat_keepalive import KeepAlive
from sip.core.registrar.registrar import Expiry, Registrar
from sip.core.request_log import RequestLog
from sip.dispatcher import Dispatcher
from sip.hooks.hooks import Hooks
from sip.listening import ListeningAddress, open_sockets, open_tls_sockets
from sip.memory import PeakDetector, long_lived_objects, trim_heap
from sip.message.cache import clear_parse_caches
from sip.message.framing import PING
from sip.monitor import events
from sip.monitor.events import Bus
from sip.monitor.histogram import Histogram
from sip.monitor.metrics import KEEPALIVES_UNSENT
from sip.monitor.refusals import Refusals
from sip.robot.media import Studio
from sip.robot.outgoing import Outcome, PhoneToCall
from sip.robot.robot import Robot
from sip.robot.wire import Wire
from sip.store.accounts import Account, AccountsRemoved, CredentialsChanged
from sip.store.bans import BansChanged
from sip.store.bindings import BindingStore
from sip.store.users import Users
from sip.transaction.layer import Layer
from sip.transport.certificates import ALPN_SIP, Certificate, NextHopContext
from sip.transport.dns.cache import Ask
from sip.transport.dns.client import NameServers
from sip.transport.dns.hosts_file import HostsFile
from sip.transport.dns.resolver import Resolver
from sip.transport.flow import Flow
from sip.transport.local_addresses import LocalAddresses
from sip.transport.receiver import Receiver
from sip.transport.rtpengine import RtpEngine
from sip.transport.tcp import TcpCarrier
from sip.transport.tcp_connection import Layers
from sip.transport.tls import TlsContexts, TlsWire
from sip.transport.transport_names import TCP, TLS, UDP, WEB_TRANSPORTS, WS, WSS
from sip.transport.transports import Transports
from sip.transport.websocket import WebSocketFramer
from sip.transport.websocket_connection import Upgraded, WebSocketConnection

log = logging.getLogger(__name__)

# Seconds between two ticks: a timer is late by this much at most.
TICK_SECONDS = 0.05
# Ticks whose lateness is kept for the health checks: those of a minute.
RECENT_TICKS = 1200
# A tick this late, in seconds, means that the event loop is saturated.
LATE_SECONDS = 0.1
# Seconds between two removals of expired bindings; a look-up never returns an expired one.
SWEEP_SECONDS = 1.0
# Seconds between two look-ups of the gateways of trunks, because their addresses may change.
TRUNKS_SECONDS = 60.0
# Accounts whose bindings are removed before the sockets are polled: a millisecond's work.
ACCOUNTS_AT_ONCE = 500
# Bindings that are read at a start before the sockets are polled: some milliseconds' work.
BINDINGS_AT_ONCE = 200


class SipServer:
    """A registrar and proxy for the accounts of `users`, with the bindings stored by `bindings`.

    `secret` (at least 16 octets, the same after a restart) signs the tickets in Record-Route, which
    have to stay valid when the server is started again.  Changes of accounts and bans arrive on
    `bus`.  The other arguments are for tests: the clocks, `ask`, which stands in for the name
    servers of the settings, and `hosts`, which stands in for the hosts file.
    """

    def __init__(
        self,
        config: Config,
        users: Users,
        bindings: BindingStore,
        secret: bytes,
        bus: Bus,
        *,
        clock: Callable[[], float] = time.monotonic,
        unix_clock: Callable[[], float] = time.time,
        ask: Ask | None = None,
        hosts: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.unix_clock = unix_clock
        self.bindings = bindings
        self.bus = bus
        self.tls: TlsContexts | None = None  # from `listen` on, if there is a certificate
        self.granted_buffers: list[int] = []  # octets, of each UDP socket
        self.hub_lag = Histogram()  # how late each tick of the event loop was
        self._peaks = PeakDetector()
        self._timers: list[Any] = []
        self._ticked_at = clock()
        self.lags: deque[float] = deque(maxlen=RECENT_TICKS)  # seconds that ticks were late
        self._build_transactions()
        self._build_location(users)
        self._build_receiver()
        self.resolver = Resolver(
            ask or NameServers(config.sip_dns),
            clock,
            self.transports.has_family,
            hosts or HostsFile().addresses,
            speaks=self.transports.speaks,
        )
        gruus = Gruus(secret, self.location.generations, clock)
        self._build_handlers(users, self.resolver, Tickets(secret), gruus)
        bus.listen(AccountsRemoved, lambda event: self.remove_bindings(event.accounts))
        bus.listen(CredentialsChanged, lambda event: self.guard.forgive_accounts(event.accounts))
        bus.listen(BansChanged, lambda event: self.guard.load_bans(event.bans, event.trusted))

    def _build_transactions(self) -> None:
        """Build the transports and the transaction layer; no socket is opened yet."""
        advertised = self.config.sip_advertise
        self.transports = Transports(
            self.clock, self.bus, (advertised.host, advertised.port) if advertised else None
        )
        self.layer = Layer(self.transports, self.clock)

    def _build_location(self, users: Users) -> None:
        """Build the local domains, the location service and the NAT keep-alives."""
        config = self.config
        self.local_addresses = LocalAddresses(self.transports)
        self.domains = Domains(
            config.sip_realm,
            config.sip_domains,
            users.realms,
            self.local_addresses,
            self._ports(),
        )
        self.location = Location(self.bindings, self.clock, self.unix_clock, self.bus)
        self.keepalive = KeepAlive(config.sip_keepalive, self.clock())
        self.bus.listen(BindingsChanged, self.keepalive.update)

    def _build_receiver(self) -> None:
        """Build the guard, and the receiver and the TCP connections, which ask it."""
        self.guard = Guard(
            self.clock,
            self.unix_clock,
            self.config.guard_trusted,
            self.location.is_registered_from_network,
            self.transports.set_packet_filter,
            self.bus,
        )
        self.receiver = Receiver(
            self.clock, self.transports, self.guard.allows, self.layer.deliver, self.bus, malformed
        )
        self.tcp = TcpCarrier(
            self.receiver.receive,
            self.connection_closed,
            self.receiver.refuse_on_connection,
            self.guard.allows,
            self.guard.should_throttle,
            self.clock,
        )

    def _build_handlers(
        self, users: Users, resolver: Resolver, tickets: Tickets, gruus: Gruus
    ) -> None:
        """Build the registrar, the proxy and the dispatcher, and connect it to the layer."""
        config = self.config
        nonces = Nonces(os.urandom(32), self.layer.new_token)
        self.phone_logins = PhoneLogins()
        authenticator = Authenticator(
            *(users, self.domains, nonces, config.sip_digest, self.clock, self.guard),
            self.phone_logins,
        )
        self.trunks = Trunks(config.sip_trunk, resolver)
        refusals = Refusals()
        self.bus.listen(events.Refused, refusals.add)
        self.request_log = RequestLog(self.domains, users.find, refusals, self.bus)
        self.registrar = Registrar(
            authenticator,
            self.domains,
            self.location,
            resolver,
            _expiry(config),
            self.clock,
            self.request_log,
            gruus,
        )
        self.hooks = Hooks(config.hooks_file, self.bus, self.clock)
        self._build_robot()
        rules = CallRules(
            users,
            self.domains,
            self.trunks,
            self.robot_targets,
            users.change_settings_by_phone,
            lambda: self.config.sip_calls_to_outside,
        )
        self.proxy = Proxy(
            self.layer,
            authenticator,
            self.domains,
            self.location,
            tickets,
            resolver,
            self.trunks,
            self.robot_targets,
            rules,
            calls_to_outside=config.sip_calls_to_outside,
            calls_from_outside=config.sip_calls_from_outside,
            follow_redirects=config.sip_follow_redirects,
            is_bound=self.keepalive.__contains__,
            bus=self.bus,
            router=self.hooks,
            gruus=gruus,
            media=self._media_relay(),
        )
        self.dispatcher = Dispatcher(
            self.layer,
            self.guard,
            self.domains,
            self.registrar,
            self.proxy,
            self.request_log,
            self.unix_clock,
        )
        self.layer.start(self.dispatcher)

    def _media_relay(self) -> MediaRelay | None:
        """Return the media relay of the settings, None without one."""
        relay = self.config.media_rtpengine
        if relay is None:
            return None
        return MediaRelay(RtpEngine(relay, self.clock), self.layer.new_token)

    def _build_robot(self) -> None:
        """Build the robot, and the wires between it and the proxy."""
        config, transports = self.config, self.transports
        first = config.rtp_ports.first
        self.robot_targets = RobotTargets(transports.sent_by, first, is_on=config.robot)
        self.robot = Robot(
            self.receiver.receive,
            self.robot_targets.take_caller,
            Studio(config.rtp_ports),
            self.clock,
        )
        transports.add_carrier(ROBOT, Wire(self.robot.receive))

    def call_phone(self, username: str, realm: str) -> Outcome:
        """Ring the phones of a user, and play a tone to the one that answers.  Waits."""
        aor = address_of_record(username, realm)
        bindings = self.location.bindings(aor)
        if not self.robot_targets.is_on:
            return Outcome(403, "The robot is off: set -robot on.")
        if not bindings:
            return Outcome(480, f"No phone of {username} is registered.")
        flow = self.robot_targets.flow_for(bindings[0].flow)
        here = self.robot_targets.sent_by(flow)
        domain = here if realm == self.domains.main else realm
        hosts = frozenset(binding.flow.remote[0] for binding in bindings)
        to_proxy = Flow(ROBOT, flow.remote, flow.local)
        return self.robot.call_phone(PhoneToCall(username, domain, to_proxy, here, hosts))

    def reconfigure(self, config: Config) -> None:
        """Apply the settings of RELOADABLE in sip/reload.py; the others stay as they are."""
        self.config = config
        self.domains.set_names(config.sip_domains)
        self.proxy.authenticator.algorithms = config.sip_digest
        self.registrar.expiry = _expiry(config)
        self.proxy.calls_from_outside = config.sip_calls_from_outside
        self.proxy.calls_to_outside = config.sip_calls_to_outside
        self.proxy.follow_redirects = config.sip_follow_redirects
        self.robot_targets.is_on = config.robot
        self.robot.studio.set_ports(config.rtp_ports)
        self.guard.set_trusted(config.guard_trusted)
        self.hooks.set_file(config.hooks_file)
        self.trunks.set(config.sip_trunk)
        self.resolve_gateways()

    def _ports(self) -> tuple[int, ...]:
        """Return the ports that this server is known by, of all transports."""
        config = self.config
        addresses: list[Address | Advertised | None] = [
            *(config.sip_addr, config.sip_advertise, config.web_addr, config.ws_addr),
            *(config.wss_addr, config.tls_addr if config.sip_certificate else None),
        ]
        return tuple(each.port for each in addresses if each and each.port)

    def connection_closed(self, connection: int) -> None:
        """Remove the bindings of a closed connection and end its transactions; doesn't wait."""
        self.location.connection_closed(connection)
        self.layer.closed(connection)

    def remove_bindings(self, accounts: Sequence[Account]) -> None:
        """Remove the bindings of accounts that were removed or disabled; may wait."""
        for start in range(0, len(accounts), ACCOUNTS_AT_ONCE):
            if start:
                gevent.sleep(0.001)  # sleep(0) would not poll the sockets
            some = accounts[start : start + ACCOUNTS_AT_ONCE]
            self.location.remove_accounts(some, self.config.sip_realm)

    # Running

    def start(self) -> None:
        """Start the sockets and timers.  Most requests wait until `load` is done.

        Listens, unless `listen` was called before.  Raises ListenError.
        """
        if not self.transports.sockets:
            self.listen()
        hub = gevent.get_hub()
        periodic = [
            (TICK_SECONDS, self.tick),
            (SWEEP_SECONDS, self.sweep),
            (TRUNKS_SECONDS, self.resolve_gateways),
        ]
        self.resolve_gateways()
        if self.proxy.media is not None:
            self.proxy.media.engine.start()
        for seconds, work in periodic:
            timer = hub.loop.timer(seconds, seconds)
            timer.start(work)
            self._timers.append(timer)
        self.transports.start()

    def load(self) -> None:
        """Read the stored bindings, then serve all requests.  Raises the errors of the store.

        Takes seconds for many bindings; the sockets are polled meanwhile.
        """
        with long_lived_objects():
            rows = self.bindings.load(self.unix_clock())
            while rows:
                loaded = self.location.load(rows[:BINDINGS_AT_ONCE])
                if len(rows) < MAX_VERIFIED + BINDINGS_AT_ONCE:  # only as many as it can hold
                    for binding in loaded:
                        self.guard.mark_verified(binding.flow.remote)
                del rows[:BINDINGS_AT_ONCE]  # the rows that are read next take its memory
                gevent.sleep(0.001)  # sleep(0) would not poll the sockets
        self.dispatcher.finish_loading()

    def listen(self) -> None:
        """Open the sockets.  Raises ListenError or CertificateError, with none left open."""
        self._prepare_tls()
        self.transports.add_carrier(TCP, self.tcp)
        for transport in WEB_TRANSPORTS:
            self.tcp.add_transport(transport, Layers(WebSocketFramer, None, WebSocketConnection))
            self.transports.add_carrier(transport, self.tcp)
        address, unreachable = self.config.sip_addr, self.layer.unreachable
        opened = open_sockets(
            address, self.transports, self.tcp, self.receiver.receive, unreachable
        )
        self.granted_buffers = [sock.granted_buffer_bytes for sock in opened]
        if self.tls is not None and self.config.tls_addr is not None:
            open_tls_sockets(self.config.tls_addr, self.transports, self.tcp)

    def _prepare_tls(self) -> None:
        """Read the certificate of SIP, if there is one.  Raises CertificateError."""
        config = self.config
        files = config.sip_certificate
        if files is None:
            return
        certificate = Certificate(
            *files, [ALPN_SIP], client_ca=config.tls_client_ca, has_tickets=False
        )
        self.tls = TlsContexts(certificate, NextHopContext(config.tls_ca, certificate))
        self.tcp.add_transport(TLS, Layers(make_wire=self.tls.wire))
        self.transports.add_carrier(TLS, self.tcp)

    def adopt(self, upgraded: Upgraded) -> None:
        """Take over the socket of a WebSocket that the server of the pages has opened."""
        try:
            port = upgraded.socket.getsockname()[1]
        except OSError:  # the peer has closed it already
            upgraded.socket.close()
            return
        wire = TlsWire.take_over(*upgraded.tls) if upgraded.tls else None
        transport = WSS if wire else WS
        self.tcp.adopt(upgraded.socket, upgraded.remote, port, transport, wire, upgraded.first)

    def listening(self) -> list[ListeningAddress]:
        """Return each address with an open socket, by its transport."""
        udp = [ListeningAddress(UDP, *sock.local) for sock in self.transports.sockets]
        return udp + [ListeningAddress(each.transport, *each.local) for each in self.tcp.listeners]

    def tick(self) -> None:
        """Run all timers that are due.  Called by the hub, so it must neither wait nor raise."""
        try:
            now = self.clock()
            lag = now - self._ticked_at - TICK_SECONDS
            self.hub_lag.observe(max(0.0, lag))
            self.lags.append(lag)
            is_late = lag > LATE_SECONDS
            self._ticked_at = now
            self.guard.tick(now, has_backlog=is_late or self.transports.has_backlog)
            self.layer.run_due(now)
            self.location.remove_closed()
            self.keep_alive(now)
            self.robot.tick(now)
            if self.proxy.media is not None:
                self.proxy.media.engine.tick(now)
        except Exception:
            log.exception("unhandled error while running timers")

    def keep_alive(self, now: float) -> None:
        """Send a keep-alive along each flow that is due; a lost one is sent again next time."""
        for flow in self.keepalive.due(now):
            try:
                self.transports.send(PING, flow)
            except OSError:
                self.layer.counts[KEEPALIVES_UNSENT] += 1

    def sweep(self) -> None:
        """Remove expired entries of all parts, and return memory after a load peak."""
        self.request_log.sweep()
        self.hooks.check()
        self.local_addresses.clear_cache()
        self.tcp.close_expired(self.clock())
        self.guard.sweep()
        self.proxy.call_limits.sweep()
        self.proxy.call_control.sweep()
        self.trim_memory()
        try:
            self.location.follow_unix_clock()
            self.location.sweep(self.clock())
        except Exception:
            log.exception("unhandled error while removing expired bindings")

    def trim_memory(self) -> None:
        """Return free memory to the system, once after each load peak."""
        if self._peaks.is_over(len(self.layer.servers) + len(self.layer.clients)):
            clear_parse_caches()
            self.domains.clear_cache()
            self.layer.compact()
            gevent.get_hub().threadpool.spawn(trim_heap)

    def resolve_gateways(self) -> None:
        """Look up the addresses of trunks, in a greenlet of its own: a look-up may wait."""
        gevent.spawn(self.trunks.refresh)

    def drain(self) -> None:
        """Accept no new work, wait for what is pending, then cancel calls that still ring.

        Blocks for DRAIN_SECONDS and CANCEL_SECONDS of the dispatcher at most.
        """
        self.tcp.stop_listening()
        self.robot.stop()
        self.dispatcher.drain()

    def stop(self) -> None:
        """Close the sockets.  All that was acknowledged is stored already."""
        for timer in self._timers:
            timer.stop()
            timer.close()
        self._timers.clear()
        self.layer.stop()
        if self.proxy.media is not None:
            self.proxy.media.engine.stop()
        self.transports.stop()


def _expiry(config: Config) -> Expiry:
    return Expiry(config.sip_min_expires, config.sip_max_expires, config.sip_default_expires)
