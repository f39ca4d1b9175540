"""The server side of the control socket: a few commands of the operator at a time."""

import errno
import json
import logging
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from gevent import Timeout, socket
from gevent.server import StreamServer

from sip.control.protocol import MAX_REQUEST_BYTES, connect, encode, read_line, short_path

log = logging.getLogger(__name__)

# Commands handled at one time; others wait in the backlog.
MAX_COMMANDS = 8
# Seconds that a command has to send its request, and again to read the reply.
SECONDS_TO_ASK = 5.0

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Refusal(Exception):
    """The command cannot be done; the text is for the operator."""


class ControlServer:
    """Listens at `path` and calls the handler of each command, by the command's name.

    The socket has mode 0600: only the server's user and root can connect.  A handler gets the
    request and returns the reply; it may wait, and raise Refusal.
    """

    def __init__(self, path: str, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: StreamServer | None = None
        self._why_not = "it is not open"  # while there is no server
        self._identity: tuple[int, int] | None = None  # of the socket file that is ours

    def start(self) -> None:
        """Listen.  If that fails, log a warning: the server runs without a control socket."""
        try:
            listener = self._listen()
        except OSError as error:
            self._why_not = f"{self._path}: {error.strerror or error}"
            log.warning("control socket unavailable: %s", self._why_not)
            return
        if listener is None:
            self._why_not = f"another server with the same database listens at {self._path}"
            log.warning("control socket unavailable: %s", self._why_not)
            return
        self._server = StreamServer(listener, self._serve, spawn=MAX_COMMANDS)
        self._server.start()

    def _listen(self) -> socket.socket | None:
        """Open the socket, replacing that of a killed server; None: another server listens."""
        if not self._is_free():
            return None
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # So the socket has its mode from the first moment.  A file that another thread creates
            # meanwhile gets fewer rights than usual, never more.
            umask = os.umask(0o177)
            try:
                with short_path(self._path) as address:
                    listener.bind(address)
            finally:
                os.umask(umask)
            listener.listen(MAX_COMMANDS)
            self._identity = _identity(self._path)
        except BaseException:
            listener.close()
            raise
        return listener

    def _is_free(self) -> bool:
        """Return True if no other server listens there; remove a socket without a server.

        Raises OSError if the path cannot be used.
        """
        try:
            if not stat.S_ISSOCK(os.lstat(self._path).st_mode):
                raise OSError(errno.EEXIST, "a file that is not a socket is there")
            connect(self._path).close()
        except FileNotFoundError:
            return True
        except ConnectionRefusedError:
            with suppress(FileNotFoundError):
                os.unlink(self._path)
            return True
        return False

    def failure(self) -> str:
        """Return the reason why no command reaches this server, "" if they do."""
        if self._server is None:
            return self._why_not
        try:
            is_ours = _identity(self._path) == self._identity
        except OSError as error:
            return f"{self._path}: {error.strerror}"
        return "" if is_ours else f"another file has taken the place of {self._path}"

    def stop(self) -> None:
        """Stop listening, and remove the socket unless it belongs to another server by now."""
        if self._server is None:
            return
        with suppress(OSError):
            if _identity(self._path) == self._identity:
                os.unlink(self._path)
        self._server.stop(timeout=1.0)
        self._server = None

    def _serve(self, connection: socket.socket, _: object) -> None:
        """Handle one command."""
        with connection, suppress(OSError, ValueError, Timeout):
            with Timeout(SECONDS_TO_ASK):
                line = read_line(connection, MAX_REQUEST_BYTES)
            reply = encode(self._answer(line))
            connection.settimeout(SECONDS_TO_ASK)
            connection.sendall(reply)

    def _answer(self, line: bytes) -> Mapping[str, Any]:
        try:
            request = json.loads(line)
            handler = self._handlers[request["do"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"error": "the server does not know this command; it may be an older one"}
        try:
            return handler(request)
        except Refusal as refusal:
            return {"error": str(refusal)}
        except Exception:
            log.exception("unhandled error while handling the command %s", request["do"])
            return {"error": "the command failed in the server; its log says why"}


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino
