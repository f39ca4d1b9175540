"""Line ends of LF alone, and padding behind a head, through whole calls (RFC 3261 §7, §18.3)."""

import pytest

from sip.message.message import Message, Response, parse
from tests.support.odd_messages import CALLER, FIELDS, answers, octets, passing
from tests.support.world import REALM, SDP, Phone, World, dialog_of_caller

PADDINGS = (b"\r\n", b"\r\n\r\n", b"\0", b"  \t", b"\n", b"\r\n\0\0 ")


def with_lf(data: bytes) -> bytes:
    """The same message with LF alone at the line ends of its head."""
    head, blank_line, body = data.partition(b"\r\n\r\n")
    return (head + blank_line).replace(b"\r\n", b"\n") + body


def without_length(message: Message) -> bytes:
    """The same message without Content-Length."""
    message.remove("content-length")
    return message.encode()


@pytest.fixture
def bob(world: World) -> Phone:
    return world.phone("bob")


@pytest.fixture
def caller(world: World) -> Phone:
    """An external caller, not registered, that may call bob."""
    return world.phone("caller", registered=False, host=CALLER)


# LF alone


@pytest.mark.parametrize("body", [SDP, SDP.replace(b"\r\n", b"\n"), b"a\r\n\r\nb\n\nc\0"])
def test_a_call_of_lf_alone_goes_on_with_crlf(world: World, bob: Phone, caller: Phone, body: bytes):
    """RFC 3261 §7: requests and responses; the body that Content-Length counts stays as it is."""
    fields = [*FIELDS[:-1], "X-Folded: a\r\n b", "c: application/sdp", f"l: {len(body)}"]
    sent = octets(fields, body=body)
    world.deliver(with_lf(sent), caller.address)
    got = bob.inbox.popleft()
    assert passing(got) == passing(sent)
    assert got.partition(b"\r\n\r\n")[2] == body
    invite = parse(got)
    told = octets(
        [
            *(f"Via: {value}" for value in invite.values("via")),
            *(f"{title}: {invite.value(title.lower())}" for title in ("From", "Call-ID", "CSeq")),
            *(f"Record-Route: {value}" for value in invite.values("record-route")),
            f"To: {invite.value('to')};tag=b",
            f"Contact: {bob.contact}",
            "X-Folded: a\r\n b",
            f"l: {len(body)}",
        ],
        "SIP/2.0 200 OK",
        body,
    )
    world.deliver(with_lf(told), bob.address)
    answer = next(data for data in caller.inbox if b" 100 " not in data[:12])
    caller.inbox.clear()
    assert passing(answer) == passing(told)
    assert answer.partition(b"\r\n\r\n")[2] == body
    ok = parse(answer)
    assert isinstance(ok, Response)
    here = dialog_of_caller(parse(sent), ok)
    for method in ("ACK", "BYE"):
        routes = [f"Route: {route}" for route in here.routes]
        within = [field.replace("INVITE", method) for field in FIELDS if "bob@" not in field]
        within[0] = f"Via: SIP/2.0/UDP {CALLER};branch=z9hG4bK{method}"
        within += [f"To: <{here.remote}>;tag={here.remote_tag}", *routes]
        request = octets(within, f"{method} {here.target} SIP/2.0")
        world.deliver(with_lf(request), caller.address)
        got = bob.inbox.popleft()
        assert got.startswith(f"{method} ".encode())
        assert got.count(b"\n") == got.count(b"\r\n")


def test_a_phone_of_lf_alone_registers_and_is_called(world: World, caller: Phone):
    """RFC 3261 §7, §10.3."""
    carol = world.phone("carol", registered=False)
    request = carol.request(
        "REGISTER", f"sip:{REALM}", to=f"<{carol.aor}>", headers=(f"Contact: {carol.contact}",)
    )
    world.deliver(with_lf(request.encode()), carol.address)
    again = carol.with_credentials(request, carol.gets(401))
    world.deliver(with_lf(without_length(again)) + b"\n", carol.address)
    assert carol.gets(200).values("contact")
    world.deliver(octets(FIELDS), caller.address)
    assert carol.hears_nothing()
    world.deliver(octets(FIELDS).replace(b"bob@", b"carol@"), caller.address)
    carol.gets("INVITE")


def test_what_a_body_of_lf_alone_holds_is_no_second_message(world: World, bob: Phone, caller):
    """RFC 3261 §18.3: whichever empty line comes first, it ends the head, and once."""
    hidden = b"x\r\n\r\nINVITE sip:carol@example.com SIP/2.0\r\nRoute: <sip:evil;lr>\r\n\r\n"
    world.deliver(with_lf(octets([*FIELDS[:-1], f"l: {len(hidden)}"], body=hidden)), caller.address)
    (got,) = bob.inbox
    assert got.partition(b"\r\n\r\n")[2] == hidden
    assert "route" not in parse(got).names
    bob.inbox.clear()
    for odd in (with_lf(octets(FIELDS))[:-1] + b"\r\n", octets(FIELDS).replace(b"\r\n", b"\n", 3)):
        world.deliver(odd + b"\n\nRoute: <sip:evil;lr>\n\n", caller.address)
        assert caller.gets(400)
    assert bob.hears_nothing()


# Padding


@pytest.mark.parametrize("padding", PADDINGS)
def test_padding_to_the_server_is_no_body(world: World, caller: Phone, padding: bytes):
    """RFC 3261 §8.2.3, §18.3, §20.15: OPTIONS and REGISTER without Content-Length; no 415."""
    options = caller.request("OPTIONS", f"sip:{REALM}", from_uri="sip:x@elsewhere.org")
    world.deliver(without_length(options) + padding, caller.address)
    caller.gets(200, options)
    typed = caller.request(
        "OPTIONS", f"sip:{REALM}", from_uri="sip:x@elsewhere.org", headers=("c: text/plain",)
    )
    world.deliver(without_length(typed) + padding, caller.address)
    caller.gets(200, typed)
    typed.append("content-length", f"l: {len(padding)}")
    world.deliver(typed.encode() + padding, caller.address)
    caller.gets(415, typed)
    carol = world.phone("carol", registered=False)
    request = carol.request(
        "REGISTER", f"sip:{REALM}", to=f"<{carol.aor}>", headers=(f"Contact: {carol.contact}",)
    )
    world.deliver(without_length(request) + padding, carol.address)
    again = carol.with_credentials(request, carol.gets(401))
    world.deliver(without_length(again) + padding, carol.address)
    assert carol.gets(200).values("contact")


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("padding", PADDINGS)
def test_padding_is_not_passed_on(world: World, caller: Phone, padding: bytes, transport: str):
    """RFC 3261 §18.3, §20.14: neither with a request nor with its response."""
    phone = world.phone("bob", transport=transport)
    request = caller.request("MESSAGE", phone.aor, from_uri="sip:x@elsewhere.org")
    world.deliver(without_length(request) + padding, caller.address)
    got = phone.inbox.popleft()
    assert got.endswith(b"\r\n\r\n")
    assert got.count(b"\r\n\r\n") == 1
    assert parse(got).value("content-length") == {"UDP": None, "TCP": "0"}[transport]
    answers(world, phone, parse(got), 202)
    assert caller.gets(202).body == b""


@pytest.mark.parametrize("padding", PADDINGS)
def test_padding_of_a_response_is_not_passed_on(world: World, bob: Phone, padding: bytes):
    """RFC 3261 §18.3: to a caller on a connection with a Content-Length of 0."""
    for alice in (world.phone("alice"), world.phone("alice", transport="TCP")):
        alice.sends("MESSAGE", bob.aor)
        told = bob.answers(bob.gets("MESSAGE"), 100)
        told.status = 200
        world.deliver(without_length(told) + padding, bob.address)
        answer = alice.inbox.pop()
        assert answer.startswith(b"SIP/2.0 200 ")
        assert answer.partition(b"\r\n\r\n")[2] == b""
        alice.inbox.clear()


def test_blanks_that_have_a_type_go_on_as_they_came(world: World, bob: Phone, caller: Phone):
    """RFC 3261 §16.6 step 1, §18.3: such a body may be meant."""
    request = caller.request(
        "MESSAGE", bob.aor, from_uri="sip:x@elsewhere.org", headers=("Content-Type: text/plain",)
    )
    world.deliver(without_length(request) + b" \r\n\0", caller.address)
    assert bob.gets("MESSAGE").body == b" \r\n\0"
