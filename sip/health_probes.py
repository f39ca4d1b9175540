"""Probes of the health checks: they measure what sip/monitor/health.py judges.

Problem: a page and a command want all checks at once, while some of them wait for the disk or for
    a name server, perhaps for long.
Model: a probe runs in a greenlet of its own, and its result is kept for some seconds.  A reader
    waits for at most MAX_WAIT; a probe that takes longer is reported as late, and goes on.
Bounds: one run of each probe at a time; without readers nothing is measured.
"""

import ctypes
import logging
import os
import resource
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import cache
from importlib import import_module
from typing import Any

import gevent
from gevent import socket

from sip import certificate
from sip.addresses import host_port
from sip.config import Config
from sip.listening import ListeningAddress, is_wildcard
from sip.message.grammar import BadMessage
from sip.message.uri import is_address, parse_uri
from sip.monitor import health
from sip.monitor.health import Check, RoundTrip, Status
from sip.server import SipServer
from sip.store.database import Database, DatabaseError
from sip.transport.dns.resolver import NoRoute, Resolver
from sip.transport.transport_names import UDP, is_secure

log = logging.getLogger(__name__)

# Seconds that a reader waits for the probes, and that an OPTIONS waits for its answer.
MAX_WAIT = 2.0
ANSWER_TIMEOUT = 1.5
# Seconds that results are kept; the DNS is asked more rarely, because others serve it.
KEPT_SECONDS = 5.0
KEPT_SECONDS_DNS = 60.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- compared with, not bound to
_DAY = 86_400.0

Measure = Callable[[], Check]


class Probe:
    """One check: `measure` returns its result, and may wait; the result is kept for `seconds`."""

    def __init__(self, name: str, measure: Measure, seconds: float = KEPT_SECONDS) -> None:
        self.name = name
        self.seconds = seconds
        self.result: Check | None = None
        self._measure = measure
        self._measured_at = 0.0
        self._running: Any = None  # the greenlet that measures

    def start(self, now: float) -> Any:
        """Measure if the result is too old; return the greenlet that does, None without one."""
        if self._running is not None:
            return self._running
        if self.result is not None and now - self._measured_at < self.seconds:
            return None
        self._running = gevent.spawn(self._run)
        return self._running

    def _run(self) -> None:
        try:
            self.result = self._measure()
        except Exception:
            log.exception("unhandled error in the health check %s", self.name)
            cure = "The log of the server has the details."
            self.result = Check(self.name, Status.FAILING, "The check itself failed.", cure)
        finally:
            self._measured_at = time.monotonic()
            self._running = None

    def latest(self) -> Check:
        """Return the result, or that there is none in time."""
        if self._running is None and self.result is not None:
            return self.result
        late = f"There was no result within {MAX_WAIT:.0f} s."
        cure = "Look again. If it stays late, the disk, the DNS or the CPU of this machine is slow."
        return Check(self.name, Status.WARNING, late, cure)


class Health:
    """All health checks of a server, measured when they are asked for.

    `make` returns the probes; it is called once, for the first reader: not all listen before.
    """

    def __init__(self, make: Callable[[], Sequence[Probe]]) -> None:
        self._make = make
        self._made: Sequence[Probe] = ()

    @property
    def _probes(self) -> Sequence[Probe]:
        if not self._made:
            self._made = self._make()
        return self._made

    def checks(self) -> list[Check]:
        """Return the results, some seconds old at most; waits for MAX_WAIT at most."""
        now = time.monotonic()
        started = [greenlet for probe in self._probes if (greenlet := probe.start(now))]
        gevent.joinall(started, timeout=MAX_WAIT)
        return [probe.latest() for probe in self._probes]

    def known(self) -> list[Check]:
        """Return the results that are there, without waiting; those too old are measured anew."""
        now = time.monotonic()
        for probe in self._probes:
            probe.start(now)
        return [probe.result for probe in self._probes if probe.result is not None]


class Probes:
    """The measurements of a running server.  `resolver` asks the name servers of the settings.

    `control_failure` says why no command reaches this server, "" if they do.
    """

    def __init__(
        self,
        server: SipServer,
        database: Database,
        users: Callable[[], int],
        resolver: Resolver,
        control_failure: Callable[[], str],
    ) -> None:
        self._server = server
        self._database = database
        self._users = users
        self._resolver = resolver
        self._control_failure = control_failure
        self._clock_offset = server.unix_clock() - server.clock()

    @property
    def _config(self) -> Config:
        return self._server.config

    def all(self) -> list[Probe]:
        """Return all probes, in the order of the page."""
        transports = [each.transport for each in self._server.listening()] or [UDP]
        return [
            *(
                Probe(f"SIP over {each}", self._transport_measure(each))
                for each in dict.fromkeys(transports)
            ),
            Probe("RTP ports", self.rtp_ports),
            Probe("Control socket", self.control_socket),
            Probe("Database", self.database),
            Probe("Disk space", self.disk),
            Probe("Commit times", self.commits),
            Probe("Event loop", self.event_loop),
            Probe("Clock", self.clock),
            Probe("Receive buffers", self.buffers),
            Probe("Open files", self.files),
            Probe(health.WEB_ENCRYPTION, self.certificate),
            Probe(health.SIP_ENCRYPTION, self.sip_certificate),
            Probe("DNS of the domain", self.domain, KEPT_SECONDS_DNS),
            Probe("Advertised address", self.advertised, KEPT_SECONDS_DNS),
            Probe("NAT", self.nat),
        ]

    def _transport_measure(self, transport: str) -> Measure:
        return lambda: self.transport(transport)

    def transport(self, transport: str) -> Check:
        """Send an OPTIONS to each own address of a transport, and wait for the answers."""
        addresses = [each for each in self._server.listening() if each.transport == transport]
        asked = [gevent.spawn(round_trip, each) for each in addresses]
        return health.check_transport(transport, [each.get() for each in asked])

    def rtp_ports(self) -> Check:
        """Open a pair of the robot's ports, and close it again."""
        config, failure = self._config, ""
        hosts = [each.host for each in self._server.listening()]
        if config.robot and hosts:
            failure = self._server.robot.studio.why_no_port(hosts[0])
        return health.check_rtp_ports(str(config.rtp_ports), failure, is_on=config.robot)

    def control_socket(self) -> Check:
        """Look up if the control socket is there."""
        return health.check_control_socket(self._control_failure())

    def database(self) -> Check:
        """Take the write lock of the database; that writes nothing."""
        failure = self._server.bindings.failure
        if not failure:
            try:
                self._database.run(lambda tables: None)
            except DatabaseError as error:
                failure = str(error)
        return health.check_database(_size_of(self._database.path), failure)

    def disk(self) -> Check:
        """Look up the free space beside the database."""
        free = os.statvfs(os.path.dirname(os.path.realpath(self._database.path)))
        return health.check_disk(free.f_bavail * free.f_frsize, self._database.path)

    def commits(self) -> Check:
        """Return the check of the latest commits."""
        return health.check_commits([*self._server.bindings.commit_seconds])

    def event_loop(self) -> Check:
        """Return the check of the lateness of the last minute."""
        return health.check_event_loop([*self._server.lags])

    def clock(self) -> Check:
        """Compare the clock with the monotonic one, and ask the kernel for its state."""
        offset = self._server.unix_clock() - self._server.clock()
        return health.check_clock(offset - self._clock_offset, clock_is_synchronized())

    def buffers(self) -> Check:
        """Return the check of the receive buffers."""
        return health.check_buffers(self._server.granted_buffers, self._users())

    def files(self) -> Check:
        """Count the open descriptors."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return health.check_files(len(os.listdir("/proc/self/fd")), limit)

    def certificate(self) -> Check:
        """Read the certificate of the pages."""
        config = self._config
        days, failure = self._days_left(config.web_cert) if config.web_cert else (None, "")
        return health.check_certificate(days, failure, is_exposed=not config.web_addr.is_loopback)

    def sip_certificate(self) -> Check:
        """Read the certificate of SIP over TLS."""
        files = self._config.sip_certificate
        days, failure = self._days_left(files[0]) if files else (None, "")
        return health.check_sip_certificate(days, failure)

    def _days_left(self, path: str) -> tuple[float | None, str]:
        """Return the days until a certificate expires, and why it cannot be read."""
        try:
            return (certificate.expires_at(path) - self._server.unix_clock()) / _DAY, ""
        except OSError as error:
            return None, f"{path}: {error.strerror}"
        except ValueError as error:
            return None, str(error)

    def domain(self) -> Check:
        """Look up the main domain as another server or a phone does (RFC 3263)."""
        domain, failure = self._config.sip_realm, ""
        found: dict[str, bool] = {}
        if "." in domain:
            hosts, failure = self._addresses(domain)
            found = {host: self._is_own(host) for host in hosts}
        return health.check_domain(domain, found, failure)

    def advertised(self) -> Check:
        """Look up the host of -sip.advertise."""
        advertised = self._config.sip_advertise
        if advertised is None:
            return health.check_advertised("", [], "", is_own=True)
        hosts, failure = self._addresses(advertised.host)
        is_own = all(map(self._server.local_addresses, hosts))
        return health.check_advertised(advertised.host, hosts, failure, is_own=is_own)

    def nat(self) -> Check:
        """Count the phones behind NAT."""
        server, flows = self._server, self._server.keepalive
        keepalive = self._config.sip_keepalive
        return health.check_nat(len(flows), flows.connections, len(server.location), keepalive)

    def _addresses(self, host: str) -> tuple[list[str], str]:
        """Return the addresses that a host leads to, and why there are none."""
        if is_address(host):
            return [host], ""
        # The first question imports dnspython; in a thread that does not hold up the event loop.
        gevent.get_hub().threadpool.apply(import_module, ("dns.resolver",))
        try:
            uri = parse_uri(f"sip:{host}")
            hops = self._resolver.hops(uri)  # type: ignore[arg-type]  # a sip: URI is a SipUri
        except (NoRoute, BadMessage) as error:
            return [], str(error)
        return list(dict.fromkeys(hop.address[0] for hop in hops)), ""

    def _is_own(self, host: str) -> bool:
        """Return True for an address of this machine, or one that is advertised for it."""
        if self._server.local_addresses(host):
            return True
        advertised = self._config.sip_advertise
        return advertised is not None and host in self._addresses(advertised.host)[0]


def round_trip(listening: ListeningAddress) -> RoundTrip:
    """Send an OPTIONS to a listening address, and wait for its answer (RFC 3261 §11)."""
    host = _LOOPBACK.get(listening.host, listening.host)
    port, transport = listening.port, listening.transport
    shown = host_port("" if is_wildcard(listening.host) else host, port)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_DGRAM if transport == UDP else socket.SOCK_STREAM
    started_at = time.monotonic()
    try:
        with closing(socket.socket(family, kind)) as sock:
            sock.settimeout(ANSWER_TIMEOUT)
            sock.connect((host, port))
            own_host, own_port = sock.getsockname()[:2]
            request = _options(transport, host_port(host, port), host_port(own_host, own_port))
            stream = _probe_context().wrap_socket(sock) if is_secure(transport) else sock
            stream.sendall(request)
            line = stream.recv(65_535).partition(b"\r\n")[0].decode("utf-8", "replace")
    except TimeoutError:
        return RoundTrip(shown, 0.0, f"none came within {ANSWER_TIMEOUT} s")
    except OSError as error:
        return RoundTrip(shown, 0.0, error.strerror or str(error))
    # A 403 is an answer, too: with port 0 in -sip.addr the URI names no domain of the server.
    if not line.startswith(("SIP/2.0 2", "SIP/2.0 4")):
        return RoundTrip(shown, 0.0, f"the answer was {line[8:60]!r}")
    return RoundTrip(shown, time.monotonic() - started_at)


@cache
def _probe_context() -> ssl.SSLContext:
    """Return the TLS context of the probe; it asks this server itself, by any name."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


# One for all probes of this process, so that they are one row in the list of messages.
_CALL_ID = f"health-{os.urandom(8).hex()}"


def _options(transport: str, server: str, own: str) -> bytes:
    token = os.urandom(8).hex()
    lines = (
        f"OPTIONS sip:{server} SIP/2.0",
        f"Via: SIP/2.0/{transport} {own};branch=z9hG4bK{token};rport",
        "Max-Forwards: 1",
        f"From: <sip:health@{own}>;tag={token}",
        f"To: <sip:{server}>",
        f"Call-ID: {_CALL_ID}",
        "CSeq: 1 OPTIONS",
        "User-Agent: sipserver health check of itself, by the page or the command",
        "Content-Length: 0",
    )
    return "\r\n".join((*lines, "", "")).encode()


def _size_of(path: str) -> int:
    """Return the octets of a database and its log."""
    octets = 0
    for name in (path, f"{path}-wal"):
        with suppress(OSError):
            octets += os.path.getsize(name)
    return octets


# From sys/timex.h and adjtimex(2): the state without a time service, and the size of struct timex.
_TIME_ERROR = 5
_TIMEX_BYTES = 208


def clock_is_synchronized() -> bool | None:
    """Return True if a time service keeps the clock, by the kernel; None if it does not say."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (AttributeError, OSError):
        return None
    if state < 0:
        return None
    return bool(state != _TIME_ERROR)
