"""Log lines of calls that were not answered, for the causes that this server has not logged itself.

A call that this server refuses has a line already, see request_log.py.
"""

import logging
import time
from collections.abc import Callable

from sip.monitor.calls import Call, CallFinished, CallResult
from sip.monitor.events import Bus

log = logging.getLogger(__name__)

# Lines per second; the rest is one line with their number.
MAX_LINES = 20


class CallLog:
    """Logs each call that a phone, a gateway or the caller has ended before an answer."""

    def __init__(self, bus: Bus, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = 0
        self._lines = 0  # of this second
        bus.listen(CallFinished, self._on_finished)

    def _on_finished(self, event: CallFinished) -> None:
        call = event.call
        is_refused = call.ended_by == "server" and not call.ringing_at
        if call.result == CallResult.ANSWERED or is_refused:
            return
        second = int(self._clock())
        if second != self._second:
            if self._lines > MAX_LINES:
                log.info("%d more calls were not answered", self._lines - MAX_LINES)
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= MAX_LINES:
            _write(call)


def _write(call: Call) -> None:
    caller, callee = (side.username or side.uri for side in (call.caller, call.callee))
    fields = {
        "call_id": call.call_id,
        "user": caller,
        "address": call.caller.address[0],
        "cause": call.code,
    }
    text = "%s call from %s to %s: %d %s"
    log.info(text, call.result, caller, callee, call.status, call.cause, extra=fields)
