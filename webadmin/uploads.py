"""A file that a form sends: read into memory without holding up the other greenlets."""

import io
from typing import BinaryIO, NamedTuple

import gevent
from bottle import BaseRequest, FileUpload, HTTPError, HTTPResponse, request

from webadmin.context import Site

# Octets of a form with a file.
MAX_UPLOAD_BYTES = 32 * 1024 * 1024

_PIECE_BYTES = 64 * 1024
_PIECES_AT_ONCE = 16  # a megabyte; then SIP has its turn

_UNREADABLE = "The upload cannot be read; choose the file once more."


class Upload(NamedTuple):
    """The file, or the text, of a form, and the boxes that are ticked in it."""

    content: BinaryIO
    ticked: frozenset[str]


def uploaded(site: Site, *boxes: str) -> Upload:
    """Take the upload of the request at hand; `boxes` are the names of its check boxes.

    Raises ValueError with a sentence for the person.
    """
    environ = {
        name: request.environ[name]
        for name in ("REQUEST_METHOD", "CONTENT_TYPE", "CONTENT_LENGTH")
        if name in request.environ
    }

    def parse() -> tuple[bytes, frozenset[str]]:
        form = _Form(environ).POST
        file, text = form.get("file"), form.get("text")
        content = file.file.read() if isinstance(file, FileUpload) else b""
        pasted = text.encode() if isinstance(text, str) else b""
        return content or pasted, frozenset(box for box in boxes if form.get(box) == "yes")

    if not environ.get("CONTENT_TYPE", "").startswith("multipart/form-data"):
        raise ValueError(_UNREADABLE)
    environ["wsgi.input"] = _received(request.environ["wsgi.input"], request.content_length)
    try:
        # A thread, because it goes through the body line by line.
        content, ticked = site.imports.run(parse)
    except (HTTPResponse, LookupError, ValueError):  # of a charset, of a type that can't be read
        raise ValueError(_UNREADABLE) from None
    if not content.strip():
        raise ValueError("Choose a file, or paste some rows.")
    return Upload(io.BytesIO(content), ticked)


class _Form(BaseRequest):  # type: ignore[misc]  # bottle has no types
    """A form as large as an upload may be."""

    MEMFILE_MAX = MAX_UPLOAD_BYTES


def _received(source: BinaryIO, length: int) -> BinaryIO:
    """Read a body into memory, and let the other greenlets run now and then."""
    body = io.BytesIO()
    pieces = 0
    while body.tell() < length:
        piece = source.read(min(_PIECE_BYTES, length - body.tell()))
        if not piece:
            raise HTTPError(400, "The upload ended before its end.")
        body.write(piece)
        pieces += 1
        if pieces % _PIECES_AT_ONCE == 0:
            gevent.sleep(0.001)  # 0 would let no socket have its turn
    body.seek(0)
    return body
