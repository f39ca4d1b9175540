"""Calls between real phones: set up and ended."""

from tests.support.phone import Phone


def talk(caller: Phone, callee: Phone) -> None:
    """Set up a call; the caller hears that the callee rings."""
    caller.dials(callee)
    callee.gets_a_call(caller)
    caller.hears_ringing(callee)
    callee.answers()
    caller.is_talking(callee)
    callee.is_talking(caller)


def talk_at_once(caller: Phone, callee: Phone) -> None:
    """Set up a call, and do not wait for the sound of ringing."""
    caller.dials(callee)
    callee.gets_a_call(caller)
    callee.answers()
    caller.is_talking(callee)
    callee.is_talking(caller)


def talk_and_hear(caller: Phone, callee: Phone) -> None:
    """Set up a call, and wait until both sides receive audio."""
    talk(caller, callee)
    caller.hears()
    callee.hears()


def part(caller: Phone, callee: Phone) -> None:
    """End a call; the callee hangs up."""
    callee.hangs_up()
    callee.call_ends(caller)
    caller.call_ends(callee)
