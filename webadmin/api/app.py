"""The application of /api/v1: all operations, the document, and the errors outside of them."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import msgspec
from bottle import HTTPError, request, response

from webadmin.api import (
    calls,
    events,
    groups,
    history,
    imports,
    openapi,
    operation,
    problems,
    registrations,
    settings,
    traces,
    trouble,
    users,
)
from webadmin.api.operations import JSON, Encoded, Operations
from webadmin.api.problems import Problem
from webadmin.context import AppContext
from webadmin.http.compression import WSGIApp
from webadmin.import_service import ImportService
from webadmin.token_check import TokenCheck

log = logging.getLogger(__name__)

_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not support that request method.",
}


class Api(NamedTuple):
    """The application, which is served for the paths under PREFIX, and its OpenAPI document."""

    app: WSGIApp
    document: Callable[[], Mapping[str, Any]]


def build(context: AppContext, tokens: TokenCheck, import_service: ImportService) -> Api:
    """Return the application and its document."""
    operations = Operations(tokens)
    users.mount(operations, context)
    groups.mount(operations, context)
    imports.mount(operations, import_service, context)
    registrations.mount(operations, context)
    calls.mount(operations, context)
    history.mount(operations, context)
    traces.mount(operations, context)
    trouble.mount(operations, context)
    operation.mount(operations, context)
    settings.mount(operations, context)
    events.mount(operations, context)
    encoded: list[bytes] = []  # made when it is asked for first

    def document() -> Mapping[str, Any]:
        return openapi.document(operations.all)

    def describe() -> Encoded:
        if not encoded:  # in a thread: it takes some milliseconds
            encoded.append(context.drawing.run(lambda: msgspec.json.encode(document())))
        return Encoded(encoded[:1])

    operations.get("/openapi.json", describe, "Describe the API", answer=JSON, is_open=True)
    operations.app.add_hook("before_request", _check_spelling)
    operations.app.default_error_handler = _error
    return Api(cast(WSGIApp, operations.app), document)


def _check_spelling() -> None:
    """Refuse a method in lower case and a path that is not UTF-8: bottle would change both."""
    if request.environ["REQUEST_METHOD"] != request.method:
        raise HTTPError(405)
    try:
        request.environ.get("bottle.raw_path", "").encode("latin-1").decode()
    except UnicodeError:
        raise HTTPError(404) from None


def _error(error: HTTPError) -> bytes:
    """Return the body of the problem of a request that no operation has served."""
    if error.exception:  # raised inside bottle; operations.py logs the errors of handlers
        log.error("unhandled error while handling %r", request.path, exc_info=error.exception)
    sentence = _SENTENCES.get(error.status_code, "The request cannot be read.")
    problem = Problem(error.status_code, sentence).response()
    response.content_type = problems.CONTENT_TYPE
    if error.status_code == 405:  # bottle serves HEAD where it serves GET, and does not list it
        methods = set(response.get_header("Allow", "").split(","))
        allowed = methods | ({"HEAD"} if "GET" in methods else set())
        response.set_header("Allow", ", ".join(sorted(allowed)))
    body: bytes = problem.body
    return body
