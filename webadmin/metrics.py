"""The page /metrics for Prometheus."""

from bottle import Bottle, HTTPResponse

from webadmin.context import AppContext
from webadmin.routes import Needs, route
from webadmin.token_check import TokenCheck, TokenRefused

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def mount(app: Bottle, context: AppContext, tokens: TokenCheck) -> None:
    """Add the route /metrics to `app`; a token of either role opens it."""

    def show() -> HTTPResponse:
        if not context.config.web_metrics_open:
            try:
                tokens.token()
            except TokenRefused as refused:
                content_type = {"Content-Type": "text/plain; charset=utf-8"}
                headers = {**refused.headers, **content_type}
                return HTTPResponse(f"{refused}\n", refused.status, headers)
        return HTTPResponse(context.metrics(), **{"Content-Type": CONTENT_TYPE})

    route(app, "GET", "/metrics", show, Needs.NOTHING)
