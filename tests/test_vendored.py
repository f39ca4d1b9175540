"""Vendored files are unchanged, with licence and version beside them."""

import hashlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = sorted(
    path.parent
    for place in ("views/static/vendor", "tests/browser/vendor")
    for path in (ROOT / place).rglob("VERSION")
)


def test_every_vendored_file_belongs_to_a_version():
    """Each file is named in a VERSION."""
    files = {
        path
        for place in ("views/static/vendor", "tests/browser/vendor")
        for path in (ROOT / place).rglob("*")
        if path.is_file() and path.name not in ("VERSION", "LICENSE")
    }
    named = set()
    for folder in FOLDERS:
        for line in (folder / "VERSION").read_text().splitlines()[1:]:
            named.add(folder / line.split()[1])
    assert files == named


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_a_vendored_file_is_the_one_that_was_published(folder: Path):
    name, *sums = (folder / "VERSION").read_text().splitlines()
    assert name.endswith("unchanged")
    for line in sums:
        digest, file = line.split()
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
    assert (folder / "LICENSE").stat().st_size > 300
