"""The banners at the top of a user's page: logins that are blocked, and the cure."""

from collections.abc import Sequence
from typing import NamedTuple

from sip.core.guard.guard import BlockedLogin
from sip.monitor.refusals import Refusal
from sip.transport.flow import network_of
from webadmin.context import AppContext
from webadmin.templates import ago, span

# Banners on the page; the blocked logins from other addresses are in a table.
MAX_BANNERS = 2


class Banner(NamedTuple):
    """One blocked login: what happened, by which device and when, and how long it lasts."""

    address: str
    title: str
    device: str
    last: str
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
        times = "once" if login.tries == 1 else f"{login.tries} times"
        found.append(
            Banner(
                login.address,
                f"Wrong password, {times} from {login.address}",
                row.device if row else "",
                ago(row.last_at, now) if row else "",
                span(login.until - now),
                login.is_banned,
            )
        )
    return found


def last_refusal(rows: Sequence[Refusal], username: str, address: str) -> Refusal | None:
    """Return the latest refusal of a user at an address or its network."""
    for row in rows:
        if row.username == username and network_of(row.address) == address:
            return row
    return None
