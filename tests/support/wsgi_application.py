"""A WSGI application for tests of the web server, and requests to it."""

import errno

from gevent.event import Event

LINE = b"GET / HTTP/1.1\r\n"


HOST = b"Host: example.com\r\n"


GET = LINE + HOST + b"\r\n"


BIG = b"x" * 40_000_000


LONG = 600.0  # seconds that no test has


def ask(path: str, head: bytes = b"", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\n".encode() + HOST + head + b"\r\n"


def length(number: int) -> bytes:
    return b"Content-Length: %d\r\n" % number


class Application:
    """The application behind the web server."""

    def __init__(self) -> None:
        self.go_on = Event()
        self.busy = 0
        self.served: list[str] = []  # paths, or the sources, in this order
        self.told: list[Exception] = []

    def __call__(self, environ, start_response):
        assert environ["SERVER_NAME"] in ("127.0.0.1", "[::1]")
        assert environ["SERVER_SOFTWARE"] == "sipserver"
        self.served.append(environ.get("HTTP_USER_AGENT", environ["PATH_INFO"]))
        self.busy += 1
        try:
            yield from getattr(self, environ["PATH_INFO"][1:] or "hello")(environ, start_response)
        except Exception as error:
            self.told.append(error)
            raise
        finally:
            self.busy -= 1

    def hello(self, environ, start_response):
        body = f"{environ['REQUEST_METHOD']} from {environ['REMOTE_ADDR']}".encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        yield body if environ["REQUEST_METHOD"] != "HEAD" else b""

    def body(self, environ, start_response):
        body = b"%d octets" % len(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Length", str(len(body)))])
        yield body

    def hold(self, environ, start_response):
        self.go_on.wait()
        yield from self.hello(environ, start_response)

    def big(self, environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(BIG)))])
        yield BIG

    def events(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/event-stream; charset=utf-8")])
        yield b"data: first\n\n"
        self.go_on.wait()
        yield b"data: last\n\n"

    def boom(self, environ, start_response):
        raise OSError(errno.EPIPE, "the application's own")

    def half(self, environ, start_response):
        start_response("200 OK", [])
        yield b"the first half"
        raise OSError(errno.EPIPE, "the application's own")
