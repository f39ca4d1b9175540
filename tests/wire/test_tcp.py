"""The running server at the other end of plain TCP sockets (RFC 3261 §18, RFC 5626 §3.5)."""

import contextlib
import signal
import socket

import pytest

from tests.support.admin import Admin
from tests.support.programs import PATIENCE, until
from tests.support.raw_tcp import PING, PONG, TcpClient

CONNECTIONS_FROM_ADDRESS = 64


# Messages


def test_options_and_registers_are_answered_on_their_connection(line):
    """§18.2.2: one after the other, and joined in one segment."""
    one = line()
    assert one.asks() == 200
    assert one.registers("alice") == 200
    one.says(b"".join(one.request("OPTIONS") for _ in range(100)))
    assert [one.hears_status() for _ in range(100)] == [200] * 100


def test_a_request_in_pieces_is_answered_once_it_is_whole(line):
    """§18.3: by its Content-Length, wherever its segments end."""
    one = line()
    body = b"\r\n\r\nOPTIONS sip:x SIP/2.0\r\n\r\n"
    request = one.request("OPTIONS", f"Content-Length: {len(body)}", "Content-Type: x/y") + body
    for octet in request[:-1]:
        one.says(bytes([octet]))
    one.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        one.socket.recv(1)
    one.socket.settimeout(PATIENCE)
    one.says(request[-1:] + one.request("OPTIONS"))
    assert one.hears().startswith(b"SIP/2.0 415 ")  # the type of the body is not supported
    assert one.hears_status() == 200


def test_a_ping_between_messages_is_answered(line):
    """RFC 5626 §3.5.1."""
    one = line()
    one.says(PING)
    assert one.socket.recv(10) == PONG
    assert one.asks() == 200


def test_a_large_message_is_taken_and_a_larger_one_is_refused(line):
    """§18.1.1: up to 65,535 octets must be taken."""
    one, other = line(), line()
    size = 128 * 1024
    one.says(one.request("OPTIONS", f"Content-Length: {size}", "Content-Type: x/y") + b"x" * size)
    assert one.hears_status() == 415
    assert one.asks() == 200
    other.says(other.request("OPTIONS", f"Content-Length: {size + 1}"))
    assert other.hears_status() == 413
    assert other.is_closed()


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (("Content-Length: 0", "l: 5"), 400),
        (("Content-Length: five",), 400),
        (("Content-Length: 0", "Subject: " + "x" * 65_536), 513),
    ],
)
def test_a_message_of_unknown_length_closes_its_connection(line, more, status):
    """§18.3: what follows could be read as anything."""
    one = line()
    one.says(one.request("OPTIONS", *more) + one.request("OPTIONS"))
    assert one.hears_status() == status
    assert one.is_closed()


@pytest.mark.parametrize(("end", "last"), [(b"\n", b"\n"), (b"\n", b"\r\n"), (b"\r\n", b"\n")])
def test_an_empty_line_without_crlf_is_answered_at_once(line, end: bytes, last: bytes):
    """§7: nothing else comes, for the sender waits for an answer."""
    one = line()
    one.says(one.request("OPTIONS")[:-2].replace(b"\r\n", end) + last)
    assert one.hears_status() == 400
    assert one.is_closed()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
        b"x\r\nl:0\r\n\r\n",
        b"\r\n\r\n\0\r\n\r\n",
    ],
)
def test_garbage_closes_its_connection_and_no_other(line, garbage: bytes):
    one, other = line(), line()
    one.says(garbage)
    assert one.is_closed() or one.is_closed()  # there may be a pong before
    assert other.asks() == 200


# Bounds


def test_one_address_has_its_limit_and_others_are_served(server, line):
    ours = [line() for _ in range(CONNECTIONS_FROM_ADDRESS)]
    assert ours[-1].asks() == 200
    assert line().is_closed()
    assert line("127.0.0.2").asks() == 200
    assert server.answers_options(PATIENCE)  # and UDP from the same address
    ours[0].close()

    def is_served() -> bool:
        with contextlib.suppress(OSError, AssertionError):
            return line().asks() == 200
        return False

    until(is_served, "an answer where a connection has been given up")


def test_a_peer_that_reads_nothing_disturbs_no_other(server, line):
    slow, other = line("127.0.0.30"), line()
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError, ConnectionError):
        for _ in range(5000):
            slow.says(slow.request("OPTIONS"))
    assert other.asks() == 200
    assert server.answers_options(PATIENCE)


def test_a_peer_that_sends_without_end_delays_no_other(server, line):
    """Connections have turns, and so have datagrams."""
    talker, other = line(), line("127.0.0.2")
    talker.socket.setblocking(False)
    flood = b"".join(talker.request("OPTIONS") for _ in range(1000))
    with contextlib.suppress(BlockingIOError):
        for _ in range(20):
            talker.socket.send(flood)
    assert other.asks() == 200
    assert server.answers_options(PATIENCE)


# The end


@pytest.mark.parametrize("end", [TcpClient.close, TcpClient.resets])
def test_a_phone_with_a_closed_connection_leaves_the_pages(server, line, end):
    """RFC 5626 §5.3: its Contact is the port that it connected from, and is not needed."""
    server.does("admin", "password", "--password", "secret of the admin")
    admin = Admin(server)
    assert admin.signs_in("secret of the admin")

    def online() -> set[str]:
        page = admin.reads("/users?status=online")
        return {user for user in ("alice", "bob", "carol") if f">{user}</a>" in page}

    lines = {user: line() for user in ("alice", "bob", "carol")}
    assert {user: one.registers(user) for user, one in lines.items()} == dict.fromkeys(lines, 200)
    assert online() == set(lines)
    end(lines["alice"])
    until(lambda: online() == {"bob", "carol"}, "a page without the phone that has gone")
    server.restart(signal.SIGKILL)
    until(lambda: online() == set(), "a page without the phones of closed connections")
    assert line().registers("bob") == 200
    assert online() == {"bob"}


def test_the_server_restarts_at_once_with_open_connections(server, line):
    """Its port is free for the next one, though connections of the last are still remembered."""
    lines = [line(), line("127.0.0.2"), line("127.0.0.3")]
    assert [one.asks() for one in lines] == [200] * 3
    lines[1].says(b"OPTIONS sip:x SI")
    server.restart()
    assert all(one.is_closed() for one in lines)
    assert line().asks() == 200
