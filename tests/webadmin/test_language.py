"""The language of the pages: the choice by Accept-Language, and German pages."""

import json
import re

import pytest

from webadmin.language import LANGUAGES, best_language
from webadmin.numbers import decimal, thousands
from webadmin.phone_texts import phone_texts
from webadmin.script_texts import script_texts
from webadmin.templates import STATIC


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT", "de"),
        ("DE-ch-1996,en;q=0.9", "de"),
        ("fr-FR,fr;q=0.9,de;q=0.8,en;q=0.7", "de"),
        ("en-GB,de;q=0.9", "en"),
        ("en;q=0.8 , de ; q=0.900", "de"),
        ("de,en", "de"),  # of the same weight, the first one
        ("de;q=0, *", "en"),
        ("en;q=0, *;q=0.5", "de"),
        ("de;q=0", "en"),
        ("*", "en"),
        ("fr", "en"),
        ("de;q=1.5", "en"),
        ("de;q=x, de", "en"),
        ("d\u00e9", "en"),
        ("-", "en"),
        ("de," * 400, "en"),  # longer than any browser sends
    ],
)
def test_the_best_language_of_a_browser_is_used(header, code):
    """RFC 9110 §12.5.4, RFC 4647 §3.4; English for a header that is malformed."""
    assert best_language(header) == code


def test_a_page_is_in_the_language_of_its_browser(browser):
    german = browser.get("/", **{"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"})
    assert '<html lang="de"' in german.text
    assert german.headers["content-language"] == "de"
    assert "Accept-Language" in german.headers["vary"]
    assert "Abmelden" in german.words
    english = browser.get("/")  # another reader, at the same time
    assert '<html lang="en"' in english.text
    assert english.headers["content-language"] == "en"
    assert "Sign out" in english.words


def test_programs_are_answered_in_english(stranger):
    german = {"Accept-Language": "de"}
    api = stranger.get("/api/v1/users", **german)
    assert "A token is needed" in api.text
    assert "content-language" not in api.headers
    for path in ("/static/admin.css", "/healthz", "/metrics"):
        assert "content-language" not in stranger.get(path, **german).headers


def test_an_error_page_is_in_the_language_of_its_browser(browser):
    german = {"Accept-Language": "de", "Accept": "text/html"}
    answer = browser.get("/users/987654", **german)
    assert answer.status == 404
    assert "Seite nicht gefunden" in answer.words
    assert "Diesen Benutzer gibt es nicht; er wurde vielleicht gelöscht." in answer.words


def test_scripts_use_only_texts_that_the_page_has():
    of_the_phone, of_all = "", ""
    for path in STATIC.glob("*.js"):
        if path.name.startswith("phone"):
            of_the_phone += path.read_text()
        else:
            of_all += path.read_text()
    used = set(re.findall(r"TEXTS\.(\w+)", of_all)) | {"h", "min", "s", "system", "light", "dark"}
    assert json.loads(script_texts()).keys() == used
    assert phone_texts().keys() == set(re.findall(r"\btexts\.(\w+)", of_the_phone, re.I))


def test_numbers_are_written_as_the_language_does():
    """The numbers of a page, and those in a text of a part that knows no language."""
    assert (thousands(100_000), decimal(3.94, 1)) == ("100,000", "3.9")
    de = LANGUAGES["de"]
    assert de.messages.pgettext("thousands", ",") == "."
    assert de.composed("18 of 20,000 descriptors are open.").text.startswith("18 von 20.000 ")
