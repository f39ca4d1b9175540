"""The `tokens` commands: add, list and remove the tokens of the API and of /metrics."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable

from sip.cli.prompt import add_audit_entry, discard_output, store_warnings
from sip.config import CommandError, Config
from sip.store.audit import Act
from sip.store.database import Database, DatabaseError
from sip.store.tokens import Role, TokenError, Tokens
from sip.times import rfc3339


def execute(options: argparse.Namespace, config: Config) -> int:
    """Execute one command and return the exit code.  Raises CommandError."""
    if options.action != "add" and not os.path.exists(config.db_path):
        raise CommandError(
            f"there is no database {config.db_path}; give the file of the server with -db.path"
        )
    try:
        with store_warnings(), Database(config.db_path) as database:
            _COMMANDS[options.action](options, database)
    except (DatabaseError, TokenError) as error:
        raise CommandError(str(error)) from None
    except BrokenPipeError:  # the reader, for example `head`, has closed the pipe
        discard_output()
    return 0


def _add(options: argparse.Namespace, database: Database) -> None:
    """Add a token and print it alone; one that cannot be printed is removed again."""
    if sys.stdout is None:
        raise CommandError("standard output is closed; the token cannot be shown")
    tokens, role = Tokens(database), Role(options.role)
    token = tokens.add(options.name, role)
    try:
        print(token, flush=True)
    except OSError as error:
        discard_output()
        tokens.remove(options.name)
        raise CommandError(
            f"cannot show the token, so it was not added: {error.strerror}"
        ) from None
    add_audit_entry(database, Act.TOKEN_ADDED, f"{options.name}, {role}")


def _list(options: argparse.Namespace, database: Database) -> None:
    tokens = Tokens(database).list()
    if options.json:
        rows = [
            {
                "name": token.name,
                "role": token.role,
                "created_at": rfc3339(token.created_at),
                "used_at": None if token.used_at is None else rfc3339(token.used_at),
            }
            for token in tokens
        ]
        print(json.dumps(rows, indent=1))
        return
    for token in tokens:
        used = "never used" if token.used_at is None else f"used {_local(token.used_at)}"
        print(token.name, token.role, f"added {_local(token.created_at)}", used, sep="\t")


def _local(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _remove(options: argparse.Namespace, database: Database) -> None:
    Tokens(database).remove(options.name)
    add_audit_entry(database, Act.TOKEN_REMOVED, options.name)


_COMMANDS: dict[str, Callable[[argparse.Namespace, Database], None]] = {
    "add": _add,
    "list": _list,
    "remove": _remove,
}
