"""What a hook may decide about a call."""

import pytest

from sip.core.proxy.call_router import RouteDecision
from tests.support.cases import cases
from tests.support.routed_call import routed


@cases(
    ("target", "written"),
    [
        ("bob", "bob"),
        ("ann@example.org", "ann%40example.org"),
        ("jörg", "j%C3%B6rg"),
        ("+49 30 123", "+49%2030%20123"),
        ("sip:bob@example.net;transport=tcp", "sip:bob@example.net;transport=tcp"),
        ("tel:+4930123", "tel:+4930123"),
    ],
)
def test_a_target_is_a_name_or_a_uri(target: str, written: str):
    call = routed()
    call.forward_to(target)
    assert call.decision == RouteDecision(written)


@cases("target", ["", " ", None, 42, "bob\r\nX: y", "sip:", "sip:a b@c"])
def test_any_other_target_is_an_error(target):
    call = routed()
    with pytest.raises(ValueError, match="forward_to"):
        call.forward_to(target)
    assert call.decision is None


@cases("status", [100, 200, 302, 401, 407, 700, "603", None])
def test_a_refusal_needs_a_failure_and_no_challenge(status):
    with pytest.raises(ValueError, match="refuse"):
        routed().refuse(status)


def test_the_last_decision_counts():
    call = routed()
    call.forward_to("bob")
    call.refuse(486, "lunch")
    assert call.decision == RouteDecision("", 486, "lunch")
