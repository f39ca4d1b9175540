"""Update the message catalogues of the pages: webadmin/locale.

    python tools/messages.py          write sipserver.pot anew, and merge it into each sipserver.po
    python tools/messages.py --lacks  print the messages that lack a translation, by language

Messages are the texts in calls of `_`, `N_`, `ngettext` and `pgettext`, in Python and in templates;
and the texts that parts below the pages compose, with the context "composed": causes, health
checks, settings, acts of the audit, and the errors in the modules of COMPOSING.
"""

import ast
import io
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bottle import SimpleTemplate  # noqa: E402

from sip.config import SETTINGS  # noqa: E402
from sip.core.causes import CAUSES  # noqa: E402
from sip.monitor.health import Status  # noqa: E402
from sip.store.audit import KINDS, Act  # noqa: E402
from sip.store.history_search import RESULTS  # noqa: E402
from webadmin.catalogue import COMPOSED, DOMAIN, LOCALE  # noqa: E402

STATUSES = (Status.OK, Status.WARNING, Status.FAILING)
FUNCTIONS = ("_", "N_", "ngettext", "pgettext")
# The modules whose texts the pages show, and which of their texts those are: all that are raised
# as errors or handed to TELLING; these, and all that are returned or assigned; or all with a blank.
RAISED, ERRORS, PHRASES = "raised", "errors", "phrases"
COMPOSING = {
    "sip/addresses.py": ERRORS,
    "sip/core/explain.py": PHRASES,
    "sip/core/proxy/call_plan.py": ERRORS,
    "sip/health_probes.py": ERRORS,
    "sip/monitor/health.py": PHRASES,
    "sip/monitor/trace_forwarding.py": PHRASES,
    "sip/operator_values.py": ERRORS,
    "sip/robot/outgoing.py": PHRASES,
    "sip/robot/robot.py": ERRORS,
    "sip/running_settings.py": PHRASES,
    "sip/server.py": ERRORS,
    "sip/store/accounts.py": ERRORS,
    "sip/store/admin_passwords.py": ERRORS,
    "sip/store/admins.py": ERRORS,
    "sip/store/bans.py": ERRORS,
    "sip/store/call_changes.py": ERRORS,
    "sip/store/call_settings.py": ERRORS,
    "sip/store/columns.py": ERRORS,
    "sip/store/csv_file.py": ERRORS,
    "sip/store/database.py": ERRORS,
    "sip/store/desk_phones.py": ERRORS,
    "sip/store/encodings.py": ERRORS,
    "sip/store/groups.py": ERRORS,
    "sip/store/import_calls.py": ERRORS,
    "sip/store/importing.py": ERRORS,
    "sip/store/passwords.py": PHRASES,
    "sip/store/registrations.py": ERRORS,
    "sip/store/tokens.py": ERRORS,
    "sip/store/undo.py": ERRORS,
    "sip/store/users.py": ERRORS,
    "sip/transport/dns/exchange.py": ERRORS,
    "sip/transport/dns/resolver.py": ERRORS,
}
TELLING = (
    *(
        "BadSetting",
        "Check",
        "Error",
        "Exists",
        "Outcome",
        "Refusal",
        "RoundTrip",
        "refuse",
        "warn",
    ),
    "sentence_of_taken",
)
# Texts in those modules that no page shows.
SQL = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|ORDER|INDEXED|AND|COLLATE) | = |json_array"
    r"|, (ha1|forward|display|realm|re)_|, [a-z_]+,"
)
NOT_SHOWN = tuple(
    "<|?|= ?|[|id >|{unchanged}|SIP;cause=|OPTIONS sip:|Via:|From:|To:|CSeq|Call-ID:|Max-Forwards:"
    "|User-Agent|Content-Length|BEGIN |PRAGMA |there more it|kept setting ignored|unhandled error"
    "|secret {name}|a command|You are {name}|SIP over {each}|{address} in {trip}|{seconds} s"
    "|{seconds} ms|Do Not Disturb".split("|")
)
# Texts that are composed of several others, each of which has a blank at its start.
MORE = (
    *("Clock", "Database", "NAT"),
    "Forwarded by {name}: {why}.",
    "the gateway {name}",
    "{username} is a new user without password and ha1",
    "{username} is {holder}",
    "{name}'s phone",
)

HEADER = """\
# Messages of the pages of sipserver.
#"""


class Message(NamedTuple):
    """One message, with its context or None, its plural or "", and the file that has it."""

    context: str | None
    text: str
    plural: str
    place: str


def messages() -> Iterator[Message]:
    """Yield all messages of the sources."""
    for path in sorted((ROOT / "webadmin").rglob("*.py")):
        yield from _calls(_nodes(path), str(path.relative_to(ROOT)))
    for path in sorted((ROOT / "views").glob("*.tpl")):
        code = SimpleTemplate(path.read_text(), name=path.name).code
        yield from _calls(list(ast.walk(ast.parse(code))), str(path.relative_to(ROOT)))
    yield from (Message(COMPOSED, text, "", place) for text, place in _composed() if text)


@cache
def _nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def _calls(nodes: list[ast.AST], place: str) -> Iterator[Message]:
    """Yield the messages in calls of FUNCTIONS; a variable in one is a message of `N_`."""
    for node in nodes:
        name = _name(node.func) if isinstance(node, ast.Call) else ""
        if not isinstance(node, ast.Call) or name not in FUNCTIONS:
            continue
        count = 1 if name in ("_", "N_") else 2
        texts = [each.value for each in node.args[:count] if isinstance(each, ast.Constant)]
        if any(isinstance(each, (ast.JoinedStr, ast.BinOp)) for each in node.args[:count]):
            raise ValueError(f"{place}: {ast.unparse(node)} is no constant text")
        if len(texts) != count:
            continue
        context = texts[0] if name == "pgettext" else None
        plural = texts[1] if name == "ngettext" else ""
        yield Message(context, texts[1] if context else texts[0], plural, place)


def _composed() -> Iterator[tuple[str, str]]:
    """Yield the texts that other parts compose, each with its place."""
    for kind in CAUSES.values():
        yield kind.text, "sip/core/causes.py"
        yield kind.cure, "sip/core/causes.py"
    yield from ((each.meaning, "sip/config.py") for each in SETTINGS.values())
    yield from ((each.text, "sip/store/audit.py") for each in Act)
    yield from ((each, "sip/store/audit.py") for each in KINDS)
    yield from ((each, "sip/monitor/calls.py") for each in RESULTS)
    yield from ((each, "sip/monitor/health.py") for each in STATUSES)
    yield from ((each, "tools/messages.py") for each in MORE)
    pages = {str(path.relative_to(ROOT)): RAISED for path in (ROOT / "webadmin").glob("*.py")}
    del pages["webadmin/catalogue.py"]
    for path, which in {**COMPOSING, **pages}.items():
        for node in _candidates(_nodes(ROOT / path), which):
            text = _template(node).strip()
            if " " in text and not text.startswith(NOT_SHOWN) and not SQL.search(text):
                yield text, path


def _candidates(nodes: list[ast.AST], which: str) -> list[ast.AST]:
    """Return the nodes of a module that may be texts which the pages show."""
    inner = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    if which == PHRASES:
        docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        return [each for each in nodes if id(each) not in docs | inner]
    calls = [
        node for node in nodes if isinstance(node, ast.Call) and _name(node.func).endswith(TELLING)
    ]
    calls += [
        node.exc for node in nodes if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    ]
    found = [argument for call in calls for argument in call.args]
    if which == ERRORS:
        for node in nodes:
            if isinstance(node, (ast.Return, ast.Assign)) and node.value is not None:
                found += ast.walk(node.value)
    return [each for each in found if id(each) not in inner]


def _template(node: ast.AST) -> str:
    """Return a text or an f-string as a template with named values, "" for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if not isinstance(node, ast.JoinedStr):
        return ""
    names: dict[str, str] = {}  # by the expression
    text = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
            continue
        expression = ast.unparse(part.value)
        name = _value_name(part.value)
        count = sum(each.rstrip("0123456789") == name for each in names.values())
        names.setdefault(expression, f"{name}{count + 1}" if count else name)
        text += "{" + names[expression] + "}"
    return text if text.replace("{", "").strip() != "" and not _is_bare(text) else ""


def _is_bare(text: str) -> bool:
    """Return True for a template without words of its own."""
    while "{" in text:
        text = text[: text.index("{")] + text[text.index("}") + 1 :]
    return not any(each.isalpha() for each in text)


def _value_name(node: ast.expr) -> str:
    """Return a name for a value in an f-string: the last name in its expression."""
    if isinstance(node, ast.Name):
        return node.id.strip("_").lower()
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_").lower()
    found = [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
    lower = [each.strip("_") for each in found if each.strip("_").islower() and each != "len"]
    return lower[-1] if lower and not isinstance(node, ast.IfExp) else "value"


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def template() -> Catalog:
    """Return the catalogue of all messages, without translations."""
    catalog = Catalog(project="sipserver", charset="utf-8", fuzzy=False)
    for each in messages():
        text = (each.text, each.plural) if each.plural else each.text
        catalog.add(text, locations=[(each.place, 0)], context=each.context)
    return catalog


def as_text(catalog: Catalog, header: str = HEADER) -> str:
    """Return a catalogue as the text of its file, sorted, so that it changes little."""
    catalog.header_comment = header
    for message in catalog:  # each file once
        message.locations = [(place, None) for place in sorted({p for p, _ in message.locations})]
    file = io.BytesIO()
    write_po(file, catalog, width=98, sort_output=True, ignore_obsolete=True)
    lines = file.getvalue().decode().splitlines()
    dated = (
        *("POT-Creation-Date", "PO-Revision-Date", "Generated-By", "Project-Id-Version"),
        *("Report-Msgid-Bugs-To", "Last-Translator", "Language-Team"),
    )
    kept = [line for line in lines if not line.startswith(tuple(f'"{each}' for each in dated))]
    return "\n".join(kept).rstrip() + "\n"


def files() -> list[Path]:
    """Return the catalogues of all languages."""
    return sorted(LOCALE.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))


def merged(path: Path, all_messages: Catalog) -> Catalog:
    """Return a catalogue of a language with all present messages, and no others."""
    with path.open("rb") as file:
        catalog = read_po(file, locale=path.parent.parent.name, ignore_obsolete=True)
    catalog.update(all_messages, no_fuzzy_matching=True, update_header_comment=False)
    return catalog


def lacking(catalog: Catalog) -> list[str]:
    """Return the messages without a translation."""
    return [
        f"{each.context}: {each.id}" if each.context else str(each.id)
        for each in catalog
        if each.id and not all(each.string if isinstance(each.string, tuple) else [each.string])
    ]


def main() -> None:
    """Write the catalogues, or print what is missing."""
    all_messages = template()
    if "--lacks" in sys.argv:
        for path in files():
            print("\n".join([str(path.relative_to(ROOT)), *lacking(merged(path, all_messages))]))
        return
    (LOCALE / f"{DOMAIN}.pot").write_text(as_text(all_messages))
    for path in files():
        path.write_text(as_text(merged(path, all_messages)))


if __name__ == "__main__":
    main()
