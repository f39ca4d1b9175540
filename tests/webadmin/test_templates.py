"""The functions of templates, and rules that all templates keep."""

import gc
import hashlib
import re

import pytest

from tests.support.cases import cases
from webadmin import templates as pages


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "now"),
        (0, "now"),
        (59.4, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3599.6, "1 h"),
        (3661, "1 h 1 min"),
        (2 * 86400 + 30, "2 d 30 s"),
    ],
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds, words):
    assert pages.span(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0:00"), (0.9, "0:00"), (41, "0:41"), (60, "1:00"), (760, "12:40"), (3723, "1:02:03")],
)
def test_a_counter_is_as_on_the_display_of_a_phone(seconds, text):
    assert pages.counter(seconds) == text


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (None, "never"),
        (1000, "just now"),
        (1001, "just now"),  # the clock was set back
        (941, "just now"),
        (940, "1 min ago"),
        (1000 - 7199, "1 h ago"),
        (1000 - 3 * 86400, "3 d ago"),
    ],
)
def test_a_past_time_is_shown_in_its_largest_unit(at, words):
    assert pages.ago(at, now=1000) == words


def test_a_moment_is_written_in_utc():
    assert pages.moment(1_700_000_000) == "2023-11-14T22:13:20Z"


def test_the_url_of_a_file_names_what_is_in_it():
    digest = hashlib.sha256((pages.STATIC / "admin.css").read_bytes()).hexdigest()
    assert pages.static("admin.css") == f"/static/admin.css?v={digest[:12]}"


def test_a_link_says_only_what_there_is_to_say():
    assert pages.link("/users", [("q", ""), ("page", None)]) == "/users"
    assert pages.link("/users", [("q", "a&b é"), ("page", 2)]) == "/users?q=a%26b%20%C3%A9&page=2"


TEMPLATES = sorted(pages.VIEWS.glob("*.tpl"))


@cases("path", TEMPLATES)
def test_templates_escape_all_values(path):
    """Only the layout takes HTML as it is: the page that it surrounds."""
    raw = re.findall(r"\{\{!.*?\}\}", path.read_text())
    assert raw == (["{{!base}}"] if path.name == "layout.tpl" else [])


@cases("path", TEMPLATES)
def test_a_template_holds_no_script_and_no_style_of_its_own(path):
    """The Content-Security-Policy would block them."""
    text = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|hx-on|hx-vals=.js:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
    assert not re.search(r"https?://", text), "everything comes from this server"


def test_a_page_leaves_no_reference_cycles():
    """Garbage that only the collector finds would be found for many pages at once, in the hub."""
    values = {"session": None, "section": "", "message": None, "now": 0}
    pages.render("login.tpl", error="no", username="admin", next="/", **values)  # is read once
    while gc.collect():  # what tests before have left may take several turns
        pass
    gc.disable()
    try:
        for _ in range(10):
            html = pages.render("login.tpl", error="no", username="admin", next="/", **values)
        assert "</html>" in html
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("clause", "sentence"),
    [
        ("callee bob is not registered", "Callee bob is not registered."),
        ("unknown user zoe", "Unknown user zoe."),
        ("bob may not act as alice", "bob may not act as alice."),
    ],
)
def test_a_cause_is_a_sentence_but_a_name_stays(clause, sentence):
    assert pages.as_sentence(clause) == sentence
