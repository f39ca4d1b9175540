"""Trunks: number patterns, their setting, and the answer to a gateway (RFC 3261 §22.3)."""

import pytest

from sip.core.auth.digest import expected_response, ha1_of, read_answer
from sip.core.auth.digest_client import challenges_in
from sip.core.proxy.trunk_table import Trunks
from sip.core.trunk import (
    Trunk,
    parse_trunks,
)
from sip.message.headers import parse_credentials
from sip.message.message import Response, parse
from sip.transport.dns.resolver import Resolver
from sip.transport.flow import Flow
from tests.support.cases import cases
from tests.support.fake_dns import FakeDns

GATEWAY = "sip:gw.example.net"


def trunk(text: str) -> Trunk:
    (one,) = parse_trunks(text)
    return one


# The setting


@pytest.mark.parametrize(
    ("text", "numbers", "gateway", "username", "password"),
    [
        (f"0={GATEWAY}", "0", GATEWAY, "", ""),
        (" +49 (0)89 = sip:me:secret@192.0.2.9 ", "+49089", "sip:192.0.2.9", "me", "secret"),
        ("1xX=sip:a%40b:p%3a%2c%40%25@[2001:db8::9]:5070;transport=tcp", "1XX",
         "sip:[2001:db8::9]:5070;transport=tcp", "a@b", "p:,@%"),
        ("*8=sip:me@gw", "*8", "sip:gw", "me", ""),
        (f"tel:+49-30.1={GATEWAY}", "+49301", GATEWAY, "", ""),
    ],
)  # fmt: skip
def test_a_trunk_is_numbers_and_a_gateway(text, numbers, gateway, username, password):
    one = trunk(text)
    assert (one.numbers, one.gateway.text) == (numbers, gateway)
    assert (one.username, one.password) == (username, password)


def test_there_may_be_several():
    assert [one.numbers for one in parse_trunks(f"0={GATEWAY},00={GATEWAY}, 1XX={GATEWAY},")] == [
        "0",
        "00",
        "1XX",
    ]
    assert parse_trunks("") == ()


@pytest.mark.parametrize(
    "text",
    [
        GATEWAY,
        f"={GATEWAY}",
        f"abc={GATEWAY}",
        f"0?={GATEWAY}",
        "0=",
        "0=gw.example.net",
        "0=sips:gw.example.net",
        "0=tel:+49",
        "0=mailto:me@gw",
        "0=sip:me:hush@",
        "0=sip:me:hu sh@gw",
        "0=sip:me:hush@gw?x=y",
        "0=sip:me:hush@gw@gw",
    ],
)
def test_what_cannot_be_read_is_said_without_the_password(text: str):
    with pytest.raises(ValueError, match="trunk") as error:
        parse_trunks(text)
    assert "hush" not in str(error.value)


def test_nothing_that_is_shown_holds_the_password():
    one = trunk("0=sip:me:hush@gw:5070;transport=tcp")
    assert str(one) == "0=sip:me@gw:5070;transport=tcp"
    assert "hush" not in f"{one!r} {one}"


# What it takes


@pytest.mark.parametrize(
    ("numbers", "number", "takes"),
    [
        ("0", "0", True),
        ("0", "0891234", True),
        ("0", "1", False),
        ("+49", "+4989", True),
        ("+49", "4989", False),
        ("1XX", "112", True),
        ("1XX", "11", False),
        ("1XX", "1123", False),
        ("1XX", "1*2", False),
        ("*8X", "*81", True),
    ],
)
def test_numbers_are_a_beginning_or_a_whole(numbers: str, number: str, takes: bool):
    assert trunk(f"{numbers}={GATEWAY}").matches(number) is takes


@pytest.mark.parametrize(
    ("username", "uri"),
    [
        ("0891", "sip:0891@a"),
        ("0049", "sip:0049@b"),
        ("120", "sip:120@c"),
        ("110", "sip:110@d"),
        ("1100", None),
        ("alice", None),
        ("0-89*#", "sip:089*%23@a"),
    ],
)
def test_the_most_exact_trunk_takes_a_number(username: str, uri: str | None):
    """In any order of the setting: a whole number first, then the longest prefix."""
    for text in (
        "0=sip:a,00=sip:me:pw@b,1XX=sip:c,11X=sip:d",
        "11X=sip:d,1XX=sip:c,00=sip:b,0=sip:a",
    ):
        trunks = Trunks(parse_trunks(text), Resolver(FakeDns(), float, lambda is_ipv6: True))
        target = trunks.target_for(username)
        assert (target.uri_text if target else None) == uri


# What it answers


def challenged(*fields: str, status: int = 407) -> Response:
    name = "Proxy-Authenticate" if status == 407 else "WWW-Authenticate"
    lines = "".join(f"{name}: {field}\r\n" for field in fields)
    message = parse(
        f"SIP/2.0 {status} No\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
        f"To: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n{lines}"
        "Content-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(message, Response)
    return message


ME = trunk("0=sip:me:se%22cret@gw")


@cases("status", [401, 407])
@cases("algorithm", ["MD5", "SHA-256", "SHA-512-256", None])
@cases("qop", ['"auth"', '"auth-int, auth"', None])
def test_an_answer_is_what_the_holder_of_the_password_gives(status, algorithm, qop):
    """RFC 7616 §3.4; RFC 2069 where no qop is offered."""
    more = "".join(
        f", {name}={value}" for name, value in (("algorithm", algorithm), ("qop", qop)) if value
    )
    field = f'Digest realm="the \\"gate\\"", nonce="a\\\\b", opaque="o\\"p"{more}'
    (challenge,) = challenges_in(challenged(field, status=status))
    name, line = challenge.answer(ME, "INVITE", "sip:0@gw", "cnonce")
    assert name == ("proxy-authorization" if status == 407 else "authorization")
    params = parse_credentials(line.partition(": ")[2]).params
    answer, fault = read_answer(params)
    assert not fault
    assert (answer.realm, answer.nonce, answer.username) == ('the "gate"', "a\\b", "me")
    assert (answer.qop, params["opaque"]) == ("auth" if qop else "", 'o"p')
    ha1 = ha1_of(algorithm or "MD5", "me", 'the "gate"', 'se"cret')
    assert answer.response == expected_response(ha1, "INVITE", answer)


def test_the_first_challenge_that_can_be_answered_is():
    """RFC 8760 §2.4; other schemes, algorithms and qops are passed over."""
    response = challenged(
        "Basic realm=x",
        'Digest realm="a", nonce="1", algorithm=SHA-1',
        'Digest realm="a", nonce="2", qop="auth-int"',
        'Digest realm="a, nonce="',
        'Digest realm="a", nonce="3", algorithm=sha-256, stale=TRUE, qop="auth"',
        'Digest realm="a", nonce="4"',
    )
    assert [(one.params["nonce"], one.is_stale) for one in challenges_in(response)] == [
        ("3", True),
        ("4", False),
    ]


# Addresses of gateways


def test_a_gateway_is_known_by_address_a_flow_by_port_too():
    """Its calls come from any port; secrets go only to the port of the gateway."""
    trunks = Trunks(
        parse_trunks("0=sip:a:1@192.0.2.9,1=sip:b:2@192.0.2.9,2=sip:192.0.2.8:5070"),
        Resolver(FakeDns(), float, lambda is_ipv6: True),
    )
    assert not trunks.is_gateway(("192.0.2.9", 5060))
    trunks.refresh()
    assert trunks.is_gateway(("192.0.2.9", 999))
    assert not trunks.is_gateway(("192.0.2.7", 5060))
    us = ("192.0.2.1", 5060)

    def named(flow: Flow, username: str) -> str | None:
        one = trunks.trunk_at(flow, username)
        return one.username if one else None

    there = Flow("UDP", us, ("192.0.2.9", 5060))
    assert [named(there, number) for number in ("012", "12", "x")] == ["a", "b", "a"]
    assert named(there._replace(remote=("192.0.2.9", 5061)), "012") is None
    connected = Flow("TCP", us, ("192.0.2.8", 40_000), 7)
    assert named(connected, "2") is None
    assert named(connected._replace(port=5070), "2") == ""
