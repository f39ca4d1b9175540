"""Uploads: read the file of a form into memory without blocking other greenlets."""

import io
from typing import BinaryIO, NamedTuple

import gevent
from bottle import BaseRequest, FileUpload, HTTPError, HTTPResponse, request

from webadmin.context import AppContext
from webadmin.language import N_

# Largest form with a file, in octets.
MAX_UPLOAD_BYTES = 32 * 1024 * 1024

_PIECE_BYTES = 64 * 1024
_PIECES_AT_ONCE = 16  # a megabyte; then other greenlets run

_UNREADABLE = N_("The upload cannot be read. Choose the file again.")


class Upload(NamedTuple):
    """The file or the pasted text of a form, and the names of its ticked check boxes."""

    content: BinaryIO
    ticked: frozenset[str]


def uploaded(context: AppContext, *boxes: str) -> Upload:
    """Read the upload of the current request; `boxes` are the names of its check boxes.

    Raises ValueError with a sentence for the user.
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
    try:
        environ["wsgi.input"] = received()
        # In a thread, because bottle parses the body line by line.
        content, ticked = context.imports.run(parse)
    except UploadIncomplete:
        raise HTTPError(400, "The upload is incomplete.") from None
    except (HTTPResponse, LookupError, ValueError):  # an unknown charset, or a malformed body
        raise ValueError(_UNREADABLE) from None
    if not content.strip():
        raise ValueError(N_("Choose a file, or paste some rows."))
    return Upload(io.BytesIO(content), ticked)


class UploadIncomplete(Exception):
    """The connection has ended before the whole body was received."""


class _Form(BaseRequest):  # type: ignore[misc]  # bottle has no types
    """A request whose form may be as large as an upload."""

    MEMFILE_MAX = MAX_UPLOAD_BYTES


def received() -> BinaryIO:
    """Read the body of the current request into memory.  Raises UploadIncomplete."""
    return _received(request.environ["wsgi.input"], request.content_length)


def _received(source: BinaryIO, length: int) -> BinaryIO:
    """Read a body into memory; let other greenlets run from time to time."""
    body = io.BytesIO()
    pieces = 0
    while body.tell() < length:
        piece = source.read(min(_PIECE_BYTES, length - body.tell()))
        if not piece:
            raise UploadIncomplete
        body.write(piece)
        pieces += 1
        if pieces % _PIECES_AT_ONCE == 0:
            gevent.sleep(0.001)  # sleep(0) would not poll the sockets
    body.seek(0)
    return body
