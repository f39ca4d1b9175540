"""Translations of texts that other parts have composed: `wrong password for bob`.

The problem: causes, health checks and errors of the stores are English texts in logs, in the
database and in the API, with their values already in them.  Only the pages translate them.
The model: the catalogue has the template of each such text, `wrong password for {name}`.  A text
belongs to the template whose fixed parts it has, in this order; what is between them are the
values, which are put into the translation.  Of several templates, one that
begins with fixed text counts, and then the one with most of it.
The invariant: a text without a template stays as it is, and no value is lost.
The bounds: a search takes time linear in the text, and a text beyond MAX_TEXT is not searched.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

# Characters of a text that is looked up.
MAX_TEXT: Final = 2000
# Values that are texts of the same kind, and how deep they are.
_TEXTS: Final = frozenset(
    (
        *("advice", "cause", "detail", "error", "failure", "fault", "holder", "outcome", "peer"),
        *("phones", "reason", "text", "value", "what", "why"),
    )
)
# Of these, the ones that have to be known: their templates have few other words.
_KNOWN: Final = frozenset(("holder",))
_MAX_DEPTH: Final = 3
# Sentences of a text that are looked up one by one.
_MAX_SENTENCES: Final = 8
_WITH_THOUSANDS: Final = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w,])")
_WITH_UNIT: Final = re.compile(r"(?<![\w.,])\d+\.\d+(?= (?:[kMG]?B|m?s)\b)")
_BETWEEN_SENTENCES: Final = re.compile(r"(?<=[.?!]) (?=[A-Z])")

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


class Translated(NamedTuple):
    """A translated text; `begins_with_value` is True if it must not be capitalized."""

    text: str
    begins_with_value: bool


class _Template(NamedTuple):
    parts: tuple[str, ...]  # the fixed parts; a value is between each two
    names: tuple[str, ...]
    translation: str

    def values(self, text: str) -> dict[str, str] | None:
        """Return the values in a text, None if it does not belong to this template."""
        first, *middle = self.parts
        last = middle.pop()
        at, end = len(first), len(text) - len(last)
        values = []
        for part in middle:
            found = text.find(part, at + 1, end)
            if found < 0:
                return None
            values.append(text[at:found])
            at = found + len(part)
        if at >= end:
            return None
        values.append(text[at:end])
        return dict(zip(self.names, values, strict=True))


class ComposedTexts:
    """All templates of a language, as pairs of template and translation.

    `thousands` and `point` are its separators of numbers.
    """

    def __init__(
        self, pairs: Iterable[tuple[str, str]], thousands: str = ",", point: str = "."
    ) -> None:
        self._thousands, self._point = thousands, point
        self._fixed: dict[str, str] = {}
        templates = []
        for template, translation in pairs:
            names = tuple(_PLACEHOLDER.findall(template))
            if not names:
                self._fixed[template] = translation
                continue
            parts = tuple(_PLACEHOLDER.split(template)[::2])
            templates.append(_Template(parts, names, translation))
        self._templates = sorted(templates, key=_weight, reverse=True)

    def translated(self, text: str) -> Translated:
        """Return a text in this language, or as it is."""
        if len(text) > MAX_TEXT:
            return Translated(text, begins_with_value=True)
        if (whole := self._sentence(text, 0)) is not None:
            return whole
        sentences = _BETWEEN_SENTENCES.split(text)
        if not 1 < len(sentences) <= _MAX_SENTENCES:
            return Translated(text, begins_with_value=True)
        return Translated(" ".join(self._parts(sentences)), begins_with_value=True)

    def _parts(self, sentences: list[str]) -> Iterator[str]:
        """Yield translated sentences; a template may be several, so the longest part counts."""
        at = 0
        while at < len(sentences):
            for end in range(len(sentences), at, -1):
                part = " ".join(sentences[at:end])
                found = self._sentence(part, 0)
                if found is not None or end == at + 1:
                    yield found.text if found else part
                    at = end
                    break

    def _sentence(self, text: str, depth: int) -> Translated | None:
        """Translate a clause, or the sentence that was made of one; None without a template."""
        if (found := self._clause(text, depth)) is not None:
            return found
        if not text.endswith("."):
            return None
        clause = text[:-1]
        if text[:1].isupper() and (found := self._clause(text[0].lower() + clause[1:], depth)):
            return Translated(f"{found.text[:1].upper()}{found.text[1:]}.", True)
        found = self._clause(clause, depth)
        return found and Translated(f"{found.text}.", found.begins_with_value)

    def _clause(self, text: str, depth: int) -> Translated | None:
        if (fixed := self._fixed.get(text)) is not None:
            return Translated(fixed, begins_with_value=False)
        if depth == _MAX_DEPTH:
            return None
        for template in self._templates:
            last = template.parts[-1]
            if not text.startswith(template.parts[0]) or not text.endswith(last):
                continue
            if not last and text.endswith("."):  # the full stop is not a part of the value
                continue
            values = template.values(text)
            if values is None:
                continue
            worded = self._translate_values(values, depth)
            if worded is not None:
                first = _PLACEHOLDER.match(template.translation)
                begins_with_value = first is not None and first[1] not in worded
                text = template.translation.format_map(values)
                return Translated(text, begins_with_value)
        return None

    def _translate_values(self, values: dict[str, str], depth: int) -> set[str] | None:
        """Translate the values that are texts; return those that begin with a word of ours now.

        None if one of them has to be known, and is not.
        """
        if any(_BETWEEN_SENTENCES.search(text) for text in values.values()):
            return None  # it has taken in a sentence that follows
        worded = set()
        for name in _TEXTS.intersection(values):
            inner = self._value(values[name], depth + 1)
            if inner is None and name in _KNOWN:
                return None
            if inner is not None:
                values[name] = inner.text
                if not inner.begins_with_value:
                    worded.add(name)
        for name, value in values.items():
            values[name] = self._numbers(value)
        return worded

    def _numbers(self, text: str) -> str:
        """Write the numbers in a value as the language does: 20,000 and 4.2 MB."""
        text = _WITH_THOUSANDS.sub(lambda found: found[0].replace(",", self._thousands), text)
        return _WITH_UNIT.sub(lambda found: found[0].replace(".", self._point), text)

    def _value(self, text: str, depth: int) -> Translated | None:
        """Translate a value that is a text; its full stop may be that of the whole sentence."""
        if (found := self._sentence(text, depth)) is not None:
            return found
        found = self._sentence(f"{text}.", depth)
        return found and found._replace(text=found.text.removesuffix("."))


def _weight(template: _Template) -> tuple[bool, int]:
    """Return the order of templates: those that begin with a fixed part, then by its length."""
    return bool(template.parts[0]), sum(map(len, template.parts))
