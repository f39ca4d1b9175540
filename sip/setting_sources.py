"""The sources of the settings: flags, environment, page, file, default, in this order."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from sip.config import SETTINGS, Config, ConfigError
from sip.reload import EDITABLE
from sip.suggestions import nearest


class Source(StrEnum):
    """The kinds of sources; one overrides those after it."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    PAGE = "page"
    FILE = "file"
    DEFAULT = "default"


class Chosen(NamedTuple):
    """The text of a setting and its source; `origin` names the place in errors."""

    source: Source
    origin: str
    text: str


@dataclass(frozen=True)
class Sources:
    """The settings that are given outside of the database, by their dotted names.

    `file` are the entries of the file at `path`, read once.
    """

    flags: Mapping[str, str]
    environment: Mapping[str, str]
    file: Mapping[str, str]
    path: str

    @classmethod
    def read(cls, flags: Mapping[str, str], environment: Mapping[str, str]) -> "Sources":
        """Read the settings file that flags or environment name.  Raises ConfigError."""
        found = SETTINGS["config"].in_environment(environment)
        path = flags.get("config") or (found[1] if found else "")
        return cls(flags, environment, read_file(path) if path else {}, path)

    def choose(self, kept: Mapping[str, str]) -> Mapping[str, Chosen]:
        """Return the value of every setting; `kept` are the values of the page."""
        return {name: self._choose(name, kept) for name in SETTINGS}

    def _choose(self, name: str, kept: Mapping[str, str]) -> Chosen:
        if name in self.flags:
            return Chosen(Source.FLAG, f"-{name}", self.flags[name])
        if found := SETTINGS[name].in_environment(self.environment):
            return Chosen(Source.ENVIRONMENT, *found)
        if name in kept:
            return Chosen(Source.PAGE, f"{name} on the page /settings", kept[name])
        if name in self.file:
            return Chosen(Source.FILE, f"{name} in {self.path}", self.file[name])
        return Chosen(Source.DEFAULT, name, SETTINGS[name].default)

    def config(self, kept: Mapping[str, str]) -> Config:
        """Build the configuration.  Raises ConfigError."""
        values: dict[str, Any] = {}
        for name, (source, origin, text) in self.choose(kept).items():
            if source is not Source.DEFAULT:
                values[SETTINGS[name].attribute] = parse(name, text, origin, source)
        return Config(**values)

    def usable(self, kept: Mapping[str, str]) -> tuple[Mapping[str, str], list[str]]:
        """Return the kept values that can be used, and a sentence for each other one.

        Another version may have kept them, or they may contradict a file that has changed.
        """
        good, refused = {}, []
        for name, text in kept.items():
            try:
                if name not in EDITABLE:
                    raise ConfigError(f"{name} cannot be set on the page /settings")
                parse(name, text, f"{name} on the page /settings", Source.PAGE)
            except ConfigError as error:
                refused.append(str(error))
            else:
                good[name] = text
        while good and (reason := self._error(good)):
            name = next((one for one in good if not self._error(_without(good, one))), "")
            name = name or next(reversed(good))
            good = _without(good, name)
            refused.append(f"{name} on the page /settings: {reason}")
        return good, refused

    def _error(self, kept: Mapping[str, str]) -> str:
        """Return the error of a configuration with these kept values, "" without one."""
        try:
            self.config(kept)
        except ConfigError as error:
            return str(error)
        return ""


def _without(values: Mapping[str, str], name: str) -> dict[str, str]:
    return {each: text for each, text in values.items() if each != name}


def gather(flags: Mapping[str, str], environment: Mapping[str, str]) -> Config:
    """Build the configuration: flags override the environment, which overrides the file.

    `flags` maps dotted names to their text.  Raises ConfigError.
    """
    return Sources.read(flags, environment).config({})


def parse(name: str, text: str, origin: str, source: Source) -> object:
    """Return the value of a setting.  Raises ConfigError, which names the origin."""
    entry = SETTINGS[name]
    try:
        value = entry.parse(text)
        if source is Source.FLAG and entry.holds_password(value):
            raise ValueError(
                "a flag with a password can be read by every user of this machine; set it in"
                f" the variable {entry.variable}, or in the file of -config"
            )
    except ValueError as error:
        raise ConfigError(f"{origin}: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}", error.status) from None
    return value


def read_file(path: str) -> dict[str, str]:
    """Read a TOML file; return dotted names and their values as text.  Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the settings file {path}: {error.strerror}", 1) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from None
    entries: dict[str, str] = {}
    for name, value in _flattened(document):
        if name not in SETTINGS or name == "config":
            guess = nearest(name, [known for known in SETTINGS if known != "config"])
            raise ConfigError(f"{path} sets {name}, which is not a setting{guess}")
        if name in entries:
            raise ConfigError(f"{path} sets {name} twice; remove one of them")
        entries[name] = _as_text(path, name, value)
    return entries


def _flattened(table: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{above}{key}.")
        else:
            yield above + key, value


def _as_text(path: str, name: str, value: object) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case str() | int():
            return str(value)
        case list() if all(isinstance(item, str) for item in value):
            return ",".join(value)
    raise ConfigError(f"{path} sets {name} to a value of the wrong type; write it as a string")
