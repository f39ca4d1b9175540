"""The `bans` commands: list and remove bans, trust networks."""

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sip.cli.prompt import discard_output, note, store_warnings, warn
from sip.config import CommandError, Config
from sip.control.protocol import ControlError, NotRunning, ask
from sip.store.audit import Act
from sip.store.bans import Bans, NoSuchBan
from sip.store.database import Database, DatabaseError


def execute(options: argparse.Namespace, config: Config) -> int:
    """Execute one command and return the exit code.  Raises CommandError."""
    if not os.path.exists(config.db_path):
        raise CommandError(
            f"there is no database {config.db_path}; give the file of the server with -db.path"
        )
    try:
        with store_warnings(), Database(config.db_path) as database:
            _COMMANDS[options.action or "list"](options, Bans(database))
    except (DatabaseError, NoSuchBan, ValueError) as error:
        raise CommandError(str(error)) from None
    except BrokenPipeError:  # the reader, for example `head`, has closed the pipe
        discard_output()
    return 0


def _list(options: argparse.Namespace, bans: Bans) -> None:
    for ban in bans.list(time.time()):
        print(ban.address, f"until {_local(ban.ends_at)}", ban.reason, sep="\t")
    for wait in _waits(bans):
        tries = f"user {wait['username']} blocked after {wait['tries']} wrong passwords"
        print(wait["address"], f"until {_local(wait['until'])}", tries, sep="\t")
    for network in bans.trusted():
        print(network, "trusted", "", sep="\t")


def _local(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _waits(bans: Bans) -> Sequence[Mapping[str, Any]]:
    """Ask the running server for users that are blocked at addresses that are not banned."""
    try:
        waits: Sequence[Mapping[str, Any]] = ask(bans.database.path, do="waits")["waits"]
    except NotRunning:  # only a running server has blocked users
        return ()
    except ControlError as error:
        warn(f"blocked users cannot be listed: {error}")
        return ()
    return [wait for wait in waits if not wait["is_banned"]]


def _remove(options: argparse.Namespace, bans: Bans) -> None:
    bans.remove(options.address)
    note(bans.database, Act.BAN_LIFTED, options.address)


def _trust(options: argparse.Namespace, bans: Bans) -> None:
    note(bans.database, Act.NETWORK_TRUSTED, bans.trust(options.address))


def _distrust(options: argparse.Namespace, bans: Bans) -> None:
    bans.distrust(options.address)
    note(bans.database, Act.NETWORK_DISTRUSTED, options.address)


_COMMANDS: dict[str, Callable[[argparse.Namespace, Bans], None]] = {
    "list": _list,
    "remove": _remove,
    "trust": _trust,
    "distrust": _distrust,
}
