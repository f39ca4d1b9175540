"""The page /api: the documentation of the API, drawn from its own OpenAPI document."""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from bottle import Bottle

from webadmin.api.problems import CONTENT_TYPE as PROBLEM
from webadmin.context import AppContext
from webadmin.routes import route

Document = Mapping[str, Any]

# The parameters and values of the examples.
_EXAMPLES = {
    "id": "1",
    "registration_id": "1-5f2a9c",
    "call_id": "a84b4c76e66710",
    "address": "192.0.2.7",
    "network": "192.0.2.0/24",
}
_MAX_VALUES = 12


class Row(NamedTuple):
    """A parameter, a field or an error: its name, its type or status, and what it means."""

    name: str
    kind: str
    text: str


class Shape(NamedTuple):
    """The fields of a body; `kind` is "" or the type of a body without fields."""

    text: str
    kind: str
    rows: list[Row]


class OperationView(NamedTuple):
    """One operation as the page shows it."""

    id: str
    method: str
    path: str
    summary: str
    text: str
    parameters: list[Row]
    body: Shape | None
    status: str
    answer: Shape | None
    errors: list[Row]
    example: str


class Topic(NamedTuple):
    """The operations of one tag."""

    name: str
    operations: list[OperationView]


def mount(app: Bottle, context: AppContext, document: Callable[[], Document]) -> None:
    """Add the route /api to `app`."""
    known: list[list[Topic]] = []  # made when it is asked for first

    def show() -> str:
        if not known:
            known.append(context.drawing.run(lambda: topics_of(document())))
        return context.page("api.tpl", section="/tokens", topics=known[0])

    route(app, "GET", "/api", show)


def topics_of(document: Document) -> list[Topic]:
    """Return all operations of an OpenAPI document, by their tags."""
    prefix = document["servers"][0]["url"]
    schemas = document["components"]["schemas"]
    found = [
        (operation["tags"][0], _view(prefix + path, method.upper(), operation, schemas))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    found.sort(key=lambda each: each[0])
    return [
        Topic(tag, [view for _, view in some])
        for tag, some in groupby(found, key=lambda each: each[0])
    ]


def _view(path: str, method: str, operation: Document, schemas: Document) -> OperationView:
    responses = operation["responses"]
    status = next(each for each in responses if each.startswith("2"))
    parameters = operation.get("parameters", ())
    body = operation.get("requestBody")
    return OperationView(
        operation["operationId"],
        method,
        path,
        operation["summary"],
        _plain(operation["description"]),
        [_parameter(each) for each in parameters],
        _shape(body["content"], schemas, is_body=True) if body else None,
        status,
        _shape(responses[status]["content"], schemas) if "content" in responses[status] else None,
        [
            Row(each, "", response["description"])
            for each, response in sorted(responses.items())
            if each != status
        ],
        _example(path, method, operation, schemas),
    )


def _plain(text: str) -> str:
    """Return a description in one line, without the marks of code."""
    return " ".join(text.replace("`", "").split())


def _parameter(parameter: Document) -> Row:
    schema = parameter["schema"]
    where = "in the path" if parameter["in"] == "path" else _default(schema)
    return Row(parameter["name"], _kind(schema), where)


def _default(schema: Document) -> str:
    default = schema.get("default")
    return f"default {json.dumps(default)}" if default not in (None, "", [], ()) else ""


def _shape(content: Document, schemas: Document, *, is_body: bool = False) -> Shape:
    """Return the fields of a body or of an answer."""
    media_type, entry = next(iter(content.items()))
    if media_type not in ("application/json", PROBLEM):
        return Shape("", media_type, [])
    schema = _resolved(entry["schema"], schemas)
    properties = schema.get("properties")
    if properties is None:
        return Shape("", "JSON", [])
    about = schema
    if "items" in properties:
        about = _resolved(properties["items"].get("items", {}), schemas)
    # In an answer each field is there; in a body one with a default may be missing.
    required = schema.get("required", ()) if is_body else properties
    rows = list(_rows(properties, required, schemas, ""))
    return Shape(_plain(about.get("description", "")), "", rows)


def _rows(
    properties: Document, required: Iterable[str], schemas: Document, before: str
) -> Iterable[Row]:
    """Yield the fields of an object, and below each field the fields of its own objects."""
    for name, schema in properties.items():
        optional = "" if name in required else _default(schema) or "optional"
        yield Row(f"{before}{name}", _kind(schema), optional)
        inner = schema.get("items", schema)
        part = _resolved(inner, schemas)
        if "$ref" in inner and "properties" in part:
            mark = "[]" if "items" in schema else ""
            below = f"{before}{name}{mark}."
            yield from _rows(part["properties"], part["properties"], schemas, below)


def _resolved(schema: Document, schemas: Document) -> Document:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Document = schemas[reference.rpartition("/")[2]]
    return found


def _kind(schema: Document) -> str:
    """Return the type of a value in words."""
    if "$ref" in schema:
        return "object"
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        values = schema["enum"]
        more = ", …" if len(values) > _MAX_VALUES else ""
        return "one of " + ", ".join(map(str, values[:_MAX_VALUES])) + more
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"list: {_kind(schema['items'])}" if schema.get("items") else "list"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None and high < 10**9:
        return f"{kind}, {low} to {high}"
    if "maxLength" in schema:
        return f"{kind}, at most {schema['maxLength']} characters"
    return str(kind)


def _example(path: str, method: str, operation: Document, schemas: Document) -> str:
    """Return a command line for curl."""
    for name, value in _EXAMPLES.items():
        path = path.replace(f"{{{name}}}", value)
    is_stream = "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    words = ["curl -N" if is_stream else "curl"]
    if method != "GET":
        words.append(f"-X {method}")
    if operation.get("security") != []:
        words.append('-H "Authorization: Bearer $TOKEN"')
    body = operation.get("requestBody")
    if body and "text/csv" in body["content"]:
        words.append("-H 'Content-Type: text/csv' --data-binary @users.csv")
    elif body:
        shape = _resolved(body["content"]["application/json"]["schema"], schemas)
        names = shape.get("required") or list(shape["properties"])[:1]
        fields = {name: _EXAMPLES.get(name, "alice") for name in names}
        words.append(f"-H 'Content-Type: application/json' -d '{json.dumps(fields)}'")
    return " ".join([*words, f'"$SERVER{path}"'])
