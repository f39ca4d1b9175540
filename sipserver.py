"""The server's command line.  `python sipserver.py` runs the registrar, the proxy and the admin."""

from gevent import monkey

monkey.patch_all()

import sys

from sip.command_line import main
from sip.config import CommandError, Config

# The environment's way to set the web admin's password, for deploys without a terminal.
ADMIN_PASSWORD = "SIPSERVER_ADMIN_PASSWORD"  # noqa: S105 -- a name, no password

# How long a change made by another process, `users add` for one, may stay unnoticed, in seconds.
POLL_INTERVAL = 0.25

# How often deleted accounts that can no longer be brought back are looked for, in seconds.
FORGET_INTERVAL = 60.0

# The owner thread of the database hands the interpreter back this soon, in seconds, while it
# works through many rows: with Python's 5 ms no datagram would be read for as long.
SWITCH_INTERVAL = 0.0005


def run(config: Config) -> int:
    """Run the server until SIGTERM or SIGINT, and return the exit code."""
    # Imported here, for these take half a second and `-help` needs none of them.
    import gc
    import logging
    import os
    import signal
    import time
    from contextlib import ExitStack, closing

    import gevent
    from gevent.event import Event

    from sip.server import ListenError, SipServer
    from sip.store.admin import Admin
    from sip.store.bans import Bans
    from sip.store.bindings import Bindings
    from sip.store.database import Database, DatabaseError
    from sip.store.directory import Directory
    from sip.store.users import Users
    from webadmin import wsgi
    from webadmin.advice import advice
    from webadmin.app import build
    from webadmin.site import Site

    configure_logging(config)
    log = logging.getLogger("sipserver")
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopping.set)
    sys.setswitchinterval(SWITCH_INTERVAL)

    def notice_changes(database: Database, users: Users, bans: Bans) -> None:
        forget_at = 0.0
        while not stopping.wait(POLL_INTERVAL):
            try:
                if database.changed_elsewhere():
                    users.reload()
                    bans.reload()
                if time.monotonic() >= forget_at:
                    forget_at = time.monotonic() + FORGET_INTERVAL
                    users.forget_removed()
            except DatabaseError as error:
                log.error("accounts and bans may be out of date: %s", error)
            except Exception:
                # It must go on looking, whatever this was.
                log.exception("accounts and bans may be out of date")

    try:
        with ExitStack() as stack:
            database = stack.enter_context(Database(config.db_path))
            database.remember("realm", config.sip_realm)
            users = Users(database, config.sip_realm)
            admin = Admin(database)
            try:
                admin.first_password(os.environ.get(ADMIN_PASSWORD), show_password)
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
            server.start()
            stack.callback(server.stop)
            log.info("SIP listens on %s", config.sip_addr)
            site = Site(
                config,
                users,
                Directory(database, users),
                admin,
                server.location,
                bans,
                advice=lambda: tuple(advice(config, users, server.granted_buffers)),
            )
            stack.callback(site.close)
            stack.callback(wsgi.serve(config, build(site)).stop)
            log.info("web admin listens on %s", config.web_addr)
            stack.callback(gevent.spawn(notice_changes, database, users, bans).join)
            stack.callback(stopping.set)
            # What is alive now stays so: the collector need not look at it again, and with few
            # reference cycles about, it may look more rarely.
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            stopping.wait()
            log.info("stopping")
    except (DatabaseError, ListenError, wsgi.WebListenError) as error:
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
