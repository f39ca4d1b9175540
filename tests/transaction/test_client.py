"""Client transactions against RFC 3261 §17.1, §9.1, §16.6 and RFC 6026 §7.2."""

import pytest

from sip.message.message import Request
from sip.message.shape import shape_of
from sip.transaction.client import ClientTransaction, InviteClientTransaction
from sip.transaction.machine import State
from sip.transport.flow import Flow
from tests.support.cases import cases

UDP = Flow("UDP", ("192.0.2.1", 5060), ("192.0.2.7", 5060))
TCP = UDP._replace(transport="TCP", connection=1)
USER = object()


def started(method: str, flow: Flow = UDP, now: float = 0.0):
    """Return a client transaction that has just sent its request."""
    lines = [f"Via: SIP/2.0/{flow.transport} us"]
    request = Request(method, "sip:bob@192.0.2.7", shape_of(("via",)), lines)
    kind = InviteClientTransaction if method == "INVITE" else ClientTransaction
    machine = kind(request, "z9hG4bKAb", "us", flow, USER)
    assert machine.start(request, now) == request.encode()
    return machine


def invite(flow: Flow = UDP, now: float = 0.0) -> InviteClientTransaction:
    return started("INVITE", flow, now)


def options(flow: Flow = UDP, now: float = 0.0) -> ClientTransaction:
    return started("OPTIONS", flow, now)


def repeats(machine, until: float) -> list[float]:
    """Return the times of all retransmissions, on a clock that stops at each deadline."""
    times = []
    while machine.deadline is not None and machine.deadline <= until:
        now = machine.deadline
        data = machine.tick(now)
        if data is not None:
            assert data == machine.data
            times.append(now)
    return times


def test_responses_match_by_method_and_caseless_branch():
    """§17.1.3, §7.3.1."""
    assert invite().key == ("z9hg4bkab", "INVITE")
    assert options().key == ("z9hg4bkab", "OPTIONS")


# INVITE, §17.1.1


def test_timer_a_doubles_without_a_cap_until_timer_b():
    """§17.1.1.2: timer A 0.5, 1, 2, 4, 8, 16 s; timer B 64*T1."""
    machine = invite(now=100.0)
    assert repeats(machine, until=131.999) == [100.5, 101.5, 103.5, 107.5, 115.5, 131.5]
    assert machine.state is State.TRYING
    assert machine.deadline == 132.0
    assert machine.tick(132.0) is None
    assert machine.is_over
    assert machine.timed_out


def test_on_a_connection_an_invite_has_timer_b_but_no_timer_a():
    """§17.1.1.2: no timer A, timer B for any transport."""
    machine = invite(TCP)
    assert machine.deadline == 32.0
    assert repeats(machine, until=31.0) == []
    machine.tick(31.999)
    assert machine.state is State.TRYING
    machine.tick(32.0)
    assert machine.timed_out
    assert machine.is_over


def test_a_provisional_response_ends_the_repeats():
    """§17.1.1.2, Proceeding."""
    machine = invite()
    assert machine.receive(100, 0.2) is True
    assert machine.state is State.PROCEEDING
    assert machine.data is None
    assert machine.tick(0.5) is None
    assert machine.tick(32.0) is None  # timer B is off as well
    assert machine.state is State.PROCEEDING


def test_every_provisional_response_goes_on():
    """§17.1.1.2, Proceeding."""
    machine = invite()
    assert [machine.receive(status, 1.0) for status in (100, 180, 183, 199, 100)] == [True] * 5


@cases("rings_first", [False, True])
@cases("status", [200, 202, 299])
def test_each_2xx_goes_on_until_timer_m(status: int, rings_first: bool):
    """RFC 6026 §7.2: Accepted for 64*T1 from the first 2xx."""
    machine = invite()
    if rings_first:
        machine.receive(180, 5.0)
    assert machine.receive(status, 10.0) is True
    assert (machine.state, machine.deadline) == (State.ACCEPTED, 42.0)
    assert machine.receive(status, 10.5) is True
    assert machine.receive(200, 41.0) is True
    assert machine.deadline == 42.0
    assert machine.tick(41.999) is None
    assert machine.state is State.ACCEPTED
    assert machine.tick(42.0) is None
    assert machine.is_over
    assert not machine.timed_out


@pytest.mark.parametrize("late", [100, 180, 300, 487, 603])
def test_after_a_2xx_only_a_2xx_goes_on(late: int):
    """RFC 6026 §7.2."""
    machine = invite()
    machine.receive(200, 1.0)
    assert machine.receive(late, 2.0) is False
    assert (machine.state, machine.deadline) == (State.ACCEPTED, 33.0)


@cases("rings_first", [False, True])
@cases("status", [300, 404, 487, 503, 699])
def test_a_failure_goes_on_once_and_is_kept_for_timer_d(status: int, rings_first: bool):
    """§17.1.1.2: Completed, and timer D of at least 32 s."""
    machine = invite()
    if rings_first:
        machine.receive(180, 1.0)
    assert machine.receive(status, 3.0) is True
    assert (machine.state, machine.deadline) == (State.COMPLETED, 35.0)
    for repeat in (status, 180, 200, 600):
        assert machine.receive(repeat, 4.0) is False
    assert machine.tick(34.999) is None
    assert machine.state is State.COMPLETED
    assert machine.tick(35.0) is None
    assert machine.is_over
    assert not machine.timed_out


def test_on_a_connection_a_failure_leaves_nothing_to_wait_for():
    """§17.1.1.2: timer D of 0 s."""
    machine = invite(TCP)
    machine.receive(486, 3.0)
    assert machine.deadline == 3.0
    machine.tick(3.0)
    assert machine.is_over


# CANCEL, §9.1


def test_a_cancel_waits_for_a_provisional_response():
    """§9.1: it is not allowed before a provisional response."""
    machine = invite()
    assert machine.cancel(0.1) is False
    assert machine.wants_cancel
    assert machine.data is not None  # the INVITE is retransmitted as before
    assert machine.receive(100, 0.3) is True
    assert machine.wants_cancel
    assert machine.cancel(0.3) is True
    assert not machine.wants_cancel


def test_a_ringing_invite_is_cancelled_at_once_and_only_once():
    """§9.1."""
    machine = invite()
    machine.receive(180, 1.0)
    assert machine.cancel(2.0) is True
    assert machine.cancel(3.0) is False


@pytest.mark.parametrize("final", [200, 486])
def test_after_the_final_response_no_cancel_is_sent(final: int):
    """§9.1: it would have no effect."""
    machine = invite()
    machine.receive(180, 1.0)
    machine.receive(final, 2.0)
    assert machine.cancel(3.0) is False
    assert not machine.wants_cancel


@pytest.mark.parametrize("final", [200, 486])
def test_a_final_response_discards_a_pending_cancel(final: int):
    """§9.1."""
    machine = invite()
    machine.cancel(0.1)
    machine.receive(final, 0.2)
    assert machine.cancel(0.2) is False


def test_a_cancelled_invite_without_an_answer_ends_64_t1_later():
    """§9.1: a peer of RFC 2543 sends no 487; further 180s do not restart the timer."""
    machine = invite()
    machine.receive(180, 1.0)
    machine.cancel(10.0)
    assert machine.receive(183, 20.0) is True
    assert machine.deadline == 42.0
    machine.tick(41.999)
    assert machine.state is State.PROCEEDING
    machine.tick(42.0)
    assert machine.is_over
    assert machine.timed_out


def test_a_cancelled_invite_without_response_ends_with_timer_b():
    """§17.1.1.2."""
    machine = invite()
    machine.cancel(5.0)
    repeats(machine, until=32.0)
    assert machine.is_over
    assert machine.timed_out


# Timer C, §16.6 step 11, §16.7 step 2, §16.8


def test_timer_c_asks_for_a_cancel_after_three_minutes():
    """§16.8: a branch that has had a provisional response is cancelled."""
    machine = invite()
    machine.receive(180, 10.0)
    assert machine.deadline == 191.0
    machine.tick(190.999)
    assert not machine.wants_cancel
    assert machine.tick(191.0) is None
    assert machine.wants_cancel
    assert machine.cancel(191.0) is True
    assert machine.deadline == 223.0


def test_each_provisional_but_100_restarts_timer_c():
    """§16.7, step 2: 101 to 199."""
    machine = invite()
    machine.receive(100, 1.0)
    assert machine.deadline == 182.0
    machine.receive(100, 50.0)
    assert machine.deadline == 182.0
    machine.receive(180, 100.0)
    assert machine.deadline == 281.0
    machine.receive(100, 120.0)
    assert machine.deadline == 281.0
    machine.receive(183, 130.0)
    assert machine.deadline == 311.0


# Other methods, §17.1.2


def test_timer_e_doubles_up_to_t2_until_timer_f():
    """§17.1.2.2: timer E 0.5, 1, 2, 4, 4 … s; timer F 64*T1."""
    machine = options(now=100.0)
    times = repeats(machine, until=131.999)
    assert times == [100.5, 101.5, 103.5, 107.5, 111.5, 115.5, 119.5, 123.5, 127.5, 131.5]
    assert machine.deadline == 132.0
    assert machine.tick(132.0) is None
    assert machine.is_over
    assert machine.timed_out


def test_after_a_provisional_response_the_repeats_go_on_every_t2():
    """§17.1.2.2, Proceeding: a running timer E is not changed; after it, timer E is T2."""
    machine = options()
    assert repeats(machine, until=0.5) == [0.5]
    assert machine.receive(100, 0.6) is True
    assert machine.state is State.PROCEEDING
    assert machine.receive(100, 0.7) is True
    assert repeats(machine, until=20.0) == [1.5, 5.5, 9.5, 13.5, 17.5]


def test_timer_f_ends_proceeding_too():
    """§17.1.2.2."""
    machine = options()
    machine.receive(100, 0.2)
    repeats(machine, until=31.999)
    assert machine.state is State.PROCEEDING
    machine.tick(32.0)
    assert machine.is_over
    assert machine.timed_out


@cases("provisional_first", [False, True])
@cases("status", [200, 302, 404, 503, 603])
def test_a_repeated_final_response_is_absorbed_for_timer_k(status: int, provisional_first: bool):
    """§17.1.2.2: Completed for T4."""
    machine = options()
    if provisional_first:
        machine.receive(100, 1.0)
    assert machine.receive(status, 2.0) is True
    assert (machine.state, machine.deadline) == (State.COMPLETED, 7.0)
    assert machine.receive(status, 2.5) is False
    assert machine.receive(100, 3.0) is False
    assert machine.tick(6.999) is None
    assert machine.state is State.COMPLETED
    assert machine.tick(7.0) is None
    assert machine.is_over
    assert not machine.timed_out


def test_on_a_connection_a_request_is_sent_once():
    """§17.1.2.2: no timer E, timer F as on UDP, timer K of 0 s."""
    machine = options(TCP)
    assert machine.deadline == 32.0
    machine.receive(100, 1.0)
    assert repeats(machine, until=31.0) == []
    assert machine.receive(200, 31.0) is True
    assert machine.deadline == 31.0
    machine.tick(31.0)
    assert machine.is_over
    assert not machine.timed_out


def test_on_a_connection_a_request_times_out():
    """§17.1.2.2."""
    machine = options(TCP)
    assert repeats(machine, until=32.0) == []
    assert machine.timed_out


@pytest.mark.parametrize("make", [invite, options])
def test_a_terminated_client_takes_and_holds_nothing(make):
    """§17.1: Terminated.  The wheel may keep the machine longer; its messages are freed at once."""
    machine = make()
    machine.end()
    assert machine.receive(200, 1.0) is False
    assert machine.tick(100.0) is None
    assert (machine.state, machine.deadline) == (State.TERMINATED, None)
    assert machine.data is None
    assert machine.request is None
    assert not machine.timed_out


@pytest.mark.parametrize("make", [invite, options])
def test_an_early_tick_is_harmless(make):
    """`tick` may be called at any time."""
    machine = make()
    assert machine.tick(0.499) is None
    assert machine.deadline == 0.5
