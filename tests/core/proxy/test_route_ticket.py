"""The ticket in our Record-Route: what opens a dialog, and what doesn't."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.proxy.route_ticket import DialogSide, Tickets, own_route, route_as_issued
from sip.message.headers import parse_name_addr
from sip.message.message import Request, parse
from sip.message.uri import SipUri
from sip.transport.flow import Flow

SECRET = b"sixteen octets, and some more"
FLOW = Flow("UDP", ("192.0.2.1", 5060), ("198.51.100.7", 40_000))
FLOW_6 = Flow("UDP", ("2001:db8::1", 5060), ("2001:db8::7", 1024))
TICKETS = Tickets(SECRET)
ALONG = DialogSide(FLOW, FLOW.remote)
ALONG_6 = DialogSide(FLOW_6, FLOW_6.remote, user="0011224455661")
BOUND = DialogSide(FLOW, FLOW.remote, is_bound=True, user="001122")
CALLER = DialogSide(None, ("192.0.2.9", 5060), "sip;phone.example.com;;;", user="8899aaccddee2")
CALLEE = DialogSide(None, ("2001:db8::9", 5070), "sip;2001:db8::a;5070;tcp;", user="0011224455663")
FREE = DialogSide(None, ("192.0.2.9", 5062))


def request(call_id: str = "call", from_tag: str = "a", to_tag: str = "b") -> Request:
    """A request inside a dialog."""
    tags = [f";tag={tag}" if tag else "" for tag in (from_tag, to_tag)]
    message = parse(
        (
            "BYE sip:x@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n"
            f"From: <sip:a@h>{tags[0]}\r\nTo: <sip:b@h>{tags[1]}\r\n"
            f"Call-ID: {call_id}\r\nCSeq: 2 BYE\r\n\r\n"
        ).encode()
    )
    assert isinstance(message, Request)
    return message


def issued(
    side: DialogSide = FREE,
    call_id: str = "call",
    tag: str = "a",
    kind: str = "UDP",
    *,
    is_callee: bool = True,
) -> SipUri:
    """The URI of a Record-Route for one side, as a phone shows it again."""
    value = TICKETS.issue("192.0.2.1:5060", kind, call_id, tag, side, is_callee=is_callee)
    return parse_name_addr(value).sip_uri


def destination_side(
    request: Request, routes: list[SipUri], tickets: Tickets = TICKETS
) -> DialogSide | None:
    """The side that the tickets in these Routes lead to, as it was before it was asked for."""
    side = tickets.destination_side(request, [own_route(uri) for uri in routes])
    return side and replace(side, is_callee=False)


def sender_side(request: Request, routes: list[SipUri]) -> DialogSide | None:
    """The side of the sender, by the tickets in these Routes."""
    return TICKETS.sender_side(request, [own_route(uri) for uri in routes])


def changed(uri: SipUri, **params: str) -> SipUri:
    """The URI with some of its parameters written anew."""
    kept = [f"{k}={v}" if v else k for k, v in uri.params if k not in params]
    text = ";".join(["sip:192.0.2.1:5060", *kept, *(f"{k}={v}" for k, v in params.items())])
    return parse_name_addr(f"<{text}>").sip_uri


@pytest.mark.parametrize("side", [FREE, CALLER, CALLEE, ALONG, ALONG_6, BOUND])
def test_a_ticket_opens_its_dialog_to_either_side(side: DialogSide):
    """The initiator's tag stands in From or in To, as the direction is."""
    for tags, is_callee in ((("a", "b"), True), (("b", "a"), False)):
        uri = issued(side, is_callee=is_callee)
        assert destination_side(request("call", *tags), [uri]) == side
        assert destination_side(request("call", *reversed(tags)), [uri]) is None


def test_a_ticket_for_both_sides_tells_them_apart():
    """The ticket is signed over the tag of the caller."""
    value = TICKETS.issue("192.0.2.1:5060", "UDP", "call", "a", CALLER, CALLEE)
    routes = [parse_name_addr(value).sip_uri]
    for tags, ahead, back in ((("a", "b"), CALLEE, CALLER), (("b", "a"), CALLER, CALLEE)):
        assert destination_side(request("call", *tags), routes) == ahead
        assert sender_side(request("call", *tags), routes) == back


MARKED = [replace(side, media="aW0123456789abcdef") for side in (FREE, CALLER, ALONG, BOUND)]


@pytest.mark.parametrize("side", MARKED)
def test_the_mark_of_the_media_is_signed_too(side: DialogSide):
    """It says which side the request goes to, and is read in the usual form and in any other."""
    value = TICKETS.issue("192.0.2.1:5060", "UDP", "call", "a", side, is_callee=True)
    usual = route_as_issued(value, value.partition(";lr;t=")[2])
    assert usual is not None
    for route in (usual, own_route(parse_name_addr(value).sip_uri)):
        found = TICKETS.destination_side(request(), [route])
        assert found == replace(side, is_callee=True)
    uri = issued(side)
    assert destination_side(request(), [changed(uri, m="aW0123456789abcdee")]) is None
    assert destination_side(request(), [changed(issued(FREE), m="aW0123456789abcdef")]) is None


def test_a_ticket_for_both_sides_has_one_mark():
    sides = [replace(side, media="rw01234567") for side in (CALLER, CALLEE)]
    value = TICKETS.issue("192.0.2.1:5060", "UDP", "call", "a", *sides)
    routes = [own_route(parse_name_addr(value).sip_uri)]
    for tags, ahead in ((("a", "b"), sides[1]), (("b", "a"), sides[0])):
        found = TICKETS.destination_side(request("call", *tags), routes)
        assert found == replace(ahead, is_callee=ahead is sides[1])


def test_of_two_tickets_the_first_is_the_senders():
    """§16.4: the last one stands for the side that the request goes to."""
    routes = [issued(FREE, is_callee=False), issued(ALONG)]
    assert destination_side(request(), routes) == ALONG
    assert sender_side(request(), routes) == FREE
    assert sender_side(request(), [issued(ALONG), *routes]) == FREE
    assert sender_side(request(), [changed(routes[0], t="00"), routes[1]]) is None
    assert sender_side(request(), routes[1:]) is None
    assert sender_side(request(), []) is None


def test_an_answer_is_good_for_its_place_and_callee_alone():
    """§16.7, step 8: it is signed over both tags and the place that the callee has named."""
    place = "sip;192.0.2.7;5070;udp;"
    signature = TICKETS.sign_answer("call", "a", "b", place)
    assert TICKETS.is_answer(request("call", "a", "b"), signature, place)
    for other in (
        request("other"),
        request(from_tag="c"),
        request(to_tag="c"),
        request("call", "b", "a"),
    ):
        assert not TICKETS.is_answer(other, signature, place)
    assert not TICKETS.is_answer(request("call", "a", "b"), signature, place.replace("7;", "8;"))
    assert not TICKETS.is_answer(request("call", "a", "b"), "", place)
    assert not TICKETS.is_answer(request("call", "a", "b"), "\xe9", place)


def test_only_the_caller_shows_where_the_callee_answered():
    """The callee has the value without it, and what it adds by itself says nothing."""
    uri = changed(issued(ALONG), a="0011")
    assert destination_side(request("call", "a", "b"), [uri]) == replace(ALONG, answer="0011")
    caller = changed(issued(ALONG, is_callee=False), a="0011")
    assert destination_side(request("call", "b", "a"), [caller]) == ALONG


def test_a_ticket_outlives_the_server():
    assert destination_side(request(), [issued(ALONG)], Tickets(SECRET)) == ALONG
    assert destination_side(request(), [issued(ALONG)], Tickets(b"another secret of ours")) is None


@pytest.mark.parametrize(
    "other",
    [
        request("other"),
        request("CALL"),
        request(from_tag="c", to_tag="b"),
        request(from_tag="A", to_tag="b"),
        request(from_tag="a", to_tag=""),
        request(from_tag="", to_tag="b"),
    ],
)
def test_a_ticket_opens_only_its_own_confirmed_dialog(other: Request):
    """§12.2.1.1: a request inside a dialog has both tags."""
    assert destination_side(other, [issued()]) is None


def test_our_last_route_stands_for_the_side_that_is_asked():
    """The way back is named by the other one."""
    routes = [issued(ALONG), issued(ALONG_6)]
    assert destination_side(request(), routes) == ALONG_6
    assert destination_side(request(), routes[::-1]) == ALONG
    assert destination_side(request(), [issued(), changed(issued(ALONG), t="AAAA")]) is None
    assert destination_side(request(), []) is None


def test_where_it_leads_cannot_be_put_in_changed_or_taken_out():
    """The ticket is signed over it: else a phone behind NAT could be made to send to any host."""
    elsewhere = {"f": "UDP/192.0.2.1:5060/203.0.113.9:5060", "h": "203.0.113.9:5060", "u": "99"}
    for side in (ALONG, BOUND, FREE, CALLER):
        for name, value in elsewhere.items():
            more = changed(issued(side), **{name: value})
            assert destination_side(request(), [more]) in (None, side)
            bare = changed(parse_name_addr("<sip:192.0.2.1:5060;lr>").sip_uri, **{name: value})
            moved = changed(bare, t=issued(side).param("t"))
            assert destination_side(request(), [moved]) is None
    stripped = changed(parse_name_addr("<sip:h;lr>").sip_uri, t=issued(ALONG).param("t"))
    assert destination_side(request(), [stripped]) is None


def test_a_flow_bound_to_a_registration_keeps_that_mark():
    """Else a sender with the ticket could remove that condition."""
    flow_text = str(FLOW)
    for side, other in ((BOUND, "f"), (ALONG, "b")):
        bare = parse_name_addr("<sip:192.0.2.1:5060;lr>").sip_uri
        forged = changed(bare, t=issued(side).param("t"), **{other: flow_text})
        assert destination_side(request(), [forged]) is None


def test_a_phone_may_escape_what_it_shows_again():
    """§19.1.4: an escaped octet is the octet."""
    flow_text = str(FLOW).replace("/", "%2F").replace(":", "%3a")
    assert destination_side(request(), [changed(issued(ALONG), f=flow_text)]) == ALONG
    assert destination_side(request(), [changed(issued(BOUND), u="%30011%322")]) == BOUND


def test_what_is_signed_cannot_be_cut_in_another_place():
    """Call-ID, tag and way: a character moved from one to the next is another dialog."""
    uri = issued(tag="a\0UDP/192.0.2.1:5060/203.0.113.9:5060")
    forged = changed(uri, f="UDP/192.0.2.1:5060/203.0.113.9:5060%00")
    assert destination_side(request(), [forged]) is None
    key = TICKETS._sign
    assert key("a\0b", "c", "") != key("a", "b\0c", "")
    assert key("a", "b\0c", "") != key("a", "b", "c\0")


@given(st.text(max_size=20), st.text(max_size=30))
def test_garbage_opens_nothing_and_harms_nothing(ticket: str, flow: str):
    uri = SipUri(
        "", "sip", None, None, "h", None, (("t", f"{ticket}\udcff"), ("f", flow), ("lr", None)), ()
    )
    assert destination_side(request(), [uri]) is None


@pytest.mark.parametrize("flow_text", ["UDP", "UDP/x", "a/b/c", "UDP/h:1/h", "UDP/h:1/h:99999"])
def test_a_signed_but_unreadable_flow_opens_nothing(flow_text: str):
    """A later version may write others."""
    ticket = TICKETS._sign("call", "a", f"callee\nf={flow_text}")
    assert destination_side(request(), [changed(issued(), h="", t=ticket, f=flow_text)]) is None


def test_no_octet_of_a_ticket_can_be_changed():
    """96 bits, and all of them count."""
    ticket = issued().param("t")
    octets = bytes.fromhex(ticket)
    assert len(octets) == 12
    for at in range(len(octets)):
        other = bytearray(octets)
        other[at] ^= 1
        text = bytes(other).hex()
        assert destination_side(request(), [changed(issued(), t=text)]) is None


@pytest.mark.parametrize(("kind", "param"), [("UDP", None), ("TCP", "tcp"), ("WSS", "ws")])
def test_a_record_route_says_lr_and_how_we_are_reached(kind: str, param: str | None):
    """§16.6, step 4; plain characters alone, for phones that parse loosely."""
    uri = issued(ALONG_6, kind=kind)
    assert uri.param("lr") == ""
    assert uri.param("transport") == param
    assert uri.user is None
    assert not set(uri.text) & set('<>" ,?%')
