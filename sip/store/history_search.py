"""Search in the history: the ids of the newest calls of a filter, in bounded time.

Problem: a million rows, and each list has to be there in some milliseconds, for any filter.
Model: an id is the time of a call, and each index ends with it.  So the newest calls of one result,
    of one side, or of one side with one result are read from the end of a range of an index, and
    the ranges of a filter are merged.  A text is first searched in the table of the sides, which
    has a full-text index; if few sides match, their calls are collected.
Invariant: without a text, the ids found are the newest of the filter, all of them or `limit`.
Bounds: where many sides match a text, the newest MAX_LOOKED_AT calls are compared one by one, and
    `searched_to` says how far that went; the next page goes on there.
"""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sip.monitor.calls import CallResult
from sip.store.database import Tables, fetch

# The results by their number in the column `result`; a released number is never changed.
RESULTS = (
    *(CallResult.ANSWERED, CallResult.MISSED, CallResult.BUSY, CallResult.DECLINED),
    *(CallResult.CANCELLED, CallResult.REFUSED, CallResult.FAILED),
)
RESULT_NUMBERS = tuple(range(len(RESULTS)))

# Sides whose calls are read from an index, two ranges of each result, 4 µs each.
MAX_SIDES = 24
# Sides that match a text, and calls of theirs, that are collected and sorted.
MAX_MATCHES = 1_000
MAX_COLLECTED = 5_000
# Calls that are compared with a text one by one, some 4 µs each.
MAX_LOOKED_AT = 1_000
# Minimum characters for the full-text index; a shorter text is compared with each call.
_TRIGRAM = 3
# No name or number is longer, so a longer text is in none.
_LONGEST = 300


class Span(NamedTuple):
    """The ids from `since` on and below `before`: microseconds of the start."""

    since: int = 0
    before: int = 2**63 - 1


class Found(NamedTuple):
    """Ids, the largest first.  `searched_to` is set if there may be more below that id."""

    ids: list[int]
    searched_to: int | None = None


def search(
    tables: Tables, span: Span, results: Sequence[int], user: str, text: str, limit: int
) -> Found:
    """Return the ids of the newest calls of a user, with a text in a number or name; "": any."""
    if not _is_storable(user + text) or len(text) > _LONGEST:
        return Found([])
    sides = None
    if user:
        name, _, realm = user.rpartition("@")
        rows = fetch(tables, _SIDES_NAMED, (user, name, realm, MAX_SIDES))
        sides = [row[0] for row in rows]
    if not text:
        return Found(newest(tables, span, results, sides, limit))
    if sides is None and len(text) >= _TRIGRAM:
        matches = [row[0] for row in fetch(tables, _MATCHES, (_phrase(text), MAX_MATCHES + 1))]
        if len(matches) <= MAX_SIDES:
            return Found(newest(tables, span, results, matches, limit))
        if len(matches) <= MAX_MATCHES:
            collected = _collected(tables, matches)
            if collected is not None:
                ids = (id_ for id_, result in collected if result in results)
                return Found(_sorted((id_ for id_ in ids if _is_in(id_, span)), limit))
    return _compared(tables, span, results, sides, text, limit)


def newest(
    tables: Tables, span: Span, results: Sequence[int], sides: Sequence[int] | None, limit: int
) -> list[int]:
    """Return the largest ids of some sides (None: all) with some results, the largest first."""
    if sides is None and len(results) == len(RESULTS):
        return [row[0] for row in fetch(tables, _NEWEST.format("", "1"), (*span, limit))]
    ids: set[int] = set()
    for result in results:
        if sides is None:
            ids.update(row[0] for row in fetch(tables, _OF_RESULT, (result, *span, limit)))
        for side in sides or ():
            for statement in (_OF_CALLER, _OF_CALLEE):
                values = (side, result, *span, limit)
                ids.update(row[0] for row in fetch(tables, statement, values))
    return _sorted(ids, limit)


def _collected(tables: Tables, sides: Sequence[int]) -> set[tuple[int, int]] | None:
    """Return id and result of all calls of some sides, None if there are too many."""
    found: set[tuple[int, int]] = set()
    for statement in (_ALL_OF_CALLERS, _ALL_OF_CALLEES):
        rows = fetch(tables, statement, (json.dumps(sides), MAX_COLLECTED + 1))
        if len(rows) > MAX_COLLECTED:
            return None
        found.update(rows)
    return found


def _compared(
    tables: Tables,
    span: Span,
    results: Sequence[int],
    sides: Sequence[int] | None,
    text: str,
    limit: int,
) -> Found:
    """Compare the newest calls with a text, one by one."""
    candidates = newest(tables, span, results, sides, MAX_LOOKED_AT)
    values = {"ids": json.dumps(candidates), "like": f"%{_escaped(text)}%", "limit": limit}
    ids = [row[0] for row in fetch(tables, _COMPARED, values)]
    is_all = len(candidates) < MAX_LOOKED_AT or len(ids) == limit
    return Found(ids, None if is_all else candidates[-1])


def _sorted(ids: Iterable[int], limit: int) -> list[int]:
    return sorted(ids, reverse=True)[:limit]


def _is_in(id_: int, span: Span) -> bool:
    return span.since <= id_ < span.before


def _is_storable(text: str) -> bool:
    """Return False for a text that SQLite cannot take, or that no name contains."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _phrase(text: str) -> str:
    """Return a text as a phrase of FTS5, in which there are no special characters."""
    return '"' + text.replace('"', '""') + '"'


def _escaped(text: str) -> str:
    for special in "\\%_":
        text = text.replace(special, "\\" + special)
    return text


_SIDES_NAMED = """
    SELECT id, user_id = 0 AS is_claimed FROM call_parties WHERE username = ?1
    UNION SELECT id, user_id = 0 FROM call_parties WHERE username = ?2 AND realm = ?3
    UNION SELECT id, 1 FROM call_parties
    WHERE username = '' AND realm = '' AND user_id = 0 AND uri = ?1
    ORDER BY is_claimed, id LIMIT ?4
"""
_MATCHES = "SELECT rowid FROM call_party_names WHERE call_party_names MATCH ? LIMIT ?"
_NEWEST = """
    SELECT id FROM calls {}
    WHERE {} AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?
"""
_OF_RESULT = _NEWEST.format("INDEXED BY calls_by_result", "result = ?")
_OF_CALLER = _NEWEST.format("INDEXED BY calls_by_caller", "caller = ? AND result = ?")
_OF_CALLEE = _NEWEST.format("INDEXED BY calls_by_callee", "callee = ? AND result = ?")
_ALL_OF = """
    SELECT calls.id, result
    FROM json_each(?) CROSS JOIN calls INDEXED BY calls_by_{0} ON {0} = value LIMIT ?
"""
_ALL_OF_CALLERS, _ALL_OF_CALLEES = _ALL_OF.format("caller"), _ALL_OF.format("callee")
_COMPARED = """
    SELECT calls.id FROM json_each(:ids) CROSS JOIN calls ON calls.id = value
    CROSS JOIN call_parties AS a ON a.id = caller
    CROSS JOIN call_parties AS b ON b.id = callee
    WHERE a.username LIKE :like ESCAPE '\\' OR a.name LIKE :like ESCAPE '\\'
    OR a.uri LIKE :like ESCAPE '\\' OR b.username LIKE :like ESCAPE '\\'
    OR b.name LIKE :like ESCAPE '\\' OR b.uri LIKE :like ESCAPE '\\'
    LIMIT :limit
"""
