"""The OpenAPI document says what the code does."""

import json

import pytest

from sip.serializers.calls import call_json
from sip.serializers.operation import audit_json
from sip.serializers.traces import trace_json
from sip.serializers.trouble import ban_json, refusal_json, wait_json
from sip.serializers.users import registration_json, user_json
from sip.store.groups import Group
from tests.support.filled_context import CALL_ID
from webadmin.api import calls, groups, history, operation, registrations, traces, trouble, users
from webadmin.api.operations import PREFIX


@pytest.fixture
def document(outsider) -> dict:
    return json.loads(outsider.get("/openapi.json").body)


def test_every_operation_has_its_errors_and_a_name_of_its_own(document):
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    names = [each["operationId"] for each in operations]
    assert len(names) == len(set(names)) == 37
    for each in operations:
        assert {"400", "422", "503"} <= each["responses"].keys()
        assert each["summary"]
    assert document["servers"] == [{"url": PREFIX}]


def test_a_refused_import_is_described_with_its_report(document):
    operation = document["paths"]["/users/import"]["post"]
    content = operation["responses"]["422"]["content"]["application/problem+json"]
    names = [each["$ref"].rpartition("/")[2] for each in content["schema"]["anyOf"]]
    assert names == ["ProblemDetails", "RefusedImport"]


def test_shapes_have_every_field_of_the_json_of_the_server(api, filled, context, bound):
    """A field that is added for commands and webhooks has to be declared here, too."""
    filled.starts_call()
    filled.passes_message()
    filled.refuses()
    filled.has_to_wait()
    filled.bans()
    alice = context.users.add("alice", "secret")
    bound(alice)
    api.write("POST", "/trusted", {"network": "192.0.2.0/30"})
    message = trace_json(context.traces.find(CALL_ID.encode()))["messages"][0]
    for made, shape in (
        (call_json(context.calls.now()[0]), calls.Call),
        (audit_json(context.audit.entries()[0]), operation.AuditEntry),
        (message, traces.Message),
        (ban_json(context.bans.list(filled.clock())[0]), trouble.Ban),
        (refusal_json(context.refusals.latest()[0]), trouble.Refusal),
        (user_json(context.directory.entry(alice.id)), users.User),
        (Group(1, "sales", None, ()).as_json("example.com"), groups.Group),
        (wait_json(context.guard.waits().waits[0]), trouble.Wait),
        (
            registration_json(context.registrations.page().registrations[0]),
            registrations.Registration,
        ),
    ):
        assert set(shape.__struct_encode_fields__) == made.keys(), shape
    assert set(history.PastCall.__struct_encode_fields__) >= {"from", "to", "result", "ended_by"}
