"""Hooks: load the operator's file when it changes, ask it about calls, and hand it events.

A hook decides about a call within ROUTE_SECONDS, or the call goes on as without it.  Events wait in
a bounded queue (event_queue.py) for a thread of their own.  When all threads hang, the hooks are
off until the file changes.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from sip.core.auth.authenticator import Account
from sip.core.domains import username_of
from sip.core.errors import printable
from sip.core.proxy.call_router import RouteDecision
from sip.hooks.file import Hook, HookFileError, HookFunctions, Stamp, describe, read, run, stamp_of
from sip.hooks.threads import HookThreads, LateError, in_background
from sip.hooks.values import CallEvent, RegisterEvent, RoutedCall
from sip.message.grammar import BadMessage
from sip.message.message import Request
from sip.monitor.calls import CallChanged
from sip.monitor.event_queue import EventQueue, is_refusal
from sip.monitor.events import Bus, Registered, Unregistered
from sip.transport.flow import Flow

log = logging.getLogger(__name__)

# Seconds that a call waits for `route`.
ROUTE_SECONDS = 0.05
# Seconds that one event may take, and the load of a file.
EVENT_SECONDS = 5.0
LOAD_SECONDS = 10.0
# Threads that run `route`; a call waits for a free one.  Events have one thread.
ROUTE_THREADS = 4
# Seconds between two log lines about failing hooks.
SECONDS_BETWEEN_LINES = 1.0

_NONE: Final = HookFunctions()


class Hooks:
    """The hooks of one file; "" for none.  `clock` is monotonic, `bus` gives the wall time."""

    def __init__(self, path: str, bus: Bus, clock: Callable[[], float]) -> None:
        self.is_active = False  # there is a `route` to ask
        self._bus = bus
        self._clock = clock
        self._path = ""
        self._stamp: Stamp = None
        self._is_loading = False
        self._functions = _NONE
        self._route_threads = HookThreads(ROUTE_THREADS)
        self._event_threads = HookThreads(1)
        self._events: EventQueue[tuple[str, RegisterEvent | CallEvent]] = EventQueue()
        self._is_draining = False
        self._next_line_at = clock()
        self._unsaid = 0
        if path:
            self._path, self._stamp = path, stamp_of(path)
            self._load(self._run_here)

    # The file

    def set_file(self, path: str) -> None:
        """Use another file, "" for none, or the same one anew, even if it has not changed."""
        if not path:
            self._use(_NONE)
        self._path, self._stamp = path, None
        self.check(again=True)

    def check(self, *, again: bool = False) -> None:
        """Load the file if it has changed, in the background; a file that fails is tried once.

        Called by a timer, so it does not wait.
        """
        if not self._path or self._is_loading:
            return
        stamp = stamp_of(self._path)
        if stamp != self._stamp or again:
            self._stamp, self._is_loading = stamp, True
            in_background(lambda: self._load(self._run_in_thread))

    def _load(self, run_file: Callable[[bytes], HookFunctions]) -> None:
        path = self._path
        try:
            functions = run_file(read(path))
        except HookFileError as error:
            kept = "the former hooks go on" if self._functions != _NONE else "no hooks run"
            log.error("cannot load the hooks, %s: %s", kept, printable(str(error)))
        else:
            if path == self._path:  # it may have changed meanwhile
                self._use(functions)
                log.info("hooks loaded from %s: %s", path, functions)
        finally:
            self._is_loading = False

    def _run_here(self, source: bytes) -> HookFunctions:
        return run(source, self._path)

    def _run_in_thread(self, source: bytes) -> HookFunctions:
        path = self._path
        try:
            outcome = HookThreads(1).run(lambda octets: run(octets, path), source, LOAD_SECONDS)
        except LateError:
            raise HookFileError(f"{path} takes longer than {LOAD_SECONDS:g} s to load") from None
        if outcome.error is not None:
            raise outcome.error
        functions: HookFunctions = outcome.result
        return functions

    def _use(self, functions: HookFunctions) -> None:
        """Use these functions from now on; threads that hang in former ones are left behind."""
        self._functions = functions
        self.is_active = functions.route is not None
        if self._route_threads.hung:
            self._route_threads = HookThreads(ROUTE_THREADS)
        if self._event_threads.hung:
            self._event_threads = HookThreads(1)
        for event_class, listener, hook in (
            (Registered, self._on_registered, functions.on_register),
            (Unregistered, self._on_unregistered, functions.on_register),
            (CallChanged, self._on_call, functions.on_call),
        ):
            self._bus.remove_listener(event_class, listener)
            if hook is not None:
                self._bus.listen(event_class, listener)  # type: ignore[arg-type]  # of its class

    # Calls

    def route(self, request: Request, caller: Account | None, flow: Flow) -> RouteDecision | None:
        """Return what `route` decides about an INVITE; None if it passes, fails or is late."""
        hook = self._functions.route
        if hook is None:
            return None
        try:
            call = self._call_of(request, caller, flow)
        except BadMessage:
            return None
        is_done = self._run("route", hook, call, self._route_threads, ROUTE_SECONDS)
        return call.decision if is_done else None

    def _call_of(self, request: Request, caller: Account | None, flow: Flow) -> RoutedCall:
        sender = request.from_
        return RoutedCall(
            caller="" if caller is None else caller.username,
            from_uri=printable(sender.uri.text),
            from_user=printable(username_of(sender.uri)),
            from_name=printable(sender.display_name),
            to=printable(username_of(request.uri)),
            to_uri=printable(request.uri_text),
            address=flow.remote[0],
            device=printable(request.value("user-agent") or ""),
            call_id=printable(request.call_id),
            at=datetime.fromtimestamp(self._bus.now()).astimezone(),
        )

    def _run(
        self, name: str, hook: Hook, value: object, threads: HookThreads, seconds: float
    ) -> bool:
        """Run a hook; return False, with a log line, if it failed or is late."""
        try:
            error = threads.run(hook, value, seconds).error
        except LateError:
            if (hung := threads.hung) >= threads.size:
                self._switch_off(name, hung)
            else:
                limit = f"{seconds * 1000:g} ms"
                self._complain(f"hook {name} took longer than {limit}, it is ignored", value)
            return False
        if error is not None:
            self._complain(f"hook {name} failed: {printable(describe(error, self._path))}", value)
        return error is None

    def _switch_off(self, name: str, hung: int) -> None:
        log.error(
            "hooks switched off: %s hangs in %d threads; change %s to start them again",
            name,
            hung,
            self._path,
        )
        self._use(_NONE)

    def _complain(self, line: str, value: object = None) -> None:
        """Write a log line about a hook and the value it was called with, at most one a second."""
        now = self._clock()
        if now < self._next_line_at:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more lines left out)" if self._unsaid else ""
        self._unsaid, self._next_line_at = 0, now + SECONDS_BETWEEN_LINES
        log.warning("%s%s", line, more, extra={"call_id": getattr(value, "call_id", "")})

    # Events

    def _on_registered(self, event: Registered) -> None:
        if not event.is_refresh:
            self._put("on_register", _register_event("registered", event, event.expires_at))

    def _on_unregistered(self, event: Unregistered) -> None:
        self._put("on_register", _register_event("unregistered", event, reason=event.reason))

    def _on_call(self, event: CallChanged) -> None:
        call = event.call
        self._put(
            "on_call",
            CallEvent(
                event.event,
                call.call_id,
                call.caller.username,
                call.caller.uri,
                call.callee.username,
                call.callee.uri,
                call.started_at,
                call.ringing_at,
                call.answered_at,
                call.ended_at,
                call.result,
                call.status,
                call.cause,
                call.ended_by,
                call.code,
                call.cure,
            ),
            is_refusal=is_refusal(event),
        )

    def _put(
        self, name: str, event: RegisterEvent | CallEvent, *, is_refusal: bool = False
    ) -> None:
        """Add an event to the queue; the publisher does not wait."""
        self._events.put((name, event), is_refusal=is_refusal)
        if not self._is_draining:
            self._is_draining = True
            in_background(self._drain)

    def _drain(self) -> None:
        """Hand the waiting events to the hooks, one after another."""
        try:
            while self._events:
                name, event = self._events.take()
                hook: Hook | None = getattr(self._functions, name)
                if hook is not None:
                    self._run(name, hook, event, self._event_threads, EVENT_SECONDS)
                if lost := self._events.lost:
                    self._events.lost = 0
                    self._complain(f"hook {name} is too slow, {lost} events are lost")
        finally:
            self._is_draining = False


def _register_event(
    name: str, event: Registered | Unregistered, expires_at: float = 0.0, reason: str = ""
) -> RegisterEvent:
    return RegisterEvent(
        name,
        event.at,
        event.username,
        event.realm,
        event.contact,
        event.device,
        event.address[0],
        event.transport,
        expires_at,
        reason,
    )
