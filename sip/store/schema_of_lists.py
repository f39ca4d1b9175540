"""Statements of the last steps of schema.py: undo, indexes of lists, and keys of causes."""

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

# Names that are telephone numbers with separators or parameters, see taken_names.py.  Few names
# are, and the conditions keep all others out.
SPELLINGS = (
    """
    CREATE INDEX users_by_spelling ON users (username, realm)
    WHERE username GLOB '[0-9+*#(.-]*' AND username GLOB '*[-.();]*'
    """,
    """
    CREATE INDEX aliases_by_spelling ON aliases (alias, realm)
    WHERE alias GLOB '[0-9+*#(.-]*' AND alias GLOB '*[-.();]*'
    """,
)

# Deleted groups, as long as they can be restored; their members stay in `call_group_members`.
REMOVED_GROUPS = (
    """
    CREATE TABLE removed_groups (
        id INTEGER PRIMARY KEY,
        realm TEXT NOT NULL,
        name TEXT NOT NULL,
        strategy TEXT NOT NULL,
        seconds INTEGER NOT NULL,
        then_target TEXT NOT NULL,
        removed_at INTEGER NOT NULL
    ) STRICT
    """,
)

# The key of the cause, see sip/core/causes.py; "" for calls of an earlier version.
CAUSE_KEYS = ("ALTER TABLE calls ADD COLUMN code TEXT NOT NULL DEFAULT ''",)
# Changes in pieces, see pieces.py: `is_open` is 1 for a step that is being written or undone.
PIECES = (
    "ALTER TABLE undo_steps ADD COLUMN is_open INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX removed_users_by_time ON removed_users (removed_at)",
    # 1 within a transaction that does the work of the triggers itself, see bulk_write.py.  In a
    # trigger, the full-text index writes each row apart, which takes four times as long.
    "ALTER TABLE account_changes ADD COLUMN without_triggers INTEGER NOT NULL DEFAULT 0",
    *(
        f"DROP TRIGGER {name}"
        for name in ("account_added", "account_removed", "account_changed", "account_renamed")
    ),
    """
    CREATE TRIGGER account_added AFTER INSERT ON users
    WHEN (SELECT without_triggers FROM account_changes) = 0 BEGIN
        UPDATE account_changes SET number = number + 1;
        INSERT INTO user_names (rowid, username, display_name)
        VALUES (new.id, new.username, new.display_name);
    END
    """,
    """
    CREATE TRIGGER account_removed AFTER DELETE ON users
    WHEN (SELECT without_triggers FROM account_changes) = 0 BEGIN
        UPDATE account_changes SET number = number + 1;
        INSERT INTO user_names (user_names, rowid, username, display_name)
        VALUES ('delete', old.id, old.username, old.display_name);
    END
    """,
    # Without `online` and `last_seen`, which change with every REGISTER.
    """
    CREATE TRIGGER account_changed
    AFTER UPDATE OF username, realm, display_name, enabled, ha1_md5, ha1_sha256, ha1_sha512_256
    ON users WHEN (SELECT without_triggers FROM account_changes) = 0 BEGIN
        UPDATE account_changes SET number = number + 1;
    END
    """,
    """
    CREATE TRIGGER account_renamed AFTER UPDATE OF username, display_name ON users
    WHEN (old.username <> new.username OR old.display_name <> new.display_name)
        AND (SELECT without_triggers FROM account_changes) = 0 BEGIN
        INSERT INTO user_names (user_names, rowid, username, display_name)
        VALUES ('delete', old.id, old.username, old.display_name);
        INSERT INTO user_names (rowid, username, display_name)
        VALUES (new.id, new.username, new.display_name);
    END
    """,
)
