"""The `groups` commands: add, list and remove groups of users."""

import argparse
import json
import os
from collections.abc import Callable

from sip.cli.prompt import add_audit_entry, discard_output, main_realm, store_warnings
from sip.config import CommandError, Config
from sip.store.accounts import UserExists, full_name
from sip.store.audit import Act
from sip.store.database import Database, DatabaseError
from sip.store.groups import Groups, NoSuchGroup
from sip.store.users import Users


def execute(options: argparse.Namespace, config: Config) -> int:
    """Execute one command and return the exit code.  Raises CommandError."""
    if not os.path.exists(config.db_path):
        raise CommandError(
            f"there is no database {config.db_path}; give the file of the server with -db.path"
        )
    try:
        with store_warnings(), Database(config.db_path) as database:
            users = Users(database, main_realm(options, config, database))
            _COMMANDS[options.action](options, users)
    except (DatabaseError, UserExists, NoSuchGroup, ValueError) as error:
        raise CommandError(str(error)) from None
    except BrokenPipeError:  # the reader, for example `head`, has closed the pipe
        discard_output()
    return 0


def _add(options: argparse.Namespace, users: Users) -> None:
    group = Groups(users).add(
        options.name,
        options.members.split(","),
        options.realm,
        strategy=options.strategy,
        seconds=options.seconds,
        then=options.then,
    )
    about = f"{full_name(group.name, group.realm)}: {', '.join(group.members)}"
    add_audit_entry(users.database, Act.GROUP_ADDED, about)


def _list(options: argparse.Namespace, users: Users) -> None:
    groups = Groups(users).list(options.realm)
    if options.json:
        print(json.dumps([group.as_json(users.realm) for group in groups], indent=1))
        return
    for group in groups:
        then = f"then {group.then}" if group.then else ""
        ringing = f"{group.strategy}, {group.seconds} s"
        members = ", ".join(group.members)
        print(group.name, group.realm or users.realm, ringing, members, then, sep="\t")


def _remove(options: argparse.Namespace, users: Users) -> None:
    groups = Groups(users)
    group = groups.remove(groups.named(options.name, options.realm).id)
    add_audit_entry(users.database, Act.GROUP_REMOVED, full_name(group.name, group.realm))


_COMMANDS: dict[str, Callable[[argparse.Namespace, Users], None]] = {
    "add": _add,
    "list": _list,
    "remove": _remove,
}
