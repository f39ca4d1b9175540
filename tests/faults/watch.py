"""What a running server takes of its machine."""

import os
from pathlib import Path

from tests.wire.server import Server


def seconds_worked(server: Server) -> float:
    """The time of a processor that a server has taken so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
