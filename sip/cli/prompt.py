"""What commands share: passwords in and out, warnings, and the audit."""

import argparse
import getpass
import logging
import os
import pwd
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sip.config import CommandError
from sip.store.audit import Act, Audit
from sip.store.database import Database, DatabaseError
from sip.store.passwords import make_password


def operator() -> str:
    """Say who runs this command, by the name that the system has for them."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container a number may be all there is
        name = str(os.getuid())
    return f"{name} (command line)"


def warn(sentence: str) -> None:
    """Print a warning on standard error."""
    print(f"warning: {sentence}", file=sys.stderr)


@contextmanager
def store_warnings() -> Iterator[None]:
    """Print what the stores log as a warning, a weak password for one, while a command runs."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    logger = logging.getLogger("sip.store")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def note(database: Database, act: Act, about: str) -> None:
    """Enter in the audit what was done; that it was done holds in any case."""
    try:
        Audit(database).note(act, operator(), about=about)
    except DatabaseError as error:
        warn(f"this is missing in the audit: {error}")


def take_password(options: argparse.Namespace, name: str) -> str:
    """Take the password of `name` from where the command line says it is, or generate one."""
    if options.generate:
        if sys.stdout is None:
            raise CommandError("there is no output to show the password on")
        return make_password()
    if options.password is not None:
        return str(options.password)
    if sys.stdin is None:
        raise CommandError("no password was given")
    try:
        if not sys.stdin.isatty():
            return sys.stdin.readline().rstrip("\r\n")
        password = getpass.getpass(f"Password for {name}: ")
        again = getpass.getpass("Once more: ")
    except EOFError:
        raise CommandError("no password was given") from None
    except UnicodeDecodeError:
        raise CommandError("the password is not UTF-8; choose another, or convert it") from None
    if password != again:
        raise CommandError("the two passwords differ; try again")
    return password


def show_generated(options: argparse.Namespace, password: str, undo: Callable[[], object]) -> None:
    """Print a generated password, which is set already, and nothing else.

    Where it cannot be printed `undo` is called: a password that nobody has seen locks its user out.
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
    """Throw away what could not be written, or Python would fail of it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
