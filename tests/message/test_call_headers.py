"""Header fields that concern a whole call; one that cannot be read is as if it were missing."""

from sip.message.call_headers import (
    refer_target,
    referred_status,
    replaces_of,
    session_seconds,
)
from sip.message.message import Request, parse
from tests.support.cases import cases


def request(*lines: str, method: str = "INVITE", body: bytes = b"") -> Request:
    head = [
        f"{method} sip:bob@example.com SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKone",
        "From: <sip:alice@example.com>;tag=a",
        "To: <sip:bob@example.com>",
        "Call-ID: one",
        f"CSeq: 1 {method}",
        "Max-Forwards: 70",
        *lines,
        f"Content-Length: {len(body)}",
    ]
    message = parse("\r\n".join([*head, "", ""]).encode() + body)
    assert isinstance(message, Request)
    return message


@cases(
    ("line", "dialog"),
    [
        ("Replaces: x@y;to-tag=1;from-tag=2", ("x@y", "1", "2")),
        ("Replaces: x@y ; from-tag=2;to-tag=1;early-only", ("x@y", "1", "2")),
        ("Replaces: x@y;to-tag=1", None),
        ("Replaces: ;to-tag=1;from-tag=2", None),
        ("Replaces: x;to-tag=1;to-tag=2;from-tag=3", None),
        ("Subject: none", None),
    ],
)
def test_replaces_names_a_dialog(line, dialog):
    """RFC 3891 §6.1."""
    assert replaces_of(request(line)) == dialog


@cases(
    ("line", "seconds"),
    [
        ("Session-Expires: 1800;refresher=uac", 1800),
        ("x: 4000", 4000),
        ("Session-Expires: 5", 90),
        ("Session-Expires: 0", 0),
        ("Session-Expires: soon", 0),
        ("Subject: none", 0),
    ],
)
def test_the_session_interval_is_at_least_90_s(line, seconds):
    """RFC 4028 §4, §5."""
    assert session_seconds(request(line)) == seconds


def test_a_refer_names_its_target_without_headers():
    """RFC 3515 §2.1."""
    refer = request("Refer-To: <sip:carol@example.com?Replaces=x>", method="REFER")
    assert refer_target(refer) == "sip:carol@example.com"
    assert refer_target(request("r: <<>", method="REFER")) == ""
    assert refer_target(request(method="REFER")) == ""


def test_a_notify_reports_the_status_of_a_transfer():
    """RFC 3515 §2.4.5."""
    body = b"SIP/2.0 603 Declined\r\n"
    assert referred_status(request("Event: refer;id=9", method="NOTIFY", body=body)) == 603
    assert referred_status(request("o: refer", method="NOTIFY", body=b"SIP/2.0 60")) == 0
    assert referred_status(request("Event: presence", method="NOTIFY", body=body)) == 0
