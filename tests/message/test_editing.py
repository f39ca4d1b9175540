"""A message is passed on by editing its lines."""

import pytest

from sip.message.message import Request, parse
from tests.support.cases import cases

HEAD = (
    "BYE sip:b@b.example SIP/2.0\r\n{vias}\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=2\r\n"
    "Call-ID: x\r\nCSeq: 1 BYE\r\nMax-Forwards: 70\r\nSubject: x\r\n\r\n"
)
PLAIN = "Via: SIP/2.0/UDP a"


def message(*vias: str) -> Request:
    request = parse(HEAD.format(vias="\r\n".join(vias or (PLAIN,))).encode())
    assert isinstance(request, Request)
    return request


def test_a_field_is_put_above_its_like_or_above_all():
    """RFC 3261 §16.6, steps 4 and 8."""
    request = message()
    request.put_first("subject", "Subject: y")
    request.put_first("record-route", "Record-Route: <sip:p;lr>")
    request.put_first("via", "Via: SIP/2.0/UDP p")
    assert request.names[:3] == ("record-route", "via", "via")
    assert request.values("subject") == ["y", "x"]
    assert request.via.sent_by == "p"
    assert parse(request.encode()).lines == request.lines


def test_a_field_is_replaced_where_it_stands_or_added_at_the_end():
    """RFC 3261 §16.6, step 3."""
    request = message()
    request.set("max-forwards", "Max-Forwards: 69")
    request.set("expires", "Expires: 5")
    assert request.lines[5] == "Max-Forwards: 69"
    assert (request.names[-1], request.lines[-1]) == ("expires", "Expires: 5")


def test_fields_are_removed_with_all_their_lines():
    """RFC 3261 §22.3."""
    request = message(PLAIN, "v: SIP/2.0/UDP b, SIP/2.0/UDP c")
    request.remove("via")
    request.remove("no-such-field")
    assert "via" not in request.names
    assert len(request.names) == len(request.lines) == 6


def test_a_list_is_replaced_where_its_first_line_stood():
    """RFC 3261 §16.4, §16.6 step 6."""
    request = message(
        PLAIN, "Route: <sip:a;lr>, <sip:b;lr>", "Via: SIP/2.0/UDP c", "Route: <sip:d;lr>"
    )
    request.set_values("route", "Route", ["<sip:x;lr>", "<sip:y;lr>"])
    assert request.names[:4] == ("via", "route", "route", "via")
    assert request.values("route") == ["<sip:x;lr>", "<sip:y;lr>"]
    request.set_values("route", "Route", [])
    assert "route" not in request.names
    request.set_values("route", "Route", ["<sip:z;lr>"])
    assert request.names[0] == "route"


@pytest.mark.parametrize("edit", ["set", "set_values", "remove_and_put"])
def test_what_was_read_before_an_edit_is_read_anew(edit):
    """A value is remembered until its field changes."""
    request = message()
    _ = request.via, request.cseq, request.from_, request.to
    for name, value in (
        ("via", "SIP/2.0/UDP z"),
        ("cseq", "9 ACK"),
        ("from", "<sip:z>;tag=8"),
        ("to", "<sip:z>;tag=9"),
    ):
        if edit == "set":
            request.set(name, f"{name}: {value}")
        elif edit == "set_values":
            request.set_values(name, name, [value])
        else:
            request.remove(name)
            request.put_first(name, f"{name}: {value}")
    assert request.via.sent_by == "z"
    assert request.cseq == (9, "ACK")
    assert (request.from_.tag, request.to.tag) == ("8", "9")


def test_a_copy_is_edited_alone():
    """RFC 3261 §16.6, step 1: each branch has its own."""
    request = message()
    _ = request.via
    copy = request.copy()
    copy.put_first("via", "Via: SIP/2.0/UDP p")
    copy.set("subject", "Subject: y")
    copy.uri_text = "sip:c"
    assert request.via.sent_by == "a"
    assert request.value("subject") == "x"
    assert request.encode() == message().encode()


# The topmost Via


@cases(
    ("vias", "left"),
    [
        (["Via: SIP/2.0/UDP p", "Via: SIP/2.0/UDP a"], ["Via: SIP/2.0/UDP a"]),
        (["v: SIP/2.0/UDP p, SIP/2.0/UDP a;x=1"], ["Via: SIP/2.0/UDP a;x=1"]),
        (
            ["Via: SIP/2.0/UDP p,\r\n SIP/2.0/UDP a ,SIP/2.0/UDP b"],
            ["Via: SIP/2.0/UDP a ,SIP/2.0/UDP b"],
        ),
        (['Via: SIP/2.0/UDP p;x="a,b"', "Via: SIP/2.0/UDP a"], ["Via: SIP/2.0/UDP a"]),
        (['Via: SIP/2.0/UDP p;x="a,b" , SIP/2.0/UDP a'], ["Via: SIP/2.0/UDP a"]),
        (["Via: SIP/2.0/UDP p,", "Via: SIP/2.0/UDP a"], ["Via: SIP/2.0/UDP a"]),
        (["Via: SIP/2.0/UDP p, , SIP/2.0/UDP a"], ["Via: SIP/2.0/UDP a"]),
        (["Via: SIP/2.0/UDP p"], []),
    ],
)
def test_our_via_is_taken_off_alone(vias, left):
    """RFC 3261 §16.7, step 3."""
    response = message(*vias)
    assert response.via.sent_by == "p"
    response.remove_top_via()
    assert [
        line for name, line in zip(response.names, response.lines, strict=True) if name == "via"
    ] == left
    assert response.lines[-1] == "Subject: x"
    if left:
        assert response.via.sent_by == "a"


@cases(
    ("via", "stamped"),
    [
        ("Via: SIP/2.0/UDP a;rport", "Via: SIP/2.0/UDP a;received=R;rport=5"),
        ("Via: SIP/2.0/UDP a;rport;branch=b", "Via: SIP/2.0/UDP a;branch=b;received=R;rport=5"),
        ("Via: SIP/2.0/UDP a;branch=b;rport", "Via: SIP/2.0/UDP a;branch=b;received=R;rport=5"),
        ("v:SIP/2.0/UDP a ; RPORT ;b=c  ", "v:SIP/2.0/UDP a ;b=c;received=R;rport=5"),
        ("Via: SIP/2.0/UDP a;rport=", "Via: SIP/2.0/UDP a;received=R;rport=5"),
        ("Via: SIP/2.0/UDP a;rport = 7;b", "Via: SIP/2.0/UDP a;b;received=R;rport=5"),
        ("Via: SIP/2.0/UDP a;received=x;rport", "Via: SIP/2.0/UDP a;received=R;rport=5"),
        (
            'Via: SIP/2.0/UDP a;x=";rport;";rport;b',
            'Via: SIP/2.0/UDP a;x=";rport;";b;received=R;rport=5',
        ),
        ("Via: SIP/2.0/UDP a;rportable;rport", "Via: SIP/2.0/UDP a;rportable;received=R;rport=5"),
        ('Via: SIP/2.0/UDP a;x=";rport";rport', 'Via: SIP/2.0/UDP a;x=";rport";received=R;rport=5'),
        ('Via: SIP/2.0/UDP a;rport;x=",;"', 'Via: SIP/2.0/UDP a;x=",;";received=R;rport=5'),
        ("Via: SIP/2.0/UDP a\r\n ;rport\r\n ", "Via: SIP/2.0/UDP a;received=R;rport=5"),
        (
            "Via: SIP/2.0/UDP a;rport,SIP/2.0/UDP c;rport",
            "Via: SIP/2.0/UDP a;received=R;rport=5,SIP/2.0/UDP c;rport",
        ),
        (
            "Via:\r\n SIP/2.0/UDP a;rport ,\r\n SIP/2.0/UDP c",
            "Via: SIP/2.0/UDP a;received=R;rport=5, SIP/2.0/UDP c",
        ),
    ],
)
def test_the_port_that_was_asked_for_is_filled_in(via, stamped):
    """RFC 3581 §4: our values replace those of the sender."""
    request = message(via, "Via: SIP/2.0/UDP d;rport")
    request.stamp_top_via(";received=R;rport=5", fills_rport=True)
    assert request.lines[0] == stamped
    assert request.lines[1] == "Via: SIP/2.0/UDP d;rport"
    assert parse(request.encode()).via.params["rport"] == "5"


@pytest.mark.parametrize(
    ("via", "stamped"),
    [
        ("Via: SIP/2.0/UDP a", "Via: SIP/2.0/UDP a;received=R"),
        ("Via: SIP/2.0/UDP a ;b=c\t", "Via: SIP/2.0/UDP a ;b=c;received=R"),
        ("Via: SIP/2.0/UDP a;Received=192.0.2.9;b", "Via: SIP/2.0/UDP a;b;received=R"),
        ("Via: SIP/2.0/UDP a\r\n ", "Via: SIP/2.0/UDP a;received=R"),
        ("Via: SIP/2.0/UDP a,SIP/2.0/UDP c", "Via: SIP/2.0/UDP a;received=R,SIP/2.0/UDP c"),
    ],
)
def test_the_source_is_noted_where_the_via_does_not_say_it(via, stamped):
    """RFC 3261 §18.2.1."""
    request = message(via)
    request.stamp_top_via(";received=R", fills_rport=False)
    assert request.lines[0] == stamped
    assert parse(request.encode()).via.params["received"] == "R"
