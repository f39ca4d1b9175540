"""Deploy files: the unit, the image, the firewall, and the manual about them."""

import os
import re
import runpy
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import trustme

from sip.cli.main import sources
from sip.config import SETTINGS
from sip.reload import RELOADABLE
from tests.support.programs import end, free_port, free_port_of_both, program, start, tail, until

ROOT = Path(__file__).parent.parent
UNIT = (ROOT / "deploy" / "sipserver.service").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
MANUAL = (ROOT / "docs" / "operating.md").read_text()


def service(unit: str = UNIT) -> dict[str, str]:
    """The [Service] of the unit; of what stands there twice the last."""
    parser = ConfigParser(strict=False, interpolation=None, delimiters="=")
    parser.optionxform = str
    parser.read_string(unit)
    return dict(parser["Service"])


def test_the_unit_starts_the_server_with_settings_that_it_knows():
    python, script, *flags = shlex.split(service()["ExecStart"])
    home = Path("/opt/sipserver")
    assert Path(python).relative_to(home) == Path(".venv/bin/python")
    assert (ROOT / Path(script).relative_to(home / "build" / "current")).exists()
    config = sources(flags, {}).config({})
    assert Path(config.db_path).parent == Path("/var/lib") / service()["StateDirectory"]


def test_the_unit_waits_for_ready_and_gives_time_to_stop():
    """The messages to systemd are in tests/faults/test_signals.py."""
    assert service()["Type"] == "notify"
    assert service()["ExecReload"].endswith(" -HUP $MAINPID")
    assert int(service()["TimeoutStopSec"]) > 15
    assert "AF_UNIX" in service()["RestrictAddressFamilies"]
    assert service()["RestartPreventExitStatus"] == "2"


def test_two_commented_lines_of_the_unit_allow_low_ports():
    """systemd.exec(5): an empty CapabilityBoundingSet takes back those that stand above it."""
    unit, count = re.subn("(?m)^#(?=[A-Z])", "", UNIT)
    assert count == 2
    names = "AmbientCapabilities", "CapabilityBoundingSet"
    assert [service().get(name, "") for name in names] == ["", ""]
    assert [service(unit)[name] for name in names] == ["CAP_NET_BIND_SERVICE"] * 2


def test_the_manual_links_the_folder_that_the_unit_runs(tmp_path: Path):
    """Its commands are run here: they lead to a copy, and without a compiler to the sources."""
    links = re.findall(r"^(?:mkdir -p build && )?ln -sfnr .*", MANUAL, re.MULTILINE)
    assert len(links) == 3, "to install, without a compiler, to upgrade"
    (tmp_path / "build" / "1a2b3c4").mkdir(parents=True)
    for link in links:
        subprocess.run(["sh", "-c", f"build=build/1a2b3c4; {link}"], cwd=tmp_path, check=True)
        target = tmp_path if "$build" not in link else tmp_path / "build" / "1a2b3c4"
        assert (tmp_path / "build" / "current").resolve() == target


def test_the_manual_names_what_sighup_takes_over():
    (said,) = re.findall(r"It applies (.*?);", MANUAL, re.DOTALL)
    named = {SETTINGS[name].attribute for name in re.findall(r"`([\w.]+)`", said)}
    assert named == RELOADABLE


# The image


def words_of(instruction: str) -> list[list[str]]:
    """The values of all instructions of this name in the Dockerfile."""
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith(f"{instruction} ")]


def copied() -> list[list[str]]:
    """The source and target of each COPY from the context."""
    return [words for words in words_of("COPY") if not words[0].startswith("--from")]


def test_the_image_is_given_what_its_context_lets_through():
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    assert {source for source, _ in copied()} == allowed
    assert words_of("USER") == [["sipserver"]]


def test_the_image_has_the_compiled_copy_and_no_compiler():
    *_, build, image = re.split("(?m)^(?=FROM )", DOCKERFILE)
    assert "build_compiled.py /app " in build
    assert "COPY --from=build /app .\n" in image
    assert not re.search("gcc|apt-get|requirements-build|tools", image)
    assert {line.split()[1] for line in (build, image)} == {"python"}, "they have one Python"


def requirements(name: str) -> set[str]:
    """The pinned packages of a file, with their versions."""
    return set(re.findall(r"^[\w.-]+==[^ ]+", (ROOT / name).read_text(), re.MULTILINE))


def test_a_build_has_the_packages_that_are_tested():
    run, build, dev = map(
        requirements, ("requirements.txt", "requirements-build.txt", "requirements-dev.txt")
    )
    assert run < build < dev


@pytest.mark.wire
@pytest.mark.parametrize("is_encrypted", [False, True])
def test_the_image_runs_and_has_a_health_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_encrypted: bool
):
    """Python and its packages are ours here, and the files are those that the image compiles."""
    if is_encrypted:
        issued = trustme.CA().issue_cert("sip.example.com")
        for name, pem in (("CERT", issued.cert_chain_pems[0]), ("KEY", issued.private_key_pem)):
            pem.write_to_path(tmp_path / name)
            monkeypatch.setenv(f"SIPSERVER_WEB_{name}", str(tmp_path / name))
    app = tmp_path / "app"
    app.mkdir()
    for source, target in copied():
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, app / (source if target == "." else target))
    web = free_port(socket.SOCK_STREAM)
    (check,) = re.findall(r'CMD \["python", "-c", "(.*)"\]', DOCKERFILE)
    check = check.replace("8080", str(web))
    (entry,) = re.findall(r'ENTRYPOINT \["python", "(.*)"\]', DOCKERFILE)
    server = start(
        [
            *[sys.executable, entry, "-db.path", str(tmp_path / "users.db")],
            *["-sip.addr", f"127.0.0.1:{free_port_of_both()}", "-web.addr", f"127.0.0.1:{web}"],
        ],
        tmp_path / "log",
        cwd=app,
    )

    def is_well() -> bool:
        asked = subprocess.run([sys.executable, "-c", check], stderr=subprocess.DEVNULL)
        return asked.returncode == 0

    try:
        until(is_well, f"it is well\n{tail(tmp_path / 'log')}")
    finally:
        assert end(server, signal.SIGTERM) == 0
    assert not is_well()


# A minimal system has no names of protocols.
WITHOUT_NAMES = '! [ -e /etc/protocols ] || mount --bind /dev/null /etc/protocols; exec "$0" "$@"'


@pytest.mark.wire
def test_the_firewall_can_be_loaded():
    """In a network of its own, where it blocks no real traffic; in a minimal system too."""
    done = subprocess.run(
        [
            *[program("unshare"), "--user", "--map-root-user", "--net", "--mount"],
            *["sh", "-c", WITHOUT_NAMES],
            *[program("nft"), "-f", str(ROOT / "deploy" / "nftables.conf")],
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


# The checks before a release, and in continuous integration


def packages_in(text: str) -> set[str]:
    """The packages that the first `apt-get install` in a text names."""
    words = text.replace("\\\n", " ").partition("apt-get install")[2].partition("\n")[0]
    named = re.split(r"&&|>", words)[0].split()
    return {word for word in named if not word.startswith("-")}


def bare_machine() -> dict[str, Any]:
    """The script that tries the README's commands in a bare system."""
    return runpy.run_path(str(ROOT / ".ci" / "bare_machine.py"))


def test_a_bare_machine_is_given_the_commands_of_the_readme():
    """Each is the first block of its section, to be pasted as it is."""
    script = bare_machine()
    readme = (ROOT / "README.md").read_text()
    commands = script["commands_of"](readme)
    assert list(commands) == ["run", "test"]
    assert commands["run"].endswith(".venv/bin/python sipserver.py")
    assert commands["test"].endswith("&& make test")
    for command in commands.values():
        assert command.startswith("sudo apt-get install -y python3-venv ")
        assert "\n" not in command
        assert readme.count(f"```sh\n{command}\n```") == 1
    with pytest.raises(script["Failed"], match="Tests"):
        script["commands_of"](readme.replace("## Tests", "## Trials"))


def test_continuous_integration_installs_what_the_readme_does():
    """Of python3-venv it looks first whether it is needed."""
    named = packages_in(bare_machine()["commands_of"]((ROOT / "README.md").read_text())["test"])
    assert {"libatomic1", "chromium"} <= named
    ci = (ROOT / ".ci" / "run").read_text()
    assert packages_in(ci) == named - {"python3-venv"}
    assert "apt-get install -y -qq python3-venv" in ci


def test_the_hook_of_certbot_hands_over_key_and_certificate(tmp_path):
    """Readable by the group of the server alone; then the server is told to reload."""
    live, home, bin_ = tmp_path / "live", tmp_path / "etc", tmp_path / "bin"
    live.mkdir()
    bin_.mkdir()
    for part in ("privkey", "fullchain"):
        (live / f"{part}.pem").write_text(part)
    (bin_ / "systemctl").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/told\n')
    (bin_ / "systemctl").chmod(0o755)
    environment = {
        "PATH": f"{bin_}:/usr/bin:/bin",
        "RENEWED_LINEAGE": str(live),
        "SIPSERVER_CERTIFICATES": str(home),
        "SIPSERVER_GROUP": str(os.getgid()),
    }
    subprocess.run([ROOT / "deploy" / "certbot-hook"], env=environment, check=True, timeout=30)
    for part in ("privkey", "fullchain"):
        file = home / f"{part}.pem"
        assert (file.read_text(), file.stat().st_mode & 0o777) == (part, 0o640)
    assert (tmp_path / "told").read_text() == "reload sipserver\n"
    assert len(list(home.iterdir())) == 2
