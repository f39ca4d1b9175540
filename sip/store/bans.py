"""Addresses that are banned, and networks that never are: what outlives a restart of the guard."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from ipaddress import ip_address

from sip.operator_values import network_text, parse_network
from sip.store.database import Database, DatabaseError, Tables, fetch

log = logging.getLogger(__name__)

# How long a ban that has ended is remembered, in seconds: the next one is longer.
HISTORY_SECONDS = 7 * 86_400
# Rows that are kept; the oldest go.  So many addresses belong to nobody but a botnet.
MAX_BANS = 20_000


class NoSuchBan(Exception):
    """There is nothing to lift.  Says what."""


@dataclass(frozen=True, slots=True)
class Ban:
    """One ban.  Moments are Unix seconds; `times` counts it and those before it.

    `address` is one of IPv4, or the /64 network of one of IPv6, which is what one machine has.
    """

    address: str
    reason: str
    banned_at: int
    ends_at: int
    times: int


def parse_banned(text: str) -> str:
    """Read what a ban is known by, from any address within it.  Raises ValueError."""
    network = parse_network(text)
    if network.version == 6 and network.prefixlen > 64:
        return str(network.supernet(new_prefix=64))
    return network_text(network)


class Bans:
    """The bans and the trusted networks in the file.

    `on_change` is told all that is in it, whoever has changed it.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.on_change: Callable[[Sequence[Ban], Sequence[str]], object] = lambda *everything: None
        self._coming: dict[str, Ban] = {}  # on their way into the file

    def reload(self) -> None:
        """Tell what is in the file."""
        bans, trusted = self.database.read(_everything)
        known = {ban.address: ban for ban in bans} | self._coming
        self.on_change([*known.values()], trusted)

    def list(self, now: float) -> list[Ban]:
        """Give those that hold at Unix time `now`, the latest first."""
        query = f"{_BANS} WHERE ends_at > ? ORDER BY banned_at DESC, address"
        return self.database.browse(
            lambda tables: [Ban(*row) for row in fetch(tables, query, (now,))]
        )

    def trusted(self) -> Sequence[str]:
        """Give the networks that are trusted besides those of the settings."""
        return self.database.browse(_trusted)

    def keep(self, ban: Ban) -> None:
        """Write a ban down.  What can't be written holds in memory until a restart."""
        self._coming[ban.address] = ban
        try:
            self.database.run(lambda tables: _keep(tables, ban))
        except DatabaseError as error:
            log.error("the ban of %s would not outlive a restart: %s", ban.address, error)
        else:
            self._coming.pop(ban.address, None)

    def remove(self, address: str) -> None:
        """Lift a ban, and forget it.  Raises NoSuchBan, or ValueError for what is no address."""
        banned = parse_banned(address)
        self._coming.pop(banned, None)
        statement = "DELETE FROM bans WHERE address = ? RETURNING address"
        gone = self.database.run(lambda tables: fetch(tables, statement, (banned,)))
        self.reload()
        if not gone:
            raise NoSuchBan(f"{banned} is not banned; `bans` shows who is")

    def trust(self, text: str) -> str:
        """Trust a network from now on, and lift the bans in it.  Raises ValueError."""
        within = parse_network(text)
        network = network_text(within)

        def trust(tables: Tables) -> None:
            fetch(tables, "INSERT OR IGNORE INTO trusted_networks VALUES (?)", (network,))
            for (address,) in fetch(tables, "SELECT address FROM bans"):
                if ip_address(address.partition("/")[0]) in within:
                    fetch(tables, "DELETE FROM bans WHERE address = ?", (address,))
                    self._coming.pop(address, None)

        self.database.run(trust)
        self.reload()
        return network

    def distrust(self, text: str) -> None:
        """Trust a network no more.  Raises NoSuchBan, or ValueError for what is none."""
        network = network_text(parse_network(text))
        statement = "DELETE FROM trusted_networks WHERE network = ? RETURNING network"
        gone = self.database.run(lambda tables: fetch(tables, statement, (network,)))
        self.reload()
        if not gone:
            raise NoSuchBan(f"{network} is not among the networks that were trusted here")


_BANS = "SELECT address, reason, banned_at, ends_at, times FROM bans"


def _everything(tables: Tables) -> tuple[Sequence[Ban], Sequence[str]]:
    return [Ban(*row) for row in fetch(tables, _BANS)], _trusted(tables)


def _trusted(tables: Tables) -> Sequence[str]:
    rows = fetch(tables, "SELECT network FROM trusted_networks ORDER BY network")
    return [network for (network,) in rows]


def _keep(tables: Tables, ban: Ban) -> None:
    fetch(tables, "INSERT OR REPLACE INTO bans VALUES (?, ?, ?, ?, ?)", astuple(ban))
    fetch(tables, "DELETE FROM bans WHERE ends_at <= ?", (ban.banned_at - HISTORY_SECONDS,))
    fetch(
        tables,
        "DELETE FROM bans WHERE address IN"
        " (SELECT address FROM bans ORDER BY banned_at DESC LIMIT -1 OFFSET ?)",
        (MAX_BANS,),
    )
