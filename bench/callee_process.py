"""The phones of a fork, on one socket: all of them ring, and the phone named `first` answers.

    python bench/callee_process.py ADDRESS

Listens on UDP ADDRESS:5060 until its input ends.  It stores no calls: an INVITE and its CANCEL have
the same branch, so the 487 is made from the CANCEL.
"""

import collections
import re
import select
import socket
import sys
import time

ANSWERS_AFTER = 0.03  # seconds; all other phones have sent their 180 by then
COPIED = re.compile(r"^(?:Via|Record-Route|From|Call-ID):.*\r\n", re.MULTILINE | re.IGNORECASE)
ROOM = 4 * 1024 * 1024  # bytes of the socket's buffer


class RingingPhones:
    """The phones behind one socket."""

    def __init__(self, address: str) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        self.sock.bind((address, 5060))
        self.here = f"{address}:5060"
        self.answers: collections.deque = collections.deque()  # (time, response, address)

    def run(self) -> None:
        """Answer until the input of this process ends."""
        while True:
            wait = max(0.0, self.answers[0][0] - time.monotonic()) if self.answers else None
            ready = select.select([self.sock, sys.stdin], [], [], wait)[0]
            if sys.stdin in ready:
                return
            if self.sock in ready:
                data, source = self.sock.recvfrom(65535)
                self.take(data.decode(), source)
            while self.answers and self.answers[0][0] <= time.monotonic():
                _, response, source = self.answers.popleft()
                self.sock.sendto(response, source)

    def take(self, message: str, source: tuple[str, int]) -> None:
        """Answer a message as a phone does; a 200 to an INVITE is queued for later."""
        method, _, rest = message.partition(" ")
        if method == "INVITE":
            self.sock.sendto(self.response(message, "180 Ringing", "INVITE"), source)
            if rest.startswith("sip:first@"):
                answer = self.response(message, "200 OK", "INVITE")
                self.answers.append((time.monotonic() + ANSWERS_AFTER, answer, source))
        elif method == "CANCEL":
            self.sock.sendto(self.response(message, "200 OK", "CANCEL"), source)
            self.sock.sendto(self.response(message, "487 Request Terminated", "INVITE"), source)
        elif method == "BYE":
            self.sock.sendto(self.response(message, "200 OK", "BYE"), source)

    def response(self, request: str, status: str, method: str) -> bytes:
        """Return a response to a request, or to the INVITE that it cancels; its tag is the branch."""
        branch = re.search(r"branch=z9hG4bK([^;\s]+)", request)[1]
        to = re.search(r"^To:.*", request, re.MULTILINE | re.IGNORECASE)[0].rstrip()
        number = re.search(r"^CSeq: *(\d+)", request, re.MULTILINE | re.IGNORECASE)[1]
        tag = "" if ";tag=" in to else f";tag={branch}"
        return (
            f"SIP/2.0 {status}\r\n{''.join(COPIED.findall(request))}{to}{tag}\r\n"
            f"CSeq: {number} {method}\r\nContact: <sip:first@{self.here}>\r\n"
            f"Content-Length: 0\r\n\r\n"
        ).encode()


def main() -> None:
    phones = RingingPhones(sys.argv[1])
    print(flush=True)
    phones.run()


if __name__ == "__main__":
    main()
