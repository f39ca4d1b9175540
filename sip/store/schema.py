"""The tables, as numbered steps, and the table of the server that came before us.

`PRAGMA user_version` counts the steps a file has been through.  A step that has been released
is never edited: what changes later is a new step below it.
"""

# What the file says it belongs to (PRAGMA application_id): "sipr" in ASCII.
APPLICATION_ID = 0x73697072

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
    ),
)

# The old server's only table: `password` holds the MD5 HA1 for its one realm.
OLD_SERVER_COLUMNS = "id,username,password"

SET_OLD_USERS_ASIDE = "ALTER TABLE users RENAME TO old_users"

# Its columns had no strict types, so what came in as a number or a blob becomes text here.
TAKE_OLD_USERS_OVER = (
    """
    INSERT INTO users (id, username, ha1_md5, created_at, updated_at)
    SELECT id, CAST(username AS TEXT), lower(CAST(password AS TEXT)), unixepoch(), unixepoch()
    FROM old_users
    """,
    "DROP TABLE old_users",
)
