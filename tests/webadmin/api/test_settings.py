"""Operations on the settings."""

import json

from sip.store.audit import Act
from tests.support.api_client import problem


def setting(api, name: str) -> dict:
    (found,) = (each for each in api.json("/settings")["items"] if each["name"] == name)
    return found


def test_the_list_has_each_setting_with_its_source(viewer):
    assert setting(viewer, "calls.keep") == {
        "name": "calls.keep",
        "value": "90",
        "source": "default",
        "default": "90",
        "meaning": "how long the history of calls is kept; 0 keeps none",
        "editable": True,
        "needs_restart": False,
    }
    assert not setting(viewer, "sip.addr")["editable"]
    assert setting(viewer, "sip.addr")["needs_restart"]


def test_a_change_is_applied_kept_and_in_the_audit(api, context):
    answer = api.write("PATCH", "/settings", {"calls.keep": "7", "robot": "off"})
    assert answer.status == 200, answer.text
    assert (context.config.calls_keep, context.config.robot) == (7, False)
    assert setting(api, "calls.keep")["source"] == "page"
    about = [each.about for each in context.audit.entries() if each.act == Act.SETTING_CHANGED]
    assert sorted(about) == ["calls.keep: 90 → 7", "robot: on → off"]
    api.write("PATCH", "/settings", {"calls.keep": None})
    assert (context.config.calls_keep, setting(api, "calls.keep")["source"]) == (90, "default")


def test_one_wrong_value_changes_nothing_and_is_named(api, viewer, context):
    wrong = {"calls.keep": "7", "log.level": "loud", "sip.addr": ":5062"}
    details = problem(api.write("PATCH", "/settings", wrong))
    assert details["status"] == 422
    assert [each["field"] for each in details["errors"]] == ["sip.addr", "log.level"]
    assert context.config.calls_keep == 90
    assert problem(api.write("PATCH", "/settings", {"colour": "red"}))["status"] == 422
    assert problem(viewer.write("PATCH", "/settings", {"calls.keep": "7"}))["status"] == 403
    assert setting(api, "calls.keep")["source"] == "default"


def test_secrets_are_masked(api, context):
    api.write("PATCH", "/settings", {"sip.trunk": "0=sip:me:hush@192.0.2.9,1=sip:192.0.2.8"})
    values = {"webhook.url": "https://example.net/key?a=b", "webhook.secret": "hush"}
    assert api.write("PATCH", "/settings", values).status == 200
    assert context.config.webhook_secret == "hush"
    assert setting(api, "sip.trunk")["value"] == "0=sip:me:***@192.0.2.9,1=sip:192.0.2.8"
    assert setting(api, "webhook.url")["value"] == "https://example.net/***"
    assert setting(api, "webhook.secret")["value"] == "***"
    assert "hush" not in "".join(each.about for each in context.audit.entries())
    masked = json.dumps({"webhook.secret": "***"})
    assert problem(api.send("PATCH", "/settings", masked.encode(), "application/json"))
    assert context.config.webhook_secret == "hush"
