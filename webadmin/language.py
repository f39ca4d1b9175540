"""The language of a page: that of the browser, by its Accept-Language (RFC 9110 §12.5.4).

A request has a language while its application runs, see `in_language`; all other code, so also the
API, speaks English.  A greenlet that a request starts does not inherit it: texts are translated
where they are shown.
"""

import gettext
import re
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final

from sip.core.explain import as_sentence
from webadmin.catalogue import COMPOSED, DOMAIN, LOCALE, Entry, read_po, translations_of
from webadmin.composed_text import ComposedTexts, Translated
from webadmin.http.compression import WSGIApp

_DEFAULT: Final = "en"
# Octets of an Accept-Language that is read; a longer one is answered in English.
_MAX_HEADER: Final = 1000
# A language range with its weight (RFC 9110 §12.4.2, RFC 4647 §2.1).
_RANGE: Final = re.compile(
    r"[ \t]*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)"
    r"(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?[ \t]*"
)
# The separators of numbers as messages with their contexts, see numbers.py.
THOUSANDS: Final = ("thousands", ",")
POINT: Final = ("decimal point", ".")
# Composed texts whose translations are kept, for each language.
_KEPT: Final = 1000


class Language:
    """A language with its messages: `code` is a language tag (RFC 5646)."""

    def __init__(self, code: str, entries: list[Entry]) -> None:
        self.code = code
        self.messages = translations_of(entries) if entries else gettext.NullTranslations()
        self.gettext: Callable[[str], str] = self.messages.gettext if entries else str
        pairs = [
            (entry.message, entry.translations[0])
            for entry in entries
            if entry.context == COMPOSED and entry.translations[0]
        ]
        separators = (self.messages.pgettext(*each) for each in (THOUSANDS, POINT))
        texts = ComposedTexts(pairs, *separators)
        self.composed: Callable[[str], Translated] = lru_cache(_KEPT)(texts.translated)


def _load() -> Mapping[str, Language]:
    """Return the languages by their codes, English and all that have a catalogue."""
    languages = {_DEFAULT: Language(_DEFAULT, [])}
    for path in sorted(LOCALE.glob(f"*/LC_MESSAGES/{DOMAIN}.po")):
        code = path.parent.parent.name
        languages[code] = Language(code, read_po(path.read_text("utf-8")))
    return languages


LANGUAGES: Final = _load()
_CURRENT: ContextVar[Language] = ContextVar("language", default=LANGUAGES[_DEFAULT])


def best_language(header: str) -> str:
    """Return the code of the language for an Accept-Language, English for a malformed one.

    A range is shortened until there is a catalogue (RFC 4647 §3.4): "de-AT" leads to "de".
    """
    if len(header) > _MAX_HEADER:
        return _DEFAULT
    ranges: list[tuple[float, str]] = []
    for element in header.split(","):
        match = _RANGE.fullmatch(element)
        if match:
            ranges.append((float(match[2] or 1), match[1].lower()))
        elif element.strip(" \t"):
            return _DEFAULT
    refused = {tag for weight, tag in ranges if weight == 0}
    for weight, tag in sorted(ranges, key=lambda each: -each[0]):  # stable: the first one wins
        if weight == 0:
            break
        if tag == "*":
            return next((code for code in LANGUAGES if code not in refused), _DEFAULT)
        while tag:
            if tag in LANGUAGES and tag not in refused:
                return tag
            tag = tag.rpartition("-")[0]
    return _DEFAULT


def in_language(app: WSGIApp, for_programs: tuple[str, ...]) -> WSGIApp:
    """Run `app` in the language of the browser, and name it in the response.

    Paths that begin with one of `for_programs` are answered in English.
    """

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        code = best_language(environ.get("HTTP_ACCEPT_LANGUAGE", ""))

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            vary = [value for name, value in headers if name.lower() == "vary"]
            fields = [each for each in headers if each[0].lower() != "vary"]
            fields.append(("Vary", ", ".join([*vary, "Accept-Language"])))
            fields.append(("Content-Language", code))
            return start_response(status, fields, exc_info)

        if environ["PATH_INFO"].startswith(for_programs):
            return app(environ, start_response)
        token = _CURRENT.set(LANGUAGES[code])
        try:
            return app(environ, start)
        finally:
            _CURRENT.reset(token)

    return serve


def current_code() -> str:
    """Return the code of the language of the current request, for `<html lang>`."""
    return _CURRENT.get().code


def _(message: str) -> str:
    """Return a message in the language of the current request."""
    return _CURRENT.get().gettext(message)


def N_(message: str) -> str:
    """Return a message as it is: it is in the catalogue, and `_` is called where it is shown."""
    return message


def ngettext(singular: str, plural: str, number: int) -> str:
    """Return the form of a message for a number."""
    return _CURRENT.get().messages.ngettext(singular, plural, number)


def pgettext(context: str, message: str) -> str:
    """Return a message that has several meanings; `context` says which one it has."""
    return _CURRENT.get().messages.pgettext(context, message)


def translated(text: str) -> str:
    """Return a text that a part below the pages has composed, in the language of the request."""
    return _CURRENT.get().composed(text).text


def translated_sentence(clause: str) -> str:
    """Return a composed clause as a sentence; a value at its start is not capitalized."""
    text, begins_with_value = _CURRENT.get().composed(clause)
    if text == clause:  # English, or unknown
        return as_sentence(clause)
    text = text if begins_with_value else text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."
