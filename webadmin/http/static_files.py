"""The files of `views/static/`: read and compressed at the start, and served from memory.

They are 60 kB.  Browsers cache them for a year, under URLs that change with the file.
"""

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from hashlib import sha256
from pathlib import Path

from bottle import HTTPError, HTTPResponse, parse_date, parse_range_header, request

from webadmin.http.compression import HEAD_ONLY, MIN_BYTES, accepts_gzip, gzipped
from webadmin.templates import STATIC

_YEAR = 365 * 24 * 3600
_LEVEL = 9


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file; `packed` is its gzip, empty if the file is too small for compression."""

    body: bytes
    packed: bytes
    tag: str
    media_type: str
    changed_at: int


def _read(path: Path) -> StaticFile:
    body = path.read_bytes()
    packed = gzipped(body, _LEVEL) if len(body) >= MIN_BYTES else b""
    media_type = mimetypes.guess_type(path.name)[0] or "text/plain"
    if media_type.startswith("text/") or media_type == "application/javascript":
        media_type += "; charset=UTF-8"
    tag = sha256(body).hexdigest()[:20]
    return StaticFile(body, packed, tag, media_type, int(path.stat().st_mtime))


_FILES: Mapping[str, StaticFile] = {
    path.relative_to(STATIC).as_posix(): _read(path) for path in STATIC.rglob("*") if path.is_file()
}


def serve_file(name: str) -> HTTPResponse:
    """Return the response with a file or a range of it, in gzip or uncompressed.

    Raises HTTPError: 404 for no such file, 416 for a range outside the file.
    """
    file = _FILES.get(name)
    if file is None:
        raise HTTPError(404, "There is no such file.")
    asked = request.headers
    # A range is always of the uncompressed file (RFC 9110 §14.2), so that ranges fit together.
    wanted = "" if HEAD_ONLY in request.environ else asked.get("Range", "")
    wanted = wanted if wanted.startswith("bytes=") and "," not in wanted else ""
    if wanted and asked.get("If-Range", f'"{file.tag}"') != f'"{file.tag}"':
        wanted = ""  # §13.1.5: the range is of another version or of the gzip
    in_gzip = bool(file.packed and not wanted and accepts_gzip(asked.get("Accept-Encoding", "")))
    # The gzip and the uncompressed file have different tags (§8.8.3.3).
    tag = f'"{file.tag}-gzip"' if in_gzip else f'"{file.tag}"'
    headers = {
        "ETag": tag,
        "Last-Modified": formatdate(file.changed_at, usegmt=True),
        "Vary": "Accept-Encoding",
    }
    if request.query.get("v"):  # the URL changes with the file, see templates.static
        headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
    if _is_known(tag, file.changed_at):
        return HTTPResponse(status=304, **headers)
    headers |= {"Content-Type": file.media_type, "Accept-Ranges": "bytes"}
    if in_gzip:
        return HTTPResponse(file.packed, **headers, **{"Content-Encoding": "gzip"})
    if not wanted:
        return HTTPResponse(file.body, **headers)
    ranges = list(parse_range_header(wanted, len(file.body)))
    if not ranges:
        raise HTTPError(416, "The file does not have this range.")
    start, end = ranges[0]
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(file.body)}"
    return HTTPResponse(file.body[start:end], status=206, **headers)


def _is_known(tag: str, changed_at: int) -> bool:
    """Return True if the browser has this representation already (RFC 9110 §13.2.2)."""
    if (tags := request.headers.get("If-None-Match")) is not None:
        known = [each.strip().removeprefix("W/") for each in tags.split(",")]
        return tag in known or "*" in known
    since = parse_date(request.headers.get("If-Modified-Since", ""))
    return since is not None and since >= changed_at
