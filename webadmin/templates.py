"""Rendering of templates, and the functions that templates may call."""

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from time import gmtime, strftime
from typing import ClassVar
from urllib.parse import quote, urlencode

from bottle import SimpleTemplate

from sip.monitor.refusals import Refusal
from webadmin.language import (
    N_,
    _,
    current_code,
    ngettext,
    pgettext,
    translated,
    translated_sentence,
)
from webadmin.navigation import BAR, GROUPS, MENU, THEME_NAMES, next_theme
from webadmin.numbers import decimal, thousands
from webadmin.rich_text import Html, rich
from webadmin.script_texts import script_texts

VIEWS = Path(__file__).parent.parent / "views"
STATIC = VIEWS / "static"

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


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
    _escape: Callable[[object], str]

    def prepare(self, **options: object) -> None:
        """Let `{{…}}` print Html as it is; all else is escaped."""
        super().prepare(**options)
        to_text = self._escape
        self._escape = lambda value: value if type(value) is Html else to_text(value)


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


def _in_units(size: int, count: int) -> str:
    """Return a number of units, of that many seconds each: `5 min`."""
    if size == _DAY:
        text = ngettext("{count} d", "{count} d", count)
    elif size == _HOUR:
        text = ngettext("{count} h", "{count} h", count)
    else:
        text = _("{count} min") if size == _MINUTE else _("{count} s")
    return text.format(count=count)


def span(seconds: float) -> str:
    """Return a duration in words, in its two largest units: `2 h 5 min`."""
    left = max(0, round(seconds))
    parts = []
    for size in (_DAY, _HOUR, _MINUTE, 1):
        count, left = divmod(left, size)
        if count:
            parts.append(_in_units(size, count))
    return " ".join(parts[:2]) or _("now")


def ago(at: float | None, now: float) -> str:
    """Return a past time in words, in its largest unit: `5 min ago`."""
    if at is None:
        return _("never")
    seconds = now - at
    if seconds < _MINUTE:
        return _("just now")
    if seconds < _HOUR:
        return _("{count} min ago").format(count=int(seconds // _MINUTE))
    if seconds < _DAY:
        count = int(seconds // _HOUR)
        return ngettext("{count} h ago", "{count} h ago", count).format(count=count)
    count = int(seconds // _DAY)
    return ngettext("{count} d ago", "{count} d ago", count).format(count=count)


def elapsed(seconds: float) -> str:
    """Return the time between two messages: `+84 ms`, `+3.9 s`, `+3 min 12 s`."""
    if seconds < 1:
        return f"+{max(0, round(1000 * seconds))} ms"
    if seconds < _MINUTE:
        return "+" + _("{count} s").format(count=decimal(seconds, 1))
    return f"+{span(seconds)}"


def counter(seconds: float) -> str:
    """Return a duration as a counter of a call: `3:12`, `1:02:05`."""
    left = max(0, int(seconds))
    minutes, hours = left // _MINUTE % 60, left // _HOUR
    return f"{hours}:{minutes:02}:{left % 60:02}" if hours else f"{minutes}:{left % 60:02}"


def ladder_link(call_id: str) -> str:
    """Return the URL of the ladder of a Call-ID."""
    return f"/traces/{quote(call_id, safe='')}"


def browser_phone_link(username: str, realm: str) -> str:
    """Return the URL of the phone in the browser as a user, for an administrator."""
    return link("/phone", [("user", username), ("realm", realm)])


def moment(at: float) -> str:
    """Return a Unix time as UTC in ISO 8601, for the <time> element."""
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(at))


def date_time(at: float) -> str:
    """Return a Unix time as UTC in the order of the language, for browsers without scripts."""
    return strftime(pgettext("strftime", "%Y-%m-%d %H:%M:%S"), gmtime(at))


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


def _browser(user_agent: str) -> tuple[str, str]:
    """Return the names of a browser and of its system, each "" if it is not known."""
    for token, name in _BROWSERS:
        if version := re.search(rf"\b{token}/(\d{{1,4}})", user_agent):
            system = next((name for word, name in _SYSTEMS if word in user_agent), "")
            return f"{name} {version[1]}", system
    return user_agent[:_LONGEST_BROWSER], ""


def browser_of(user_agent: str) -> str:
    """Return a short name for a User-Agent, for the audit: `Firefox 128 on Linux`."""
    return " on ".join(filter(None, _browser(user_agent))) or "unknown browser"


def shown_browser(user_agent: str) -> str:
    """Return a short name for a User-Agent in the language of the request."""
    browser, system = _browser(user_agent)
    if browser and system:
        return _("{browser} on {system}").format(browser=browser, system=system)
    return browser or _("unknown browser")


def some_of(names: Sequence[str], count: int) -> str:
    """Return names as a list, and how many of `count` are not among them."""
    text = ", ".join(names)
    if not names or (more := count - len(names)) <= 0:
        return text
    return _("{names} and {count} more").format(names=text, count=thousands(more))


def time_element(at: float) -> Html:
    """Return a time as a <time> element, which scripts show in the zone of the browser."""
    return Html(f'<time datetime="{moment(at)}" data-show="both">{date_time(at)}</time>')


def clock_time(at: float) -> Html:
    """Return the hour and minute of a time as a <time> element."""
    text = moment(at)
    return Html(f'<time datetime="{text}" data-show="time">{text[11:16]}</time>')


def time_ago(at: float, now: float) -> Html:
    """Return a past time in words as a <time> element."""
    return Html(f'<time datetime="{moment(at)}" title="{moment(at)}">{ago(at, now)}</time>')


def refusal_line(row: Refusal, now: float, what: str, status: int | None = None) -> Html:
    """Return how often and by which phone a request was refused, as one sentence of HTML.

    `what` names the request; `status` is that of the response.
    """
    if row.count > 1:
        text = _("{what}, {count} times, the last {ago}, from <mono>{address}</mono>")
    else:
        text = _("{what}, {ago}, from <mono>{address}</mono>")
    line = rich(
        text,
        what=what,
        count=thousands(row.count),
        ago=time_ago(row.last_at, now),
        address=row.address,
    )
    if row.device:
        line = rich(_("{line} by {device}"), line=line, device=row.device)
    return Html(f"{line}." if status is None else f"{line}: {status}.")


def initials(name: str) -> str:
    """Return two letters that stand for a name: "AL" for Alice Liddell, "10" for 10217."""
    words = name.split()
    return (words[0][0] + words[-1][0] if len(words) > 1 else name[:2]).upper()


def as_sentence(clause: str) -> str:
    """Return a clause of another part as a sentence in the language of the request."""
    return translated_sentence(clause)


_STATE_NAMES = {"online": N_("online"), "offline": N_("offline"), "disabled": N_("disabled")}

# Functions that every template may call.
_FUNCTIONS = {
    function.__name__: function
    for function in (
        *(static, ago, elapsed, span, moment, date_time, shown_browser, as_sentence),
        *(browser_phone_link, counter, ladder_link, thousands, decimal, rich, script_texts),
        *(some_of, time_ago, time_element, clock_time, refusal_line),
        *(_, ngettext, pgettext, translated, current_code),
    )
}
# What the layout and the pages of users need besides.
_FRAME = {
    "initials": initials,
    "next_theme": next_theme,
    "state_names": _STATE_NAMES,
    "theme_names": THEME_NAMES,
    "groups": GROUPS,
    "bar": BAR,
    "menu": MENU,
}
