"""The desk phones of a user on its page: MAC addresses, and the window to fetch a password."""

from typing import NamedTuple

from sip.store.desk_phones import DeskPhones, shown_mac
from webadmin.context import AppContext


class DeskPhone(NamedTuple):
    """One desk phone; `seconds` are those in which it may fetch a password, 0 for none."""

    mac: str
    shown: str
    seconds: float


class DeskPhoneCard(NamedTuple):
    """The content of the card; `is_on` is False without the setting provision.secret."""

    is_on: bool
    phones: list[DeskPhone]


def desk_phones(context: AppContext, user_id: int) -> DeskPhoneCard:
    """Return the card of a user."""
    if not context.config.provision_secret:
        return DeskPhoneCard(False, [])
    windows = context.setups.windows
    macs = DeskPhones(context.users.database).of_user(user_id)
    phones = [DeskPhone(mac, shown_mac(mac), windows.seconds_left(mac)) for mac in macs]
    return DeskPhoneCard(True, phones)
