"""The worked examples of docs/hooks.md."""

from datetime import datetime
from pathlib import Path

import pytest

from sip.core.proxy.call_router import RouteDecision
from sip.hooks.file import run
from tests.support.cases import cases
from tests.support.routed_call import routed

EXAMPLES = Path(__file__).parents[2] / "deploy" / "hooks"
PAGE = (EXAMPLES.parents[1] / "docs" / "hooks.md").read_text()


def decides(name: str, **call) -> RouteDecision | None:
    path = EXAMPLES / f"{name}.py"
    asked = routed(**call)
    run(path.read_bytes(), str(path)).route(asked)
    return asked.decision


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_the_page_of_hooks_names_each_example(path: Path):
    assert f"../deploy/hooks/{path.name}" in PAGE


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (datetime(2026, 3, 2, 8, 30), True),  # a Monday
        (datetime(2026, 3, 2, 8, 29), False),
        (datetime(2026, 3, 2, 17, 0), False),
        (datetime(2026, 3, 7, 12, 0), False),  # a Saturday
        (datetime(2026, 5, 1, 12, 0), False),  # a holiday, on a Friday
    ],
)
def test_calls_outside_business_hours_go_to_the_machine(at: datetime, is_open: bool):
    assert decides("business_hours", at=at) == (None if is_open else RouteDecision("199"))
    assert decides("business_hours", at=at, to="bob") is None


@cases(
    ("call", "status"),
    [
        ({"to": "09001234"}, 403),
        ({"to": "0301234"}, 0),
        ({"caller": "", "to": "09001234"}, 0),  # only users here reach a gateway
        ({"caller": "", "from_user": "+49900123456"}, 603),
        ({"caller": "", "from_user": "x", "address": "203.0.113.7"}, 603),
        ({"caller": "", "from_user": "x"}, 0),
    ],
)
def test_the_blocklist_refuses_callers_and_numbers(call: dict, status: int):
    decision = decides("blocklist", **call)
    assert (0 if decision is None else decision.status) == status


@cases(
    ("number", "target"),
    [
        ("0", "reception"),
        ("11", "bob"),
        ("112", ""),
        ("+4930123", "030123"),
        ("+331234", "00331234"),
        ("1234567", "0301234567"),
        ("030123456", ""),
        ("alice", ""),
    ],
)
def test_the_number_plan_writes_what_the_gateway_takes(number: str, target: str):
    decision = decides("number_plan", to=number)
    assert (decision.target if decision else "") == target
