"""Attacks on the API: without a token, with too little of a role, and with odd values."""

import json
import re
from collections.abc import Iterator

import pytest

from sip.store.tokens import Role
from tests.support.api_client import PREFIX, ApiClient
from tests.support.cases import cases
from tests.support.filled_context import FilledContext
from tests.support.server import Server
from tests.support.web_attacker import Attacker, statuses
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import PASSWORD, browser, clock, context, stranger
from webadmin.api.cursors import encoded
from webadmin.app import build
from webadmin.sign_in_limits import MAX_TRIES

__all__ = ["browser", "clock", "context", "stranger"]

VALUES = {
    "id": "1",
    "registration_id": "1-a",
    "call_id": "one",
    "address": "192.0.2.66",
    "network": "192.0.2.0/24",
}
BODIES = {"text/csv": b"username,password\nzoe,wonder-4711\n", "application/json": b"{}"}
LISTS = ("users", "registrations", "calls", "history", "refusals", "waits", "bans", "trusted")


@pytest.fixture
def admin(context, clock, stranger) -> ApiClient:
    filled = FilledContext(context, clock)
    context.users.add("alice", "secret")
    filled.starts_call()
    filled.bans()
    filled.has_to_wait()
    context.bans.trust("198.51.100.0/24")
    return ApiClient(stranger, context.tokens.add("admin", Role.ADMIN))


def operations(client: ApiClient) -> Iterator[tuple[str, str, dict]]:
    """Yield method, path and description of each operation but that of the document."""
    document = json.loads(client.browser.get(f"{PREFIX}/openapi.json").body)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation.get("security") != []:
                yield method.upper(), path, operation


def filled_in(path: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)


def sends(client: ApiClient, method: str, path: str, operation: dict, **headers: str) -> int:
    """Send a request with a body of the right type, and return its status."""
    kinds = operation.get("requestBody", {}).get("content", {"": None})
    kind = next(iter(kinds))
    target = filled_in(path, VALUES)
    return client.send(method, target, BODIES.get(kind, b""), kind, **headers).status


def state(context) -> tuple[object, ...]:
    """What a change would change."""
    users = [(each.username, each.enabled) for each in context.users.list()]
    bans = [ban.address for ban in context.bans.list(context.clock())]
    waits = len(context.guard.waits().waits)
    return users, bans, waits, list(context.bans.trusted()), len(context.audit.entries())


@cases(
    "field",
    [
        {},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"X_Authorization": "Bearer TOKEN"},
        {"Cookie": "Authorization=TOKEN; token=TOKEN"},
    ],
)
def test_no_operation_is_open_without_a_token(admin, context, field):
    token, before = admin.token, state(context)
    client = ApiClient(admin.browser)
    headers = {name: value.replace("TOKEN", token) for name, value in field.items()}
    for method, path, operation in operations(admin):
        assert sends(client, method, path, operation, **headers) == 401, (method, path)
    assert sends(client, "GET", f"/users?token={token}", {}) == 401
    assert sends(client, "GET", f"/users?access_token={token}", {}) == 401
    assert state(context) == before


def test_a_session_opens_no_operation(admin, context):
    client = ApiClient(Browser(build(context)))
    assert client.browser.post("/login", username="admin", password=PASSWORD).status == 303
    before = state(context)
    for method, path, operation in operations(admin):
        assert sends(client, method, path, operation, **client.browser.own_site) == 401
    assert state(context) == before


def test_a_token_opens_no_page(admin):
    headers = {"Authorization": f"Bearer {admin.token}"}
    for path in ("/", "/users", "/settings", "/api", "/users/export.csv", "/users/1/hashes"):
        assert admin.browser.get(path, **headers).status == 303


def test_a_viewer_can_change_nothing(admin, context):
    viewer = ApiClient(admin.browser, context.tokens.add("viewer", Role.VIEWER))
    before = state(context)
    for method, path, operation in operations(admin):
        if method != "GET":
            assert sends(viewer, method, path, operation) == 403, (method, path)
    for path in ("/traces/one?secrets=true", "/users/export.csv?hashes=true"):
        assert viewer.get(path).status == 403
    assert state(context) == before


def test_no_header_field_changes_the_method_or_the_role(admin, context):
    viewer = ApiClient(admin.browser, context.tokens.add("viewer", Role.VIEWER))
    before = state(context)
    for headers in (
        {"X_HTTP_Method_Override": "DELETE"},
        {"X_Method_Override": "DELETE", "X_Original_URL": f"{PREFIX}/users/1"},
        {"X_Forwarded_User": "admin", "X_Role": "admin"},
        {"Authorization": f"Bearer {viewer.token}, Bearer {admin.token}"},
    ):
        headers = {"Authorization": f"Bearer {viewer.token}", **headers}
        client = ApiClient(admin.browser)
        answer = client.send("POST", "/users/1/restore", **headers)
        assert answer.status in (401, 403), headers
    assert state(context) == before


def test_guesses_are_counted_over_all_operations(admin):
    """The limit is that of the address; a token that was right before still works there."""
    assert admin.get("/calls").status == 200
    guesser = ApiClient(admin.browser)
    found = []
    for number, (method, path, operation) in enumerate(operations(admin)):
        guesser.token = f"sipserver_guess{number}"
        found.append(sends(guesser, method, path, operation))
    assert found == [401] * MAX_TRIES + [429] * (len(found) - MAX_TRIES)
    assert admin.get("/calls").status == 200


def test_other_sites_get_no_permission(admin):
    origin = {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"}
    ask = {"Access_Control_Request_Method": "DELETE", "Access_Control_Request_Headers": "x"}
    preflight = ApiClient(admin.browser).send("OPTIONS", "/users/1", **origin, **ask)
    assert preflight.status == 405
    read = admin.send("GET", "/users", **origin)
    for answer in (preflight, read):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@cases("list_", [*LISTS, "audit"])
def test_a_cursor_that_was_made_up_is_refused(admin, list_):
    keys = [1, "\ud800"], [2**70, "a"], [True, "a"], ["a", "\ud800"], [1e9, "a"], {}, [[]] * 99
    for cursor in (
        *(encoded(key) for key in keys),
        *("x", "-1", "1e9", "%00", "%F0%9F%93%9E", "9" * 400, "None", "1;DROP", "1-", "-a"),
        *("W10", "bnVsbA", "WzEsWzJdXQ", "WzFlOTk5LCJhIl0", "WyJcdWQ4MDAiLCJcdWQ4MDAiXQ"),
        "W" * 3000,
    ):
        assert admin.get(f"/{list_}?after={cursor}").status in (422, 200), cursor
        if cursor in ("x", "%00", "None", "WzEsWzJdXQ", encoded(keys[0]), encoded(keys[1])):
            assert admin.get(f"/{list_}?after={cursor}").status == 422, cursor


@cases(
    "value",
    [
        *("0", "-1", "1.0", "%31%00", "9" * 18, "9" * 19, "9" * 5000, "1%20OR%201", "%2e%2e"),
        *("..%2f..", "%E2%85%A0", "%D9%A1", "a%0d%0aSet-Cookie:x", "%ff", "1-", "-", "*", "%25"),
    ],
)
def test_an_odd_id_finds_nothing(admin, context, value):
    before = state(context)
    for method, path, operation in operations(admin):
        if "{" in path:
            target = filled_in(path, dict.fromkeys(VALUES, value))
            kind = next(iter(operation.get("requestBody", {}).get("content", {"": None})))
            answer = admin.send(method, target, BODIES.get(kind, b""), kind)
            assert answer.status in (400, 404, 409, 422), (method, target)
            assert "set-cookie" not in answer.headers
    assert state(context) == before


@cases(
    "body",
    [
        b"[" * 90_000,
        b'{"network":' * 9_000,
        b'{"network": 1e999}',
        b'{"network": "\\ud800"}',
        b'{"network": "192.0.2.0/24", "network": null}',
        b'{"network": NaN}',
        b"\xef\xbb\xbf{}",
        b"null",
    ],
)
def test_a_hostile_body_is_refused(admin, context, body):
    before = state(context)
    answer = admin.send("POST", "/trusted", body, "application/json")
    assert answer.status in (400, 422)
    assert len(answer.body) < 1000
    assert state(context) == before


@pytest.mark.wire
def test_a_large_body_is_refused_before_it_is_received(server: Server):
    token = server.does("tokens", "add", "admin", "--role", "admin").strip()
    attacker = Attacker(server)
    path, kind = f"{PREFIX}/users/import", "Content-Type: text/csv"
    mine = f"Authorization: Bearer {token}"
    for size, fields, status in (
        (30_000_000, (), 401),
        (33_600_000, (mine,), 413),
        (70_000_000, (mine,), 413),
    ):
        length = f"Content-Length: {size}"
        answer = attacker.asks("POST", path, kind, length, *fields)
        assert statuses(answer) == [status]
    assert statuses(attacker.asks("POST", path, kind, mine, "Transfer-Encoding: chunked")) == [411]
