"""The control socket of a running server: its path, its protocol, and the client.

A command sends one line of JSON: an object with the name of the command under "do".  The reply is
one line, an object; it has a sentence under "error" if the command failed.
"""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

# Maximum size of a line: a request names a user and an address, a reply may list thousands.
MAX_REQUEST_BYTES = 64 * 1024
MAX_REPLY_BYTES = 16 * 1024 * 1024
# Seconds that a command waits for its reply; the server may be waiting for the disk.
REPLY_TIMEOUT = 15.0
# Maximum length of the path of a Unix socket, without its closing zero byte (unix(7)).
MAX_PATH_BYTES = 107


class ControlError(Exception):
    """The server cannot be asked, or the command failed; the text is for the operator."""


class NotRunning(ControlError):
    """No server runs with this database."""


def control_path(database: str) -> str:
    """Return the path of the socket: beside the database file, with symbolic links resolved."""
    return f"{os.path.realpath(database)}.sock"


@contextmanager
def short_path(path: str) -> Iterator[str]:
    """Return a path that fits into the address of a Unix socket.  Raises OSError.

    A long path is reached by a descriptor of its directory, which is open meanwhile (Linux).
    """
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        yield path
        return
    directory, name = os.path.split(path)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def connect(path: str) -> socket.socket:
    """Connect to the server that listens at a path.  Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(REPLY_TIMEOUT)
        with short_path(path) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def read_line(connection: socket.socket, most: int) -> bytes:
    """Read a line, or up to the end of the connection.

    Raises OSError, or ValueError for a line of more than `most` bytes.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        some = connection.recv(65_536)
        if not some:
            break
        line += some
        if len(line) > most:
            raise ValueError(f"a line of more than {most} bytes")
    return bytes(line)


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as one line."""
    return json.dumps(message).encode() + b"\n"


def ask(database: str, **request: Any) -> dict[str, Any]:
    """Send a command to the server of a database and return its reply.

    Raises NotRunning, or ControlError.
    """
    path = control_path(database)
    try:
        with connect(path) as connection:
            connection.sendall(encode(request))
            reply = json.loads(read_line(connection, MAX_REPLY_BYTES))
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning(
            f"no server is running with the database {database}; start it, or choose the server's"
            " with -db.path"
        ) from None
    except PermissionError:
        raise ControlError(
            f"the server's socket {path} is not yours; run this as the server's user"
        ) from None
    except TimeoutError:
        raise ControlError(f"the server does not answer at {path}; its log may say why") from None
    except (OSError, ValueError) as error:
        raise ControlError(f"the server could not be asked at {path}: {error}") from None
    if not isinstance(reply, dict):
        raise ControlError(f"another program listens at {path}")
    with suppress(KeyError):
        raise ControlError(str(reply["error"]))
    return reply
