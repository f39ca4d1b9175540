"""The file of the hooks: its owner, its rights, its code."""

import os

import pytest

from sip.hooks import file
from sip.hooks.file import HookFileError, describe, read, run, stamp_of
from tests.support.cases import cases


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "hooks.py"
    path.write_text("def route(call): pass\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_a_file_that_others_cannot_write_is_read(path, mode: int):
    path.chmod(mode)
    assert read(str(path)) == path.read_bytes()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(path, mode: int):
    path.chmod(mode)
    with pytest.raises(HookFileError, match="can be written by other users; run: chmod go-w"):
        read(str(path))


def test_a_file_of_another_user_is_refused(path, monkeypatch):
    """Any other file but one of root and of the server's own user."""
    stranger = os.stat_result((0o100600, 1, 1, 1, 4242, 0, 1, 0, 0, 0))
    monkeypatch.setattr(file.os, "fstat", lambda descriptor: stranger)
    with pytest.raises(HookFileError, match="belongs to another user; chown it to root"):
        read(str(path))


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "missing"):
        with pytest.raises(HookFileError):
            read(str(tmp_path / name))


def test_a_large_file_is_refused(path, monkeypatch):
    monkeypatch.setattr(file, "MAX_OCTETS", 10)
    with pytest.raises(HookFileError, match="larger than 10 octets"):
        read(str(path))


def test_the_stamp_changes_with_the_file(path):
    before = stamp_of(str(path))
    path.with_name("new").write_text("# another file of the same name\n")
    path.with_name("new").rename(path)
    assert stamp_of(str(path)) not in (None, before)
    path.unlink()
    assert stamp_of(str(path)) is None


def test_the_functions_are_found():
    found = run(b"def route(call): pass\non_call = print\n", "hooks.py")
    assert str(found) == "route, on_call"
    assert found.on_call is print
    assert found.on_register is None


@cases(
    ("source", "why"),
    [
        (b"def route(call:\n", "hooks.py, line 1: "),
        (b"\n\nimport nothing_of_this_name\n", "ModuleNotFoundError: .* \\(line 3\\)"),
        (b"raise SystemExit(3)\n", "SystemExit: 3"),
        (b"\xff\n", "hooks.py"),
        (b"a\0b", "hooks.py"),
        (b"x = 1\n", "defines none of route, on_register, on_call"),
        (b"route = 5\n", "route must be a plain function"),
        (b"async def route(call): pass\n", "route must be a plain function"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(source: bytes, why: str):
    with pytest.raises(HookFileError, match=why):
        run(source, "hooks.py")


def test_an_error_is_one_line_with_its_place():
    hook = run(b"def route(call):\n    x = {}\n    return x['a\\nb']\n", "hooks.py").route
    with pytest.raises(KeyError) as caught:
        hook(None)
    assert describe(caught.value, "hooks.py") == "KeyError: 'a\\nb' (line 3)"
