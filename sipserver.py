"""The server's command line.  `python sipserver.py` runs the registrar, the proxy and the admin."""

from gevent import monkey

monkey.patch_all()

import sys

from sip.command_line import main
from sip.config import CommandError, Config

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
    # Imported here, for these take half a second and `-help` needs none of them.
    import gc
    import logging
    import os
    import signal
    import time
    from contextlib import ExitStack, closing

    import gevent
    from gevent.event import Event

    from sip import supervisor
    from sip.command_line import settings
    from sip.reread import reread
    from sip.server import ListenError, SipServer
    from sip.store.admin import Admin
    from sip.store.audit import Act, Audit
    from sip.store.bans import Bans
    from sip.store.bindings import Bindings
    from sip.store.database import Database, DatabaseError
    from sip.store.directory import Directory
    from sip.store.users import Users
    from webadmin import wsgi
    from webadmin.advice import advice
    from webadmin.app import build
    from webadmin.site import Site
    from webadmin.exposure import is_exposed
    from webadmin.tls import CertificateError

    configure_logging(config)
    log = logging.getLogger("sipserver")
    stopping, hung_up = Event(), Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopping.set)
    gevent.signal_handler(signal.SIGHUP, hung_up.set)
    sys.setswitchinterval(SWITCH_INTERVAL)

    def notice_changes(database: Database, users: Users, bans: Bans) -> None:
        forget_at = 0.0
        has_changed, trouble = False, ""
        while not stopping.wait(POLL_INTERVAL):
            try:
                has_changed = database.changed_elsewhere() or has_changed
                if has_changed:
                    users.reload()
                    bans.reload()
                has_changed, trouble = False, ""
                if time.monotonic() >= forget_at:
                    forget_at = time.monotonic() + FORGET_INTERVAL
                    users.forget_removed()
            except DatabaseError as error:
                if str(error) != trouble:  # it is tried on and on, and said once
                    trouble = str(error)
                    log.error("accounts and bans may be out of date: %s", error)
            except Exception:
                # It must go on looking, whatever this was.
                log.exception("accounts and bans may be out of date")

    def read_anew(server: SipServer, site: Site) -> None:
        while hung_up.wait():
            hung_up.clear()
            supervisor.tell(supervisor.reloading())
            try:
                outcome = reread(site.config, settings(sys.argv[1:]))
            except CommandError as error:
                log.error("the settings stay as they are: %s", error)
            else:
                site.config = outcome.config
                configure_logging(site.config)
                server.take_over(site.config)
                log.info("the settings are read anew; %s", outcome)
            try:
                site.users.reload()
            except DatabaseError as error:
                log.error("the accounts stay as they are: %s", error)
            supervisor.tell(supervisor.READY)

    try:
        with ExitStack() as stack:
            database = stack.enter_context(Database(config.db_path))
            database.remember("realm", config.sip_realm)
            users = Users(database, config.sip_realm)
            admin, audit = Admin(database), Audit(database)
            environment_password = os.environ.get(ADMIN_PASSWORD)
            try:
                if admin.first_password(environment_password, show_password):
                    audit.note(Act.PASSWORD_CHANGED, SERVER, about="at its start")
            except ValueError as error:
                raise CommandError(f"{ADMIN_PASSWORD} cannot be used: {error}") from None
            if not len(users):
                log.info(
                    "there are no users yet: add one with `python sipserver.py users add NAME`,"
                    " or in the web admin"
                )
            if users.warning:
                log.warning(users.warning)
            bindings = stack.enter_context(closing(Bindings(database)))
            server = SipServer(config, users, bindings, database.secret("ticket"))
            bans = Bans(database)
            bans.on_change, server.guard.on_ban = server.guard.know, bans.keep
            bans.reload()
            stack.callback(server.stop)
            server.start()
            log.info("SIP listens on %s", config.sip_addr)
            site = Site(
                config,
                users,
                Directory(database, users),
                admin,
                audit,
                server.location,
                bans,
                environment_password=bool(environment_password),
                advice=lambda: tuple(advice(site.config, users, server.granted_buffers)),
            )
            stack.callback(site.close)
            web = wsgi.serve(config, build(site))
            stack.callback(web.stop)
            scheme = "HTTPS" if config.web_cert else "HTTP"
            log.info("web admin listens on %s, %s", config.web_addr, scheme)
            if is_exposed(config):
                log.warning(
                    "the web admin can be reached from other machines, and is not encrypted: set"
                    " -web.cert and -web.key, or -web.addr 127.0.0.1:%d behind a proxy with TLS",
                    config.web_addr.port,
                )
            server.load()  # last: who hears from SIP finds the pages, too
            stack.callback(gevent.spawn(notice_changes, database, users, bans).join)
            stack.callback(stopping.set)
            # What is alive now stays so: the collector need not look at it again, and with few
            # reference cycles about, it may look more rarely.
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            stack.callback(gevent.spawn(read_anew, server, site).kill)
            supervisor.tell(supervisor.READY)
            stopping.wait()
            supervisor.tell(supervisor.STOPPING)
            log.info("stopping")
            gevent.joinall([gevent.spawn(server.see_off), gevent.spawn(web.stop)])
    except (DatabaseError, ListenError, wsgi.WebListenError, CertificateError) as error:
        raise CommandError(str(error)) from None
    return 0


def show_password(password: str) -> None:
    """Print the password that was made up at the first start; it is shown this once."""
    print(
        f"The password of `admin` in the web admin is  {password}\n"
        "It is shown only now; `python sipserver.py admin password` sets another.",
        file=sys.stderr,
        flush=True,
    )


def configure_logging(config: Config) -> None:
    """Write log lines to stderr in the shape and from the weight that the settings ask for."""
    import json
    import logging

    class JsonFormatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            line = {
                "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
                "level": record.levelname.lower(),
                "source": record.name,
                "message": record.getMessage(),
            }
            if record.exc_info:
                line["trace"] = self.formatException(record.exc_info)
            return json.dumps(line, ensure_ascii=False)

    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if config.log_format == "json" else text)
    logging.basicConfig(level=config.log_level.upper(), handlers=[handler], force=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], run))
