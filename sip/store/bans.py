"""Banned addresses and trusted networks in the database, so that they survive a restart."""

import logging
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from ipaddress import ip_address

from sip.monitor.events import Bus
from sip.operator_values import network_text, parse_network
from sip.store.database import Database, DatabaseError, Tables, fetch

log = logging.getLogger(__name__)

# Seconds that an ended ban is kept, because the next ban of its address is longer.
HISTORY_SECONDS = 7 * 86_400
# Maximum rows; the oldest are deleted.  Only a botnet has more addresses.
MAX_BANS = 20_000


class NoSuchBan(Exception):
    """The address is not banned, or the network is not trusted.  The text says which."""


@dataclass(frozen=True, slots=True)
class Ban:
    """One ban.  Times are Unix seconds; `times` counts this ban and the earlier ones.

    `address` is an IPv4 address, or the /64 network of an IPv6 address, since one machine usually
    has a whole /64.
    """

    address: str
    reason: str
    banned_at: int
    ends_at: int
    times: int


def parse_banned(text: str) -> str:
    """Return the banned address or /64 network for an address.  Raises ValueError."""
    network = parse_network(text)
    if network.version == 6 and network.prefixlen > 64:
        return str(network.supernet(new_prefix=64))
    return network_text(network)


@dataclass(frozen=True, slots=True)
class BansChanged:
    """Event: all bans and trusted networks, after a change by this or another process."""

    bans: Sequence[Ban]
    trusted: Sequence[str]


class Bans:
    """The bans and trusted networks in the database.

    After each change BansChanged is published on `bus`, in the greenlet of the caller.
    """

    def __init__(self, database: Database, *, bus: Bus | None = None) -> None:
        self.database = database
        self.bus = bus or Bus()
        self._unsaved: dict[str, Ban] = {}  # not in the database yet

    def reload(self) -> None:
        """Read all bans and trusted networks, and publish them."""
        bans, trusted = self.database.read(_read_all)
        known = {ban.address: ban for ban in bans} | self._unsaved
        self.bus.publish(BansChanged([*known.values()], trusted))

    def list(self, now: float) -> list[Ban]:
        """Return the bans that are in force at Unix time `now`, latest first."""
        query = f"{_BANS} WHERE ends_at > ? ORDER BY banned_at DESC, address"
        return self.database.browse(
            lambda tables: [Ban(*row) for row in fetch(tables, query, (now,))]
        )

    def page(self, now: float, after: tuple[int, str] | None, limit: int) -> Sequence[Ban]:
        """Return up to `limit` bans in force, the latest first; those after a time and address."""
        start = after or (2**62, "")
        values = {"now": now, "at": start[0], "address": start[1], "limit": limit}
        return self.database.browse(
            lambda tables: [Ban(*row) for row in fetch(tables, _PAGE, values)]
        )

    def trusted(self) -> Sequence[str]:
        """Return the trusted networks, without those of the setting guard.trusted."""
        return self.database.browse(_trusted)

    def save(self, ban: Ban) -> None:
        """Write a ban.  If that fails, it is in force until the server restarts."""
        self._unsaved[ban.address] = ban
        try:
            self.database.run(lambda tables: _save(tables, ban))
        except DatabaseError as error:
            log.error("cannot save the ban of %s, a restart lifts it: %s", ban.address, error)
        else:
            self._unsaved.pop(ban.address, None)

    def remove(self, address: str) -> None:
        """Remove a ban and its history.  Raises NoSuchBan, or ValueError for an invalid address."""
        banned = parse_banned(address)
        self._unsaved.pop(banned, None)
        statement = "DELETE FROM bans WHERE address = ? RETURNING address"
        gone = self.database.run(lambda tables: fetch(tables, statement, (banned,)))
        self.reload()
        if not gone:
            raise NoSuchBan(f"{banned} is not banned; `bans list` shows all bans")

    def trust(self, text: str) -> str:
        """Trust a network, remove the bans in it, and return it.  Raises ValueError."""
        within = parse_network(text)
        network = network_text(within)

        def trust(tables: Tables) -> None:
            fetch(tables, "INSERT OR IGNORE INTO trusted_networks VALUES (?)", (network,))
            for (address,) in fetch(tables, "SELECT address FROM bans"):
                if ip_address(address.partition("/")[0]) in within:
                    fetch(tables, "DELETE FROM bans WHERE address = ?", (address,))
                    self._unsaved.pop(address, None)

        self.database.run(trust)
        self.reload()
        return network

    def distrust(self, text: str) -> None:
        """Stop trusting a network.  Raises NoSuchBan, or ValueError for an invalid network."""
        network = network_text(parse_network(text))
        statement = "DELETE FROM trusted_networks WHERE network = ? RETURNING network"
        gone = self.database.run(lambda tables: fetch(tables, statement, (network,)))
        self.reload()
        if not gone:
            raise NoSuchBan(f"{network} is not a trusted network; `bans list` shows all")


_BANS = "SELECT address, reason, banned_at, ends_at, times FROM bans"
_PAGE = f"""
    {_BANS} WHERE ends_at > :now AND banned_at <= :at
    AND (banned_at < :at OR address > :address)
    ORDER BY banned_at DESC, address LIMIT :limit
"""


def _read_all(tables: Tables) -> tuple[Sequence[Ban], Sequence[str]]:
    return [Ban(*row) for row in fetch(tables, _BANS)], _trusted(tables)


def _trusted(tables: Tables) -> Sequence[str]:
    rows = fetch(tables, "SELECT network FROM trusted_networks ORDER BY network")
    return [network for (network,) in rows]


def _save(tables: Tables, ban: Ban) -> None:
    fetch(tables, "INSERT OR REPLACE INTO bans VALUES (?, ?, ?, ?, ?)", astuple(ban))
    fetch(tables, "DELETE FROM bans WHERE ends_at <= ?", (ban.banned_at - HISTORY_SECONDS,))
    fetch(
        tables,
        "DELETE FROM bans WHERE address IN"
        " (SELECT address FROM bans ORDER BY banned_at DESC LIMIT -1 OFFSET ?)",
        (MAX_BANS,),
    )
