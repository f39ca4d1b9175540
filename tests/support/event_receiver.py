"""A web server on loopback that takes the events of a webhook, and answers as a test says."""

import json
import ssl
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Taken:
    """One request: its path, header fields and body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict:
        return json.loads(self.body)


@dataclass
class EventReceiver:
    """Answers with the statuses in `answers`, one for each request, and then with 200.

    `waits` holds all answers back while it is not set.  With `hangs_up` each connection is closed
    after one answer that does not say so, as web servers close idle connections.
    """

    tls: ssl.SSLContext | None = None
    answers: deque[int] = field(default_factory=deque)
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b"thank you"
    taken: list[Taken] = field(default_factory=list)
    connections: int = 0
    hangs_up: bool = False

    def __post_init__(self) -> None:
        self.waits = threading.Event()
        self.waits.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                receiver.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.taken.append(Taken(self.path, dict(self.headers), body))
                receiver.waits.wait(30)
                self.send_response(receiver.answers.popleft() if receiver.answers else 200)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(receiver.content)))
                self.end_headers()
                self.wfile.write(receiver.content)
                self.close_connection = self.close_connection or receiver.hangs_up

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 50

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that went away, or did not trust the certificate

        self.server = Server(("127.0.0.1", 0), Handler)
        if self.tls:
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        scheme, name = ("https", "localhost") if self.tls else ("http", "127.0.0.1")
        return f"{scheme}://{name}:{self.server.server_port}/sip?from=test"

    @property
    def names(self) -> list[str]:
        """The names of the events taken, in order."""
        return [taken.event["event"] for taken in self.taken]

    def close(self) -> None:
        self.waits.set()
        self.server.shutdown()
        self.server.server_close()
