"""Call settings as JSON values, and back."""

import pytest

from sip.store.call_settings import USUAL, BadSetting, CallSettings, changes_of_json
from tests.support.cases import cases


def test_settings_go_through_json_unchanged():
    settings = CallSettings(("101",), True, "a", "b", "c", 30, "d")
    assert USUAL.changed(changes_of_json(settings.as_json())) == settings
    assert changes_of_json({"username": "alice"}) == {}
    assert changes_of_json({"forward": {"busy": ""}}) == {"busy": ""}


@cases(
    ("field", "values"),
    [
        ("aliases", {"aliases": "101"}),
        ("aliases", {"aliases": [101]}),
        ("dnd", {"dnd": 1}),
        ("forward", {"forward": []}),
        ("forward.color", {"forward": {"color": "red"}}),
        ("forward.busy", {"forward": {"busy": None}}),
        ("forward.no_answer_seconds", {"forward": {"no_answer_seconds": "20"}}),
        ("forward.no_answer_seconds", {"forward": {"no_answer_seconds": True}}),
    ],
)
def test_other_types_are_refused_with_their_field(field: str, values: dict):
    with pytest.raises(BadSetting) as caught:
        changes_of_json(values)
    assert caught.value.field == field


def test_only_forwarding_and_do_not_disturb_are_rules():
    assert not CallSettings(aliases=("101",), no_answer_seconds=30).has_rules
    assert CallSettings(dnd=True).has_rules
    assert CallSettings(offline="bob").has_rules
