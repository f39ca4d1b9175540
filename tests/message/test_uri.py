"""URIs: what their parts are, and which of them are equal."""

import itertools

import pytest

from sip.message.grammar import BadMessage
from sip.message.uri import (
    SipUri,
    TelUri,
    Uri,
    format_host_port,
    normal_escapes,
    parse_host_port,
    parse_uri,
)
from tests.support.cases import cases


def sip(text: str) -> SipUri:
    uri = parse_uri(text)
    assert isinstance(uri, SipUri)
    return uri


def test_all_parts_of_a_sip_uri_are_parsed():
    """RFC 3261 §19.1.1."""
    uri = sip("SIPS:Al%69ce:sec:ret@Example.COM:5061;Transport=TCP;lr?Subject=a%20b&x=")
    assert (uri.scheme, uri.user, uri.password) == ("sips", "Al%69ce", "sec:ret")
    assert (uri.host, uri.port, uri.username) == ("example.com", 5061, "Alice")
    assert uri.params == (("transport", "TCP"), ("lr", None))
    assert uri.headers == (("Subject", "a%20b"), ("x", ""))
    assert str(uri) == uri.text


@cases(
    ("text", "user", "host", "port"),
    [
        ("sip:example.com", None, "example.com", None),
        ("sip:a@example.com.", "a", "example.com.", None),
        ("sip:192.0.2.1:5060", None, "192.0.2.1", 5060),
        ("sip:[2001:DB8::0:1]", None, "2001:db8::1", None),
        ("sip:a@[::1]:5070;lr", "a", "::1", 5070),
        ("sip:[::ffff:192.0.2.1]", None, "::ffff:c000:201", None),
        ("sip:[2001:db8:::192.0.2.1]", None, "2001:db8::c000:201", None),  # RFC 5118 §4.10
        ("sip:a;b=c%40d?e/f@h", "a;b=c%40d?e/f", "h", None),
        ("sip:+1-201@h;user=phone", "+1-201", "h", None),
        ("sip:a@host_name", "a", "host_name", None),
        ("sip:h:065", None, "h", 65),
    ],
)
def test_a_host_may_be_a_name_or_an_address(text, user, host, port):
    """RFC 3261 §19.1.1, §25.1; RFC 5118 §4."""
    uri = sip(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)


@cases(
    "text",
    [
        *("", ":", "sip", "sip:", "sip:@h", "sip::pw@h", "sip:a@", "sip:a@b@c", "1sip:h"),
        *("sip:h:", "sip:h:0", "sip:h:65536", "sip:h:123456", "sip:h:a", "sip:h:-1", "sip:h:٣"),
        *("sip:[::1", "sip:[::1]x", "sip:[::g]", "sip:[fe80::1%eth0]", "sip:[]", "sip:2001:db8::1"),
        *("sip:[1::2::3]", "sip:[1:::2]", "sip:[1::::192.0.2.1]", "sip:-h", "sip:h-", "sip:.h"),
        *(
            "sip:a b@h",
            "sip:h h",
            "sip:h;a b",
            "sip:h\0",
            "sip:<h>",
            'sip:"h"',
            "sip:é@é h",
            "<sip:h>",
        ),
        *("sip:%4@h", "sip:a%@h", "sip:h;%4", "sip:h;a=%zz", "sip:h?a=%", "sip:h%41"),
        *(
            "sip:h;",
            "sip:h;;a",
            "sip:h;=a",
            "sip:h;a;A",
            "sip:h;a;%61",
            "sip:h?",
            "sip:h?a",
            "sip:h?=a",
        ),
        *("sip:h?a=b&", "urn:", "urn:a b", "urn:a\0", "http:<a>"),
        *(
            "tel:",
            "tel:+",
            "tel:--",
            "tel:+1a",
            "tel:1g",
            "tel:+1;",
            "tel:1 2",
            "tel:1;a=b c",
            "tel:1@h",
        ),
    ],
)
def test_what_is_no_uri_is_refused(text):
    """RFC 3261 §25.1, RFC 3966 §3."""
    with pytest.raises(BadMessage) as caught:
        parse_uri(text)
    assert caught.value.status == 400


def test_a_uri_of_another_scheme_is_kept_as_text():
    """RFC 3261 §19.1: a scheme may be unknown."""
    uri = parse_uri("Urn:service:sos@x")
    assert type(uri) is Uri
    assert (uri.scheme, uri.text) == ("urn", "Urn:service:sos@x")
    assert uri.equals(parse_uri("Urn:service:sos@x"))
    assert not uri.equals(parse_uri("urn:service:other"))
    assert not uri.equals(parse_uri("sip:service"))
    assert not parse_uri("sip:service").equals(uri)


def test_a_parameter_is_found_by_its_name_and_given_unescaped():
    """RFC 3261 §19.1.1, RFC 4475 §3.1.1.3."""
    uri = sip("sip:h;LR;%6daddr=1;name=v%61lue%25%34%31;empty=")
    assert [uri.param(name) for name in ("lr", "maddr", "name", "empty", "no")] == [
        "",
        "1",
        "value%41",
        "",
        None,
    ]


def test_a_long_uri_is_read_like_a_short_one():
    """Short ones are remembered; RFC 3261 names no longest."""
    assert sip("sip:h;x=" + "a" * 5000).param("x") == "a" * 5000
    assert parse_uri("sip:h") is parse_uri("sip:h")


# Comparison


EQUAL = [
    # The examples of RFC 3261 §19.1.4
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
    ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
    (
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ),
    (
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ),
    # More of the same rules
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=off"),
    ("sip:a%40b@h", "sip:a%40b@h"),
    ("sip:a%c3%a9@h", "sip:a%C3%A9@h"),
    ("sip:a:p%77@h", "sip:a:pw@h"),
    ("sip:[2001:DB8::1]", "sip:[2001:db8:0:0::1]"),
    ("sip:h;%6C%72;x=%61", "sip:h;lr;x=a"),
    ("sip:h?Subject=x", "sip:h?subject=x"),
    ("sip:h?s=x&T=y", "sip:h?to=y&%53ubject=x"),
    ("sip:h?to=a&to=b", "sip:h?to=b&to=a"),
    ("sip:*31%23@h", "sip:*31#@h"),
    ("sip:a@h;x=%7Cb", "sip:a@h;X=|B"),
    ("sip:a@h;lr", "sip:a@h"),
    ("sip:a@h;maddr=X;ttl=1", "sip:a@H;TTL=1;maddr=x"),
]
UNEQUAL = [
    # The examples of RFC 3261 §19.1.4
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
    # More of the same rules
    ("sip:a@h", "sips:a@h"),
    ("sip:a@h", "sip:h"),
    ("sip:a@h", "sip:a:pw@h"),
    ("sip:a:PW@h", "sip:a:pw@h"),
    ("sip:a@h", "sip:a@h;user=phone"),
    ("sip:a@h", "sip:a@h;ttl=1"),
    ("sip:a@h", "sip:a@h;method=INVITE"),
    ("sip:a@h", "sip:a@h;maddr=h"),
    ("sip:a@h;maddr=x", "sip:a@h;maddr=y"),
    ("sip:a@h;x", "sip:a@h;x=1"),
    ("sip:h?a=1&b=2", "sip:h?a=1"),
    ("sip:h?a=1&a=1", "sip:h?a=1"),
    ("sip:a@h;transport=tcp", "sip:a@h"),
    ("sip:a%2Cb@h", "sip:a,b@h"),
    ("sip:a%c3@h", "sip:a\u00c3@h"),
    ("sip:h;x=%00", "sip:h;x=%01"),
    ("sip:a%40b@h", "sip:a%2540b@h"),
    ("sip:h", "sip:h."),
    ("sip:h?subject=x", "sip:h?subject=y"),
    ("sip:%00@h", "sip:%00%00@h"),
    ("sip:a%3bb@h", "sip:a;b@h"),  # a reserved character is not its escape
    ("sip:a%2541@h", "sip:a%41@h"),
]


@cases(("one", "other"), EQUAL)
def test_uris_that_mean_the_same_are_equal(one, other):
    """RFC 3261 §19.1.4."""
    assert parse_uri(one).equals(parse_uri(other))
    assert parse_uri(other).equals(parse_uri(one))


@cases(("one", "other"), UNEQUAL)
def test_uris_that_may_mean_something_else_are_not_equal(one, other):
    """RFC 3261 §19.1.4."""
    assert not parse_uri(one).equals(parse_uri(other))
    assert not parse_uri(other).equals(parse_uri(one))


def test_escapes_have_one_form():
    """RFC 3261 §19.1.4: reserved characters keep theirs, in upper case; nothing is undone twice."""
    assert normal_escapes("%61%2f%2F%25%34%31%7e") == "a%2F%2F%2541~"
    assert normal_escapes("100%") == "100%"
    assert normal_escapes("%zz%4") == "%zz%4"


# Telephone numbers


def test_a_telephone_number_has_lost_its_separators():
    """RFC 3966 §3."""
    uri = parse_uri("tel:+1-(201)-555.0123;Ext=5;isub=x")
    assert isinstance(uri, TelUri)
    assert uri.number == "+12015550123"
    assert uri.params == (("ext", "5"), ("isub", "x"))
    local = parse_uri("TEL:*21#aF;phone-context=a.example")
    assert isinstance(local, TelUri)
    assert local.number == "*21#aF"


@pytest.mark.parametrize(
    "group",
    [
        ("tel:+1-201-555-0123", "tel:+12015550123", "TEL:+1(201)555.0123"),
        ("tel:7042;phone-context=a.example", "tel:70-42;phone-context=A.EXAMPLE"),
        ("tel:863;phone-context=+1-914-555", "tel:863;phone-context=+1914555"),
        ("tel:+1;ext=1-2;isub=a", "tel:+1;isub=A;ext=12"),
        ("tel:1aF;phone-context=x", "tel:1Af;phone-context=x"),
    ],
)
def test_equal_numbers_are_equal_however_they_are_written(group):
    """RFC 3966 §4, §5.1.1."""
    for one, other in itertools.permutations(group, 2):
        assert parse_uri(one).equals(parse_uri(other))


@cases(
    ("one", "other"),
    [
        ("tel:+12015550123", "tel:12015550123"),
        ("tel:7042;phone-context=a.example", "tel:7042;phone-context=b.example"),
        ("tel:7042;phone-context=a.example", "tel:7042"),
        ("tel:+1", "tel:+1;ext=5"),
        ("tel:+1;ext=5", "tel:+1;ext=6"),
        ("tel:+1;isub=1-2", "tel:+1;isub=12"),
        ("tel:+1", "sip:+1@h;user=phone"),
    ],
)
def test_numbers_that_differ_in_anything_else_are_not_equal(one, other):
    """RFC 3966 §4: no parameter is ignored."""
    assert not parse_uri(one).equals(parse_uri(other))
    assert not parse_uri(other).equals(parse_uri(one))


# HostsFile


def test_a_host_and_port_are_taken_apart_and_put_together():
    """RFC 3261 §25.1 hostport."""
    for text, pair in (
        ("Example.com", ("example.com", None)),
        ("192.0.2.1:5060", ("192.0.2.1", 5060)),
        ("[2001:db8::1]", ("2001:db8::1", None)),
        ("[2001:db8::1]:5060", ("2001:db8::1", 5060)),
    ):
        assert parse_host_port(text) == pair
        assert format_host_port(*pair) == text.lower()


def test_a_host_is_as_long_as_the_dns_has_names():
    """RFC 1035 §2.3.4: 253 characters, and the dot of the root."""
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert parse_host_port(f"{longest}.") == (f"{longest}.", None)
    for text in (f"{longest}bb", f"{longest}b."):
        with pytest.raises(BadMessage):
            parse_host_port(text)
