"""What whoever has started the server is told: that it is ready, reads its settings anew, stops.

systemd hands a socket to a service of Type=notify and waits for a word there, see sd_notify(3).
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

READY = "READY=1"
STOPPING = "STOPPING=1"


def reloading() -> str:
    """Say that settings are being read; READY has to follow."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell a state, where anybody wants to hear it."""
    address = _address_in(environment)
    if address is None:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)


def _address_in(environment: Mapping[str, str]) -> str | None:
    """Where to tell it: a path, or after an @ a name outside of the file system."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    return "\0" + address[1:] if address.startswith("@") else address
