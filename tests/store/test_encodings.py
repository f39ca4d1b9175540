"""The encoding of a file: stated, recognised or guessed."""

import io

import pytest

from sip.store import encodings
from sip.store.encodings import BadText, detect, named
from tests.support.cases import cases

TEXT = "username,password\nann,Müller\n"


class Pipe(io.RawIOBase):
    """An input that can be read once."""

    def __init__(self, octets: bytes) -> None:
        self._octets = io.BytesIO(octets)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._octets.readinto(buffer)


@cases(
    ("octets", "name", "is_certain"),
    [
        (b"", "UTF-8", True),
        (b"ascii", "UTF-8", True),
        (TEXT.encode(), "UTF-8", True),
        (TEXT.encode("utf-8-sig"), "UTF-8", True),
        (TEXT.encode("utf-16"), "UTF-16", True),
        ("\ufeff".encode("utf-16-be") + TEXT.encode("utf-16-be"), "UTF-16", True),
        (TEXT.encode("utf-16-le"), "UTF-16", False),
        (TEXT.encode("utf-16-be"), "UTF-16", False),
        (TEXT.encode("windows-1252"), "Windows-1252", False),
    ],
)
@cases("wrap", [io.BytesIO, lambda octets: io.BufferedReader(Pipe(octets))])
def test_the_encoding_is_found_and_the_file_is_as_before(octets, name, is_certain, wrap):
    file, encoding = detect(wrap(octets))
    assert (encoding.name, encoding.is_certain) == (name, is_certain)
    read = file.read()
    assert read == octets
    if octets.isascii():
        return
    assert read.decode(encoding.codec).removeprefix("\ufeff") == TEXT


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_character_on_the_border_of_two_pieces_is_one(monkeypatch, size):
    monkeypatch.setattr(encodings, "_PIECE", size)
    assert detect(io.BytesIO("x€ü\U0001f4de".encode()))[1].name == "UTF-8"
    assert detect(io.BytesIO("x€ü".encode()[:-1]))[1].name == "Windows-1252"


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"a\x81\xff", "not text in UTF-8, UTF-16 or Windows-1252"),
        (b"PK\x03\x04" + bytes(20), "a spreadsheet, not CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a spreadsheet, not CSV"),
        ("a".encode("utf-32"), "UTF-32"),
    ],
)
def test_what_is_no_text_is_refused_with_a_cure(octets, reason):
    with pytest.raises(BadText, match=f"{reason}.*save it as CSV in UTF-8"):
        detect(io.BytesIO(octets))


def test_an_endless_input_is_not_kept(monkeypatch):
    monkeypatch.setattr(encodings, "MAX_PIPED_BYTES", 1024 * 1024)
    with open("/dev/zero", "rb") as file, pytest.raises(BadText, match="larger than 1 MB"):
        detect(io.BufferedReader(Endless(file)))


class Endless(io.RawIOBase):
    """A device, as a pipe."""

    def __init__(self, file) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._file.readinto(buffer)


def test_an_encoding_goes_by_any_of_its_names():
    assert named("UTF8").codec == "utf-8-sig"
    assert named("latin-1").codec == "iso8859-1"
    assert named("cp1252").is_certain
    for name in ("nonesuch", "rot13", "zlib", "", "\0"):
        with pytest.raises(BadText, match="no text encoding"):
            named(name)
