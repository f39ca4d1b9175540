"""The compiled copy of the project in build/compiled, which tools/build_compiled.py makes."""

import filecmp
import importlib.machinery
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPY = ROOT / "build" / "compiled"
MODULE = "sip/message/message"  # it is always compiled


def is_current() -> bool:
    """Return True if the copy has the sources of this folder, compiled for this Python."""
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    return (COPY / f"{MODULE}{suffix}").exists() and all(
        (COPY / name).exists() and filecmp.cmp(ROOT / name, COPY / name, shallow=False)
        for name in _sources()
    )


def build() -> str:
    """Build the copy, in about two minutes, unless it is current; return what prevents that."""
    if is_current():
        return ""
    command = [sys.executable, str(ROOT / "tools" / "build_compiled.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr or done.stdout).strip()[-500:]
    return "" if is_current() else "build/compiled has other sources than this folder"


def _sources() -> Iterator[Path]:
    yield Path("sipserver.py")
    for folder, pattern in (("sip", "*.py"), ("webadmin", "*.py"), ("views", "*")):
        yield from (
            path.relative_to(ROOT) for path in (ROOT / folder).rglob(pattern) if path.is_file()
        )
