"""Bans, trusted networks and blocked logins, for the pages and for the API: changed and audited."""

from sip.core.guard.guard import Wait
from sip.operator_values import Network
from sip.store.audit import Act
from sip.store.bans import parse_banned
from webadmin.context import AppContext


class TroubleService:
    """Removes bans and waits, and changes the trusted networks."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def remove_ban(self, address: str) -> None:
        """Remove the ban of an address.  Raises NoSuchBan, or ValueError for an invalid address."""
        self._context.bans.remove(address)
        self._context.refusals.clear_network(parse_banned(address))
        self._context.record(Act.BAN_LIFTED, address)

    def trust(self, text: str) -> str:
        """Trust a network, remove the bans in it, and return it.  Raises ValueError."""
        network = self._context.bans.trust(text)
        self._context.record(Act.NETWORK_TRUSTED, network)
        return network

    def distrust(self, network: str) -> None:
        """Stop trusting a network.  Raises NoSuchBan, or ValueError for an invalid network."""
        self._context.bans.distrust(network)
        self._context.record(Act.NETWORK_DISTRUSTED, network)

    def forgive(self, username: str, network: Network | None = None, source: str = "") -> bool:
        """Unblock logins of a user, of a network or of all; return False if none was blocked.

        `source` is the network as the audit shows it, "" for all.
        """
        lifted = self._context.guard.forgive({username}, network)
        for each in lifted:
            self._context.refusals.clear_refused(username, each)
        if lifted:
            self._record_unblocked(username, source)
        return bool(lifted)

    def remove_wait(self, number: int) -> Wait | None:
        """Unblock the user of a wait, and return the wait; None without one."""
        wait = self._context.guard.remove_wait(number)
        if wait is not None:
            self._context.refusals.clear_refused(wait.username, wait.address)
            self._record_unblocked(wait.username, wait.address)
        return wait

    def _record_unblocked(self, username: str, source: str) -> None:
        about = f"{username} from {source}" if source else username
        self._context.record(Act.WAIT_LIFTED, about)
