"""Typed routes, because bottle's decorators would hide the types of the handlers."""

from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

from bottle import Bottle, HTTPResponse

# The result of most handlers: a page, or a redirect.
Result: TypeAlias = str | HTTPResponse


def route(
    app: Bottle,
    method: Literal["GET", "POST"],
    path: str,
    handler: Callable[..., Result | Iterable[str]],
) -> None:
    """Call `handler` for `method` at `path`, with the wildcards of `path` as its arguments."""
    app.route(path, method, handler)
