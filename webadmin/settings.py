"""The page /settings: each setting with its value, source and meaning; and the backup."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from bottle import Bottle, HTTPError, request, response

from sip.running_settings import Change, InvalidSettings, SettingState
from sip.setting_sources import Source
from webadmin.backups import Backups
from webadmin.context import AppContext, form_value
from webadmin.language import N_, _, translated
from webadmin.routes import Result, route
from webadmin.setting_service import SettingService

PAGE = "/settings"

# The cards of the page, by the first word of the names of their settings.
_CARDS: Mapping[str, Sequence[str]] = {
    N_("SIP"): ("sip", "robot", "rtp", "guard"),
    N_("Web admin"): ("web",),
    N_("History and messages"): ("calls", "trace"),
    N_("Log"): ("log",),
    N_("Webhook and hooks"): ("webhook", "hooks"),
    N_("Files"): ("db", "config"),
}
_OTHERS = N_("Other settings")

# The units of numbers, by the placeholders of `-help`.
_UNITS = {
    "SECONDS": N_("{value} seconds"),
    "DAYS": N_("{value} days"),
    "CALLS": N_("{value} calls"),
    "MIB": N_("{value} MiB"),
}

# The words for the sources of settings.
_SOURCES = {
    Source.FLAG: N_("flag"),
    Source.ENVIRONMENT: N_("environment"),
    Source.PAGE: N_("page"),
    Source.FILE: N_("file"),
    Source.DEFAULT: N_("default"),
}

# Former values that the page shows whole; a longer one is a list of networks.
_MAX_FORMER = 60


def mount(app: Bottle, context: AppContext) -> None:
    """Add /settings and its forms to `app`."""
    page = SettingsPage(context)
    route(app, "GET", PAGE, page.show)
    route(app, "POST", PAGE, page.save)
    route(app, "POST", f"{PAGE}/undo", page.undo)
    route(app, "POST", f"{PAGE}/remove", page.remove)
    route(app, "POST", f"{PAGE}/backup", page.back_up)


@dataclass(frozen=True, slots=True)
class Field:
    """One setting on the page: `typed` is the text of its field, `error` a sentence about it."""

    state: SettingState
    typed: str
    error: str

    @property
    def choices(self) -> Sequence[str]:
        """The values to choose from, () if any text may be typed."""
        words = self.state.unit.split("|")
        return words if len(words) > 1 and self.state.unit.islower() else ()

    @property
    def default(self) -> str:
        """The default value as a sentence, with its unit."""
        if not self.state.default:
            return _("No default.")
        value = _(_UNITS.get(self.state.unit, "{value}")).format(value=self.state.default)
        return _("Default: {value}.").format(value=value)

    @property
    def value(self) -> str:
        """The value in the field before it is edited: a secret is not shown there."""
        return "" if self.state.has_secret else self.state.value

    @property
    def former(self) -> str:
        """The former value, shortened."""
        text = self.state.former
        return f"{text[:_MAX_FORMER]}…" if len(text) > _MAX_FORMER else text


class SettingsPage:
    """The page at /settings, and its forms."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._service = SettingService(context)
        self._backups = Backups(context)

    def show(
        self,
        errors: Mapping[str, str] | None = None,
        typed: Mapping[str, str] | None = None,
    ) -> str:
        """Return the page; `errors` has clauses by setting, `typed` the texts of a form."""
        errors = errors or {}
        if errors:
            response.status = 422
        fields = []
        for state in self._context.settings.list():
            error = _sentence(errors[state.name]) if state.name in errors else ""
            field = Field(state, "", error)
            fields.append(Field(state, (typed or {}).get(state.name, field.value), error))
        shown = {field.state.name for field in fields}
        return self._context.page(
            "setting_list.tpl",
            section=PAGE,
            cards=_cards(fields),
            sentence=_sentence,
            sources=_SOURCES,
            first_error=next((field.state.name for field in fields if field.error), ""),
            other_errors=[_sentence(errors[name]) for name in errors if name not in shown],
        )

    def save(self) -> Result:
        """Save the fields of one card that were changed, all or none."""
        typed, values, sent = {}, {}, _sent_names()
        for state in self._context.settings.list():
            if f"was.{state.name}" not in sent:
                continue
            text = typed[state.name] = form_value(state.name).strip()
            if text != form_value(f"was.{state.name}"):
                values[state.name] = text
        return self._reply(lambda: self._service.change(values), typed)

    def undo(self) -> Result:
        """Return to the value before the last change."""
        return self._reply(lambda: self._service.undo(form_value("name")))

    def remove(self) -> Result:
        """Remove the value that was set here, so that the next source is used."""
        return self._reply(lambda: self._service.change({form_value("name"): None}))

    def back_up(self) -> Iterable[bytes] | Result:
        """Return a backup as a file."""
        return self._backups.download()

    def _reply(
        self, work: Callable[[], Sequence[Change]], typed: Mapping[str, str] | None = None
    ) -> Result:
        try:
            changes = work()
        except InvalidSettings as error:
            return self.show(error.errors, typed)
        if not changes:
            return self._context.flash(PAGE, _("Nothing was changed."))
        text = "; ".join(map(_change_text, changes[:5])) + ("; …" if len(changes) > 5 else "")
        return self._context.flash(PAGE, f"{text}.")


def _sent_names() -> frozenset[str]:
    """Return the names of the fields of the form.  Raises HTTPError(400)."""
    try:
        return frozenset(request.forms)
    except (LookupError, ValueError):  # an unknown charset, or a malformed body
        raise HTTPError(400, "The form cannot be read.") from None


def _change_text(change: Change) -> str:
    before, after = change.before or _("none"), change.after or _("none")
    return f"{change.name}: {before} → {after}"


def _sentence(clause: str) -> str:
    clause = translated(clause)
    return f"{clause[:1].upper()}{clause[1:]}".removesuffix(".") + "."


def _cards(fields: Sequence[Field]) -> Sequence[tuple[str, Sequence[Field]]]:
    """Return the titles of the cards, each with its settings."""
    titles = {word: title for title, words in _CARDS.items() for word in words}
    order = [*_CARDS, _OTHERS]

    def place(field: Field) -> int:
        return order.index(titles.get(field.state.name.partition(".")[0], _OTHERS))

    ordered = sorted(fields, key=place)
    return [(order[number], list(group)) for number, group in groupby(ordered, place)]
