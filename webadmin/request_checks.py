"""Checks before each request (session, origin, size), and the security headers of responses."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

import gevent
from bottle import Bottle, HTTPError, HTTPResponse, request

from sip.store.admins import USERNAME
from sip.store.bindings import NotSaved
from sip.store.database import DatabaseError
from sip.store.sessions import Session
from webadmin.context import SESSION, AppContext, redirect
from webadmin.http.compression import HEAD_ONLY, WSGIApp
from webadmin.language import N_, _
from webadmin.routes import Needs, needs_of_request
from webadmin.saved_form import SavedForm, full_path, page_of_form, posted_form
from webadmin.thread_pool import TooBusy

log = logging.getLogger(__name__)

COOKIE = "sipserver_session"

# Largest form, in octets.  The form of an import has a limit of its own.
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
# How long browsers insist on TLS after a visit by TLS, in seconds.  It holds for all ports of the
# host name, so an operator who goes back to plain HTTP should not have to wait for a year.
_HSTS_SECONDS = 30 * 24 * 3600

_IS_VIEWER = N_("Your role is viewer: you can read everything but secrets, and change nothing.")
_NO_FACTOR = N_("Set up your second factor first: it is required on this server.")


def install_checks(app: Bottle, context: AppContext, large: Mapping[str, int]) -> None:
    """Let `app` serve only requests that its own pages have sent, with the role that they need.

    `large` maps the paths whose forms may be larger to their limit in octets.
    """
    app.add_hook("before_request", RequestChecks(app, context, large).check)
    app.install(catch_errors)


class RequestChecks:
    """Checks each request before its handler: size, origin, session and role."""

    def __init__(self, app: Bottle, context: AppContext, large: Mapping[str, int]) -> None:
        self._app = app
        self._context = context
        self._large = large
        self._being_saved: set[int] = set()  # sessions whose last use is being written

    def check(self) -> None:
        """Check the current request, and store its session.  Raises HTTPResponse to refuse it."""
        _check_spelling()
        if request.method not in ("GET", "HEAD"):
            _check_size(self._large.get(request.path, MAX_FORM_BYTES))
            _check_origin()
        if request.path.startswith("/static/"):
            return
        token = request.get_cookie(COOKIE)
        try:
            session = self._context.sessions.find(token, self._context.clock()) if token else None
        except DatabaseError as error:
            raise HTTPError(503, str(error)) from None
        needs = needs_of_request(self._app)
        if session is None and needs is not Needs.NOTHING:
            _to_sign_in(self._context, has_ended=bool(token))
        request.environ[SESSION] = session
        if session:
            self._save_use(session)
            self._check_role(needs)

    def _check_role(self, needs: Needs) -> None:
        """Refuse a request that the present session may not send.  Raises HTTPResponse."""
        if needs in (Needs.NOTHING, Needs.OWN_ACCOUNT):
            return
        if self._context.lacks_second_factor:
            if request.headers.get("HX-Request"):
                raise HTTPResponse(status=403, headers={"HX-Redirect": "/account"})
            if request.method in ("GET", "HEAD"):
                raise redirect("/account")
            raise HTTPError(403, _NO_FACTOR)
        if needs is Needs.ADMIN and not self._context.can_change:
            raise HTTPError(403, _IS_VIEWER)

    def _save_use(self, session: Session) -> None:
        """Save in the background when and from where a session was used; it may fail."""
        address, now = request.environ.get("REMOTE_ADDR", ""), self._context.clock()
        if session.id not in self._being_saved and session.needs_touch(address, now):
            self._being_saved.add(session.id)
            gevent.spawn(self._write_use, session.id, address, now)

    def _write_use(self, number: int, address: str, now: float) -> None:
        try:
            self._context.sessions.touch(number, address, now)
        except DatabaseError as error:
            log.debug("cannot save the last use of a session: %s", error)
        finally:
            self._being_saved.discard(number)


def check_form_request() -> None:
    """Check the current request as RequestChecks does, but for its session."""
    _check_spelling()
    if request.method not in ("GET", "HEAD"):
        _check_size(MAX_FORM_BYTES)
        _check_origin()


def catch_errors(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a handler: expected errors become a 503 page, all others a 500 page and a traceback."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except HTTPResponse:
            raise
        except (DatabaseError, NotSaved, TooBusy) as error:
            raise HTTPError(503, str(error)) from None
        except Exception:
            what = f"{request.method} {request.path}"
            log.exception("unhandled error while handling %r", what)
            raise HTTPError(500, "The server has a fault. Its log has the details.") from None

    return call


def _check_spelling() -> None:
    """Refuse a method in lower case and a path that is not UTF-8: bottle would change both.

    A proxy in front of this server may have checked the request as it was written.
    """
    if request.environ["REQUEST_METHOD"] != request.method:
        raise HTTPError(405, "This request method is not supported.")
    try:
        request.environ.get("bottle.raw_path", "").encode("latin-1").decode()
    except UnicodeError:
        raise HTTPError(404, "There is no page at this address.") from None


def _check_size(most: int) -> None:
    # Bottle would read a body of unknown length without a limit.
    if request.chunked or not request.environ.get("CONTENT_LENGTH", "").isdecimal():
        raise HTTPError(411, "The request has no Content-Length.")
    if request.content_length > most:
        raise HTTPError(413, f"The form is larger than {most // 1000} kB.")


def _check_origin() -> None:
    """Refuse a request that a page of another site has sent (CSRF)."""
    fetch_site = request.headers.get("Sec-Fetch-Site")
    if fetch_site is not None:
        if fetch_site in ("same-origin", "none"):
            return
    else:
        origin, host = request.headers.get("Origin", ""), request.headers.get("Host", "")
        if origin.partition("://")[2].lower() == host.lower() != "":
            return
    raise HTTPError(403, "This request did not come from a page of this server.")


def sign_in_page(
    context: AppContext,
    error: str = "",
    username: str = USERNAME,
    *,
    message: str = "",
    has_ended: bool = False,
    next_path: str = "",
    saved: SavedForm | None = None,
) -> str:
    """Return the sign-in page.

    After signing in, the browser is sent to `next_path`, or shown the form in `saved`.
    """
    return context.page(
        "login.tpl",
        error=error,
        username=username,
        notice=message,
        has_ended=has_ended,
        next=next_path,
        saved=saved,
    )


def _to_sign_in(context: AppContext, *, has_ended: bool) -> None:
    """Raise a redirect to the sign-in page, which leads back to the current page.

    A form whose session has ended is answered with the sign-in page, which saves the form.
    """
    if request.headers.get("HX-Request"):  # a part of a page: redirect the whole page
        raise HTTPResponse(status=401, headers={"HX-Redirect": _sign_in_path(page_of_form())})
    if request.method == "GET" and HEAD_ONLY not in request.environ:
        raise redirect(_sign_in_path(full_path(request.environ)))
    if not has_ended or request.method != "POST":
        raise redirect("/login")
    saved = posted_form()
    message = _(
        "Your session has ended, so nothing was changed. Sign in again, then fill in the form"
        " again."
    )
    if saved:
        message = _(
            "Your session has ended, so nothing was changed. Sign in again, then send the form."
        )
    page = sign_in_page(
        context, message=message, has_ended=True, next_path=page_of_form(), saved=saved
    )
    raise HTTPResponse(page, status=403)


def _sign_in_path(path: str) -> str:
    return f"/login?next={quote(path, safe='/')}" if path not in ("", "/") else "/login"


def with_headers(app: WSGIApp) -> WSGIApp:
    """Add the security headers to every response of `app`, also to errors.

    It also repairs request headers that are not UTF-8, see _make_readable.
    """

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            names = {name.lower() for name, _ in headers}
            headers += [(name, value) for name, value in _HEADERS if name.lower() not in names]
            if "cache-control" not in names:
                headers.append(("Cache-Control", "no-store"))
            if environ.get("wsgi.url_scheme") == "https":
                headers.append(("Strict-Transport-Security", f"max-age={_HSTS_SECONDS}"))
            return start_response(status, headers, exc_info)

        _make_readable(environ)
        return app(environ, start)

    return serve


def _make_readable(environ: dict[str, Any]) -> None:
    """Replace octets that are not UTF-8 with U+FFFD: bottle raises UnicodeError for them."""
    for name, value in environ.items():
        if name.startswith("HTTP_") and not value.isascii():
            text = value.encode("latin-1").decode("utf-8", "replace")
            environ[name] = text.encode("utf-8").decode("latin-1")
