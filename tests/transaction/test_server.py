"""Server transactions against RFC 3261 §17.2 and RFC 6026 §7.1, with `now` as plain numbers."""

import pytest

from sip.transaction.machine import State
from sip.transaction.server import InviteServerTransaction, ServerTransaction
from sip.transport.flow import Flow
from tests.support.cases import cases

UDP = Flow("UDP", ("192.0.2.1", 5060), ("192.0.2.7", 5060))
TCP = UDP._replace(transport="TCP", connection=1)
KEY = "z9hg4bk1\n192.0.2.7:5060\nINVITE"

RINGING, OK, BUSY = b"180", b"200", b"486"


def invite(flow: Flow = UDP) -> InviteServerTransaction:
    return InviteServerTransaction(KEY, flow, 0.0)


def request(flow: Flow = UDP) -> ServerTransaction:
    return ServerTransaction(KEY, flow, 0.0)


def repeats(machine, until: float, start: float = 0.0) -> list[float]:
    """Return the times of all retransmissions, on a clock that stops at each deadline."""
    times, now = [], start
    while machine.deadline is not None and machine.deadline <= until:
        now = machine.deadline
        if machine.tick(now) is not None:
            times.append(now)
    return times


# INVITE, §17.2.1


def test_an_invite_stays_in_proceeding_while_the_phone_rings():
    """§17.2.1: no timer runs in Proceeding."""
    machine = invite()
    assert (machine.state, machine.deadline) == (State.PROCEEDING, None)
    assert machine.tick(10_000.0) is None
    assert machine.state is State.PROCEEDING


def test_a_repeated_invite_gets_the_latest_provisional_response():
    """§17.2.1, Proceeding."""
    machine = invite()
    assert machine.repeat() is None
    assert machine.respond(100, b"100", 0.1) == b"100"
    assert machine.respond(180, RINGING, 0.2) == RINGING
    assert machine.repeat() == RINGING
    assert (machine.state, machine.deadline) == (State.PROCEEDING, None)


def test_timer_g_doubles_up_to_t2_until_timer_h():
    """§17.2.1: timer G 0.5, 1, 2, 4, 4 … s, timer H 32 s after the response."""
    machine = invite()
    assert machine.respond(486, BUSY, 100.0) == BUSY
    assert machine.state is State.COMPLETED
    times = repeats(machine, until=200.0)
    assert times == [100.5, 101.5, 103.5, 107.5, 111.5, 115.5, 119.5, 123.5, 127.5, 131.5]
    assert machine.is_over
    assert machine.deadline is None


def test_timer_h_ends_it_at_32_seconds_and_not_before():
    """§17.2.1: timer H is 64*T1."""
    machine = invite()
    machine.respond(300, b"300", 0.0)
    repeats(machine, until=31.9)
    assert machine.deadline == 32.0
    machine.tick(31.999)
    assert machine.state is State.COMPLETED
    machine.tick(32.0)
    assert machine.state is State.TERMINATED


def test_a_repeated_invite_gets_the_failure_and_moves_no_timer():
    """§17.2.1, Completed."""
    machine = invite()
    machine.respond(486, BUSY, 0.0)
    assert machine.repeat() == BUSY
    assert machine.deadline == 0.5


def test_an_acknowledged_failure_is_kept_for_timer_i():
    """§17.2.1: timer I is T4; Confirmed absorbs further ACKs and repeats."""
    machine = invite()
    machine.respond(486, BUSY, 0.0)
    machine.tick(0.5)
    assert machine.acknowledge(1.0) is True
    assert (machine.state, machine.deadline) == (State.CONFIRMED, 6.0)
    assert machine.repeat() is None
    assert machine.acknowledge(3.0) is True  # absorbed, and timer I is not restarted
    assert machine.deadline == 6.0
    assert machine.tick(5.999) is None
    assert machine.state is State.CONFIRMED
    assert machine.tick(6.0) is None
    assert machine.is_over


def test_an_accepted_invite_passes_acks_and_2xx_but_no_repeats():
    """RFC 6026 §7.1: Accepted, and timer L of 64*T1."""
    machine = invite()
    assert machine.respond(200, OK, 10.0) == OK
    assert (machine.state, machine.deadline) == (State.ACCEPTED, 42.0)
    assert machine.repeat() is None
    assert machine.acknowledge(10.2) is False
    assert machine.respond(200, OK, 10.5) == OK
    assert machine.respond(202, b"202", 11.5) == b"202"
    assert (machine.state, machine.deadline) == (State.ACCEPTED, 42.0)
    assert machine.last is None  # the callee retransmits its 2xx
    assert machine.tick(41.999) is None
    assert machine.state is State.ACCEPTED
    assert machine.tick(42.0) is None
    assert machine.is_over


@cases("late", [100, 183, 300, 408, 487, 603])
def test_after_a_2xx_nothing_but_a_2xx_is_sent(late: int):
    """RFC 6026 §7.1."""
    machine = invite()
    machine.respond(200, OK, 0.0)
    assert machine.respond(late, b"late", 1.0) is None
    assert machine.state is State.ACCEPTED


@cases("late", [100, 180, 200, 487, 600])
@cases("acknowledged", [False, True])
def test_after_a_failure_every_further_response_is_dropped(late: int, acknowledged: bool):
    """§17.2.1: the first final response stands."""
    machine = invite()
    machine.respond(486, BUSY, 0.0)
    if acknowledged:
        machine.acknowledge(0.1)
    before = machine.state, machine.deadline
    assert machine.respond(late, b"late", 1.0) is None
    assert (machine.state, machine.deadline) == before


def test_an_ack_before_the_final_response_has_no_effect():
    """§17.2.1: there is nothing to acknowledge."""
    machine = invite()
    machine.respond(180, RINGING, 0.0)
    assert machine.acknowledge(0.1) is True
    assert (machine.state, machine.deadline, machine.repeat()) == (State.PROCEEDING, None, RINGING)


def test_on_a_connection_the_ack_of_a_failure_ends_it():
    """§17.2.1: no timer G, timer H as on UDP, timer I of 0 s."""
    machine = invite(TCP)
    machine.respond(486, BUSY, 0.0)
    assert machine.deadline == 32.0
    assert repeats(machine, until=31.0) == []
    assert machine.acknowledge(31.0) is True
    assert machine.is_over


def test_on_a_connection_a_failure_without_ack_ends_with_timer_h():
    """§17.2.1."""
    machine = invite(TCP)
    machine.respond(486, BUSY, 0.0)
    assert repeats(machine, until=32.0) == []
    assert machine.is_over


def test_on_a_connection_timer_l_is_kept():
    """RFC 6026 §8.7: for all transports."""
    machine = invite(TCP)
    machine.respond(200, OK, 0.0)
    assert machine.deadline == 32.0


# Other methods, §17.2.2


def test_a_repeated_request_is_dropped_until_there_is_a_response():
    """§17.2.2, Trying."""
    machine = request()
    assert machine.state is State.TRYING
    assert machine.repeat() is None


def test_a_repeated_request_gets_the_latest_response():
    """§17.2.2, Proceeding and Completed."""
    machine = request()
    assert machine.respond(100, b"100", 4.0) == b"100"
    assert (machine.state, machine.repeat()) == (State.PROCEEDING, b"100")
    assert machine.respond(200, OK, 5.0) == OK
    assert (machine.state, machine.repeat()) == (State.COMPLETED, OK)


def test_the_response_is_kept_for_timer_j():
    """§17.2.2: timer J is 64*T1 after the final response."""
    machine = request()
    machine.respond(404, b"404", 3.0)
    assert machine.deadline == 35.0
    assert machine.tick(34.999) is None
    assert machine.repeat() == b"404"
    assert machine.tick(35.0) is None
    assert machine.is_over


@pytest.mark.parametrize("late", [100, 183, 200, 500])
def test_a_second_final_response_is_dropped(late: int):
    """§17.2.2, Completed."""
    machine = request()
    machine.respond(200, OK, 0.0)
    assert machine.respond(late, b"late", 1.0) is None
    assert (machine.deadline, machine.repeat()) == (32.0, OK)


def test_on_a_connection_the_response_ends_it():
    """§17.2.2: timer J of 0 s."""
    machine = request(TCP)
    assert machine.respond(200, OK, 0.0) == OK
    assert machine.is_over


def test_a_100_is_due_once_when_timer_e_reaches_t2():
    """RFC 4320 §4.1: the client's timer E is set to T2 after 0.5 + 1 + 2 s, not before."""
    machine = request()
    machine.tick(3.499)
    assert not machine.wants_trying
    machine.tick(3.5)
    assert machine.wants_trying
    assert machine.deadline is None
    machine.respond(100, b"100", 3.5)
    assert machine.deadline is None


@pytest.mark.parametrize("status", [101, 180, 183, 199])
def test_no_provisional_response_but_100_is_sent(status: int):
    """RFC 4320 §4.1."""
    machine = request()
    assert machine.respond(status, RINGING, 1.0) is None
    assert (machine.state, machine.repeat()) == (State.TRYING, None)
    machine.tick(3.5)
    assert machine.wants_trying


@pytest.mark.parametrize("flow", [UDP, TCP])
@pytest.mark.parametrize("trying", [None, b"100"])
def test_a_408_is_never_sent_and_yet_ends_it(trying: bytes | None, flow: Flow):
    """RFC 4320 §4.2: retransmissions are absorbed, or get the same 100 again."""
    machine = request(flow)
    if trying:
        machine.respond(100, trying, 3.5)
    assert machine.respond(408, b"408", 10.0) is None
    assert machine.is_answered
    assert machine.respond(200, OK, 11.0) is None
    assert machine.repeat() == trying
    assert machine.is_over is (flow is TCP)
    machine.tick(42.0)
    assert machine.is_over


def test_an_invite_is_answered_408():
    """RFC 4320 is about other methods only."""
    assert invite().respond(408, b"408", 1.0) == b"408"


def test_no_100_is_due_after_a_response():
    """RFC 4320 §4.1."""
    machine = request()
    machine.respond(200, OK, 3.4)
    machine.tick(3.5)
    assert not machine.wants_trying
    early = request()
    early.respond(100, b"100", 1.0)
    early.tick(3.5)
    assert not early.wants_trying
    assert early.state is State.PROCEEDING


@pytest.mark.parametrize("machine", [invite(), request()])
def test_a_terminated_server_sends_nothing(machine):
    """§17.2: Terminated."""
    machine.end()
    assert machine.respond(200, OK, 1.0) is None
    assert machine.tick(100.0) is None
    assert machine.is_answered
    assert (machine.state, machine.deadline) == (State.TERMINATED, None)
