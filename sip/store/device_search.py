"""Search in the devices and addresses of registered phones.

Problem: a page searches a text anywhere in the `user_agent` and the source address of all bindings,
    but an index of them would cost every REGISTER, and to read all of a large table takes too long
    for each letter that an administrator types.
Model: the reader's connection has temporary tables of just these texts, made from the bindings.
    There are few different devices, so that their texts are compared once, and addresses are
    compared only with a text that can be a part of one.
Invariant: a search sees the bindings of at most MAX_AGE seconds ago.
Bounds: one row of some 40 octets for each binding, in memory, after the first search.
"""

import re
from time import monotonic

from sip.store.database import Tables, fetch

# Seconds.
MAX_AGE = 10.0

_ADDRESS = re.compile(r"[0-9a-fA-F.:\[\]]+")


class DeviceTable:
    """The temporary tables, in the connection of `Database.browse`; used in its thread only."""

    def __init__(self) -> None:
        self._made_at = -MAX_AGE

    def prepare(self, tables: Tables) -> None:
        """Make the tables, unless they are recent enough."""
        if monotonic() - self._made_at < MAX_AGE:
            return
        for statement in _MAKE:
            fetch(tables, statement)
        self._made_at = monotonic()


def matching_devices(text: str) -> str:
    """Return the query for the users of devices that match the pattern :device for a text."""
    return f"{_AGENTS} UNION ALL {_ADDRESSES}" if _ADDRESS.fullmatch(text) else _AGENTS


def has_matching_device(text: str) -> str:
    """Return the condition for a row of `users` with such a device, for some thousands of rows."""
    places = [_HAS_AGENT, _HAS_ADDRESS] if _ADDRESS.fullmatch(text) else [_HAS_AGENT]
    return " OR ".join(f"EXISTS ({each})" for each in places)


_AGENTS = """
    SELECT user_id FROM temp.devices
    WHERE agent IN (SELECT id FROM temp.agents WHERE text LIKE :device ESCAPE '\\')
"""
_ADDRESSES = "SELECT user_id FROM temp.devices WHERE address LIKE :device ESCAPE '\\'"
_OF_USER = "SELECT 1 FROM temp.devices WHERE user_id = users.id"
_HAS_AGENT = f"""
    {_OF_USER} AND agent IN (SELECT id FROM temp.agents WHERE text LIKE :device ESCAPE '\\')
"""  # noqa: S608 -- our own query
_HAS_ADDRESS = f"{_OF_USER} AND address LIKE :device ESCAPE '\\'"
# A flow is TRANSPORT/LOCAL/REMOTE;FLAGS, see bindings.py: only the remote address is searched.
_MAKE = (
    "DROP TABLE IF EXISTS temp.devices",
    "DROP TABLE IF EXISTS temp.agents",
    "CREATE TEMP TABLE agents (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
    "INSERT INTO temp.agents (text) SELECT DISTINCT user_agent FROM bindings",
    """
    CREATE TEMP TABLE devices AS
    SELECT user_id, agents.id AS agent,
        substr(rest, instr(rest, '/') + 1, instr(rest || ';', ';') - instr(rest, '/') - 1)
            AS address
    FROM (SELECT user_id, user_agent, substr(flow, instr(flow, '/') + 1) AS rest FROM bindings)
    CROSS JOIN temp.agents ON agents.text = user_agent
    """,
    "CREATE INDEX temp.devices_by_agent ON devices (agent, user_id)",
    "CREATE INDEX temp.devices_by_user ON devices (user_id)",
)
