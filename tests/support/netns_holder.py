"""A process that holds a network namespace for tests, and hands out sockets of it.

Its stdin is a Unix socket to the process that started it.  When that socket closes, also by a crash
of the tests, this process ends, and with it the namespace.
"""

import socket

asked = socket.socket(fileno=0)
asked.send(b"here")
while request := asked.recv(2):
    family, kind = request
    with socket.socket(family, kind) as made:
        socket.send_fds(asked, [b"made"], [made.fileno()])
