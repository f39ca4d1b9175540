"""The `admin` commands: administrators of the web admin, passwords, roles, second factors."""

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping

from sip.cli.prompt import (
    add_audit_entry,
    discard_output,
    show_generated,
    store_warnings,
    take_password,
    warn,
)
from sip.config import CommandError, Config
from sip.store.admin_passwords import hash_password, password_weakness
from sip.store.admins import USERNAME, AdminError, Administrator, Admins
from sip.store.audit import Act
from sip.store.database import Database, DatabaseError
from sip.store.second_factor import SecondFactors
from sip.store.tokens import Role
from sip.times import rfc3339

_VARIABLE = "SIPSERVER_ADMIN_PASSWORD"


def execute(options: argparse.Namespace, config: Config, environment: Mapping[str, str]) -> int:
    """Execute one command and return the exit code.  Raises CommandError."""
    if options.action in _NEED_DATABASE:
        _check_database(config)
    try:
        _COMMANDS[options.action](options, config)
    except (AdminError, DatabaseError, ValueError) as error:
        raise CommandError(str(error)) from None
    except BrokenPipeError:  # the reader, for example `head`, has closed the pipe
        discard_output()
    if options.action == "password" and options.name == USERNAME and environment.get(_VARIABLE):
        warn(f"{_VARIABLE} is set, and replaces this password at the next start; change it too")
    return 0


def _check_database(config: Config) -> None:
    if not os.path.exists(config.db_path):
        raise CommandError(
            f"there is no database {config.db_path}; give the file of the server with -db.path"
        )


def _add(options: argparse.Namespace, config: Config) -> None:
    name, role = options.name, Role(options.role)
    password = take_password(options, name)
    password_hash = hash_password(password)
    with store_warnings(), Database(config.db_path) as database:
        admins = Admins(database)
        admins.add(name, role, password_hash)
        show_generated(options, password, lambda: admins.restore_password_hash(None, name))
        add_audit_entry(database, Act.ADMIN_ADDED, f"{name}, {role}")
    _warn_if_weak(password, name)


def _set_password(options: argparse.Namespace, config: Config) -> None:
    """Replace the password; the second factor stays."""
    name = options.name
    if name != USERNAME:  # `admin` is added if there is no administrator
        _check_exists(name, config)
    password = take_password(options, name)
    password_hash = hash_password(password)
    with store_warnings(), Database(config.db_path) as database:
        admins = Admins(database)
        former = admins.password_hash(name)
        admins.set_password_hash(password_hash, name)
        show_generated(options, password, lambda: admins.restore_password_hash(former, name))
        about = "all sessions ended" if name == USERNAME else f"{name}, all sessions ended"
        add_audit_entry(database, Act.PASSWORD_CHANGED, about)
    _warn_if_weak(password, name)


def _check_exists(name: str, config: Config) -> None:
    """Raise CommandError before the password is asked for."""
    _check_database(config)
    with store_warnings(), Database(config.db_path) as database:
        _existing(name, database)


def _existing(name: str, database: Database) -> Administrator:
    administrator = Admins(database).find(name)
    if administrator is None:
        raise AdminError(f"there is no administrator {name}; `admin list` shows all")
    return administrator


def _warn_if_weak(password: str, name: str) -> None:
    if why := password_weakness(password, name):
        warn(f"the password {why}")


def _list(options: argparse.Namespace, config: Config) -> None:
    with store_warnings(), Database(config.db_path) as database:
        admins = Admins(database).list()
    if options.json:
        rows = [
            {
                "name": each.name,
                "role": each.role,
                "second_factor": each.has_second_factor,
                "created_at": rfc3339(each.created_at),
                "seen_at": None if each.seen_at is None else rfc3339(each.seen_at),
            }
            for each in admins
        ]
        print(json.dumps(rows, indent=1))
        return
    for each in admins:
        factor = "second factor" if each.has_second_factor else "no second factor"
        seen = "never seen" if each.seen_at is None else f"seen {_local(each.seen_at)}"
        print(each.name, each.role, factor, seen, sep="\t")


def _local(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _remove(options: argparse.Namespace, config: Config) -> None:
    with store_warnings(), Database(config.db_path) as database:
        Admins(database).remove(options.name)
        add_audit_entry(database, Act.ADMIN_REMOVED, options.name)


def _set_role(options: argparse.Namespace, config: Config) -> None:
    """Change the role of an administrator, which ends the sessions."""
    name, role = options.name, Role(options.new_role)
    with store_warnings(), Database(config.db_path) as database:
        if _existing(name, database).role is role:
            raise AdminError(f"{name} has the role {role} already")
        Admins(database).set_role(name, role)
        add_audit_entry(database, Act.ADMIN_ROLE, f"{name}, {role}")


def _reset_factor(options: argparse.Namespace, config: Config) -> None:
    """Remove the second factor of an administrator, after a loss of phone and recovery codes."""
    name = options.name
    with store_warnings(), Database(config.db_path) as database:
        _existing(name, database)
        if not SecondFactors(database).turn_off(name):
            raise AdminError(f"{name} has no second factor")
        add_audit_entry(database, Act.FACTOR_RESET, name)


_NEED_DATABASE = ("list", "remove", "reset-factor", "role")
_COMMANDS: dict[str, Callable[[argparse.Namespace, Config], None]] = {
    "add": _add,
    "list": _list,
    "remove": _remove,
    "password": _set_password,
    "reset-factor": _reset_factor,
    "role": _set_role,
}
