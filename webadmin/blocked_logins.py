"""Users who have to wait after wrong passwords: who they are, and the buttons that end it."""

from bottle import Bottle, HTTPError

from sip.core.guard.guard import BlockedLogin
from sip.operator_values import parse_network
from sip.store.audit import Act
from webadmin.context import Answer, Site, typed
from webadmin.users import way_back

# Users shown on one page; those with an account come first.
MAX_SHOWN = 200


def all_waits(site: Site) -> list[BlockedLogin]:
    """List who has to wait, users with an account first, without those of banned addresses."""
    waits = [wait for wait in site.guard.blocked_logins() if not wait.is_banned]
    realms = site.users.realms()

    def is_nobody(wait: BlockedLogin) -> bool:
        return all(site.users.find(wait.username, realm) is None for realm in realms)

    return sorted(waits, key=is_nobody)


def mount(app: Bottle, site: Site) -> None:
    """Put the buttons on `app`: of /bans, and of the page of a user."""

    def forgive(username: str, address: str, path: str) -> Answer:
        """Let a user try again from an address, from all of them where it is empty."""
        try:
            network = parse_network(address) if address else None
        except ValueError as error:
            raise HTTPError(422, f"{error}.") from None
        if not site.guard.forgive({username}, network):
            return site.say(path, f"{username} does not have to wait any more.")
        place = f" from {address}" if address else ""
        site.record(Act.WAIT_LIFTED, f"{username}{place}")
        return site.say(path, f"{username} may try again{place}.")

    @app.post("/bans/forgive")  # type: ignore[untyped-decorator]  # bottle has no types
    def forgive_one() -> Answer:
        return forgive(typed("username"), typed("address").strip(), "/bans")

    @app.post("/users/<number:id>/forgive")  # type: ignore[untyped-decorator]
    def forgive_user(number: int) -> Answer:
        entry = site.directory.entry(number)
        if entry is None:
            raise HTTPError(404, "There is no such user. It may have been deleted.")
        page = f"/users/{number}{way_back()['list_query']}"
        return forgive(entry.username, typed("address").strip(), page)
