"""The links below one page of a long list, and the values of the query that they lead to.

Lists that grow at their start have a cursor: a page begins below the id of a row, so it stays the
same while rows are added.  All others have page numbers.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from bottle import request

from webadmin.language import _

_CURSOR = re.compile(r"[0-9]{1,18}")  # fits SQLite's 64-bit integers
_PAGE = re.compile(r"[0-9]{1,9}")


class PageLink(NamedTuple):
    """One link of `pager.tpl`; `rel` is "next", "prev" or ""."""

    text: str
    url: str
    rel: str = ""


def cursor() -> int | None:
    """Return the `before` of the query, None without a valid one."""
    text = request.query.get("before", "")
    return int(text) if _CURSOR.fullmatch(text) else None


def page_number() -> int:
    """Return the `page` of the query, 1 without a valid one."""
    text = request.query.get("page", "")
    return max(1, int(text)) if _PAGE.fullmatch(text) else 1


def by_cursor(
    newest: str, older: str, *, is_first: bool, newer: str = "", older_text: str = ""
) -> list[PageLink]:
    """Return the links of a list with a cursor; `older` and `newer` are "" without such a page.

    A `newer` page that is the newest one has no link of its own.
    """
    links = [] if is_first else [PageLink(_("Newest"), newest)]
    if newer not in ("", newest) and not is_first:
        links.append(PageLink(_("Newer"), newer, "prev"))
    if older:
        links.append(PageLink(older_text or _("Older"), older, "next"))
    return links


def by_number(page: int, pages: int, link: Callable[[int], str]) -> list[PageLink]:
    """Return the links of a list with `pages` pages; `link` returns the URL of a page."""
    links = []
    if page > 1:
        links += [PageLink(_("First"), link(1)), PageLink(_("Previous"), link(page - 1), "prev")]
    if page < pages:
        links += [PageLink(_("Next"), link(page + 1), "next"), PageLink(_("Last"), link(pages))]
    return links
