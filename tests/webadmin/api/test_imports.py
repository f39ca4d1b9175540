"""Operations on CSV files of users."""

import json

import pytest

from sip.store.audit import Act
from tests.support.api_client import problem
from tests.webadmin.conftest import REALM
from webadmin import import_service
from webadmin.import_service import MAX_IMPORT_BYTES

ROWS = b"username,password,display_name\nann,wonder-4711,Ann\nbob,wonder-4712,Bob\n"


def sends(api, rows: bytes, query: str = "", content_type: str = "text/csv"):
    return api.send("POST", f"/users/import{query}", rows, content_type)


def imported(api, rows: bytes, query: str = "") -> dict:
    answer = sends(api, rows, query)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return json.loads(answer.body)


def test_a_file_is_imported_and_audited(api, context):
    report = imported(api, ROWS)
    assert (report["new"], report["changed"], report["same"]) == (2, 0, 0)
    assert (report["refused"], report["changes"], report["passwords"]) == ([], [], [])
    assert context.users.find("ann", REALM).display_name == "Ann"
    entry = context.audit.entries()[0]
    assert (entry.act, entry.who) == (Act.IMPORTED, "token api")
    assert entry.about == "2 new, 0 changed"


def test_a_dry_run_writes_nothing(api, context):
    assert imported(api, ROWS, "?dry_run=true")["new"] == 2
    assert len(context.users) == 0
    assert not context.audit.entries()


def test_changes_are_listed(api):
    imported(api, ROWS)
    report = imported(api, ROWS.replace(b"Bob", b"Robert"), "?update=true")
    assert (report["changed"], report["same"]) == (1, 1)
    assert report["changes"] == [{"line": 3, "username": "bob", "fields": ["display_name"]}]


def test_one_refused_row_refuses_the_file(api, context):
    answer = sends(api, ROWS + b"a b,wonder-4713,\n")
    details = problem(answer)
    assert (details["status"], details["new"]) == (422, 2)
    assert details["detail"] == "Nothing is written: 1 row is refused."
    assert [each["line"] for each in details["refused"]] == [4]
    assert len(context.users) == 0


def test_generated_passwords_are_answered_once(api, context):
    report = imported(api, b"username,realm\nann,\nann,branch.example\n", "?generate=true")
    found = [(each["username"], each["realm"]) for each in report["passwords"]]
    assert found == [("ann", REALM), ("ann", "branch.example")]
    assert all(each["password"] for each in report["passwords"])
    assert imported(api, b"username,realm\nann,\n", "?generate=true")["passwords"] == []


def test_a_long_report_is_whole(api, context):
    rows = "".join(f"user{number}\n" for number in range(1201)).encode()
    report = imported(api, b"username\n" + rows, "?generate=true")
    assert len({each["password"] for each in report["passwords"]}) == 1201


@pytest.mark.parametrize(
    ("rows", "content_type", "status"),
    [
        (b"", "text/csv", 422),
        (b"no header of ours\nann\n", "text/csv", 422),
        (b"username,password\nz\xf6e,wonder-4711\n", "text/csv", 422),  # not UTF-8
        (b"username,password,colour\nzoe,wonder-4711,red\n", "text/csv", 422),
        (ROWS, "application/json", 415),
        (ROWS, "", 415),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(api, context, rows, content_type, status):
    assert problem(sends(api, rows, content_type=content_type))["status"] == status
    assert len(context.users) == 0


def test_a_body_that_is_too_large_is_not_received(api):
    length = str(MAX_IMPORT_BYTES + 1)
    answer = api.send("POST", "/users/import", b"", "text/csv", Content_Length=length)
    assert problem(answer)["status"] == 413
    answer = api.send("POST", "/users/import", b"", "text/csv", Content_Length="10")
    assert problem(answer)["detail"] == "The body is incomplete."


def test_pages_and_programs_share_one_bound(api, browser, monkeypatch):
    monkeypatch.setattr(import_service, "MAX_IMPORT_ROWS", 1)
    assert problem(sends(api, ROWS))["status"] == 422  # more rows than there is ever room for
    monkeypatch.setattr(import_service, "MAX_IMPORTS", 0)
    answer = sends(api, b"username,password\nann,wonder-4711\n")
    assert (problem(answer)["status"], answer.headers["retry-after"]) == (503, "5")
    monkeypatch.setattr(import_service, "MAX_IMPORTS", 1)
    for name in ("ann", "bob", "carol"):  # each is freed after its answer
        assert imported(api, f"username,password\n{name},wonder-4711\n".encode())["new"] == 1


def test_an_export_takes_the_filters_of_the_list(api, viewer, context):
    for name in ("ann", "anna", "bob"):
        context.users.add(name, "wonder-4711", enabled=name != "anna")
    context.users.add("ann", "wonder-4711", realm="branch.example")

    def names(query: str) -> list[str]:
        rows = viewer.get(f"/users/export.csv?{query}").text.splitlines()[1:]
        listed = viewer.json(f"/users?{query}")["items"]
        assert len(rows) == len(listed)
        return [row.partition(",")[0] for row in rows]

    assert sorted(names("")) == ["ann", "ann", "anna", "bob"]
    assert names("q=ann&realm=example.com") == ["ann", "anna"]
    assert names("state=disabled,trouble") == ["anna"]
    assert names("q=zoe") == []
    assert context.audit.entries()[1].about == "without HA1s, 1 found by disabled, trouble"
    for query in ("state=gone", "sort=username", f"q={'x' * 101}"):
        assert problem(viewer.get(f"/users/export.csv?{query}"))["status"] == 422


def test_an_export_is_imported_again(api, viewer):
    imported(api, ROWS)
    plain = viewer.get("/users/export.csv")
    assert plain.headers["content-type"] == "text/csv; charset=utf-8"
    assert plain.text.startswith("username,realm,display_name,enabled,aliases,dnd,")
    assert "\nann,,Ann,1,,0,,,,,\n" in plain.text
    assert imported(api, plain.body, "?update=true")["same"] == 2
    assert problem(viewer.get("/users/export.csv?hashes=true"))["status"] == 403
    answer = api.get("/users/export.csv?hashes=true")
    assert "ha1_md5" in answer.text
    assert answer.headers["cache-control"] == "no-store, no-transform"
