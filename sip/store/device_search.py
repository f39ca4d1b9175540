"""Search in the devices and addresses of registered phones.

Problem: a page searches a text anywhere in the `user_agent` and the source address of all bindings,
    but an index of them would cost every REGISTER, and to read all of a large table takes too long
    for each letter that an administrator types.
Model: the reader's connection has a temporary table of just these texts, made from the bindings.
Invariant: a search sees the bindings of at most MAX_AGE seconds ago.
Bounds: one row of some 60 octets for each binding, in memory, after the first search.
"""

from time import monotonic

from sip.store.database import Tables, fetch

# Seconds.
MAX_AGE = 10.0


class DeviceTable:
    """The temporary table, in the connection of `Database.browse`; used in its thread only."""

    def __init__(self) -> None:
        self._made_at = -MAX_AGE

    def prepare(self, tables: Tables) -> None:
        """Make the table, unless it is recent enough."""
        if monotonic() - self._made_at < MAX_AGE:
            return
        fetch(tables, _CREATE)
        fetch(tables, "DELETE FROM temp.devices")
        fetch(tables, _FILL)
        self._made_at = monotonic()


# Users whose devices match the pattern :device.
MATCHING = "SELECT user_id FROM temp.devices WHERE texts LIKE :device ESCAPE '\\'"
_CREATE = "CREATE TEMP TABLE IF NOT EXISTS devices (user_id INTEGER NOT NULL, texts TEXT NOT NULL)"
# A flow is TRANSPORT/LOCAL/REMOTE;FLAGS, see bindings.py: only the remote address is searched.
_FILL = """
    INSERT INTO temp.devices
    SELECT user_id, user_agent || char(10)
        || substr(rest, instr(rest, '/') + 1, instr(rest || ';', ';') - instr(rest, '/') - 1)
    FROM (SELECT user_id, user_agent, substr(flow, instr(flow, '/') + 1) AS rest FROM bindings)
"""
