"""Which flows have their turn when, so that no NAT forgets its phone (RFC 5626 §4.4)."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.registrar.bindings import Binding, BindingsChanged
from sip.core.registrar.nat_keepalive import SECONDS_PER_SLOT, KeepAlive
from sip.transport.flow import Flow
from tests.support.bindings import changed, plain_binding

US = ("192.0.2.1", 5060)


def phone(number: int, *, behind_nat: bool = True, transport: str = "UDP") -> Binding:
    flow = Flow(transport, US, (f"198.51.100.{number % 256}", 1024 + number), number % 2)
    plain = plain_binding(f"sip:{number}@192.168.1.2")
    return changed(plain, flow=flow, behind_nat=behind_nat)


def follow(wheel: KeepAlive, before: tuple[Binding, ...], after: tuple[Binding, ...]) -> None:
    wheel.update(BindingsChanged("alice@example.com", before, after))


def turns(wheel: KeepAlive, start: float, seconds: float, step: float = 0.1) -> list[list[Flow]]:
    """Return the flows that are due, step by step."""
    count = round(seconds / step)
    return [list(wheel.due(start + number * step)) for number in range(1, count + 1)]


def test_each_has_its_turn_once_in_the_time():
    phones = [phone(number) for number in range(500)]
    wheel = KeepAlive(25, 1000.0)
    follow(wheel, (), tuple(phones))
    for start in (1000.0, 1025.0):
        seen = Counter(flow for due in turns(wheel, start, 25) for flow in due)
        assert seen == Counter(binding.flow for binding in phones)


def test_they_are_spread_and_come_in_no_burst():
    """Ten thousand in 25 s are 40 in a tenth of a second, give or take."""
    wheel = KeepAlive(25, 1000.0)
    follow(wheel, (), tuple(phone(number) for number in range(10_000)))
    assert max(map(len, turns(wheel, 1000.0, 25))) < 100


@pytest.mark.parametrize(
    "one", [phone(1, behind_nat=False), phone(1, transport="TCP")], ids=["in reach", "connected"]
)
def test_bindings_without_need_get_no_keepalive(one: Binding):
    """RFC 5626 §4.4.1: a phone on a connection pings by itself."""
    wheel = KeepAlive(25, 1000.0)
    follow(wheel, (), (one,))
    assert list(wheel.due(1030.0)) == []
    assert wheel.connections == (one.flow.transport == "TCP"), "the health check counts them"
    follow(wheel, (one,), ())
    assert wheel.connections == 0


def test_it_may_be_switched_off():
    wheel = KeepAlive(0, 1000.0)
    follow(wheel, (), (phone(1),))
    assert list(wheel.due(1030.0)) == []
    follow(wheel, (phone(1),), ())


def test_after_a_pause_each_flow_gets_one_keepalive():
    wheel = KeepAlive(25, 1000.0)
    follow(wheel, (), (phone(1), phone(2)))
    assert len(list(wheel.due(2000.0))) == 2
    assert len(list(wheel.due(2000.0 + 25 - SECONDS_PER_SLOT))) <= 2


@given(st.lists(st.sets(st.integers(0, 6), max_size=5), max_size=12))
def test_the_wheel_follows_the_bindings(steps: list[set[int]]):
    """Several bindings may have one flow, which is there as long as the last of them."""
    wheel = KeepAlive(25, 1000.0)
    before: tuple[Binding, ...] = ()
    for number, step in enumerate(steps):
        after = tuple(phone(one // 2) for one in sorted(step))
        follow(wheel, before, after)
        due = Counter(wheel.due(1000.0 + 25 * (number + 1)))
        assert due == Counter({binding.flow for binding in after})
        assert len(wheel) == len({binding.flow for binding in after})
        before = after
