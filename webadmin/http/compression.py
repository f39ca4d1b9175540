"""Compression: gzip for the answers of browsers that take it (RFC 9110 §8.4.1.3, §12.5.3).

What is the same for all, the files of `views/static/`, is compressed once (static_files.py); here
are the pages.  What a page holds and what its reader sees would be told by its length, were both a
secret and words of somebody else compressed together (BREACH).  So a page stays as it is where

- another site has made the browser ask for it: only such a request holds somebody else's words;
- it says `no-transform`, as those do that show a password or an HA1; a proxy heeds that as well.
"""

import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeAlias

import gevent

WSGIApp: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Headers: TypeAlias = "list[tuple[str, str]]"

# Where the application finds that only the head of its answer is asked for.
HEAD_ONLY = "sipserver.head_only"

# Octets: with its headers, less than this is one packet in any case.
MIN_BYTES = 1000
# A list of 50 users, 34 kB, takes 0.1 ms at this level; from so many octets on a thread does it.
_LEVEL = 4
_THREAD_BYTES = 128 * 1024
_GZIP = 16 + zlib.MAX_WBITS

_TYPES = (
    *("text/html", "text/plain", "text/csv", "text/css", "text/javascript"),
    *("application/json", "application/problem+json", "image/svg+xml"),
)
_WITHOUT_BODY = ("1", "204", "206", "304")  # and 206 has a part, of octets as they are
_OWN_SITE = ("same-origin", "none")  # or a browser, or a program, that doesn't say


def accepts_gzip(header: str) -> bool:
    """Read an Accept-Encoding; without one, and at a tie with `identity`, see RFC 9110 §12.5.3.

    What cannot be read counts for nothing.
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
            return weight if 0.0 <= weight <= 1.0 else 0.0  # neither of which holds for NaN
    return 1.0


def gzipped(body: bytes, level: int) -> bytes:
    """Compress what there is; the same octets each time, for they hold no moment."""
    packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()


def compressed(app: WSGIApp) -> WSGIApp:
    """Compress the answers of `app` where the browser takes that.

    A HEAD is asked as a GET, and answered with its head: that says how long the body would be.
    """

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        head_only = environ["REQUEST_METHOD"] == "HEAD"
        if head_only:
            environ = {**environ, "REQUEST_METHOD": "GET", HEAD_ONLY: True}
        answer = _Answer()
        body = app(environ, answer.start)
        if answer.may_be_compressed():
            answer.headers.append(("Vary", "Accept-Encoding"))
            if _is_wanted(environ):
                body = answer.compress(body)
        start_response(answer.status, answer.headers, answer.exc_info)
        answer.exc_info = None  # or its traceback and this frame would keep each other alive
        if head_only:
            _close(body)
            return []
        return body

    return serve


def _is_wanted(environ: dict[str, Any]) -> bool:
    site = environ.get("HTTP_SEC_FETCH_SITE")
    own = site is None or site in _OWN_SITE
    return own and accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", ""))


class _Answer:
    """What the application answers, until it is sent."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: Headers = []
        self.exc_info: Any = None

    def start(self, status: str, headers: Headers, exc_info: Any = None) -> None:
        """Take the head."""
        self.status, self.headers, self.exc_info = status, list(headers), exc_info

    def may_be_compressed(self) -> bool:
        """Return True for text as it is, of which there is more than a little."""
        said = {name.lower(): value for name, value in self.headers}
        kind = said.get("content-type", "").partition(";")[0].strip().lower()
        return (
            kind in _TYPES
            and not self.status.startswith(_WITHOUT_BODY)
            and int(said.get("content-length", MIN_BYTES)) >= MIN_BYTES
            and not said.keys() & {"content-encoding", "etag", "content-range", "vary"}
            and "no-transform" not in said.get("cache-control", "")
        )

    def compress(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Compress the body; one that is made as it is sent, piece by piece."""
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
    """A body that is compressed as it comes."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        self._pieces = self._packed()

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """End it, also before its end."""
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
