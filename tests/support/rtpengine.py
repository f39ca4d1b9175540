"""The real rtpengine, as a process in the foreground, without its kernel module."""

import os
import signal
import socket
import time
from pathlib import Path

from sip.transport.bencode import decode, encode
from tests.support.network import LOOPBACK, Loopback, Machine
from tests.support.programs import PATIENCE, end, free_port_of_both, program, start, tail

PORTS = 32_000, 32_199


class RealRtpEngine:
    """An rtpengine on a machine; on the loopback it runs as nobody, if root starts it."""

    def __init__(self, home: Path, machine: Loopback | Machine = LOOPBACK) -> None:
        home.mkdir()
        self.machine = machine
        self.output = home / "output.log"
        self.port = free_port_of_both()
        host = "127.0.0.1" if machine is LOOPBACK else machine.phone_address()
        as_nobody = machine is LOOPBACK and os.getuid() == 0
        self.process = start(
            [
                *machine.enter,
                *(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] * as_nobody),
                program("rtpengine"),
                *["--config-file=none", "--foreground", "--log-stderr", "--table=-1"],
                *[f"--interface={host}", f"--listen-ng=127.0.0.1:{self.port}"],
                *[f"--port-min={PORTS[0]}", f"--port-max={PORTS[1]}", "--num-threads=1"],
            ],
            self.output,
            cwd="/",
        )
        self.sock = machine.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(0.2)
        self.number = 0
        try:
            self.asks("ping")
        except BaseException:
            self.close()
            raise

    def asks(self, command: str) -> dict:
        """Send a command and return the reply."""
        self.number += 1
        cookie = b"test%d" % self.number
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            self.sock.sendto(cookie + b" " + encode({"command": command}), ("127.0.0.1", self.port))
            try:
                found, _, octets = self.sock.recv(65_536).partition(b" ")
            except OSError:
                time.sleep(0.05)
                continue
            if found == cookie:
                return decode(octets)
        raise AssertionError(f"rtpengine does not answer\n{tail(self.output)}")

    def calls(self) -> list[bytes]:
        """The names of its calls."""
        return self.asks("list")[b"calls"]

    def close(self) -> None:
        self.sock.close()
        end(self.process, signal.SIGTERM)
