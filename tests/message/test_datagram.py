"""Messages as octets: line ends of LF alone, and padding behind a head."""

import pytest

from sip.message.datagram import is_padding, with_crlf
from sip.message.message import MAX_HEAD_BYTES, parse
from tests.support.cases import cases
from tests.support.message_octets import FIELDS, octets, refused


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (b"A\nB\n\n", b"A\r\nB\r\n\r\n"),
        (b"A\nB\n fold\n\nx", b"A\r\nB\r\n fold\r\n\r\nx"),
        (b"\n\nA\n\n", b"A\r\n\r\n"),  # empty lines before it
        (b"A\nB\n", b"A\r\nB\r\n"),  # the empty line is missing
        (b"A\nB\n\nx\ny\r\n\r\nz\rw\n\n\0", b"A\r\nB\r\n\r\nx\ny\r\n\r\nz\rw\n\n\0"),
    ],
)
def test_a_head_of_lf_alone_is_given_crlf(datagram: bytes, expected: bytes):
    """RFC 3261 §7: the body stays octet for octet, for Content-Length counts it."""
    assert with_crlf(datagram) == expected


@cases(
    "datagram",
    [
        *(b"", b"A", b"\n\n\n", b"A\r\nB\r\n\r\n", b"A\rB\r\r", b"A\nB\r\n\r\n", b"A\r\nB\n\n"),
        *(b"A\nB\n\r\n", b"A\nB\rC\n\n", b"A\nB\r\n\nx", b"\r\nA\nB\n\n", b"A\nB\r"),
    ],
)
def test_mixed_line_ends_are_not_touched(datagram: bytes):
    """RFC 3261 §7: two elements may see different fields there."""
    assert with_crlf(datagram) is None


@cases("body", [b"", b"a\n\nb\r\n\r\nc\r\0", b"\r\n\r\n"])
@cases("start", ["OPTIONS sip:b@b.example SIP/2.0", "SIP/2.0 200 OK"])
def test_line_ends_of_lf_alone_are_read_as_crlf(start, body):
    """RFC 3261 §7: requests and responses; the body is no line of the head, and stays as it is."""
    more = ("Subject: a\r\n b\r\n \r\n\tc", f"Content-Length: {len(body)}")
    right = octets(*FIELDS, *more, start=start)
    odd = right.replace(b"\r\n", b"\n")
    for before in (b"", b"\n", b"\n\n\n"):
        assert parse(before + odd + body + b"past it").encode() == right + body
    assert parse(odd + body).lines == parse(right + body).lines


@cases("at", range(len(FIELDS) + 2))
def test_one_line_end_unlike_the_others_is_refused(at):
    """RFC 3261 §7: whichever it is, among CRLF and among LF alone, the empty line's included."""
    lines = octets(*FIELDS).split(b"\r\n")[:-1]
    for usual, other in ((b"\r\n", b"\n"), (b"\n", b"\r\n"), (b"\n", b"\r")):
        ends = [other if number == at else usual for number in range(len(lines))]
        data = b"".join(line + end for line, end in zip(lines, ends, strict=True))
        for body in (b"", b"\n\nX: y\n\n", b"\r\n\r\nX: y\r\n\r\n"):
            assert refused(data + body).status == 400


def test_lf_alone_excuses_no_other_fault():
    """RFC 3261 §7: the answer copies the parsed fields, with whole line ends."""
    bad = refused(octets(*FIELDS, "Nonsense").replace(b"\r\n", b"\n"))
    assert (bad.status, bad.request.lines) == (400, list(FIELDS))
    cut = refused(octets(*FIELDS).replace(b"\r\n", b"\n")[:-1])
    assert (cut.status, cut.reason) == (400, "No empty line after the header fields")
    long = octets(*FIELDS, "Z: b" + "\r\n c" * 20_000).replace(b"\r\n", b"\n")
    assert len(long) < MAX_HEAD_BYTES
    assert refused(long).status == 513  # with CRLF it is longer than a datagram


def test_padding_is_line_ends_nuls_and_blanks():
    """RFC 3261 §18.3."""
    for said in (b"", b"\r\n", b"\n", b"\0", b" ", b"\t", b"\r\n\r\n \0\0\t" * 5000):
        assert is_padding(said)
    for said in (b"x", b"\r\nx\r\n", b"\x0b", b"\xa0", b"\xff\0"):
        assert not is_padding(said)


@cases("padding", [b"\r\n", b"\0", b" ", b"\r\n\r\n \t\0\0", b"\n"])
@cases("start", ["OPTIONS sip:b@b.example SIP/2.0", "SIP/2.0 200 OK"])
def test_padding_behind_a_head_is_no_body(start, padding):
    """RFC 3261 §20.15: a body has a type; what a type or a length speaks of is one."""
    bare = octets(*FIELDS, start=start)
    assert parse(bare + padding).encode() == bare
    assert parse(bare.replace(b"\r\n", b"\n") + padding).encode() == bare
    assert parse(bare + b"x" + padding).body == b"x" + padding
    for field in ("c: text/plain", f"l: {len(padding)}"):
        assert parse(octets(*FIELDS, field, start=start, body=padding)).body == padding
