"""Responses of our own to a request."""

from sip.message.message import Request, parse
from sip.message.responses import encode_response
from tests.support.cases import cases
from tests.support.message_octets import FIELDS, octets, refused, response_to


def request(*more: str, **given) -> Request:
    message = parse(octets(*FIELDS, *more, **given))
    assert isinstance(message, Request)
    return message


def test_a_response_copies_what_finds_its_way_back_in_order():
    """RFC 3261 §8.2.6.2."""
    asked = request(
        *(
            "Timestamp: 54",
            "v: SIP/2.0/UDP b,\r\n SIP/2.0/TCP c",
            "Max-Forwards: 7",
            "Via: SIP/2.0/UDP d",
        ),
        body=b"not copied",
    )
    answer = response_to(asked, 180)
    assert answer.lines == [*FIELDS, asked.lines[6], asked.lines[8], "Content-Length: 0"]
    assert (answer.status, answer.reason, answer.body) == (180, "Ringing", b"")


def test_a_timestamp_goes_into_a_100_alone():
    """RFC 3261 §8.2.6.1."""
    asked = request("Timestamp: 54")
    assert response_to(asked, 100).value("timestamp") == "54"
    assert response_to(asked, 200).value("timestamp") is None


@cases(
    ("asked", "delay", "answered"),
    [
        ("54", 3.5, "54 3.500"),
        ("54.", 0.25, "54. 0.250"),
        ("54.125 7", 3.5, "54.125 3.500"),
        ("54\r\n 7", 3.5, "54 3.500"),
        ("54", 0.0001, "54"),
        ("soon", 3.5, "soon"),
        ("", 3.5, ""),
    ],
)
def test_a_100_that_is_late_says_how_late(asked, delay, answered):
    """RFC 3261 §8.2.6.1, §20.38: a Timestamp that can't be read is copied as it came."""
    answer = response_to(request(f"Timestamp: {asked}"), 100, delay=delay)
    assert answer.value("timestamp") == answered


@cases(
    ("line", "line_with_tag"),
    [
        ("To: <sip:b@b>", "To: <sip:b@b>;tag=x"),
        ("t: sip:b@b ", "t: sip:b@b;tag=x"),
        ("To: <sip:b@b;tag=no>", "To: <sip:b@b;tag=no>;tag=x"),
        ('To: ";tag=" <sip:b@b>', 'To: ";tag=" <sip:b@b>;tag=x'),
        ("To: <sip:b@b>\r\n ", "To: <sip:b@b>;tag=x"),
        ("To:\r\n <sip:b@b>", "To: <sip:b@b>;tag=x"),
        ("To: <sip:b@b>;TAG=y", "To: <sip:b@b>;TAG=y"),
        ("To: <sip:b@b>\r\n ; tag = y", "To: <sip:b@b>\r\n ; tag = y"),
    ],
)
def test_a_tag_is_added_where_there_is_none(line, line_with_tag):
    """RFC 3261 §8.2.6.2."""
    asked = parse(octets(*FIELDS[:2], line, *FIELDS[3:]))
    assert isinstance(asked, Request)
    assert response_to(asked, 200, to_tag="x").lines[2] == line_with_tag
    assert response_to(asked, 100).lines[2] == line


def test_a_response_has_more_fields_and_a_phrase_when_given():
    """RFC 3261 §8.2.6, §21."""
    answer = response_to(request(), 423, extra=(("Min-Expires", "60"), ("Z", "y")))
    assert answer.lines[-3:] == ["Min-Expires: 60", "Z: y", "Content-Length: 0"]
    assert answer.names[-3:] == ("min-expires", "z", "content-length")
    assert answer.encode().startswith(b"SIP/2.0 423 Interval Too Brief\r\n")
    assert response_to(request(), 400, "Why Not").reason == "Why Not"
    assert response_to(request(), 499).reason == "Unknown"


def test_a_phrase_holds_nothing_that_no_phrase_may_hold():
    """RFC 3261 §25.1 Reason-Phrase: though it quotes the request."""
    quoted = """'<sip:a%zz"\\{é\udcff\r\n}[1]#|^`>' is no URI (a-z;0=?)"""
    phrase = "'?sip:a?zz?????????1??????' is no URI (a-z;0=?)"
    assert response_to(request(), 400, quoted).reason == phrase


def test_a_bad_request_is_answered_with_what_could_be_read():
    """RFC 3261 §8.2.6.2: nothing is made up."""
    bad = refused(octets(FIELDS[0], "nonsense", 'To: "B', "CSeq: x"))
    lines = encode_response(bad.request, bad.status or 0, to_tag="x").decode().split("\r\n")
    assert lines[1:] == [FIELDS[0], 'To: "B', "CSeq: x", "Content-Length: 0", "", ""]
