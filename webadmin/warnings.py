"""The warnings on the overview page."""

from collections.abc import Iterator

from sip.config import Config
from sip.store.users import Users
from webadmin.context import OperatorWarning
from webadmin.templates import link


def current_warnings(config: Config, users: Users) -> Iterator[OperatorWarning]:
    """Return the current warnings; those of the machine are health checks."""
    if users.warning:
        remedy = users.warning[0].upper() + users.warning[1:]
        yield OperatorWarning("Some phones cannot register", remedy, "Show users", "/users")
    for realm in sorted(users.realms()):
        missing = [name for name in config.sip_digest if not users.offers(realm, name)]
        if missing:
            yield OperatorWarning(
                f"{' and '.join(missing)} cannot be offered in the realm {realm},"
                " because some accounts have only an MD5 digest.",
                "To offer them, set new passwords for these accounts. MD5 still works.",
                "Show users",
                link("/users", [("realm", realm)]),
            )
