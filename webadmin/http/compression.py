"""Compression of pages: gzip for browsers that accept it (RFC 9110 §8.4.1.3, §12.5.3).

The files of `views/static/` are compressed once, see static_files.py.  If a page contains a secret
and text chosen by an attacker, its compressed length can reveal the secret (BREACH).  So a page is
sent uncompressed if

- another site has caused the request: only such a request can contain an attacker's text;
- its Cache-Control has `no-transform`: pages that show a password or an HA1 have it, and proxies
  obey it, too.
"""

import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeAlias

import gevent

WSGIApp: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Headers: TypeAlias = "list[tuple[str, str]]"

# The key in the WSGI environment that marks a HEAD request.
HEAD_ONLY = "sipserver.head_only"

# Octets; a smaller response fits into one packet anyway.
MIN_BYTES = 1000
# A list of 50 users, 34 kB, takes 0.1 ms at this level.  Larger pages are compressed in a thread.
_LEVEL = 4
_THREAD_BYTES = 128 * 1024
_GZIP = 16 + zlib.MAX_WBITS

_TYPES = (
    *("text/html", "text/plain", "text/csv", "text/css", "text/javascript"),
    *("application/json", "application/problem+json", "image/svg+xml"),
)
_WITHOUT_BODY = ("1", "204", "206", "304")  # 206 is a part of the uncompressed file
_OWN_SITE = ("same-origin", "none")  # old browsers and programs send no Sec-Fetch-Site


def accepts_gzip(header: str) -> bool:
    """Return True if an Accept-Encoding header prefers gzip to identity (RFC 9110 §12.5.3).

    A tie counts for gzip.  Elements that cannot be read are ignored.
    """
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        weights.setdefault(name, _weight(parameters))
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0.0 <= weight <= 1.0 else 0.0  # False for NaN
    return 1.0


def gzipped(body: bytes, level: int) -> bytes:
    """Return the body in gzip; the output has no time stamp, so it is always the same."""
    packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()


def compressed(app: WSGIApp) -> WSGIApp:
    """Compress the responses of `app` if the browser accepts gzip.

    A HEAD request is handled as GET without sending the body, so that Content-Length is right.
    """

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        head_only = environ["REQUEST_METHOD"] == "HEAD"
        if head_only:
            environ = {**environ, "REQUEST_METHOD": "GET", HEAD_ONLY: True}
        result = _Response()
        body = app(environ, result.start)
        if result.may_be_compressed():
            result.headers.append(("Vary", "Accept-Encoding"))
            if _is_wanted(environ):
                body = result.compress(body)
        start_response(result.status, result.headers, result.exc_info)
        result.exc_info = None  # breaks the reference cycle of the traceback and this frame
        if head_only:
            _close(body)
            return []
        return body

    return serve


def _is_wanted(environ: dict[str, Any]) -> bool:
    fetch_site = environ.get("HTTP_SEC_FETCH_SITE")
    is_own_site = fetch_site is None or fetch_site in _OWN_SITE
    return is_own_site and accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", ""))


class _Response:
    """The status and headers of the application's response, until they are sent."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: Headers = []
        self.exc_info: Any = None

    def start(self, status: str, headers: Headers, exc_info: Any = None) -> None:
        """Store status and headers; this is the start_response of the application."""
        self.status, self.headers, self.exc_info = status, list(headers), exc_info

    def may_be_compressed(self) -> bool:
        """Return True for uncompressed text of at least MIN_BYTES."""
        headers = {name.lower(): value for name, value in self.headers}
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        return (
            kind in _TYPES
            and not self.status.startswith(_WITHOUT_BODY)
            and int(headers.get("content-length", MIN_BYTES)) >= MIN_BYTES
            and not headers.keys() & {"content-encoding", "etag", "content-range", "vary"}
            and "no-transform" not in headers.get("cache-control", "")
        )

    def compress(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return the compressed body; a streamed body is compressed piece by piece."""
        self.headers = [each for each in self.headers if each[0].lower() != "content-length"]
        self.headers.append(("Content-Encoding", "gzip"))
        if not isinstance(body, list):
            return _Pieces(body)
        whole = b"".join(body)
        if len(whole) < _THREAD_BYTES:
            packed = gzipped(whole, _LEVEL)
        else:
            packed = gevent.get_hub().threadpool.apply(gzipped, (whole, _LEVEL))
        self.headers.append(("Content-Length", str(len(packed))))
        return [packed]


class _Pieces:
    """A streamed body that is compressed piece by piece."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        self._pieces = self._packed()

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Close the body, also before its end."""
        self._pieces.close()
        _close(self._body)

    def _packed(self) -> Generator[bytes, None, None]:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        for piece in self._body:
            if packed := packer.compress(piece):
                yield packed
        yield packer.flush()


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()
