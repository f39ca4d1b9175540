"""What commands share: where a password comes from, and how one that was made is shown."""

import argparse
import getpass
import os
import pwd
import sys
from collections.abc import Callable

from sip.config import CommandError


def operator() -> str:
    """Say who runs this command, by the name that the system has for them."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container a number may be all there is
        name = str(os.getuid())
    return f"{name} (command line)"


def take_password(options: argparse.Namespace, name: str, make: Callable[[], str]) -> str:
    """Take the password of `name` from where the command line says it is, or `make` one."""
    if options.generate:
        return make()
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


def show_generated(options: argparse.Namespace, password: str) -> None:
    """Show it before it is set: one that nobody has seen would lock its user out."""
    if not options.generate:
        return
    if sys.stdout is None:
        raise CommandError("there is no output to show the password on")
    try:
        print(password, flush=True)
    except OSError as error:
        discard_output()
        raise CommandError(
            f"cannot show the password, so it was not set: {error.strerror}"
        ) from None


def discard_output() -> None:
    """Throw away what could not be written, or Python would fail of it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
