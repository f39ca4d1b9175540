#!/usr/bin/env python3
"""Try the README's two commands in a bare Debian, before a release.

    sudo .ci/bare_machine.py                                  both commands, the whole test suite
    sudo .ci/bare_machine.py --only run
    sudo .ci/bare_machine.py --only test --pytest tests/browser
    sudo .ci/bare_machine.py --only ci                        .ci/run instead, as root

The script installs a minimal Debian, with git and sudo, into a temporary folder.  It copies that
folder for each command, and runs the command there as an ordinary user, in a clone of the last
commit.  `run` passes if the server answers OPTIONS, shows the sign-in page, and ends with 0 after
Ctrl-C; `test` passes if `make test` passes.

It needs root, debootstrap and unshare.  It uses the package mirror, proxies and certificates that
apt and pip use on this machine.  Mounts and processes are in namespaces that end with this script;
servers listen on 127.0.0.1 only.
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = "git,sudo,ca-certificates"
USER = "tester"
CI = "sudo --preserve-env bash .ci/run"  # what continuous integration runs, as root
# Shell commands that make $1 the root folder, and run their other arguments there.  A chroot is not
# enough: a process in it cannot create user namespaces, which the tests of NAT need.
ENTER = """
set -eu
mount --bind "$1" "$1"
cd "$1"
shift
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devpts -o newinstance,ptmxmode=0666,gid=5,mode=0620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -sf pts/ptmx dev/ptmx
mkdir -p .outside
pivot_root . .outside
cd /
umount -l .outside
hostname bare
exec "$@"
"""
# The namespaces end with this script, with all their processes and mounts.
NAMESPACES = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL"),
    *("--uts", "--ipc", "--"),
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PIP_OPTION = re.compile(
    r"(?:global|install|:env:)\."
    r"((?:extra-)?index-url|proxy|cert|trusted-host|(?:default-)?timeout)='(.*)'"
)


class Failed(Exception):
    """A command or a preparation failed; the message says why."""


def commands_of(readme: str) -> dict[str, str]:
    """The run command and the test command: the first shell block of their sections."""
    found = {}
    for name, title in (("run", "Run it"), ("test", "Tests")):
        block = re.search(rf"(?ms)^## {title}$(?:(?!^## ).)*?^```sh\n(.+?)\n```$", readme)
        if block is None:
            raise Failed(f"the README has no command under '{title}'")
        found[name] = block[1]
    return found


# Settings of this machine


def apt_sources(suite: str) -> list[str]:
    """The lines of sources.list for a suite, its updates and its security updates."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    listed = output_of("apt-get", "indextargets", "--format", form, "Identifier: Packages")
    targets = {tuple(line.split()) for line in listed.splitlines()}
    return [
        f"deb {uri} {release} {component}"
        for uri, release, component in sorted(targets, key=lambda target: target[1:])
        if release.partition("-")[0] == suite and component == "main"
    ]


def apt_settings() -> str:
    """Return the settings by which apt reaches its mirrors: proxies and certificates."""
    dump = output_of("apt-config", "dump").splitlines()
    return "".join(f"{line}\n" for line in dump if line.startswith(("Acquire::http", "Acquire::f")))


def pip_settings() -> dict[str, str]:
    """Return the settings of pip's index as environment variables, without local folders."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True
    )
    found = {}
    for name, value in PIP_OPTION.findall(done.stdout):
        urls = [word for word in value.split() if not word.startswith("file:")]
        if urls:
            found["PIP_" + name.upper().replace("-", "_")] = " ".join(urls)
    return found


def proxies() -> dict[str, str]:
    """The proxies of this machine's environment."""
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


def output_of(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


# The system


class System:
    """A Debian in a folder."""

    def __init__(self, root: Path, deadline: float) -> None:
        self.root = root
        self.deadline = deadline

    def bootstrap(self, suite: str, mirror: str) -> None:
        """Install the minimal set, with the mirrors, names and certificates of this machine."""
        lines = apt_sources(suite)
        if not (mirror or lines):
            raise Failed(f"apt knows no mirror of {suite} here: name one by --mirror")
        debootstrap = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite]
        url = mirror or next(line for line in lines if line.split()[2] == suite).split()[1]
        self._waits_for(subprocess.Popen([*NAMESPACES, *debootstrap, str(self.root), url]))
        etc = self.root / "etc"
        if not mirror:
            (etc / "apt/sources.list").write_text("".join(f"{line}\n" for line in lines))
        (etc / "apt/apt.conf.d/90mirror").write_text(apt_settings())
        names = Path("/etc/hosts").read_text() if Path("/etc/hosts").exists() else ""
        (etc / "hosts").write_text(f"127.0.0.1 localhost bare\n::1 localhost\n{names}")
        for certificate in Path("/usr/local/share/ca-certificates").glob("*.crt"):
            shutil.copy(certificate, self.root / "usr/local/share/ca-certificates")
        (etc / "sudoers.d/tester").write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
        self.does("update-ca-certificates")
        self.does("useradd", "--create-home", "--shell", "/bin/bash", USER)
        self.does("apt-get", "update", "-qq")

    def copied_to(self, root: Path) -> "System":
        """The same system in another folder."""
        output_of("cp", "--archive", "--reflink=auto", str(self.root), str(root))
        return System(root, self.deadline)

    def clones(self) -> None:
        """Clone the project, at its last commit, into the home of the user."""
        clone = self.root / "home" / USER / "sipserver"
        output_of("git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone))
        self.does("chown", "--recursive", f"{USER}:", f"/home/{USER}/sipserver")

    def does(self, *command: str) -> None:
        """Run a command as root to its end.  Raises Failed."""
        self._waits_for(self._starts(command, {}))

    def starts(self, line: str, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        """Start a shell command as the user, in the clone."""
        as_user = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--")
        shell = ("bash", "-c", f"cd ~/sipserver && {line}")
        home = {"HOME": f"/home/{USER}", "USER": USER, "LOGNAME": USER}
        return self._starts((*as_user, *shell), home | environment)

    def _starts(
        self, command: tuple[str, ...], environment: dict[str, str]
    ) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*NAMESPACES, "sh", "-c", ENTER, "sh", str(self.root), *command],
            env={"PATH": PATH, "HOME": "/root"} | proxies() | pip_settings() | environment,
            stdin=subprocess.DEVNULL,
        )

    def _waits_for(self, process: "subprocess.Popen[bytes]") -> None:
        with ended(process):
            self.passes(process)

    def passes(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait for a process, which has to end with 0 in time.  Raises Failed."""
        try:
            code = process.wait(max(0.0, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Failed("it took too long") from None
        if code:
            raise Failed(f"it ended with {code}")


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """End a process at the end of the block, and with it all that is in its namespaces."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


# The two commands


def free_port() -> int:
    """A port of 127.0.0.1 that is free on UDP and TCP just now."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            stream.bind(("127.0.0.1", 0))
            with suppress(OSError):
                datagrams.bind(stream.getsockname())
                return int(stream.getsockname()[1])


def answers_options(port: int) -> bool:
    """Return True if a server answers OPTIONS on UDP within a second."""
    with socket.socket(type=socket.SOCK_DGRAM) as phone:
        phone.settimeout(1)
        phone.connect(("127.0.0.1", port))
        own = f"127.0.0.1:{phone.getsockname()[1]}"
        lines = [
            f"OPTIONS sip:127.0.0.1:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP {own};branch=z9hG4bK{time.monotonic_ns()}",
            "Max-Forwards: 70",
            f"From: <sip:tester@{own}>;tag=1",
            f"To: <sip:127.0.0.1:{port}>",
            f"Call-ID: {time.monotonic_ns()}@127.0.0.1",
            "CSeq: 1 OPTIONS",
            "Content-Length: 0",
        ]
        with suppress(OSError):
            phone.send("\r\n".join([*lines, "", ""]).encode())
            return phone.recv(65_535).startswith(b"SIP/2.0 200 ")
    return False


def shows_sign_in(port: int) -> bool:
    """Return True if the web admin shows its sign-in page."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError), direct.open(f"http://127.0.0.1:{port}/", timeout=5) as page:
        return page.status == 200 and b'type="password"' in page.read()
    return False


def descendants(pid: int) -> Iterator[int]:
    """Yield the pid of every process below one."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from descendants(child)


def is_server(pid: int) -> bool:
    """Return True if a process is Python that runs sipserver.py."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b"python" in words[0] and b"sipserver.py" in words[1:]
    return False


def try_run(system: System, command: str) -> None:
    """Start the server by the run command, ask it, and end it.  Raises Failed."""
    sip, web = free_port(), free_port()
    listen = {"SIPSERVER_SIP_ADDR": f"127.0.0.1:{sip}", "SIPSERVER_WEB_ADDR": f"127.0.0.1:{web}"}
    process = system.starts(command, listen)
    with ended(process):
        while not (answers_options(sip) and shows_sign_in(web)):
            if process.poll() is not None:
                raise Failed(f"the server ended with {process.returncode} before it answered")
            if time.monotonic() > system.deadline:
                raise Failed("the server did not answer in time")
            time.sleep(0.2)
        print("the server answers OPTIONS and shows the sign-in page; now Ctrl-C", flush=True)
        (server,) = filter(is_server, descendants(process.pid))
        os.kill(server, signal.SIGINT)
        system.passes(process)


def try_test(system: System, command: str, chosen: str) -> None:
    """Run the test command, of all tests or the chosen ones.  Raises Failed."""
    environment = {"PYTEST_ADDOPTS": chosen} if chosen else {}
    process = system.starts(command, environment)
    with ended(process):
        system.passes(process)


def remove(folder: Path) -> None:
    """Delete a folder, unless a file system is mounted below it, which could be this machine's."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    if any(line.split()[4].startswith(f"{folder}/") for line in mounts):
        raise Failed(f"a file system is mounted below {folder}, so the folder was not deleted")
    shutil.rmtree(folder)


def try_all(given: argparse.Namespace, home: Path) -> None:
    """Bootstrap a system, and run the chosen commands.  Raises Failed."""
    commands = commands_of((ROOT / "README.md").read_text()) | {"ci": CI}
    began = time.monotonic()
    pristine = System(home / "pristine", began + 60 * given.minutes)
    pristine.bootstrap(given.suite, given.mirror)
    print(f"bootstrapped in {time.monotonic() - began:.0f} s", flush=True)
    for name, command in commands.items():
        if name == given.only or (given.only is None and name != "ci"):
            began = time.monotonic()
            print(f"\n{name}: {command}", flush=True)
            system = pristine.copied_to(home / name)
            system.clones()
            if name == "run":
                try_run(system, command)
            else:
                try_test(system, command, given.pytest)
            print(f"{name}: passed in {time.monotonic() - began:.0f} s", flush=True)


def main() -> int:
    """Run the chosen commands; return exit code 0 when all have passed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=("run", "test", "ci"), help="one of the commands")
    parser.add_argument("--pytest", default="", metavar="ARGUMENTS", help="choose tests")
    parser.add_argument("--suite", default="bookworm", help="Debian release (bookworm)")
    parser.add_argument("--mirror", default="", metavar="URL", help="instead of apt's own")
    parser.add_argument("--folder", default="/var/tmp", help="where there are 4 GB (/var/tmp)")
    parser.add_argument("--minutes", type=float, default=120, help="time for all (120)")
    parser.add_argument("--keep", action="store_true", help="leave the systems there")
    given = parser.parse_args()
    missing = [tool for tool in ("debootstrap", "unshare", "setpriv") if not shutil.which(tool)]
    if os.geteuid() or missing:
        print(f"this needs root, and: {' '.join(missing) or 'nothing else'}", file=sys.stderr)
        return 2
    if output_of("git", "-C", str(ROOT), "status", "--porcelain"):
        print("warning: changes that are not committed are not tested", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    home = Path(tempfile.mkdtemp(prefix="bare-machine-", dir=given.folder))
    home.chmod(0o755)
    try:
        try_all(given, home)
    except (Failed, subprocess.CalledProcessError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    finally:
        if given.keep:
            print(f"the systems are in {shlex.quote(str(home))}", flush=True)
        else:
            remove(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
