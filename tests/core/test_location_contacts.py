"""Which of its old contacts a new one stands for (RFC 3261 §19.1.4, RFC 5626 §6)."""

from dataclasses import replace

import pytest

from sip.core.location import Binding, updated_bindings
from sip.core.refusal import Refused
from sip.transport.flow import Flow

FLOW = Flow("UDP", ("192.0.2.1", 5060), ("198.51.100.7", 40_000))


def binding(contact: str, **more) -> Binding:
    """A plain phone's."""
    plain = Binding(7, contact, 100.0, 1000, "call", 1, (), "", 0, "", FLOW, False)
    return replace(plain, **more)


def test_a_contact_equal_to_several_takes_the_place_of_all():
    """§19.1.4: equality is not transitive; two that are equal never stand side by side."""
    on, off = binding("sip:c@h;security=on"), binding("sip:c@h;security=off")
    other = binding("sip:d@h")
    assert updated_bindings((), [on, other, off], 0.0) == (on, other, off)
    plain = binding("sip:c@h", cseq=2)
    assert updated_bindings((on, other, off), [plain], 0.0) == (plain, other)
    assert updated_bindings((on, other, off), [replace(plain, expires_at=0.0)], 0.0) == (other,)
    with pytest.raises(Refused):
        updated_bindings((on, other, replace(off, cseq=2)), [plain], 0.0)
    again = binding("sip:c@h;security=off", cseq=3)
    assert updated_bindings((plain, other), [again], 0.0) == (again, other)


ELSEWHERE = FLOW._replace(remote=("198.51.100.7", 40_001))


@pytest.mark.parametrize(
    ("old", "new", "is_moved"),
    [
        ({}, {}, True),
        ({}, {"call_id": "other"}, False),
        ({}, {"cseq": 1}, False),
        ({}, {"flow": FLOW}, False),
        ({}, {"expires_at": 0.0}, False),
        ({"behind_nat": False}, {}, True),  # as pjsua2 does: it calls itself what its NAT does
        ({"behind_nat": False}, {"call_id": "other"}, False),
        ({"behind_nat": False}, {"contact": "sip:b@198.51.100.7:5060"}, False),
        ({"behind_nat": False, "contact": "sip:b@198.51.100.7"}, {}, False),
        ({"instance": "<urn:x>"}, {"instance": "<urn:x>", "call_id": "other"}, True),
        ({"instance": "<urn:x>"}, {"instance": "<urn:y>", "call_id": "other"}, False),
        ({"instance": "<urn:x>"}, {"instance": "<urn:x>", "call_id": "o", "reg_id": 2}, False),
        ({"instance": "<urn:x>", "cseq": 5}, {"instance": "<urn:x>"}, False),
    ],
)
def test_a_phone_behind_nat_that_comes_from_another_port_has_left_the_old_one(
    old: dict, new: dict, is_moved: bool
):
    """RFC 5626 §6: the flow was the only way to it."""
    before = replace(binding("sip:b@198.51.100.7:40000", behind_nat=True), **old)
    after = replace(binding("sip:b@198.51.100.7:40001", cseq=2, flow=ELSEWHERE), **new)
    bound = updated_bindings((before,), [after], 0.0)
    assert (before not in bound) == is_moved
