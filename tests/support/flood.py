"""A sender of floods: requests or garbage at a given rate.

    python flood.py KIND HOST:PORT SECONDS RATE ADDRESS...

Send RATE datagrams a second, or as many as possible, from all the addresses in turn.  Answers are
not read.
"""

import os
import random
import socket
import sys
import time
from contextlib import suppress

# Different messages from an address, by their kind.
_MESSAGES = {"call": 512}
_MESSAGES_OF_OTHERS = 64

STEP = 0.002  # seconds
AT_ONCE = 1000  # datagrams, before it looks at the clock again
DOMAIN = "example.test"


def messages_of(kind: str) -> int:
    """The number of different messages that an address sends."""
    return _MESSAGES.get(kind, _MESSAGES_OF_OTHERS)


def message(kind: str, host: str, port: int) -> bytes:
    """One message of that kind, as it would come from there."""
    if kind == "garbage":
        return os.urandom(random.randint(20, 400))
    unique = os.urandom(6).hex()
    user = f"nobody{random.randrange(10_000)}"
    if kind == "call":  # to a user that exists
        kind, user = "INVITE", f"callee{random.randrange(50):02}"
    uri = f"sip:{user}@{DOMAIN}" if kind == "INVITE" else f"sip:{DOMAIN}"
    body = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\n" if kind == "INVITE" else b""
    lines = [
        f"{kind} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{unique};rport",
        "Max-Forwards: 70",
        f"From: <sip:{user}@elsewhere.test>;tag={unique}",
        f"To: <sip:{user}@{DOMAIN}>",
        f"Call-ID: {unique}",
        f"CSeq: 1 {kind}",
        f"Contact: <sip:{user}@{host}:{port}>",
        f"Content-Length: {len(body)}",
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body


def main(kind: str, target: str, seconds: str, rate: str, *hosts: str) -> None:
    """Send, and print how many went out."""
    host, _, port = target.partition(":")
    senders = []
    for each in hosts:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((each, 0))
        sock.connect((host, int(port)))
        sock.setblocking(False)
        own_port = sock.getsockname()[1]
        senders.append((sock, [message(kind, each, own_port) for _ in range(messages_of(kind))]))
    begun = time.monotonic()
    sent = 0
    while (passed := time.monotonic() - begun) < float(seconds):
        for _ in range(min(int(passed * int(rate)) - sent, AT_ONCE)):
            sock, messages = senders[sent % len(senders)]
            with suppress(OSError):  # its buffer is full, or an ICMP error came back
                sock.send(messages[sent // len(senders) % len(messages)])
            sent += 1
        if sent >= passed * int(rate):
            time.sleep(STEP)
    print(sent)


if __name__ == "__main__":
    main(*sys.argv[1:])
