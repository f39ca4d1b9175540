"""Which temporary GRUUs are valid, and when they end (RFC 5627 §4.2, §5.1, §5.3)."""

import pytest

from sip.core.registrar import generations
from sip.core.registrar.bindings import Binding, Bindings, Profile
from sip.core.registrar.generations import Generations
from sip.transport.flow import Flow

AOR, X, Y = "bob@example.com", "<urn:uuid:x>", "<urn:uuid:y>"
FLOW = Flow("TCP", ("192.0.2.1", 5060), ("192.0.2.7", 5060), 1)


def binding(call_id: str, *, instance: str = X, reg_id: int = 0, at: float = 0.0) -> Binding:
    profile = Profile(reg_id=reg_id, lifetime=100)
    return Binding(1, "sip:b@h", at + 100, call_id, 1, instance, FLOW, profile)


@pytest.fixture
def table() -> Generations:
    return Generations()


def asks(table: Generations, new: Binding, *current: Binding, now: float = 0.0, asked=True) -> int:
    """The generation of a phone after its REGISTER."""
    table.update(AOR, current, [new], now, is_asked=asked)
    return table.of(AOR, new.instance)


def test_a_refresh_keeps_what_another_call_id_ends(table: Generations):
    """RFC 5627 §5.1."""
    first = asks(table, binding("one"))
    assert first
    assert asks(table, binding("one"), binding("one")) == first
    assert asks(table, binding("one"), binding("one"), asked=False) == first
    assert table.phone_of(first, 0.0) == (AOR, X)
    second = asks(table, binding("two"), binding("one"))
    assert second not in (0, first)
    assert table.phone_of(first, 0.0) is None
    assert table.phone_of(second, 0.0) == (AOR, X)
    assert asks(table, binding("three"), binding("two"), asked=False) == 0
    assert table.phone_of(second, 0.0) is None


def test_other_phones_keep_theirs(table: Generations):
    """RFC 5627 §5.4: one generation for each instance, in any case of its letters."""
    first, other = asks(table, binding("one")), asks(table, binding("one", instance=Y))
    assert first != other
    asks(table, binding("two"), binding("one"), binding("one", instance=Y))
    assert table.of(AOR, Y.upper()) == other
    assert asks(table, binding("one", instance="")) == 0
    assert asks(table, binding("one", instance="<urn:uuid:z>"), asked=False) == 0


def test_the_flows_of_a_phone_share_its_generation(table: Generations):
    """RFC 5627 §4.2, §5.1: another flow joins; a new Call-ID of one flow ends all."""
    one, two = binding("one", reg_id=1), binding("two", reg_id=2)
    first = asks(table, one)
    assert asks(table, two, one) == first
    assert asks(table, two, one, two) == first
    table.end(AOR, (one, two), (one,))
    assert table.of(AOR, X) == first
    assert asks(table, binding("three", reg_id=2), one, two) != first
    second = table.of(AOR, X)
    latest = binding("two", at=5.0)
    assert asks(table, binding("two"), binding("one", at=1.0), latest) == second


def test_the_end_of_the_last_contact_ends_it(table: Generations):
    """RFC 5627 §5.3."""
    first = asks(table, binding("one"))
    table.end(AOR, (binding("one"), binding("one", instance=Y)), (binding("one", instance=Y),))
    assert table.phone_of(first, 0.0) is None
    assert not table
    assert asks(table, binding("one")) not in (0, first)


def test_a_closed_connection_ends_it_later(table: Generations):
    """RFC 5627 §5.3: its contact has not expired, and the phone comes back."""
    first = asks(table, binding("one"))
    table.lose(AOR, (binding("one"),), (), 0.0)
    assert table.phone_of(first, 99.0) == (AOR, X)
    assert asks(table, binding("one", at=99.0), now=99.0) == first
    table.lose(AOR, (binding("one"),), (), 99.0)
    assert asks(table, binding("two", at=99.0), now=99.0) != first
    second = table.of(AOR, X)
    table.lose(AOR, (binding("two"),), (), 99.0)
    assert table.phone_of(second, 100.0) is None
    assert not table
    third = asks(table, binding("two"))
    table.lose(AOR, (binding("two"),), (), 0.0)
    assert asks(table, binding("two", at=200.0), now=200.0) not in (0, second, third)


def test_lost_phones_are_bounded(table: Generations, monkeypatch):
    monkeypatch.setattr(generations, "MAX_LOST", 3)
    for number in range(9):
        phone = binding("one", instance=f"<urn:{number}>")
        asks(table, phone)
        table.lose(AOR, (phone,), (), 0.0)
    assert len(table) == 3
    phone = binding("one", instance="<urn:10>")
    asks(table, phone)
    table.lose(AOR, (phone,), (), 500.0)  # all of them have expired
    assert not table


def test_a_register_that_was_not_saved_ends_nothing(table: Generations):
    """RFC 5627 §4.2: a failed request has no impact on GRUUs."""
    first = asks(table, binding("one"))
    changed = table.update(AOR, (binding("one"),), [binding("two")], 0.0, is_asked=True)
    table.restore(changed)
    assert table.of(AOR, X) == first
    changed = table.update(AOR, (), [binding("one", instance=Y)], 0.0, is_asked=True)
    table.restore(changed)
    assert table.of(AOR, Y) == 0
    table.lose(AOR, [binding("one")], [], 0.0)
    changed = table.update(AOR, (), [binding("one", at=50.0)], 50.0, is_asked=True)
    table.restore(changed)  # it is still lost, and so ends in time
    assert table.phone_of(first, 99.0) == (AOR, X)
    assert table.phone_of(first, 100.0) is None
    assert not table


def test_stored_generations_are_loaded(table: Generations):
    table.load(AOR, X.upper(), 7)
    table.load(AOR, Y, 0)
    assert (len(table), table.of(AOR, X), table.phone_of(7, 0.0)) == (1, 7, (AOR, X))


def test_a_removal_makes_no_generation(table: Generations):
    none: Bindings = ()
    table.update(AOR, none, [binding("one", at=-200.0)], 0.0, is_asked=True)
    assert not table
