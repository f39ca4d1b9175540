"""The build of the compiled copy: what it refuses, before it compiles anything."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOL = ROOT / "tools" / "build_compiled.py"
CLASS = re.compile(r"^ *class (\w+)(?:\((.*)\))?:", re.MULTILINE)


def refusal(*arguments: str, path: str = os.environ["PATH"]) -> str:
    """Run the tool, which has to fail, and give its sentence."""
    done = subprocess.run(
        [sys.executable, str(TOOL), *arguments], env={"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_machine_without_a_compiler_is_told_the_package(tmp_path: Path):
    assert refusal(path=str(tmp_path)) == "There is no C compiler: apt-get install gcc\n"


@pytest.fixture
def with_compiler(tmp_path: Path) -> str:
    """A PATH with a compiler that always fails."""
    compiler = tmp_path / "bin" / "cc"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    return str(compiler.parent)


def test_other_folders_are_never_overwritten(tmp_path: Path, with_compiler: str):
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter").write_text("dear")
    assert "is not a copy of this project" in refusal(str(home), path=with_compiler)
    for inside in (ROOT, ROOT / "sip", ROOT / "new", ROOT / "build"):
        assert "is within the project" in refusal(str(inside), path=with_compiler)
    assert [path.name for path in home.iterdir()] == ["letter"]


def test_a_failed_build_leaves_the_former_copy(
    tmp_path: Path, with_compiler: str, monkeypatch: pytest.MonkeyPatch
):
    former = tmp_path / "copy"
    former.mkdir()
    (former / "sipserver.py").write_text("the former one")
    monkeypatch.setenv("PATH", with_compiler)
    monkeypatch.setattr(sys, "argv", [str(TOOL), str(former)])
    tool = runpy.run_path(str(TOOL))
    tool["main"].__globals__["COMPILE"] = "print('no room on the disk'); raise SystemExit(1)"
    with pytest.raises(SystemExit, match=r"The build has failed\. .*\nno room on the disk"):
        tool["main"]()
    assert (former / "sipserver.py").read_text() == "the former one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "copy"]


def test_each_pattern_of_hot_modules_finds_some():
    for pattern in runpy.run_path(str(TOOL))["HOT"]:
        assert list(ROOT.glob(pattern)), pattern


def test_no_other_class_has_a_compiled_base():
    """An object of such a class cannot be made in the compiled copy."""
    hot = {path for pattern in runpy.run_path(str(TOOL))["HOT"] for path in ROOT.glob(pattern)}
    others = {*(ROOT / "sip").rglob("*.py"), *(ROOT / "webadmin").rglob("*.py")} - hot
    compiled = {name for path in hot for name, _ in CLASS.findall(path.read_text())}
    assert "BadStream" in compiled
    derived = {
        name
        for path in others
        for name, bases in CLASS.findall(path.read_text())
        if compiled & set(re.findall(r"\w+", bases))
    }
    assert derived == set()
