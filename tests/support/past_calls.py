"""Finished calls for tests of the history."""

from collections.abc import Iterable
from contextlib import closing
from itertools import count

from sip.monitor.calls import Call, CallFinished, CallResult, CallState, Side
from sip.store.database import Database
from sip.store.history_writer import HistoryWriter, Limits

STATUSES = {
    CallResult.ANSWERED: 200,
    CallResult.MISSED: 480,
    CallResult.BUSY: 486,
    CallResult.DECLINED: 603,
    CallResult.CANCELLED: 487,
    CallResult.REFUSED: 403,
    CallResult.FAILED: 404,
}
REALM = "example.com"
_numbers = count(1)


def user(number: int, username: str, device: str = "Phone 1.0") -> Side:
    """A user here, at a phone."""
    return Side(
        f"sip:{username}@{REALM}", number, username, REALM, "", device, ("10.0.0.7", 5060), "UDP"
    )


def outside(uri: str = "sip:+49305550199@gateway.example") -> Side:
    """A side without an account."""
    return Side(uri, address=("192.0.2.1", 5060), transport="UDP")


ALICE, BOB = user(1, "alice"), user(2, "bob")


def past_call(
    at: float,
    caller: Side = ALICE,
    callee: Side = BOB,
    result: str = CallResult.ANSWERED,
    rang: float = 4.0,
    talked: float = 60.0,
    cause: str = "",
) -> Call:
    """A call that began at a time, rang after half a second (0: never) and has ended."""
    number = next(_numbers)
    call = Call(
        int(at * 1e6), f"call-{number}@10.0.0.7", "tag", caller, callee, at, CallState.ENDED
    )
    end = at + 0.5 + rang
    call.ringing_at = at + 0.5 if rang else 0.0
    if result == CallResult.ANSWERED:
        call.answered_at, end = end, end + talked
    call.ended_at, call.result, call.status = end, result, STATUSES[result]
    is_refused = result == CallResult.REFUSED or (result == CallResult.FAILED and not rang)
    call.cause, call.code = cause or "hung up", "" if cause else "hung_up"
    call.ended_by = "server" if is_refused else "caller"
    return call


def write_calls(database: Database, calls: Iterable[Call]) -> None:
    """Write calls into the history of a database."""
    with closing(HistoryWriter(database, Limits(days=3650))) as writer:
        for call in calls:
            writer.listen(CallFinished(call))
