"""Commands that ask the running server, by its control socket."""

import argparse
from contextlib import suppress

from sip.cli.prompt import note, warn
from sip.config import CommandError, Config
from sip.control.protocol import ControlError, ask
from sip.store.audit import Act
from sip.store.database import Database, DatabaseError


def forgive(options: argparse.Namespace, config: Config) -> int:
    """Lift the waits of a user after wrong passwords.  Raises CommandError."""
    try:
        reply = ask(config.db_path, do="forgive", user=options.user, address=options.address)
    except ControlError as error:
        raise CommandError(str(error)) from None
    banned = reply.get("banned", [])
    for address in reply.get("addresses", []):
        if address in banned:
            print(f"{address} is banned as a whole: `bans remove {address}` lifts that")
        else:
            print(f"{options.user} may try again from {address}")
    about = f"{options.user} from {options.address}" if options.address else str(options.user)
    try:
        with Database(config.db_path) as database:
            note(database, Act.WAIT_LIFTED, about)
    except DatabaseError as error:
        warn(f"this is missing in the audit: {error}")
    return 0


def forgive_if_running(database: str, user: str) -> None:
    """Lift the waits of a user at the server that runs with a database, if one does."""
    with suppress(ControlError):
        ask(database, do="forgive", user=user)
