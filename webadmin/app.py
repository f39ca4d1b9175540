"""The web admin as one WSGI application: all routes, and the error page."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bottle import Bottle, HTTPError, HTTPResponse, request, response

from webadmin import (
    account,
    admins,
    api_page,
    audit,
    blocked_logins,
    browser_phone,
    calls,
    exports,
    groups,
    health,
    history,
    imports,
    login,
    metrics,
    overview,
    phone_calls,
    phone_setup,
    second_factor,
    settings,
    theme,
    tokens,
    traces,
    trouble,
    users,
)
from webadmin.api import app as api
from webadmin.api.operations import PREFIX
from webadmin.client_address import with_client_addresses
from webadmin.context import AppContext
from webadmin.http.compression import WSGIApp, compressed
from webadmin.http.static_files import serve_file
from webadmin.import_service import MAX_IMPORT_BYTES, ImportService
from webadmin.language import N_, _, in_language, translated
from webadmin.provisioning import app as provisioning
from webadmin.request_checks import install_checks, with_headers
from webadmin.routes import Needs, route
from webadmin.second_step import CodeCheck
from webadmin.self_service import app as self_service
from webadmin.sign_in_limits import SignInLimiter
from webadmin.token_check import TokenCheck

log = logging.getLogger(__name__)

_TITLES = {
    400: N_("Bad request"),
    403: N_("Not allowed"),
    404: N_("Page not found"),
    405: N_("Method not allowed"),
    409: N_("Not possible"),
    411: N_("Length required"),
    413: N_("Too large"),
    416: N_("Range not available"),
    422: N_("Invalid input"),
    500: N_("Server error"),
    503: N_("Temporarily unavailable"),
}
# Paths that programs ask for: they are answered in English.
_FOR_PROGRAMS = (
    *("/static/", "/favicon.ico", "/healthz", "/metrics"),
    *(f"{PREFIX}/", f"{provisioning.PREFIX}/"),
)
# These replace bottle's own sentences, which repeat the path of the request.
_SENTENCES = {
    404: N_("There is no page at this address."),
    405: N_("This page does not support that request method."),
}


def build(context: AppContext) -> WSGIApp:
    """Return the application."""
    token_check, import_service = TokenCheck(context), ImportService(context)
    own_page = self_service.OwnPage(context)
    programs = api.build(context, token_check, import_service)
    app = pages(context, token_check, import_service, programs.document)
    others = {
        PREFIX: programs.app,
        provisioning.PREFIX: provisioning.build(context),
        self_service.PREFIX: self_service.build(context, own_page),
        browser_phone.PREFIX: browser_phone.build(context, own_page),
    }
    served = in_language(compressed(_with_others(app, others)), _FOR_PROGRAMS)
    return with_client_addresses(with_headers(served), lambda: context.config.web_proxies)


def pages(
    context: AppContext,
    token_check: TokenCheck,
    import_service: ImportService,
    document: Callable[[], Mapping[str, Any]],
) -> Bottle:
    """Return the application of all pages, and of /metrics; `document` describes the API."""
    app = Bottle()
    install_checks(app, context, large={"/users/import": MAX_IMPORT_BYTES})
    limiter = SignInLimiter(context.monotonic)
    codes = CodeCheck(context, limiter)
    login.mount(app, context, limiter, codes)
    overview.mount(app, context)
    calls.mount(app, context)
    history.mount(app, context)
    traces.mount(app, context)
    imports.mount(app, context, import_service)
    exports.mount(app, context, import_service)
    users.mount(app, context)
    groups.mount(app, context)
    phone_calls.mount(app, context)
    phone_setup.mount(app, context)
    trouble.mount(app, context)
    health.mount(app, context)
    blocked_logins.mount(app, context)
    audit.mount(app, context)
    admins.mount(app, context)
    tokens.mount(app, context)
    account.mount(app, context, limiter)
    second_factor.mount(app, context, limiter, codes)
    settings.mount(app, context)
    metrics.mount(app, context, token_check)
    api_page.mount(app, context, document)
    theme.mount(app)
    route(app, "GET", "/healthz", _healthz, Needs.NOTHING)
    route(app, "GET", "/static/<path:path>", _static_file, Needs.NOTHING)
    route(app, "GET", "/favicon.ico", _favicon, Needs.NOTHING)
    app.default_error_handler = lambda error: _error_page(context, error)
    return app


def _with_others(pages: WSGIApp, others: Mapping[str, WSGIApp]) -> WSGIApp:
    """Serve the paths under a prefix by its own application: no cookie of the pages opens it."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        for prefix, other in others.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return other(environ, start_response)
        return pages(environ, start_response)

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
        sentence = _(_SENTENCES[error.status_code])
    sentence = translated(_(sentence))
    if "text/html" not in request.headers.get("Accept", ""):
        response.content_type = "text/plain; charset=UTF-8"
        return f"{error.status_line}\n{sentence}\n"
    title = _(_TITLES.get(error.status_code, error.status_line.partition(" ")[2]))
    values = {"title": title, "sentence": sentence, **users.list_link_values()}
    return context.page("error.tpl", is_of_users=request.path.startswith("/users"), **values)
