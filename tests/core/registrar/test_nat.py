"""NAT detection: a phone is reached at its Contact, or along its flow (RFC 5626 §5.3)."""

import pytest

from sip.core.domains import Domains
from sip.core.registrar.nat import is_behind_nat, is_loopback_elsewhere, reusable_flow
from sip.message.headers import parse_via
from sip.message.uri import SipUri, parse_uri
from sip.transport.dns.resolver import Resolver
from sip.transport.flow import Flow
from tests.support.cases import cases
from tests.support.fake_dns import FakeDns

HOSTS = {"known-desk": ["198.51.100.9"], "localhost": ["127.0.0.1", "::1"]}
V4 = Flow("UDP", ("192.0.2.1", 5060), ("198.51.100.7", 40_000))
V6 = Flow("UDP", ("2001:db8::1", 5060), ("2001:db8::7", 40_000))
OWN = {V4.local[0], V6.local[0], "localhost"}
DOMAINS = Domains("main.org", [], lambda: frozenset({"main.org"}), OWN.__contains__, (5060,))


@cases(
    ("contact", "flow", "via_is_true", "needs"),
    [
        # Behind NAT the Via is wrong; the Contact does not matter.
        ("sip:b@10.0.0.1", V4, False, True),
        ("sip:b@198.51.100.7:40000", V4, False, True),
        ("sip:b@203.0.113.9", V4, False, True),
        ("sip:b@phone.example", V4, False, True),
        # Some rewrite the Via alone.
        ("sip:b@10.0.0.1", V4, True, True),
        ("sip:b@172.16.0.1", V4, True, True),
        ("sip:b@172.31.255.255", V4, True, True),
        ("sip:b@172.32.0.1", V4, True, False),
        ("sip:b@192.168.1.1", V4, True, True),
        ("sip:b@169.254.1.1", V4, True, True),
        ("sip:b@100.64.0.1", V4, True, True),
        ("sip:b@100.127.255.255", V4, True, True),
        ("sip:b@100.128.0.1", V4, True, False),
        ("sip:b@127.0.0.1", V4, True, True),
        ("sip:b@0.0.0.0", V4, True, True),
        ("sip:b@[fe80::1]", V6, True, True),
        ("sip:b@[fd00::1]", V6, True, True),
        ("sip:b@[FC00:0::1]", V6, True, True),
        ("sip:b@[::1]", V6, True, True),
        ("sip:b@[::]", V6, True, True),
        ("sip:b@10.0.0.1", V6, True, True),
        # A phone that knows where it is, and a Contact that is meant.
        ("sip:b@198.51.100.7", V4, True, False),
        ("sip:b@198.51.100.7:5070", V4, True, False),
        ("sip:b@203.0.113.9", V4, True, False),
        ("sip:b@phone.example", V4, True, False),
        ("sip:b@[2001:DB8::0:7]", V6, True, False),
        ("sip:b@[2001:db8::9]", V6, True, False),
        # In a private network nothing is hidden from us.
        ("sip:b@10.0.0.7:5070", V4._replace(remote=("10.0.0.7", 5060)), True, False),
        ("sip:b@10.0.0.8", V4._replace(remote=("10.0.0.7", 5060)), True, True),
        ("sip:b@[fd00::7]", V6._replace(remote=("fd00::7", 1)), True, False),
        # A Contact that names this server, and one that seems to.
        ("sip:b@192.0.2.1", V4, False, False),
        ("sip:b@main.org", V4, False, False),
        ("sip:b@192.0.2.1:5070", V4, False, True),
        ("sip:b@localhost", V4, True, True),
        # Hosts that no look-up finds, and a transport that is not supported.
        ("sip:b@999.1.2.3", V4, True, True),
        ("sip:b@224.0.1.75", V4, True, True),
        ("sip:6cmlnq4d@x7.invalid;transport=ws", V4, True, True),
        ("sip:b@Mac.local:5062", V4, True, True),
        ("sip:b@desk", V4, True, True),
        ("sip:b@known-desk", V4, True, False),
        ("sip:b@a.localhost", V4, True, True),
        ("sip:b@localhost:5070", V4, True, True),
        ("sip:b@localhost:5070", V4._replace(remote=("127.0.0.1", 5070)), True, False),
        ("sip:b@desk.invalid;maddr=198.51.100.9", V4, True, False),
        ("sip:b@198.51.100.7;transport=tls", V4, True, True),
        ("sip:b@198.51.100.7;transport=TCP", V4, True, False),
        ("sip:b@198.51.100.7;user=phone", V4, True, False),
        ("sip:b@[2001:db8::9]", V4, True, True),  # of a family that this machine has not
    ],
)
def test_which_phones_are_reached_along_their_flow_alone(contact, flow, via_is_true, needs):
    """A wrong Via, a private Contact that isn't the source, and one that can't be looked up."""
    uri = parse_uri(contact)
    assert isinstance(uri, SipUri)
    resolver = Resolver(
        FakeDns(),
        lambda: 0.0,
        lambda is_ipv6: is_ipv6 == (":" in flow.local[0]),
        lambda name: HOSTS.get(name, []),
    )
    assert is_behind_nat(uri, flow, DOMAINS, resolver, via_is_true=via_is_true) == needs


@pytest.mark.parametrize(
    ("contact", "source", "is_elsewhere"),
    [
        ("sip:b@localhost", "198.51.100.7", True),
        ("sip:b@a.localhost:5060", "198.51.100.7", True),
        ("sip:b@127.0.1.1", "198.51.100.7", True),
        ("sip:b@[::1]", "198.51.100.7", True),
        ("sip:b@localhost", "127.0.0.2", False),
        ("sip:b@localhost", "192.0.2.1", False),  # this machine, by its other address
        ("sip:b@192.0.2.1", "198.51.100.7", False),
        ("sip:b@example.com", "198.51.100.7", False),
    ],
)
def test_localhost_is_the_machine_that_says_it(contact: str, source: str, is_elsewhere: bool):
    """RFC 6761 §6.3: in the Contact of a phone elsewhere it is no name of this server."""
    uri = parse_uri(contact)
    assert isinstance(uri, SipUri)
    assert is_loopback_elsewhere(uri, V4._replace(remote=(source, 5060))) == is_elsewhere


TCP = Flow("TCP", ("192.0.2.1", 5060), ("198.51.100.7", 40_000), 7)


@pytest.mark.parametrize(
    ("contact", "via", "port"),
    [
        ("sip:b@198.51.100.7:5070;transport=tcp", "", 5070),
        ("sip:b@198.51.100.7;transport=tcp", "", 5060),
        # The port of the connection itself takes no other one.
        ("sip:b@198.51.100.7:40000;transport=tcp", "", 0),
        ("sip:b@198.51.100.7:40000;transport=tcp", "SIP/2.0/TCP 198.51.100.7:5080", 5080),
        ("sip:b@198.51.100.7:5070", "", 0),
        ("sip:b@198.51.100.8:5070;transport=tcp", "", 0),
    ],
)
def test_where_a_closed_connection_may_be_opened_again(contact: str, via: str, port: int):
    """§18.1.1: where the phone listens, as far as it has told."""
    uri = parse_uri(contact)
    told = parse_via(f"{via};branch=z9hG4bK1") if via else None
    assert reusable_flow(uri, TCP, via_is_true=True, via=told) == TCP._replace(port=port)
