"""The documents agree with the code."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from sip.config import SETTINGS
from sip.core.causes import CAUSES
from tests.support.cases import cases

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


def causes_table() -> str:
    """The table of causes as docs/causes.md shows it; `{name}` is written as NAME."""
    rows = ["| cause | the log says | what to do |", "|---|---|---|"]
    for kind in CAUSES.values():
        texts = [
            re.sub(r"\{(\w+)\}", lambda match: match[1].upper(), text)
            for text in (f"`{kind.text}`" if kind.text else "", kind.cure)
        ]
        rows.append(f"| `{kind.code}` | {texts[0]} | {texts[1]} |")
    return "\n".join(rows)


def test_the_page_of_causes_shows_every_cause():
    page = (ROOT / "docs" / "causes.md").read_text()
    assert causes_table() in page, f"the table has to be\n\n{causes_table()}\n"


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


@cases("path", DOCUMENTS)
def test_links_lead_somewhere(path: Path):
    for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / link).exists(), link


def test_the_readme_of_tests_names_each_support_file_and_topic():
    page = (ROOT / "tests" / "README.md").read_text()
    named = set(re.findall(r"^\| `(\w+\.py|ladders/\w+/)` \| \w", page, re.MULTILINE))
    files = {path.name for path in (ROOT / "tests" / "support").glob("[!_]*.py")}
    folders = {f"{path.parent.name}/" for path in (ROOT / "tests" / "ladders").glob("*/test_*.py")}
    assert named == files | {f"ladders/{folder}" for folder in folders}


# The page of conformance

# Where something stands: `§16.7, step 4`, several of them, with an RFC before them or alone.
_PLACE = r"§\d+(?:\.\d+)*(?:, (?:step|item) \d+)?"
PLACES = re.compile(rf"(?:RFC \d+ )?{_PLACE}(?:(?:, | to ){_PLACE})*|RFC \d+(?:, \d+)*")
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
# One RFC or a list of them: `RFC 7616, 8760 and 2069`.
RFCS = re.compile(r"RFCs? (\d{3,4}\b(?:(?: §[\d.]*\d)?(?:,| and) \d{3,4}\b)*)")


def rfcs_in(text: str) -> set[str]:
    """The numbers of all RFCs that a text names, wherever its lines are broken."""
    lists = RFCS.findall(re.sub(r"\s+(?:# )?", " ", text))
    return {number for found in lists for number in re.findall(r"(?<![§.\d])\d{3,4}\b", found)}


def text_of(folder: str) -> str:
    """All Python below a folder, but for this file: it names wrong ones on purpose."""
    paths = (path for path in (ROOT / folder).rglob("*.py") if path != Path(__file__))
    return "".join(path.read_text() for path in paths)


CITED_IN_SOURCES = rfcs_in(text_of("sip"))
CITED = CITED_IN_SOURCES | rfcs_in(text_of("tests"))


@cache
def names_in(file: str) -> frozenset[str]:
    """The names of the tests in a file below `tests/`; none where there is no such file."""
    path = ROOT / "tests" / file
    text = path.read_text() if path.exists() else ""
    return frozenset(re.findall(r"^def (test_\w+)\(", text, re.MULTILINE))


def faults_of_entry(entry: str) -> Iterator[str]:
    """Faults of one entry, which needs a section, a rule, and a list of tests alone."""
    rule, *tests = entry.split("\n  - ")
    match = re.fullmatch(r"- \*\*([^*]+)\*\*: (\S.*)", rule, re.DOTALL)
    if match is None:
        yield f"no section and rule: {entry}"
    elif not PLACES.fullmatch(match[1]):
        yield f"no section: {entry}"
    elif not tests or not all(TEST.fullmatch(test) for test in tests):
        yield f"names no test, or something else: {entry}"


def faults_of_conformance(page: str) -> Iterator[str]:
    """Faults of the page of rules that are kept, each with the tests that show it."""
    for entry in re.findall(r"^- \*\*.*(?:\n  .*)*", page, re.MULTILINE):
        yield from faults_of_entry(entry)
    if stray := re.findall(r"^(?:\||  - (?!`)).*", page, re.MULTILINE):
        yield f"neither entry nor prose: {stray}"
    for file, test in TEST.findall(page):
        if test not in names_in(file):
            yield f"there is no {file}::{test}"
    for part in page.split("\n## ")[1:]:
        heading = part.partition("\n")[0]
        if not re.search(r"^(?:### )?Left out[:,]", part, re.MULTILINE):
            yield f"what is left out? {heading}"
        for rfc in rfcs_in(heading) - CITED:
            yield f"nobody cites RFC {rfc}"
    for rfc in CITED_IN_SOURCES - rfcs_in(page):
        yield f"sip/ cites RFC {rfc}, which has no place"


CONFORMANCE = (ROOT / "docs" / "conformance.md").read_text()


def test_the_promises_of_security_name_tests_that_there_are():
    page = (ROOT / "docs" / "security.md").read_text()
    named = TEST.findall(page)
    assert len(named) > 20
    assert not [(file, test) for file, test in named if test not in names_in(file)]


def test_the_page_of_conformance_says_what_is_so():
    assert list(faults_of_conformance(CONFORMANCE)) == []
    assert len(TEST.findall(CONFORMANCE)) > 300


@cases(
    ("right", "wrong"),
    [
        ("- **§7.3.3**", "- **7.3.3**"),
        ("**§16.6, step 3**", "**§16.6, stage 3**"),
        ("::test_the_trapezoid`", "::test_the_trapezium`"),
        (
            "ladders/routing/test_routes.py::test_the_trapezoid",
            "ladders/routing/test_x.py::test_the_trapezoid",
        ),
        ("  - `ladders/routing/test_routes.py::test_the_trapezoid`", "  - the ladders"),
        ("\n  - `ladders/routing/test_routes.py::test_the_trapezoid`", ""),
        (": the trapezoid\n", ":\n"),
        ("RFC 1035", "RFC 1036"),
        ("## RFC 6086,", "## RFC 6087,"),
        ("Left out: Recv-Info", "Without Recv-Info"),
    ],
)
def test_a_page_of_conformance_that_is_wrong_is_found_out(right: str, wrong: str):
    assert right in CONFORMANCE
    assert list(faults_of_conformance(CONFORMANCE.replace(right, wrong)))


def test_each_decision_is_linked_where_its_topic_is_told():
    """By a document that is no decision itself."""
    texts = [path.read_text() for path in DOCUMENTS if path.parent.name != "decisions"]
    decisions = [path.name for path in DOCUMENTS if path.parent.name == "decisions"]
    assert decisions
    assert [name for name in decisions if not any(f"decisions/{name}" in t for t in texts)] == []


# The guided tour

TOUR = (ROOT / "docs" / "design.md").read_text()
MODULES = [
    path
    for folder in ("sip", "webadmin")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "__init__.py"
]


def test_the_tour_has_every_module():
    """In the table of its folder, which names the folder above it."""
    tables = dict(re.findall(r"^`([\w/]+)/`:\n\n((?:\|.*\n)+)", TOUR, re.MULTILINE))
    assert [
        str(path.relative_to(ROOT))
        for path in MODULES
        if f"| `{path.name}` |" not in tables.get(str(path.parent.relative_to(ROOT)), "")
    ] == []


def test_the_tour_names_no_file_that_is_gone():
    """Every row of a table is a module."""
    for folder, rows in re.findall(r"^`([\w/]+)/`:\n\n((?:\|.*\n)+)", TOUR, re.MULTILINE):
        for name in re.findall(r"^\| `(\w+\.py)` \|", rows, re.MULTILINE):
            assert (ROOT / folder / name).exists(), f"{folder}/{name}"


def test_the_walks_follow_functions_that_there_are():
    """`module.function` in a walk is a function or attribute of a module of that name."""
    walks = re.findall(r"^    .*$", TOUR.partition("## The way of a REGISTER")[2], re.MULTILINE)
    steps = re.findall(r"\b([a-z_]+)\.([a-z_]\w*)", "\n".join(walks))
    texts = {
        stem: "".join(path.read_text() for path in MODULES if path.stem == stem)
        for stem, _ in steps
    }
    assert len(steps) > 40
    missing = [f"{a}.{b}" for a, b in steps if not re.search(rf"\bdef {b}\b", texts[a])]
    assert missing == []
