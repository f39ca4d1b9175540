"""Catalogues of translated messages: the files sipserver.po, read at the start without a build.

The reader takes what tools/messages.py writes, which is a part of the format of GNU gettext.
"""

import gettext
import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

LOCALE: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "sipserver"

# The context of messages that are found again by their composed text, see composed_text.py.
COMPOSED: Final = "composed"

_LINE: Final = re.compile(r'(?:(msgctxt|msgid|msgid_plural|msgstr)(?:\[(\d)\])? )?"(.*)"')
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r"}
# Between context and message, and between the forms of a message, in a .mo file.
_AFTER_CONTEXT, _BETWEEN_FORMS = "\x04", "\0"


class BadCatalogue(Exception):
    """A catalogue that cannot be read; the text names the line."""


@dataclass
class Entry:
    """One message and its translations, one for each plural form."""

    context: str | None = None
    message: str = ""
    plural: str = ""
    translations: list[str] = field(default_factory=list)
    is_fuzzy: bool = False

    @property
    def key(self) -> str:
        """The key of the message in a .mo file."""
        start = "" if self.context is None else self.context + _AFTER_CONTEXT
        return start + self.message + (_BETWEEN_FORMS + self.plural if self.plural else "")


def read_po(text: str) -> list[Entry]:
    """Return the entries of a .po file; the first one is its header.  Raises BadCatalogue."""
    return [entry for entry in _entries(text) if entry.translations and not entry.is_fuzzy]


def _entries(text: str) -> Iterator[Entry]:
    entry, keyword = Entry(), ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            if entry.translations:
                yield entry
                entry = Entry()
            entry.is_fuzzy |= line.startswith("#,") and "fuzzy" in line
            continue
        match = _LINE.fullmatch(line)
        if match is None or not (match[1] or keyword):
            raise BadCatalogue(f"line {number} is not understood: {line[:80]}")
        keyword = match[1] or keyword
        _add(entry, keyword, is_new=bool(match[1]), text=_unescaped(match[3]))
    yield entry


def _add(entry: Entry, keyword: str, *, is_new: bool, text: str) -> None:
    if keyword == "msgstr":
        if is_new:
            entry.translations.append("")
        entry.translations[-1] += text
    elif keyword == "msgctxt":
        entry.context = (entry.context or "") + text
    elif keyword == "msgid":
        entry.message += text
    else:
        entry.plural += text


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), text)


def translations_of(entries: list[Entry]) -> gettext.GNUTranslations:
    """Return the entries as translations of the gettext module, which reads .mo files only."""
    pairs = sorted(
        (entry.key.encode(), _BETWEEN_FORMS.join(entry.translations).encode())
        for entry in entries
        if all(entry.translations)
    )
    count, head = len(pairs), 7 * 4
    ids_at = head + 2 * 8 * count
    texts_at = ids_at + sum(len(key) + 1 for key, _ in pairs)
    ids = _table([key for key, _ in pairs], ids_at)
    texts = _table([text for _, text in pairs], texts_at)
    content = struct.pack("<7I", 0x950412DE, 0, count, head, head + 8 * count, 0, 0)
    content += ids + texts
    content += b"".join(key + b"\0" for key, _ in pairs)
    content += b"".join(text + b"\0" for _, text in pairs)
    return gettext.GNUTranslations(io.BytesIO(content))


def _table(texts: list[bytes], start: int) -> bytes:
    """Return the lengths and offsets of texts that lie one after the other from `start` on."""
    table = b""
    for text in texts:
        table += struct.pack("<2I", len(text), start)
        start += len(text) + 1
    return table
