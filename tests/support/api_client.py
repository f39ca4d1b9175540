"""A client of the API that calls the WSGI application."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.support.wsgi_browser import Answer, Browser

PREFIX = "/api/v1"


@dataclass
class ApiClient:
    """A program with a token."""

    browser: Browser
    token: str = ""

    def send(
        self, method: str, path: str, body: bytes = b"", content_type: str = "", **headers: str
    ) -> Answer:
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if content_type:
            headers["Content-Type"] = content_type
        return self.browser.send(method, PREFIX + path, body, headers)

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def json(self, path: str, **query: object) -> Any:
        """Return the value that a GET answers with 200."""
        pairs = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
        answer = self.get(f"{path}?{pairs}" if pairs else path)
        assert answer.status == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        return json.loads(answer.body)

    def write(self, method: str, path: str, value: object = None) -> Answer:
        """Send a value as JSON, or no body."""
        if value is None:
            return self.send(method, path)
        return self.send(method, path, json.dumps(value).encode(), "application/json")


def problem(answer: Answer) -> dict[str, Any]:
    """Return the details of a problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    details = json.loads(answer.body)
    assert details["status"] == answer.status
    assert {"type", "title", "detail"} <= details.keys()
    return details
