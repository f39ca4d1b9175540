"""The warnings on the overview page."""

from collections.abc import Iterable, Iterator

from sip.config import Config
from sip.store.users import Users
from webadmin.context import OperatorWarning

# With a smaller buffer, messages are lost when many phones register at once, e.g. after a power
# cut.
_WANTED_BUFFER_BYTES = 1024 * 1024
_MANY_ACCOUNTS = 1000


def current_warnings(
    config: Config, users: Users, buffers: Iterable[int]
) -> Iterator[OperatorWarning]:
    """Return the current warnings.

    `buffers` are the sizes of the receive buffers of the SIP sockets, in octets, as granted by
    the kernel.
    """
    if users.warning:
        yield OperatorWarning("Some phones cannot register:", users.warning)
    for realm in sorted(users.realms()):
        missing = [name for name in config.sip_digest if not users.offers(realm, name)]
        if missing:
            yield OperatorWarning(
                f"{' and '.join(missing)} cannot be offered in the realm {realm},"
                " because some accounts have only an MD5 digest.",
                "To offer them, set new passwords for these accounts. MD5 still works.",
            )
    is_small = min(buffers, default=_WANTED_BUFFER_BYTES) < _WANTED_BUFFER_BYTES
    if len(users) > _MANY_ACCOUNTS and is_small:
        yield OperatorWarning(
            "The receive buffer of the SIP sockets is small: messages are lost when many phones"
            " register at once.",
            "As root: sysctl -w net.core.rmem_max=8388608, then restart the server.",
        )
