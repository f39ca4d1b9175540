"""Prompts and output that the commands share: passwords, warnings, audit entries."""

import argparse
import getpass
import logging
import os
import pwd
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sip.config import CommandError, Config
from sip.store.audit import Act, Audit
from sip.store.database import Database, DatabaseError
from sip.store.passwords import make_password


def operator() -> str:
    """Return the name of the system user that runs this command, for the audit."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container the user may have a number only
        name = str(os.getuid())
    return f"{name} (command line)"


def main_realm(options: argparse.Namespace, config: Config, database: Database) -> str:
    """Return the main realm: the setting, else the realm stored in the database."""
    is_set = "sip.realm" in vars(options) or config.sip_realm != Config().sip_realm
    return config.sip_realm if is_set else database.remembered("realm") or config.sip_realm


def warn(sentence: str) -> None:
    """Print a warning on standard error."""
    print(f"warning: {sentence}", file=sys.stderr)


@contextmanager
def store_warnings() -> Iterator[None]:
    """Print warnings that the stores log during a command, for example a weak password."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    logger = logging.getLogger("sip.store")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def add_audit_entry(database: Database, act: Act, about: str) -> None:
    """Write an audit entry; if that fails, only warn, because the command itself is done."""
    try:
        Audit(database).add(act, operator(), about=about)
    except DatabaseError as error:
        warn(f"cannot write audit entry: {error}")


def take_password(options: argparse.Namespace, name: str) -> str:
    """Return the password of `name`: generated, from the flag, from stdin or from a prompt.

    Raises CommandError.
    """
    if options.generate:
        if sys.stdout is None:
            raise CommandError("standard output is closed; the password cannot be shown")
        return make_password()
    if options.password is not None:
        return str(options.password)
    if sys.stdin is None:
        raise CommandError("no password was given")
    try:
        if not sys.stdin.isatty():
            return sys.stdin.readline().rstrip("\r\n")
        password = getpass.getpass(f"Password for {name}: ")
        again = getpass.getpass("Repeat password: ")
    except EOFError:
        raise CommandError("no password was given") from None
    except UnicodeDecodeError:
        raise CommandError("the password is not UTF-8; choose another password") from None
    if password != again:
        raise CommandError("the two passwords are different; try again")
    return password


def show_generated(options: argparse.Namespace, password: str, undo: Callable[[], object]) -> None:
    """Print a generated password that is already set; print nothing else.

    If it cannot be printed, call `undo` and raise CommandError: an unknown password would lock the
    user out.
    """
    if not options.generate:
        return
    try:
        print(password, flush=True)
    except OSError as error:
        discard_output()
        undo()
        raise CommandError(
            f"cannot show the password, so it was not set: {error.strerror}"
        ) from None


def discard_output() -> None:
    """Discard buffered output; else Python reports the same write error again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
