"""Greenlets that have been woken, and run in the next turn of the hub.

Problem: a batch has a response and then a request of the same peer, such as a 200 and a NOTIFY.
    The handler of the response is woken; the request, handled at once, would be sent first.
Invariant: no new request is handled while a woken greenlet has not run.
"""

from collections.abc import Callable

import gevent

_waiting = 0  # greenlets that are woken, and have not run


def wake_soon(wake: Callable[[], None]) -> None:
    """Call `wake`, which switches to a greenlet, in the next turn of the hub."""
    global _waiting
    _waiting += 1
    gevent.get_hub().loop.run_callback(_run, wake)


def _run(wake: Callable[[], None]) -> None:
    global _waiting
    _waiting -= 1
    wake()


def has_woken() -> bool:
    """Return True if greenlets are woken, and have not run."""
    return bool(_waiting)


def must_wait(message: bytes) -> bool:
    """Return True if a message has to wait for greenlets that are woken.

    Responses and CANCELs do not: a handler takes all that were received together into account.
    """
    return has_woken() and not message.startswith((b"SIP/2.0 ", b"CANCEL "))
