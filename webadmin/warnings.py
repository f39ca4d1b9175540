"""What the operator should know, and what to do about it."""

from collections.abc import Iterable, Iterator

from sip.config import Config
from sip.store.users import Users
from webadmin.context import Advice

# Below it the burst of many phones that all register at once, as after a power cut, gets lost.
_WANTED_BUFFER_BYTES = 1024 * 1024
_MANY = 1000


def advice(config: Config, users: Users, buffers: Iterable[int]) -> Iterator[Advice]:
    """Give the warnings of this moment.

    `buffers` are the octets that the system has granted to each SIP socket for what waits.
    """
    if users.warning:
        yield Advice("Some phones cannot register:", users.warning)
    for realm in sorted(users.realms()):
        left_out = [name for name in config.sip_digest if not users.offers(realm, name)]
        if left_out:
            yield Advice(
                f"{' and '.join(left_out)} cannot be offered in the realm {realm},"
                " for some accounts have only an MD5 digest.",
                "Set their passwords anew, or leave it: MD5 is what they were made for.",
            )
    if len(users) > _MANY and min(buffers, default=_WANTED_BUFFER_BYTES) < _WANTED_BUFFER_BYTES:
        yield Advice(
            "The system keeps few SIP messages that wait, so a burst of many phones loses some.",
            "As root: sysctl -w net.core.rmem_max=8388608, then start the server again.",
        )
