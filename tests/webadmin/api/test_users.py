"""Operations on users."""

import json

import pytest

from sip.store.accounts import ha1s
from tests.support.api_client import problem
from tests.webadmin.conftest import REALM


def added(api, username: str, **fields) -> dict:
    answer = api.write("POST", "/users", {"username": username, **fields})
    assert answer.status == 201, answer.text
    return json.loads(answer.body)


def test_a_new_user_gets_a_password_that_is_answered_once(api, context):
    answer = api.write("POST", "/users", {"username": "ann", "display_name": "Ann"})
    user = json.loads(answer.body)
    assert answer.status == 201
    assert answer.headers["location"] == f"/api/v1/users/{user['id']}"
    password = user.pop("password")
    assert context.users.find("ann", REALM).ha1_md5 == ha1s("ann", REALM, password)["ha1_md5"]
    assert api.json(f"/users/{user['id']}") == user
    assert (user["username"], user["realm"], user["display_name"]) == ("ann", REALM, "Ann")
    assert (user["enabled"], user["online"], user["last_seen"]) == (True, False, None)


def test_a_given_password_or_ha1_is_not_answered(api, context):
    ha1 = ha1s("bob", REALM, "secret")["ha1_md5"]
    assert "password" not in added(api, "bob", ha1=ha1.upper())
    assert context.users.find("bob", REALM).ha1_md5 == ha1
    assert "password" not in added(api, "ann", password="pass-word-1", enabled=False)
    assert not context.users.find("ann", REALM).enabled
    both = {"username": "eve", "password": "a", "ha1": ha1}
    assert problem(api.write("POST", "/users", both))["status"] == 422


def test_a_taken_name_is_409(api):
    added(api, "ann")
    details = problem(api.write("POST", "/users", {"username": "Ann"}))
    assert (details["status"], details["errors"][0]["field"]) == (409, "username")


def test_a_change_is_whole_or_not_at_all(api):
    user = added(api, "ann")
    path = f"/users/{user['id']}"
    wrong = {"enabled": False, "display_name": "a\nb"}
    assert problem(api.write("PATCH", path, wrong))["status"] == 422
    assert api.json(path)["enabled"]
    answer = api.write("PATCH", path, {"enabled": False, "display_name": "Ann"})
    changed = json.loads(answer.body)
    assert (changed["enabled"], changed["display_name"]) == (False, "Ann")


FORWARD = {"always": "", "busy": "", "no_answer": "", "no_answer_seconds": 20, "offline": ""}


def test_call_settings_are_added_and_changed(api, context):
    user = added(api, "ann", aliases=["102", "101"], forward={"busy": "bob"})
    assert (user["aliases"], user["dnd"]) == (["101", "102"], False)
    assert user["forward"] == {**FORWARD, "busy": "bob"}
    path = f"/users/{user['id']}"
    changes = {"dnd": True, "aliases": [], "forward": {"no_answer": "eve@example.org"}}
    changed = json.loads(api.write("PATCH", path, changes).body)
    assert (changed["aliases"], changed["dnd"]) == ([], True)
    assert changed["forward"] == {**FORWARD, "busy": "bob", "no_answer": "sip:eve@example.org"}
    assert api.json(path) == changed
    assert api.json("/users")["items"] == [changed]
    said = [entry.about for entry in context.audit.entries() if "call settings" in entry.text]
    assert said == [
        "ann: aliases none, dnd on, no_answer sip:eve@example.org",
        "ann: aliases 101 102, busy bob",
    ]


@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        ({"aliases": ["bob"]}, 409, "aliases"),
        ({"aliases": ["ann"]}, 422, "aliases"),
        ({"aliases": "101"}, 422, "aliases"),
        ({"forward": {"busy": "a b"}}, 422, "forward.busy"),
        ({"forward": {"always": "Ann"}}, 422, "forward.always"),
        ({"forward": {"no_answer_seconds": 2}}, 422, "forward.no_answer_seconds"),
        ({"forward": None}, 422, "forward"),
        ({"dnd": "yes"}, 422, "dnd"),
    ],
)
def test_a_wrong_call_setting_changes_nothing(api, wrong, status, field):
    """Neither the other fields of a change, nor does it add a user."""
    added(api, "bob")
    refused = [problem(api.write("POST", "/users", {"username": "ann", **wrong}))]
    assert [user["username"] for user in api.json("/users")["items"]] == ["bob"]
    user = added(api, "ann")
    path = f"/users/{user['id']}"
    changes = {"enabled": False, "display_name": "Ann", "dnd": True, **wrong}
    refused.append(problem(api.write("PATCH", path, changes)))
    assert api.json(path) == {key: user[key] for key in user if key != "password"}
    for details in refused:
        assert (details["status"], details["errors"][0]["field"]) == (status, field)


def test_a_password_is_set_or_generated(api, context):
    path = f"/users/{added(api, 'ann')['id']}/password"
    generated = json.loads(api.write("POST", path, {}).body)["password"]
    assert context.users.find("ann", REALM).ha1_md5 == ha1s("ann", REALM, generated)["ha1_md5"]
    assert json.loads(api.write("POST", path, {"password": "mine"}).body) == {"password": None}
    assert context.users.find("ann", REALM).ha1_md5 == ha1s("ann", REALM, "mine")["ha1_md5"]


def test_a_deleted_user_can_be_restored(api):
    path = f"/users/{added(api, 'ann')['id']}"
    assert problem(api.write("POST", f"{path}/restore"))["status"] == 409
    assert (api.write("DELETE", path).status, api.get(path).status) == (204, 404)
    assert problem(api.write("DELETE", path))["status"] == 404
    assert json.loads(api.write("POST", f"{path}/restore").body)["username"] == "ann"
    assert api.get(path).status == 200
    assert problem(api.write("POST", "/users/999/restore"))["status"] == 404


@pytest.mark.parametrize("sort", ["username", "-username", "display_name", "-display_name"])
@pytest.mark.parametrize("state", ["", "offline,disabled", "never"])
def test_the_parts_of_a_list_have_each_user_once(api, sort, state):
    names = ["Ann", "bob", "Éva", "eve", "10", "9", "ann-2"]
    for number, name in enumerate(names):
        added(api, name, display_name=f"d{number % 3}", enabled=bool(number % 2))
    added(api, "bob", realm="branch.example.com", display_name="D1")
    query = {"sort": sort, "limit": 3, **({"state": state} if state else {})}
    found, cursor = [], None
    for _ in range(9):
        part = api.json("/users", **query, **({"after": cursor} if cursor else {}))
        found += [(user["username"], user["realm"]) for user in part["items"]]
        if (cursor := part["next"]) is None:
            break
    assert len(found) == len(set(found)) == len(names) + 1
    whole = api.json("/users", **{**query, "limit": 500})["items"]
    assert found == [(user["username"], user["realm"]) for user in whole]


def test_a_list_is_searched_and_filtered(api, context):
    for name in ("ann", "anna", "bob"):
        added(api, name)
    added(api, "ann", realm="branch.example.com", enabled=False)

    def names(**query: object) -> list[str]:
        return [user["username"] for user in api.json("/users", **query)["items"]]

    assert names(q="ann") == ["ann", "ann", "anna"]
    assert names(q="an", realm=REALM) == ["ann", "anna"]
    assert names(state="disabled") == ["ann"]
    assert names(state="online") == []
    assert names(state="trouble") == []
    assert names(realm="nowhere") == []


def test_a_change_is_in_the_audit_with_the_name_of_the_token(api, context):
    added(api, "ann")
    (entry,) = context.audit.entries()
    assert (entry.who, entry.text, entry.about) == ("token api", "user added", "ann")
