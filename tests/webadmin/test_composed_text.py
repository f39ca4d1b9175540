"""Texts that other parts have composed, found again by their templates."""

import pytest

from webadmin.composed_text import MAX_TEXT, ComposedTexts
from webadmin.language import LANGUAGES

PAIRS = [
    ("unknown user {name}", "unbekannter Benutzer {name}"),
    ("{peer} is busy", "{peer} ist besetzt"),
    ("forwarded to {target}: {why}", "umgeleitet an {target}: {why}"),
    ("Correct it. Then call again.", "Korrigieren. Dann neu anrufen."),
    ("{name} is {holder}", "{name} ist {holder}"),
    ("the group {name}", "die Gruppe {name}"),
    ("the phone", "das Telefon"),
    ("{used} of {limit} are open.", "{used} von {limit} sind offen."),
]
TEXTS = ComposedTexts(PAIRS, ".", ",")


@pytest.mark.parametrize(
    ("text", "german"),
    [
        ("unknown user bob", "unbekannter Benutzer bob"),
        ("Unknown user bob.", "Unbekannter Benutzer bob."),
        ("bob is busy", "bob ist besetzt"),
        ("The phone is busy.", "Das Telefon ist besetzt."),
        ("forwarded to bob: bob is busy", "umgeleitet an bob: bob ist besetzt"),
        ("bob is the group sales", "bob ist die Gruppe sales"),
        ("bob is away", "bob is away"),  # not known, so it is no holder
        (
            "Unknown user bob. Correct it. Then call again.",
            "Unbekannter Benutzer bob. Korrigieren. Dann neu anrufen.",
        ),
        ("7 of 20,000 are open.", "7 von 20.000 sind offen."),
        ("1.5 MB of 10.0.0.1 are open.", "1,5 MB von 10.0.0.1 sind offen."),
        ("unknown user {name}", "unbekannter Benutzer {name}"),  # a peer's own text
        ("unknown user ", "unknown user "),
        ("nothing of all this", "nothing of all this"),
        ("", ""),
    ],
)
def test_a_text_is_translated_with_its_values(text, german):
    assert TEXTS.translated(text).text == german


def test_a_user_name_at_the_start_is_told():
    assert TEXTS.translated("bob is busy").begins_with_value
    assert not TEXTS.translated("unknown user bob").begins_with_value
    assert not TEXTS.translated("the phone is busy").begins_with_value


def test_a_long_text_stays_as_it_is():
    text = "unknown user " + "x" * MAX_TEXT
    assert TEXTS.translated(text).text == text


@pytest.mark.parametrize(
    ("text", "german"),
    [
        ("wrong password for bob", "falsches Passwort für bob"),
        ("bob's phone is busy", "das Telefon von bob ist besetzt"),
        (
            "101 is an alias of bob; choose another name",
            "101 ist ein Aliasname von bob; einen anderen Namen wählen",
        ),
        (
            "No time service keeps the clock right. The clock has made no step since the start.",
            "Kein Zeitdienst stellt die Uhr. Die Uhr hat seit dem Start keinen Sprung gemacht.",
        ),
    ],
)
def test_the_german_catalogue_has_such_texts(text, german):
    assert LANGUAGES["de"].composed(text).text == german
