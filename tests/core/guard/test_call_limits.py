"""Limits on concurrent external calls, per source and per called user."""

from contextlib import ExitStack

import pytest

from sip.core.errors import Refused
from sip.core.guard.call_limits import MAX_CALLS_FOR_USER, MAX_CALLS_OF_SOURCE, CallLimits
from sip.message.message import Request
from sip.message.shape import shape_of
from sip.monitor.events import Bus
from sip.transaction.layer import Layer
from sip.transaction.upstream import Upstream
from sip.transport.flow import Flow
from sip.transport.transports import Transports

SERVER, HOST = ("192.0.2.1", 5060), "203.0.113.9"


LAYER = Layer(Transports(lambda: 0.0, Bus()), lambda: 0.0)


def call(host: str = HOST, transport: str = "UDP", port: int = 5060) -> Upstream:
    """An INVITE that has just come from there."""
    invite = Request("INVITE", "sip:bob@example.com", shape_of(()), [])
    key = f"z9hg4bk-1\n{host}:{port}\nINVITE"
    return Upstream(LAYER, invite, Flow(transport, SERVER, (host, port)), key, 0.0)


@pytest.fixture
def limits() -> CallLimits:
    return CallLimits(lambda host: host == "198.51.100.1")


@pytest.fixture
def ringing():
    with ExitStack() as calls:
        yield calls


def fill(limits: CallLimits, ringing: ExitStack, host: str = HOST, transport="UDP") -> None:
    """As many calls of one source as there may be, each to another user, each by another port."""
    for number in range(MAX_CALLS_OF_SOURCE):
        one = call(host, transport, 1024 + number)
        ringing.enter_context(limits.slot(one, f"user{number}"))


def status_of(limits: CallLimits, one: Upstream, aor: str = "bob@example.com") -> int:
    """How one more call is refused; 0 where it isn't."""
    try:
        with limits.slot(one, aor):
            return 0
    except Refused as refused:
        return refused.status


def test_a_source_at_its_limit_takes_no_slots_of_others(limits, ringing):
    """RFC 3261 §21.5.4: a source over its limit gets 503 with Retry-After."""
    fill(limits, ringing)
    assert status_of(limits, call()) == 503
    assert status_of(limits, call("203.0.113.10")) == 0


def test_a_network_of_ipv6_is_one_source(limits, ringing):
    """One machine has all the addresses of a /64."""
    fill(limits, ringing, "2001:db8:1:2::1")
    assert status_of(limits, call("2001:db8:1:2:ffff::9")) == 503
    assert status_of(limits, call("2001:db8:1:3::1")) == 0


def test_forged_datagrams_take_no_slot_of_connections(limits, ringing):
    fill(limits, ringing)
    assert status_of(limits, call(transport="TCP")) == 0


def test_the_slots_of_a_user_are_bounded_over_all_callers(limits, ringing):
    """RFC 3261 §21.4.24: it is busy; a 503 would keep its callers from all other users as well."""
    for number in range(MAX_CALLS_FOR_USER):
        ringing.enter_context(limits.slot(call(f"203.0.113.{number}"), "bob@example.com"))
    assert status_of(limits, call("198.51.100.7")) == 486
    assert status_of(limits, call("198.51.100.7"), "carol@example.com") == 0


def test_a_trusted_host_has_no_limit_and_takes_no_slot(limits, ringing):
    for _ in range(MAX_CALLS_OF_SOURCE + 1):
        ringing.enter_context(limits.slot(call("198.51.100.1"), "bob@example.com"))
    assert status_of(limits, call()) == 0


def test_a_slot_is_free_again_after_any_end_of_its_call(limits):
    """A refused call and one that ends by a fault leave nothing behind."""
    for number in range(2 * MAX_CALLS_OF_SOURCE):
        with pytest.raises(RuntimeError), limits.slot(call(), "bob@example.com"):
            raise RuntimeError(number)
    with ExitStack() as ringing:
        fill(limits, ringing)
        assert [status_of(limits, call()) for _ in range(3)] == [503] * 3
    assert status_of(limits, call()) == 0
    assert not limits._of_source
    assert not limits._for_user
