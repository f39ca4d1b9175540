"""The warnings on the overview page."""

from collections.abc import Iterator

from sip.config import Config
from sip.store.users import Users
from webadmin.context import OperatorWarning
from webadmin.language import _, translated_sentence
from webadmin.templates import link


def current_warnings(config: Config, users: Users) -> Iterator[OperatorWarning]:
    """Return the current warnings; those of the machine are health checks."""
    if users.warning:
        remedy = translated_sentence(users.warning)
        yield OperatorWarning(_("Some phones cannot register"), remedy, _("Show users"), "/users")
    for realm in sorted(users.realms()):
        missing = [name for name in config.sip_digest if not users.offers(realm, name)]
        if missing:
            yield OperatorWarning(
                _(
                    "{algorithms} cannot be offered in the realm {realm}, because some accounts"
                    " have only an MD5 digest."
                ).format(algorithms=_(" and ").join(missing), realm=realm),
                _("To offer them, set new passwords for these accounts. MD5 still works."),
                _("Show users"),
                link("/users", [("realm", realm)]),
            )
