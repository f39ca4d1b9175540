"""The server under a process manager, as a Procfile deploy runs it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.support.programs import REPOSITORY, program


def test_the_procfile_runs_under_honcho(tmp_path: Path):
    """PORT is where the web listens; SIGTERM ends both cleanly.

    In a network of its own: with PORT alone the server listens on every address.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SIPSERVER_")
    }
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        "PORT": "5050",
        "PYTHONUNBUFFERED": "1",
        "SIPSERVER_DB_PATH": str(tmp_path / "users.db"),
    }
    honcho = subprocess.Popen(
        [
            *[program("unshare"), "--user", "--map-root-user", "--net"],
            *[sys.executable, "-m", "honcho", "-d", str(REPOSITORY), "start"],
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # Should it never say so, this ends it, and the line is missed below.
    deadline = threading.Timer(30, honcho.kill)
    deadline.start()
    try:
        said = []
        for line in honcho.stdout:
            said.append(line)
            if "web admin listens" in line:
                honcho.send_signal(signal.SIGTERM)
    finally:
        deadline.cancel()
        honcho.kill()
        honcho.wait()
        honcho.stdout.close()
    output = "".join(said)
    assert "web admin listens on :5050" in output
    assert "SIP listens on :5060" in output
    assert "stopping" in output
    assert "Traceback" not in output
