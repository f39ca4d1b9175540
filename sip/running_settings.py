"""The settings of the running server: the value and the source of each, changes, and reload."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from sip.config import SECRET, SETTINGS, Config, ConfigError
from sip.reload import EDITABLE, RELOADABLE, Reload, reload
from sip.setting_sources import Chosen, Source, Sources, parse
from sip.store.database import DatabaseError
from sip.store.kept_settings import KeptSetting, KeptSettings

log = logging.getLogger(__name__)

# Characters of a value: a list of networks is long, and a request has a limit of its own.
MAX_VALUE = 20_000


class InvalidSettings(Exception):
    """Some values cannot be used: `errors` has a clause for each, by the name of the setting."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in errors.items()))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class SettingState:
    """One setting, as it is shown: secrets are masked in all texts.

    `reason` says why it is not editable, "" if it is.  `pending` is the value after a restart, None
    if that is the present one.  `kept` is its row in the database, `former` the former value there.
    """

    name: str
    value: str
    source: Source
    origin: str
    default: str
    meaning: str
    unit: str
    reason: str
    needs_restart: bool
    pending: str | None
    has_secret: bool
    kept: KeptSetting | None
    former: str

    @property
    def editable(self) -> bool:
        """Return True if the page can change it."""
        return not self.reason

    @property
    def can_undo(self) -> bool:
        """Return True if there is a former value to return to."""
        return self.editable and self.kept is not None and self.kept.value != self.kept.former


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one setting that was made; both texts are masked."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name}: {self.before or 'none'} → {self.after or 'none'}"


def start_config(sources: Sources, kept: KeptSettings) -> Config:
    """Return the configuration of a start.  Raises ConfigError, DatabaseError.

    A kept value that cannot be used is left out, with a warning: it must not stop the start.
    """
    good, refused = sources.usable(kept.values())
    _warn(refused)
    return sources.config(good)


class RunningSettings:
    """The settings of a server that runs with `config`.

    `apply` hands the settings of RELOADABLE to the parts of the server.
    """

    def __init__(
        self,
        sources: Sources,
        kept: KeptSettings,
        config: Config,
        apply: Callable[[Config], None],
        clock: Callable[[], float],
    ) -> None:
        self.config = config
        self._sources = sources
        self._kept = kept
        self._apply = apply
        self._clock = clock
        self._lock = Lock()  # one change at a time
        good, _ = sources.usable(kept.values())
        self._at_start = sources.choose(good)

    def reload(self, sources: Sources) -> Reload:
        """Take over changed settings from all sources.  Raises ConfigError, DatabaseError.

        The other sources have to be valid without the page: commands, and each start, read them
        before the database.
        """
        sources.config({})
        with self._lock:
            good, refused = sources.usable(self._kept.values())
            _warn(refused)
            outcome = reload(self.config, sources.config(good))
            self._apply(outcome.config)
            self.config, self._sources = outcome.config, sources
            return outcome

    def list(self) -> Sequence[SettingState]:
        """Return all settings.  Raises DatabaseError."""
        rows = self._kept.all()
        good, _ = self._sources.usable(_values(rows))
        chosen = self._sources.choose(good)
        return [self._state(name, chosen[name], rows.get(name)) for name in SETTINGS]

    def _state(self, name: str, chosen: Chosen, kept: KeptSetting | None) -> SettingState:
        entry = SETTINGS[name]
        is_reloadable = entry.attribute in RELOADABLE
        present = chosen if is_reloadable else self._at_start[name]
        is_pending = not is_reloadable and (
            parse(name, chosen.text, chosen.origin, chosen.source)
            != getattr(self.config, entry.attribute)
        )
        masked = entry.mask(present.text)
        return SettingState(
            name,
            masked,
            present.source,
            present.origin,
            entry.default,
            entry.meaning,
            entry.value,
            self._reason(name),
            not is_reloadable,
            entry.mask(chosen.text) if is_pending else None,
            masked != present.text,
            kept,
            entry.mask(kept.former or "") if kept else "",
        )

    def _reason(self, name: str) -> str:
        """Return why a setting cannot be changed here, "" if it can."""
        if SETTINGS[name].attribute not in RELOADABLE:
            return "it is read at the start: set it elsewhere, then restart the server"
        if name not in EDITABLE:
            return "it names code that the server runs: set it elsewhere, then reload the server"
        chosen = self._sources.choose({})[name]
        if chosen.source is Source.FLAG:
            return f"the flag {chosen.origin} sets it, which overrides this page"
        if chosen.source is Source.ENVIRONMENT:
            return f"the variable {chosen.origin} sets it, which overrides this page"
        return ""

    def change(self, values: Mapping[str, str | None], by: str) -> Sequence[Change]:
        """Try values on the running server, then keep them, all or none; return the changes.

        None removes a value, so that the next source is used.  Raises InvalidSettings and
        DatabaseError; the former values are in force then.
        """
        with self._lock:
            return self._change(values, by)

    def undo(self, name: str, by: str) -> Sequence[Change]:
        """Return to the value before the last change.  Raises as `change` does."""
        with self._lock:
            row = self._kept.all().get(name)
            if row is None:
                raise InvalidSettings({name: "it was not changed on this page"})
            return self._change({name: row.former}, by)

    def _change(self, values: Mapping[str, str | None], by: str) -> Sequence[Change]:
        self._check(values)
        good, _ = self._sources.usable(self._kept.values())
        wanted: dict[str, str] = {**good}
        for name, text in values.items():
            wanted.pop(name, None)
            if text is not None:
                wanted[name] = text
        try:
            config = self._sources.config(wanted)
        except ConfigError as error:
            raise InvalidSettings({_name_in(str(error), values): str(error)}) from None
        changes = self._changes(values, good, wanted)
        self._try(reload(self.config, config).config, lambda: self._save(values, by), values)
        return changes

    def _save(self, values: Mapping[str, str | None], by: str) -> None:
        present = self._kept.values()
        changed = {name: text for name, text in values.items() if present.get(name) != text}
        if changed:
            self._kept.save(changed, by, self._clock())

    def _check(self, values: Mapping[str, str | None]) -> None:
        """Check each value by itself.  Raises InvalidSettings."""
        errors = {name: reason for name in values if (reason := self._error(name, values[name]))}
        if errors:
            raise InvalidSettings(errors)

    def _error(self, name: str, text: str | None) -> str:
        if name not in SETTINGS:
            return "there is no such setting"
        if (reason := self._reason(name)) or text is None:
            return reason
        if len(text) > MAX_VALUE or not text.isprintable():
            return f"a value has at most {MAX_VALUE} characters, all of them printable"
        if SECRET in text:
            return f"write the secret itself in the place of {SECRET}"
        try:
            SETTINGS[name].parse(text)
        except (ValueError, ConfigError) as error:
            return str(error)
        return ""

    def _changes(
        self, names: Mapping[str, object], before: Mapping[str, str], after: Mapping[str, str]
    ) -> Sequence[Change]:
        old, new = self._sources.choose(before), self._sources.choose(after)
        return [
            Change(name, *(SETTINGS[name].mask(each[name].text) for each in (old, new)))
            for name in names
            if (old[name].source, old[name].text) != (new[name].source, new[name].text)
        ]

    def _try(
        self, config: Config, keep: Callable[[], None], values: Mapping[str, str | None]
    ) -> None:
        """Apply a configuration, then keep it; after an error the former one is applied again."""
        former = self.config
        try:
            self._apply(config)
            keep()
        except BaseException as error:
            self._apply(former)
            if isinstance(error, DatabaseError) or not isinstance(error, Exception):
                raise
            log.exception("unhandled error while applying settings")
            reason = "the server could not apply it; its log says why"
            raise InvalidSettings({next(iter(values), ""): reason}) from None
        self.config = config


def _values(rows: Mapping[str, KeptSetting]) -> Mapping[str, str]:
    return {name: row.value for name, row in rows.items() if row.value is not None}


def _name_in(error: str, names: Mapping[str, object]) -> str:
    """Return the changed setting that an error of several settings names first."""
    named = [name for name in names if name in error]
    return min(named, key=error.index) if named else next(iter(names))


def _warn(refused: Sequence[str]) -> None:
    for sentence in refused:
        log.warning("kept setting ignored: %s", sentence)
