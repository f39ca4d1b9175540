"""Transport names: known in one table, and compared in one place."""

import ast
from pathlib import Path

import pytest

from sip.transport.dns.resolver import Hop
from sip.transport.flow import Flow, datagram_flow
from sip.transport.transport_names import (
    TRANSPORTS,
    default_port,
    is_datagram,
    transport_param,
)

ROOT = Path(__file__).parent.parent.parent
NAMES = {name.lower() for name in TRANSPORTS}
US, PEER = ("192.0.2.1", 5060), ("192.0.2.7", 5060)
# They read and compare the text of messages: URIs (§19.1.4) and Via.
TEXT = ("sip/transport", "sip/message")


def is_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and str(node.value).lower() in NAMES


@pytest.mark.parametrize("folder", ["sip", "webadmin"])
def test_nothing_else_compares_names_of_transports(folder: str):
    """Other code asks a flow for a property, or the table."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name.startswith(TEXT):
            continue
        compares = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Compare))
        found += [f"{name}:{n.lineno}" for n in compares if any(map(is_name, ast.walk(n)))]
    assert found == []


@pytest.mark.parametrize("transport", ["TCP", "TLS", "WS", "WSS", "TEST"])
def test_all_but_udp_are_connections(transport: str):
    """Unknown transports too: their source can't be forged, and they lose no message."""
    flow = Flow(transport, US, PEER, 7)
    assert (flow.is_reliable, flow.is_connection, flow.source_is_verified) == (True, True, True)
    assert flow.needs_keepalive == (transport in ("WS", "WSS"))  # for reverse proxies
    hop = Hop(transport, PEER)
    assert (hop.is_reliable, hop.is_connection) == (True, True)


def test_udp_has_none_of_it():
    flow = datagram_flow(US, PEER)
    assert (flow.is_reliable, flow.is_connection, flow.source_is_verified) == (False, False, False)
    assert flow.needs_keepalive
    hop = Hop("UDP", PEER)
    assert (hop.is_reliable, hop.is_connection) == (False, False)


@pytest.mark.parametrize("transport", [None, "", "udp", "TCP", "nonsense"])
def test_a_uri_without_a_port_means_5060(transport: str | None):
    """§19.1.2; of an unknown transport nothing else is known."""
    assert default_port(transport) == 5060
    assert default_port("tls") == 5061


@pytest.mark.parametrize(
    ("transport", "is_one"), [("udp", True), ("UDP", True), ("tcp", False), (None, False)]
)
def test_a_parameter_may_ask_for_datagrams(transport: str | None, is_one: bool):
    assert is_datagram(transport) is is_one


def test_the_default_transport_needs_no_parameter():
    assert [transport_param(name) for name in TRANSPORTS][:2] == ["", ";transport=tcp"]
