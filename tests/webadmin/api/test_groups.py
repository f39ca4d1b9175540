"""Operations on groups."""

import json

import pytest

from tests.support.api_client import problem
from tests.webadmin.conftest import REALM

SALES = {"name": "sales", "members": ["alice", "bob"]}


@pytest.fixture(autouse=True)
def people(context):
    for name in ("alice", "bob"):
        context.users.add(name, "secret-1")


def test_a_group_is_added_shown_changed_and_deleted(api, context):
    answer = api.write("POST", "/groups", {**SALES, "strategy": "in_turn", "then": "alice"})
    group = json.loads(answer.body)
    path = f"/groups/{group['id']}"
    assert (answer.status, answer.headers["location"]) == (201, f"/api/v1{path}")
    stored = {**SALES, "realm": REALM, "strategy": "in_turn", "seconds": 20, "then": "alice"}
    assert group == {"id": group["id"], **stored}
    assert api.json(path) == group
    changed = api.write("PATCH", path, {"seconds": 30, "members": ["bob"]})
    assert json.loads(changed.body) == {**group, "seconds": 30, "members": ["bob"]}
    assert context.users.find_group("sales", REALM).seconds == 30
    assert (api.write("DELETE", path).status, api.get(path).status) == (204, 404)
    restored = api.write("POST", f"{path}/restore")
    assert (restored.status, json.loads(restored.body)) == (200, json.loads(changed.body))
    assert problem(api.write("POST", f"{path}/restore"))["status"] == 404
    assert api.write("DELETE", path).status == 204
    assert problem(api.write("PATCH", path, {"seconds": 30}))["status"] == 404
    assert problem(api.write("DELETE", path))["status"] == 404
    said = [(entry.who, entry.text) for entry in reversed(context.audit.entries())]
    acts = ("added", "changed", "removed", "restored", "removed")
    acts = tuple(f"group {act}" for act in acts)
    assert said == [("token api", act) for act in acts]


def test_a_name_that_is_taken_is_409(api):
    for wanted in ({**SALES, "name": "Alice"}, SALES, {**SALES, "name": "SALES"}):
        answer = api.write("POST", "/groups", wanted)
    details = problem(answer)
    assert (details["status"], details["errors"][0]["field"]) == (409, "name")
    assert [group["name"] for group in api.json("/groups")["items"]] == ["sales"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("members", ["alice", "nobody"]),
        ("members", []),
        ("then", "sales"),
        ("strategy", "random"),
        ("seconds", 1),
        ("realm", 'a"b'),
    ],
)
def test_a_fault_names_its_field(api, field, value):
    details = problem(api.write("POST", "/groups", {**SALES, field: value}))
    assert (details["status"], details["errors"][0]["field"]) == (422, field)
    assert api.json("/groups")["items"] == []


def test_the_list_has_parts_and_realms(api, context):
    context.users.add("dora", "secret-1", realm="branch.example")
    for number in range(5):
        api.write("POST", "/groups", {"name": f"60{number}", "members": ["bob"]})
    api.write("POST", "/groups", {"name": "602", "members": ["dora"], "realm": "branch.example"})
    found, cursor = [], {}
    while cursor is not None:
        part = api.json("/groups", limit=3, **cursor)
        found += [(group["name"], group["realm"]) for group in part["items"]]
        cursor = {"after": part["next"]} if part["next"] else None
    names = [("600", REALM), ("601", REALM), ("602", REALM), ("602", "branch.example")]
    assert found == [*names, ("603", REALM), ("604", REALM)]
    assert [each["name"] for each in api.json("/groups", realm="branch.example")["items"]] == [
        "602"
    ]


def test_a_viewer_reads_groups_and_changes_none(api, viewer):
    path = f"/groups/{json.loads(api.write('POST', '/groups', SALES).body)['id']}"
    assert viewer.json(path)["name"] == "sales"
    for method, value in (("PATCH", {"seconds": 30}), ("DELETE", None)):
        assert problem(viewer.write(method, path, value))["status"] == 403
    assert api.json(path)["seconds"] == 20
