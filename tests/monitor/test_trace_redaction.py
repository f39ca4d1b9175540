"""What is removed from a message before it is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.monitor.trace_redaction import redact
from tests.support.cases import cases

HEAD = b"REGISTER sip:example.com SIP/2.0\r\nCall-ID: one\r\n"


@cases(
    "line",
    [
        b'Authorization: Digest username="bob", nonce="SECRET", response="SECRET", uri="sip:x"',
        b'AUTHORIZATION:Digest username="bob",response=SECRET,nonce="SECRET"',
        b'Proxy-Authorization : Digest username="bob", cnonce="SECRET", opaque="SECRET"',
        b'Authorization: Digest username="bob",\r\n response="SECRET"',
        b'Authorization: Digest username="bob",\n\tresponse="SECRET"',
        b'Authorization: Digest username="bob", response="SECRET',
        b'Authorization: Digest username="bob", response="a\\"SECRET"',
        b'Authorization: Digest username="bob" response="SECRET"',
        b'Authorization: Digest username="bob", SECRET',
        b"Authorization: Basic SECRET",
        b"Authorization: Basic SECRET==",
        b"Authorization: Bearer SECRET",
        b'Authorization: Digest SECRET="x", username="bob"',
        b"Authorization: SECRET",
        b'WWW-Authenticate: Digest realm="x", nonce="SECRET", opaque="SECRET", qop="auth"',
        b'Proxy-Authenticate: Digest realm="x", nonce="SECRET", Digest nonce="SECRET"',
        b'Authentication-Info: nextnonce="SECRET", rspauth="SECRET"',
        b'Proxy-Authentication-Info: nextnonce="SECRET"',
        b"Record-Route: <sip:192.0.2.1;lr;t=5ec2e75ec2e75ec2e75ec2e7;f=UDP/x;a=5ec2e75ec2e75ec2e7>",
        b"Route: <sip:192.0.2.1;transport=tcp;lr;t=5ec2e75ec2e75ec2e75ec2e7;h=x>",
        b"Contact: <sip:bob:SECRET@192.0.2.1>",
        b"To: SIPS:bob:SECRET@192.0.2.1",
        b"To: <sip:bob;x?y:SECRET@192.0.2.1>",
    ],
)
def test_a_secret_in_a_head_is_removed(line):
    shown = redact(HEAD + line + b"\r\nCSeq: 1 REGISTER\r\n\r\n")
    assert b"SECRET" not in shown
    assert b"5ec2e7" not in shown
    assert shown.endswith(b"\r\nCSeq: 1 REGISTER\r\n\r\n")
    assert shown.startswith(HEAD + line.partition(b":")[0])


@pytest.mark.parametrize(
    "body",
    [
        b"v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRETSECRET|2^20\r\n",
        b"v=0\r\nk=base64:SECRET\r\n",
        b"v=0\r\na=key-mgmt:mikey SECRET\r\n",
        b"v=0\na=ice-pwd:SECRET\n",
        b"REGISTER sip:x SIP/2.0\r\nAuthorization: Basic SECRET\r\n\r\n",
    ],
)
def test_a_secret_in_a_body_is_masked_in_its_length(body):
    """So that Content-Length stays true."""
    message = HEAD + b"\r\n" + body
    shown = redact(message)
    assert b"SECRET" not in shown
    assert len(shown) == len(message)
    assert shown.startswith(HEAD + b"\r\n")


def test_what_explains_a_failed_login_is_left():
    line = b'Authorization: Digest username="bob", realm="x", nonce="n", uri="sip:y", algorithm=MD5'
    shown = redact(HEAD + line + b", qop=auth, nc=00000001\r\n\r\n")
    for part in (b'username="bob"', b'realm="x"', b'uri="sip:y"', b"algorithm=MD5", b"nc=00000001"):
        assert part in shown


@given(st.binary(max_size=300))
def test_octets_without_secrets_stay_as_they_are(octets):
    if b":" not in octets and b"=" not in octets:
        assert redact(octets) == octets
    redact(b"Authorization: Digest " + octets)


@cases(
    "part",
    [b"sip:a:", b"Authorization: a=", b'a="', b"\nAuthorization:", b";t=a", b"a=crypto:", b"\r \n"],
)
def test_no_message_takes_long_to_redact(part):
    """A cost that grows with the square would take minutes."""
    assert len(redact(HEAD + part * (60_000 // len(part)))) > 0
