"""The `admin password` command: set the password of the web admin."""

import argparse
from collections.abc import Mapping

from sip.cli.prompt import add_audit_entry, show_generated, store_warnings, take_password, warn
from sip.config import CommandError, Config
from sip.store.admin import USERNAME, Admin, hash_password, password_weakness
from sip.store.audit import Act
from sip.store.database import Database, DatabaseError

_VARIABLE = "SIPSERVER_ADMIN_PASSWORD"


def execute(options: argparse.Namespace, config: Config, environment: Mapping[str, str]) -> int:
    """Set the password and return the exit code.  Raises CommandError."""
    password = take_password(options, USERNAME)
    try:
        password_hash = hash_password(password)
        with store_warnings(), Database(config.db_path) as database:
            admin = Admin(database)
            former = admin.password_hash()
            admin.set_password_hash(password_hash)
            show_generated(options, password, lambda: admin.restore_password_hash(former))
            add_audit_entry(database, Act.PASSWORD_CHANGED, "all sessions ended")
    except (DatabaseError, ValueError) as error:
        raise CommandError(str(error)) from None
    if why := password_weakness(password):
        warn(f"the password {why}")
    if environment.get(_VARIABLE):
        warn(f"{_VARIABLE} is set, and replaces this password at the next start; change it too")
    return 0
