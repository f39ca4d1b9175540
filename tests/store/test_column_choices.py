"""What columns were taken for, kept by the header of the file."""

import pytest

from sip.store import column_choices
from sip.store.column_choices import ColumnChoices
from sip.store.columns import ColumnChoice
from sip.store.database import fetch

CHOICE = ColumnChoice(("username", "", "password"))


@pytest.fixture
def choices(database) -> ColumnChoices:
    return ColumnChoices(database)


def test_a_choice_is_found_by_its_header(choices):
    choices.keep(["Nummer", "Ort", "Wort"], CHOICE)
    assert choices.find([" nummer", "ORT", "Wort"]) == CHOICE
    assert choices.find(["Nummer", "Wort", "Ort"]) is None
    later = ColumnChoice(("username", "password", ""))
    choices.keep(["Nummer", "Ort", "Wort"], later)
    assert choices.find(["Nummer", "Ort", "Wort"]) == later


def test_without_a_header_the_number_of_columns_counts(choices):
    choices.keep(["ann", "7", "wonder-1"], CHOICE)
    without = CHOICE._replace(has_header=False)
    choices.keep(["ann", "7", "wonder-1"], without)
    assert choices.find(["ann", "7", "wonder-1"]) == without
    assert choices.find(["bob", "8", "wonder-2"]) == without
    assert choices.find(["bob", "8"]) is None


def test_the_oldest_header_makes_room(choices, database, monkeypatch):
    monkeypatch.setattr(column_choices, "MAX_HEADERS", 2)
    for name in ("a", "b", "c"):
        choices.keep([name, "", ""], CHOICE)
    assert [bool(choices.find([name, "", ""])) for name in ("a", "b", "c")] == [False, True, True]
    assert database.read(lambda t: fetch(t, "SELECT count(*) FROM meta WHERE key = 'realm'"))


def test_a_field_that_is_unknown_by_now_is_not_used(choices, database):
    choices.keep(["a"], ColumnChoice(("username",)))
    text = "UPDATE meta SET value = replace(value, 'username', 'gone') WHERE key LIKE 'import%'"
    database.run(lambda tables: fetch(tables, text))
    assert choices.find(["a"]) is None
