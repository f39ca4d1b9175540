"""The `bans` commands: list and remove bans, trust networks."""

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sip.cli.prompt import add_audit_entry, discard_output, store_warnings, warn
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
    for login in _blocked_logins(bans):
        tries = f"user {login['username']} blocked after {login['tries']} wrong passwords"
        print(login["address"], f"until {_local(login['until'])}", tries, sep="\t")
    for network in bans.trusted():
        print(network, "trusted", "", sep="\t")


def _local(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _blocked_logins(bans: Bans) -> Sequence[Mapping[str, Any]]:
    """Ask the running server for users that are blocked at addresses that are not banned."""
    try:
        reply = ask(bans.database.path, do="blocked_logins")
    except NotRunning:  # only a running server has blocked users
        return ()
    except ControlError as error:
        warn(f"blocked users cannot be listed: {error}")
        return ()
    logins: Sequence[Mapping[str, Any]] = reply["blocked_logins"]
    return [login for login in logins if not login["is_banned"]]


def _remove(options: argparse.Namespace, bans: Bans) -> None:
    bans.remove(options.address)
    add_audit_entry(bans.database, Act.BAN_LIFTED, options.address)


def _trust(options: argparse.Namespace, bans: Bans) -> None:
    add_audit_entry(bans.database, Act.NETWORK_TRUSTED, bans.trust(options.address))


def _distrust(options: argparse.Namespace, bans: Bans) -> None:
    bans.distrust(options.address)
    add_audit_entry(bans.database, Act.NETWORK_DISTRUSTED, options.address)


_COMMANDS: dict[str, Callable[[argparse.Namespace, Bans], None]] = {
    "list": _list,
    "remove": _remove,
    "trust": _trust,
    "distrust": _distrust,
}
