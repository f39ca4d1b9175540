"""Detection of the encoding of a text file, from its byte order mark or its content."""

import codecs
import io
from typing import BinaryIO, NamedTuple

# Octets decoded at a time: decoding a piece blocks other threads.
_PIECE = 64 * 1024
# Maximum octets of an input that cannot be read twice, such as a pipe: they are kept in memory.
MAX_PIPED_BYTES = 256 * 1024 * 1024

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF_32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
# First octets of spreadsheet files (XLSX, ODS, XLS), which are not CSV.
_OTHER_FILES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
# Number of first octets that show whether each character has two octets.
_SHORT = 64


class BadText(Exception):
    """The file is not text.  The text says why, and what to do."""


class Encoding(NamedTuple):
    """An encoding: its name in Python, its name for people, and False if it is a guess."""

    codec: str
    name: str
    is_certain: bool = True


UTF_8 = Encoding("utf-8-sig", "UTF-8")


def named(name: str) -> Encoding:
    """Return the encoding with this name.  Raises BadText if Python has no such text encoding."""
    try:
        "".encode(name).decode(name)  # fails for codecs that are not text encodings
        known = codecs.lookup(name).name
    except (LookupError, UnicodeError, ValueError):
        raise BadText(
            f"there is no text encoding {name[:40]!r}; use for example utf-8, utf-16, windows-1252"
            " or iso-8859-2"
        ) from None
    return UTF_8 if known.startswith("utf-8") else Encoding(known, name)


def detect(file: BinaryIO) -> tuple[BinaryIO, Encoding]:
    """Detect the encoding of a whole file; return the file, at its old position, and the encoding.

    An input that cannot be read twice is copied to memory.  Raises BadText.
    """
    kept = None if file.seekable() else io.BytesIO()
    start = 0 if kept else file.tell()
    candidates = _Candidates()
    while piece := file.read(_PIECE):
        candidates.feed(piece)
        if kept:
            kept.write(piece)
            if kept.tell() > MAX_PIPED_BYTES:
                megabytes = MAX_PIPED_BYTES // 1024 // 1024
                raise BadText(f"the input is larger than {megabytes} MB; split it")
    (kept or file).seek(start)
    return kept or file, candidates.best()


class _Candidates:
    """The encodings that are possible for all pieces read so far."""

    def __init__(self) -> None:
        self._by_mark: Encoding | None = None
        self._is_first = True
        self._utf_8 = codecs.getincrementaldecoder("utf-8")()
        self._is_utf_8 = True
        self._is_windows = True
        self._is_within = False  # the last piece ended within a UTF-8 character

    def feed(self, piece: bytes) -> None:
        if self._is_first:
            self._is_first = False
            self._by_mark = _by_first_octets(piece)
        if self._by_mark:
            return
        if self._is_utf_8 and (self._is_within or not piece.isascii()):
            try:
                self._utf_8.decode(piece)
                self._is_within = bool(self._utf_8.getstate()[0])
            except UnicodeDecodeError:
                self._is_utf_8 = False
        if self._is_windows and not piece.isascii():
            try:
                piece.decode("windows-1252")
            except UnicodeDecodeError:
                self._is_windows = False

    def best(self) -> Encoding:
        if self._by_mark:
            return self._by_mark
        if self._is_utf_8 and not self._is_within:
            return UTF_8
        if self._is_windows:
            return Encoding("windows-1252", "Windows-1252", is_certain=False)
        raise BadText(
            "the file is not text in UTF-8, UTF-16 or Windows-1252; save it as CSV in UTF-8"
        )


def _by_first_octets(piece: bytes) -> Encoding | None:
    """Return the encoding that the first octets show, or None.  Raises BadText."""
    if piece.startswith(_OTHER_FILES):
        raise BadText("the file is a spreadsheet, not CSV; save it as CSV in UTF-8")
    if piece.startswith(codecs.BOM_UTF8):
        return UTF_8
    if piece.startswith(_UTF_32_MARKS):
        raise BadText("the file is UTF-32; save it as CSV in UTF-8")
    if piece.startswith(_UTF_16_MARKS):
        return Encoding("utf-16", "UTF-16")
    even, odd = piece[0:_SHORT:2], piece[1:_SHORT:2]
    if even and not any(odd) and all(even):
        return Encoding("utf-16-le", "UTF-16", is_certain=False) if odd else None
    if odd and not any(even) and all(odd):
        return Encoding("utf-16-be", "UTF-16", is_certain=False)
    return None
