"""Rules of all operations: tokens, roles, parameters, bodies, and problem details."""

import json

from sip.store.database import DatabaseError
from tests.support.api_client import PREFIX, problem
from tests.support.cases import cases
from webadmin.sign_in_limits import MAX_TRIES


def test_no_token_is_401_with_a_challenge(outsider):
    answer = outsider.get("/users")
    assert problem(answer)["status"] == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_no_session_opens_the_api(browser):
    assert browser.get("/").status == 200
    assert browser.get(f"{PREFIX}/users").status == 401


def test_guessed_tokens_are_429_with_retry_after(outsider, api):
    outsider.token = "sipserver_guess"
    for _ in range(MAX_TRIES):
        assert outsider.get("/users").status == 401
    answer = outsider.get("/users")
    assert problem(answer)["status"] == 429
    assert 0 < int(answer.headers["retry-after"]) < 1000


def test_a_viewer_reads_and_changes_nothing(viewer, context):
    assert viewer.json("/users") == {"items": [], "next": None}
    assert problem(viewer.write("POST", "/users", {"username": "ann"}))["status"] == 403
    assert len(context.users) == 0


@cases(
    ("path", "field"),
    [
        ("/users?limit=0", "limit"),
        ("/users?limit=501", "limit"),
        ("/users?limit=ten", "limit"),
        ("/users?limit=1&limit=2", "limit"),
        ("/users?colour=red", "colour"),
        ("/users?state=online,absent", "state[1]"),
        ("/users?after=", "after"),
        ("/users?after=abc", "after"),
        ("/users/1?q=a", "q"),
    ],
)
def test_a_wrong_parameter_is_422_and_named(api, path, field):
    details = problem(api.get(path))
    assert details["status"] == 422
    assert [each["field"] for each in details["errors"]] == [field]


@cases(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"\xff", 400, None),
        (b"[]", 422, ""),
        (b"{}", 422, ""),
        (b'{"username": 5}', 422, "username"),
        (b'{"username": "ann", "colour": "red"}', 422, ""),
        (b'{"username": "ann", "enabled": "yes"}', 422, "enabled"),
        (b'{"username": "a b"}', 422, "username"),
        (b'{"username": "ann", "ha1": "x"}', 422, "ha1"),
    ],
)
def test_a_wrong_body_is_refused(api, context, body, status, field):
    details = problem(api.send("POST", "/users", body, "application/json"))
    assert details["status"] == status
    errors = [each["field"] for each in details.get("errors", ())]
    assert errors == ([] if field is None else [field])
    assert len(context.users) == 0


def test_a_body_needs_its_type_and_a_bounded_length(api):
    assert problem(api.send("POST", "/users", b"{}"))["status"] == 415
    assert problem(api.send("POST", "/users", b"{}", "text/json"))["status"] == 415
    large = json.dumps({"username": "a" * 200_000}).encode()
    assert problem(api.send("POST", "/users", large, "application/json"))["status"] == 413
    assert problem(api.send("PATCH", "/users/1"))["status"] == 411


def test_unknown_addresses_and_methods_are_problems(api):
    assert problem(api.get("/nothing"))["status"] == 404
    assert problem(api.get("/users/abc"))["status"] == 404
    assert problem(api.get("/users/%ff"))["status"] == 404
    answer = api.send("PUT", "/users")
    assert problem(answer)["status"] == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"


def test_a_database_that_cannot_write_is_503(api, context, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(context.users, "add", fail)
    answer = api.write("POST", "/users", {"username": "ann"})
    assert problem(answer)["detail"] == "the disk is full."
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
