"""The server's end of its control socket: a few commands of the operator at a time."""

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

# Commands at a time; more of them wait to be taken.
MAX_COMMANDS = 8
# Seconds that a command has to say what it wants, and to read the answer.
SECONDS_TO_ASK = 5.0

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Refusal(Exception):
    """A command that cannot be done; the text is for the operator."""


class ControlServer:
    """Listens at `path` and has `handlers` do what commands ask, by its name.

    The socket is of mode 0600: it obeys the server's own user, and root.  A handler is given the
    request, and gives what is answered; it may wait, and raise Refusal.
    """

    def __init__(self, path: str, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: StreamServer | None = None
        self._identity: tuple[int, int] | None = None  # of the socket file that is ours

    def start(self) -> None:
        """Listen.  Without a socket the server goes on, and commands can't ask it; that is told."""
        try:
            listener = self._listen()
        except OSError as error:
            log.warning(
                "commands cannot ask this server: %s: %s", self._path, error.strerror or error
            )
            return
        if listener is None:
            log.warning(
                "commands cannot ask this server: another one runs with the same database and"
                " answers at %s",
                self._path,
            )
            return
        self._server = StreamServer(listener, self._serve, spawn=MAX_COMMANDS)
        self._server.start()

    def _listen(self) -> socket.socket | None:
        """Open the socket, in the place of one that a killed server has left; None: it is taken."""
        if not self._is_free():
            return None
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The mode is right from the first moment; a file that another thread makes in it has
            # fewer rights than it would have, and none too many.
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
        """Tell whether no other server listens there; a socket that nobody serves is removed."""
        try:
            if not stat.S_ISSOCK(os.lstat(self._path).st_mode):
                raise OSError(errno.EEXIST, "a file that is no socket stands there")
            connect(self._path).close()
        except FileNotFoundError:
            return True
        except ConnectionRefusedError:
            with suppress(FileNotFoundError):
                os.unlink(self._path)
            return True
        return False

    def stop(self) -> None:
        """Take no command any more, and remove the socket, unless it is another server's by now."""
        if self._server is None:
            return
        with suppress(OSError):
            if _identity(self._path) == self._identity:
                os.unlink(self._path)
        self._server.stop(timeout=1.0)
        self._server = None

    def _serve(self, connection: socket.socket, _: object) -> None:
        """Serve one command."""
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
            log.exception("unhandled error while a command was done: %s", request["do"])
            return {"error": "the server failed to do this; its log says why"}


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino
