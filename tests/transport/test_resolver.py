"""The next hop of a URI (RFC 3263); names are looked up in a resolver of the test's own."""

import socket

import pytest

from sip.message.uri import parse_uri
from sip.transport import resolver
from sip.transport.resolver import NoRoute, Resolver, is_address


def hop(text: str):
    return Resolver().hops(parse_uri(text))[0].address


@pytest.mark.parametrize(
    ("uri", "endpoint"),
    [
        ("sip:bob@192.0.2.8", ("192.0.2.8", 5060)),
        ("sip:bob@192.0.2.8:5070", ("192.0.2.8", 5070)),
        ("sip:bob@[2001:DB8::0:8]:5070;transport=UDP", ("2001:db8::8", 5070)),
        ("sip:bob@example.com;maddr=192.0.2.9", ("192.0.2.9", 5060)),
        ("sip:bob@192.0.2.8:5070;maddr=192.0.2.9", ("192.0.2.9", 5070)),
        ("sip:bob@example.com;maddr=[2001:db8::9]", ("2001:db8::9", 5060)),
    ],
)
def test_an_address_needs_no_look_up(uri, endpoint):
    """RFC 3263 §4.2; §4: a maddr stands for the host."""
    assert hop(uri) == endpoint


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("sips:bob@192.0.2.8", "TLS"),
        ("sip:bob@192.0.2.8;transport=sctp", "SCTP"),
        ("sip:bob@192.0.2.256", "address"),
        ("sip:bob@1.2.3", "address"),
        ("sip:bob@192.0.2.8;maddr=%20", "maddr"),
    ],
)
def test_what_cannot_be_reached_says_why(uri, why):
    """The text is for the log."""
    with pytest.raises(NoRoute, match=why):
        hop(uri)


def test_a_name_goes_to_its_first_address(monkeypatch):
    """RFC 3263 §4.2."""
    answers = [(socket.AF_INET, 2, 17, "", ("192.0.2.10", 5070))]
    monkeypatch.setattr(resolver.socket, "getaddrinfo", lambda host, port, type: answers)
    assert hop("sip:bob@pbx.example.com:5070") == ("192.0.2.10", 5070)


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), OSError(), UnicodeError()])
def test_a_name_without_an_address_has_no_route(monkeypatch, error):
    """RFC 3263 §4.3: the request goes no further."""

    def fails(host, port, type):
        raise error

    monkeypatch.setattr(resolver.socket, "getaddrinfo", fails)
    with pytest.raises(NoRoute, match="pbx"):
        hop("sip:bob@pbx.example.com")
    monkeypatch.setattr(resolver.socket, "getaddrinfo", lambda host, port, type: [])
    with pytest.raises(NoRoute, match="pbx"):
        hop("sip:bob@pbx.example.com")


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("192.0.2.1", True),
        ("::1", True),
        ("a.example", False),
        ("3com.example", False),
        ("", False),
    ],
)
def test_a_host_is_an_address_or_a_name(host, is_one):
    """What the resolver need not be asked for."""
    assert is_address(host) is is_one
