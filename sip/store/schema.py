"""The database schema as numbered migration steps, and the table of the old server.

`PRAGMA user_version` is the number of steps applied to a file.  Never edit a released step: add a
new step after it.
"""

from sip.store.schema_of_lists import (
    CAUSE_KEYS,
    LIST_INDEXES,
    PIECES,
    REMOVED_GROUPS,
    SPELLINGS,
    UNDO,
)

# PRAGMA application_id of our files: "sipr" in ASCII.
APPLICATION_ID = 0x73697072

# The sort orders of the pages.  Each index also contains the columns of the filters, so that a scan
# of the index never reads the table.
_SORT_INDEXES = (
    """
    CREATE INDEX users_by_name
    ON users (username COLLATE NOCASE, realm COLLATE NOCASE, enabled, online)
    """,
    """
    CREATE INDEX users_by_display_name
    ON users (display_name COLLATE NOCASE, id, enabled, online, realm)
    """,
    """
    CREATE INDEX users_by_last_seen ON users (last_seen, id, enabled, online, realm)
    """,
)

# Triggers that follow changes of accounts; schema_of_lists.PIECES replaces them.
_TRIGGERS = (
    """
    CREATE TRIGGER account_added AFTER INSERT ON users BEGIN
        UPDATE account_changes SET number = number + 1;
        INSERT INTO user_names (rowid, username, display_name)
        VALUES (new.id, new.username, new.display_name);
    END
    """,
    """
    CREATE TRIGGER account_removed AFTER DELETE ON users BEGIN
        UPDATE account_changes SET number = number + 1;
        INSERT INTO user_names (user_names, rowid, username, display_name)
        VALUES ('delete', old.id, old.username, old.display_name);
    END
    """,
    # Without `online` and `last_seen`, which change with every REGISTER.
    """
    CREATE TRIGGER account_changed
    AFTER UPDATE OF username, realm, display_name, enabled, ha1_md5, ha1_sha256, ha1_sha512_256
    ON users BEGIN
        UPDATE account_changes SET number = number + 1;
    END
    """,
    """
    CREATE TRIGGER account_renamed AFTER UPDATE OF username, display_name ON users
    WHEN old.username <> new.username OR old.display_name <> new.display_name BEGIN
        INSERT INTO user_names (user_names, rowid, username, display_name)
        VALUES ('delete', old.id, old.username, old.display_name);
        INSERT INTO user_names (rowid, username, display_name)
        VALUES (new.id, new.username, new.display_name);
    END
    """,
)

# Banned addresses and trusted networks; an ended ban is kept because it makes the next one longer.
_BANS = (
    """
    CREATE TABLE bans (
        address TEXT PRIMARY KEY,
        reason TEXT NOT NULL,
        banned_at INTEGER NOT NULL,
        ends_at INTEGER NOT NULL,
        times INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE TABLE trusted_networks (network TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
)

# A binding belongs to the account that registered it.  Before this step, only the address-of-record
# identified the account: user name and realm, the main realm by the name stored in `meta`.
# No foreign key: an account deleted at the same moment must not make a whole group commit fail.
_BINDINGS_BY_ACCOUNT = (
    "ALTER TABLE bindings RENAME TO old_bindings",
    """
    CREATE TABLE bindings (
        user_id INTEGER NOT NULL,
        aor TEXT NOT NULL,
        contact TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        q REAL NOT NULL,
        call_id TEXT NOT NULL,
        cseq INTEGER NOT NULL,
        path TEXT NOT NULL,
        instance TEXT NOT NULL,
        reg_id INTEGER NOT NULL,
        user_agent TEXT NOT NULL,
        flow TEXT NOT NULL,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (user_id, contact)
    ) STRICT, WITHOUT ROWID
    """,
    # If two accounts have one name, the one that names the main realm gets the bindings.
    """
    WITH main (name) AS (SELECT value FROM meta WHERE key = 'realm')
    INSERT INTO bindings
    SELECT users.id, old_bindings.*
    FROM users CROSS JOIN old_bindings
    ON old_bindings.aor = users.username || '@' || coalesce(users.realm, (SELECT name FROM main))
    WHERE users.enabled = 1 AND (
        users.realm IS NOT NULL
        OR NOT EXISTS (
            SELECT 1 FROM users AS named
            WHERE named.username = users.username AND named.realm = (SELECT name FROM main)
        )
    )
    """,
    "DROP TABLE old_bindings",
)

# The flow is part of the key: one private contact in two networks is two phones.
_BINDINGS_BY_FLOW = (
    "ALTER TABLE bindings RENAME TO old_bindings",
    """
    CREATE TABLE bindings (
        user_id INTEGER NOT NULL,
        aor TEXT NOT NULL,
        contact TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        q REAL NOT NULL,
        call_id TEXT NOT NULL,
        cseq INTEGER NOT NULL,
        path TEXT NOT NULL,
        instance TEXT NOT NULL,
        reg_id INTEGER NOT NULL,
        user_agent TEXT NOT NULL,
        flow TEXT NOT NULL,
        updated_at INTEGER NOT NULL,
        params TEXT NOT NULL,
        PRIMARY KEY (user_id, contact, flow)
    ) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO bindings SELECT * FROM old_bindings",
    "DROP TABLE old_bindings",
)

# The history of calls.  `id` is the start of a call in microseconds, so the rows are in the order
# of the lists.  `result` is an index into history_search.RESULTS; times `…_after` are milliseconds
# after the start, NULL if that never happened.  A side is a row of `call_parties`, which outlives
# its account.  `is_outside` is 1 for unanswered calls of callers that have shown no password:
# these have a quota.
_HISTORY = (
    """
    CREATE TABLE call_parties (
        id INTEGER PRIMARY KEY,
        user_id INTEGER NOT NULL,
        username TEXT NOT NULL,
        realm TEXT NOT NULL,
        uri TEXT NOT NULL,
        name TEXT NOT NULL,
        UNIQUE (username, realm, user_id, uri)
    ) STRICT
    """,
    "CREATE INDEX call_parties_by_user ON call_parties (user_id) WHERE user_id <> 0",
    """
    CREATE TABLE calls (
        id INTEGER PRIMARY KEY,
        caller INTEGER NOT NULL,
        callee INTEGER NOT NULL,
        result INTEGER NOT NULL,
        status INTEGER NOT NULL,
        ringing_after INTEGER,
        answered_after INTEGER,
        ended_after INTEGER NOT NULL,
        is_outside INTEGER NOT NULL CHECK (is_outside IN (0, 1)),
        call_id TEXT NOT NULL,
        caller_device TEXT NOT NULL,
        caller_address TEXT NOT NULL,
        callee_device TEXT NOT NULL,
        callee_address TEXT NOT NULL,
        ended_by TEXT NOT NULL,
        cause TEXT NOT NULL,
        cure TEXT NOT NULL
    ) STRICT
    """,
    # A list is read along one of these, without a sort: the rowid follows the indexed columns.
    "CREATE INDEX calls_by_caller ON calls (caller, result)",
    "CREATE INDEX calls_by_callee ON calls (callee, result)",
    "CREATE INDEX calls_by_result ON calls (result)",
    "CREATE INDEX calls_from_outside ON calls (is_outside) WHERE is_outside = 1",
    # Totals of each hour and each day (`seconds` is 3600 or 86400), by result.
    """
    CREATE TABLE call_totals (
        seconds INTEGER NOT NULL,
        start INTEGER NOT NULL,
        result INTEGER NOT NULL,
        calls INTEGER NOT NULL,
        outside INTEGER NOT NULL,
        rung INTEGER NOT NULL,
        rang_ms INTEGER NOT NULL,
        talked_ms INTEGER NOT NULL,
        PRIMARY KEY (seconds, start, result)
    ) STRICT, WITHOUT ROWID
    """,
    # Full-text index that finds three or more characters anywhere in a name or number.
    """
    CREATE VIRTUAL TABLE call_party_names USING fts5(
        username, name, uri, content='call_parties', content_rowid='id', tokenize='trigram'
    )
    """,
    """
    CREATE TRIGGER call_party_added AFTER INSERT ON call_parties BEGIN
        INSERT INTO call_party_names (rowid, username, name, uri)
        VALUES (new.id, new.username, new.name, new.uri);
    END
    """,
    """
    CREATE TRIGGER call_party_removed AFTER DELETE ON call_parties BEGIN
        INSERT INTO call_party_names (call_party_names, rowid, username, name, uri)
        VALUES ('delete', old.id, old.username, old.name, old.uri);
    END
    """,
    """
    CREATE TRIGGER call_party_renamed AFTER UPDATE OF name ON call_parties
    WHEN old.name <> new.name BEGIN
        INSERT INTO call_party_names (call_party_names, rowid, username, name, uri)
        VALUES ('delete', old.id, old.username, old.name, old.uri);
        INSERT INTO call_party_names (rowid, username, name, uri)
        VALUES (new.id, new.username, new.name, new.uri);
    END
    """,
)

# Tokens of /metrics, with the SHA-256 of each.
_TOKENS = (
    """
    CREATE TABLE tokens (
        name TEXT PRIMARY KEY CHECK (name <> ''),
        token_hash TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
        created_at INTEGER NOT NULL,
        used_at INTEGER
    ) STRICT, WITHOUT ROWID
    """,
)

# Several administrators: `role` is that of tokens, `seen_at` the last use of a session, NULL before
# the first.  `totp_secret` is the second factor in Base32 (TOTP), NULL without one; `totp_used` is
# the time step of the last code, which is valid once.
_ADMINS = (
    """
    ALTER TABLE admins ADD COLUMN role TEXT NOT NULL DEFAULT 'admin'
    CHECK (role IN ('admin', 'viewer'))
    """,
    "ALTER TABLE admins ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE admins ADD COLUMN seen_at INTEGER",
    "UPDATE admins SET created_at = updated_at, seen_at = (SELECT max(seen_at) FROM sessions)",
    "ALTER TABLE admins ADD COLUMN totp_secret TEXT",
    "ALTER TABLE admins ADD COLUMN totp_used INTEGER NOT NULL DEFAULT 0",
    """
    CREATE TABLE recovery_codes (
        username TEXT NOT NULL,
        code_hash TEXT NOT NULL,
        PRIMARY KEY (username, code_hash)
    ) STRICT, WITHOUT ROWID
    """,
)

# Settings that were changed on the page or by the API; `former` is the value before the last
# change, NULL if there was none.
_SETTINGS = (
    """
    CREATE TABLE settings (
        name TEXT PRIMARY KEY,
        value TEXT,
        former TEXT,
        changed_at INTEGER NOT NULL,
        changed_by TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

# Which phones answer a call.  `realm` is '' for the main realm, so that one index keeps the names
# of a realm unique.  A user with the usual settings has no row in `call_settings`.
_CALL_SETTINGS = (
    """
    CREATE TABLE aliases (
        realm TEXT NOT NULL,
        alias TEXT NOT NULL COLLATE NOCASE CHECK (alias <> ''),
        user_id INTEGER NOT NULL,
        PRIMARY KEY (realm, alias)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX aliases_by_user ON aliases (user_id)",
    """
    CREATE TABLE call_settings (
        user_id INTEGER PRIMARY KEY,
        dnd INTEGER NOT NULL DEFAULT 0 CHECK (dnd IN (0, 1)),
        forward_always TEXT NOT NULL DEFAULT '',
        forward_busy TEXT NOT NULL DEFAULT '',
        forward_no_answer TEXT NOT NULL DEFAULT '',
        no_answer_seconds INTEGER NOT NULL DEFAULT 20,
        forward_offline TEXT NOT NULL DEFAULT ''
    ) STRICT
    """,
    """
    CREATE TABLE call_groups (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        realm TEXT NOT NULL,
        name TEXT NOT NULL COLLATE NOCASE CHECK (name <> ''),
        strategy TEXT NOT NULL CHECK (strategy IN ('all', 'in_turn')),
        seconds INTEGER NOT NULL,
        then_target TEXT NOT NULL DEFAULT '',
        UNIQUE (realm, name)
    ) STRICT
    """,
    """
    CREATE TABLE call_group_members (
        group_id INTEGER NOT NULL,
        position INTEGER NOT NULL,
        user_id INTEGER NOT NULL,
        PRIMARY KEY (group_id, position)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX call_group_members_by_user ON call_group_members (user_id)",
    # The aliases and call settings of a deleted account as JSON, until it is restored.
    "ALTER TABLE removed_users ADD COLUMN call_settings TEXT NOT NULL DEFAULT '{}'",
)

STEPS: tuple[tuple[str, ...], ...] = (
    (
        # `realm` is NULL for the main realm, which can be renamed; `ha1_realm` is its name when the
        # HA1s were computed, because only these depend on the name.
        """
        CREATE TABLE users (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            username TEXT NOT NULL CHECK (username <> ''),
            realm TEXT CHECK (realm <> ''),
            display_name TEXT NOT NULL DEFAULT '',
            enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
            ha1_md5 TEXT NOT NULL,
            ha1_sha256 TEXT,
            ha1_sha512_256 TEXT,
            ha1_realm TEXT,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        ) STRICT
        """,
        # Two indexes, because NULLs are never equal; with an index over ifnull() SQLAlchemy warns.
        "CREATE UNIQUE INDEX users_of_main_realm ON users (username) WHERE realm IS NULL",
        "CREATE UNIQUE INDEX users_of_a_realm ON users (username, realm) WHERE realm IS NOT NULL",
        # For lists: the index gives the rows of a later page only if it has the whole sort order.
        """
        CREATE INDEX users_in_order
        ON users (username COLLATE NOCASE, realm COLLATE NOCASE)
        """,
        """
        CREATE TABLE bindings (
            aor TEXT NOT NULL,
            contact TEXT NOT NULL,
            expires_at INTEGER NOT NULL,
            q REAL NOT NULL,
            call_id TEXT NOT NULL,
            cseq INTEGER NOT NULL,
            path TEXT NOT NULL,
            instance TEXT NOT NULL,
            reg_id INTEGER NOT NULL,
            user_agent TEXT NOT NULL,
            flow TEXT NOT NULL,
            updated_at INTEGER NOT NULL,
            PRIMARY KEY (aor, contact)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    ),
    (
        # Accounts of the web admin; `password_hash` is the text of argon2 with its parameters.
        """
        CREATE TABLE admins (
            username TEXT PRIMARY KEY,
            password_hash TEXT NOT NULL,
            updated_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        # Sessions of the web admin, with the SHA-256 of the token in the cookie.
        """
        CREATE TABLE sessions (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            token_hash TEXT NOT NULL UNIQUE,
            username TEXT NOT NULL,
            address TEXT NOT NULL,
            user_agent TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL
        ) STRICT
        """,
        # Whether the account has a binding, and when a phone last registered or unregistered.
        "ALTER TABLE users ADD COLUMN online INTEGER NOT NULL DEFAULT 0 CHECK (online IN (0, 1))",
        "ALTER TABLE users ADD COLUMN last_seen INTEGER",
        *_BINDINGS_BY_ACCOUNT,
        """
        UPDATE users
        SET online = 1,
            last_seen = (SELECT max(updated_at) FROM bindings WHERE user_id = users.id)
        WHERE id IN (SELECT user_id FROM bindings)
        """,
        "DROP INDEX users_in_order",
        *_SORT_INDEXES,
        # Deleted accounts, as long as they can be restored.
        """
        CREATE TABLE removed_users (
            id INTEGER PRIMARY KEY,
            username TEXT NOT NULL,
            realm TEXT,
            display_name TEXT NOT NULL,
            enabled INTEGER NOT NULL,
            ha1_md5 TEXT NOT NULL,
            ha1_sha256 TEXT,
            ha1_sha512_256 TEXT,
            ha1_realm TEXT,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            last_seen INTEGER,
            removed_at INTEGER NOT NULL
        ) STRICT
        """,
        # One row, incremented with every change of an account by any process.  A decision made
        # without the write lock is still valid under the lock if the number is the same.
        "CREATE TABLE account_changes (number INTEGER NOT NULL) STRICT",
        "INSERT INTO account_changes VALUES (0)",
        # Full-text index that finds three or more characters anywhere in a name, in any case.
        """
        CREATE VIRTUAL TABLE user_names USING fts5(
            username, display_name, content='users', content_rowid='id', tokenize='trigram'
        )
        """,
        "INSERT INTO user_names (user_names) VALUES ('rebuild')",
        *_TRIGGERS,
    ),
    # Contact parameters without a column of their own, such as feature tags (RFC 3840).
    ("ALTER TABLE bindings ADD COLUMN params TEXT NOT NULL DEFAULT ''",),
    (
        # Time and address of the last use of a session.
        "ALTER TABLE sessions ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE sessions ADD COLUMN seen_from TEXT NOT NULL DEFAULT ''",
        "UPDATE sessions SET seen_at = created_at, seen_from = address",
        # The audit; `who` is '' for a user that is not signed in.
        """
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            at INTEGER NOT NULL,
            who TEXT NOT NULL,
            address TEXT NOT NULL,
            act TEXT NOT NULL,
            about TEXT NOT NULL
        ) STRICT
        """,
    ),
    _BANS,
    _BINDINGS_BY_FLOW,
    _HISTORY,
    _TOKENS,
    (*_ADMINS, *_SETTINGS, *_CALL_SETTINGS, *UNDO, *LIST_INDEXES),
    ("CREATE TABLE desk_phones (user_id INT, mac TEXT UNIQUE, PRIMARY KEY (user_id, mac)) STRICT",),
    (*SPELLINGS, *REMOVED_GROUPS, *CAUSE_KEYS),
    PIECES,
    # The generation of the temporary GRUUs of a phone (RFC 5627 §5.1).
    ("ALTER TABLE bindings ADD COLUMN generation INTEGER NOT NULL DEFAULT 0",),
)

# Columns of the only table of the old server; `password` is the MD5 HA1 for its only realm.
OLD_SERVER_COLUMNS = "id,username,password"

RENAME_OLD_USERS = "ALTER TABLE users RENAME TO old_users"

# The columns had no strict types, so numbers and blobs are converted with `as_text` of
# database_file.py.  Rows with an empty or duplicate name could never register; they are only in the
# backup copy.  A name stored as text comes before a blob of the same octets.
COPY_OLD_USERS = (
    """
    INSERT OR IGNORE INTO users (id, username, ha1_md5, created_at, updated_at)
    SELECT id, as_text(CAST(username AS BLOB)), lower(as_text(CAST(password AS BLOB))),
           unixepoch(), unixepoch()
    FROM old_users ORDER BY typeof(username) = 'blob', id
    """,
    "DROP TABLE old_users",
)
