"""Statements of the last step of schema.py: undo, and the indexes of the lists of accounts."""

# Changes of many accounts that can be undone for an hour, see undo.py.  `before` has the values of
# an account before the change as JSON, NULL if the change has added or deleted the account; `after`
# has some of them after the change, NULL if it has deleted the account.
UNDO = (
    """
    CREATE TABLE undo_steps (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        act TEXT NOT NULL,
        about TEXT NOT NULL,
        changed_by TEXT NOT NULL,
        accounts INTEGER NOT NULL DEFAULT 0
    ) STRICT
    """,
    """
    CREATE TABLE undo_rows (
        step_id INTEGER NOT NULL,
        user_id INTEGER NOT NULL,
        before TEXT,
        after TEXT,
        PRIMARY KEY (step_id, user_id)
    ) STRICT, WITHOUT ROWID
    """,
)

# More lists of the pages.  A row that has a `last_seen` costs the partial indexes nothing when it
# is written.
LIST_INDEXES = (
    """
    CREATE INDEX users_by_state
    ON users (online DESC, enabled DESC, username COLLATE NOCASE, realm COLLATE NOCASE)
    """,
    """
    CREATE INDEX users_never_by_name
    ON users (username COLLATE NOCASE, realm COLLATE NOCASE, enabled, online)
    WHERE last_seen IS NULL
    """,
    """
    CREATE INDEX users_never_by_display_name
    ON users (display_name COLLATE NOCASE, id, enabled, online, realm)
    WHERE last_seen IS NULL
    """,
)
