"""Build a copy of the project whose hot modules are compiled by mypyc: optional, but faster.

    python tools/build_compiled.py     makes build/compiled; needs a C compiler and Python's headers

The copy has the same sources and the same tests, and the tests pass there, too.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPY = ROOT / "build" / "compiled"
LEFT_OUT = ("build", ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.db*")
# The modules that take most of the CPU time of a message: parsing, transactions and SIP logic.  The
# others wait for sockets and disks, and would hardly become faster.
HOT = [
    "sip/message/*.py",
    "sip/transaction/*.py",
    "sip/core/**/*.py",
    "sip/transport/flow.py",
    "sip/transport/receiver.py",
    "sip/transport/transports.py",
]


def main() -> None:
    if not shutil.which("cc"):
        sys.exit("There is no C compiler: apt-get install gcc (and python3-dev).")
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(ROOT, COPY, ignore=shutil.ignore_patterns(*LEFT_OUT))
    paths = [path for pattern in HOT for path in sorted(COPY.glob(pattern))]
    names = [str(path.relative_to(COPY)) for path in paths if path.name != "__init__.py"]
    done = subprocess.run(
        [sys.executable, "-m", "mypyc", *names], cwd=COPY, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"mypyc has failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    shutil.rmtree(COPY / "build")
    print(f"{len(names)} modules are compiled; python {COPY.relative_to(ROOT)}/sipserver.py")


if __name__ == "__main__":
    main()
