"""The webhook: sends events to a web server by POST, signed, in their order, and again if it fails.

Problem: a web server may be slow or away for hours, and no call or registration may wait for it.
Model: listeners put events into a queue, and one greenlet sends them, one after another.
Invariant: an event is sent again until it is accepted or given up, and before all later ones.
Bounds: those of event_queue.py; one request takes TIMEOUT seconds at most, and an event MAX_TRIES
    requests.  What is discarded counts as lost, in `sipserver_events_lost_total`.
"""

import hashlib
import hmac
import http.client
import json
import logging
import random
import secrets
import ssl
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent.event import Event

from sip import __version__
from sip.monitor.event_queue import EventQueue, is_refusal
from sip.monitor.events import Bus
from sip.serializers.events import EVENT_CLASSES, event_json, event_name, is_left_out

log = logging.getLogger(__name__)

# Seconds for one request, from the look-up of the name to the end of the response.
TIMEOUT = 10.0
# Requests for one event; with the pauses between them that is about eight minutes.
MAX_TRIES = 12
# Seconds of the first pause after a failure; each further one is twice as long, up to the longest.
# A random part of up to a half is taken off, so that many servers do not come back at once.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# Octets of a response that are read and ignored; after a longer one the connection is closed.
MAX_RESPONSE = 65_536
# Seconds that a stop waits for the events that are pending.
STOP_SECONDS = 1.0

# Minimum seconds between two log lines about failures.
SECONDS_BETWEEN_LINES = 60.0

# Statuses besides 5xx after which a request is sent again: Request Timeout, Too Many Requests.
_RETRIED = frozenset({408, 429})


@dataclass(slots=True)
class _Message:
    """One event on its way; `id` stays the same when it is sent again."""

    id: str
    name: str
    at: float
    fields: dict[str, Any]

    def encode(self) -> bytes:
        event = {"id": self.id, "event": self.name, "data": self.fields}
        return json.dumps(event, separators=(",", ":")).encode()


class _Refusal(Exception):
    """The web server did not accept an event; the text says why.

    `is_final` is True if sending it again is useless, `pause` are the seconds that it asks for.
    """

    def __init__(self, reason: str, *, is_final: bool = False, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.is_final = is_final
        self.pause = pause


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of X-Sipserver-Signature for a body that is sent at a time."""
    signed = timestamp.encode() + b"." + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


class Webhook:
    """Sends the events with these `names` on `bus` to `url`, signed with `secret`.

    `is_left_out` says which events are not sent.  `pause` waits for seconds; tests replace it.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        names: Collection[str],
        bus: Bus,
        *,
        pause: Callable[[float], object] = gevent.sleep,
    ) -> None:
        self._endpoint = _Endpoint(url)
        self._secret = secret
        self._names = frozenset(names)
        self._bus = bus
        self._pause = pause
        self._pending: EventQueue[_Message] = EventQueue()
        self._filled, self._idle = Event(), Event()
        self._idle.set()
        self._is_failing = False
        self._lost = 0  # events since the last line about a failure
        self._next_line_at = 0.0
        self._is_line_open = False  # a line about a failure, without one that it works again
        self._classes = {EVENT_CLASSES[name] for name in names}
        for each in self._classes:
            bus.listen(each, self.put)
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Send what is pending, within STOP_SECONDS, and end."""
        for each in self._classes:
            self._bus.remove_listener(each, self.put)
        if not self._is_failing:
            self._idle.wait(STOP_SECONDS)
        self._greenlet.kill()
        self._endpoint.close()
        if self._pending:
            log.warning("webhook: %d events were not sent before the stop", len(self._pending))

    def put(self, event: Any) -> None:
        """Queue an event, unless it is left out; does not wait."""
        name = event_name(event)
        if name not in self._names or is_left_out(event):
            return
        now = self._bus.now()
        message = _Message(secrets.token_hex(16), name, now, event_json(event, now))
        lost_before = self._pending.lost
        self._pending.put(message, is_refusal=is_refusal(event))
        if self._pending.lost > lost_before:
            self._count_lost()
        self._idle.clear()
        self._filled.set()

    def _count_lost(self) -> None:
        self._lost += 1
        self._bus.lost += 1

    def _run(self) -> None:
        while True:
            self._filled.wait()
            while self._pending:
                try:
                    self._deliver(self._pending.take())
                except Exception:
                    # The next event has to be sent all the same.
                    self._endpoint.close()
                    self._count_lost()
                    log.exception("unhandled error in the webhook")
            self._filled.clear()
            self._idle.set()

    def _deliver(self, message: _Message) -> None:
        """Send one event until it is accepted, or given up."""
        body, pause = message.encode(), FIRST_PAUSE
        for left in reversed(range(MAX_TRIES)):
            try:
                self._send(message, body)
            except _Refusal as refusal:
                self._log_failure(refusal)
                if refusal.is_final or not left:
                    self._count_lost()
                    return
                jitter = random.uniform(0.5, 1.0)
                self._pause(max(refusal.pause, pause * jitter))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._log_success()
                return

    def _send(self, message: _Message, body: bytes) -> None:
        """Send one request.  Raises _Refusal."""
        timestamp = str(int(self._bus.now()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"sipserver/{__version__}",
            "X-Sipserver-Event": message.name,
            "X-Sipserver-Id": message.id,
            "X-Sipserver-Timestamp": timestamp,
            "X-Sipserver-Signature": signature(self._secret, timestamp, body),
        }
        status, retry_after = self._endpoint.post(body, headers)
        if 200 <= status < 300:
            return
        is_final = status < 500 and status not in _RETRIED
        raise _Refusal(f"status {status}", is_final=is_final, pause=_seconds(retry_after))

    def _log_failure(self, refusal: _Refusal) -> None:
        now = self._bus.now()
        if not self._is_failing and now >= self._next_line_at:
            self._next_line_at, self._is_line_open = now + SECONDS_BETWEEN_LINES, True
            again = "the event is discarded" if refusal.is_final else "it is sent again"
            log.warning("webhook failed: %s: %s; %s", self._endpoint.name, refusal, again)
        self._is_failing = True

    def _log_success(self) -> None:
        self._is_failing = False
        if self._is_line_open:
            log.info("webhook works again; %d events were lost", self._lost)
            self._is_line_open, self._lost = False, 0


class _Endpoint:
    """The web server of a URL, and the connection to it, which is used again if it stays open.

    Certificates are verified, and redirects are not followed.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.name = parts.netloc
        self._host, self._port = parts.hostname or "", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        """Send a request; return the status and Retry-After, "" without one.  Raises _Refusal."""
        try:
            with gevent.Timeout(TIMEOUT):
                try:
                    was_open = self._connection is not None
                    return self._exchange(body, headers)
                except (ConnectionError, http.client.BadStatusLine):
                    # The web server may have closed a connection that was not in use.
                    self.close()
                    if not was_open:
                        raise
                    return self._exchange(body, headers)
        except gevent.Timeout:
            self.close()
            raise _Refusal(f"no response within {TIMEOUT:.0f} s") from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise _Refusal(_reason(error)) from None

    def _exchange(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        if self._connection is None:
            if self._tls:
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=TIMEOUT, context=self._tls
                )
            else:
                self._connection = http.client.HTTPConnection(
                    self._host, self._port, timeout=TIMEOUT
                )
        self._connection.request("POST", self._path, body, headers)
        with closing(self._connection.getresponse()) as response:
            response.read(MAX_RESPONSE)
            if not response.isclosed():
                self.close()
            return response.status, response.headers.get("Retry-After", "")

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {error.verify_message}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _seconds(retry_after: str) -> float:
    """Return the seconds of a Retry-After, at most LONGEST_PAUSE; 0 for a date or nonsense."""
    is_number = retry_after.isascii() and retry_after.isdecimal()
    return min(float(retry_after[:6]), LONGEST_PAUSE) if is_number else 0.0
