"""The `calls` commands: list the calls of the running server, and hang up one of them."""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from sip.cli.prompt import add_audit_entry, warn
from sip.config import CommandError, Config
from sip.control.protocol import ControlError, ask
from sip.store.audit import Act
from sip.store.database import Database, DatabaseError


def execute(options: argparse.Namespace, config: Config) -> int:
    """Execute `calls list` or `calls hangup`, and return the exit code.  Raises CommandError."""
    try:
        if options.action == "hangup":
            return _hang_up(options.id, config)
        reply = ask(config.db_path, do="calls")
    except ControlError as error:
        raise CommandError(str(error)) from None
    calls, more = reply.get("calls", []), reply.get("more", 0)
    if more:
        warn(f"{more} older calls are left out")
    if options.json:
        print(json.dumps(calls, indent=2, ensure_ascii=False))
    elif not calls:
        print("no call rings or talks now")
    else:
        for call in calls:
            print(_line(call))
    return 0


def _hang_up(number: int, config: Config) -> int:
    call = ask(config.db_path, do="hang_up", id=number)["call"]
    about = f"{_name(call['from'])} to {_name(call['to'])}"
    print(f"the call from {about} was ended")
    try:
        with Database(config.db_path) as database:
            add_audit_entry(database, Act.CALL_HUNG_UP, about)
    except DatabaseError as error:
        warn(f"cannot write audit entry: {error}")
    return 0


def _line(call: dict[str, Any]) -> str:
    """Return a call as one line: its id, state, seconds, sides and codecs."""
    since = datetime.fromisoformat(call["answered_at"] or call["started_at"])
    seconds = max(0, int((datetime.now(UTC) - since).total_seconds()))
    codecs = ",".join(call["codecs"]) or "-"
    sides = f"{_name(call['from'])} -> {_name(call['to'])}"
    return f"{call['id']}  {call['state']}  {seconds} s  {sides}  {codecs}"


def _name(side: dict[str, Any]) -> str:
    return str(side["name"] or side["uri"])
