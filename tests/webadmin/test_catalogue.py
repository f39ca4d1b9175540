"""The message catalogues agree with the code, and each language is complete."""

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest
from babel.messages.pofile import read_po as read_by_babel

from webadmin.catalogue import LOCALE, BadCatalogue, read_po, translations_of
from webadmin.language import LANGUAGES
from webadmin.templates import VIEWS

ROOT = Path(__file__).parents[2]
CATALOGUES = sorted(LOCALE.glob("*/LC_MESSAGES/sipserver.po"))
EACH = pytest.mark.parametrize("path", CATALOGUES, ids=[path.parts[-3] for path in CATALOGUES])
HEADER = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'


@cache
def tool():
    """Return tools/messages.py, which is no package."""
    specification = importlib.util.spec_from_file_location("messages", ROOT / "tools/messages.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@cache
def all_messages():
    return tool().template()


def test_the_template_has_all_messages():
    """`python tools/messages.py` writes it, and merges it into the catalogues."""
    assert (LOCALE / "sipserver.pot").read_text() == tool().as_text(all_messages())


@EACH
def test_a_catalogue_has_all_messages_and_no_other(path):
    assert path.read_text() == tool().as_text(tool().merged(path, all_messages()))


@EACH
def test_a_catalogue_is_complete(path):
    catalog = tool().merged(path, all_messages())
    assert tool().lacking(catalog) == []
    assert [each.id for each in catalog if each.fuzzy and each.id] == []


def forms(message):
    """Return pairs of a form and its translation."""
    if isinstance(message.id, str):
        return [(message.id, message.string)]
    return list(zip(message.id, message.string, strict=True))


@EACH
def test_a_translation_keeps_placeholders_and_tags(path):
    catalog = tool().merged(path, all_messages())
    broken = [
        translation
        for message in catalog
        if message.id
        for form, translation in forms(message)
        for marks in (r"\{\w*\}", r"</?[a-z]+>")
        if sorted(re.findall(marks, form)) != sorted(re.findall(marks, translation))
    ]
    assert broken == []


@EACH
def test_a_label_contains_the_text_of_its_button(path):
    """WCAG 2.2, 2.5.3: who speaks the visible text has to reach the button."""
    language = LANGUAGES[path.parts[-3]].messages
    text = r"_\('([^']+)'\)"
    labelled = re.compile(rf'aria-label="\{{\{{[^"]*?{text}[^"]*"[^<>]*>\{{\{{{text}\}}\}}<')
    pairs = {
        (label, shown)
        for view in VIEWS.glob("*.tpl")
        for label, shown in labelled.findall(view.read_text())
    }
    assert len(pairs) > 10
    for label, shown in pairs:
        words = language.gettext(shown).strip("• ").lower()
        assert words in language.gettext(label).lower(), (label, shown)


@EACH
def test_our_reader_and_that_of_babel_agree(path):
    with path.open("rb") as file:
        wanted = {
            (each.context, each.id if isinstance(each.id, str) else each.id[0]): each.string
            for each in read_by_babel(file)
            if each.id
        }
    found = {
        (each.context, each.message): each.translations[0]
        if not each.plural
        else tuple(each.translations)
        for each in read_po(path.read_text())
        if each.message
    }
    assert found == wanted


def test_fuzzy_and_obsolete_messages_are_left_out():
    text = HEADER + (
        'msgid "a"\nmsgstr "A"\n\n#, fuzzy\nmsgid "b"\nmsgstr "B"\n\n#~ msgid "c"\n\n'
        'msgctxt "x"\nmsgid ""\n"a\\n"\n"b"\nmsgstr "\\"\\t\\\\"\n'
    )
    found = [(each.context, each.message, each.translations) for each in read_po(text)[1:]]
    assert found == [(None, "a", ["A"]), ("x", "a\nb", ['"\t\\'])]
    assert translations_of(read_po(text)).pgettext("x", "a\nb") == '"\t\\'


@pytest.mark.parametrize("line", ["msgid a", '"text"', 'msgfoo "a"', 'msgid "a'])
def test_a_line_that_is_not_understood_is_named(line):
    with pytest.raises(BadCatalogue, match="line 2 is not understood"):
        read_po(f"\n{line}\n")
