"""The commands `trouble` and `health`: they ask the running server, through its control socket."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sip.cli.prompt import discard_output
from sip.config import CommandError, Config
from sip.control.protocol import ControlError, ask
from sip.monitor.health import exit_code

_MARKS = {"ok": "ok      ", "warning": "WARNING ", "failing": "FAILING "}


def execute(options: argparse.Namespace, config: Config) -> int:
    """Execute one of the commands and return the exit code.  Raises CommandError."""
    try:
        reply = ask(config.db_path, do=options.command)
    except ControlError as error:
        raise CommandError(str(error)) from None
    lines = _health_lines if options.command == "health" else _trouble_lines
    try:
        if options.json:
            print(json.dumps(reply, indent=2))
        else:
            for line in lines(reply):
                print(line)
    except BrokenPipeError:  # the reader, for example `head`, has closed the pipe
        discard_output()
    return exit_code(reply["status"]) if options.command == "health" else 0


def _health_lines(reply: Mapping[str, Any]) -> Iterator[str]:
    for check in reply["checks"]:
        yield f"{_MARKS.get(check['status'], check['status'])}{check['name']}: {check['detail']}"
        if check["cure"]:
            yield f"        {check['cure']}"


def _trouble_lines(reply: Mapping[str, Any]) -> Iterator[str]:
    rows: Sequence[Mapping[str, Any]] = reply["refusals"]
    for row in rows:
        what = "registration" if row["method"] == "REGISTER" else f"call to {row['to']}"
        times = f"{row['count']} times, the last " if row["count"] > 1 else ""
        yield (
            f"{row['user'] or 'unknown'} at {row['address']}: {what} refused with {row['status']},"
            f" {times}{row['last_at']}: {row['cause']}"
        )
        if row["cure"]:
            yield f"        {row['cure']}"
    for wait in reply["waits"]:
        yield (
            f"{wait['user']} at {wait['address']} has to wait until {wait['until']}, after"
            f" {wait['tries']} wrong passwords; `forgive {wait['user']} {wait['address']}` ends it"
        )
    for ban in reply["bans"]:
        yield f"{ban['address']} is banned until {ban['until']}: {ban['reason']}"
    for network in reply["trusted"]:
        yield f"{network['network']} is trusted"
    if not (rows or reply["waits"] or reply["bans"]):
        yield "nothing was refused, no login has to wait, no address is banned"
