"""Holds a network namespace for tests: says that it is there, and hands out sockets of it.

Whoever started it speaks over a Unix socket, its stdin.  When that closes, be it because the tests
have crashed, this process ends, and with it the namespace.
"""

import socket

asked = socket.socket(fileno=0)
asked.send(b"here")
while request := asked.recv(2):
    family, kind = request
    with socket.socket(family, kind) as made:
        socket.send_fds(asked, [b"made"], [made.fileno()])
