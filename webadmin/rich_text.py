"""Messages with markup: a link or a bold word within a translated sentence.

A message names its tags, and a template says what they are: a translation can move them, but
neither a translation nor a value can bring in HTML of its own.
"""

import re
from collections.abc import Mapping
from html import escape
from typing import Final

# Tags that every message may have.
_TAGS: Final = {
    "b": ("<b>", "</b>"),
    "strong": ("<strong>", "</strong>"),
    "code": ("<code>", "</code>"),
    "mono": ('<span class="mono">', "</span>"),
    "utc": ("<span data-utc>", "</span>"),  # not shown where a script shows local times
}
_TAG: Final = re.compile(r"&lt;(/?)([a-z]+)&gt;")


class Html(str):
    """A text that is HTML already, so it is not escaped again."""

    __slots__ = ()


def rich(
    message: str,
    links: Mapping[str, str] | None = None,
    classes: Mapping[str, str] | None = None,
    *,
    new_tab: bool = False,
    **values: object,
) -> Html:
    """Return a message as HTML; `links` are URLs by the names of their tags, `classes` of CSS.

    All but the known tags is escaped, the message and the values, unless a value is Html.
    """
    tags, target = dict(_TAGS), ' target="_blank"' if new_tab else ""
    for name, url in (links or {}).items():
        address = escape(url).replace("{", "%7B").replace("}", "%7D")  # no places for values
        tags[name] = (f'<a href="{address}"{target}>', "</a>")
    for name, css in (classes or {}).items():
        tags[name] = (f'<span class="{escape(css)}">', "</span>")

    def tag(match: re.Match[str]) -> str:
        return tags[match[2]][bool(match[1])] if match[2] in tags else match[0]

    text = _TAG.sub(tag, escape(message))
    shown = {
        name: value if isinstance(value, Html) else escape(str(value))
        for name, value in values.items()
    }
    return Html(text.format_map(shown))
