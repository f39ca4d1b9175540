"""What the columns of import files were last taken for, kept by their headers.

A file without a header line has only the number of its columns to be known by.
"""

import hashlib
import json
from collections.abc import Sequence
from time import time

from sip.store.columns import CHOICES, ColumnChoice
from sip.store.database import Database, Tables, fetch

# Headers that are kept; those that were not used for the longest time are removed.
MAX_HEADERS = 100


class ColumnChoices:
    """The kept choices."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, header: Sequence[str]) -> ColumnChoice | None:
        """Return the choice for a file with this first line, None without one."""
        keys = (_key(header), _key_without_header(len(header)))

        def read(tables: Tables) -> dict[str, str]:
            return dict(fetch(tables, _FIND, keys))

        found = self._database.browse(read)
        for key, has_header in zip(keys, (True, False), strict=True):
            fields = tuple(json.loads(found[key])["fields"]) if key in found else ()
            if len(fields) == len(header) and set(fields) <= set(CHOICES):
                return ColumnChoice(fields, has_header)
        return None

    def keep(self, header: Sequence[str], choice: ColumnChoice) -> None:
        """Keep the choice for files with this header."""
        key = _key(header) if choice.has_header else _key_without_header(len(header))
        value = json.dumps({"fields": choice.fields, "used_at": time()})

        def write(tables: Tables) -> None:
            if not choice.has_header:
                fetch(tables, "DELETE FROM meta WHERE key = ?", (_key(header),))
            fetch(tables, _KEEP, (key, value))
            fetch(tables, _DELETE_OLDEST, (MAX_HEADERS,))

        self._database.run(write)


def _key(header: Sequence[str]) -> str:
    text = json.dumps([name.strip().casefold() for name in header])
    return f"{_PREFIX} {hashlib.sha256(text.encode()).hexdigest()}"


def _key_without_header(width: int) -> str:
    return f"{_PREFIX} of {width}"


_PREFIX = "import columns"
_FIND = "SELECT key, value FROM meta WHERE key IN (?, ?)"
_KEEP = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"
_DELETE_OLDEST = f"""
    DELETE FROM meta WHERE key IN (
        SELECT key FROM meta WHERE key GLOB '{_PREFIX} *'
        ORDER BY value ->> 'used_at' DESC LIMIT -1 OFFSET ?
    )
"""  # noqa: S608 -- our names
