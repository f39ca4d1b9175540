"""The file of the hooks: its owner and permissions, its changes, and its functions."""

import os
import stat
from collections.abc import Callable
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any, NamedTuple

# Octets of the file; a number plan of 10,000 lines has half of that.
MAX_OCTETS = 1024 * 1024
NAMES = ("route", "on_register", "on_call")

# Modification time in nanoseconds, inode and size; None if there is no file.
Stamp = tuple[int, int, int] | None
Hook = Callable[[Any], object]


class HookFileError(Exception):
    """The file cannot be used; the text is a clause for the log."""


class HookFunctions(NamedTuple):
    """The functions of a file, None for one that it does not define."""

    route: Hook | None = None
    on_register: Hook | None = None
    on_call: Hook | None = None

    def __str__(self) -> str:
        return ", ".join(name for name in NAMES if getattr(self, name) is not None)


def stamp_of(path: str) -> Stamp:
    """Return what changes with the file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def read(path: str) -> bytes:
    """Return the octets of the file.  Raises HookFileError.

    It runs with all rights of the server, so only root and the server's own user may own it, and
    no other user may write it.
    """
    try:
        # Without O_NONBLOCK a FIFO would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise HookFileError(f"cannot read {path}: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise HookFileError(f"{path} is no regular file")
        if found.st_uid not in (0, os.geteuid()):
            raise HookFileError(
                f"{path} belongs to another user; chown it to root or to the user of the server"
            )
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise HookFileError(f"{path} can be written by other users; run: chmod go-w {path}")
        if found.st_size > MAX_OCTETS:
            raise HookFileError(f"{path} is larger than {MAX_OCTETS} octets")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_OCTETS)
    finally:
        os.close(descriptor)


def run(source: bytes, path: str) -> HookFunctions:
    """Run the file as a module, and return its functions.  Raises HookFileError.

    The code of the operator may do anything, and take any time.
    """
    module = ModuleType("sipserver_hooks")
    module.__file__ = path
    try:
        code = compile(source, path, "exec")
        exec(code, module.__dict__)  # noqa: S102 -- this is what the setting is for
    except SyntaxError as error:
        raise HookFileError(f"{path}, line {error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- any error of the operator's code
        raise HookFileError(f"{path}: {describe(error, path)}") from None
    found: dict[str, Hook] = {}
    for name in NAMES:
        function = getattr(module, name, None)
        if function is None:
            continue
        if not callable(function) or iscoroutinefunction(function):
            raise HookFileError(f"{path}: {name} must be a plain function")
        found[name] = function
    if not found:
        raise HookFileError(f"{path} defines none of {', '.join(NAMES)}")
    return HookFunctions(**found)


def describe(error: BaseException, path: str) -> str:
    """Return an error of the operator's code as one line, with its line in the file."""
    text = " ".join(str(error).split())[:200]
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f" (line {line})" if line else ""
    return f"{type(error).__name__}: {text}{where}" if text else f"{type(error).__name__}{where}"
