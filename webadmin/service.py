"""The whole server from its start to its end: SIP, the web admin, and the file that they share."""

import gc
import logging
import os
import signal
import sys
import time
from contextlib import ExitStack, closing

import gevent
from gevent.event import Event

from sip import systemd
from sip.cli.main import settings
from sip.config import CommandError, Config
from sip.control.handlers import control_handlers
from sip.control.protocol import control_path
from sip.control.server import ControlServer
from sip.listening import ListenError, transports_of
from sip.logs import configure_logging
from sip.reload import reload
from sip.server import SipServer
from sip.store.admin import Admin, FirstPassword, password_weakness
from sip.store.audit import Act, Audit
from sip.store.bans import Bans
from sip.store.bindings import BindingStore
from sip.store.database import Database, DatabaseError
from sip.store.directory import Directory
from sip.store.users import Users
from webadmin.app import build
from webadmin.context import AppContext
from webadmin.encryption import is_exposed
from webadmin.http import server as wsgi
from webadmin.http.tls import CertificateError
from webadmin.warnings import current_warnings

log = logging.getLogger(__name__)

# The environment's way to set the web admin's password, for deploys without a terminal.
ADMIN_PASSWORD = "SIPSERVER_ADMIN_PASSWORD"  # noqa: S105 -- a name, no password

# Who sets the password at a start, as the audit calls it.
SERVER = "the server"

# How long a change made by another process, `users add` for one, may stay unnoticed, in seconds.
POLL_INTERVAL = 0.25

# How often deleted accounts that can no longer be brought back are looked for, in seconds.
FORGET_INTERVAL = 60.0

# The owner thread of the database hands the interpreter back this soon, in seconds, while it
# works through many rows: with Python's 5 ms no datagram would be read for as long.
SWITCH_INTERVAL = 0.0005


def run(config: Config) -> int:
    """Run the server until SIGTERM or SIGINT, and return the exit code; SIGHUP: read anew."""
    configure_logging(config)
    sys.setswitchinterval(SWITCH_INTERVAL)
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopping.set)
    try:
        with ExitStack() as stack:
            service = Service(config, stack)
            service.start()
            # What is alive now stays so: the collector need not look at it again, and with few
            # reference cycles about, it may look more rarely.
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            systemd.notify(systemd.READY)
            stopping.wait()
            systemd.notify(systemd.STOPPING)
            log.info("stopping")
            service.see_off()
    except (DatabaseError, ListenError, CertificateError) as error:
        raise CommandError(str(error)) from None
    return 0


class Service:
    """SIP and the web admin over one file; what is to be closed at the end goes onto `stack`."""

    def __init__(self, config: Config, stack: ExitStack) -> None:
        self._stack = stack
        self._hung_up = Event()
        gevent.signal_handler(signal.SIGHUP, self._hung_up.set)
        self._database = database = stack.enter_context(Database(config.db_path))
        self._users = users = Users(database, config.sip_realm)
        admin, audit = Admin(database), Audit(database)
        self._first_password = _first_password(admin)
        bindings = stack.enter_context(closing(BindingStore(database)))
        self._server = server = SipServer(config, users, bindings, database.secret("ticket"))
        self._bans = bans = Bans(database)
        bans.on_change, server.guard.on_ban = server.guard.know, bans.keep
        bans.reload()
        stack.callback(server.stop)
        self._site = AppContext(
            config,
            users,
            Directory(database, users),
            admin,
            audit,
            server.location,
            bans,
            environment_password=bool(os.environ.get(ADMIN_PASSWORD)),
            listening=server.listening,
            guard=server.guard,
            refusals=server.request_log.refusals,
            warnings=lambda: tuple(
                current_warnings(self._site.config, users, server.granted_buffers)
            ),
        )
        stack.callback(self._site.close)
        self._web: wsgi.WebServer

    def start(self) -> None:
        """Listen, and serve.  Raises ListenError or CertificateError.

        What a start writes and prints comes after that: a start that fails changes nothing.
        """
        config, users = self._site.config, self._users
        if not len(users):
            log.info(
                "there are no users yet: add one with `python sipserver.py users add NAME`,"
                " or in the web admin"
            )
        if users.warning:
            log.warning(users.warning)
        self._server.listen()
        transports = " and ".join(transports_of(self._server.listening()))
        log.info("SIP listens on %s, %s", config.sip_addr, transports)
        self._web = wsgi.listen(config, build(self._site))
        self._stack.callback(self._web.stop)
        control = ControlServer(control_path(config.db_path), control_handlers(self._server.guard))
        self._stack.callback(control.stop)
        control.start()
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
        self._web.start()
        self._server.start()
        self._server.load()  # last: who hears from SIP finds the pages, too
        for work in (self._notice_changes, self._read_anew):
            self._stack.callback(gevent.spawn(work).kill)

    def _set_first_password(self) -> None:
        """Set the administrator's password of this start, and print it if it was generated."""
        first, self._first_password = self._first_password, None
        if first and self._site.admin.set_first_password(first, show_password):
            self._site.audit.note(Act.PASSWORD_CHANGED, SERVER, about="at its start")

    def see_off(self) -> None:
        """Let what has begun come to its end, and take nothing new."""
        gevent.joinall([gevent.spawn(self._server.see_off), gevent.spawn(self._web.stop)])

    def _notice_changes(self) -> None:
        """Look for what another process has changed in the file, for ever."""
        forget_at = 0.0
        has_changed, trouble = False, ""
        while True:
            gevent.sleep(POLL_INTERVAL)
            try:
                has_changed = self._database.changed_elsewhere() or has_changed
                if has_changed:
                    self._users.reload()
                    self._bans.reload()
                has_changed, trouble = False, ""
                if time.monotonic() >= forget_at:
                    forget_at = time.monotonic() + FORGET_INTERVAL
                    self._users.forget_removed()
            except DatabaseError as error:
                if str(error) != trouble:  # it is tried on and on, and said once
                    trouble = str(error)
                    log.error("accounts and bans may be out of date: %s", error)
            except Exception:
                # It must go on looking, whatever this was.
                log.exception("accounts and bans may be out of date")

    def _read_anew(self) -> None:
        """After each SIGHUP take over what can be taken: settings, the certificate, accounts."""
        while self._hung_up.wait():
            self._hung_up.clear()
            systemd.notify(systemd.reloading())
            try:
                outcome = reload(self._site.config, settings(sys.argv[1:]))
            except CommandError as error:
                log.error("the settings stay as they are: %s", error)
            else:
                self._site.config = outcome.config
                configure_logging(outcome.config)
                self._server.take_over(outcome.config)
                log.info("the settings are read anew; %s", outcome)
            try:
                self._web.renew_certificate()
            except CertificateError as error:
                log.error("the certificate stays as it is: %s", error)
            try:
                self._users.reload()
            except DatabaseError as error:
                log.error("the accounts stay as they are: %s", error)
            systemd.notify(systemd.READY)


def _first_password(admin: Admin) -> FirstPassword | None:
    """Return the administrator's password that this start has to set.  Raises CommandError."""
    password = os.environ.get(ADMIN_PASSWORD) or ""
    try:
        first = admin.first_password(password)
    except ValueError as error:
        raise CommandError(f"{ADMIN_PASSWORD} cannot be used: {error}") from None
    if why := password_weakness(password):
        log.warning("weak password: %s %s", ADMIN_PASSWORD, why)
    return first


def show_password(password: str) -> None:
    """Print the password that was made up at the first start; it is shown this once."""
    print(
        f"The password of `admin` in the web admin is  {password}\n"
        "It is shown only now; `python sipserver.py admin password` sets another.",
        file=sys.stderr,
        flush=True,
    )
