"""The OpenAPI document, made from the operations that serve the API (OpenAPI 3.1)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast, get_args, get_origin

import msgspec
from msgspec import Struct, inspect

from sip import __version__
from sip.store.tokens import Role
from webadmin.api import problems
from webadmin.api.operations import JSON, PREFIX, Operation
from webadmin.api.shapes import Part

_TITLES = {
    400: "The request cannot be read.",
    401: "A token is needed, or it is wrong.",
    403: "The role of the token does not allow this.",
    404: "There is no such thing.",
    409: "The present state does not allow this.",
    411: "The request has no Content-Length.",
    413: "The body is too large.",
    415: "The body has another type.",
    422: "A parameter or a field is not valid.",
    429: "Too many wrong tokens came from this address.",
    503: "The server cannot do this now; try again later.",
}
_TOO_LONG = "The path with its query is longer than 64 kB."
_HEADERS = {401: ("WWW-Authenticate", "string"), 429: ("Retry-After", "integer")}
_REF = "#/components/schemas/{name}"


def document(operations: Sequence[Operation]) -> Mapping[str, Any]:
    """Return the document that describes all operations."""
    schemas = _Schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(
            operation, schemas, operations
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "sipserver", "version": __version__},
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


class _Schemas:
    """The JSON schemas of all shapes."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        shapes: list[Any] = [problems.ProblemDetails]
        for operation in operations:
            shapes += [
                shape
                for shape in (operation.body, operation.answer, operation.refusal)
                if shape is not None and not isinstance(shape, str)
            ]
        made, self.components = msgspec.json.schema_components(shapes, ref_template=_REF)
        self._by_shape = list(zip(shapes, made, strict=True))

    def of(self, shape: Any) -> Mapping[str, Any]:
        """Return the schema of a shape."""
        return next(schema for known, schema in self._by_shape if known is shape)


def _described(
    operation: Operation, schemas: _Schemas, all_operations: Iterable[Operation]
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _name(operation),
        "tags": [operation.path.split("/")[1].partition(".")[0]],
        "responses": _responses(operation, schemas, all_operations),
    }
    described["description"] = " ".join(_sentences(operation))
    if operation.is_open:
        described["security"] = []
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(kind)}
        for name, kind in operation.path_parameters.items()
    ]
    if operation.query:
        parameters += _query_parameters(operation.query)
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        described["requestBody"] = {"required": True, "content": _content(operation.body, schemas)}
    return described


def _sentences(operation: Operation) -> Iterable[str]:
    if operation.query:
        yield " ".join((operation.query.__doc__ or "").split())
    if operation.is_open:
        yield "This needs no token."
    elif operation.access is Role.ADMIN:
        yield "This needs a token with the role admin."
    else:
        yield "Tokens of both roles may do this."


def _name(operation: Operation) -> str:
    words = operation.path.replace("{", "").replace("}", "").replace(".", "/").split("/")
    return "_".join([operation.method.lower(), *filter(None, words)])


def _path_schema(kind: type) -> Mapping[str, Any]:
    if kind is int:
        return {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
    return {"type": "string", "minLength": 1}


def _query_parameters(query: type[Struct]) -> list[dict[str, Any]]:
    (reference,), components = msgspec.json.schema_components([query])
    schema = components[cast(str, reference["$ref"]).rpartition("/")[2]]
    described = []
    for each in _fields(query):
        parameter: dict[str, Any] = {
            "name": each.encode_name,
            "in": "query",
            "required": each.required,
            "schema": schema["properties"][each.encode_name],
        }
        if isinstance(each.type, inspect.VarTupleType):
            parameter |= {"style": "form", "explode": False}
        described.append(parameter)
    return described


def _content(shape: Any, schemas: _Schemas) -> Mapping[str, Any]:
    if isinstance(shape, str):
        return {shape: {"schema": {"type": "string"}}}
    return {JSON: {"schema": schemas.of(shape)}}


def _links(operation: Operation, all_operations: Iterable[Operation]) -> Mapping[str, Any]:
    """Return the operations on the things that an answer has, with their parameters."""
    answer = operation.answer
    if get_origin(answer) is Part:
        where, (answer,) = "items/0/", get_args(answer)
    elif operation.status == 201:
        where = ""
    else:
        return {}
    names = {each.encode_name for each in _fields(answer)}
    links = {}
    for other in all_operations:
        start, brace, parameter = other.path.partition("/{")
        parameter = parameter.partition("}")[0]
        field = "id" if parameter == "registration_id" else parameter
        is_of_call = parameter == "call_id" and "call_id" in names
        if brace and field in names and (start == operation.path or is_of_call):
            links[_name(other)] = {
                "operationId": _name(other),
                "parameters": {parameter: f"$response.body#/{where}{field}"},
            }
    return links


def _fields(shape: Any) -> Iterable[inspect.Field]:
    return cast(inspect.StructType, inspect.type_info(shape)).fields


def _responses(
    operation: Operation, schemas: _Schemas, all_operations: Iterable[Operation]
) -> Mapping[str, Any]:
    success: dict[str, Any] = {"description": operation.summary}
    if operation.answer is not None:
        success["content"] = _content(operation.answer, schemas)
    if operation.headers:
        success["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}}
            for name, meaning in operation.headers.items()
        }
    if links := _links(operation, all_operations):
        success["links"] = links
    responses: dict[str, dict[str, Any]] = {str(operation.status): success}
    if operation.query or operation.path_parameters:
        responses["414"] = {"description": _TOO_LONG}  # by the HTTP server, without details
    for status in operation.errors:
        problem: dict[str, Any] = {
            "description": _TITLES[status],
            "content": {problems.CONTENT_TYPE: {"schema": schemas.of(problems.ProblemDetails)}},
        }
        if status in _HEADERS:
            name, kind = _HEADERS[status]
            problem["headers"] = {name: {"schema": {"type": kind}}}
        if status == 422 and operation.refusal:
            known = problem["content"][problems.CONTENT_TYPE]["schema"]
            either = {"anyOf": [known, schemas.of(operation.refusal)]}
            problem["content"] = {problems.CONTENT_TYPE: {"schema": either}}
        responses[str(status)] = problem
    return responses
