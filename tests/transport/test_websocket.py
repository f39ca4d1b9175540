"""WebSocket frames: messages of a client in any pieces, and ours (RFC 7118 §5, RFC 6455)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from sip.message.framing import PING
from sip.transport.websocket import (
    MAX_FRAGMENTS,
    MAX_MESSAGE_OCTETS,
    WebSocketEnd,
    WebSocketFramer,
)

REGISTER = "REGISTER sip:example.com SIP/2.0\r\nSubject: Grüße ☎\r\n\r\n"


@pytest.fixture
def client() -> Connection:
    """Make the other side of a WebSocket."""
    return Connection(ConnectionType.CLIENT)


def frames(client: Connection, *events: Event) -> bytes:
    """Return what the client sends for some events."""
    return b"".join(bytes(client.send(event)) for event in events)


def read(client: Connection, data: bytes) -> list[Event]:
    """Return what the client reads."""
    client.receive_data(data)
    return list(client.events())


def taken(framer: WebSocketFramer, *pieces: bytes) -> list[bytes]:
    """Return the messages of the pieces; each piece is read until nothing is left."""
    messages = []
    for piece in pieces:
        framer.feed(piece)
        while (message := framer.next()) is not None:
            messages.append(message)
    return messages


@given(st.lists(st.text() | st.binary(), max_size=5), st.data())
def test_messages_arrive_whole_in_any_pieces(messages: list[str | bytes], data: st.DataObject):
    """RFC 7118 §5: text and octets; frames and segments of TCP may end anywhere."""
    client, framer = Connection(ConnectionType.CLIENT), WebSocketFramer()
    sent = b""
    for each in messages:
        event = TextMessage if isinstance(each, str) else BytesMessage
        cut = data.draw(st.integers(0, len(each)))
        sent += frames(
            client,
            event(data=each[:cut], message_finished=False),
            Pong(),
            event(data=each[cut:]),
        )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    expected = [each.encode() if isinstance(each, str) else each for each in messages]
    pongs = [PING] * len(messages)
    got = taken(framer, *pieces)
    assert sorted(got) == sorted(expected + pongs)
    assert [each for each in got if each != PING] == [each for each in expected if each != PING]
    assert not framer.has_partial_message
    assert framer.buffered == 0


def test_a_message_in_the_midst_is_partial(client: Connection):
    """So that it gets a deadline, and its octets are counted."""
    framer = WebSocketFramer()
    frame = frames(client, TextMessage(data=REGISTER))
    assert taken(framer, frame[:-1]) == []
    assert framer.has_partial_message
    assert framer.buffered == len(frame) - 1


def test_more_messages_of_one_segment_are_buffered(client: Connection):
    """The connection takes another turn for them."""
    framer = WebSocketFramer()
    framer.feed(frames(client, *[TextMessage(data=REGISTER)] * 2))
    assert framer.next() == REGISTER.encode()
    assert framer.buffered > len(REGISTER)
    assert framer.next() == REGISTER.encode()
    assert framer.buffered == 0


@pytest.mark.parametrize("data", [REGISTER.encode(), b"SIP/2.0 200 OK\r\n\r\n\xff\xfe", b""])
def test_our_messages_are_text_unless_they_are_not_utf_8(client: Connection, data: bytes):
    """RFC 6455 §5.6: a browser would fail the connection."""
    (event,) = read(client, WebSocketFramer().wrap(data))
    assert isinstance(event, BytesMessage if b"\xff" in data else TextMessage)
    assert (event.data.encode() if isinstance(event, TextMessage) else event.data) == data


def test_pings_of_both_kinds_are_answered_once(client: Connection):
    """RFC 6455 §5.5.3 with its payload; RFC 5626 §3.5.1 with one line end."""
    framer = WebSocketFramer()
    assert taken(framer, frames(client, Ping(payload=b"7"))) == [PING]
    assert read(client, framer.pong()) == [Pong(payload=b"7")]
    assert taken(framer, frames(client, TextMessage(data="\r\n\r\n"))) == [PING]
    assert read(client, framer.pong()) == [TextMessage(data="\r\n")]
    assert taken(framer, frames(client, Pong())) == [PING]
    assert framer.pong() == b""
    assert read(client, framer.ping()) == [Ping()]


def test_a_close_is_answered(client: Connection):
    """RFC 6455 §5.5.1: with its code; what was sent before it still counts."""
    framer = WebSocketFramer()
    framer.feed(frames(client, TextMessage(data=REGISTER), CloseConnection(1001, "bye")))
    assert framer.next() == REGISTER.encode()
    with pytest.raises(WebSocketEnd, match="bye") as end:
        framer.next()
    assert read(client, end.value.frame) == [CloseConnection(1001, "bye")]


def masked(first: int, payload: bytes, length: bytes = b"") -> bytes:
    """Write a frame of any first octet."""
    return bytes([first]) + (length or bytes([0x80 | len(payload)])) + bytes(4) + payload


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x01x", 1002),  # §5.1: not masked
        (masked(0xC1, b"x"), 1002),  # §5.2: a reserved bit; no extension was agreed
        (masked(0x83, b"x"), 1002),  # an unknown opcode
        (masked(0x09, b"x"), 1002),  # §5.5: a ping in pieces
        (masked(0x80, b"x"), 1002),  # §5.4: a continuation of nothing
        (masked(0x01, b"x") + masked(0x81, b"x"), 1002),  # a message within a message
        (masked(0x81, b"\xff"), 1007),  # §8.1: no UTF-8
        (masked(0x88, b"x"), 1002),  # §5.5.1: half a code
        (masked(0x82, b"", b"\xff" + b"\xff" * 8), 1002),  # §5.2: 2^64 - 1 octets
        (masked(0x02, b"x") + masked(0x00, b"") * (MAX_FRAGMENTS - 1), 1009),
        (masked(0x82, b"x" * (MAX_MESSAGE_OCTETS + 1), b"\xff" + (2**40).to_bytes(8)), 1009),
        (b"REGISTER sip:example.com SIP/2.0\r\n", 1002),
    ],
)
def test_a_broken_rule_ends_it_with_its_code(client: Connection, data: bytes, code: int):
    """RFC 6455 §7.4.1; nothing is read after it, and nothing stays in memory."""
    framer = WebSocketFramer()
    with pytest.raises(WebSocketEnd) as end:
        taken(framer, data)
    (close,) = read(client, end.value.frame)
    assert isinstance(close, CloseConnection)
    assert close.code == code
    assert framer.next() is None
    assert not framer.buffered
