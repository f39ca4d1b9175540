"""What `admin ...` does: the password of the web admin's account."""

import argparse
import sys
from collections.abc import Mapping

from sip.config import CommandError, Config
from sip.store.admin import SHORT_PASSWORD, USERNAME, Admin, hash_password, make_password
from sip.store.audit import Act, Audit
from sip.store.database import Database, DatabaseError
from sip.terminal import operator, show_generated, take_password

_VARIABLE = "SIPSERVER_ADMIN_PASSWORD"


def execute(options: argparse.Namespace, config: Config, environment: Mapping[str, str]) -> int:
    """Set the password.  Raises CommandError with the sentence for the operator."""
    password = take_password(options, USERNAME, make_password)
    try:
        password_hash = hash_password(password)
        with Database(config.db_path) as database:
            show_generated(options, password)
            Admin(database).keep_password_hash(password_hash)
            Audit(database).note(Act.PASSWORD_CHANGED, operator(), about="all sessions ended")
    except (DatabaseError, ValueError) as error:
        raise CommandError(str(error)) from None
    if len(password) < SHORT_PASSWORD:
        _warn(f"the password has fewer than {SHORT_PASSWORD} characters")
    if environment.get(_VARIABLE):
        _warn(f"a server that is started with {_VARIABLE} sets that one again; change it there too")
    return 0


def _warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr)
