"""Session descriptions as the pages read them: codecs and direction (RFC 8866, RFC 3264)."""

import pytest

from sip.monitor.sdp import MAX_SDP_BYTES, codecs_of, holders_after, read_sdp
from tests.support.cases import cases

HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
AUDIO = HEAD + b"m=audio 4000 RTP/AVP 0 96\r\na=rtpmap:96 opus/48000/2\r\n"


def test_codecs_are_named_in_their_order():
    """By rtpmap, else by the static payload type (RFC 3551 §6); an unknown one is left out."""
    media = b"m=audio 4000 RTP/AVP 96 9 0 77 0 101 13\r\na=rtpmap:96 opus/48000/2\r\n"
    keys = b"a=rtpmap:101 telephone-event/8000\r\na=rtpmap:13 CN/8000\r\n"
    assert read_sdp(HEAD + media + keys).codecs == ("opus", "G722", "PCMU")


def test_payload_types_belong_to_their_media_line():
    video = b"m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    third = b"m=text 4004 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\n"
    assert read_sdp(AUDIO + video + third).codecs == ("PCMU", "opus", "H264")


@cases(
    ("lines", "direction"),
    [
        (b"", "sendrecv"),
        (b"a=sendonly\r\n", "sendonly"),
        (b"a=inactive\r\nm=video 1 RTP/AVP 31\r\na=sendonly\r\n", "inactive"),
        (b"c=IN IP4 0.0.0.0\r\n", "sendonly"),
        (b"c=IN IP4 0.0.0.0\r\na=recvonly\r\n", "recvonly"),
        (b"a=sendonly extra\r\n", "sendrecv"),
    ],
)
def test_the_direction_is_that_of_the_first_media(lines, direction):
    assert read_sdp(AUDIO + lines).direction == direction


def test_a_direction_of_the_session_holds_for_its_media():
    assert read_sdp(HEAD + b"a=recvonly\r\nm=audio 1 RTP/AVP 0\r\n").direction == "recvonly"


@pytest.mark.parametrize(
    "body", [b"", b"m=", b"m=audio\r\n", b"\xff\xfem=\x00", b"a=rtpmap:\r\nm=audio 1 RTP/AVP x"]
)
def test_what_cannot_be_read_has_no_codecs(body):
    assert read_sdp(body).codecs == ()


def test_a_long_description_is_read_in_part():
    """The number of codecs, and the text of each, are bounded as well."""
    many = b"".join(b"a=rtpmap:%d x%d/8000\r\n" % (n, n) for n in range(96, 127))
    media = b"m=audio 1 RTP/AVP " + b" ".join(b"%d" % n for n in range(96, 127)) + b"\r\n"
    assert len(read_sdp(HEAD + media + many).codecs) == 8
    late = b"a=rtpmap:96 opus/48000\r\n"
    assert read_sdp(HEAD + b"m=audio 1 RTP/AVP 96\r\n" + b"x" * MAX_SDP_BYTES + late).codecs == ()
    named = b"m=audio 1 RTP/AVP 96\r\na=rtpmap:96 <b>" + b"x" * 30 + b"/8000\r\n"
    assert read_sdp(HEAD + named).codecs == ()


def test_without_an_answer_the_offer_counts():
    answer = HEAD + b"m=audio 1 RTP/AVP 0\r\n"
    assert codecs_of(AUDIO, b"") == ("PCMU", "opus")
    assert codecs_of(AUDIO, answer) == ("PCMU",)


def test_an_inactive_answer_to_inactive_holds_nothing():
    """It is the only answer that is allowed (RFC 3264 §6.1)."""
    inactive = AUDIO + b"a=inactive\r\n"
    assert holders_after(set(), "caller", "callee", inactive, inactive) == {"caller"}
    assert holders_after({"callee"}, "caller", "callee", inactive, inactive) == {
        "caller",
        "callee",
    }
    assert holders_after({"callee"}, "caller", "callee", AUDIO, inactive) == {"callee"}
