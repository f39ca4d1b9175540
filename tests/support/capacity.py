"""The highest rate of requests that the server can answer on this machine."""

import select
import socket
import time
from contextlib import suppress

from tests.support.flood import STEP, message, messages_of
from tests.support.server import Server

FIRST_RATE = 2000  # requests a second
QUICKER = 1.25  # from one step to the next
SECONDS = 1.0  # of each step
MOST_RATE = 50_000  # more than one asker in Python can do
ANSWERED = 0.97  # with fewer answers the rate is too high


def capacity(server: Server, kind: str) -> int:
    """The highest rate at which the server has answered requests of a kind, in a second."""
    best, rate = 0.0, float(FIRST_RATE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        asker.bind(("127.0.0.77", 0))
        asker.connect((server.hosts[0], server.port))
        asker.setblocking(False)
        messages = [message(kind, *asker.getsockname()) for _ in range(messages_of(kind))]
        while rate < MOST_RATE:
            sent, answered = _ask(asker, messages, rate)
            if answered < ANSWERED * sent:
                break
            best, rate = answered / SECONDS, rate * QUICKER
    return round(best)


def _ask(asker: socket.socket, messages: list[bytes], rate: float) -> tuple[int, int]:
    """Ask for one step, and a moment longer for the last answers; gives requests and answers."""
    sent = answered = 0
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < SECONDS + 0.2:
        while sent < min(passed, SECONDS) * rate:
            asker.send(messages[sent % len(messages)])
            sent += 1
        select.select([asker], [], [], STEP)
        with suppress(BlockingIOError):
            while True:
                answered += asker.recv(2048)[8:9] >= b"2"  # 100 is no answer yet
    return sent, answered
