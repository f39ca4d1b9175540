"""A pool of greenlets that read messages and handle them.

A handler may wait; the next message then needs another greenlet.  As long as no handler waits, one
greenlet serves all messages, without a switch between greenlets.  Only this module and the
mailboxes of the transaction layer use gevent's hub directly.
"""

import logging
from collections.abc import Callable

import gevent
from greenlet import GreenletExit, getcurrent, greenlet

log = logging.getLogger(__name__)

# Idle greenlets for reuse.  Creating one costs 15 µs; an idle one takes about 8 kB.
MAX_IDLE_GREENLETS = 64

Work = Callable[[], None]


class GreenletPool:
    """A pool of greenlets; the hub, whose callbacks must not wait, calls `run`."""

    def __init__(self) -> None:
        self._hub = gevent.get_hub()
        self._idle: list[greenlet] = []
        self._is_stopped = False

    def run(self, work: Work) -> None:
        """Run `work` now in a greenlet; returns when it waits or is done.  It may raise nothing."""
        worker = self._idle.pop() if self._idle else greenlet(self._run_all, self._hub)
        worker.switch(work)

    def stop(self) -> None:
        """End the idle greenlets; the others end after their work."""
        self._is_stopped = True
        idle, self._idle = self._idle, []
        for worker in idle:
            self._hub.loop.run_callback(worker.switch, _nothing)

    def _run_all(self, work: Work) -> None:
        me = getcurrent()
        while True:
            try:
                work()
            except GreenletExit:
                raise
            except BaseException:
                log.exception("unhandled error in a greenlet of the pool")
            if self._is_stopped or len(self._idle) >= MAX_IDLE_GREENLETS:
                return
            self._idle.append(me)
            work = self._hub.switch()


def _nothing() -> None:
    """Do nothing; the last work of a greenlet."""
