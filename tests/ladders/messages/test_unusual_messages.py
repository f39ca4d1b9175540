"""Messages as odd as RFC 3261 §25 allows, through whole calls: they arrive as they were sent."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.message.message import MAX_HEADERS, Request, Response, parse
from tests.support.cases import cases
from tests.support.odd_messages import CALLER, FIELDS, answers, octets, passing
from tests.support.strategies import SEARCH
from tests.support.world import REALM, Phone, World, dialog_of_callee, dialog_of_caller

COMPACT = {
    "Via": "v",
    "From": "f",
    "To": "t",
    "Call-ID": "i",
    "Contact": "m",
    "Content-Length": "l",
    "CSeq": "CSEQ",
    "Max-Forwards": "max-forwards",
}


def arrives(data: bytes, world: World | None = None) -> tuple[World, Phone, Phone, bytes]:
    """Send these octets as an external call to Bob; return what Bob gets."""
    world = world or World()
    bob = world.phone("bob")
    caller = world.phone("caller", registered=False, host=CALLER)
    world.deliver(data, caller.address)
    for answer in caller.inbox:
        assert answer.startswith(b"SIP/2.0 100 "), answer
    caller.inbox.clear()
    assert len(bob.inbox) == 1
    got = bob.inbox.popleft()
    assert got.partition(b" ")[0] == data.strip().partition(b" ")[0]
    assert passing(got) == passing(data.lstrip(b"\r\n"))
    return world, caller, bob, got


# Whole messages


@cases("spelling", ["compact", "capitals", "folded", "spaced", "tight"])
@cases("order", ["usual", "reversed", "Via in the middle"])
def test_field_spelling_and_order_do_not_matter_in_a_call(spelling, order):
    """RFC 3261 §7.3.1, §7.3.3: names in any case and length, white space, folds, any order."""
    fields = []
    for field in FIELDS:
        name, _, value = field.partition(": ")
        fields.append(
            {
                "compact": f"{COMPACT[name]}: {value}",
                "capitals": f"{name.upper()}: {value}",
                "folded": f"{name}:\r\n {value.replace(' ', chr(13) + chr(10) + chr(9))}\r\n  ",
                "spaced": f"{name} \t : \t {value} ",
                "tight": f"{name}:{value}",
            }[spelling]
        )
    if order == "reversed":
        fields.reverse()
    elif order != "usual":
        fields = fields[3:6] + fields[:3] + fields[6:]
    world, caller, bob, got = arrives(octets(fields))
    sent, invite = parse(octets(fields)), parse(got)
    assert isinstance(sent, Request)
    assert isinstance(invite, Request)
    ok = bob.answers(invite, 200)
    answer = caller.gets(200)
    assert answer.cseq == (1, "INVITE")
    assert [value.partition(";received")[0] for value in answer.values("via")] == [
        FIELDS[0].removeprefix("Via: ")
    ]
    here, there = dialog_of_caller(sent, answer), dialog_of_callee(invite, ok)
    caller.sends_within("ACK", here, cseq=1)
    bob.gets("ACK")
    bob.sends_within("BYE", there)
    caller.answers(caller.gets("BYE"), 200)
    bob.gets(200)
    world.passes(40, step=0.5)
    assert world.is_quiet


@pytest.mark.parametrize("version", ["sip/2.0", "Sip/2.0", "sIP/2.0"])
def test_the_version_has_no_case_and_goes_out_in_capitals(version):
    """RFC 3261 §7.1: in start lines of requests and responses, and in Via."""
    fields = [FIELDS[0].replace("SIP/2.0", version), *FIELDS[1:]]
    world, caller, bob, got = arrives(octets(fields, f"INVITE sip:bob@{REALM} {version}"))
    assert got.partition(b"\r\n")[0].endswith(b" SIP/2.0")
    invite = parse(got)
    ringing = bob.answers(invite, 180).encode().replace(b"SIP/2.0", version.encode(), 1)
    caller.inbox.clear()
    world.deliver(ringing, bob.address)
    assert caller.inbox.popleft().startswith(b"SIP/2.0 180 ")


@pytest.mark.parametrize("empty_lines", [1, 2, 100])
def test_empty_lines_before_a_request_are_skipped(empty_lines):
    """RFC 3261 §7.5."""
    arrives(b"\r\n" * empty_lines + octets(FIELDS))


def test_bytes_after_the_body_are_cut_off():
    """RFC 3261 §18.3; a body without Content-Length goes on to the end of the datagram."""
    short = [*FIELDS[:-1], "Content-Length: 4"]
    assert arrives(octets(short, body=b"\0\r\n\xffnoise"))[3].endswith(b"\r\n\r\n\0\r\n\xff")
    body = b"a\r\n\r\nb\0\xff"
    assert arrives(octets(FIELDS[:-1], body=body))[3].endswith(b"\r\n\r\n" + body)


def test_two_hundred_fields_pass_each_on_several_lines():
    """RFC 3261 §7.3.1, §16.3 step 1."""
    many = [f"X-{number}: a,\r\n b,\r\n\tc" for number in range(200)]
    _, _, _, got = arrives(octets([*FIELDS, *many]))
    assert got.count(b"\r\nX-") == 200
    assert len(parse(got).names) <= MAX_HEADERS


@pytest.mark.parametrize(
    "field",
    [
        "X-Long: " + "long " * 1600 + "end",
        "X-" + "Long-" * 1600 + "Name: x",
        'Subject: "' + "\\" * 8000 + '"',
        "Call-Info: " + ", ".join(f"<http://a.example/{n}>;purpose=icon" for n in range(200)),
    ],
)
def test_a_field_of_eight_thousand_octets_passes(field):
    """RFC 3261 §18.1.1: messages up to the size of a datagram."""
    arrives(octets([*FIELDS, field]))


# Single fields, each as §25.1 has it
ODD_FIELDS = (
    "Subject:",
    "Subject: \udcff\udcfe no UTF-8 \udc80",
    "Subject: ;;,,\"'<<>>%zz\\",
    "X_odd.name!%*_+`'~-: \t x \t ",
    "Date: not at all, 99 Foo 0 25:61:00 PST",
    "Date:",
    "Expires: tomorrow",
    "Expires: 99999999999999999999",
    "Timestamp: late",
    "MIME-Version: 1.\r\n 0",
    "Supported:",
    "k:,,100rel ,\r\n\ttimer",
    "Allow: INVITE,ack, x-%\r\n ,",
    "Accept: */*;q=0., text/*;level=1 ; q = 1.000",
    "Accept-Language: *, en-gb;q=0.8",
    'Warning: 370 devnull "Choose \\"a\\" bigger, <pipe>"',
    "Organization: Кухня \u2615",
    "User-Agent: a/1 (comment (nested \\) ) ) b",
    "Authorization: NoOneKnowsThisScheme opaque-data=here",
    'Authorization: Digest username="x", realm="elsewhere, \\"a\\"", nonce="", response=""',
    'Contact: "odd, \\"name\\" <x>;" <sip:x@192.0.2.77:5060;a?b=c>;q=.;+x="<;,>"',
    "Record-Route: <sip:p.elsewhere.example;lr>;x=y,<sip:q.elsewhere.example;lr>",
    "Reply-To: urn:service:sos;x",
    "In-Reply-To: a@b, <\"\\/'(){}[]?:>@c",
    "Content-Type: multipart/mixed; boundary=\"a;b,c\"",
    "Content-Disposition: x-odd;handling=OPTIONAL",
    "Retry-After: 18000 (I'm in a meeting);duration=3600",
    "Error-Info: <sip:not-in-service@elsewhere.example>",
    "P-Odd: \x01\x0b\x0c\x1b\x7f\u2028\x85",
)  # fmt: skip


@cases("field", ODD_FIELDS)
def test_unknown_fields_pass_unchanged_through_a_whole_call(field):
    """RFC 3261 §16.3 step 1, §16.6 step 1: for any field, in either direction."""
    fields = [*FIELDS[:6], *FIELDS[7:], field]
    if not field.startswith("Contact"):
        fields.append(FIELDS[6])
    world, caller, bob, got = arrives(octets(fields))
    invite = parse(got)
    odd = () if field.startswith(("Contact", "Record-Route")) else (field,)
    ok = answers(world, bob, invite, 200, *odd)
    answer = caller.inbox.popleft()
    assert passing(answer) == passing(ok)
    routes = parse(answer).values("record-route")[::-1]
    routes = [route for route in routes if "elsewhere" not in route]
    target = f"sip:bob@{bob.address[0]}:5060"
    for method in ("ACK", "INFO", "BYE"):
        within = [f.replace("INVITE", method) for f in FIELDS if not f.startswith(("To", "Via"))]
        within += [f"Via: SIP/2.0/UDP {CALLER};branch=z9hG4bK{method}"]
        within += [f"To: <sip:bob@{REALM}>;tag=b", *odd, *(f"Route: {route}" for route in routes)]
        sent = octets(within, f"{method} {target} SIP/2.0")
        world.deliver(sent, caller.address)
        got = bob.inbox.popleft()
        assert got.startswith(method.encode())
        assert passing(got) == [f for f in passing(sent) if not f.startswith(b"Route")]
        if method != "ACK":
            ok = answers(world, bob, parse(got), 200, *odd)
            assert passing(caller.inbox.popleft()) == passing(ok)


ODD_ADDRESSES = (
    '"" <sip:x@elsewhere.example>;tag=1',
    '"a\\"b\\\\, <sip:c@d>;tag=no"<sip:x@elsewhere.example>;tag=1',
    '"\\\t\\\x01 \u0416 \udcff" <sip:x@elsewhere.example>\t;\ttag\t=\t1',
    "A. Bell-`'~%!*+_ III  <sip:x@elsewhere.example>;tag=1",
    "sip:x@elsewhere.example;tag=1;other",
    "sip:x@elsewhere.example ; TAG = 1",
    "<sips:x:pa$$,w&=+rd@elsewhere.example:50600;a=b;c?d=e&f=>;tag=1",
    "<sip:;?&=+$,/-_.!~*'()%00@elsewhere.example>;tag=1",
    "<tel:+1-201-555-0123;phone-context=x;ext=1>;tag=1",
    "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>;tag=1",
    "<http://a.example/b?c=d,e;f@g>;tag=1",
    '<sip:x@[2001:db8::1]:5070>;tag=-.!%*_+`\'~;x="<;,\\">";y=[::1];z=a.b',
)


@cases("address", ODD_ADDRESSES)
@cases("name", ["From", "To"])
def test_an_odd_address_passes_and_comes_back_as_it_was(name, address):
    """RFC 3261 §20.10, §20.20, §20.39, §8.2.6.2."""
    if name == "To":
        address = re.sub(r"\s*;\s*tag\s*=\s*1\b|;tag=-[^;]*", "", address, flags=re.IGNORECASE)
    elif name == "From":  # a caller with a number counts as a local user
        address = address.replace("tel:", "x-tel:")
    fields = [field for field in FIELDS if not field.startswith(name)]
    line = f"{name}: {address}"
    world, caller, bob, got = arrives(octets([*fields, line]))
    answers(world, bob, parse(got), 486)
    answer = caller.inbox.popleft()
    assert line.encode("utf-8", "surrogateescape") in answer


ODD_VIAS = (
    f"SIP / 2.0 / UDP {CALLER} : 5060 ; branch = z9hG4bK1 ; ttl=16",
    f"SIP/2.0/UDP\t{CALLER}:0005060;branch=z9hG4bK-.!%*_+`'~",
    f'sip/2.0/udp {CALLER};x="a, SIP/2.0/UDP evil;rport=";branch=z9hG4bK1',
    f"SIP/2.0/TCP {CALLER};branch=z9hG4bK1,SIP/2.0/UDP b.example",
    f"SIP/2.0/UDP {CALLER}\r\n\t;branch=z9hG4bK1\r\n ;x=[::1]\r\n , FOO/9/BAR b.example : 1;y",
    f"SIP/2.0/UDP {CALLER};branch=old",
    f"SIP/2.0/UDP {CALLER}",
)


@cases("via", ODD_VIAS)
def test_an_odd_via_brings_every_answer_back(via):
    """RFC 3261 §20.42, §18.2.2: each value in its place and, but for its stamp, as it was."""
    data = octets([f"Via: {via}", "v:\r\n SIP/2.0/UDP c.example", *FIELDS[1:]])
    _, caller, bob, got = arrives(data)
    invite, sent = parse(got), parse(data)
    assert len(invite.values("via")) == len(sent.values("via")) + 1
    for status in (180, 486):
        bob.answers(invite, status)
        assert parse(caller.inbox.popleft()).values("via") == sent.values("via")


# Responses


def test_a_response_in_any_spelling_finds_its_transaction():
    """RFC 3261 §17.1.3, §16.7 step 3: Via values joined, folded, compact, in any order."""
    world, caller, bob, got = arrives(octets([*FIELDS, "Via: SIP/2.0/UDP c.example"]))
    ours, *others = parse(got).values("via")
    ours = ours.replace("SIP/2.0/UDP", "sip / 2.0 / udp").replace(":5060", " : 05060")
    fields = (
        "l : 3",
        "cseq:\r\n 1\r\n\tINVITE",
        "i:odd-1@elsewhere.example",
        f"TO:<sip:bob@{REALM}>\r\n ; tag = b",
        "f: <sip:x@elsewhere.example>;tag=from-tag",
        "v: " + " ,\r\n ".join([ours + ' ; x = "a, b;"', *others]),
        f"m: <sip:bob@{bob.address[0]}>",
    )
    for start in ("sip/2.0 183", "SIP/2.0 200 Всё  хорошо \udcff"):
        world.deliver(octets(fields, start, b"abcnoise"), bob.address)
        answer = caller.inbox.popleft()
        assert answer.endswith(b"\r\n\r\nabc")
        assert parse(answer).values("via") == others
        assert passing(answer) == passing(octets(fields, start))
        phrase = start[len("SIP/2.0 200 ") :].encode("utf-8", "surrogateescape")
        assert answer.partition(b"\r\n")[0].endswith(b" " + phrase)


# All that the grammar allows

TOKENS = st.text("abcXYZ019-.!%*_+`'~", min_size=1, max_size=8)
LWS = st.sampled_from([" ", "\t", "  ", "\r\n ", " \r\n\t"])
SWS = st.one_of(st.just(""), LWS)
QUOTED = st.lists(
    st.sampled_from([*"abc 019;,<>@:/?=&[]{}()'", "\t", "é", "Ж", '\\"', "\\\\", "\\\x01", "\\a"]),
    max_size=8,
).map(lambda pieces: '"' + "".join(pieces) + '"')
WORDS = st.text("abcXYZ019-.!%*_+`'~()<>:\\\"/[]?{}", min_size=1, max_size=12)
HOSTS = st.sampled_from(["a.example", "A-1.b2.Example.", "192.0.2.9", "[2001:db8::9]"])


@st.composite
def parameters(draw: st.DrawFn) -> str:
    """*( SEMI generic-param ), each name once."""
    text = ""
    names = draw(st.lists(TOKENS, max_size=3, unique_by=str.lower))
    for name in names:
        if name.lower() not in ("tag", "branch", "rport", "received", "maddr", "ttl"):
            text += draw(SWS) + ";" + draw(SWS) + name
            if draw(st.booleans()):
                text += draw(SWS) + "=" + draw(SWS) + draw(st.one_of(TOKENS, HOSTS, QUOTED))
    return text


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """name-addr or addr-spec of an external address."""
    user = draw(st.sampled_from(["", "x@", "a;b?c&d=e,f@", "%00%C3%A9:p&w@"]))
    port = draw(st.sampled_from(["", ":1", ":05060", ":65535"]))
    uri = f"{draw(st.sampled_from(['sip', 'SIPS', 'Sip']))}:{user}{draw(HOSTS)}{port}"
    if not set(uri) & set(",?;") and draw(st.booleans()):
        return uri
    uri += draw(st.sampled_from(["", ";lr", ";a=%41;b", ";x=[::1]/:&+$", "?a=b&c="]))
    name = draw(st.one_of(st.just(""), QUOTED, st.lists(TOKENS, max_size=3).map(" ".join)))
    return f"{name}{draw(LWS) if name else draw(SWS)}<{uri}>"


@st.composite
def invites(draw: st.DrawFn) -> bytes:
    """An INVITE to Bob of which everything that may be odd is odd."""
    colon = st.tuples(st.sampled_from(["", " ", "\t"]), SWS).map(":".join)
    via = draw(SWS) + "/" + draw(SWS)
    via = f"SIP{via}2.0{via}UDP{draw(LWS)}{CALLER}"
    via += draw(st.sampled_from(["", ":5060", " :\t05060"]))
    via += draw(st.sampled_from([";branch=z9hG4bK1", "", ";rport"])) + draw(parameters())
    fields = [
        draw(st.sampled_from(["Via", "v", "VIA"])) + draw(colon) + via,
        draw(st.sampled_from(["From", "f"])) + draw(colon) + draw(addresses()) + ";tag=1",
        draw(st.sampled_from(["To", "T"])) + draw(colon) + draw(addresses()) + draw(parameters()),
        draw(st.sampled_from(["Call-ID", "I"])) + draw(colon) + draw(WORDS) + "@" + draw(WORDS),
        "CSeq" + draw(colon) + draw(st.sampled_from(["0", "0001", "2147483647"])) + draw(LWS)
        + "INVITE" + draw(SWS),
        "mAX-fORWARDS" + draw(colon) + draw(st.sampled_from(["1", "070", "255"])),
        draw(TOKENS).lower() + "-x" + draw(colon) + draw(QUOTED),
    ]  # fmt: skip
    return octets(draw(st.permutations(fields)))


@SEARCH
@given(invites())
def test_all_that_the_grammar_allows_passes_and_is_answered(data):
    """RFC 3261 §25.1: legal is legal."""
    world, caller, bob, got = arrives(data)
    sent, invite = parse(data), parse(got)
    answers(world, bob, invite, 603)
    answer = parse(caller.inbox.popleft())
    assert isinstance(answer, Response)
    assert answer.status == 603
    (via,) = answer.values("via")
    assert via.partition(";received")[0].startswith(sent.values("via")[0].partition(";rport")[0])
    for name in ("from", "call-id", "cseq"):
        assert answer.value(name) == sent.value(name)
    assert answer.to.uri_text == sent.to.uri_text
