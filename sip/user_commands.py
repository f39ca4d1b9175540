"""What `users ...` does: accounts, from a terminal or a script."""

import argparse
import getpass
import os
import secrets
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import BinaryIO, TextIO

from sip.config import CommandError, Config
from sip.store.database import Database, DatabaseError
from sip.store.importing import BadFile, Report, export_accounts, import_accounts
from sip.store.users import NoSuchUser, UserExists, Users

# Refusals shown before the rest is only counted: a terminal's height.
_SHOWN = 20


def execute(options: argparse.Namespace, config: Config) -> int:
    """Carry one command out.  Raises CommandError with the sentence for the operator."""
    command: Callable[[argparse.Namespace, Users], int] = _COMMANDS[options.action]
    try:
        with Database(config.db_path) as database:
            users = Users(database, config.sip_realm)
            if users.warning:
                print(f"warning: {users.warning}", file=sys.stderr)
            return command(options, users)
    except (DatabaseError, UserExists, NoSuchUser, ValueError, BadFile) as error:
        raise CommandError(str(error)) from None
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _add(options: argparse.Namespace, users: Users) -> int:
    password = _password(options)
    users.add(options.name, password, options.realm)
    _show_generated(options, password)
    return 0


def _set_password(options: argparse.Namespace, users: Users) -> int:
    password = _password(options)
    users.set_password(options.name, password, options.realm)
    _show_generated(options, password)
    return 0


def _remove(options: argparse.Namespace, users: Users) -> int:
    users.remove(options.name, options.realm)
    return 0


def _enable(options: argparse.Namespace, users: Users) -> int:
    users.enable(options.name, options.realm)
    return 0


def _disable(options: argparse.Namespace, users: Users) -> int:
    users.disable(options.name, options.realm)
    return 0


def _list(options: argparse.Namespace, users: Users) -> int:
    for account in users.list():
        realm = account.realm or users.realm
        if options.realm in (None, realm):
            state = "enabled" if account.enabled else "disabled"
            print(account.username, realm, state, account.display_name, sep="\t")
    return 0


def _import(options: argparse.Namespace, users: Users) -> int:
    with ExitStack() as stack:
        file: BinaryIO = sys.stdin.buffer
        if options.file != "-":
            try:
                file = stack.enter_context(open(options.file, "rb"))
            except OSError as error:
                raise CommandError(f"cannot read {options.file}: {error.strerror}") from None
        try:
            report = import_accounts(
                users, file, update=options.update, dry_run=options.dry_run, progress=_progress
            )
        except OSError as error:
            raise CommandError(f"cannot read {options.file}: {error.strerror}") from None
        finally:
            _clear_progress()
    _show(report)
    if report.refused:
        raise CommandError("nothing was imported; mend the refused rows and try again")
    return 0


def _export(options: argparse.Namespace, users: Users) -> int:
    with ExitStack() as stack:
        file: TextIO = sys.stdout
        try:
            if options.file != "-":
                file = stack.enter_context(
                    open(options.file, "w", encoding="utf-8", newline="", opener=_private)
                )
            export_accounts(users, file, with_hashes=options.with_hashes)
            file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandError(f"cannot write {options.file}: {error.strerror}") from None
    return 0


def _private(path: str, flags: int) -> int:
    """Open a file that, where it is new, only its owner may read."""
    return os.open(path, flags, 0o600)


def _password(options: argparse.Namespace) -> str:
    """Take the password from where the command line says it is."""
    if options.generate:
        return secrets.token_urlsafe(12)  # 96 bits
    if options.password is not None:
        return str(options.password)
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    try:
        password = getpass.getpass(f"Password for {options.name}: ")
        again = getpass.getpass("Once more: ")
    except EOFError:
        raise CommandError("no password was given") from None
    if password != again:
        raise CommandError("the two passwords differ; try again")
    return password


def _show_generated(options: argparse.Namespace, password: str) -> None:
    if options.generate:
        print(password)


def _show(report: Report) -> None:
    for line, reason in report.refused[:_SHOWN]:
        print(f"line {line}: {reason}")
    if len(report.refused) > _SHOWN:
        print(f"and {len(report.refused) - _SHOWN} more")
    print(
        f"{report.new} new, {report.changed} changed, {report.same} same,"
        f" {len(report.refused)} refused"
    )
    if report.weak:
        print(f"{report.weak} weak passwords: 6 characters or fewer, or digits alone")


def _progress(rows: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{rows} rows read", end="", file=sys.stderr, flush=True)


def _clear_progress() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


_COMMANDS = {
    "add": _add,
    "password": _set_password,
    "remove": _remove,
    "enable": _enable,
    "disable": _disable,
    "list": _list,
    "import": _import,
    "export": _export,
}
