"""The issues on the overview: one sentence each, and its cure as a button or a link."""

from collections.abc import Iterator
from typing import NamedTuple

from sip.monitor.events import UNREGISTERED_BY_TIME
from sip.monitor.health import WEB_ENCRYPTION, Status
from sip.monitor.lost_phones import LostPhone
from sip.monitor.refusals import Refusal
from sip.store.directory import Entry
from sip.transport.flow import network_of
from webadmin.blocked_logins import blocked_logins
from webadmin.context import AppContext
from webadmin.encryption import is_encrypted, is_exposed
from webadmin.health import anchor
from webadmin.language import _, ngettext, translated
from webadmin.numbers import thousands
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
        tries = ngettext("{count} wrong password", "{count} wrong passwords", login.tries)
        tries = tries.format(count=login.tries)
        if row is not None:
            tries += _last(row, now)
        yield Issue(
            True,
            _("{name} can't register from {address}: wrong password").format(
                name=login.username, address=login.address
            ),
            _(
                "{tries}. That address has to wait for {span}. Correct the password in the phone"
                " first."
            ).format(tries=tries, span=span(login.until - now)),
            _("Let it try again"),
            "/bans/forgive",
            (("username", login.username), ("address", login.address), ("page", "/")),
        )
    if len(waits) > MAX_OF_KIND:
        more = len(waits) - MAX_OF_KIND
        title = ngettext("{count} more login has to wait", "{count} more logins have to wait", more)
        detail = _("Too many wrong passwords were sent.")
        title = title.format(count=thousands(more))
        yield Issue(True, title, detail, _("Show"), "/trouble#waiting")


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
            _("{name} can't register from {address}: that address is banned").format(
                name=username, address=address
            ),
            _(
                "Reason: {reason}. The ban ends in {span}. If it is your own phone, correct its"
                " password first."
            ).format(reason=translated(ban.reason), span=span(ban.ends_at - now)),
            _("Unban"),
            "/bans/remove",
            (("address", address), ("page", "/")),
        )
    if len(users) > MAX_OF_KIND:
        more = len(users) - MAX_OF_KIND
        title = ngettext(
            "{count} more address of a user is banned",
            "{count} more addresses of users are banned",
            more,
        ).format(count=thousands(more))
        detail = _("Many wrong passwords came from them.")
        yield Issue(True, title, detail, _("Show"), "/trouble#banned")


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
        times = ngettext("Once", "{count} times", row.count).format(count=thousands(row.count))
        times += _last(row, context.clock())
        account = context.users.find(row.username, row.realm or context.users.realm)
        yield Issue(
            True,
            _("{name} can't register from {address}: {cause}").format(
                name=row.user, address=row.address, cause=translated(row.cause)
            ),
            f"{times}. {translated(row.cure)}",
            _("Show"),
            f"/users/{account.id}" if account else "/trouble",
        )
    if len(rows) > MAX_OF_KIND:
        more = len(rows) - MAX_OF_KIND
        title = ngettext("{count} more phone was refused", "{count} more phones were refused", more)
        detail = _("They have not registered since.")
        yield Issue(True, title.format(count=thousands(more)), detail, _("Show"), "/trouble")


def _last(row: Refusal, now: float) -> str:
    """Return when the last of several refusals was, and of which device, as the end of a clause."""
    text = _(", the last {ago} by {device}") if row.device else _(", the last {ago}")
    return text.format(ago=ago(row.last_at, now), device=row.device)


def _checks(context: AppContext) -> Iterator[Issue]:
    """Yield the health checks that are not ok; `_encryption` knows more than that of no HTTPS."""
    has_certificate = bool(context.config.web_cert)
    for check in context.health.known():
        if check.status != Status.OK and (check.name != WEB_ENCRYPTION or has_certificate):
            is_bad, link = check.status == Status.FAILING, f"/health#{anchor(check)}"
            title = f"{translated(check.name)}: {translated(check.detail)}"
            yield Issue(is_bad, title, translated(check.cure), _("Show"), link)


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
        title = _("{count} more users have gone offline").format(count=more)
        detail = _("Their phones have not signed off. Is a switch, a router or a line down?")
        yield Issue(
            False, title, detail, _("Show"), "/users?status=offline&sort=last_seen&order=desc"
        )


def _lost_phone(lost: LostPhone, entry: Entry, now: float) -> Issue:
    is_expired = lost.reason == UNREGISTERED_BY_TIME
    text = _(
        "Its connection was closed; it was {device} at {address}. Check its power and its network."
    )
    if is_expired:
        text = _(
            "Its registration expired; it was {device} at {address}. Check its power and its"
            " network."
        )
    device = lost.device or _("a phone")
    name = _("“{name}”").format(name=entry.display_name) if entry.display_name else entry.username
    return Issue(
        False,
        _("{name} has been offline for {span}").format(name=name, span=span(now - lost.at)),
        text.format(device=device, address=lost.address[0]),
        _("Show"),
        f"/users/{entry.id}",
    )


def _encryption(context: AppContext) -> Iterator[Issue]:
    if is_exposed(context.config) and not is_encrypted():
        yield Issue(
            False,
            _("These pages are not encrypted"),
            _("Others on this network can read the passwords that you type."),
            _("Set up HTTPS"),
            "/health#web-encryption",
        )
