"""Problem details: the body of each error of the API (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from bottle import HTTPResponse
from msgspec import Struct

CONTENT_TYPE = "application/problem+json"


class FieldError(Struct, frozen=True):
    """An error in one field of the body, or in one parameter of the query."""

    field: str
    detail: str


class ProblemDetails(Struct, frozen=True, omit_defaults=True):
    """The body of an error; `errors` names the fields that are wrong."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()


class Problem(Exception):
    """The operation is refused.  `detail` is a sentence for the caller."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: tuple[FieldError, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.errors = errors
        self.headers = dict(headers or {})

    def response(self) -> HTTPResponse:
        """Return the response, with the details in its body."""
        title = HTTPStatus(self.status).phrase
        details = ProblemDetails("about:blank", title, self.status, str(self), self.errors)
        headers = {**self.headers, "Content-Type": CONTENT_TYPE}
        return HTTPResponse(msgspec.json.encode(details), self.status, headers)


def invalid(field: str, detail: str) -> Problem:
    """Return the problem of one invalid field."""
    return Problem(422, f"{field}: {detail}", errors=(FieldError(field, detail),))
