"""Many users at once, and exact ladders: SIPp accepts what its scenario says and nothing else."""

import functools

import pytest

from tests.support.sipp_calls import play, register

CALLS = 500


@pytest.fixture
def run(server, sipp):
    """`play` on the loopback network."""
    return functools.partial(play, server, sipp)


def test_a_thousand_users_register(server, sipp):
    """RFC 3261 §10.3, §22: REGISTER, 401, REGISTER with credentials, 200 with the binding."""
    users = [f"phone{number:04}" for number in range(1000)]
    server.has_users(*users)

    register(server, sipp, users)


def test_five_hundred_calls_of_local_users_are_set_up_and_ended(run):
    """RFC 3665 §3.2 with §22.3: INVITE, 407, ACK, INVITE, 180, 200, ACK, BYE, 200; none is lost."""
    run("caller_challenged", "callee", calls=CALLS)


def test_five_hundred_calls_from_outside_are_set_up_and_ended(run):
    """RFC 3261 §16: a call to a local user from another domain needs no credentials."""
    run("caller", "callee", calls=CALLS, from_domain="elsewhere.test")


def test_a_call_cancelled_while_it_rings_ends_on_both_sides(run):
    """RFC 3261 §9, §16.10: 200 for the CANCEL, 487 for the INVITE, and an ACK at each end."""
    run("caller_cancels", "callee_cancelled", calls=100)


def test_a_busy_callee_is_reported_to_the_caller(run):
    """RFC 3261 §17.1.1.3, §17.2.1: each hop acknowledges the 486."""
    run("caller_finds_busy", "callee_busy", calls=100)


@pytest.mark.parametrize("by", [("tcp", "udp"), ("udp", "tcp"), ("tcp", "tcp")])
def test_calls_between_udp_and_tcp_are_set_up_and_ended(run, by: tuple[str, str]):
    """RFC 3261 §18, RFC 5658: each side knows the server by its own transport."""
    run("caller_challenged", "callee", calls=100, by=by)
