"""tshark, which reads pcap files back."""

import subprocess
from pathlib import Path

from tests.support.programs import program

# Wrong checksums are reported, and so is what a stream lacks.
_CHECKS = ("ip.check_checksum", "udp.check_checksum", "tcp.check_checksum")
_TROUBLE = (
    "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0"
    " || tcp.checksum.status == 0 || tcp.analysis.flags || _ws.expert.severity >= 8388608"
)


def read_fields(file: Path, *fields: str, where: str = "sip") -> list[list[str]]:
    """Return these fields of each packet that has SIP; values of one packet are joined by `|`."""
    wanted = [word for field in fields for word in ("-e", field)]
    output = _run(file, "-Y", where, "-T", "fields", "-E", "aggregator=|", *wanted)
    return [line.split("\t") for line in output.splitlines()]


def sip_messages(file: Path) -> list[str]:
    """Return the start line of each SIP message, also of several in one packet."""
    found = read_fields(file, "sip.Request-Line", "sip.Status-Line")
    return [line for values in found for value in values for line in value.split("|") if line]


def has_no_trouble(file: Path) -> None:
    """Hold the packets to right checksums, and the streams to be whole."""
    assert _run(file, "-Y", _TROUBLE) == ""


def _run(file: Path, *words: str) -> str:
    checks = [word for name in _CHECKS for word in ("-o", f"{name}:TRUE")]
    done = subprocess.run(
        [program("tshark"), "-n", "-r", str(file), *checks, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
