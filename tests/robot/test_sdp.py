"""Session descriptions: what is read, and that nothing else is believed."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.robot.sdp import BadDescription, Stream, offer, read_description

HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\n"
AUDIO = b"c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 0\r\n"


def audio(body: bytes) -> Stream:
    return read_description(body).audio()


def test_an_own_offer_is_read_back():
    stream = audio(offer("192.0.2.1", 10_000, 7, 1))
    assert stream == Stream("192.0.2.1", 10_000, 0, "PCMU", 101, receives=True, sends=True)


def test_the_first_codec_that_both_know_is_taken():
    stream = audio(HEAD + b"c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 9 8 0\r\n")
    assert (stream.payload_type, stream.encoding) == (8, "PCMA")


def test_a_dynamic_payload_type_may_mean_pcmu():
    """RFC 4566 §6: a=rtpmap, here in other letters."""
    body = AUDIO.replace(b"AVP 0", b"AVP 97") + b"a=rtpmap:97 pcmu/8000/1\r\n"
    assert audio(HEAD + body)[2:4] == (97, "PCMU")


def test_pcmu_at_another_rate_is_another_codec():
    body = AUDIO.replace(b"AVP 0", b"AVP 97") + b"a=rtpmap:97 PCMU/16000\r\n"
    with pytest.raises(BadDescription):
        audio(HEAD + body)


def test_the_address_of_the_stream_overrides_that_of_the_session():
    body = HEAD + AUDIO + b"c=IN IP4 192.0.2.77\r\n"
    assert audio(body).host == "192.0.2.77"


def test_a_name_as_the_address_is_not_looked_up():
    assert audio(HEAD + AUDIO.replace(b"192.0.2.9", b"phone.example.com")).host == ""


@pytest.mark.parametrize(
    ("line", "receives", "sends"),
    [
        (b"a=sendrecv", True, True),
        (b"a=sendonly", False, True),
        (b"a=recvonly", True, False),
        (b"a=inactive", False, False),
        (b"c=IN IP4 0.0.0.0", False, True),
    ],
)
def test_the_directions_of_a_stream(line: bytes, receives: bool, sends: bool):
    """RFC 3264 §5.1; 0.0.0.0 is hold by RFC 2543 (§8.4)."""
    stream = audio(HEAD + AUDIO + line + b"\r\n")
    assert (stream.receives, stream.sends) == (receives, sends)


def test_ipv6_is_written_with_its_family():
    body = HEAD + AUDIO.replace(b"IP4 192.0.2.9", b"IP6 2001:db8::9")
    answer = read_description(body).answer("2001:db8::1", 10_000, 7, 1)
    assert audio(body).host == "2001:db8::9"
    assert b"c=IN IP6 2001:db8::1\r\n" in answer


def test_lines_may_end_with_a_line_feed():
    assert audio((HEAD + AUDIO).replace(b"\r\n", b"\n")).port == 4000


@given(st.lists(st.sampled_from((HEAD + AUDIO).split(b"\r\n")) | st.binary(max_size=30)))
def test_any_octets_are_read_or_refused(lines: list[bytes]):
    body = b"\r\n".join([b"v=0", *lines])
    with suppress(BadDescription):
        answer = read_description(body).answer("192.0.2.1", 10_000, 7, 1)
        assert audio(answer).port == 10_000
