"""Build a copy of the project whose hot modules are compiled by mypyc: optional, but faster.

    python tools/build_compiled.py [FOLDER]     FOLDER is build/compiled unless given

The copy is for the Python that runs this.  It has the same sources and the same tests, and the
tests pass there, too.  A build needs a C compiler, the headers of Python and the packages of
requirements-build.txt; the copy needs none of them.  A build that fails leaves FOLDER as it was.
"""

import argparse
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LEFT_OUT = ("build", ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.db*")
# The modules that take most of the CPU time of a message: parsing, transactions and SIP logic.  The
# others wait for sockets and disks, and would hardly become faster.
HOT = [
    "sip/dispatcher.py",
    "sip/message/*.py",
    "sip/transaction/*.py",
    "sip/core/**/*.py",
    "sip/transport/flow.py",
    "sip/transport/receiver.py",
    "sip/transport/transports.py",
    "sip/transport/websocket.py",
]
# A program, run in the copy with the hot modules as its arguments.  Level 3, in one C file, takes
# twice as long and gains nothing: the code mostly calls functions of Python.
COMPILE = """
import os, sys
from mypyc.build import mypycify
from setuptools import setup
modules = mypycify(sys.argv[1:], opt_level="1", multi_file=True, group_name="sipserver")
parallel = f"--parallel={os.cpu_count()}"
setup(name="sipserver", ext_modules=modules, script_args=["-q", "build_ext", "-i", parallel])
"""
# A program, run in the copy: fails unless the compiled module is the one that is loaded.
TRY = "from sip import dispatcher as it; assert not it.__file__.endswith('.py'), it.__file__"


def missing() -> str:
    """Return a sentence about what this machine lacks for a build, "" if it lacks nothing."""
    if not shutil.which("cc"):
        return "There is no C compiler: apt-get install gcc"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return f"The headers of {sys.executable} are missing: apt-get install python3-dev"
    if not all(map(importlib.util.find_spec, ("mypyc", "setuptools"))):
        return "mypyc is missing: pip install --require-hashes -r requirements-build.txt"
    return ""


def occupied(folder: Path) -> str:
    """Return a sentence if a copy cannot be put at `folder`, "" if it can."""
    if folder == BUILD or (ROOT in (folder, *folder.parents) and BUILD not in folder.parents):
        return f"{folder} is within the project: choose a folder below {BUILD}, or elsewhere"
    if folder.exists() and not (folder / "sipserver.py").exists():
        return f"{folder} exists, and is not a copy of this project: choose another folder"
    return ""


def run(*words: str, cwd: Path) -> None:
    """Run Python with these arguments.  Raises SystemExit with a sentence and the output."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"The build has failed. The end of its output:\n{done.stdout[-4000:]}")


def build(copy: Path) -> int:
    """Make the compiled copy; return the number of its compiled modules.  Raises SystemExit."""
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    paths = [path for pattern in HOT for path in sorted(copy.glob(pattern))]
    names = [str(path.relative_to(copy)) for path in paths if path.name != "__init__.py"]
    run("-c", COMPILE, *names, cwd=copy)
    run("-c", TRY, cwd=copy)
    shutil.rmtree(copy / "build")
    return len(names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=BUILD / "compiled")
    folder = parser.parse_args().folder.absolute()
    if problem := missing() or occupied(folder):
        sys.exit(problem)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as beside:
        count = build(Path(beside, "new"))
        if folder.exists():
            folder.rename(Path(beside, "old"))
        Path(beside, "new").rename(folder)
    print(f"{count} modules are compiled: {folder}/sipserver.py")


if __name__ == "__main__":
    main()
