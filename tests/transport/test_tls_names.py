"""Names of certificates as SIP domains, and aliases (RFC 5922 §7, RFC 5923 §5)."""

import pytest

from sip.transport.alias import alias_port
from sip.transport.tls_names import is_identity, sip_identities


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([("DNS", "Example.com"), ("DNS", "sip.example.com.")], {"example.com", "sip.example.com"}),
        # §7.1: with a SIP URI, DNS names do not count; a URI with a user is no domain
        ([("URI", "sip:example.com"), ("DNS", "sip.example.com")], {"example.com"}),
        ([("URI", "sip:alice@example.com"), ("DNS", "b.example")], {"b.example"}),
        ([("URI", "sips:example.com"), ("URI", "https://x.example"), ("URI", "sip:")], set()),
        ([("IP Address", "2001:DB8:0:0:0:0:0:1")], {"2001:db8::1"}),
        ([("DNS", "*.example.com")], {"*.example.com"}),
    ],
)
def test_the_domains_of_a_certificate(names, found):
    assert sip_identities({"subjectAltName": tuple(names)}) == found


def test_nothing_is_proved_without_a_certificate():
    assert sip_identities(None) == sip_identities({}) == frozenset()


def test_a_domain_has_to_be_named_in_full():
    """RFC 5922 §7.2: no wildcards, and no sub-domains."""
    identities = frozenset({"*.example.com", "example.net", "2001:db8::1"})
    assert is_identity("EXAMPLE.net.", identities)
    assert is_identity("2001:db8:0::1", identities)
    for name in ("a.example.com", "sip.example.net", "", "192.0.2.1"):
        assert not is_identity(name, identities)


@pytest.mark.parametrize(
    ("head", "port"),
    [
        ("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS a.example:5098;branch=z9;alias", 5098),
        ("OPTIONS sip:x SIP/2.0\r\nTo: <sip:x>\r\nv:SIP / 2.0 / TLS a.example ;ALIAS", 5061),
        ("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS a.example", None),
        ("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP a.example;alias", None),
        # only the top Via is of the peer
        ("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS a\r\nVia: SIP/2.0/TLS b:9;alias", None),
        ("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS a, SIP/2.0/TLS b:9;alias", None),
        ("SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS a:5098;alias", None),
        ("OPTIONS sip:alias SIP/2.0\r\nVia: nonsense;alias", None),
        ("OPTIONS sip:alias SIP/2.0", None),
    ],
)
def test_a_request_asks_for_an_alias_in_its_top_via(head: str, port: int | None):
    assert alias_port(f"{head}\r\n\r\n".encode()) == port
