"""The web admin as one WSGI application: all routes, and the error page."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from bottle import Bottle, HTTPError, HTTPResponse, request, response

from webadmin import (
    account,
    api_page,
    audit,
    blocked_logins,
    calls,
    groups,
    health,
    history,
    imports,
    login,
    metrics,
    overview,
    phone_calls,
    theme,
    traces,
    trouble,
    users,
)
from webadmin.api import app as api
from webadmin.api.operations import PREFIX
from webadmin.context import AppContext
from webadmin.http.compression import WSGIApp, compressed
from webadmin.http.static_files import serve_file
from webadmin.import_service import MAX_IMPORT_BYTES, ImportService
from webadmin.request_checks import install_checks, with_headers
from webadmin.routes import route
from webadmin.token_check import TokenCheck

log = logging.getLogger(__name__)

_TITLES = {
    400: "Bad request",
    403: "Not allowed",
    404: "Page not found",
    405: "Method not allowed",
    409: "Not possible",
    411: "Length required",
    413: "Too large",
    416: "Range not available",
    422: "Invalid input",
    500: "Server error",
    503: "Temporarily unavailable",
}
# These replace bottle's own sentences, which repeat the path of the request.
_SENTENCES = {
    404: "There is no page at this address.",
    405: "This page does not support that request method.",
}


def build(context: AppContext) -> WSGIApp:
    """Return the application."""
    app = Bottle()
    install_checks(app, context, large={"/users/import": MAX_IMPORT_BYTES})
    limiter = login.SignInLimiter(context.monotonic)
    login.mount(app, context, limiter)
    overview.mount(app, context)
    calls.mount(app, context)
    history.mount(app, context)
    traces.mount(app, context)
    import_service = ImportService(context)
    imports.mount(app, context, import_service)
    users.mount(app, context)
    groups.mount(app, context)
    phone_calls.mount(app, context)
    trouble.mount(app, context)
    health.mount(app, context)
    blocked_logins.mount(app, context)
    audit.mount(app, context)
    account.mount(app, context, limiter)
    tokens = TokenCheck(context)
    metrics.mount(app, context, tokens)
    programs = api.build(context, tokens, import_service)
    api_page.mount(app, context, programs.document)
    theme.mount(app)
    route(app, "GET", "/healthz", _healthz)
    route(app, "GET", "/static/<path:path>", _static_file)
    route(app, "GET", "/favicon.ico", _favicon)
    app.default_error_handler = lambda error: _error_page(context, error)
    return with_headers(compressed(_with_api(app, programs.app)))


def _with_api(pages: WSGIApp, api_app: WSGIApp) -> WSGIApp:
    """Serve the paths of the API by its own application: no cookie opens it."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_of_api = environ["PATH_INFO"].startswith(f"{PREFIX}/")
        return (api_app if is_of_api else pages)(environ, start_response)

    return serve


def _healthz() -> str:
    response.content_type = "text/plain; charset=UTF-8"
    return "ok"


def _static_file(path: str) -> HTTPResponse:
    return serve_file(path)


def _favicon() -> HTTPResponse:
    return serve_file("favicon.svg")


def _error_page(context: AppContext, error: HTTPError) -> str:
    """Return the page of an error, or plain text for a client that does not accept HTML."""
    if error.exception:  # raised inside bottle; request_checks.py logs the errors of handlers
        log.error("unhandled error while handling %r", request.path, exc_info=error.exception)
    sentence = str(error.body)
    if sentence.startswith(("Not found: ", "Method not allowed")):
        sentence = _SENTENCES[error.status_code]
    if "text/html" not in request.headers.get("Accept", ""):
        response.content_type = "text/plain; charset=UTF-8"
        return f"{error.status_line}\n{sentence}\n"
    title = _TITLES.get(error.status_code, error.status_line.partition(" ")[2])
    values = {"title": title, "sentence": sentence, **users.list_link_values()}
    return context.page("error.tpl", is_of_users=request.path.startswith("/users"), **values)
