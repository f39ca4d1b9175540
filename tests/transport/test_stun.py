"""Binding requests of STUN on the SIP ports (RFC 5626 §8, RFC 8489)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.message.message import parse
from sip.monitor.metrics import KEEPALIVES_RECEIVED, MESSAGES_MALFORMED
from sip.transport.stun import answer
from tests.support.world import REALM, World

COOKIE = bytes.fromhex("2112a442")
# The transaction of RFC 5769 §2.2 and §2.3, whose responses have these addresses.
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
IPV4 = ("192.0.2.1", 32853), bytes.fromhex("0001a147e112a643")
IPV6 = (
    ("2001:db8:1234:5678:11:2233:4455:6677", 32853),
    bytes.fromhex("0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"),
)


def binding(*attributes: tuple[int, bytes], cookie: bytes = COOKIE, more: int = 0) -> bytes:
    """Write a Binding request; `more` is added to its length field."""
    body = b"".join(
        struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)
        for kind, value in attributes
    )
    return struct.pack("!HH", 1, len(body) + more) + cookie + TRANSACTION + body


@pytest.mark.parametrize(("remote", "value"), [IPV4, IPV6])
def test_the_response_names_the_source_address(remote, value: bytes):
    """RFC 8489 §14.2, with the addresses of RFC 5769; attributes without a meaning here pass."""
    head = struct.pack("!HH", 0x0101, len(value) + 4) + COOKIE + TRANSACTION
    expected = head + struct.pack("!HH", 0x0020, len(value)) + value
    software = (0x8022, b"a client")
    for request in (binding(), binding(software), binding((0x0006, b"user"), (0x0008, b"1" * 20))):
        assert answer(request, remote) == expected


def test_an_unknown_attribute_is_answered_by_420():
    """RFC 8489 §6.3.1, §14.8: such as CHANGE-REQUEST, which would aim the response elsewhere."""
    response = answer(binding((0x0003, b"\0\0\0\6"), (0x0026, b"")), IPV4[0])
    assert response is not None
    kind, length = struct.unpack("!HH", response[:4])
    assert (kind, length, response[4:20]) == (0x0111, len(response) - 20, COOKIE + TRANSACTION)
    assert response[20:] == (
        b"\0\x09\0\x0c\0\0\x04\x14Unknown " + struct.pack("!4H", 0x000A, 4, 0x0003, 0x0026)
    )


@pytest.mark.parametrize(
    "datagram",
    [
        binding()[:-1],
        binding()[:3],
        binding(cookie=b"abcd"),  # RFC 3489
        binding(more=4),
        binding(more=1) + b"x",
        binding((0x8022, b"name"))[:-4],
        binding() + struct.pack("!HH", 0x8022, 8),
    ],
)
def test_other_octets_are_no_binding_request(datagram: bytes):
    assert answer(datagram, IPV4[0]) is None


@given(
    st.one_of(
        st.binary(max_size=80),
        st.builds(
            lambda body, cut: (binding(more=len(body)) + body)[: cut or None],
            st.binary(max_size=60),
            st.integers(0, 90),
        ),
    ),
    st.sampled_from([IPV4[0], IPV6[0]]),
)
def test_any_octets_get_a_bounded_answer_or_none(octets: bytes, remote):
    """One response, of the same transaction, and never twice and a half of the request."""
    response = answer(octets, remote)
    if response is not None:
        assert response[4:20] == octets[4:20]
        assert len(response) - 20 == struct.unpack("!H", response[2:4])[0]
        assert len(response) <= 2.5 * len(octets)


def test_a_phone_learns_its_address_by_stun():
    """RFC 5626 §8: on the SIP port, at the source, without a trace, and not on a connection."""
    world = World()
    bob = world.phone("bob", registered=False)
    counts = world.server.receiver.counts
    world.deliver(binding(), bob.address)
    assert bob.inbox.pop() == answer(binding(), bob.address)
    assert counts == {KEEPALIVES_RECEIVED: 1}
    world.deliver(binding(cookie=b"abcd"), bob.address)
    tcp = world.phone("ann", registered=False, transport="TCP")
    world.deliver(binding(), tcp.source)
    assert bob.hears_nothing()
    assert tcp.hears_nothing()
    assert counts == {KEEPALIVES_RECEIVED: 1, MESSAGES_MALFORMED: 2}
    bob.transmits(bob.request("OPTIONS", f"sip:{REALM}"))  # the port serves SIP as before
    assert parse(bob.inbox.pop()).encode().startswith(b"SIP/2.0 200")
