"""The entry point: runs a command, or puts database, SIP and web admin together and runs them.

Modules that take long to import, half a second in all, are imported in the functions that need
them, so that `-help` is fast.  gevent is one of them: only the server needs it and its patch, and
no module with sockets or threads is imported before the patch.
"""

import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import cache
from typing import TYPE_CHECKING

from sip import __version__
from sip.cli.main import main, sources
from sip.config import CommandError, Config
from sip.logs import configure_logging
from sip.memory import long_lived_objects

if TYPE_CHECKING:
    from gevent.event import Event

    from sip.control.server import ControlServer
    from sip.monitor.calls import Calls
    from sip.monitor.events import Bus
    from sip.monitor.traces import Traces
    from sip.prometheus import Metrics
    from sip.running_settings import RunningSettings
    from sip.server import SipServer
    from sip.store.admins import Admins, FirstPassword
    from sip.store.database import Database
    from sip.store.history_writer import Limits
    from sip.store.users import Users
    from sip.transport.certificates import Certificate
    from sip.transport.tls import TlsContexts
    from webadmin.context import AppContext
    from webadmin.http.server import WebServer

log = logging.getLogger("sipserver")  # not __main__

# The environment variable with the web admin's password, for deploys without a terminal.
ADMIN_PASSWORD = "SIPSERVER_ADMIN_PASSWORD"  # noqa: S105 -- a name, no password

# The author of a password that is set at the start, in the audit.
SERVER = "the server"

# Seconds until a change by another process, `users add` for example, is noticed.
POLL_SECONDS = 0.25

# Seconds between two samples for the lines on the overview.
SAMPLE_SECONDS = 1.0

# Octets of messages that are removed before the sockets are polled: about a millisecond's work.
TRACES_AT_ONCE = 1024 * 1024

# Seconds between two removals of deleted accounts that can no longer be restored.
PURGE_SECONDS = 60.0

# Longest time that the database thread holds the interpreter, in seconds, while it reads many
# rows: with Python's 5 ms no datagram would be read for as long.
SWITCH_INTERVAL = 0.0005


def run(config: Config) -> int:
    """Run the server until SIGTERM or SIGINT, and return the exit code; SIGHUP reloads."""
    from gevent import monkey

    monkey.patch_all()
    with long_lived_objects():  # before the logging: modules that dataset imports log at once
        import gevent
        from gevent.event import Event

        from sip import systemd
        from sip.listening import ListenError
        from sip.store.database import DatabaseError
        from sip.transport.certificates import CertificateError
    configure_logging(config)
    sys.setswitchinterval(SWITCH_INTERVAL)
    stopping, hung_up = Event(), Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopping.set)
    gevent.signal_handler(signal.SIGHUP, hung_up.set)
    try:
        with ExitStack() as stack:
            service = build(config, hung_up, stack)
            service.start()
            # All present objects live as long as the server, so the collector need not examine
            # them; and there are few reference cycles, so it may run more rarely.
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            systemd.notify(systemd.READY)
            stopping.wait()
            systemd.notify(systemd.STOPPING)
            log.info("stopping")
            service.drain()
    except (DatabaseError, ListenError, CertificateError) as error:
        raise CommandError(str(error)) from None
    return 0


def build(config: Config, hung_up: "Event", stack: ExitStack) -> "Service":
    """Build all parts over one database; `stack` closes them in reverse order.

    Raises DatabaseError, or CommandError for a password in the environment that cannot be used.
    """
    with long_lived_objects():
        from sip.control.handlers import call_handlers, guard_handlers, trace_handlers
        from sip.control.protocol import control_path
        from sip.control.server import ControlServer
        from sip.control.trouble import trouble_handlers
        from sip.health_probes import Health, Probes
        from sip.monitor.call_log import CallLog
        from sip.monitor.calls import CallFinished, Calls
        from sip.monitor.day_lines import DayLines
        from sip.monitor.events import AdminActed, Banned, Bus, Unregistered
        from sip.monitor.lost_phones import LostPhones
        from sip.monitor.recent_events import RecentEvents
        from sip.monitor.traces import MIB, Traces
        from sip.running_settings import RunningSettings, start_config
        from sip.server import SipServer
        from sip.store.admins import Admins
        from sip.store.audit import Audit
        from sip.store.bans import Ban, Bans
        from sip.store.bindings import BindingStore
        from sip.store.database import Database
        from sip.store.directory import Directory
        from sip.store.history_writer import HistoryWriter
        from sip.store.kept_settings import KeptSettings
        from sip.store.sessions import Sessions
        from sip.store.tokens import Tokens
        from sip.store.users import Users
        from sip.webhook import PresentWebhook
        from webadmin.app import build as build_pages
        from webadmin.context import AppContext
        from webadmin.http import server as http
        from webadmin.warnings import current_warnings
    bus = Bus()
    database = stack.enter_context(Database(config.db_path))
    given, kept = sources(sys.argv[1:]), KeptSettings(database)
    config = start_config(given, kept)
    configure_logging(config)
    users = Users(database, config.sip_realm, bus=bus)
    admins, audit = Admins(database), Audit(database)
    bus.listen(AdminActed, audit.on_admin_acted)
    first_password = _first_password(admins)
    bindings = stack.enter_context(closing(BindingStore(database)))
    history = stack.enter_context(closing(HistoryWriter(database, history_limits(config))))
    bus.listen(CallFinished, history.listen)
    server = SipServer(config, users, bindings, database.secret("ticket"), bus)
    calls, call_control = Calls(bus), server.proxy.call_control
    CallLog(bus)
    bus.listen(Unregistered, call_control.note_unregistered)
    traces = Traces(bus, config.trace_memory * MIB)
    bans = Bans(database, bus=bus)

    def store_ban(event: Banned) -> None:
        bans.save(Ban(event.network, event.reason, int(event.at), int(event.until), event.times))

    bus.listen(Banned, store_ban)
    bans.reload()
    stack.callback(server.stop)
    lines = DayLines(bus, calls, server.location)
    probes = Probes(server, database, users.__len__, server.resolver, lambda: control.failure())
    health = Health(probes.all)
    webhook = PresentWebhook(bus)
    stack.callback(webhook.stop)

    def apply(config: Config) -> None:
        site.config = config
        configure_logging(config)
        server.reconfigure(config)
        history.reconfigure(history_limits(config))
        limit_traces(traces, config.trace_memory * MIB)
        webhook.set(config.webhook_url, config.webhook_secret, config.webhook_events)

    settings = RunningSettings(given, kept, config, apply, bus.now)
    site = AppContext(
        config,
        users,
        Directory(database, users),
        admins,
        Sessions(database),
        audit,
        server.location,
        bans,
        Tokens(database),
        bus,
        environment_password=bool(os.environ.get(ADMIN_PASSWORD)),
        listening=server.listening,
        guard=server.guard,
        refusals=server.request_log.refusals,
        calls=calls,
        hang_up=call_control.hang_up,
        traces=traces,
        metrics=_metrics(server, users, calls, database, bus),
        call_phone=lambda username, realm: server.call_phone(username, realm).text,
        health=health,
        recent=RecentEvents(bus),
        lost_phones=LostPhones(bus),
        lines=lines,
        calls_today=lambda: site.history.today(bus.now()),
        last_calls=lambda user_id, limit: site.history.latest(user_id=user_id, limit=limit),
        warnings=lambda: tuple(current_warnings(site.config, users)),
        running_settings=settings,
        phone_logins=server.phone_logins,
    )
    stack.callback(site.close)
    webhook.set(config.webhook_url, config.webhook_secret, config.webhook_events)
    control = ControlServer(
        control_path(config.db_path),
        guard_handlers(server.guard)
        | call_handlers(calls, call_control.hang_up)
        | trace_handlers(traces, site.drawing.run)
        | trouble_handlers(server, server.request_log.refusals, bans, health),
    )
    return Service(
        database,
        server,
        site,
        control,
        settings,
        listen_web=lambda: http.listen(config, build_pages(site), adopt=server.adopt),
        first_password=first_password,
        hung_up=hung_up,
        stack=stack,
    )


class Service:
    """SIP and the web admin over one database.

    `listen_web` opens the sockets of the web admin.  `first_password` is set as the web admin's
    password by `start`.  Each time `hung_up` is set, settings, certificate and accounts are
    reloaded.  `stack` closes everything that `start` has opened.
    """

    def __init__(
        self,
        database: "Database",
        server: "SipServer",
        site: "AppContext",
        control: "ControlServer",
        settings: "RunningSettings",
        *,
        listen_web: Callable[[], "WebServer"],
        first_password: "FirstPassword | None",
        hung_up: "Event",
        stack: ExitStack,
    ) -> None:
        self._database = database
        self._server = server
        self._site = site
        self._control = control
        self._settings = settings
        self._listen_web = listen_web
        self._first_password = first_password
        self._hung_up = hung_up
        self._stack = stack
        self._web: WebServer

    def start(self) -> None:
        """Listen, and serve.  Raises ListenError or CertificateError.

        All sockets are opened before anything is written or printed, so a start that fails changes
        nothing.
        """
        import gevent

        from sip import dispatcher
        from sip.listening import transports_of
        from webadmin.encryption import is_exposed

        config, users = self._site.config, self._site.users
        code = "pure Python" if dispatcher.__file__.endswith(".py") else "compiled"
        log.info("starting sipserver %s, %s", __version__, code)
        if not len(users):
            log.info(
                "there are no users yet: add one with `python sipserver.py users add NAME`,"
                " or in the web admin"
            )
        if users.warning:
            log.warning(users.warning)
        self._server.listen()
        transports = transports_of(self._server.listening())
        log.info("SIP listens on %s, %s", config.sip_addr, " and ".join(transports[:2]))
        if self._server.tls is not None:
            log.info("SIP listens on %s, TLS", config.tls_addr)
        self._web = self._listen_web()
        self._stack.callback(self._web.stop)
        self._stack.callback(self._control.stop)
        self._control.start()
        self._check_certificates()
        scheme = "HTTPS" if config.web_cert else "HTTP"
        log.info("web admin listens on %s, %s", config.web_addr, scheme)
        if is_exposed(config):
            log.warning(
                "the web admin can be reached from other machines, and is not encrypted: set"
                " -web.cert and -web.key, or -web.addr 127.0.0.1:%d behind a proxy with TLS",
                config.web_addr.port,
            )
        self._database.remember("realm", config.sip_realm)
        self._set_first_password()
        self._undo_open_steps()
        self._web.start()
        self._server.start()
        self._server.load()  # last, so that the pages work while bindings are loaded
        for work in (self._watch_database, self._reload_on_hangup, self._sample):
            self._stack.callback(gevent.spawn(work).kill)

    def _check_certificates(self) -> None:
        """Warn of certificates that have expired, and of keys that make SIP slow."""
        tls = self._server.tls
        certificates = [*([tls.certificate] if tls else []), *self._web.certificates]
        sentences = [each.expiry_sentence() for each in certificates]
        if tls is not None:
            sentences.append(tls.certificate.slow_key_sentence())
        for sentence in filter(None, dict.fromkeys(sentences)):
            log.warning(sentence)

    def _renew_certificates(self) -> None:
        """Read the certificates of SIP and of the pages again, for new connections."""
        from sip.transport.certificates import CertificateError

        tls = self._server.tls
        owners: list[TlsContexts | Certificate] = [*([tls] if tls else []), *self._web.certificates]
        failures = []
        for owner in owners:
            try:
                owner.renew()
            except CertificateError as error:
                failures.append(str(error))
        for failure in dict.fromkeys(failures):  # both may have the same files
            log.error("cannot reload the certificate: %s", failure)
        if owners and not failures:
            log.info("certificate reloaded")
            self._check_certificates()

    def _set_first_password(self) -> None:
        """Set the web admin's password of this start, and print it if it was generated."""
        from sip.store.audit import Act

        first, self._first_password = self._first_password, None
        if first and self._site.admins.set_first_password(first, print_password):
            self._site.audit.add(Act.PASSWORD_CHANGED, SERVER, about="at its start")

    def _undo_open_steps(self) -> None:
        """Undo the changes of many users that the last process did not finish (pieces.py)."""
        from sip.store.audit import Act
        from sip.store.undo import Undo

        if self._control.failure():  # they may be those of another server, which goes on
            return
        for undone in Undo(self._site.users).undo_open():
            step = undone.step
            about = f"{step.act}, {step.about}: the server ended before it was finished"
            self._site.audit.add(Act.USERS_UNDONE, SERVER, about=about)

    def drain(self) -> None:
        """Accept no new work, and wait for what is pending."""
        import gevent

        gevent.joinall([gevent.spawn(self._server.drain), gevent.spawn(self._web.stop)])

    def _sample(self) -> None:
        """Take the numbers of the overview's lines, each second; never ends."""
        import gevent

        while True:
            self._site.lines.sample(self._site.clock())
            gevent.sleep(SAMPLE_SECONDS)

    def _watch_database(self) -> None:
        """Reload accounts and bans when another process has changed the database; never ends."""
        import gevent

        from sip.store.database import DatabaseError

        purge_at = 0.0
        has_changed, last_error = False, ""
        while True:
            gevent.sleep(POLL_SECONDS)
            try:
                has_changed = self._database.changed_elsewhere() or has_changed
                if has_changed:
                    self._site.users.reload()
                    self._site.bans.reload()
                has_changed, last_error = False, ""
                if time.monotonic() >= purge_at:
                    purge_at = time.monotonic() + PURGE_SECONDS
                    self._site.users.purge_removed()
            except DatabaseError as error:
                if str(error) != last_error:  # it is tried again each time, and logged once
                    last_error = str(error)
                    log.error("accounts and bans may be out of date: %s", error)
            except Exception:
                # The loop goes on after any error: the next change must be noticed.
                log.exception("accounts and bans may be out of date")

    def _reload_on_hangup(self) -> None:
        """Reload settings, certificate and accounts after each SIGHUP."""
        from sip import systemd
        from sip.store.database import DatabaseError

        while self._hung_up.wait():
            self._hung_up.clear()
            systemd.notify(systemd.reloading())
            try:
                outcome = self._settings.reload(sources(sys.argv[1:]))
            except (CommandError, DatabaseError) as error:
                log.error("cannot reload the settings: %s", error)
            else:
                log.info("settings reloaded: %s", outcome)
            self._renew_certificates()
            try:
                self._site.users.reload()
            except DatabaseError as error:
                log.error("cannot reload the accounts: %s", error)
            systemd.notify(systemd.READY)


def _metrics(
    server: "SipServer", users: "Users", calls: "Calls", database: "Database", bus: "Bus"
) -> Callable[[], bytes]:
    """Return a function that reads the metrics.

    Its first call imports prometheus_client, which takes 30 ms: most servers never need it.
    """

    @cache
    def made() -> "Metrics":
        from gevent import get_hub

        from sip.prometheus import Metrics

        in_thread = get_hub().threadpool.apply
        return Metrics(server, users, calls, database, bus, in_thread)

    return lambda: made().text()


def _first_password(admins: "Admins") -> "FirstPassword | None":
    """Return the web admin's password that this start has to set.  Raises CommandError."""
    from sip.store.admin_passwords import password_weakness
    from sip.store.admins import USERNAME

    password = os.environ.get(ADMIN_PASSWORD) or ""
    try:
        first = admins.first_password(password)
    except ValueError as error:
        raise CommandError(f"{ADMIN_PASSWORD} cannot be used: {error}") from None
    if why := password_weakness(password, USERNAME):
        log.warning("weak password: %s %s", ADMIN_PASSWORD, why)
    return first


def limit_traces(traces: "Traces", limit: int) -> None:
    """Change the memory for messages, in octets; many are removed bit by bit.  May wait."""
    import gevent

    while (used := traces.octets) > limit:
        traces.set_limit(max(limit, min(traces.limit, used) - TRACES_AT_ONCE))
        gevent.sleep(0.001)  # sleep(0) would not poll the sockets
    traces.set_limit(limit)


def history_limits(config: Config) -> "Limits":
    """Return how much history the settings keep."""
    from sip.store.history_writer import Limits

    return Limits(config.calls_keep, config.calls_keep_rows)


def print_password(password: str) -> None:
    """Print the generated password of the first start; it is shown only then."""
    print(
        f"The password of `admin` in the web admin is  {password}\n"
        "It is shown only now; `python sipserver.py admin password` sets another.",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], run))
