"""The page that sets up a phone: settings, password, link, and the first registration by itself."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import segno
from bottle import Bottle, HTTPError, request, response

from sip.core import causes
from sip.monitor.events import Bus, Refused, Registered, Unregistered
from sip.monitor.refusals import Refusal
from sip.store.accounts import full_name
from sip.store.audit import Act
from sip.store.contacts import Contact
from sip.store.database import DatabaseError
from sip.store.desk_phones import DeskPhones, PhoneTaken, parse_mac, shown_mac
from sip.store.directory import Entry
from sip.transport.flow import network_of
from webadmin.context import AppContext, form_value, is_full_page, redirect
from webadmin.encryption import is_encrypted, is_private
from webadmin.language import _, translated, translated_sentence
from webadmin.live_streams import LiveStreams
from webadmin.phone_settings import phone_settings, usual_transport
from webadmin.phone_setups import Shown
from webadmin.provisioning.app import PREFIX
from webadmin.provisioning.files import baresip_line
from webadmin.request_checks import COOKIE
from webadmin.routes import Result, route
from webadmin.templates import as_sentence
from webadmin.user_banners import banners
from webadmin.users import list_link_values

# Seconds between two loads of the page without scripts.
REFRESH_SECONDS = 5
_SINCE = re.compile("[0-9]{1,12}")


class Waiting(NamedTuple):
    """The state of the phone that is set up: its pill, a title, and sentences."""

    pill: str
    title: str
    sentences: str = ""


class Link(NamedTuple):
    """A link of one use, and its QR code as a data URI."""

    url: str
    qr: str


def mount(app: Bottle, context: AppContext) -> None:
    """Add the routes under /users/ID/setup and /users/ID/desk-phones to `app`."""
    page = SetupPage(context)
    route(app, "GET", "/users/<number:id>/setup", page.show)
    route(app, "GET", "/users/<number:id>/setup/events", page.stream)
    route(app, "POST", "/users/<number:id>/setup/link", page.make_link)
    route(app, "POST", "/users/<number:id>/desk-phones", page.add_desk_phone)
    route(app, "POST", "/users/<number:id>/desk-phones/open", page.open_window)
    route(app, "POST", "/users/<number:id>/desk-phones/remove", page.remove_desk_phone)


class SetupPage:
    """The page at /users/ID/setup, and the forms of desk phones."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._desk_phones = DeskPhones(context.users.database)
        self.streams = LiveStreams(int, self._is_signed_in)

    def show(self, number: int) -> str:
        """Return the page; the password and the link are on it only once."""
        context = self._context
        entry = self._entry(number)
        shown = None
        if context.session and is_full_page():
            shown = context.setups.take_shown(context.session.id, number)
        link = self._make_link(entry) if shown and is_private_page() else None
        if shown:
            context.leave_uncompressed()
        listening = context.listening()
        settings = phone_settings(context.config, listening, entry.username, entry.realm)
        username = entry.username
        blocked = [login for login in context.guard.blocked_logins() if login.username == username]
        refusals = context.refusals.of_user(self._full_name(entry), username, entry.realm)
        transport = usual_transport(listening)
        password = shown.password if shown else ""
        return context.page(
            "setup.tpl",
            section="/users",
            user=entry,
            settings=settings,
            shown=shown,
            link=link,
            may_link=is_private_page(),
            transport=transport,
            baresip=baresip_line(settings, password or "PASSWORD", transport),
            since=_since() or int(context.clock()),
            waiting=waiting(context, entry, refusals, _since()),
            banners=banners(context, blocked, refusals),
            refresh=None if shown else REFRESH_SECONDS,
            **list_link_values(),
        )

    def stream(self, number: int) -> Iterable[str]:
        """Return the events of the page: `changed`, and `ended` at the end of the session."""
        session = self._context.session
        if session is None or self.streams.is_full:
            raise HTTPError(503, "Too many pages are live. This one refreshes itself instead.")
        entry = self._entry(number)
        response.content_type = "text/event-stream; charset=UTF-8"
        response.set_header("X-Accel-Buffering", "no")  # nginx would collect the events
        return self._events(entry, session.id, request.get_cookie(COOKIE) or "")

    def make_link(self, number: int) -> Result:
        """Show a new link on the page, once."""
        context = self._context
        self._entry(number)
        if context.session:
            context.setups.show_once(context.session.id, Shown(number, "", ""))
        query, since = list_link_values()["list_query"], int(context.clock())
        return redirect(f"/users/{number}/setup{query}{'&' if query else '?'}since={since}")

    def add_desk_phone(self, number: int) -> Result:
        """Give the desk phone with the MAC address in the form to the user."""
        entry = self._entry(number)
        try:
            mac = parse_mac(form_value("mac"))
            self._desk_phones.add(mac, number)
        except PhoneTaken as error:
            return self._back(number, translated_sentence(str(error)))
        except ValueError as error:
            text = _("Not added: {reason}.").format(reason=translated(str(error)))
            return self._back(number, text)
        self._record(Act.DESK_PHONE_ADDED, entry, mac)
        return self._back(number, _("The desk phone {mac} was added.").format(mac=shown_mac(mac)))

    def open_window(self, number: int) -> Result:
        """Let a desk phone of the user fetch a new password once, within ten minutes."""
        context = self._context
        entry, mac = self._entry(number), self._mac()
        if mac not in self._desk_phones.of_user(number):
            raise HTTPError(404, "The user has no such desk phone.")
        context.setups.windows.add(mac, number, context.actor.name)
        self._record(Act.DESK_PHONE_OPENED, entry, mac)
        text = _(
            "Restart the desk phone {mac} within 10 minutes. It gets a new password when it"
            " fetches its settings."
        )
        return self._back(number, text.format(mac=shown_mac(mac)))

    def remove_desk_phone(self, number: int) -> Result:
        """Take a desk phone from the user."""
        entry, mac = self._entry(number), self._mac()
        if not self._desk_phones.remove(mac, number):
            raise HTTPError(404, "The user has no such desk phone.")
        self._context.setups.windows.take(mac)
        self._record(Act.DESK_PHONE_REMOVED, entry, mac)
        return self._back(number, _("The desk phone {mac} was removed.").format(mac=shown_mac(mac)))

    def _mac(self) -> str:
        try:
            return parse_mac(form_value("mac"))
        except ValueError as error:
            raise HTTPError(404, as_sentence(str(error))) from None

    def _back(self, number: int, text: str) -> Result:
        return self._context.flash(f"/users/{number}{list_link_values()['list_query']}", text)

    def _record(self, act: Act, entry: Entry, mac: str) -> None:
        self._context.record(act, f"{self._full_name(entry)}, {shown_mac(mac)}")

    def _entry(self, number: int) -> Entry:
        entry = self._context.directory.entry(number)
        if entry is None:
            raise HTTPError(404, "There is no such user. It may have been deleted.")
        return entry

    def _full_name(self, entry: Entry) -> str:
        return full_name(entry.username, self._context.users.key_realm(entry.realm))

    def _make_link(self, entry: Entry) -> Link:
        """Make a link for the account, and record that in the audit."""
        token = self._context.setups.make_link(entry.id, self._context.actor.name)
        self._context.record(Act.SETUP_LINK, self._full_name(entry))
        scheme = "https" if is_encrypted() else "http"
        url = f"{scheme}://{request.headers.get('Host', '')}{PREFIX}/link/{token}"
        return Link(url, segno.make(url, error="m").svg_data_uri(scale=5, light="#fff"))

    def _events(self, entry: Entry, session: int, token: str) -> Iterator[str]:
        changes = PhoneChanges(self._context.bus, entry)
        try:
            yield from self.streams.events(session, token, lambda: changes.count)
        finally:
            changes.close()

    def _is_signed_in(self, token: str) -> bool:
        try:
            return self._context.sessions.find(token, self._context.clock()) is not None
        except DatabaseError:
            return False


class PhoneChanges:
    """Counts the registrations and refusals of one account, until it is closed."""

    def __init__(self, bus: Bus, entry: Entry) -> None:
        self.count = 0
        self._bus = bus
        self._entry = entry
        bus.listen(Registered, self._on_registration)
        bus.listen(Unregistered, self._on_registration)
        bus.listen(Refused, self._on_refused)

    def close(self) -> None:
        """Stop to listen."""
        self._bus.remove_listener(Registered, self._on_registration)
        self._bus.remove_listener(Unregistered, self._on_registration)
        self._bus.remove_listener(Refused, self._on_refused)

    def _on_registration(self, event: Registered | Unregistered) -> None:
        if event.user_id == self._entry.id:
            self.count += 1

    def _on_refused(self, event: Refused) -> None:
        if event.username == self._entry.username:
            self.count += 1


def is_private_page() -> bool:
    """Return True if a link may be shown: a phone that opens it will be answered."""
    return is_encrypted() or (is_private() and _host_is_loopback())


def waiting(context: AppContext, entry: Entry, refusals: Iterable[Refusal], since: int) -> Waiting:
    """Return the state of the phone that is being set up since a Unix time.

    A refusal counts until the user registers, even within the same second.
    """
    row = next((r for r in refusals if r.method == "REGISTER" and r.last_at >= since), None)
    contact = next((each for each in entry.contacts if each.updated_at >= since), None)
    if contact and (row is None or not _is_open(context, row, contact)):
        device = contact.user_agent or _("a phone")
        title = _("Registered: {device}, {address}")
        return Waiting("on", title.format(device=device, address=contact.host))
    if row is None:
        if not entry.enabled:
            return Waiting(
                "bad", _("This user is disabled"), _("Its phones are refused. Enable it.")
            )
        return Waiting("ring", _("Waiting for the phone …"))
    by = _("{device} at {address}.") if row.device else _("The phone is at {address}.")
    if row.code in (causes.WRONG_PASSWORD.code, causes.LOGIN_BLOCKED.code):
        title = _("Wrong password, type it again")
    else:
        title = as_sentence(row.cause).removesuffix(".")
    by = by.format(device=row.device, address=row.address)
    return Waiting("bad", title, f"{as_sentence(row.cause)} {translated(row.cure)} {by}")


def _is_open(context: AppContext, row: Refusal, contact: Contact) -> bool:
    """Return True if a refusal is later than the registration of a contact."""
    network = network_of(row.address)
    if network == network_of(contact.host) and (row.user, network) in context.refusals.refused:
        return True
    return int(row.last_at) > contact.updated_at


def _since() -> int:
    """Return the Unix time in the query, 0 without one."""
    text = request.query.get("since", "")
    return int(text) if _SINCE.fullmatch(text) else 0


def _host_is_loopback() -> bool:
    try:
        host = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return False
    return host == "localhost" or host.startswith("127.") or host == "::1"
