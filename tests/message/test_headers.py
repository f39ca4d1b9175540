"""Values of header fields."""

import pytest

from sip.message.grammar import BadMessage
from sip.message.headers import (
    MAX_CREDENTIAL_PARAMS,
    format_name_addr,
    parse_credentials,
    parse_cseq,
    parse_name_addr,
    parse_q,
    parse_seconds,
    parse_via,
    response_via,
    scan_credentials,
    scan_name_addr,
    scan_via,
)
from tests.support.cases import cases

# Via


@cases(
    ("value", "transport", "sent_by", "params"),
    [
        ("SIP/2.0/UDP 192.0.2.1", "UDP", "192.0.2.1", {}),
        ("SIP/2.0/UDP Host.Example:5061;Branch=Ab", "UDP", "host.example:5061", {"branch": "Ab"}),
        ("sip/2.0/udp h", "UDP", "h", {}),
        ("SIP/2.0/TLS h;rport", "TLS", "h", {"rport": None}),
        ("SIP/2.0/X-New h", "X-NEW", "h", {}),
        ("SIP / 2.0\t/  UDP   h : 5060 ; a = b", "UDP", "h:5060", {"a": "b"}),
        (" SIP/2.0/UDP h ", "UDP", "h", {}),
        ("SIP/2.0/UDP [2001:DB8::1]:5060;a", "UDP", "[2001:db8::1]:5060", {"a": None}),
        ("SIP/2.0/UDP [2001:db8::1];received=[::2]", "UDP", "[2001:db8::1]", {"received": "[::2]"}),
        ('SIP/2.0/UDP h;a="b;c,\\"d"', "UDP", "h", {"a": 'b;c,"d'}),
        ("SIP/7.0/UDP h", "UDP", "h", {}),  # RFC 4475 §3.1.2.16: so that it can be told 505
        ("SIP/2.0/UDP host_1.invalid.", "UDP", "host_1.invalid.", {}),
        ("SIP/2.0/UDP h:0000005060;branch=x", "UDP", "h:5060", {"branch": "x"}),
        ("SIP/2.0/UDP [2001:db8::0001]:05060", "UDP", "[2001:db8::0001]:5060", {}),
    ],
)
def test_a_via_has_a_transport_a_sender_and_parameters(value, transport, sent_by, params):
    """RFC 3261 §20.42, §25.1 via-parm."""
    for read in (parse_via, scan_via):
        via = read(value)
        assert (via.transport, via.sent_by, via.params) == (transport, sent_by, params)


@cases(
    "value",
    [
        *("", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0 h", "SIP/2.0/UDPh", "HTTP/2.0/UDP h"),
        *("SIP/2.0/U@P h", "SIP/2.0/UDP h;", "SIP/2.0/UDP h;;a", "SIP/2.0/UDP h;a;a"),
        *("SIP/2.0/UDP h x", "SIP/2.0/UDP :5060", "SIP/2.0/UDP h:", "SIP/2.0/UDP h:a"),
        *("SIP/2.0/UDP [::1", "SIP/2.0/UDP [::1]x", "SIP/2.0/UDP [::1]:", "SIP/2.0/UDP []"),
        *("SIP/2.0/UDP a@b", "SIP/2.0/UDP h:123456", "SIP/2.0/UDP a,b", "SIP/2.0/UDP <h>"),
        *("SIP/2.0/UDP é", "SIP/2.0/UDP a\0", "SIP/2.0/UDP " + "a" * 1000, 'SIP/2.0/UDP h;a="'),
    ],
)
def test_a_via_that_cannot_be_read_is_refused(value):
    """RFC 3261 §25.1 via-parm."""
    for read in (parse_via, scan_via):
        with pytest.raises(BadMessage) as caught:
            read(value)
        assert caught.value.status == 400


def test_a_via_tells_its_branch_and_where_it_was_sent_from():
    """RFC 3261 §20.42; RFC 2543 knew no branch."""
    via = parse_via("SIP/2.0/UDP [2001:DB8:0::1]:5061;branch=z9hG4bKx")
    assert via.branch == "z9hG4bKx"
    assert via.host_port == ("2001:db8::1", 5061)
    assert parse_via("SIP/2.0/UDP h").branch == ""
    assert parse_via("SIP/2.0/UDP h;branch").branch == ""
    with pytest.raises(BadMessage):
        _ = parse_via("SIP/2.0/UDP h:99999").host_port


@cases(
    ("value", "sent_by", "params"),
    [
        ("SIP/2.0/UDP h:5070;branch=x", "h:5070", {"branch": "x"}),
        ("SIP/2.0/UDP h:5070;;branch=x", "h:5070", {}),
        ("SIP/2.0/UDP [::1]:5070;a;a;RPORT ;b", "[::1]:5070", {"rport": None}),
        ("SIP/2.0/UDP h;;rportable", "h", {}),
        ('SIP/2.0/UDP h:5070;rport="', "h:5070", {"rport": None}),
        ("SIP/2.0/UDP h,,;rport=", "h", {"rport": None}),
    ],
)
def test_a_broken_via_still_routes_the_response(value, sent_by, params):
    """RFC 3261 §18.2.2, RFC 3581 §4."""
    via = response_via(value)
    assert (via.sent_by, via.params) == (sent_by, params)


@pytest.mark.parametrize("value", ["", "SIP/2.0/UDP", "SIP/2.0/UDP h:x;;", "SIP/2.0/UDP <h>;;"])
def test_without_a_sender_there_is_no_way_back(value):
    """RFC 3261 §18.2.2."""
    with pytest.raises(BadMessage):
        response_via(value)


# Addresses


@cases(
    ("value", "name", "uri", "params"),
    [
        ("<sip:a@b>", "", "sip:a@b", {}),
        ("<sip:a@b;lr>;tag=1", "", "sip:a@b;lr", {"tag": "1"}),
        ("<sip:a@b?x=y> ; tag = 1", "", "sip:a@b?x=y", {"tag": "1"}),
        ("sip:a@b", "", "sip:a@b", {}),
        ("sip:a@b;tag=1", "", "sip:a@b", {"tag": "1"}),  # §20.10: a field's parameter, no URI's
        ("sip:a@b ;tag=1", "", "sip:a@b", {"tag": "1"}),
        ('sip:a@b;x="<,>"', "", "sip:a@b", {"x": "<,>"}),
        ("Bob <sip:a@b>", "Bob", "sip:a@b", {}),
        ("Bob<sip:a@b>", "Bob", "sip:a@b", {}),  # RFC 4475 §3.1.1.6
        ("A. Bell  III <sip:a@b>;tag=x", "A. Bell  III", "sip:a@b", {"tag": "x"}),
        ("Михаил <sip:a@b>", "Михаил", "sip:a@b", {}),
        ('"B, <x>; \\"C\\\\" <sip:a@b>', 'B, <x>; "C\\', "sip:a@b", {}),
        ('"" <sip:a@b>', "", "sip:a@b", {}),
        ('  "B"\t<sip:a@b>  ', "B", "sip:a@b", {}),
        ("*", "", "*", {}),
        ("<name:John_Smith>", "", "name:John_Smith", {}),
        ('<sip:a@b>;+sip.instance="<urn:x>"', "", "sip:a@b", {"+sip.instance": "<urn:x>"}),
    ],
)
def test_an_address_has_a_name_a_uri_and_parameters(value, name, uri, params):
    """RFC 3261 §20.10, §25.1 name-addr and addr-spec."""
    for read in (parse_name_addr, scan_name_addr):
        address = read(value)
        assert (address.display_name, address.uri_text, address.params) == (name, uri, params)


@cases(
    ("value", "text"),
    [
        ("<sip:a@b>", ""),
        ("<sip:a@b;x=y>;tag=1", ";tag=1"),
        ("sip:a@b;Tag=1", ";Tag=1"),
        ("sip:a@b ; x = y ", "; x = y"),
        ("<sip:a@b> ; x = y ", " ; x = y"),
        ('"<c>;d" <sip:a@b>;x="\\">;y"; Z ', ';x="\\">;y"; Z'),
    ],
)
def test_parameters_of_an_address_are_there_as_they_came(value, text):
    """RFC 3261 §20.10; RFC 3840 §6: they are given back."""
    for read in (parse_name_addr, scan_name_addr):
        assert read(value).params_text == text


@cases(
    "value",
    [
        *("", " ", "<>", "<sip:a@b", "<sip:a<@b>", "<sip:a@b>x", "<sip:a@b>;", "<sip:a@b>;;a"),
        *("< sip:a@b >", "<sip:a b>", "<sip:a\tb>", '"B" < sip:a@b >', '"B', '"B"', '"B" sip:a@b'),
        *('"B\\" <sip:a@b>', "Bell, A <sip:a@b>", "a@b <sip:a@b>", 'B "C" <sip:a@b>'),
        *("sip:a@b?x=y", "sip:a,b@c", "sip:a b", "sip:a\tb", "sip:a>b", ";tag=1"),
        *("<sip:a@b>;tag=1;Tag=2",),
    ],
)
def test_an_address_that_cannot_be_read_is_refused(value):
    """RFC 3261 §20.10, RFC 4475 §3.1.2.6, §3.1.2.13-15."""
    for read in (parse_name_addr, scan_name_addr):
        with pytest.raises(BadMessage) as caught:
            read(value)
        assert caught.value.status == 400


def test_the_uri_of_an_address_is_parsed_on_demand():
    """RFC 4475 §3.3.4: an element need not know the scheme of what it only passes on."""
    address = parse_name_addr("<isbn:2983792873>;tag=t")
    assert address.tag == "t"
    assert address.uri.scheme == "isbn"
    with pytest.raises(BadMessage):
        _ = address.sip_uri
    with pytest.raises(BadMessage):
        _ = parse_name_addr("<nonsense>").uri
    assert parse_name_addr("<sip:a@b>").sip_uri.user == "a"
    assert parse_name_addr("<sip:a@b>;tag").tag == ""


def test_an_address_that_was_written_can_be_read():
    """RFC 3261 §25.1 name-addr."""
    assert format_name_addr("", "sip:a@b") == "<sip:a@b>"
    written = format_name_addr('A "B" \\', "sip:a@b")
    assert parse_name_addr(written).display_name == 'A "B" \\'


# CSeq, numbers


@cases(
    ("value", "number", "method"),
    [
        ("1 INVITE", 1, "INVITE"),
        ("0 ACK", 0, "ACK"),
        ("0009 \t INVITE", 9, "INVITE"),
        ("4711\tX-%41", 4711, "X-%41"),
        ("2147483647 BYE", 2**31 - 1, "BYE"),
        ("000000000000002147483647 BYE", 2**31 - 1, "BYE"),
        (" 1  invite ", 1, "invite"),
    ],
)
def test_a_cseq_has_a_number_and_a_method(value, number, method):
    """RFC 3261 §20.16; methods are compared with regard to case (§7.1)."""
    assert parse_cseq(value) == (number, method)


@cases(
    "value",
    [
        *(
            "",
            "1",
            "INVITE",
            "1INVITE",
            "INVITE 1",
            "-1 INVITE",
            "1.0 INVITE",
            "1 INVITE x",
            "1 IN@",
        ),
        *("2147483648 INVITE", "4294967296 INVITE", "36893488147419103232 INVITE"),
        *("9" * 5000 + " INVITE", "٣ INVITE", "1\x0bINVITE", "1\u2003INVITE"),
    ],
)
def test_a_cseq_out_of_bounds_is_refused(value):
    """RFC 3261 §8.1.1.5, RFC 4475 §3.1.2.4."""
    with pytest.raises(BadMessage) as caught:
        parse_cseq(value)
    assert caught.value.status == 400


@cases(
    ("text", "seconds"),
    [
        *(("0", 0), ("3600", 3600), ("0000000000000060", 60), ("4294967295", 2**32 - 1)),
        *(("4294967296", 2**32 - 1), ("1" + "0" * 5000, 2**32 - 1), ("0" * 5000, 0)),
        *((None, 7), ("", 7), ("-1", 7), ("soon", 7), ("1.5", 7), (" 1", 7), ("٣", 7)),
    ],
)
def test_seconds_that_cannot_be_read_are_the_default(text, seconds):
    """RFC 3261 §10.3 step 7, §20.19; RFC 4475 §3.1.2.4."""
    assert parse_seconds(text, 7) == seconds


@cases(
    ("text", "thousandths"),
    [
        *((None, 1000), ("1", 1000), ("1.", 1000), ("1.000", 1000), ("0", 0), ("0.", 0)),
        *(("0.7", 700), ("0.33", 330), ("0.001", 1), ("0.999", 999)),
    ],
)
def test_a_preference_is_read_in_thousandths(text, thousandths):
    """RFC 3261 §25.1 qvalue."""
    assert parse_q(text) == thousandths


@cases("text", ["", "2", "1.001", "0.0001", ".5", "-0", "0,5", "0.5 ", "1e0", "٣"])
def test_a_preference_out_of_bounds_is_refused(text):
    """RFC 3261 §25.1 qvalue."""
    with pytest.raises(BadMessage):
        parse_q(text)


# Credentials and challenges


@cases(
    ("value", "scheme", "params"),
    [
        (
            'Digest username="bob", realm="a, b=c", qop=auth,nc=00000001',
            "digest",
            {"username": "bob", "realm": "a, b=c", "qop": "auth", "nc": "00000001"},
        ),
        ('DIGEST Realm = "a" , X=y', "digest", {"realm": "a", "x": "y"}),
        ('Digest realm="a\\"b\\\\", x=y', "digest", {"realm": 'a"b\\', "x": "y"}),
        ('Digest\trealm="a\tb"', "digest", {"realm": "a\tb"}),
        ('Digest  ,, realm="a", ,x=,', "digest", {"realm": "a", "x": ""}),
        ('Digest realm="",uri="sip:a;b=c"', "digest", {"realm": "", "uri": "sip:a;b=c"}),
        ("Digest uri=sip:a;b=c", "digest", {"uri": "sip:a;b=c"}),
        ("NoOneKnowsThisScheme opaque-data=here", "nooneknowsthisscheme", {"opaque-data": "here"}),
        ("Basic YTpi==", "basic", {"ytpi": "="}),
        ("Negotiate", "negotiate", {}),
    ],
)
def test_credentials_are_a_scheme_and_parameters(value, scheme, params):
    """RFC 3261 §20.7, §20.44, RFC 4475 §3.3.7."""
    for read in (parse_credentials, scan_credentials):
        credentials = read(value)
        assert (credentials.scheme, credentials.params) == (scheme, params)


@cases(
    "value",
    [
        *("", 'Dig"est a=b', "Digest, a=b", 'Digest realm="a', 'Digest realm="a" x=y'),
        *(
            'Digest realm="a""b"',
            'Digest "a"',
            'Digest realm=x"a"',
            'Digest realm="a"x',
            "Digest a",
        ),
        *("Digest =b", 'Digest ="b"', "Digest a b=c", "Digest a=b,A=c", 'Digest realm="a\\"'),
        *(
            'Digest realm="a",realm="a"',
            "Digest a\\=b",
            "Digest a=b\\",
            "Digest a,b=c",
            'Digest é="x"',
        ),
    ],
)
def test_credentials_that_cannot_be_read_are_refused(value):
    """RFC 3261 §25.1 credentials: a parameter that stands there twice might be read two ways."""
    for read in (parse_credentials, scan_credentials):
        with pytest.raises(BadMessage) as caught:
            read(value)
        assert caught.value.status == 400


@pytest.mark.parametrize("tail", ["", ', z="\\\\"'])
def test_credentials_have_a_bounded_number_of_parameters(tail):
    """A stranger's request may hold 60 kB of them, and they are parsed before authentication."""
    few = ", ".join(f"a{number}=b" for number in range(MAX_CREDENTIAL_PARAMS - 1))
    assert len(parse_credentials(f"Digest {few}{tail}").params) >= MAX_CREDENTIAL_PARAMS - 1
    with pytest.raises(BadMessage):
        parse_credentials(f"Digest {few}, b=c, d=e{tail}")
    with pytest.raises(BadMessage):
        parse_credentials("Digest " + "," * (MAX_CREDENTIAL_PARAMS + 1) + tail)
