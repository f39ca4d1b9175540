"""Notifications to systemd: ready, reloading, stopping (sd_notify(3)).

systemd passes a socket in NOTIFY_SOCKET to a service of Type=notify, and waits for READY there.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

READY = "READY=1"
STOPPING = "STOPPING=1"


def reloading() -> str:
    """Return the state for a reload that begins now; READY has to follow it."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send a state to systemd; does nothing without NOTIFY_SOCKET."""
    address = _address_in(environment)
    if address is None:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)


def _address_in(environment: Mapping[str, str]) -> str | None:
    """Return the address of the socket: a path, or for @name an abstract one (unix(7))."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    return "\0" + address[1:] if address.startswith("@") else address
