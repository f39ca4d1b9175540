"""Messages from octets and back."""

import pytest

from sip.message.grammar import BadMessage
from sip.message.message import (
    MAX_BODY_BYTES,
    MAX_COMMAS,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_URI_LENGTH,
    Request,
    Response,
    parse,
)
from tests.support.cases import cases
from tests.support.message_octets import FIELDS, octets, refused


def request(*more: str, **given) -> Request:
    message = parse(octets(*FIELDS, *more, **given))
    assert isinstance(message, Request)
    return message


def dropped(data: bytes) -> str:
    with pytest.raises(BadMessage) as caught:
        parse(data)
    assert caught.value.status is None
    return caught.value.reason


# Start lines


def test_a_request_line_is_method_uri_and_version():
    """RFC 3261 §7.1."""
    message = request()
    assert (message.method, message.uri_text) == ("OPTIONS", "sip:b@b.example")
    assert message.encode() == octets(*FIELDS)


def test_a_method_is_any_token_and_its_case_counts():
    """RFC 3261 §7.1: the parser accepts unknown methods."""
    fields = [*FIELDS[:4], "CSeq: 1 oPTIONS-2"]
    message = parse(octets(*fields, start="oPTIONS-2 sip:b SIP/2.0"))
    assert isinstance(message, Request)
    assert message.method == "oPTIONS-2"


def test_the_sip_version_is_compared_ignoring_case():
    """RFC 3261 §7.1."""
    assert request(start="OPTIONS sip:b sip/2.0").encode().startswith(b"OPTIONS sip:b SIP/2.0\r\n")


@cases(
    ("start", "status"),
    [
        ("OPTIONS sip:b SIP/3.0", 505),
        ("OPTIONS sip:b SIP/2.00", 505),
        ("OPTIONS sip:b SIP/2", 400),
        ("OPTIONS sip:b SIP/2.0 ", 400),
        ("OPTIONS  sip:b SIP/2.0", 400),
        ("OPTIONS sip:b  SIP/2.0", 400),
        ("OPTIONS sip:b c SIP/2.0", 400),
        ("OPTIONS SIP/2.0", 400),
        *((" OPTIONS sip:b SIP/2.0", 400), ("OPTIONS\tsip:b SIP/2.0", 400)),
        *(("OPTIONS", 400), ("OPTIONS sip:b", 400), ("O@ sip:b SIP/2.0", 400)),
        *(("OPTIONS sip:b HTTP/1.1", 400), ("SIP", 400), ("OPTIONS sip:b SIP/7.0;x", 400)),
    ],
)
def test_a_request_line_that_is_written_otherwise_is_refused(start, status):
    """RFC 3261 §7.1: single spaces, no others; another version is 505 (§21.5.6)."""
    assert refused(octets(*FIELDS, start=start)).status == status


@pytest.mark.parametrize(
    "start", ["hello", "OPTIONS", "OPTIONS sip:b", "GET / HTTP/1.1", "\x1b[31m"]
)
def test_what_is_neither_request_nor_response_is_dropped(start):
    """RFC 3261 §7: the sender could not read an answer."""
    for missing in range(5):
        fields = [field for at, field in enumerate(FIELDS) if at != missing]
        assert dropped(octets(*fields, start=start)).isprintable()


@pytest.mark.parametrize("empty_lines", [1, 2, 30_000])
def test_empty_lines_before_a_message_are_skipped(empty_lines):
    """RFC 3261 §7.5, which asks it of streams; in a datagram they do no harm."""
    data = octets(*FIELDS, body=b"\r\n\r\nx")
    assert parse(b"\r\n" * empty_lines + data).encode() == data


def test_another_version_is_reported_before_other_faults():
    """RFC 3261 §21.5.6: the rest of its message may have any form."""
    bad = refused(octets(FIELDS[0], "no field", 'To: "B', start="OPTIONS <b> SIP/3.0"))
    assert (bad.status, bad.reason) == (505, "Version SIP/3.0 not supported")


def test_a_request_uri_is_bounded():
    """RFC 3261 §21.4.12: far above what phones and our own Record-Route write."""
    uri = "sip:" + "b" * (MAX_URI_LENGTH - 4)
    assert request(start=f"OPTIONS {uri} SIP/2.0").uri_text == uri
    bad = refused(octets(*FIELDS, "no field", start=f"OPTIONS {uri}b SIP/2.0"))
    assert bad.status == 414
    assert bad.reason.startswith("Request-URI Too Long")
    assert refused(octets(*FIELDS, start=f"OPTIONS {uri} b SIP/2.0")).status == 400


@pytest.mark.parametrize(
    ("start", "status", "reason"),
    [
        ("SIP/2.0 200 OK", 200, "OK"),
        ("SIP/2.0 183 Session  Progress ", 183, "Session  Progress "),
        ("SIP/2.0 100 ", 100, ""),
        ("SIP/2.0 100", 100, ""),  # RFC 4475 §3.1.1.13
        ("sip/2.0 699 \udcff é", 699, "\udcff é"),
    ],
)
def test_a_status_line_has_a_code_and_any_phrase(start, status, reason):
    """RFC 3261 §7.2."""
    message = parse(octets(*FIELDS, start=start))
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (status, reason)


@cases(
    "start",
    [
        *("SIP/2.0 99 X", "SIP/2.0 099 X", "SIP/2.0 700 X", "SIP/2.0 1000 X", "SIP/2.0 20 X"),
        *("SIP/2.0 2٣0 X", "SIP/2.0  200 X", "SIP/2.0 OK", "SIP/2.0", "SIP/7.0 200 OK", "SIP/"),
    ],
)
def test_a_status_line_that_cannot_be_read_is_dropped(start):
    """RFC 3261 §7.2: a response is never answered."""
    assert dropped(octets(*FIELDS, start=start))


# Header fields


def test_a_compact_name_is_the_long_one():
    """RFC 3261 §7.3.3."""
    message = parse(
        octets(
            *(
                "v: SIP/2.0/UDP a;branch=1",
                "F: <sip:a@a>",
                "t: <sip:b@b>",
                "I: x",
                "cseq: 1 OPTIONS",
            ),
            *("m: <sip:c@c>", "s: hi", "k: path", "c: text/plain", "l: 0"),
        )
    )
    assert list(message.names) == [
        *("via", "from", "to", "call-id", "cseq"),
        *("contact", "subject", "supported", "content-type", "content-length"),
    ]


def test_a_name_is_compared_without_regard_to_case():
    """RFC 3261 §7.3.1: white space before the colon is none of it."""
    message = request("mAx-fOrwards \t: 7", "X-UNKNOWN: a", "x-Unknown : b", "EXPIRES:5")
    assert message.value("max-forwards") == "7"
    assert message.values("x-unknown") == ["a", "b"]
    assert message.value("expires") == "5"
    assert message.value("date") is None
    assert message.values("date") == message.fields("date") == message.values("date") == []


def test_a_name_may_have_any_length():
    """RFC 3261 §25.1 header-name, §16.3 step 1: an unknown field is no reason to refuse."""
    name = "Very-" * 1000 + "Long"
    assert request(f"{name} : a", f"{name}: b").values(name.lower()) == ["a", "b"]
    assert refused(octets(*FIELDS, f"{name} Long: a")).status == 400


def test_a_field_over_several_lines_is_one():
    """RFC 3261 §7.3.1."""
    message = request("Subject: I know you're there,\r\n pick up the phone  \r\n\tand talk", "Z: b")
    assert message.value("subject") == "I know you're there, pick up the phone and talk"
    assert message.names[-2:] == ("subject", "z")
    assert message.encode() == octets(*FIELDS, *message.lines[-2:])


@pytest.mark.parametrize(
    "lines", [("Subject:\r\n hi",), ("Subject: hi\r\n ",), ("Subject: \r\n\t\r\n hi",)]
)
def test_a_fold_at_either_end_belongs_to_no_value(lines):
    """RFC 3261 §7.3.1."""
    assert request(*lines).value("subject") == "hi"


def test_list_values_are_split_by_lines_or_commas():
    """RFC 3261 §7.3.1."""
    message = request(
        'Contact: "A, B" <sip:a@a;x=1,2>,\r\n <sip:b@b>',
        "Subject: between",
        "m: , sip:c@c,",
    )
    assert message.values("contact") == ['"A, B" <sip:a@a;x=1,2>', "<sip:b@b>", "sip:c@c"]
    assert message.fields("contact") == ['"A, B" <sip:a@a;x=1,2>, <sip:b@b>', ", sip:c@c,"]
    assert message.value("contact") == '"A, B" <sip:a@a;x=1,2>, <sip:b@b>'


def test_octets_that_are_no_utf_8_go_through():
    """RFC 3261 §7.3.1: what a proxy does not understand it leaves alone."""
    data = octets(*FIELDS, "Subject: \udcff\udc80é\0\x1b")
    data = data.replace(b"Subject: ", b"Subject: \xc3\x28")
    assert parse(data).encode() == data


@cases(
    "line",
    ["no colon", ": no name", "Sub ject: x", "Sübject: x", "Via", "Viax", "Subject", "\x0bA: b"],
)
def test_a_line_that_is_no_field_makes_a_bad_request(line):
    """RFC 3261 §7.3.1: a name alone is no field, not even a well-known one."""
    bad = refused(octets(*FIELDS, line))
    assert bad.status == 400
    assert bad.request.names == ("via", "from", "to", "call-id", "cseq")
    assert dropped(octets(*FIELDS, line, start="SIP/2.0 200 OK"))


def test_a_fold_before_the_first_field_makes_a_bad_request():
    """RFC 3261 §7.3.1: there is nothing that it could go on with."""
    assert refused(octets(" folded: x", *FIELDS)).status == 400


@pytest.mark.parametrize("end", ["\n", "\r", "\n\r", "\r\r\n", "\n "])
def test_mixed_line_ends_are_refused(end):
    """RFC 3261 §7: one field for us must not be two for the next hop."""
    bad = refused(octets(*FIELDS, f"Subject: a{end}Route: <sip:evil>"))
    assert (bad.status, bad.reason) == (400, "Line end that is not CRLF")
    assert "CRLF" in dropped(octets(*FIELDS, f"Subject: a{end}b", start="SIP/2.0 200 OK"))


@pytest.mark.parametrize("count", [1, 3, -1])
def test_a_request_with_lf_line_ends_is_answered_with_crlf(count):
    """RFC 3261 §7, §8.2.6.2: all of them CR alone, or some."""
    fields = [*FIELDS[:4], "CSeq:\r\n 1 OPTIONS"]
    bad = refused(octets(*fields, body=b"x\r\nBody: y").replace(b"\r\n", b"\r", count))
    assert bad.status == 400
    assert bad.request.lines == fields
    assert bad.request.cseq == (1, "OPTIONS")


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_message_without_what_every_message_has_is_bad(name):
    """RFC 3261 §8.1.1."""
    fields = [field for field in FIELDS if not field.startswith(name)]
    assert refused(octets(*fields)).reason == f"Missing {name} header field"
    assert dropped(octets(*fields, start="SIP/2.0 200 OK"))
    empty = refused(octets(*fields, f"{name}:"))
    assert (empty.status, empty.reason) == (400, f"Missing {name} header field")


@cases("line", [*FIELDS[1:], "l: 0\r\nContent-Length: 0", "Expires: 1\r\nexpires: 1"])
def test_single_fields_must_not_occur_twice(line):
    """RFC 3261 §7.3.1, RFC 4475 §3.3.8, §3.3.9."""
    bad = refused(octets(*FIELDS, line))
    assert bad.reason.startswith("More than one ")
    assert len(bad.request.names) == len(set(bad.request.names))
    assert bad.request.lines[:5] == list(FIELDS)


@cases(
    "field",
    [
        *(
            "Via: SIP/2.0/UDP a;;",
            "From: <sip:a",
            'To: "B <sip:b>',
            "To: < sip:b >",
            "CSeq: OPTIONS",
        ),
        "CSeq: 2147483648 OPTIONS",
    ],
)
def test_what_an_answer_relies_on_must_be_readable(field):
    """RFC 3261 §8.2.6.2, §17.2.3."""
    name = field.partition(":")[0]
    assert refused(octets(*(field if f.startswith(name) else f for f in FIELDS))).status == 400


def test_the_method_stands_there_twice_and_must_be_the_same():
    """RFC 3261 §8.1.1.5; RFC 4475 §3.1.2.18 prefers 501 for an unknown method."""
    assert refused(octets(*FIELDS, start="INVITE sip:b SIP/2.0")).status == 400
    assert refused(octets(*FIELDS, start="NEWMETHOD sip:b SIP/2.0")).status == 501
    assert isinstance(parse(octets(*FIELDS, start="SIP/2.0 200 OK")), Response)


# Body and bounds


@pytest.mark.parametrize(
    ("length", "body"),
    [("3", b"abc"), ("0", b""), ("0003", b"abc"), ("2", b"ab"), ("0" * 5000 + "3", b"abc")],
)
def test_octets_past_the_body_are_dropped(length, body):
    """RFC 3261 §18.3."""
    assert request(f"Content-Length: {length}", body=b"abc").body == body


def test_without_a_length_the_body_goes_on_to_the_end():
    """RFC 3261 §18.3, §20.14."""
    assert request(body=b"a\r\n\r\nb\0").body == b"a\r\n\r\nb\0"


@cases("length", ["4", str(MAX_BODY_BYTES), "-1", "+3", "five", "3.0", "3 3", "٣", "0x3", ""])
def test_a_length_that_cannot_be_true_is_refused(length):
    """RFC 3261 §18.3, RFC 4475 §3.1.2.2, §3.1.2.3."""
    bad = refused(octets(*FIELDS, f"Content-Length: {length}", body=b"abc"))
    assert bad.status == 400
    assert len(bad.reason) < 100


@pytest.mark.parametrize("length", [str(MAX_BODY_BYTES + 1), "9" * 5000])
def test_a_body_beyond_our_bound_is_too_large(length):
    """RFC 3261 §21.4.11: its datagram need not even hold it."""
    bad = refused(octets(*FIELDS, f"Content-Length: {length}", body=b"abc"))
    assert bad.status == 413
    assert bad.reason.startswith("Request Entity Too Large")
    assert dropped(octets(*FIELDS, f"l: {length}", start="SIP/2.0 200 OK"))


def test_a_request_without_its_empty_line_is_refused():
    """RFC 3261 §7: octets are missing, perhaps more of them."""
    for end in (-2, -4, -9):
        assert refused(octets(*FIELDS)[:end]).status == 400
    assert dropped(octets(*FIELDS, start="SIP/2.0 200 OK")[:-2])
    for junk in (b"", b"\0\0\0\0", b"\r\n", b"\r\n\r\n", b"x" * 100):
        assert dropped(junk)


def test_a_message_is_bounded_in_fields_and_octets_and_commas():
    """RFC 3261 §26.1.5: one made to be slow is refused before it is read."""
    some = ["Z: b"] * (MAX_HEADERS - len(FIELDS))
    assert len(parse(octets(*FIELDS, *some)).names) == MAX_HEADERS
    bad = refused(octets(*FIELDS, *some, "Z: b", "Last: c"))
    assert (bad.status, bad.reason) == (400, f"More than {MAX_HEADERS} header fields")
    assert len(bad.request.names) == MAX_HEADERS
    assert dropped(octets(*FIELDS, *some, "Z: b", start="SIP/2.0 200 OK"))
    rest = MAX_HEAD_BYTES - len(octets(*FIELDS, "Z: ")) + 4
    assert parse(octets(*FIELDS, "Z: " + "b" * rest)).value("z") == "b" * rest
    bad = refused(octets(*FIELDS, "Z: " + "b" * (rest + 1)))
    assert (bad.status, bad.request.names[:5]) == (513, parse(octets(*FIELDS)).names)
    assert parse(octets(*FIELDS, "Z: " + "," * MAX_COMMAS)).values("z") == []
    bad = refused(octets(*FIELDS, "Z: " + "," * (MAX_COMMAS + 1)))
    assert (bad.status, bad.reason) == (400, f"More than {MAX_COMMAS} commas in the header fields")


def test_a_field_of_many_lines_is_one_field():
    """RFC 3261 §7.3.1: fields are counted, and not their lines."""
    some = ["Z: b\r\n c\r\n\td"] * (MAX_HEADERS - len(FIELDS))
    message = request(*some)
    assert len(message.names) == MAX_HEADERS
    assert message.values("z") == ["b c d"] * len(some)
    assert refused(octets(*FIELDS, *some, "Z: b")).status == 400
    lines = MAX_HEAD_BYTES // 4 - 100
    assert request("Z: b" + "\r\n c" * lines).value("z") == "b" + " c" * lines
