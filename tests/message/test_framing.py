"""Messages out of a stream (RFC 3261 §18.3, §20.14, RFC 5626 §3.5.1)."""

import random

import pytest

from sip.message.framing import PING, BadStream, Framer, with_length
from sip.message.message import MAX_BODY_BYTES, MAX_HEAD_BYTES
from tests.support.cases import cases


def message(body: bytes = b"", length: str = "Content-Length: {}", **more: str) -> bytes:
    fields = ["OPTIONS sip:example.com SIP/2.0", "Via: SIP/2.0/TCP h;branch=z9hG4bKx"]
    fields += [length.format(len(body)), *more.values(), "", ""]
    return "\r\n".join(fields).encode() + body


def cut(framer: Framer) -> list[bytes]:
    """All that is whole."""
    found = []
    while (frame := framer.next()) is not None:
        found.append(frame)
    return found


def fed(data: bytes) -> Framer:
    framer = Framer()
    framer.feed(data)
    return framer


MESSAGES = [
    message(),
    message(b"v=0\r\n\r\no=-\r\n\r\n"),
    message(b"x" * 70_000),
    message(b"\r\n" * 7, "l : {}"),
    message(b"abc", "cOnTeNt-lEnGtH\t:\r\n {}"),
    message(b"abc", "Content-Length: 0000000{}", last="Subject: l: 5"),
]


@cases("data", MESSAGES)
def test_a_message_ends_where_its_content_length_says(data: bytes):
    framer = fed(data)
    assert cut(framer) == [data]
    assert not framer.has_partial_message


@cases("seed", range(20))
def test_messages_are_framed_for_any_split_of_the_stream(seed: int):
    choice = random.Random(seed)
    stream = [choice.choice(MESSAGES) for _ in range(10)]
    joined = b"".join(b"\r\n" * choice.choice([0, 0, 1, 2, 3]) + one for one in stream)
    framer, found = Framer(), []
    while joined:
        at = choice.choice([1, 2, 3, 50, 1000, 65_536])
        framer.feed(joined[:at])
        joined = joined[at:]
        found += cut(framer)
    assert [frame for frame in found if frame != PING] == stream
    assert not framer.has_partial_message


def test_octet_by_octet():
    framer = Framer()
    found = []
    for octet in MESSAGES[1] + PING + MESSAGES[0]:
        framer.feed(bytes([octet]))
        found += cut(framer)
    assert found == [MESSAGES[1], PING, MESSAGES[0]]


@cases(
    ("data", "pings", "is_partial"),
    [
        (b"\r\n\r\n", 1, False),
        (b"\r\n", 0, False),
        (b"\r\n\r", 0, False),
        (b"\r\n\r\n\r\n\r\n", 2, False),
        (b"\r\n" * 40_001, 20_000, False),
        (b"\r\nO", 0, True),
        (b"O", 0, True),
    ],
)
def test_two_line_ends_are_a_ping_and_one_is_nothing(data: bytes, pings: int, is_partial: bool):
    """RFC 5626 §3.5.1, RFC 3261 §7.5."""
    framer = fed(data)
    assert cut(framer) == [PING] * pings
    assert framer.has_partial_message == is_partial


@cases(
    ("data", "status", "reason"),
    [
        (message(length="Subject: x"), 400, "Missing Content-Length"),
        (message(length="Subject: x\r\n Content-Length: 5"), 400, "Missing"),
        (message(last="l: 0"), 400, "More than one Content-Length"),
        (message(length="Content-Length:"), 400, "Malformed"),
        (message(length="Content-Length: x"), 400, "Content-Length"),
        (message(length="Content-Length: 5 5"), 400, "Content-Length"),
        (message(length="Content-Length: 5\r\n 5"), 400, "Malformed"),
        (message(length="Content-Length:\r\n5"), 400, "Malformed"),
        (message(length="Content-Length: -1"), 400, "Content-Length"),
        (message(length="Content-Length: 99999999999"), 400, "Malformed"),
        (message(length=f"Content-Length: {MAX_BODY_BYTES + 1}"), 413, "Too Large"),
        (message(last="Subject: a\nl: 5"), 400, "Line end"),
        (message(last="Subject: a\rl: 5"), 400, "Line end"),
        (message().replace(b"\r\n", b"\n"), 400, "Line end"),
        (message().replace(b"\r\n", b"\n")[:-1] + b"\r\n", 400, "Line end"),
        (message()[:-2] + b"\n", 400, "Line end"),
        (message(last="Subject: " + "x" * MAX_HEAD_BYTES), 513, "octets"),
        (b"x" * (MAX_HEAD_BYTES + 1), 513, "octets"),
        (b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", 400, "request line"),
        (b"x\r\nl: 0\r\nSubject: a SIP/2.0\r\n\r\n", 400, "request line"),
    ],
)
def test_a_stream_without_a_known_message_end_is_bad(data: bytes, status: int, reason: str):
    """The rest would be read as something that its sender did not mean."""
    framer = fed(data)
    with pytest.raises(BadStream, match=reason) as bad:
        cut(framer)
    assert bad.value.status == status
    assert data.startswith(bad.value.head)


def test_a_body_of_the_largest_size_is_taken():
    data = message(b"x" * MAX_BODY_BYTES)
    assert cut(fed(data)) == [data]


@pytest.mark.parametrize(
    "line", [b"l:" + b" " * 60_000 + b"x", b"l" + b" " * 60_000, b"l:" + b"\r\n " * 20_000 + b"x"]
)
def test_a_head_that_is_made_to_be_slow_is_not(line: bytes):
    """Looking back at each octet of such a line takes minutes, and a test has less."""
    for _ in range(10):
        with pytest.raises(BadStream):
            cut(fed(b"OPTIONS sip:x SIP/2.0\r\n" + line + b"\r\n\r\n"))


@cases("data", [*MESSAGES, PING])
def test_what_has_a_length_goes_out_as_it_is(data: bytes):
    assert with_length(data) is data


@cases("body", [b"", b"v=0\r\n\r\n", b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n"])
@cases("field", ["Subject: l: 5", "Subject: x\r\n Content-Length: 5"])
def test_what_has_no_length_gets_one(body: bytes, field: str):
    """§16.6 step 9, §20.14: with any body, and with folded lines."""
    data = message(body, field)
    given = with_length(data)
    assert cut(fed(given)) == [given]
    assert given.replace(b"Content-Length: %d\r\n\r\n" % len(body), b"\r\n", 1) == data


@pytest.mark.parametrize("line", [b"OPTIONS sip:x sip/2.0", b"SIP/2.0 200 OK", b"X sip:x SIP/7.0"])
def test_what_may_be_sip_is_for_the_parser_to_judge(line: bytes):
    """§7.1, §21.5.6: another version gets 505."""
    data = line + b"\r\nl: 0\r\n\r\n"
    assert cut(fed(data)) == [data]
