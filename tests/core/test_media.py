"""Kinds of media descriptions, the marks of relayed dialogs, and the flags for rtpengine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.media import (
    AS_IT_IS,
    MAX_SDP_BYTES,
    RTP,
    SRTP,
    WEBRTC,
    Description,
    MediaMark,
    flags_for,
    kinds_for,
    read_description,
    read_mark,
    with_address,
)

HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"


@pytest.mark.parametrize(
    ("streams", "kind"),
    [
        (b"m=audio 4000 RTP/AVP 0\r\n", RTP),
        (b"m=audio 4000/2 RTP/AVPF 0\r\n", RTP),
        (b"m=audio 4000 RTP/SAVP 0\r\n", SRTP),
        (b"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n", WEBRTC),
        (b"m=audio 9 udp/tls/rtp/savp 0\r\n", WEBRTC),
        # The callee may choose the plain one.
        (b"m=audio 4000 RTP/SAVP 0\r\nm=audio 4002 RTP/AVP 0\r\n", RTP),
        (b"m=audio 0 RTP/AVP 0\r\nm=audio 4002 RTP/SAVP 0\r\n", SRTP),
        (b"m=image 4000 udptl t38\r\n", AS_IT_IS),
        (b"m=audio 0 RTP/AVP 0\r\n", AS_IT_IS),
    ],
)
def test_a_description_has_one_kind(streams: bytes, kind: str):
    assert read_description(HEAD + streams) == Description(kind, "192.0.2.9")
    assert read_description((HEAD + streams).replace(b"\r\n", b"\n")) is not None


AUDIO = b"m=audio 4000 RTP/AVP 0\r\n"


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"v=1\r\n" + AUDIO,
            HEAD,
            HEAD + b"m=audio x RTP/AVP 0\r\n",
            HEAD + b"m=audio 1\r\n",
        ),
        *(HEAD + AUDIO + b"\r\n\r\n", HEAD + AUDIO + b"a=\x00\r\n", HEAD + AUDIO + b"A=b\r\n"),
        *(HEAD + 17 * AUDIO, HEAD + AUDIO + b"a=x\r\n" * 1000, HEAD + AUDIO + b"a=\ra=b\r\n"),
        *(HEAD + AUDIO + b"a=" + b"x" * MAX_SDP_BYTES, HEAD.replace(b"c=IN", b"c=XX") + AUDIO),
    ],
)
def test_what_cannot_be_read_has_no_kind(body: bytes):
    assert read_description(body) is None


@given(st.binary(max_size=60))
def test_any_octets_have_a_kind_or_none(octets: bytes):
    read_description(HEAD + octets)
    read_description(b"v=0" + octets)


@pytest.mark.parametrize(
    ("offer", "from_browser", "to_browser", "is_refused", "kinds"),
    [
        (RTP, False, False, False, None),
        (SRTP, False, False, False, None),
        (WEBRTC, False, False, False, None),  # DTLS between desk phones
        (RTP, False, False, True, (RTP, SRTP)),
        (SRTP, False, False, True, (SRTP, RTP)),
        (WEBRTC, False, False, True, (WEBRTC, RTP)),
        (WEBRTC, True, False, False, (WEBRTC, RTP)),
        (WEBRTC, True, False, True, (WEBRTC, SRTP)),
        (WEBRTC, True, True, False, None),
        (RTP, False, True, False, (RTP, WEBRTC)),
        (SRTP, False, True, True, (SRTP, WEBRTC)),
        (AS_IT_IS, False, True, False, None),
        (AS_IT_IS, False, False, True, None),
    ],
)
def test_the_kinds_of_both_sides(offer, from_browser, to_browser, is_refused, kinds):
    found = kinds_for(
        offer, from_browser=from_browser, to_browser=to_browser, is_refused=is_refused
    )
    assert found == kinds


PHONE = Description(RTP, "192.168.1.10")


@pytest.mark.parametrize(
    ("receiver", "sent", "profile", "ice", "more"),
    [
        (RTP, Description(WEBRTC, ""), "RTP/AVP", "remove", {"rtcp-mux": ["demux"]}),
        (SRTP, PHONE, "RTP/SAVP", "remove", {"DTLS": "off"}),
        (WEBRTC, PHONE, "UDP/TLS/RTP/SAVPF", "force", {"rtcp-mux": ["require"], "SDES": ["off"]}),
        (AS_IT_IS, PHONE, None, "remove", {}),
        (RTP, Description(AS_IT_IS, ""), None, "remove", {}),  # a fax within a call
    ],
)
def test_the_flags_for_each_receiver(receiver, sent, profile, ice, more):
    flags = flags_for(receiver, sent, "")
    assert (flags.get("transport-protocol"), flags["ICE"]) == (profile, ice)
    assert flags["replace"] == ["origin", "session-connection"]
    assert "received-from" not in flags
    assert more.items() <= flags.items()


def test_no_suite_without_encryption_is_offered():
    for receiver, sent in ((SRTP, PHONE), (AS_IT_IS, Description(SRTP, "192.168.1.10"))):
        assert "no-NULL_HMAC_SHA1_80" in flags_for(receiver, sent, "")["SDES"]


@pytest.mark.parametrize(("source", "family"), [("198.51.100.7", "IP4"), ("2001:db8::7", "IP6")])
def test_a_sender_behind_nat_is_named_by_its_source(source: str, family: str):
    flags = flags_for(AS_IT_IS, PHONE, source)
    assert flags["received-from"] == [family, source]
    assert "SIP-source-address" in flags["flags"]
    assert "received-from" not in flags_for(AS_IT_IS, Description(RTP, source), source)


@given(
    st.sampled_from("rswa"),
    st.sampled_from("rswa"),
    st.booleans(),
    st.booleans(),
    st.integers(min_value=0, max_value=2**64 - 1),
)
def test_a_mark_is_read_as_it_was_written(caller, callee, one, other, number):
    mark = MediaMark(caller, callee, f"{number:016x}", one, other)
    assert read_mark(str(mark)) == mark
    for text in ("", str(mark)[1:-8], f"x{mark}", f"{mark}!"):
        assert read_mark(text) is None


def test_a_browser_without_an_address_does_not_hold():
    """RFC 3264 §8.4: 0.0.0.0 is hold, but a browser writes it before it has a candidate."""
    body = HEAD.replace(b"192.0.2.9", b"0.0.0.0") + b"c=IN IP4 0.0.0.0\n"
    browser = with_address(body, Description(WEBRTC, "0.0.0.0"), "198.51.100.7")
    assert browser.count(b"c=IN IP4 198.51.100.7") == 2
    assert b"o=- 1 1 IN IP4 0.0.0.0" in browser
    assert b"c=IN IP6 ::7\r\n" in with_address(body, Description(WEBRTC, ""), "::7")
    assert with_address(body, Description(RTP, "0.0.0.0"), "198.51.100.7") == body
