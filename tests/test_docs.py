"""The documents say what is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sip.config import SETTINGS

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text()


def settings_table() -> str:
    """The table of settings as the README shows it."""
    rows = ["| setting | environment | default | meaning |", "|---|---|---|---|"]
    for name, entry in SETTINGS.items():
        variables = ", else ".join(f"`{variable}`" for variable in [entry.variable, *entry.also])
        default = f"`{entry.default}`" if entry.default else "none"
        value = entry.value.replace("|", " or ")
        rows.append(f"| `-{name}` {value} | {variables} | {default} | {entry.meaning} |")
    return "\n".join(rows)


def test_the_readme_shows_every_setting():
    assert settings_table() in README, f"the table has to be\n\n{settings_table()}\n"


def run_python_of_the_readme(number: int, afterwards: str, home: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[number]
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code + afterwards],
        cwd=home,
        env={"PYTHONPATH": str(ROOT)},
        check=True,
        timeout=30,
    )


def test_the_python_of_the_readme_adds_a_user(tmp_path: Path):
    """It runs in a plain script, without gevent's patch."""
    found = "    assert Users(database, realm='go-sip-server').find('alice', 'go-sip-server')\n"
    run_python_of_the_readme(0, found, tmp_path)


def test_the_python_of_the_readme_imports_many(tmp_path: Path):
    rows = "".join(f"user{number},secret\n" for number in range(1000))
    (tmp_path / "users.csv").write_text(f"username,password\n{rows}")
    run_python_of_the_readme(1, "    assert len(Users(database)) == 1000\n", tmp_path)


@pytest.mark.parametrize("path", DOCUMENTS, ids=[str(p.relative_to(ROOT)) for p in DOCUMENTS])
def test_links_lead_somewhere(path: Path):
    for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / link).exists(), link


def test_every_test_that_the_conformance_page_names_exists():
    page = (ROOT / "docs" / "conformance.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert named
    for file, test in named:
        source = ROOT / file
        assert source.exists(), file
        assert not test or f"def {test}(" in source.read_text(), f"{file}::{test}"
