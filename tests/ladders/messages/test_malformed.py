"""Requests that break a rule, sent to the whole server: each gets its status (RFC 3261 §21)."""

import logging

import pytest

from sip.message.message import MAX_BODY_BYTES, MAX_COMMAS, MAX_HEADERS, MAX_URI_LENGTH, parse
from sip.monitor.metrics import MESSAGES_MALFORMED
from sip.transaction.matching import split_key
from tests.support.cases import cases
from tests.support.world import REALM, SERVER, World, dialog_of_caller

STRANGER = "192.0.2.77"
FIELDS = {
    "Via": f"Via: SIP/2.0/UDP {STRANGER}:5060;branch=z9hG4bKbad",
    "From": "From: <sip:x@elsewhere.example>;tag=from-tag",
    "To": f"To: <sip:bob@{REALM}>",
    "Call-ID": "Call-ID: bad-1@elsewhere.example",
    "CSeq": "CSeq: 1 {method}",
    "Max-Forwards": "Max-Forwards: 70",
    "Content-Length": "Content-Length: 0",
}


def octets(
    method: str = "INVITE",
    *more: str,
    start: str = "",
    without: str = "",
    body: bytes = b"",
    **replaced: str,
) -> bytes:
    """A request to Bob; `replaced` are whole lines, by name with _ for the hyphen."""
    fields = FIELDS | {name.replace("_", "-"): line for name, line in replaced.items()}
    fields.pop(without, None)
    start = start or f"{method} sip:bob@{REALM} SIP/2.0"
    lines = [line.replace("{method}", method) for line in fields.values()]
    return "\r\n".join([start, *lines, *more, "", ""]).encode("utf-8", "surrogateescape") + body


@pytest.fixture
def hears(world: World):
    """Send octets of an external caller; return the response as octets."""
    world.phone("bob")
    stranger = world.phone("stranger", registered=False, host=STRANGER)

    def send(data: bytes) -> list[bytes]:
        stranger.inbox.clear()
        world.deliver(data, stranger.address)
        assert not world.lost
        return [answer for answer in stranger.inbox if b" 100 " not in answer.partition(b"\r")[0]]

    return send


MALFORMED = {
    # §7.1
    "two spaces": (octets(start=f"INVITE  sip:bob@{REALM} SIP/2.0"), 400, "request line"),
    "no URI": (octets(start="INVITE SIP/2.0"), 400, "request line"),
    "no version": (octets(start=f"INVITE sip:bob@{REALM}"), 400, "request line"),
    "no token": (octets(start=f"IN@VITE sip:bob@{REALM} SIP/2.0"), 400, "request line"),
    "space at the end": (octets(start=f"INVITE sip:bob@{REALM} SIP/2.0 "), 400, "request line"),
    "HTTP": (octets(start=f"INVITE sip:bob@{REALM} HTTP/1.1"), 400, "request line"),
    "in brackets": (octets(start=f"INVITE <sip:bob@{REALM}> SIP/2.0"), 400, "URI"),
    "no scheme": (octets(start="INVITE bob SIP/2.0"), 400, "URI"),
    "bad escape": (octets(start=f"INVITE sip:b%zzb@{REALM} SIP/2.0"), 400, "user"),
    "control character": (octets(start=f"INVITE sip:b\tb@{REALM} SIP/2.0"), 400, "user"),
    # §21.5.6, §21.4.12, §21.4.14
    "version 3": (octets(start=f"INVITE sip:bob@{REALM} SIP/3.0"), 505, "SIP/3.0"),
    "version 2.00": (octets(start=f"INVITE sip:bob@{REALM} SIP/2.00"), 505, "SIP/2.00"),
    "long URI": (octets(start=f"INVITE sip:{'b' * MAX_URI_LENGTH} SIP/2.0"), 414, "too long"),
    "unknown scheme": (octets(start="INVITE nobody:knows@this SIP/2.0"), 416, "scheme"),
    # §8.1.1, §20
    "no From": (octets(without="From"), 400, "missing From header field"),
    "no To": (octets(without="To"), 400, "missing To header field"),
    "no Call-ID": (octets(without="Call-ID"), 400, "missing Call-ID header field"),
    "no CSeq": (octets(without="CSeq"), 400, "missing CSeq header field"),
    "empty Call-ID": (octets(Call_ID="Call-ID:"), 400, "missing Call-ID header field"),
    "open bracket": (octets(To="To: <sip:bob@b"), 400, "To: an angle bracket"),
    "open quote": (octets(From='From: "X <sip:x@y>;tag=1'), 400, "From: a quote"),
    "two tags": (octets(From="From: <sip:x@y>;tag=1;tag=2"), 400, "twice"),
    "comma in no brackets": (octets(From="From: sip:x,y@z;tag=1"), 400, "brackets"),
    "name in no quotes": (octets(From="From: Bell, A <sip:x@y>;tag=1"), 400, "quotes"),
    "CSeq too high": (octets(CSeq="CSeq: 2147483648 INVITE"), 400, "CSeq"),
    "CSeq without method": (octets(CSeq="CSeq: 1"), 400, "CSeq"),
    "CSeq of another method": (octets(CSeq="CSeq: 1 BYE"), 400, "CSeq"),
    "Max-Forwards in words": (octets(Max_Forwards="Max-Forwards: many"), 400, "Max-Forwards"),
    "Max-Forwards too high": (octets(Max_Forwards="Max-Forwards: 256"), 400, "Max-Forwards"),
    "two Call-IDs": (octets("INVITE", "i: other"), 400, "more than one Call-ID"),
    "two From": (octets("INVITE", "f: <sip:z@z>"), 400, "more than one From"),
    # §7.3.1
    "no colon": (octets("INVITE", "Nonsense"), 400, "header field"),
    "no name": (octets("INVITE", ": value"), 400, "header field"),
    "space in a name": (octets("INVITE", "Sub ject: x"), 400, "header field"),
    # §7
    "bare LF": (octets("INVITE", "Subject: a\nRoute: <sip:evil;lr>"), 400, "CRLF"),
    "bare CR": (octets("INVITE", "Subject: a\rb"), 400, "CRLF"),
    "LF but for one": (octets().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n", 1), 400, "CRLF"),
    "CRLF but for one": (octets().replace(b"\r\n", b"\n", 1), 400, "CRLF"),
    "CR alone": (octets().replace(b"\r\n", b"\r"), 400, "CRLF"),
    "LF and a CR": (octets("INVITE", "X: a\rb").replace(b"\r\n", b"\n"), 400, "CRLF"),
    "LF, and CRLF behind": (octets().replace(b"\r\n", b"\n")[:-1] + b"\r\n", 400, "CRLF"),
    "no empty line": (octets()[:-2], 400, "empty line"),
    # §18.3, §20.14, §21.4.11
    "body cut short": (octets(Content_Length="l: 5", body=b"1234"), 400, "Content-Length"),
    "Content-Length in words": (octets(Content_Length="l: none"), 400, "Content-Length"),
    "Content-Length below 0": (octets(Content_Length="l: -1"), 400, "Content-Length"),
    "empty Content-Length": (octets(Content_Length="l:"), 400, "Content-Length"),
    "body too large": (octets(Content_Length=f"l: {MAX_BODY_BYTES + 1}"), 413, "too large"),
    # bounds of our own
    "many fields": (octets("INVITE", *["Z: z"] * MAX_HEADERS), 400, "header fields"),
    "many commas": (octets("INVITE", "Z: " + "," * (MAX_COMMAS + 1)), 400, "commas"),
    "open quote in a Via": (octets(Via=FIELDS["Via"] + ',SIP/2.0/UDP b;x="'), 400, "quote"),
    # §16.3
    "no hops left": (octets(Max_Forwards="Max-Forwards: 0"), 483, "hops"),
    "required of proxies": (octets("INVITE", "Proxy-Require: magic"), 420, "extension"),
}


@cases("fault", MALFORMED)
def test_a_malformed_request_gets_a_status_that_names_the_fault(hears, fault):
    """RFC 3261 §16.3 step 1, §21.4.1."""
    data, status, phrase = MALFORMED[fault]
    (answer,) = hears(data)
    start_line, *lines = answer.decode("utf-8", "surrogateescape").split("\r\n")
    assert start_line.startswith(f"SIP/2.0 {status} ")
    assert phrase.lower() in start_line.lower()
    assert lines[0].startswith(FIELDS["Via"])
    assert len(answer) <= len(data) + 250


@cases("fault", MALFORMED)
def test_an_ack_is_never_answered_however_malformed(hears, fault):
    """RFC 3261 §17.1.1.3, §8.2.7."""
    data = MALFORMED[fault][0].replace(b"INVITE", b"ACK").replace(b"IN@VITE", b"ACK")
    assert hears(data) == []


@cases("fault", MALFORMED)
def test_a_response_is_never_answered_however_malformed(hears, fault):
    """RFC 3261 §18.3: it is discarded."""
    start_line = MALFORMED[fault][0].partition(b"\r\n")[0].partition(b"\n")[0]
    assert hears(MALFORMED[fault][0].replace(start_line, b"SIP/2.0 200 OK", 1)) == []


def test_a_response_to_a_malformed_request_copies_its_fields(hears):
    """RFC 3261 §8.2.6.2: all Via values in order, From, To with a tag, Call-ID and CSeq."""
    (answer,) = hears(
        octets(
            "INVITE",
            "v: SIP/2.0/TCP a.example;branch=z9hG4bKa, SIP/2.0/UDP b.example",
            "Nonsense",
            "Via:\r\n SIP/2.0/TLS c.example",
            Via=f'v: SIP/2.0/UDP {STRANGER};branch=z9hG4bK1;x="a,b" , SIP/2.0/WS z.example',
            CSeq="CSEQ :\r\n 7\r\n\tINVITE",
        )
    )
    response = parse(answer)
    assert response.values("via") == [
        f'SIP/2.0/UDP {STRANGER};branch=z9hG4bK1;x="a,b"',
        "SIP/2.0/WS z.example",
        "SIP/2.0/TCP a.example;branch=z9hG4bKa",
        "SIP/2.0/UDP b.example",
        "SIP/2.0/TLS c.example",
    ]
    assert response.cseq == (7, "INVITE")
    assert response.value("from") == "<sip:x@elsewhere.example>;tag=from-tag"
    assert response.to.uri_text == f"sip:bob@{REALM}"
    assert len(response.to.tag) >= 8
    assert response.call_id == "bad-1@elsewhere.example"


@cases(
    "odd",
    [
        {"From": 'From: "a, \\"b\\" <c>" <tel:+1-201;ext=3>;tag=x;odd="<;,>"'},
        {"To": "To: <urn:service:sos>"},
        {"To": "t : Bob . <sips:%62ob@b;x=?y>;unknown"},
    ],
)
@cases(
    ("data", "status"),
    [
        ({"start": f"INVITE sip:bob@{REALM} SIP/4.0"}, 505),
        ({"start": f"INVITE sip:{'b' * MAX_URI_LENGTH} SIP/2.0"}, 414),
        ({"start": "INVITE urn:service:sos SIP/2.0"}, 416),
        ({"Content_Length": "l: 999999"}, 413),
        ({"Max_Forwards": "Max-Forwards: 0"}, 483),
        ({"without": "Call-ID"}, 400),
    ],
)
def test_what_is_odd_in_from_or_to_does_not_hide_the_fault(hears, odd, data, status):
    """RFC 3261 §16.3: the checks go by their order, and an odd address is none of them."""
    (answer,) = hears(octets("INVITE", "Require: foo, bar", **(odd | data)))
    assert answer.startswith(b"SIP/2.0 %d " % status)


def test_of_several_faults_the_version_is_reported_first(hears):
    """RFC 3261 §21.5.6."""
    (answer,) = hears(octets(start="INVITE <> SIP/7.0", To='To: "', Content_Length="l: x"))
    assert answer.startswith(b"SIP/2.0 505 ")


@pytest.mark.parametrize(
    "data",
    [
        octets(without="Via", CSeq="CSeq: x"),
        octets(Via="Via: nonsense", CSeq="CSeq: x"),
        octets(Via=f"Via: SIP/2.0/UDP {STRANGER}:0;branch=z9hG4bK1"),
        octets(Via=f"Via: SIP/2.0/UDP {STRANGER}:65536;branch=z9hG4bK1"),
        octets(start="hello", without="To"),
        b"\xff" * 100,
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_a_message_without_a_way_back_is_dropped_and_counted(world: World, hears, data):
    """RFC 3261 §18.2.2: no answer would find its way back."""
    assert hears(data) == []
    assert world.server.receiver.counts[MESSAGES_MALFORMED] == 1


def test_malformed_messages_do_not_fill_the_log(world: World, hears, caplog):
    """At most a short line a second."""
    caplog.set_level(logging.INFO)
    refused = [data for data, _, phrase in MALFORMED.values() if phrase in ("CRLF", "commas")]
    for data in refused * 20:
        assert len(hears(data)) == 1
    assert len(caplog.records) == 1
    assert len(caplog.records[0].getMessage()) < 200


def test_a_repeated_malformed_request_gets_the_same_answer_again(hears):
    """RFC 3261 §8.2.7, §19.3: without memory, so the tag is made of the request."""
    first, second = hears(octets(Content_Length="l: x")), hears(octets(Content_Length="l: x"))
    assert first == second
    assert first != hears(octets(Content_Length="l: x", Call_ID="i: other"))


def test_the_ack_of_a_refusal_goes_no_further(world: World):
    """RFC 3261 §17.1.1.3: though the dialog's route would lead it to the callee."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 200)
    here = dialog_of_caller(call, alice.gets(200))
    alice.sends_within("ACK", here, cseq=call.cseq[0])
    bob.gets("ACK")
    routes = tuple(f"Route: {route}" for route in here.routes)
    again = alice.request(
        "INVITE", here.target, call_id=here.call_id, from_tag=here.local_tag, headers=routes
    )
    again.lines[-1] = "Content-Length: 10"
    alice.transmits(again)
    refusal = alice.gets(400)
    ack = again.copy()
    ack.method = "ACK"
    ack.set("cseq", f"CSeq: {again.cseq[0]} ACK")
    ack.set("to", f"To: {refusal.value('to')}")
    ack.lines[-1] = "Content-Length: 0"
    alice.transmits(ack)
    assert bob.hears_nothing()
    alice.sends_within("BYE", here)
    bob.gets("BYE")


def test_an_answer_finds_the_port_that_was_asked_for(world: World):
    """RFC 3261 §18.2.2, RFC 3581 §4: `received` and `rport` tell the sender its address."""
    stranger = world.phone("stranger", registered=False, host=STRANGER, port=40_000)
    via = "Via: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bK1"
    world.deliver(octets(Via=via, Content_Length="l: x"), stranger.address)
    answer = stranger.gets(400)
    assert answer.via.params["received"] == STRANGER
    assert answer.via.params["rport"] == "40000"


def test_after_all_that_phones_are_served(world: World, hears):
    """RFC 3261 §16: what one sends wrong is no matter to others."""
    for data, *_ in MALFORMED.values():
        hears(data)
    assert world.phone("alice").registers().status == 200
    methods = {split_key(key)[1] for key in world.server.layer.servers}
    assert methods == {"REGISTER"}  # no refusal is kept


# The reason phrase


@pytest.mark.parametrize(
    "via",
    [
        "SIP/2.0/UDP {at};branch=z9hG4bK1;;rport",
        "SIP/2.0/UDP {at};rport;branch=z9hG4bK1;rport",
        'SIP/2.0/UDP {at};branch=z9hG4bK1;rport;x="open',
    ],
)
def test_a_phrase_names_the_via_that_cannot_be_read(world: World, via: str):
    """RFC 3261 §21.4.1: the phrase says where the fault is."""
    eve = world.phone("eve", registered=False, host="198.51.100.7")
    lines = [
        f"OPTIONS sip:{SERVER[0]} SIP/2.0",
        "Via: " + via.format(at=f"{eve.address[0]}:{eve.address[1]}"),
        "From: <sip:eve@elsewhere.org>;tag=1",
        f"To: <sip:{SERVER[0]}>",
        "Call-ID: 1",
        "CSeq: 1 OPTIONS",
        "",
        "",
    ]
    world.deliver("\r\n".join(lines).encode(), eve.address)

    assert eve.inbox.popleft().startswith(b"SIP/2.0 400 Via: ")
