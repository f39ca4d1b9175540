"""Flows as values: stamps, ways of responses, their text (RFC 3261 §18.2, RFC 3581)."""

import pytest

from sip.message.grammar import BadMessage
from sip.message.headers import parse_via
from sip.transport.flow import Flow, parse_flow, reply_flow, source_stamp, via_matches_source
from tests.support.cases import cases

US = ("192.0.2.1", 5060)
US6 = ("2001:db8::1", 5060)


def flow_from(host: str, port: int, transport: str = "UDP") -> Flow:
    return Flow(transport, US6 if ":" in host else US, (host, port))


@cases(
    ("via", "source", "stamp"),
    [
        # §18.2.1: an address that is the source needs nothing, with any port
        ("SIP/2.0/UDP 192.0.2.7", ("192.0.2.7", 5060), ""),
        ("SIP/2.0/UDP 192.0.2.7:5062", ("192.0.2.7", 40000), ""),
        # another address, or a name
        ("SIP/2.0/UDP 10.0.0.1:5060", ("192.0.2.7", 5060), ";received=192.0.2.7"),
        ("SIP/2.0/UDP phone.example.com", ("192.0.2.7", 5060), ";received=192.0.2.7"),
        # an address that only begins like the source
        ("SIP/2.0/UDP 192.0.2.70", ("192.0.2.7", 5060), ";received=192.0.2.7"),
        ("SIP/2.0/UDP 192.0.2.7.example.com", ("192.0.2.7", 5060), ";received=192.0.2.7"),
        # RFC 3581 §4: rport asks for both, even where the address is right
        ("SIP/2.0/UDP 192.0.2.7;rport", ("192.0.2.7", 5060), ";received=192.0.2.7;rport=5060"),
        ("SIP/2.0/UDP 10.0.0.1;RPORT", ("192.0.2.7", 99), ";received=192.0.2.7;rport=99"),
        ("SIP/2.0/TCP 10.0.0.1;rport=", ("192.0.2.7", 99), ";received=192.0.2.7;rport=99"),
        # RFC 5118 §4.5: IPv6 without brackets; any spelling of an address is the address
        ("SIP/2.0/UDP [2001:db8::7]:5060", ("2001:db8::7", 5060), ""),
        ("SIP/2.0/UDP [2001:DB8:0:0::7]", ("2001:db8::7", 5060), ""),
        ("SIP/2.0/UDP [2001:db8::8]", ("2001:db8::7", 5060), ";received=2001:db8::7"),
        (
            "SIP/2.0/UDP [2001:db8::7];rport",
            ("2001:db8::7", 5061),
            ";received=2001:db8::7;rport=5061",
        ),
    ],
)
def test_a_via_gets_the_source_it_does_not_name(via, source, stamp):
    """RFC 3261 §18.2.1, RFC 3581 §4."""
    assert source_stamp(parse_via(via), flow_from(*source)) == stamp


@pytest.mark.parametrize("sent_by", ["192.0.2.7:99999", "192.0.2.7:", "[::1", "a..b:x"])
def test_a_via_with_an_invalid_host_cannot_be_stamped(sent_by):
    """The sender gets no response, because its listening port is unknown."""
    with pytest.raises(BadMessage):
        source_stamp(parse_via(f"SIP/2.0/UDP {sent_by}"), flow_from("192.0.2.7", 5060))


@cases(
    ("via", "source", "to"),
    [
        # §18.2.2: the source address, and the port of sent-by or 5060
        ("SIP/2.0/UDP 192.0.2.7", ("192.0.2.7", 40000), ("192.0.2.7", 5060)),
        ("SIP/2.0/UDP 192.0.2.7:5070", ("192.0.2.7", 40000), ("192.0.2.7", 5070)),
        ("SIP/2.0/UDP 10.0.0.1:5070", ("192.0.2.7", 40000), ("192.0.2.7", 5070)),
        ("SIP/2.0/UDP phone.example.com", ("192.0.2.7", 5060), ("192.0.2.7", 5060)),
        # RFC 3581 §4: the source port
        ("SIP/2.0/UDP 10.0.0.1:5070;rport", ("192.0.2.7", 40000), ("192.0.2.7", 40000)),
        # a sender could aim the response at another host
        (
            "SIP/2.0/UDP 192.0.2.7;maddr=198.51.100.1;received=198.51.100.1",
            ("192.0.2.7", 5060),
            ("192.0.2.7", 5060),
        ),
        ("SIP/2.0/UDP [2001:db8::8]:5070", ("2001:db8::7", 40000), ("2001:db8::7", 5070)),
        ("SIP/2.0/UDP [2001:db8::8];rport", ("2001:db8::7", 40000), ("2001:db8::7", 40000)),
    ],
)
def test_a_response_goes_back_between_the_same_addresses(via, source, to):
    """RFC 3261 §18.2.2, RFC 3581 §4: from the address and port that were asked."""
    flow = flow_from(*source)
    assert reply_flow(parse_via(via), flow) == flow._replace(remote=to)


def test_on_a_connection_a_response_takes_the_connection():
    """§18.2.2."""
    flow = Flow("TCP", US, ("192.0.2.7", 40000), 7)
    for sent_by, port in (("192.0.2.7:5070;rport", 5070), ("192.0.2.7", 5060)):
        via = parse_via(f"SIP/2.0/TCP {sent_by}")
        assert reply_flow(via, flow) == flow._replace(port=port)


@cases(
    ("sent_by", "source", "truthful"),
    [
        ("192.0.2.7:5060;rport", ("192.0.2.7", 5060), True),
        ("192.0.2.7;rport", ("192.0.2.7", 5060), True),
        ("192.0.2.7;rport", ("192.0.2.7", 5061), False),
        ("192.0.2.7:5061;rport", ("192.0.2.7", 5060), False),
        ("192.0.2.7:5061", ("192.0.2.7", 49152), True),  # it listens elsewhere than it sends from
        ("10.0.0.1:5060", ("192.0.2.7", 5060), False),
        ("10.0.0.1:5060;rport", ("192.0.2.7", 5060), False),
        ("phone.example.com", ("192.0.2.7", 5060), False),
        ("[2001:db8::7]:5060;rport", ("2001:db8::7", 5060), True),
        ("[2001:DB8::0:7];rport", ("2001:db8::7", 5060), True),
        ("[2001:db8::7]", ("2001:db8::8", 5060), False),
    ],
)
def test_a_via_shows_whether_a_nat_is_on_the_path(sent_by, source, truthful):
    """A phone behind NAT knows itself by another address; without rport its port is meant."""
    via = parse_via(f"SIP/2.0/UDP {sent_by};branch=z9hG4bK1")
    assert via_matches_source(via, flow_from(*source)) is truthful


@pytest.mark.parametrize(
    "flow",
    [
        Flow("UDP", ("192.0.2.1", 5060), ("203.0.113.7", 61234)),
        Flow("UDP", ("2001:db8::1", 5060), ("2001:db8::7", 1)),
    ],
)
def test_a_flow_survives_being_written_down(flow):
    """In a Record-Route, and on disk."""
    assert parse_flow(str(flow)) == flow


def test_a_flow_is_written_as_a_uri_parameter_may_be():
    """RFC 3261 §25.1: brackets, colons and slashes are allowed there."""
    assert str(Flow("UDP", US6, ("192.0.2.7", 99))) == "UDP/[2001:db8::1]:5060/192.0.2.7:99"


@cases(
    "text",
    [
        *("", "UDP", "UDP/192.0.2.1:5060", "UDP/192.0.2.1/192.0.2.7:1", "UDP/a:1/b:0"),
        *("UDP/a:1/b:1/c", "TCP/a:1/b:1//5060", "TCP/a:1/b:1/7/", "TCP/a:1/b:1/7/65536"),
        *("TCP/a:1/b:1/0/5060", "TCP/a:1/b:1/٣/5060", "TCP/a:1/b:1/" + "9" * 5000 + "/1"),
    ],
)
def test_a_malformed_flow_is_rejected(text):
    """It came from the network or from a file."""
    with pytest.raises(BadMessage):
        parse_flow(text)
