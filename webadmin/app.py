"""The web admin: every page of it, as one application."""

import logging

from bottle import Bottle, HTTPError, HTTPResponse, request, response

from webadmin import account, audit, bans, blocked_logins, imports, login, overview, users
from webadmin.context import Site
from webadmin.http.compression import WSGIApp, compressed
from webadmin.http.static_files import serve_file
from webadmin.request_checks import guard, with_headers

log = logging.getLogger(__name__)

_TITLES = {
    400: "Not understood",
    403: "Not allowed",
    404: "Nothing here",
    409: "Not possible",
    411: "Not understood",
    413: "Too large",
    416: "Not in the file",
    500: "Something went wrong",
    503: "Not possible just now",
}
# Bottle's own sentences name what was asked for; ours are better.
_SENTENCES = {
    404: "There is no page at this address.",
    405: "This page doesn't take that kind of request.",
}


def build(site: Site) -> WSGIApp:
    """Make the application."""
    app = Bottle()
    guard(app, site, large={"/users/import": imports.MAX_IMPORT_BYTES})
    tries = login.Tries(site.monotonic)
    login.mount(app, site, tries)
    overview.mount(app, site)
    imports.mount(app, site)
    users.mount(app, site)
    bans.mount(app, site)
    blocked_logins.mount(app, site)
    audit.mount(app, site)
    account.mount(app, site, tries)

    @app.get("/healthz")  # type: ignore[untyped-decorator]  # bottle has no types
    def healthz() -> str:
        response.content_type = "text/plain; charset=UTF-8"
        return "ok"

    @app.get("/static/<path:path>")  # type: ignore[untyped-decorator]
    def file(path: str) -> HTTPResponse:
        return serve_file(path)

    @app.get("/favicon.ico")  # type: ignore[untyped-decorator]
    def favicon() -> HTTPResponse:
        return serve_file("favicon.svg")

    def show_error(error: HTTPError) -> str:
        if error.exception:  # of bottle's own making, see guard for what routes raise
            log.error("while serving %s", request.path, exc_info=error.exception)
        sentence = str(error.body)
        if sentence.startswith(("Not found: ", "Method not allowed")):
            sentence = _SENTENCES[error.status_code]
        if "text/html" not in request.headers.get("Accept", ""):
            response.content_type = "text/plain; charset=UTF-8"
            return f"{error.status_line}\n{sentence}\n"
        title = _TITLES.get(error.status_code, error.status_line.partition(" ")[2])
        values = {"title": title, "sentence": sentence, **users.way_back()}
        return site.page("error.tpl", is_of_users=request.path.startswith("/users"), **values)

    app.default_error_handler = show_error
    return with_headers(compressed(app))
