"""The banners at the top of a user's page: logins that are blocked, and the cure."""

from collections.abc import Sequence
from typing import NamedTuple

from sip.core.guard.guard import BlockedLogin
from sip.monitor.refusals import Refusal
from sip.transport.flow import network_of
from webadmin.context import AppContext
from webadmin.language import _, ngettext
from webadmin.templates import ago, span

# Banners on the page; the blocked logins from other addresses are in a table.
MAX_BANNERS = 2


class Banner(NamedTuple):
    """One blocked login: what happened, the rest of that sentence, and how long it lasts."""

    address: str
    title: str
    rest: str
    wait: str
    is_banned: bool


def banners(
    context: AppContext, blocked: Sequence[BlockedLogin], refusals: Sequence[Refusal]
) -> list[Banner]:
    """Return the banners for the first blocked logins of a user."""
    now = context.clock()
    found = []
    for login in blocked[:MAX_BANNERS]:
        row = last_refusal(refusals, login.username, login.address)
        title = ngettext(
            "Wrong password, once from {address}",
            "Wrong password, {count} times from {address}",
            login.tries,
        )
        found.append(
            Banner(
                login.address,
                title.format(count=login.tries, address=login.address),
                _rest(row, now),
                span(login.until - now),
                login.is_banned,
            )
        )
    return found


def _rest(row: Refusal | None, now: float) -> str:
    """Return by which device it happened last, and when."""
    if row is None:
        return "."
    text = _(" by {device}, the last {ago}.") if row.device else _(", the last {ago}.")
    return text.format(device=row.device, ago=ago(row.last_at, now))


def last_refusal(rows: Sequence[Refusal], username: str, address: str) -> Refusal | None:
    """Return the latest refusal of a user at an address or its network."""
    for row in rows:
        if row.username == username and network_of(row.address) == address:
            return row
    return None
