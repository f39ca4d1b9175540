"""Greenlets that read and handle what they read, kept for reuse.

A handler may wait, so the next message needs another reader; but nobody pays for a greenlet, or a
switch between two, unless somebody waits.  This is the one place, besides the mailboxes of the
transaction layer, that deals with gevent's hub itself.
"""

import logging
from collections.abc import Callable

import gevent
from greenlet import GreenletExit, getcurrent, greenlet

log = logging.getLogger(__name__)

# Idle greenlets kept for reuse.  Making one costs 15 µs, keeping one about 8 kB.
MAX_IDLE_GREENLETS = 64

Work = Callable[[], None]


class GreenletPool:
    """A pool of greenlets; `run` is for the hub, whose callbacks must not wait."""

    def __init__(self) -> None:
        self._hub = gevent.get_hub()
        self._idle: list[greenlet] = []
        self._is_stopped = False

    def run(self, work: Work) -> None:
        """Do `work` at once, in a reader, until it waits or is done.  It may raise nothing."""
        reader = self._idle.pop() if self._idle else greenlet(self._read, self._hub)
        reader.switch(work)

    def stop(self) -> None:
        """Let the idle ones end; those at work end after it."""
        self._is_stopped = True
        idle, self._idle = self._idle, []
        for reader in idle:
            self._hub.loop.run_callback(reader.switch, _nothing)

    def _read(self, work: Work) -> None:
        me = getcurrent()
        while True:
            try:
                work()
            except GreenletExit:
                raise
            except BaseException:
                log.exception("while reading")
            if self._is_stopped or len(self._idle) >= MAX_IDLE_GREENLETS:
                return
            self._idle.append(me)
            work = self._hub.switch()


def _nothing() -> None:
    """The last work of a reader."""
