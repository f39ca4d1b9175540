"""The settings of a running server: tried, kept, undone, reloaded."""

import logging

import pytest

from sip.config import Config, ConfigError
from sip.running_settings import InvalidSettings, RunningSettings, start_config
from sip.setting_sources import Source, Sources
from sip.store.database import Database, DatabaseError
from sip.store.kept_settings import KeptSettings

NOTHING = Sources({}, {}, {}, "")


class Running:
    """Running settings over a database, and the configurations that were applied."""

    def __init__(self, database: Database, sources: Sources = NOTHING) -> None:
        self.kept = KeptSettings(database)
        self.applied: list[Config] = []
        self.settings = RunningSettings(
            sources, self.kept, start_config(sources, self.kept), self.apply, lambda: 7.0
        )

    def apply(self, config: Config) -> None:
        self.applied.append(config)
        if config.calls_keep == 13:
            raise RuntimeError("the disk has no room")

    def change(self, **values: str | None):
        named = {name.replace("_", ".", 1): text for name, text in values.items()}
        return [str(change) for change in self.settings.change(named, "ann")]

    def state(self, name: str):
        return next(each for each in self.settings.list() if each.name == name)


@pytest.fixture
def database(tmp_path):
    with Database(str(tmp_path / "sip.db")) as database:
        yield database


@pytest.fixture
def running(database) -> Running:
    return Running(database)


def test_a_change_is_applied_and_kept_for_the_next_start(running, database):
    assert running.change(calls_keep="7", robot="off") == ["calls.keep: 90 → 7", "robot: on → off"]
    assert (running.applied[-1].calls_keep, running.settings.config.robot) == (7, False)
    assert start_config(NOTHING, running.kept) == running.applied[-1]
    again = Running(database).state("calls.keep")
    assert (again.value, again.source, again.kept.changed_by) == ("7", Source.PAGE, "ann")


def test_values_are_checked_as_a_whole(running):
    with pytest.raises(InvalidSettings) as refused:
        running.change(calls_keep="7", sip_max_expires="100")
    assert list(refused.value.errors) == ["sip.max_expires"]
    assert (running.applied, running.kept.values()) == ([], {})
    running.change(sip_max_expires="100", sip_default_expires="100")
    assert running.settings.config.sip_max_expires == 100


def test_what_cannot_be_applied_is_not_kept(running, caplog):
    before = running.settings.config
    with pytest.raises(InvalidSettings) as refused, caplog.at_level(logging.CRITICAL):
        running.change(calls_keep="13")
    assert "its log says why" in refused.value.errors["calls.keep"]
    assert running.applied[-1] == running.settings.config == before
    assert running.kept.values() == {}


def test_what_cannot_be_written_is_not_applied(running, database):
    before = running.settings.config
    database.run(lambda tables: tables.query("DROP TABLE settings"))
    with pytest.raises(DatabaseError):
        running.change(calls_keep="7")
    assert running.settings.config == before


def test_undo_returns_to_the_former_value_and_back(running):
    running.change(calls_keep="7")
    running.change(calls_keep="8")
    assert running.state("calls.keep").can_undo
    for value in ("7", "8"):
        running.settings.undo("calls.keep", "bob")
        assert running.state("calls.keep").value == value
    running.change(robot="off")
    running.settings.undo("robot", "bob")
    assert running.state("robot").source is Source.DEFAULT
    with pytest.raises(InvalidSettings):
        running.settings.undo("log.level", "bob")


def test_flags_and_environment_say_why_they_win(database):
    sources = Sources({"log.level": "debug"}, {"SIPSERVER_ROBOT": "off"}, {}, "")
    running = Running(database, sources)
    assert "the flag -log.level" in running.state("log.level").reason
    assert "SIPSERVER_ROBOT" in running.state("robot").reason
    for name in ("log.level", "robot", "sip.addr", "hooks.file", "colour"):
        with pytest.raises(InvalidSettings) as refused:
            running.settings.change({name: "info"}, "ann")
        assert list(refused.value.errors) == [name]


def test_a_reload_takes_file_and_page(running):
    running.change(calls_keep="7")
    outcome = running.settings.reload(
        Sources({}, {}, {"calls.keep": "9", "robot": "off", "sip.addr": ":5062"}, "file")
    )
    assert (outcome.changed, outcome.need_restart) == (["robot"], ["sip.addr"])
    assert running.settings.config.calls_keep == 7
    address = running.state("sip.addr")
    assert (address.value, address.pending, address.needs_restart) == (":5060", ":5062", True)
    running.change(calls_keep=None)
    assert running.state("calls.keep").value == "9"


def test_a_file_that_only_the_page_completes_is_refused(running):
    """The next start would fail: commands read the file without the database."""
    running.change(sip_default_expires="300")
    with pytest.raises(ConfigError):
        running.settings.reload(Sources({}, {}, {"sip.max_expires": "600"}, "file"))


def test_a_kept_value_never_stops_a_start(running, caplog):
    running.kept.save({"log.level": "loud", "calls.keep": "7"}, "ann", 1.0)
    config = start_config(NOTHING, running.kept)
    assert (config.log_level, config.calls_keep) == ("info", 7)
    assert "kept setting ignored: log.level on the page /settings" in caplog.text


@pytest.mark.parametrize("text", ["***", "a\nb", "9" * 20_001])
def test_values_that_no_setting_has_are_refused(running, text):
    with pytest.raises(InvalidSettings):
        running.change(webhook_secret=text)
