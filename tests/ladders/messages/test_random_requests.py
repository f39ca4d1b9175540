"""Requests of every kind, put together by chance: none harms the server (RFC 3261 §16)."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sip.message.message import Response, parse
from tests.support.world import REALM, World

US = "192.0.2.1"
uris = st.sampled_from(
    [
        f"sip:{REALM}",
        f"sip:bob@{REALM}",
        f"sip:alice@{US}:5060",
        f"sip:bob@{REALM};lr;t=x",
        f"sip:{US};lr;t=AAAA;f=UDP/{US}:5060/203.0.113.9:5060",
        f"sip:bob@{REALM};maddr=203.0.113.9",
        f"sip:bob@{REALM};maddr=[",
        f"sips:bob@{REALM}",
        "sip:x@203.0.113.9",
        "sip:x@[2001:db8::9]:5061;transport=tcp",
        "sip:x@999.1.2.3",
        "sip:x%ff%00%0d%0a@elsewhere.invalid",
        "sip:bob@example.com?Route=%3Csip:evil%3E",
        "tel:+1-555",
        "tel:bob",
        "mailto:x@y",
        "sip:",
        "*",
        "sip:bob@example.com:99999",
    ]
)
names = st.builds(
    lambda name, uri, params: f"{name}<{uri}>{params}",
    st.sampled_from(["", '"sip:alice@example.com" ', "caf\u00e9 ", '"\\"<" ']),
    uris,
    st.sampled_from(["", ";tag=a", ";tag", ";expires=0", ";q=0.5", ";q=2", ';x="<>,;"']),
)
fields = st.builds(
    lambda name, values: f"{name}: {', '.join(values)}",
    st.sampled_from(["Route", "Contact", "Record-Route", "Path", "Require", "Proxy-Require"]),
    st.lists(names, max_size=3),
)
others = st.sampled_from(
    [
        "Max-Forwards: 0",
        "Max-Forwards: x",
        "Max-Breadth: 1",
        "Max-Breadth: -",
        "Expires: 0",
        "Expires: never",
        "Contact: *",
        "Supported: path, outbound",
        "Proxy-Authorization: Digest",
        f'Authorization: Digest realm="{REALM}", username="bob", nc=zz, qop=auth',
        f'Proxy-Authorization: Digest realm="{REALM}", uri="sip:", nonce="", response=""',
        "User-Agent: baresip v1",
        "Timestamp: 1",
    ]
)
methods = st.sampled_from("INVITE ACK CANCEL BYE REGISTER OPTIONS MESSAGE SUBSCRIBE X".split())


@contextmanager
def faults() -> Iterator[list[str]]:
    """Collect the log lines about faults of the server."""
    shown: list[str] = []

    class Faults(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.append(record.getMessage())

    handler = Faults(logging.ERROR)
    logging.getLogger("sip").addHandler(handler)
    try:
        yield shown
    finally:
        logging.getLogger("sip").removeHandler(handler)


@given(methods, uris, names, names, st.lists(fields | others, max_size=4))
@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
def test_any_request_is_answered_or_forwarded_without_a_fault(method, uri, sender, to, more):
    """Strangers: nothing leaves towards a place that only the request named."""
    with faults() as shown:
        world = World()
        bob, phone = world.phone("bob"), world.phone("phone", registered=False)
        lines = [
            f"{method} {uri} SIP/2.0",
            "Via: SIP/2.0/UDP 192.0.2.102:5060;branch=z9hG4bKany;rport",
            f"From: {sender}",
            f"To: {to}",
            "Call-ID: any",
            f"CSeq: 1 {method}",
            *more,
            "",
            "",
        ]
        world.deliver("\r\n".join(lines).encode("utf-8", "surrogateescape"), phone.address)
    assert not shown
    assert not world.lost
    for data in bob.inbox:
        parse(data)
    if method == "ACK":
        assert not bob.inbox
        assert not phone.inbox
        return
    answers = [parse(data) for data in phone.inbox]
    assert bob.inbox or answers, "silence"
    for answer in answers:
        assert isinstance(answer, Response)
        assert answer.status != 500 or answer.reason == "Next Hop Unreachable"


@given(st.binary(max_size=40), st.integers(0, 400))
@settings(max_examples=200)
def test_any_octets_in_the_midst_of_a_request_harm_nothing(octets: bytes, at: int):
    """A few octets of a request are changed on the way."""
    with faults() as shown:
        world = World()
        phone, _ = world.phone("phone", registered=False), world.phone("bob")
        headers = (f"Route: <sip:{US};lr>", f"Contact: {phone.contact}")
        data = phone.request("INVITE", f"sip:bob@{REALM}", headers=headers).encode()
        world.deliver(data[:at] + octets + data[at + len(octets) :], phone.address)
    assert not shown
