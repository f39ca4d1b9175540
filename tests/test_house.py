"""The house: who may import whom, where gevent and dataset are, how long a file may get."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for path in [
        ROOT / "sipserver.py",
        *(ROOT / "sip").rglob("*.py"),
        *(ROOT / "webadmin").rglob("*.py"),
    ]
)
NAMES = [str(path.relative_to(ROOT)) for path in SOURCES]
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# Each may import those before it.
LAYERS = [
    "sip.message",
    "sip.transport",
    "sip.transaction",
    "sip.core",
    "sip.dispatcher",
    "sip.server",
]
GEVENT_IN = re.compile(
    r"sipserver\.py|sip/(server|dispatcher|control/server)\.py|sip/transport/(dns/)?\w+\.py|sip/transaction/mailbox\.py"
    r"|sip/store/(database|group_commit)\.py|webadmin/(http/)?\w+\.py"
)
MAX_LINES = 500


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def layer_of(module: str) -> int | None:
    for number, layer in enumerate(LAYERS):
        if module == layer or module.startswith(layer + "."):
            return number
    return None


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_imports_run_one_way(path: Path):
    own = layer_of(module_of(path))
    for module in imports(path):
        other = layer_of(module)
        if own is not None and other is not None:
            assert other <= own, f"{module} stands above"
        if module_of(path).startswith(("sip.store", "sip.monitor")):
            assert other is None, f"what is kept knows nothing of SIP, {module} does"
        if path.parts[len(ROOT.parts)] == "sip":
            assert not module.startswith("webadmin")


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_gevent_and_dataset_stay_in_their_rooms(path: Path):
    name = str(path.relative_to(ROOT))
    for module in imports(path):
        package = module.partition(".")[0]
        if package in ("gevent", "greenlet"):
            assert GEVENT_IN.fullmatch(name), f"{name} imports {module}"
        if package in ("dataset", "sqlalchemy"):
            assert name == "sip/store/database.py", f"{name} imports {module}"
        if name.startswith("sip/message/"):
            assert package == "sip" or package in sys.stdlib_module_names


@pytest.mark.parametrize(
    "path", SOURCES + TESTS, ids=[str(p.relative_to(ROOT)) for p in SOURCES + TESTS]
)
def test_a_file_is_split_before_it_grows_too_long(path: Path):
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_the_patch_comes_before_every_other_import():
    """Whatever is imported earlier would keep blocking sockets and threads."""
    body = ast.parse((ROOT / "sipserver.py").read_text()).body
    assert [ast.unparse(node) for node in body[1:3]] == [
        "from gevent import monkey",
        "monkey.patch_all()",
    ]


def test_every_public_name_says_what_it_is():
    """Modules, classes and functions that others use have a docstring."""
    silent = []
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        if not ast.get_docstring(tree):
            silent.append(str(path))
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node) and node in tree.body:
                silent.append(f"{path}:{node.lineno} {node.name}")
    assert not silent
