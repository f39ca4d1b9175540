"""Rendering of templates, and the functions that templates may call."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from time import gmtime, strftime
from typing import ClassVar
from urllib.parse import quote, urlencode

from bottle import SimpleTemplate

from sip.core.explain import as_sentence as as_sentence
from webadmin.navigation import BAR, GROUPS, MENU, next_theme

VIEWS = Path(__file__).parent.parent / "views"
STATIC = VIEWS / "static"

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_UNITS = (("d", _DAY), ("h", _HOUR), ("min", _MINUTE), ("s", 1))


class _Scope(dict[str, object]):
    """The variables of a template while it is rendered.

    Some of them are functions that refer back to the scope.  Only the garbage collector would free
    such a cycle, and those of many pages at once take it 50 ms.  So `render` clears each scope.
    """

    used: ClassVar[list["_Scope"]] = []

    def copy(self) -> "_Scope":
        scope = _Scope(self)
        self.used.append(scope)
        return scope


class _Template(SimpleTemplate):  # type: ignore[misc]  # bottle has no types
    defaults = _Scope()  # bottle copies it for each scope


def _load() -> dict[str, _Template]:
    """Read and compile all templates at the start: each takes milliseconds."""
    names = [path.name for path in VIEWS.glob("*.tpl")]
    templates = {name: _Template(name=name, lookup=[str(VIEWS)]) for name in names}
    for template in templates.values():
        template.cache.update(templates)  # the templates that it includes
        template.co  # noqa: B018 -- reading the attribute compiles it
    return templates


_TEMPLATES = _load()


def render(name: str, **values: object) -> str:
    """Render the template of that file name in `views/`."""
    template = _TEMPLATES[name]
    try:
        return str(template.render(**_FUNCTIONS, **_FRAME, **values))
    finally:
        while _Scope.used:
            _Scope.used.pop().clear()


@cache
def static(name: str) -> str:
    """Return the URL of a file in `views/static/`; it changes with the file."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def link(path: str, parameters: Sequence[tuple[str, object]]) -> str:
    """Return a URL with those parameters that are not empty."""
    given = [(name, value) for name, value in parameters if value]
    return f"{path}?{urlencode(given, quote_via=quote)}" if given else path


def span(seconds: float) -> str:
    """Return a duration in words, in its two largest units: `2 h 5 min`."""
    left = max(0, round(seconds))
    parts = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "now"


def ago(at: float | None, now: float) -> str:
    """Return a past time in words, in its largest unit: `5 min ago`."""
    if at is None:
        return "never"
    seconds = now - at
    for unit, size in _UNITS[:-1]:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def elapsed(seconds: float) -> str:
    """Return the time between two messages: `+84 ms`, `+3.9 s`, `+3 min 12 s`."""
    if seconds < 1:
        return f"+{max(0, round(1000 * seconds))} ms"
    return f"+{seconds:.1f} s" if seconds < _MINUTE else f"+{span(seconds)}"


def counter(seconds: float) -> str:
    """Return a duration as a counter of a call: `3:12`, `1:02:05`."""
    left = max(0, int(seconds))
    minutes, hours = left // _MINUTE % 60, left // _HOUR
    return f"{hours}:{minutes:02}:{left % 60:02}" if hours else f"{minutes}:{left % 60:02}"


def ladder_link(call_id: str) -> str:
    """Return the URL of the ladder of a Call-ID."""
    return f"/traces/{quote(call_id, safe='')}"


def moment(at: float) -> str:
    """Return a Unix time as UTC in ISO 8601, for the <time> element."""
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(at))


# Browsers by the token in their User-Agent, in this order: most also name other browsers.
_BROWSERS = (
    *(("Edg", "Edge"), ("OPR", "Opera"), ("SamsungBrowser", "Samsung Internet")),
    *(("Firefox", "Firefox"), ("FxiOS", "Firefox"), ("CriOS", "Chrome"), ("Chromium", "Chromium")),
    *(("HeadlessChrome", "Chrome"), ("Chrome", "Chrome"), ("Version", "Safari"), ("curl", "curl")),
)
_SYSTEMS = (
    *(("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("CrOS", "ChromeOS")),
    *(("Windows", "Windows"), ("Macintosh", "macOS"), ("Linux", "Linux")),
)


_LONGEST_BROWSER = 60  # characters


def browser_of(user_agent: str) -> str:
    """Return a short name for a User-Agent: `Firefox 128 on Linux`."""
    for token, name in _BROWSERS:
        if version := re.search(rf"\b{token}/(\d{{1,4}})", user_agent):
            system = next((f" on {name}" for word, name in _SYSTEMS if word in user_agent), "")
            return f"{name} {version[1]}{system}"
    return user_agent[:_LONGEST_BROWSER] or "unknown browser"


def initials(name: str) -> str:
    """Return two letters that stand for a name: "AL" for Alice Liddell, "10" for 10217."""
    words = name.split()
    return (words[0][0] + words[-1][0] if len(words) > 1 else name[:2]).upper()


# Functions that every template may call.
_FUNCTIONS = {
    function.__name__: function
    for function in (
        *(static, ago, elapsed, span, moment, browser_of, as_sentence),
        *(counter, ladder_link),
    )
}
# What the layout and the pages of users need besides.
_FRAME = {
    "initials": initials,
    "next_theme": next_theme,
    "groups": GROUPS,
    "bar": BAR,
    "menu": MENU,
}
