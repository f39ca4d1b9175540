"""A process that answers the calls of many users: it rings, or is busy.

    python ringing_phone.py ADDRESS rings|is-busy

Listens on UDP ADDRESS:5060 until its input ends.  It keeps no state: the fields of a CANCEL are
those of its INVITE, so the answer to that is made from them.
"""

import re
import selectors
import socket
import sys

COPIED = re.compile(rb"^(?:Via|From|To|Call-ID|Record-Route):[^\r]*\r\n", re.MULTILINE)
NUMBER = re.compile(rb"^CSeq: *(\d+)", re.MULTILINE)
TO = re.compile(rb"^(To:[^\r]*)", re.MULTILINE)
BRANCH = re.compile(rb";branch=z9hG4bK([^;\r]+)")
RECEIVE_BUFFER = 4 * 1024 * 1024


def response(request: bytes, status: bytes, method: bytes) -> bytes:
    """A response of one dialog, whichever request of it is at hand."""
    fields = b"".join(COPIED.findall(request))
    fields = TO.sub(rb"\1;tag=" + BRANCH.search(request)[1], fields)
    number = NUMBER.search(request)[1]
    return b"SIP/2.0 %s\r\n%sCSeq: %s %s\r\nContent-Length: 0\r\n\r\n" % (
        status,
        fields,
        number,
        method,
    )


def answers(request: bytes, *, rings: bool) -> list[bytes]:
    """Return the responses of such a phone to a request."""
    method = request.partition(b" ")[0]
    if method == b"INVITE":
        return [response(request, b"180 Ringing" if rings else b"486 Busy Here", method)]
    if method == b"CANCEL":
        return [
            response(request, b"200 OK", method),
            response(request, b"487 Request Terminated", b"INVITE"),
        ]
    return []


def main(address: str, does: str) -> None:
    """Answer until the input ends."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.bind((address, 5060))
    waiting = selectors.DefaultSelector()
    for each in (sock, sys.stdin):
        waiting.register(each, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is sys.stdin:
                return
            request, source = sock.recvfrom(65_536)
            for answer in answers(request, rings=does == "rings"):
                sock.sendto(answer, source)


if __name__ == "__main__":
    main(*sys.argv[1:])
