"""The house: which module may reach which, where gevent and dataset are, how long a file may be."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.cases import cases

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

# The layers of SIP, from the bottom up: none reaches a later one.
LAYERS = [
    ["sip.message"],
    ["sip.transport"],
    ["sip.transaction"],
    ["sip.core"],
    ["sip.robot"],
    ["sip.dispatcher"],
    ["sip.server"],
    ["webadmin"],
    ["sipserver"],
]
# The parts of the core, likewise; those of one line may reach each other.
CORE = [
    [
        f"sip.core.{name}"
        for name in (
            "errors",
            "domains",
            "trunk",
            "target",
            "cause_kind",
            "causes",
            "q850",
            "uas",
            "explain",
            "media",
        )
    ],
    ["sip.core.stateless", "sip.core.options", "sip.core.cause_fields", "sip.core.gruu"],
    ["sip.core.guard"],
    ["sip.core.auth"],
    ["sip.core.registrar", "sip.core.request_log"],
    ["sip.core.proxy"],
]
SIP_LAYERS = tuple(
    f"sip.{name}" for name in ("message", "transport", "transaction", "core", "robot", "dispatcher")
)
# Modules that those of a prefix must not reach, by any chain of imports.
FORBIDDEN = {
    "sip": ("webadmin", "sipserver"),
    "sip.store": (*SIP_LAYERS, "sip.server", "sip.config"),
    "sip.monitor": (*SIP_LAYERS, "sip.server", "sip.store", "sip.config"),
    "sip.message": ("sip.store", "sip.monitor", "sip.config"),
    "sip.transport": ("sip.store", "sip.config"),
    "sip.transaction": ("sip.store", "sip.config"),
    "sip.core": ("sip.config",),
}
# Packages and modules that take long to import: `-help` must not wait for them.
SLOW = (
    *("gevent", "dataset", "sqlalchemy", "bottle"),
    *("webadmin", "sip.server", "sip.transport", "sip.store"),
)
# Modules that gevent patches: modules that import them before could keep what is replaced.
PATCHED = {"queue", "select", "selectors", "socket", "ssl", "subprocess"}
GEVENT_IN = re.compile(
    r"sipserver\.py|sip/(server|dispatcher|health_probes|webhook|control/server)\.py"
    r"|sip/transport/(dns/)?\w+\.py"
    r"|sip/transaction/mailbox\.py|sip/store/(database|group_commit|history_writer)\.py"
    r"|webadmin/(http/)?\w+\.py|sip/hooks/threads\.py"
    r"|sip/robot/(media|wire)\.py"
)
MAX_LINES = 500


def module_of(path: Path) -> str:
    """The name of a module; that of a package for its __init__."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_of(path): path for path in SOURCES}


def is_within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Every module that is imported, of `from a import b` both a and a.b, and their packages."""
    for node in nodes:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def at_start(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module that run when it is imported."""
    for node in ast.iter_child_nodes(tree):
        is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not is_for_types and not isinstance(node, ast.FunctionDef | ast.Lambda):
            yield node
            yield from at_start(node)


@cache
def imports(module: str, *, start: bool = False) -> frozenset[str]:
    """The imports of a module, anywhere in it; with `start` only those at its start."""
    tree = ast.parse(PATHS[module].read_text())
    return frozenset(imported(at_start(tree) if start else ast.walk(tree)))


@cache
def reached(module: str, *, start: bool = False) -> dict[str, str]:
    """All that a module imports, itself or by others, each with the module that imports it."""
    by: dict[str, str] = {}
    waiting = [module]
    while waiting:
        here = waiting.pop()
        for name in sorted(imports(here, start=start)):
            if name not in by and name != module:
                by[name] = here
                if name in PATHS:
                    waiting.append(name)
    return by


def chain(module: str, target: str, *, start: bool = False) -> str:
    """The way from a module to one that it reaches."""
    by, way = reached(module, start=start), [target]
    while way[-1] != module:
        way.append(by[way[-1]])
    return " → ".join(reversed(way))


def violations(module: str, forbidden: tuple[str, ...], *, start: bool = False) -> list[str]:
    """The ways by which a module reaches what it must not."""
    return [
        chain(module, name, start=start)
        for name in reached(module, start=start)
        if any(is_within(name, prefix) for prefix in forbidden)
        # The packages themselves have no code.
        and not (name in PATHS and PATHS[name].name == "__init__.py")
    ]


def later_than(module: str, order: list[list[str]]) -> tuple[str, ...]:
    """The modules after a module in an order; none for one that is not in it."""
    for number, prefixes in enumerate(order):
        if any(is_within(module, prefix) for prefix in prefixes):
            return tuple(prefix for later in order[number + 1 :] for prefix in later)
    return ()


def test_no_chain_of_imports_leads_to_a_later_layer():
    found = []
    for module in PATHS:
        forbidden = later_than(module, LAYERS) + later_than(module, CORE)
        for prefix, names in FORBIDDEN.items():
            if is_within(module, prefix):
                forbidden += names
        found += violations(module, forbidden)
    assert found == []


def test_every_part_of_the_core_has_its_place_in_the_order():
    placed = [prefix for prefixes in CORE for prefix in prefixes]
    inner = [module for module in PATHS if module.startswith("sip.core.")]
    assert [m for m in inner if not any(is_within(m, prefix) for prefix in placed)] == []
    assert [p for p in placed if p not in PATHS] == []


def test_the_help_is_shown_before_slow_imports():
    assert not violations("sipserver", SLOW, start=True)
    assert not [name for name in SLOW if name in reached("sipserver", start=True)]


def test_gevent_and_dataset_are_imported_in_few_files():
    for module, path in PATHS.items():
        name = str(path.relative_to(ROOT))
        for package in {each.partition(".")[0] for each in imports(module)}:
            if package in ("gevent", "greenlet"):
                assert GEVENT_IN.fullmatch(name), f"{name} imports {package}"
            if package in ("dataset", "sqlalchemy"):
                assert name == "sip/store/database.py", f"{name} imports {package}"


@cases("module", [m for m in PATHS if is_within(m, "sip.message")])
def test_messages_need_the_standard_library_alone(module: str):
    for name in reached(module):
        if name != "sip":
            package = name.partition(".")[0]
            assert is_within(name, "sip.message") or package in sys.stdlib_module_names, name


def test_no_file_is_longer_than_the_limit():
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES + TESTS}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_the_patch_is_the_first_that_the_server_does():
    body = ast.parse((ROOT / "sipserver.py").read_text()).body
    (run,) = (node for node in body if isinstance(node, ast.FunctionDef) and node.name == "run")
    assert [ast.unparse(node) for node in run.body[1:3]] == [
        "from gevent import monkey",
        "monkey.patch_all()",
    ]


def test_the_patch_finds_no_module_with_sockets_imported():
    """Such a module could keep sockets that block; and the help needs no slow one."""
    code = "import sys, sipserver; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    loaded = set(done.stdout.decode().split())
    assert "sip.cli.main" in loaded
    assert not loaded & (PATCHED | set(SLOW))


def test_every_public_name_has_a_docstring():
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


def test_names_of_tests_have_at_most_60_characters():
    """A longer name wraps in every report; the docstring holds the details."""
    names = [
        name for path in TESTS for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    ]
    assert len(names) > 2000
    assert [name for name in names if len(name) > 60] == []


def test_helpers_of_tests_are_in_support():
    """No test imports from another test module."""
    for path in TESTS:
        assert not re.search(r"^\s*from tests[\w.]*\.test_\w+ import", path.read_text(), re.M), path
        assert not re.search(r"^\s*from tests\.support import", path.read_text(), re.M), path
