"""The issues on the overview: one sentence each, and its cure as a button or a link."""

from collections.abc import Iterator
from typing import NamedTuple

from sip.monitor.events import UNREGISTERED_BY_TIME
from sip.monitor.health import WEB_ENCRYPTION, Status
from sip.monitor.lost_phones import LostPhone
from sip.store.directory import Entry
from sip.transport.flow import network_of
from webadmin.blocked_logins import blocked_logins
from webadmin.context import AppContext
from webadmin.encryption import is_encrypted, is_exposed
from webadmin.health import anchor
from webadmin.templates import ago, span
from webadmin.user_banners import last_refusal

# Issues of one kind that are shown; one more says that there are others.
MAX_OF_KIND = 3
# Lost phones that are looked up in the database for one page.
_MAX_LOOKED_UP = 20
# Seconds that a phone may be away: after a restart or a change of network it comes back by itself.
_AWAY_SECONDS = 60.0


class Issue(NamedTuple):
    """One thing to do: `is_bad` if users are cut off by it.

    `action` is the label of a link to `href`, or, with `fields`, of a button that posts them there.
    """

    is_bad: bool
    title: str
    detail: str
    action: str = ""
    href: str = ""
    fields: tuple[tuple[str, str], ...] = ()


def issues(context: AppContext) -> list[Issue]:
    """Return all issues, the worst first; may wait for the database."""
    found = [
        *_waits(context),
        *_banned_users(context),
        *_refused_users(context),
        *_checks(context),
        *_warnings(context),
        *_lost_phones(context),
        *_encryption(context),
    ]
    return sorted(found, key=lambda issue: not issue.is_bad)


def _waits(context: AppContext) -> Iterator[Issue]:
    """Yield the users whose logins are blocked; guessed names without an account are left out."""
    now = context.clock()
    realms = context.users.realms()
    waits = [
        login
        for login in blocked_logins(context)
        if any(context.users.find(login.username, realm) for realm in realms)
    ]
    refusals = context.refusals.latest() if waits else []
    for login in waits[:MAX_OF_KIND]:
        row = last_refusal(refusals, login.username, login.address)
        tries = f"{login.tries} wrong passwords"
        if row is not None:
            tries += f", the last {ago(row.last_at, now)}" + (
                f" by {row.device}" * bool(row.device)
            )
        yield Issue(
            True,
            f"{login.username} can't register from {login.address}: wrong password",
            f"{tries}. That address has to wait for {span(login.until - now)}. Correct the password"
            " in the phone first.",
            "Let it try again",
            "/bans/forgive",
            (("username", login.username), ("address", login.address), ("page", "/")),
        )
    if len(waits) > MAX_OF_KIND:
        more = len(waits) - MAX_OF_KIND
        title = f"{more:,} more {'login has' if more == 1 else 'logins have'} to wait"
        yield Issue(True, title, "Too many wrong passwords were sent.", "Show", "/trouble#waiting")


def _banned_users(context: AppContext) -> Iterator[Issue]:
    """Yield the banned addresses at which a user was refused; all others are left out."""
    now, realms = context.clock(), context.users.realms()
    bans = {ban.address: ban for ban in context.bans.list(now)}
    users: dict[str, str] = {}  # by the banned address
    for row in context.refusals.latest() if bans else ():
        address = network_of(row.address)
        if address in bans and any(context.users.find(row.username, realm) for realm in realms):
            users.setdefault(address, row.username)
    for address, username in [*users.items()][:MAX_OF_KIND]:
        ban = bans[address]
        yield Issue(
            True,
            f"{username} can't register from {address}: that address is banned",
            f"Reason: {ban.reason}. The ban ends in {span(ban.ends_at - now)}. If it is your own"
            " phone, correct its password first.",
            "Unban",
            "/bans/remove",
            (("address", address), ("page", "/")),
        )
    if len(users) > MAX_OF_KIND:
        title = f"{len(users) - MAX_OF_KIND:,} more addresses of users are banned"
        yield Issue(True, title, "Many wrong passwords came from them.", "Show", "/trouble#banned")


def _refused_users(context: AppContext) -> Iterator[Issue]:
    """Yield the users whose phones were refused and have not registered since."""
    waiting = {(login.username, login.address) for login in blocked_logins(context)}
    banned = {ban.address for ban in context.bans.list(context.clock())}
    rows = [
        row
        for row in context.refusals.latest()
        if row.method == "REGISTER"
        and (row.user, network_of(row.address)) in context.refusals.refused
        and (row.username, network_of(row.address)) not in waiting
        and network_of(row.address) not in banned
    ]
    for row in rows[:MAX_OF_KIND]:
        times = "Once" if row.count == 1 else f"{row.count:,} times"
        device = f" by {row.device}" * bool(row.device)
        account = context.users.find(row.username, row.realm or context.users.realm)
        yield Issue(
            True,
            f"{row.user} can't register from {row.address}: {row.cause}",
            f"{times}, the last {ago(row.last_at, context.clock())}{device}. {row.cure}",
            "Show",
            f"/users/{account.id}" if account else "/trouble",
        )
    if len(rows) > MAX_OF_KIND:
        title = f"{len(rows) - MAX_OF_KIND:,} more phones were refused"
        yield Issue(True, title, "They have not registered since.", "Show", "/trouble")


def _checks(context: AppContext) -> Iterator[Issue]:
    """Yield the health checks that are not ok; `_encryption` knows more than that of no HTTPS."""
    has_certificate = bool(context.config.web_cert)
    for check in context.health.known():
        if check.status != Status.OK and (check.name != WEB_ENCRYPTION or has_certificate):
            is_bad, link = check.status == Status.FAILING, f"/health#{anchor(check)}"
            yield Issue(is_bad, f"{check.name}: {check.detail}", check.cure, "Show", link)


def _warnings(context: AppContext) -> Iterator[Issue]:
    for text, remedy, action, href in context.warnings():
        yield Issue(False, text, remedy, action, href)


def _lost_phones(context: AppContext) -> Iterator[Issue]:
    """Yield the enabled users whose last phone was lost."""
    now = context.clock()
    lost = [each for each in context.lost_phones.latest() if now - each.at >= _AWAY_SECONDS]
    looked_up = {each.user_id: each for each in lost[:_MAX_LOOKED_UP]}
    entries = context.directory.entries([*looked_up]) if looked_up else ()
    offline = [entry for entry in entries if entry.enabled and not entry.online]
    for entry in offline[:MAX_OF_KIND]:
        yield _lost_phone(looked_up[entry.id], entry, now)
    if len(offline) > MAX_OF_KIND:
        more = f"{len(offline) - MAX_OF_KIND}{'+' * (len(lost) > _MAX_LOOKED_UP)}"
        title = f"{more} more users have gone offline"
        detail = "Their phones have not signed off. Is a switch, a router or a line down?"
        yield Issue(False, title, detail, "Show", "/users?status=offline&sort=last_seen&order=desc")


def _lost_phone(lost: LostPhone, entry: Entry, now: float) -> Issue:
    is_expired = lost.reason == UNREGISTERED_BY_TIME
    reason = "Its registration expired" if is_expired else "Its connection was closed"
    device = lost.device or "a phone"
    name = f"“{entry.display_name}”" if entry.display_name else entry.username
    return Issue(
        False,
        f"{name} has been offline for {span(now - lost.at)}",
        f"{reason}; it was {device} at {lost.address[0]}. Check its power and its network.",
        "Show",
        f"/users/{entry.id}",
    )


def _encryption(context: AppContext) -> Iterator[Issue]:
    if is_exposed(context.config) and not is_encrypted():
        yield Issue(
            False,
            "These pages are not encrypted",
            "Others on this network can read the passwords that you type.",
            "Set up HTTPS",
            "/health#web-encryption",
        )
