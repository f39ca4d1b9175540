"""The `users` commands: manage, list, import and export accounts."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any, BinaryIO, TextIO

from sip.cli.forgive import forgive_if_running
from sip.cli.prompt import (
    add_audit_entry,
    discard_output,
    main_realm,
    show_generated,
    store_warnings,
    take_password,
    warn,
)
from sip.config import CommandError, Config
from sip.operator_values import parse_switch
from sip.serializers.users import user_json
from sip.store.accounts import full_name, normalized
from sip.store.audit import Act
from sip.store.call_changes import call_settings, change_call_settings, unknown_targets
from sip.store.call_settings import TARGETS
from sip.store.database import Database, DatabaseError
from sip.store.directory import Directory
from sip.store.importing import (
    BadFile,
    Report,
    export_accounts,
    import_accounts,
    password_blocks,
)
from sip.store.passwords import WEAK
from sip.store.users import Account, NoSuchUser, UserExists, Users

# Fields of the call settings that `users set` changes.
CALL_SETTINGS = ("aliases", "dnd", *TARGETS, "no_answer_seconds")
# Refused rows that are printed, about one terminal page; more are only counted.
_SHOWN = 20
_REFUSED = "nothing was imported; correct the refused rows and try again"
# Accounts that are read from the database at a time.
_PIECE = 500
# Commands that may create the database; for others a missing file means a wrong -db.path.
_CREATING = ("add", "import", "list")
# Commands that unblock a user after wrong passwords, even if the password is the same as before.
_UNBLOCKING = ("add", "password", "enable")


def execute(options: argparse.Namespace, config: Config) -> int:
    """Execute one command and return the exit code.  Raises CommandError."""
    command: Callable[[argparse.Namespace, Users], int] = _COMMANDS[options.action]
    if options.action not in _CREATING and not os.path.exists(config.db_path):
        raise CommandError(
            f"there is no database {config.db_path}; give the file of the server with -db.path"
        )
    try:
        with store_warnings(), Database(config.db_path) as database:
            users = Users(database, main_realm(options, config, database))
            if users.warning:
                warn(users.warning)
            code = command(options, users)
            if options.action in _UNBLOCKING:
                forgive_if_running(config.db_path, options.name)
            return code
    except (DatabaseError, UserExists, NoSuchUser, ValueError, BadFile) as error:
        raise CommandError(str(error)) from None
    except BrokenPipeError:  # the reader, for example `head`, has closed the pipe
        discard_output()
        return 0
    except OSError as error:
        discard_output()
        raise CommandError(f"cannot write the output: {error.strerror}") from None


def _add(options: argparse.Namespace, users: Users) -> int:
    name, realm = options.name, options.realm
    password = take_password(options, name)
    users.add(name, password, realm)
    show_generated(options, password, lambda: users.remove(name, realm))
    add_audit_entry(users.database, Act.USER_ADDED, _named(options))
    return 0


def _set_password(options: argparse.Namespace, users: Users) -> int:
    name, realm = options.name, options.realm
    password = take_password(options, name)
    former = users.secrets(name, realm)
    users.set_password(name, password, realm)
    show_generated(options, password, lambda: users.restore_secrets(name, realm, former))
    add_audit_entry(users.database, Act.USER_PASSWORD, _named(options))
    return 0


def _named(options: argparse.Namespace) -> str:
    return full_name(normalized(options.name), options.realm)


def _remove(options: argparse.Namespace, users: Users) -> int:
    users.remove(options.name, options.realm)
    add_audit_entry(users.database, Act.USER_DELETED, _named(options))
    return 0


def _enable(options: argparse.Namespace, users: Users) -> int:
    users.enable(options.name, options.realm)
    add_audit_entry(users.database, Act.USER_ENABLED, _named(options))
    return 0


def _disable(options: argparse.Namespace, users: Users) -> int:
    users.disable(options.name, options.realm)
    add_audit_entry(users.database, Act.USER_DISABLED, _named(options))
    return 0


def _set(options: argparse.Namespace, users: Users) -> int:
    """Change call settings, or print those of the user if no flag says what to change."""
    changes: dict[str, Any] = {
        field: getattr(options, field) for field in CALL_SETTINGS if field in vars(options)
    }
    changes |= {field: "" for field in TARGETS if changes.get(field) in ("off", "none", "-")}
    if "aliases" in changes:
        changes["aliases"] = changes["aliases"].replace(",", " ").split()
    if "dnd" in changes:
        changes["dnd"] = parse_switch(changes["dnd"])
    if not changes:
        settings = call_settings(users, options.name, options.realm)
        print(json.dumps(settings.as_json(), indent=1))
        return 0
    settings = change_call_settings(users, options.name, changes, options.realm)
    targets = [getattr(settings, field) for field in TARGETS if field in changes]
    for target in unknown_targets(users, targets, options.realm):
        warn(f"there is no user, alias or group {target}; calls cannot be forwarded there")
    about = f"{_named(options)}: {settings.text_of(changes)}"
    add_audit_entry(users.database, Act.USER_CALLS, about)
    return 0


def _list(options: argparse.Namespace, users: Users) -> int:
    shown = [
        account for account in users.list() if options.realm in (None, account.realm or users.realm)
    ]
    if options.json:
        _print_json(shown, users)
        return 0
    for account in shown:
        state = "enabled" if account.enabled else "disabled"
        print(account.username, account.realm or users.realm, state, account.display_name, sep="\t")
    return 0


def _print_json(accounts: Sequence[Account], users: Users) -> None:
    """Print a JSON array with one account per line, in ASCII for any locale."""
    directory, comma = Directory(users.database, users), ""
    print("[", end="")
    for first in range(0, len(accounts), _PIECE):
        numbers = [account.id for account in accounts[first : first + _PIECE]]
        for entry in directory.entries(numbers):
            print(comma, json.dumps(user_json(entry)), sep="\n", end="")
            comma = ","
    print("\n]" if comma else "]")


def _import(options: argparse.Namespace, users: Users) -> int:
    if options.generate and not options.dry_run and sys.stdout is None:
        raise CommandError("standard output is closed; generated passwords cannot be shown")
    with ExitStack() as stack:
        if options.file == "-":
            if sys.stdin is None:
                raise CommandError("standard input is closed; give the name of a file")
            file: BinaryIO = sys.stdin.buffer
        else:
            try:
                file = stack.enter_context(open(options.file, "rb"))
            except OSError as error:
                raise CommandError(f"cannot read {options.file}: {error.strerror}") from None
        try:
            report = import_accounts(
                users,
                file,
                update=options.update,
                generate=options.generate,
                skip_unknown=options.skip_unknown,
                encoding=options.encoding,
                dry_run=options.dry_run,
                progress=_progress,
            )
        except OSError as error:
            raise CommandError(f"cannot read {options.file}: {error.strerror}") from None
        finally:
            _clear_progress()
    # If there are generated passwords, standard output gets only these: it may be a CSV file.
    _show(
        report,
        sys.stderr if report.passwords else sys.stdout,
        changes=options.dry_run,
        skips_unknown=options.skip_unknown,
    )
    if report.written:
        add_audit_entry(users.database, Act.IMPORTED, report.summary)
    if report.passwords:
        _print_passwords(report)
    if report.refused:
        raise CommandError("; ".join((_REFUSED, *_hints(report))))
    return 0


def _hints(report: Report) -> Iterator[str]:
    """Yield the flags with which the refused rows or columns would be accepted."""
    if report.lacks_update:
        yield "--update changes existing users"
    if report.lacks_passwords:
        yield "--generate generates missing passwords of new users"
    if report.has_refused_columns:
        yield "--skip-unknown ignores unknown columns"
    if report.has_guessed_encoding:
        yield f"--encoding {report.encoding.lower()} accepts this encoding"


def _print_passwords(report: Report) -> None:
    """Print the generated passwords, which are already stored, as CSV."""
    try:
        sys.stdout.writelines(password_blocks(report.passwords))
        sys.stdout.flush()
    except OSError as error:
        discard_output()
        raise CommandError(
            f"users imported, but the generated passwords cannot be shown: {error.strerror};"
            " set new passwords with `users password NAME --generate`"
        ) from None


def _export(options: argparse.Namespace, users: Users) -> int:
    add_audit_entry(
        users.database, Act.EXPORTED, "with HA1s" if options.with_hashes else "without HA1s"
    )
    if options.file == "-":
        export_accounts(users, sys.stdout, with_hashes=options.with_hashes)
        sys.stdout.flush()
        return 0
    try:
        if os.path.exists(options.file) and not os.path.isfile(options.file):
            with open(options.file, "w", encoding="utf-8", newline="") as file:
                export_accounts(users, file, with_hashes=options.with_hashes)
        else:
            _export_whole(options, users)
    except OSError as error:
        raise CommandError(f"cannot write {options.file}: {error.strerror}") from None
    return 0


def _export_whole(options: argparse.Namespace, users: Users) -> None:
    """Write a temporary file and rename it when complete; only its owner may read it."""
    if os.path.isfile(options.file):
        with open(options.file, "rb") as old:
            if old.read(16) == b"SQLite format 3\0":
                raise CommandError(
                    f"{options.file} is a database; choose another file for the export"
                )
    # mkstemp makes a new file that only its owner can read.
    descriptor, beside = tempfile.mkstemp(dir=os.path.dirname(options.file) or ".")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            export_accounts(users, file, with_hashes=options.with_hashes)
        os.replace(beside, options.file)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _show(report: Report, output: TextIO, *, changes: bool, skips_unknown: bool) -> None:
    """Print a report; with `changes`, also the changes of each row.

    With `skips_unknown`, also the ignored columns; without it they are among the refusals.
    """

    def show(text: str) -> None:
        print(text, file=output)

    for line, reason in report.refused[:_SHOWN]:
        show(f"line {line}: {reason}")
    if report.refusals > _SHOWN:
        show(f"and {report.refusals - _SHOWN} more")
    if changes:
        for line, username, fields in report.changes:
            show(f"line {line}: {username} changes: {', '.join(fields)}")
        if report.changed > len(report.changes):
            show(f"and {report.changed - len(report.changes)} more changes")
    show(
        f"{report.new} new, {report.changed} changed, {report.same} same, {report.refusals} refused"
    )
    if report.generated:
        show(f"generated passwords for new users: {report.generated}")
    if report.weak:
        show(f"{report.weak} weak passwords: {WEAK}")
    for line, text in report.remarks[:_SHOWN]:
        show(f"warning: line {line}: {text}")
    remarks = len(report.remarks) + report.remarks_more
    if remarks > _SHOWN:
        show(f"and {remarks - _SHOWN} more warnings")
    if report.encoding != "UTF-8":
        show(f"encoding: {report.encoding}")
    if report.unknown and skips_unknown:
        show(f"unknown columns, ignored: {', '.join(report.unknown)}")
    for remark in report.notes:
        show(f"columns: {remark}")


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
    "set": _set,
    "list": _list,
    "import": _import,
    "export": _export,
}
