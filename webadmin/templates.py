"""Pages: how a template is filled in, and how times are put into words."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from time import gmtime, strftime
from typing import ClassVar
from urllib.parse import quote, urlencode

from bottle import SimpleTemplate

VIEWS = Path(__file__).parent.parent / "views"
STATIC = VIEWS / "static"

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_UNITS = (("d", _DAY), ("h", _HOUR), ("min", _MINUTE), ("s", 1))


class _Scope(dict[str, object]):
    """The names that a template knows while it is filled in.

    Some of them are helpers that refer back to it.  That is garbage which only the collector would
    find, and of many pages at once: phones would wait for 50 ms.  So who fills in empties it.
    """

    used: ClassVar[list["_Scope"]] = []

    def copy(self) -> "_Scope":
        scope = _Scope(self)
        self.used.append(scope)
        return scope


class _Template(SimpleTemplate):  # type: ignore[misc]  # bottle has no types
    defaults = _Scope()  # every scope is made as a copy of it, or of another


def _load() -> dict[str, _Template]:
    """Read and compile every template now: each takes milliseconds, and later phones would wait."""
    names = [path.name for path in VIEWS.glob("*.tpl")]
    templates = {name: _Template(name=name, lookup=[str(VIEWS)]) for name in names}
    for template in templates.values():
        template.cache.update(templates)  # what it includes
        template.co  # noqa: B018 -- to look at it is to compile it
    return templates


_TEMPLATES = _load()


def render(name: str, **values: object) -> str:
    """Fill in the template of that file name in `views/`."""
    template = _TEMPLATES[name]
    try:
        return str(template.render(**_FUNCTIONS, **values))
    finally:
        while _Scope.used:
            _Scope.used.pop().clear()


@cache
def static(name: str) -> str:
    """Give the URL of a file in `views/static/`: it changes with the file, so it may be kept."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def link(path: str, parameters: Sequence[tuple[str, object]]) -> str:
    """Give a URL with the parameters that say something."""
    said = [(name, value) for name, value in parameters if value]
    return f"{path}?{urlencode(said, quote_via=quote)}" if said else path


def span(seconds: float) -> str:
    """Put a duration into words, in its two largest units: `2 h 5 min`."""
    left = max(0, round(seconds))
    parts = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "now"


def ago(at: float | None, now: float) -> str:
    """Put a moment of the past into words, by its largest unit alone: `5 min ago`."""
    if at is None:
        return "never"
    seconds = now - at
    for unit, size in _UNITS[:-1]:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def moment(at: float) -> str:
    """Write a moment as HTML's <time> reads it, in UTC."""
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(at))


# What a browser is called, in this order: most say the names of others too.
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
    """Put what a browser says of itself into few words: `Firefox 128 on Linux`."""
    for token, name in _BROWSERS:
        if version := re.search(rf"\b{token}/(\d{{1,4}})", user_agent):
            system = next((f" on {name}" for word, name in _SYSTEMS if word in user_agent), "")
            return f"{name} {version[1]}{system}"
    return user_agent[:_LONGEST_BROWSER] or "unknown browser"


# First words of a clause that are no name.
_NO_NAMES = frozenset({"the", "there", "wrong", "too", "more", "it", "its", "has"})


def as_sentence(clause: str) -> str:
    """Make a sentence of a clause; a name at its beginning stays as it is."""
    first, _, rest = clause.partition(" ")
    return f"{first.capitalize()} {rest}." if first in _NO_NAMES else f"{clause}."


# What every template may call.
_FUNCTIONS = {
    function.__name__: function for function in (static, ago, span, moment, browser_of, as_sentence)
}
