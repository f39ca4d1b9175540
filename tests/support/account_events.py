"""Events about accounts, as lists of names."""

from sip.store.users import Users


def listen(users: Users, event_class: type) -> list[str]:
    """Return a list to which the names of published accounts are added."""
    names: list[str] = []
    users.bus.listen(
        event_class,
        lambda event: names.extend(account.username for account in event.accounts),
    )
    return names
