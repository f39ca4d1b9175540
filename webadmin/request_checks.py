"""Who gets in: sessions, requests from other sites, and the headers that every answer carries."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

import gevent
from bottle import Bottle, HTTPError, HTTPResponse, request

from sip.store.admin import USERNAME, Session
from sip.store.bindings import NotSaved
from sip.store.database import DatabaseError
from webadmin.context import SESSION, Site, go_to
from webadmin.http.compression import HEAD_ONLY, WSGIApp
from webadmin.saved_form import KeptForm, full_path, page_of_form, sent_form
from webadmin.thread_pool import TooBusy

log = logging.getLogger(__name__)

COOKIE = "sipserver_session"

# Octets of a form.  An import says how much it takes by itself.
MAX_FORM_BYTES = 100_000

_HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
# How long after a visit by TLS a browser asks for nothing without it, in seconds.  That holds for
# all ports of the name: an operator who goes back to plain HTTP is not to wait for a year.
_HSTS_SECONDS = 30 * 24 * 3600
_OPEN = ("/login", "/healthz", "/favicon.ico")


def guard(app: Bottle, site: Site, large: Mapping[str, int]) -> None:
    """Let into `app` only who is signed in, and only requests that our own pages have sent.

    `large` names the paths whose forms may be larger, and how large.
    """

    @app.hook("before_request")  # type: ignore[untyped-decorator]
    def judge() -> None:
        _check_spelling()
        if request.method not in ("GET", "HEAD"):
            _check_size(large.get(request.path, MAX_FORM_BYTES))
            _check_origin()
        if request.path.startswith("/static/"):
            return
        token = request.get_cookie(COOKIE)
        try:
            session = site.admin.session(token, site.clock()) if token else None
        except DatabaseError as error:
            raise HTTPError(503, str(error)) from None
        if session is None and request.path not in _OPEN and not _is_sign_out():
            _to_sign_in(site, has_ended=bool(token))
        request.environ[SESSION] = session
        if session:
            note_use(session)

    noting: set[int] = set()

    def note_use(session: Session) -> None:
        """Have it written down that a session is used; no page waits for that, or fails by it."""
        address, now = request.environ.get("REMOTE_ADDR", ""), site.clock()
        if session.id not in noting and session.needs_touch(address, now):
            noting.add(session.id)
            gevent.spawn(write_use, session.id, address, now)

    def write_use(number: int, address: str, now: float) -> None:
        try:
            site.admin.touch_session(number, address, now)
        except DatabaseError as error:
            log.debug("when a session was used is not written down: %s", error)
        finally:
            noting.discard(number)

    def watched(callback: Callable[..., Any]) -> Callable[..., Any]:
        """Turn what a route raises into a page, and our own faults into one line of the log."""

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return callback(*args, **kwargs)
            except HTTPResponse:
                raise
            except (DatabaseError, NotSaved, TooBusy) as error:
                raise HTTPError(503, str(error)) from None
            except Exception:
                log.exception("while serving %s %s", request.method, request.path)
                raise HTTPError(500, _OUR_FAULT) from None

        return call

    app.install(watched)


_OUR_FAULT = "Something went wrong in the server. Its log says more."


def _check_spelling() -> None:
    """Refuse what bottle takes for something else: a verb in small letters, a path that is no text.

    A proxy before us may have judged it by the letters that it saw.
    """
    if request.environ["REQUEST_METHOD"] != request.method:
        raise HTTPError(405, "There is no such method.")
    try:
        request.environ.get("bottle.raw_path", "").encode("latin-1").decode()
    except UnicodeError:
        raise HTTPError(404, "There is no page at this address.") from None


def _check_size(most: int) -> None:
    # Bottle would take a body of unknown length without end.
    if request.chunked or not request.environ.get("CONTENT_LENGTH", "").isdecimal():
        raise HTTPError(411, "The request does not say how long it is.")
    if request.content_length > most:
        raise HTTPError(413, f"That is more than the {most // 1000} kB that are taken here.")


def _check_origin() -> None:
    """Refuse what the page of another site has a browser send."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site in ("same-origin", "none"):
            return
    else:
        origin, host = request.headers.get("Origin", ""), request.headers.get("Host", "")
        if origin.partition("://")[2].lower() == host.lower() != "":
            return
    raise HTTPError(403, "This request did not come from a page of this server.")


def sign_in_page(
    site: Site,
    error: str = "",
    username: str = USERNAME,
    *,
    said: str = "",
    has_ended: bool = False,
    wanted: str = "",
    kept: KeptForm | None = None,
) -> str:
    """Show the sign-in page; from there one comes to `wanted`, or to the form that is kept."""
    return site.page(
        "login.tpl",
        error=error,
        username=username,
        said=said,
        has_ended=has_ended,
        next=wanted,
        kept=kept,
    )


def _is_sign_out() -> bool:
    """Return True for a sign-out, which is right from a browser whose session has ended, too."""
    return bool(request.path == "/logout" and request.method == "POST")


def _to_sign_in(site: Site, *, has_ended: bool) -> None:
    """Send the browser to the sign-in page, and from there back to where it wanted to go.

    A form that comes after its session has ended is answered by that page, which keeps it.
    """
    if request.headers.get("HX-Request"):  # a part of a page; the whole page has to go
        raise HTTPResponse(status=401, headers={"HX-Redirect": _sign_in_path(page_of_form())})
    if request.method == "GET" and HEAD_ONLY not in request.environ:
        raise go_to(_sign_in_path(full_path(request.environ)))
    if not has_ended or request.method != "POST":
        raise go_to("/login")
    kept = sent_form()
    said = "Your session has ended, so what you sent was not done. Sign in again"
    said += ", then send it." if kept else ", then type or choose it once more."
    page = sign_in_page(site, said=said, has_ended=True, wanted=page_of_form(), kept=kept)
    raise HTTPResponse(page, status=403)


def _sign_in_path(wanted: str) -> str:
    return f"/login?next={quote(wanted, safe='/')}" if wanted not in ("", "/") else "/login"


def with_headers(app: WSGIApp) -> WSGIApp:
    """Add to every answer of `app`, its errors too, what browsers have to be told.

    What a browser has said is made readable before.
    """

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            said = {name.lower() for name, _ in headers}
            headers += [(name, value) for name, value in _HEADERS if name.lower() not in said]
            if "cache-control" not in said:
                headers.append(("Cache-Control", "no-store"))
            if environ.get("wsgi.url_scheme") == "https":
                headers.append(("Strict-Transport-Security", f"max-age={_HSTS_SECONDS}"))
            return start_response(status, headers, exc_info)

        _make_readable(environ)
        return app(environ, start)

    return serve


def _make_readable(environ: dict[str, Any]) -> None:
    """Put a mark in the place of octets that are no UTF-8: bottle raises where a field has some."""
    for name, value in environ.items():
        if name.startswith("HTTP_") and not value.isascii():
            text = value.encode("latin-1").decode("utf-8", "replace")
            environ[name] = text.encode("utf-8").decode("latin-1")
