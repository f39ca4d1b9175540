"""The tables, as numbered steps, and the table of the server that came before us.

`PRAGMA user_version` counts the steps a file has been through.  A step that has been released
is never edited: what changes later is a new step below it.
"""

# What the file says it belongs to (PRAGMA application_id): "sipr" in ASCII.
APPLICATION_ID = 0x73697072

# The orders that the pages can be sorted in.  Each index carries what can be filtered by as well,
# so that a walk along it, however long, never looks at the table itself.
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

# What follows a change of an account by itself.  Row by row it costs 30 µs, so a large import
# takes them away and does their work in bulk.
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
    # Not of `online` and `last_seen`, which change with every REGISTER.
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

# Who is banned, and which networks never are; a ban that has ended makes the next one longer.
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

# A binding belongs to the account that made it.  Before, its address-of-record alone said whose it
# was; that is the name in the realm, the main one by the name that its server has remembered.
# No foreign key: an account that goes this very moment must not spoil everybody's group commit.
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
    # Where two accounts claim one name, the one that names the main realm has it.
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

# The flow is a part of what a binding is known by: in two homes one private contact is two phones.
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

STEPS: tuple[tuple[str, ...], ...] = (
    (
        # `realm` is NULL for the main realm, whatever that is called today; `ha1_realm` is what
        # it was called when the HA1s were made, for these alone depend on the name.
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
        # Two, because NULLs never collide; an index over ifnull() makes SQLAlchemy warn.
        "CREATE UNIQUE INDEX users_of_main_realm ON users (username) WHERE realm IS NULL",
        "CREATE UNIQUE INDEX users_of_a_realm ON users (username, realm) WHERE realm IS NOT NULL",
        # For lists: a page far down is found by the index only if the order matches it whole.
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
        # Who may use the web admin; `password_hash` is argon2's own text, parameters included.
        """
        CREATE TABLE admins (
            username TEXT PRIMARY KEY,
            password_hash TEXT NOT NULL,
            updated_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        # Who is signed in.  What the browser shows is the token; here stands its SHA-256 alone.
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
        # Whether a phone is bound to the account, and when one last registered or unregistered.
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
        # An account that was deleted, for as long as that can be undone.
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
        # One row: goes up with every change of an account, whoever makes it.  What was decided
        # on a number still holds under the write lock if the number is still the same.
        "CREATE TABLE account_changes (number INTEGER NOT NULL) STRICT",
        "INSERT INTO account_changes VALUES (0)",
        # Finds any three characters or more within a name, whatever their case.
        """
        CREATE VIRTUAL TABLE user_names USING fts5(
            username, display_name, content='users', content_rowid='id', tokenize='trigram'
        )
        """,
        "INSERT INTO user_names (user_names) VALUES ('rebuild')",
        *_TRIGGERS,
    ),
    # What else a contact has said of itself (RFC 3840): the parameters that have no column.
    ("ALTER TABLE bindings ADD COLUMN params TEXT NOT NULL DEFAULT ''",),
    (
        # When a session was last used, and from where.
        "ALTER TABLE sessions ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE sessions ADD COLUMN seen_from TEXT NOT NULL DEFAULT ''",
        "UPDATE sessions SET seen_at = created_at, seen_from = address",
        # Who did what; `who` is empty for a stranger.
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
)

# The old server's only table: `password` holds the MD5 HA1 for its one realm.
OLD_SERVER_COLUMNS = "id,username,password"

RENAME_OLD_USERS = "ALTER TABLE users RENAME TO old_users"

# Its columns had no strict types, so what came in as a number or a blob becomes text here, by
# `as_text` of `files`.  Who has no name, or that of another, could never register; they are in the
# copy.  A name that came in as text goes before a blob of the same octets.
COPY_OLD_USERS = (
    """
    INSERT OR IGNORE INTO users (id, username, ha1_md5, created_at, updated_at)
    SELECT id, as_text(CAST(username AS BLOB)), lower(as_text(CAST(password AS BLOB))),
           unixepoch(), unixepoch()
    FROM old_users ORDER BY typeof(username) = 'blob', id
    """,
    "DROP TABLE old_users",
)
