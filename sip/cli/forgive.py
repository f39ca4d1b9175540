"""The `forgive` command: unblock a user, through the control socket of the running server."""

import argparse
from contextlib import suppress

from sip.cli.prompt import add_audit_entry, warn
from sip.config import CommandError, Config
from sip.control.protocol import ControlError, ask
from sip.store.audit import Act
from sip.store.database import Database, DatabaseError


def forgive(options: argparse.Namespace, config: Config) -> int:
    """Unblock a user after wrong passwords, and return the exit code.  Raises CommandError."""
    try:
        reply = ask(config.db_path, do="forgive", user=options.user, address=options.address)
    except ControlError as error:
        raise CommandError(str(error)) from None
    banned = reply.get("banned", [])
    for address in reply.get("addresses", []):
        if address in banned:
            print(f"{address} is banned; `bans remove {address}` removes the ban")
        else:
            print(f"{options.user} is unblocked at {address}")
    about = f"{options.user} from {options.address}" if options.address else str(options.user)
    try:
        with Database(config.db_path) as database:
            add_audit_entry(database, Act.WAIT_LIFTED, about)
    except DatabaseError as error:
        warn(f"cannot write audit entry: {error}")
    return 0


def forgive_if_running(database: str, user: str) -> None:
    """Unblock a user on the server that uses this database, if one is running."""
    with suppress(ControlError):
        ask(database, do="forgive", user=user)
