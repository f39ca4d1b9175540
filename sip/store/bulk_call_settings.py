"""Call settings of many accounts at once: as JSON in a statement, removed, and given back.

The JSON is that of call_settings.settings_as_json, "{}" for the usual settings.
"""

# ruff: noqa: S608 -- only our own queries are put into SQL; input is a value

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sip.phone_numbers import number_of
from sip.store.call_settings import note_change
from sip.store.database import Tables, fetch
from sip.store.taken_names import name_holder, spellings

# Expression for the call settings of the row of `users` in a statement.
SETTINGS_JSON = """
    CASE WHEN EXISTS (SELECT 1 FROM call_settings WHERE user_id = users.id)
        OR EXISTS (SELECT 1 FROM aliases WHERE user_id = users.id)
    THEN (
        SELECT json_object(
            'aliases', (
                SELECT json_group_array(alias)
                FROM (SELECT alias FROM aliases WHERE user_id = users.id ORDER BY alias)
            ),
            'dnd', ifnull(dnd, 0), 'always', ifnull(forward_always, ''),
            'busy', ifnull(forward_busy, ''), 'no_answer', ifnull(forward_no_answer, ''),
            'no_answer_seconds', ifnull(no_answer_seconds, 20),
            'offline', ifnull(forward_offline, '')
        ) || ''
        FROM (SELECT users.id AS number) LEFT JOIN call_settings ON user_id = number
    ) ELSE '{}' END
"""


def remove_call_settings(tables: Tables, chunks: Iterable[str]) -> None:
    """Give accounts the usual settings; their ids are JSON arrays."""
    for ids in chunks:
        fetch(tables, f"DELETE FROM aliases WHERE {_OF_USERS}", (ids,))
        fetch(tables, f"DELETE FROM call_settings WHERE {_OF_USERS}", (ids,))
    note_change(tables)


def add_call_settings(
    tables: Tables, chunks: Iterable[str], source: str, values: Mapping[str, Any] | None = None
) -> None:
    """Give former settings to accounts that have the usual ones; their ids are JSON arrays.

    `source` is the query for `id`, `realm` and `settings` of those in `:ids`.  An alias that is
    taken meanwhile stays with its new holder, a user or a group.
    """
    numbers = json.dumps([number_of(each.written) for each in spellings(tables)])
    for ids in chunks:
        named = {**(values or {}), "ids": ids, "numbers": numbers}
        fetch(tables, _ADD_SETTINGS.format(source), named)
        fetch(tables, _ADD_ALIASES.format(source), named)
        # SQLite compares neither Unicode forms nor spellings of numbers.
        for user_id, realm, alias in fetch(tables, _HAS_OTHER_FORMS, named):
            if name_holder(tables, alias, realm or None, user_id=user_id):
                fetch(tables, "DELETE FROM aliases WHERE realm = ? AND alias = ?", (realm, alias))
    note_change(tables)


_OF_USERS = "user_id IN (SELECT value FROM json_each(?))"
_ADD_SETTINGS = """
    INSERT INTO call_settings (
        user_id, dnd, forward_always, forward_busy, forward_no_answer, no_answer_seconds,
        forward_offline
    )
    SELECT id, settings ->> 'dnd', settings ->> 'always', settings ->> 'busy',
        settings ->> 'no_answer', settings ->> 'no_answer_seconds', settings ->> 'offline'
    FROM ({}) WHERE settings <> '{{}}'
"""
_ADD_ALIASES = """
    INSERT OR IGNORE INTO aliases (realm, alias, user_id)
    SELECT ifnull(former.realm, ''), each.value, former.id
    FROM ({}) AS former, json_each(former.settings, '$.aliases') AS each
    WHERE settings <> '{{}}' AND NOT EXISTS (
        SELECT 1 FROM users
        WHERE username = each.value COLLATE NOCASE AND users.realm IS former.realm
    ) AND NOT EXISTS (
        SELECT 1 FROM call_groups WHERE realm = ifnull(former.realm, '') AND name = each.value
    )
"""
_HAS_OTHER_FORMS = """
    SELECT user_id, realm, alias FROM aliases
    WHERE user_id IN (SELECT value FROM json_each(:ids)) AND (
        alias GLOB '*[^ -~]*' OR alias GLOB '[0-9+*#(.-]*' AND alias GLOB '*[-.();]*'
        OR alias IN (SELECT value FROM json_each(:numbers))
    )
"""
