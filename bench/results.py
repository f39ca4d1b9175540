"""The file of results: figures, their dates, and the conditions of the measurement."""

import dataclasses
import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench import python_build
from bench.suite import Plan
from tests.support.programs import program

Results = dict[str, dict]


def new(plan: Plan, uncompiled: str = "") -> Results:
    """Return results without figures; `uncompiled` says why the compiled server is missing."""
    return {"conditions": conditions(plan, uncompiled), "foreign": {}, "sections": {}}


def conditions(plan: Plan, uncompiled: str) -> dict[str, object]:
    """Return the conditions that matter for a comparison with other figures."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "cpu": _first(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": python_build.describe(),
        "uncompiled": uncompiled,
        "gevent": version("gevent"),
        "kamailio": _first(r"version: (.*)", _said(program("kamailio"), "-v")),
        "sipp": _first(r"SIPp (\S+)", _said(program("sipp"), "-v")),
        "commit": _said(
            "git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"
        ).strip(),
        "plan": dataclasses.asdict(plan),
    }


def merged(kept: Results, found: Results) -> Results:
    """Return the saved results with the new sections in place of the old ones."""
    date = found["conditions"]["date"]
    return {
        "conditions": found["conditions"],
        "measured_at": kept.get("measured_at", {}) | dict.fromkeys(found["sections"], date),
        "foreign": kept.get("foreign", {}) | found["foreign"],
        "sections": kept.get("sections", {}) | found["sections"],
    }


def load(file: Path) -> Results:
    """Return the results in the file; without figures if there is no file."""
    return json.loads(file.read_text()) if file.exists() else {"conditions": {}, "sections": {}}


def save(kept: Results, file: Path) -> None:
    """Write the results, floats with three decimals."""
    text = json.dumps(_rounded(kept), indent=1, ensure_ascii=False)
    file.write_text(text + "\n")


def _rounded(value: object) -> object:
    match value:
        case float():
            return round(value, 3)
        case dict():
            return {name: _rounded(one) for name, one in value.items()}
        case list() | tuple():
            return [_rounded(one) for one in value]
    return value


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1].strip().rstrip(".") if found else "unknown"
