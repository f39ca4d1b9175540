"""Local domains, and route processing (RFC 3261 §16.4-16.6)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.core import domains as domains_module
from sip.core.domains import Domains, LocalUser, address_of_record, username_of
from sip.core.proxy.loops import breadth_left, has_looped, hops_left
from sip.core.proxy.route_processing import (
    MAX_OWN_ROUTES,
    _read_route,
    pop_own_routes,
    postprocess_route,
    strip_own_maddr,
)
from sip.core.proxy.route_ticket import own_route
from sip.core.target import Target, by_preference
from sip.message.grammar import BadMessage
from sip.message.headers import parse_name_addr
from sip.message.message import Request, parse
from sip.message.uri import parse_uri

OWN = {"192.0.2.1", "2001:db8::1", "localhost"}
REALMS = frozenset({"Example.com", "other.org", "Not a host"})
DOMAINS = Domains(
    "Example.com", ["pbx.example.com", "ALIAS.net."], lambda: REALMS, OWN.__contains__, (5060, 5080)
)


def request(uri: str = "sip:bob@192.0.2.99", *fields: str) -> Request:
    message = parse(
        "\r\n".join(
            [
                f"INVITE {uri} SIP/2.0",
                "Via: SIP/2.0/UDP h;branch=z9hG4bKx",
                "From: <sip:a@h>;tag=a",
                "To: <sip:b@h>",
                "Call-ID: c",
                "CSeq: 1 INVITE",
                *fields,
                "",
                "",
            ]
        ).encode()
    )
    assert isinstance(message, Request)
    return message


# Local domains


@pytest.mark.parametrize(
    ("uri", "realm"),
    [
        ("sip:example.com", "Example.com"),
        ("sip:bob@EXAMPLE.COM:5060", "Example.com"),
        ("sips:bob@example.com:5080", "Example.com"),
        ("sip:bob@example.com.", "Example.com"),
        ("sip:bob@pbx.example.com", "Example.com"),
        ("sip:bob@alias.net.:5060", "Example.com"),
        ("sip:bob@other.org", "other.org"),
        ("sip:bob@OTHER.org.", "other.org"),
        ("sip:bob@192.0.2.1", "Example.com"),
        ("sip:bob@localhost:5080", "Example.com"),
        ("sip:bob@[2001:DB8:0::0:1]", "Example.com"),
        ("sip:bob@[2001:db8::1]:5060;transport=tcp", "Example.com"),
        ("tel:+1-555-1234", "Example.com"),
        ("sip:bob@example.com:5061", None),
        ("sip:bob@192.0.2.1:6000", None),
        ("sip:bob@[2001:db8::1]:6000", None),
        ("sip:bob@192.0.2.2", None),
        ("sip:bob@[2001:db8::2]", None),
        ("sip:bob@sub.example.com", None),
        ("sip:bob@xexample.com", None),
        ("sip:bob@example.com.evil.org", None),
        ("sip:example.com@evil.org", None),
        ("sip:bob%40example.com@evil.org", None),
        ("sip:bob:example.com@evil.org", None),
        ("sip:evil.org;maddr=example.com", None),
        ("mailto:bob@example.com", None),
        ("im:bob@example.com", None),
    ],
)
def test_a_uri_belongs_to_the_realm_of_its_domain(uri: str, realm: str | None):
    """§16.4, §16.5: names in any case, addresses in any form, and only our ports."""
    assert DOMAINS.realm_of(parse_uri(uri)) == realm
    assert DOMAINS.is_local(parse_uri(uri)) == (realm is not None)


@pytest.mark.parametrize(
    ("uri", "realm"),
    [
        ("sip:bob@example.com:1", "Example.com"),
        ("sip:bob@other.org.:65535", "other.org"),
        ("sip:bob@192.0.2.1", "Example.com"),
        ("sip:bob@192.0.2.1:6000", None),  # a softphone beside us, under its address
        ("sip:bob@evil.org", None),
        ("tel:+1555", "Example.com"),
    ],
)
def test_a_sender_borrows_a_name_of_ours_by_no_port(uri: str, realm: str | None):
    """Else From would show a local user without a challenge."""
    assert DOMAINS.claimed_realm(parse_uri(uri)) == realm


def test_a_realm_that_comes_or_goes_is_noticed():
    realms = [frozenset({"main.org"})]
    domains = Domains("main.org", [], lambda: realms[0], lambda host: False, (5060,))
    uri = parse_uri("sip:bob@new.org")
    assert domains.realm_of(uri) is None
    realms[0] |= {"new.org"}
    assert domains.realm_of(uri) == "new.org"
    assert domains.has_realm("new.org")
    realms[0] -= {"new.org"}
    assert domains.realm_of(uri) is None
    assert not domains.has_realm("new.org")
    assert domains.has_realm("main.org")


def test_a_name_or_address_that_comes_or_goes_is_noticed():
    """Also for a URI that was asked for before: its meaning is cached."""
    own = set()
    domains = Domains("main.org", ["old.org"], lambda: REALMS, own.__contains__, (5060,))
    named, at_address = parse_uri("sip:bob@old.org"), parse_uri("sip:bob@192.0.2.1")
    for _ in range(2):
        assert domains.user_at(named) == LocalUser("bob", "main.org", "bob@main.org")
        assert domains.user_at(at_address) is None
    domains.set_names(["new.org"])
    own.add("192.0.2.1")
    assert domains.user_at(named) is None
    assert domains.user_at(parse_uri("sip:bob@new.org")) is not None
    assert domains.user_at(at_address) == LocalUser("bob", "main.org", "bob@main.org")
    number = parse_uri("sip:1;phone-context=192.0.2.1@main.org")  # a local number (RFC 3966 §5.1.5)
    assert domains.user_at(number) == LocalUser("1", "main.org", "1@main.org")
    own.clear()
    assert domains.user_at(at_address) is None
    assert domains.user_at(number) != LocalUser("1", "main.org", "1@main.org")


@pytest.mark.parametrize(
    ("uri", "user"),
    [
        ("sip:bob@other.org", ("bob", "other.org", "bob@other.org")),
        ("sip:b%6fb@other.org:5060;x=y", ("bob", "other.org", "bob@other.org")),
        ("sip:b%40b@other.org", ("b@b", "other.org", "b%40b@other.org")),
        ("sip:other.org", ("", "other.org", "@other.org")),
        ("tel:+1555", ("+1555", "Example.com", "+1555@Example.com")),
        ("sip:+1555;phone-context=other.org@other.org", ("+1555", "other.org", "+1555@other.org")),
        ("sip:bob@other.org:5061", None),
        ("mailto:bob@other.org", None),
    ],
)
def test_a_uri_names_a_user(uri: str, user: tuple[str, str, str] | None):
    for _ in range(2):
        assert DOMAINS.user_at(parse_uri(uri)) == user


def test_cached_uris_are_bounded(monkeypatch):
    monkeypatch.setattr(domains_module, "MAX_CACHED_URIS", 10)
    domains = Domains("main.org", [], lambda: REALMS, lambda host: False, (5060,))
    long = "x" * 300
    uris = [f"sip:{n}@main.org" for n in range(100)]
    for uri in (*uris, f"sip:{long}@main.org", "sip:ticket@main.org;lr"):
        assert domains.is_local(parse_uri(uri))
        assert len(domains._meanings) <= 10
        assert domains._meanings.keys() <= set(uris)
    domains.clear_cache()
    assert not domains._meanings


def test_a_name_of_the_main_domain_wins_over_a_realm():
    domains = Domains("main.org", ["x.org"], lambda: frozenset({"x.org"}), lambda _: False, (5060,))
    assert domains.realm_of(parse_uri("sip:x.org")) == "main.org"


@pytest.mark.parametrize(
    ("uri", "is_past"),
    [
        ("sip:bob@example.com", False),
        ("sip:bob@example.com;x=y", False),
        ("sip:bob@example.com;maddr=192.0.2.1", False),
        ("sip:bob@example.com;maddr=PBX.example.com.", False),
        ("sip:bob@example.com;maddr=[2001:db8::1]", False),
        ("sip:bob@example.com;maddr=203.0.113.9", True),
        ("tel:+1;maddr=203.0.113.9", False),
    ],
)
def test_a_maddr_elsewhere_is_another_place(uri: str, is_past: bool):
    """§16.5: such a Request-URI is its own target."""
    assert DOMAINS.has_foreign_maddr(parse_uri(uri)) == is_past


@pytest.mark.parametrize(
    ("uri", "username"),
    [
        ("sip:b%6Fb:secret@h", "bob"),
        ("sip:h", ""),
        ("sip:a%40b@h", "a@b"),
        ("tel:+1-(555).1234;phone-context=x", "+15551234"),
        ("mailto:bob@h", ""),
    ],
)
def test_the_user_that_a_uri_names(uri: str, username: str):
    """§10.3, step 5."""
    assert username_of(parse_uri(uri)) == username
    assert address_of_record("bob", "example.com") == "bob@example.com"


# Routes before us


@pytest.mark.parametrize(
    ("fields", "taken", "left"),
    [
        ((), 0, []),
        (("Route: <sip:192.0.2.1;lr>",), 1, []),
        (
            ("Route: <sip:192.0.2.1;lr>, <sip:[2001:db8::1];lr>,<sip:edge;lr>",),
            2,
            ["<sip:edge;lr>"],
        ),
        (("Route: <sip:example.com;lr>", "Route: <sip:edge;lr>"), 1, ["<sip:edge;lr>"]),
        (("Route: <sip:edge;lr>, <sip:192.0.2.1;lr>",), 0, None),
        (("Route: <sip:192.0.2.1:6000;lr>",), 0, None),
        (("Route: ",), 0, []),
        (("Route: ,", "Route:\t,,"), 0, []),
    ],
)
def test_leading_routes_of_ours_are_taken_off_and_no_others(fields, taken: int, left):
    """§16.4; in one line or in several."""
    message = request("sip:bob@192.0.2.99", *fields)
    before = message.encode()
    assert len(pop_own_routes(message, DOMAINS)) == taken
    if left is None:
        assert message.encode() == before
    else:
        assert message.values("route") == left
        assert ("route" in message.names) == bool(left)


@pytest.mark.parametrize(
    "foreign",
    [
        '"Edge, \\"one\\"" <sip:edge;lr>;X="a, <sip:evil;lr>;b";y',
        '<sip:edge;lr>;Case=Kept;q="\\""',
        "sip:edge;lr",
    ],
)
def test_a_route_of_others_travels_on_as_it_came(foreign: str):
    """Wrongly quoted, its parameters would become a Route that a peer has chosen."""
    message = request("sip:b@h", f"Route: <sip:192.0.2.1;lr>, {foreign}")
    pop_own_routes(message, DOMAINS)
    assert message.values("route") == [foreign]


def test_a_strict_router_before_us_is_set_right():
    """§16.4: our Record-Route as Request-URI, the real one behind the Routes."""
    message = request("sip:192.0.2.1;lr;t=x;f=y", "Route: <sip:edge;lr>, <sip:bob@phone>;x")
    (own,) = pop_own_routes(message, DOMAINS)
    assert (own.signature, own.signed) == ("x", "f=y")
    assert message.uri_text == "sip:bob@phone"
    assert message.values("route") == ["<sip:edge;lr>"]


@pytest.mark.parametrize(
    ("uri", "fields"),
    [
        ("sip:bob@example.com;lr", ("Route: <sip:192.0.2.1;lr>",)),
        ("sip:192.0.2.1;lr;t=x", ()),
        ("sip:192.0.2.1;lr;t=x", ("Route: ",)),
        ("sip:192.0.2.9;lr;t=x", ("Route: <sip:192.0.2.1;lr>",)),
    ],
)
def test_a_request_uri_without_a_ticket_is_left_alone(uri: str, fields):
    """`lr` in the address of a user is odd, and no more than that."""
    message = request(uri, *fields)
    pop_own_routes(message, DOMAINS)
    assert message.uri_text == uri


@pytest.mark.parametrize("route", ["<tel:+1555>", "nothing", "<sip:192.0.2.1;lr", '"<sip:x>'])
def test_a_first_route_that_leads_nowhere_is_a_bad_message(route: str):
    with pytest.raises(BadMessage):
        pop_own_routes(request("sip:b@h", f"Route: {route}"), DOMAINS)


def test_own_routes_are_bounded_and_foreign_ones_are_not_read():
    """A request made of nothing but Routes must not hold the hub."""
    own, foreign = "<sip:192.0.2.1;lr>", "<sip:a;lr>"
    message = request("sip:b@h", "Route: " + ",".join([own] * MAX_OWN_ROUTES + [foreign] * 1900))
    assert len(pop_own_routes(message, DOMAINS)) == MAX_OWN_ROUTES
    assert message.values("route") == [foreign] * 1900
    with pytest.raises(BadMessage):
        pop_own_routes(request("sip:b@h", "Route: " + ",".join([own] * 21)), DOMAINS)


# Routes after us


def test_without_a_route_the_request_uri_is_the_way():
    """§16.6, step 6."""
    message = request("sip:bob@phone")
    assert postprocess_route(message) == parse_uri("sip:bob@phone")


def test_a_loose_router_after_us_finds_everything_in_its_place():
    """§16.6, step 6."""
    message = request("sip:bob@phone", "Route: <sip:edge;lr>, <sip:next>")
    before = message.encode()
    assert str(postprocess_route(message)) == "sip:edge;lr"
    assert message.encode() == before


def test_a_strict_router_gets_its_own_uri_as_request_uri():
    """§16.6, step 6."""
    message = request("sip:bob@phone;x=1", "Route: <sip:edge;a>;b, <sip:next;lr>;c")
    assert str(postprocess_route(message)) == "sip:edge;a"
    assert message.uri_text == "sip:edge;a"
    assert message.values("route") == ["<sip:next;lr>;c", "<sip:bob@phone;x=1>"]


# Hops and branches


@pytest.mark.parametrize(
    ("fields", "is_loop"),
    [
        ((), False),
        (("Via: SIP/2.0/UDP us;branch=z9hG4bK1.a3",), True),
        (("Via: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP us;branch=z9hG4bK2.a3",), True),
        (("Via: SIP/2.0/UDP us;branch=z9hG4bK2.a3", "Via: SIP/2.0/UDP b;branch=z9hG4bK3"), True),
        (("Via: SIP/2.0/UDP us;branch=z9hG4bK2.a4", "Via: SIP/2.0/UDP b;branch=z9hG4bK3"), False),
        (("Subject: .a3",), False),
        (("Via: SIP/2.0/UDP b;branch=z9hG4bK3", "Subject: .a3"), False),
    ],
)
def test_a_loop_shows_in_any_via_and_nowhere_else(fields: tuple[str, ...], is_loop: bool):
    """RFC 5393 §4.2.1; in a line of its own or not."""
    assert has_looped(request("sip:b@h", *fields), ".a3") == is_loop


def test_a_loop_shows_in_a_joined_via():
    """§7.3.1: two values may stand in one line."""
    message = request()
    message.set("via", "Via: SIP/2.0/UDP h;branch=z9hG4bKx,SIP/2.0/UDP us;branch=z9hG4bK2.a3")
    assert has_looped(message, ".a3")


@pytest.mark.parametrize(
    ("text", "hops"),
    [("0", 0), ("1", 1), ("70", 70), ("255", 255), ("0068", 68), ("000000000255", 255)],
)
def test_hops_are_counted(text: str, hops: int):
    """§16.3, step 3; §20.22."""
    assert hops_left(request("sip:b@h", f"Max-Forwards: {text}")) == hops


def test_a_request_without_max_forwards_goes_on_with_seventy():
    """§16.6, step 3."""
    assert hops_left(request()) - 1 == 70


@pytest.mark.parametrize(
    "text", ["", "256", "-1", "+1", "1.0", "0x10", "\u0661", "70 70", "9" * 5000]
)
def test_hops_that_are_no_number_up_to_255_are_a_bad_message(text: str):
    """§20.22."""
    with pytest.raises(BadMessage):
        hops_left(request("sip:b@h", f"Max-Forwards: {text}"))


def test_targets_are_tried_by_q_and_equals_at_once():
    """§16.6: the higher first; in the order in which they were bound."""
    a, b, c, d = (Target(name, q=q) for name, q in zip("abcd", (500, 1000, 0, 500), strict=True))
    assert by_preference([a, b, c, d]) == [[b], [a, d], [c]]
    assert by_preference([]) == []


@pytest.mark.parametrize(
    ("fields", "breadth"),
    [
        ((), 60),
        (("Max-Breadth: 7",), 7),
        (("Max-Breadth: 1",), 1),
        (("Max-Breadth: 0",), 0),
        (("Max-Breadth: 99999999999",), 60),
    ],
)
def test_the_breadth_that_a_request_came_with_is_bounded(fields, breadth):
    """RFC 5393 §5.3: however often a request forks, its branches at one time stay few."""
    assert breadth_left(request("sip:b@h", *fields)) == breadth


def test_a_breadth_that_is_no_number_is_a_bad_message():
    with pytest.raises(BadMessage):
        breadth_left(request("sip:b@h", "Max-Breadth: wide"))


@pytest.mark.parametrize(
    ("uri", "stripped"),
    [
        ("sip:bob@phone;maddr=pbx.example.com;transport=udp;x=y", "sip:bob@phone;x=y"),
        ("sip:phone:5060;Maddr=192.0.2.1", "sip:phone"),
        ("sip:bob@phone;maddr=203.0.113.9;transport=udp", None),
        ("sip:bob@phone:7000;maddr=192.0.2.1", None),
        ("sip:bob@phone;transport=udp", None),
    ],
)
def test_a_maddr_that_names_us_is_taken_off(uri: str, stripped: str | None):
    """§16.4: with the port and transport that led here."""
    message = request(uri)
    strip_own_maddr(message, DOMAINS)
    assert message.uri_text == (stripped or uri)


# Our own Record-Routes are read quickly: it must make no difference


HEADS = ["<sip:192.0.2.1", "<sip:192.0.2.1:5060", "<sip:[2001:db8::1]:5080", "<sip:localhost"]
HEADS += ["<sips:192.0.2.1", "<sip:a@192.0.2.1", "<sip:192.0.2.1;lr", "<sip:192.0.2.1?a=b", "sip:h"]
MIDDLES = ["", ";transport=tcp", ";transport=TCP", ";x", ";transport=udp;y=1", ";%74=1"]
TICKETS = ["0123456789abcdef01234567", "", "AB", "12%33", "1;t=2", "0 1"]
WAYS = [";h=192.0.2.1/192.0.2.2", ";f=UDP/192.0.2.1:5060/[2001:db8::7]:1", ";b=x", "", ";h", ";h="]
WAYS += [";h=1;f=2", ";H=1", ";lr=1", ";h=a%62", ";x=1", ";h=1;maddr=203.0.113.9"]
ENDS = [">", "", ">;x=1", ">>", "> "]


@given(*map(st.sampled_from, (HEADS, MIDDLES, TICKETS, WAYS, ENDS)))
@settings(max_examples=150)
def test_a_route_of_our_own_is_read_like_any_other(head, middle, ticket, way, end):
    """§16.4: by its usual form quickly, with the same outcome."""
    value = f"{head}{middle};lr;t={ticket}{way}{end}"
    try:
        expected = parse_name_addr(value).sip_uri
    except BadMessage:
        with pytest.raises(BadMessage):
            _read_route(value)
    else:
        uri, issued = _read_route(value)
        if issued is None:
            assert uri == expected
        else:
            assert issued == own_route(expected)
            assert (uri.user, uri.host, uri.port) == (None, expected.host, expected.port)
