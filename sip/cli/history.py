"""The `history` command: list past calls.  It reads the database, and needs no running server."""

import argparse
import json
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from sip.cli.prompt import discard_output, store_warnings
from sip.config import CommandError, Config
from sip.serializers.calls import past_call_json
from sip.store.accounts import normalized
from sip.store.database import Database, DatabaseError
from sip.store.history import CallFilter, History, PastCall

_SPAN = re.compile(r"([0-9]{1,6})(min|h|d)")
_UNITS = {"min": 60, "h": 3600, "d": 86_400}


def execute(options: argparse.Namespace, config: Config) -> int:
    """Print the calls and return the exit code.  Raises CommandError."""
    try:
        since = parse_since(options.since, time.time()) if options.since else 0.0
    except ValueError as error:
        raise CommandError(f"--since: {error}", 2) from None
    if not os.path.exists(config.db_path):
        raise CommandError(
            f"there is no database {config.db_path}; give the file of the server with -db.path"
        )
    wanted = CallFilter(user=normalized(options.user or ""), since=since)
    try:
        with store_warnings(), Database(config.db_path) as database:
            realm = database.remembered("realm") or config.sip_realm
            calls = (call for piece in History(database).pieces(wanted) for call in piece)
            if options.json:
                _print_json(calls)
            else:
                for call in calls:
                    print(*_columns(call, realm), sep="\t")
    except DatabaseError as error:
        raise CommandError(str(error)) from None
    except BrokenPipeError:  # the reader, for example `head`, has closed the pipe
        discard_output()
    except OSError as error:
        discard_output()
        raise CommandError(f"cannot write the output: {error.strerror}") from None
    return 0


def parse_since(text: str, now: float) -> float:
    """Return the Unix time of a date, a time (UTC, if it names no zone), or a span before `now`.

    Raises ValueError.
    """
    if span := _SPAN.fullmatch(text):
        return now - int(span[1]) * _UNITS[span[2]]
    try:
        at = datetime.fromisoformat(text)
        return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time; write it like 2026-11-30, 2026-11-30T14:00Z, 12h or 7d"
        ) from None


def _columns(call: PastCall, realm: str) -> tuple[object, ...]:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(call.started_at))
    numbers = call.caller.number(realm), call.callee.number(realm)
    times = f"rang {call.rang_seconds:.0f} s", f"talked {call.talked_seconds:.0f} s"
    return started, *numbers, call.result, call.status, *times, call.cause


def _print_json(calls: Iterator[PastCall]) -> None:
    """Print a JSON array with one call per line, in ASCII for any locale."""
    print("[", end="")
    for number, call in enumerate(calls):
        print("," if number else "", json.dumps(past_call_json(call)), sep="\n", end="")
    print("\n]")
