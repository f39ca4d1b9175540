"""The command `settings`: the value and the source of each setting."""

import argparse
import json
import os
from collections.abc import Mapping

from sip.cli.prompt import discard_output, store_warnings, warn
from sip.config import SETTINGS, CommandError, Config
from sip.setting_sources import Sources
from sip.store.database import Database, DatabaseError
from sip.store.kept_settings import KeptSettings


def execute(options: argparse.Namespace, config: Config, sources: Sources) -> int:
    """List the settings as a start of the server would use them.  Raises CommandError."""
    try:
        good, refused = sources.usable(_kept(config.db_path))
    except DatabaseError as error:
        raise CommandError(str(error)) from None
    for sentence in refused:
        warn(f"kept setting ignored: {sentence}")
    rows = [
        {
            "name": name,
            "value": SETTINGS[name].mask(chosen.text),
            "source": chosen.source,
            "default": SETTINGS[name].default,
            "meaning": SETTINGS[name].meaning,
        }
        for name, chosen in sources.choose(good).items()
    ]
    try:
        if options.json:
            print(json.dumps(rows, indent=1))
        else:
            for row in rows:
                print(row["name"], row["value"] or "none", row["source"], sep="\t")
    except BrokenPipeError:  # the reader, for example `head`, has closed the pipe
        discard_output()
    return 0


def _kept(path: str) -> Mapping[str, str]:
    """Return the values of the page; without a database there are none."""
    if not os.path.exists(path):
        return {}
    with store_warnings(), Database(path) as database:
        return KeptSettings(database).values()
