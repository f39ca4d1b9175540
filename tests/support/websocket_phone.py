"""A phone on a WebSocket, as in a browser (RFC 7118): the frames are wsproto's, as a client."""

import os
import socket
import ssl

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Request, TextMessage

from tests.support.server import Server
from tests.support.socket_phone import Call, NoMessage, SocketPhone


class WebSocketClient:
    """One WebSocket, with the methods of a socket that a SocketPhone uses."""

    def __init__(
        self, port: int, *, is_secure: bool, path: str = "/ws", host: str = "127.0.0.1"
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10.0, (host, 0))
        if is_secure:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.connection = WSConnection(ConnectionType.CLIENT)
        self.events: list[Event] = []
        self.says(Request("localhost", path, subprotocols=["sip"]))
        assert isinstance(self.hears(), AcceptConnection)

    def says(self, event: Event) -> None:
        self.socket.sendall(self.connection.send(event))

    def hears(self) -> Event:
        """Return the next event; a text is whole."""
        while not self.events:
            data = self.socket.recv(65_535)
            self.connection.receive_data(data or None)
            self.events += self.connection.events()
        return self.events.pop(0)

    def settimeout(self, seconds: float) -> None:
        self.socket.settimeout(seconds)

    def getsockname(self) -> tuple[str, int]:
        return self.socket.getsockname()

    def send(self, data: bytes) -> None:
        self.says(TextMessage(data=data.decode()))

    def recv(self, size: int) -> bytes:
        text = ""
        while True:
            event = self.hears()
            if isinstance(event, Ping):
                self.says(event.response())
            elif isinstance(event, TextMessage):
                text += event.data
                if event.message_finished:
                    return text.encode()
            else:
                raise OSError(f"the WebSocket has ended: {event}")

    def has_been_closed(self) -> int:
        """Wait for the end by the server, and return its code."""
        event = self.hears()
        assert isinstance(event, CloseConnection), event
        if self.connection.state is ConnectionState.REMOTE_CLOSING:
            self.says(event.response())
        assert self.socket.recv(1) == b""
        return int(event.code)

    def close(self) -> None:
        self.socket.close()


class WebSocketPhone(SocketPhone):
    """One phone in a browser, which names itself by a host that leads nowhere."""

    def __init__(self, server: Server, user: str, seconds: float = 5.0) -> None:
        is_secure = server.web_url.startswith("https")
        self.transport = "WSS" if is_secure else "WS"
        self.server, self.user, self.seconds, self.offer = server, user, seconds, ""
        self.socket = WebSocketClient(server.web_port, is_secure=is_secure)
        self.here = f"{os.urandom(6).hex()}.invalid"
        self.address = f"<sip:{user}@{server.domain}>"
        self.contact = f"<sip:{user}@{self.here};transport=ws>"
        self.registration = Call(os.urandom(8).hex(), f"{self.address};tag=reg", self.address)


__all__ = ["NoMessage", "WebSocketClient", "WebSocketPhone"]
