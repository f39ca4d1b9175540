"""Operations of the API: the parameters of each, and the one way in which all are served.

The problem: the document that describes the API must say what the code does.
The model: an `Operation` has the types of its query, its body and its answer.  The same types read
the request, write the response, and are described in the document (openapi.py).  So a parameter
that is not declared is refused, and a field that is not declared cannot be answered.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl

import msgspec
from bottle import Bottle, HTTPResponse, request
from msgspec import Struct, inspect

from sip.store.bindings import NotSaved
from sip.store.database import DatabaseError
from sip.store.tokens import Role, Token
from webadmin.api.problems import CONTENT_TYPE as PROBLEM
from webadmin.api.problems import FieldError, Problem, invalid
from webadmin.context import TOKEN
from webadmin.thread_pool import TooBusy
from webadmin.token_check import TokenCheck, TokenRefused
from webadmin.uploads import UploadIncomplete, received

log = logging.getLogger(__name__)

JSON = "application/json"
CSV = "text/csv"
PREFIX = "/api/v1"
# Largest body, in octets, of an operation that declares no other limit.
MAX_BODY_BYTES = 100_000
# Seconds after which a request that met a busy or full database may be repeated.
RETRY_SECONDS = 5
MAX_PARAMETERS = 50

# Parameters in paths: the type in the document, and the pattern of the route.
_PATH_PARAMETERS: Mapping[str, tuple[type, str]] = {
    "id": (int, "id:number"),
    "registration_id": (str, "registration_id"),
    "call_id": (str, "call_id:path"),
    "address": (str, "address:path"),
    "network": (str, "network:path"),
    "name": (str, "name:path"),
}
_PARAMETER = re.compile(r"\{(\w+)\}")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
# Header fields of an answer with secrets, see http/compression.py.
UNCOMPRESSED: Mapping[str, str] = {"Cache-Control": "no-store, no-transform"}
# The end of a text of msgspec: the place of the value.
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(?P<place>[^`]*)`$")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation: a method at a path, with its types.

    `handler` gets the parameters of the path by name, `query` and `body` if they are declared, and
    returns the value of the answer, maybe WithHeaders, or Encoded.  `body` is a Struct, or CSV for
    a file: the handler then gets a function that receives it, at most `most_bytes`, into memory.
    `answer` is the type of the body of the response with `status`, None for no body, or a media
    type.  `problems` are the statuses of the errors that the handler raises besides those that any
    operation has; `refusal` is the type of a problem with more fields (422).
    """

    method: str
    path: str
    summary: str
    handler: Callable[..., Any]
    query: type[Struct] | None = None
    body: Any = None
    answer: Any = None
    status: int = 200
    problems: tuple[int, ...] = ()
    refusal: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    access: Role = Role.VIEWER
    is_open: bool = False
    most_bytes: int = MAX_BODY_BYTES

    @property
    def route(self) -> str:
        """The path in bottle's form."""
        return PREFIX + _PARAMETER.sub(
            lambda found: f"<{_PATH_PARAMETERS[found[1]][1]}>", self.path
        )

    @property
    def path_parameters(self) -> Mapping[str, type]:
        """The types of the parameters in the path, by name."""
        return {name: _PATH_PARAMETERS[name][0] for name in _PARAMETER.findall(self.path)}

    @property
    def errors(self) -> tuple[int, ...]:
        """The statuses of all errors that this operation may answer."""
        found = {*self.problems, 400, 422, 503}
        if not self.is_open:
            found |= {401, 429}
        if self.access is Role.ADMIN:
            found.add(403)
        if self.body:
            found |= {411, 413, 415}
        return tuple(sorted(found))


class WithHeaders(NamedTuple):
    """The value of an answer, and header fields that the response needs besides."""

    value: Any
    headers: Mapping[str, str]


class Encoded(NamedTuple):
    """An answer in pieces, which are sent one by one; or a problem, with its status."""

    body: Iterable[bytes] | Iterable[str]
    status: int = 0


class Operations:
    """All operations, in the order of the document."""

    def __init__(self, tokens: TokenCheck) -> None:
        self.all: list[Operation] = []
        self.app = Bottle()
        self.app.router.add_filter("number", lambda _: ("[0-9]{1,18}", int, None))
        self._tokens = tokens

    def get(self, path: str, handler: Callable[..., Any], summary: str, **declared: Any) -> None:
        """Add an operation that changes nothing; tokens of both roles may use it."""
        self._add(Operation(method="GET", path=path, handler=handler, summary=summary, **declared))

    def change(
        self, method: str, path: str, handler: Callable[..., Any], summary: str, **declared: Any
    ) -> None:
        """Add an operation that changes something, for tokens with the role admin."""
        values = {"access": Role.ADMIN, **declared}
        self._add(Operation(method=method, path=path, handler=handler, summary=summary, **values))

    def _add(self, operation: Operation) -> None:
        self.all.append(operation)
        serve = lambda **path: self._serve(operation, path)  # noqa: E731 -- bottle needs no name
        self.app.route(operation.route, operation.method, serve)

    def _serve(self, operation: Operation, path: dict[str, Any]) -> HTTPResponse:
        try:
            self._check_token(operation)
            values = dict(path)
            if operation.query:
                values["query"] = _query(operation.query)
            else:
                _refuse_parameters()
            if operation.body:
                values["body"] = _body(operation)
            return _response(operation, operation.handler(**values))
        except Problem as problem:
            return problem.response()
        except TokenRefused as refused:
            return Problem(refused.status, str(refused), headers=refused.headers).response()
        except UploadIncomplete:
            return Problem(400, "The body is incomplete.").response()
        except (DatabaseError, NotSaved, TooBusy) as error:
            retry = {"Retry-After": str(RETRY_SECONDS)}
            return Problem(503, f"{error}.", headers=retry).response()
        except Exception:
            log.exception("unhandled error while handling %s %r", request.method, request.path)
            sentence = "The server has a fault. Its log has the details."
            return Problem(500, sentence).response()

    def _check_token(self, operation: Operation) -> None:
        if operation.is_open:
            return
        token = self._tokens.token()
        request.environ[TOKEN] = token
        if operation.access is Role.ADMIN:
            require_admin()


def require_admin() -> None:
    """Raise Problem (403) if the token of the current request has not the role admin."""
    token: Token = request.environ[TOKEN]
    if token.role is not Role.ADMIN:
        raise Problem(403, "This needs a token with the role admin.")


def _query(query: type[Struct]) -> Struct:
    """Read the parameters of the query.  Raises Problem (400, 422)."""
    fields = {each.encode_name: each.type for each in _fields(query)}
    values: dict[str, Any] = {}
    for name, text in _parameters():
        if name not in fields:
            raise invalid(name, "there is no such parameter")
        if name in values:
            raise invalid(name, "this parameter is given twice")
        values[name] = _from_text(fields[name], text)
    try:
        return msgspec.convert(values, query)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None


def _refuse_parameters() -> None:
    for name, _ in _parameters():
        raise invalid(name, "there is no such parameter")


def _parameters() -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            request.query_string,
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:
        raise Problem(400, "The query cannot be read: it is not UTF-8, or too long.") from None


def _fields(shape: type[Struct]) -> Iterable[inspect.Field]:
    return cast(inspect.StructType, inspect.type_info(shape)).fields


def _from_text(kind: inspect.Type, text: str) -> Any:
    """Return the value that a text in the query stands for; a wrong text stays a text."""
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for each in kinds:
        if isinstance(each, inspect.VarTupleType):
            return text.split(",") if text else []
        if isinstance(each, inspect.BoolType) and text in ("true", "false"):
            return text == "true"
        if isinstance(each, inspect.IntType) and _INTEGER.fullmatch(text):
            return int(text)
    return text


def _body(operation: Operation) -> Any:
    """Read the body.  Raises Problem (400, 411, 413, 415, 422)."""
    if request.chunked or not request.environ.get("CONTENT_LENGTH", "").isdecimal():
        raise Problem(411, "The request has no Content-Length.")
    if request.content_length > operation.most_bytes:
        raise Problem(413, f"The body is larger than {operation.most_bytes // 1000} kB.")
    wanted = operation.body if isinstance(operation.body, str) else JSON
    content_type = request.content_type.partition(";")[0]
    if content_type.strip().lower() != wanted:
        raise Problem(415, f"The body must be {wanted}; set Content-Type.")
    if wanted != JSON:
        return received
    try:
        return msgspec.json.decode(request.body.read(), type=operation.body)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    except msgspec.DecodeError as error:
        raise Problem(400, f"The body is not JSON: {error}.") from None


def _invalid(error: msgspec.ValidationError) -> Problem:
    """Return the problem of a value that does not fit its type."""
    text = str(error)
    place = _PLACE.search(text)
    detail = text[: place.start()] if place else text
    return Problem(
        422,
        f"{text.replace('$.', '')}.",
        errors=(FieldError(place["place"] if place else "", detail),),
    )


def _response(operation: Operation, value: Any) -> HTTPResponse:
    headers: dict[str, str] = {}
    if isinstance(value, WithHeaders):
        value, headers = value.value, dict(value.headers)
    answer = operation.answer
    if answer is None:
        return HTTPResponse(status=operation.status, headers=headers)
    is_file = isinstance(answer, str)
    headers["Content-Type"] = answer if is_file else JSON
    if is_file and answer.startswith("text/"):
        headers["Content-Type"] += "; charset=utf-8"
    if isinstance(value, Encoded):
        if value.status:
            headers["Content-Type"] = PROBLEM
        return HTTPResponse(value.body, value.status or operation.status, headers)
    return HTTPResponse(to_json(answer, value), operation.status, headers)


def to_json(shape: Any, value: Any) -> bytes:
    """Return a value as JSON of a shape; octets of a peer that are not UTF-8 become "?"."""
    shaped = msgspec.convert(value, shape, from_attributes=True)
    try:
        return msgspec.json.encode(shaped)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(shaped), ensure_ascii=False)
        return text.encode("utf-8", "replace")
