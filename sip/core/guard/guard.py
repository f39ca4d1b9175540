"""The guard: who is not heard, and who has to wait (RFC 3261 §26.1).

Pure, but for its lines in the log: clocks are handed in, and bans are published as events.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Container, Iterable, Sequence
from ipaddress import ip_address
from math import inf
from typing import NamedTuple, Protocol

from sip.core.errors import printable
from sip.core.guard.fair_share import Shares, Standing
from sip.core.guard.kernel_drop import Thinning
from sip.core.guard.password_limits import Guesses
from sip.message.cache import cached_parse
from sip.monitor.events import Banned, Bus, Overload, Unbanned
from sip.monitor.metrics import DROPPED_BANNED, DROPPED_OVERLOAD, DROPPED_SCANNER, Counters
from sip.operator_values import Network, parse_network
from sip.store.bans import Ban
from sip.transport.flow import Endpoint, Flow, network_of
from sip.transport.packet_filter import SampleRule

log = logging.getLogger(__name__)

# Addresses and ports that have shown a password or a ticket and are remembered, 200 octets each;
# whoever goes for another is back with the next password that it shows.
MAX_PROVEN = 32_768
# Ports at an address that stay out of its thinning; where more are proven, nothing is thinned.
MAX_PROVEN_PORTS = 50
# HostsFile whose trust has been looked up.
MAX_LOOKED_UP = 4096
# What tools say of themselves that look for servers and users, in lower case; no phone does.
SCANNERS = (
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sundayddr",
    "sip-scan",
    "siparmyknife",
    "sipcli",
    "iwar",
    "sivus",
    "pplsip",
)


class Account(Protocol):
    """A user here, as far as the guard knows one."""

    @property
    def username(self) -> str: ...


@cached_parse(1024)
def is_scanner(user_agent: str) -> bool:
    """Tell whether a User-Agent is that of a tool which looks for servers and users."""
    said = user_agent.lower()
    return any(name in said for name in SCANNERS)


class Wait(NamedTuple):
    """Wrong passwords of one user at one address, and until when no further one is looked at.

    `address` is one of IPv4, or the /64 network of one of IPv6; `until` is in Unix seconds.
    `is_banned` says that the whole address waits, whichever user is asked for there.
    """

    username: str
    address: str
    tries: int
    until: int
    is_banned: bool


class Guard:
    """Drops what banned addresses send, shares out what can be served, and counts wrong passwords.

    Nothing is counted of anybody while there is enough for all and nobody is banned.  **Only who
    has proven to be at an address can get it banned**: by answering a nonce, which names the
    address that it was sent to, or on a connection.  What a forged datagram says harms nobody.

    An address may be an office.  Wrong answers for one user stop being looked at long before the
    address is banned, so a phone or two with a wrong password, which repeat it for ever, never
    reach that; a right one takes back what its user had added.  When an address is banned all the
    same, phones that have shown their password go on; and if there are any, nothing from there is
    dropped unread: users who are registered from there are asked as ever, and others have to wait.

    `is_at_home(network, username, realm)` tells whether a user is registered from there.  `trusted`
    are networks that are never limited or banned.  Bans are published on `bus`; a listener may
    wait.  `set_packet_filter` has the kernel drop a part of the datagrams of some sources; it
    returns False if the kernel cannot.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        unix_clock: Callable[[], float],
        trusted: Sequence[Network],
        is_at_home: Callable[[str, str, str], bool],
        set_packet_filter: Callable[[Sequence[SampleRule]], bool],
        bus: Bus,
    ) -> None:
        self.clock = clock
        self.unix_clock = unix_clock
        self.is_at_home = is_at_home
        self._set_packet_filter = set_packet_filter
        self._bus = bus
        self.counts = Counters()
        self._bans: dict[str, Ban] = {}
        self._active: set[str] = set()  # of the bans those that have not ended
        self._shut: dict[str, int] = {}  # whose messages are dropped, until which Unix second
        # In order; a plain dict looks for its first key past all that have gone from there.
        self._proven: OrderedDict[Endpoint, None] = OrderedDict()
        self._homes: Counter[str] = Counter()  # how many of those are at an address
        self._guesses = Guesses()
        self._shares = Shares()
        self._thinning = Thinning()
        self._is_wary = False  # whether anybody is looked at at all
        self._now = clock()  # of the last tick
        self._always_trusted = tuple(trusted)
        self._also_trusted: tuple[Network, ...] = ()
        self._trust: dict[str, bool] = {}  # of hosts

    # Each message

    def allows(self, flow: Flow) -> bool:
        """Tell whether a message, or a connection, is looked at at all."""
        return not self._is_wary or self._judge(flow)

    def _judge(self, flow: Flow) -> bool:
        remote = flow.remote
        source: Endpoint | str = remote
        standing = Standing.PROVEN
        is_forgeable = not flow.source_is_verified
        if remote not in self._proven:
            source = network_of(remote[0])
            if self._shares.is_short and is_forgeable:
                self._thinning.count(source)
            if source in self._shut:
                self.counts[DROPPED_BANNED] += 1
                if source in self._thinning.parts:  # or it would come back when nobody is short
                    self._shares.refuse(self._now)
                return False
            standing = Standing.NEIGHBOUR if source in self._homes else Standing.STRANGER
        if not self._shares.is_short or self.is_trusted(remote[0]):
            return True
        return self._shares.admits(source, self._now, standing=standing, is_forgeable=is_forgeable)

    def should_throttle(self, flow: Flow) -> bool:
        """Tell whether a connection is beyond its share: then it is not read for now.

        What is dropped there is never repeated (RFC 3261 §18).  The banned don't wait: they are not
        heard at all.
        """
        shares, remote = self._shares, flow.remote
        if not shares.is_short or self.is_trusted(remote[0]):
            return False
        if remote in self._proven:
            return not shares.has_room(remote, self._now, standing=Standing.PROVEN)
        source = network_of(remote[0])
        standing = Standing.NEIGHBOUR if source in self._homes else Standing.STRANGER
        is_shut = source in self._shut
        return not is_shut and not shares.has_room(source, self._now, standing=standing)

    def prove(self, remote: Endpoint) -> None:
        """Know an address and port as one that has shown a password or a ticket."""
        if remote in self._proven:
            return
        if len(self._proven) >= MAX_PROVEN:
            oldest, _ = self._proven.popitem(last=False)
            home = network_of(oldest[0])
            self._homes[home] -= 1
            if not self._homes[home]:
                del self._homes[home]
        self._proven[remote] = None
        self._homes[network_of(remote[0])] += 1

    def is_proven(self, remote: Endpoint) -> bool:
        """Tell whether an address and port has shown a password or a ticket."""
        return remote in self._proven

    # Passwords

    def is_asked(self, host: str, username: str, realm: str, *, is_ours: bool) -> bool:
        """Tell whether an answer is looked at; `is_ours` says that its nonce was made for it."""
        if (is_ours and not self._guesses) or self.is_trusted(host):
            return True
        source, now = network_of(host), self.clock()
        if not is_ours:
            return not self._guesses.is_doubted(source, now)
        if self._guesses.waits(source, username, now):
            return False
        return not self._guesses.waits(source, None, now) or self.is_at_home(
            source, username, realm
        )

    def right(self, host: str, username: str) -> None:
        """A user has answered rightly from a host."""
        if self._guesses:
            self._guesses.right(network_of(host), username)

    def wrong(
        self, host: str, username: str, *, is_ours: bool, call_id: str = "", answer: str = ""
    ) -> None:
        """A user, who may not exist, has answered wrongly from a host.  May wait.

        `answer` is the digest, in a request of that Call-ID: several are one try, see `guesses`.
        """
        if self.is_trusted(host):
            return
        source, now = network_of(host), self.clock()
        if not is_ours:
            self._guesses.doubt(source, now)
            return
        seconds = self._guesses.wrong(source, username, now, call_id=call_id, answer=answer)
        shown = printable(username[:60])
        if self._guesses.waits(source, username, now):
            log.info("wait for %s at %s: too many wrong passwords", shown, source)
        if seconds:
            self._ban(source, host, f"guessed passwords, the last for {shown}", seconds)

    def waits(self) -> list[Wait]:
        """List the users who have to wait, and where, the latest first."""
        now, since = self.clock(), self.unix_clock() - self.clock()
        return [
            Wait(username, source, tries, round(until + since), is_banned)
            for source, username, tries, until, is_banned in self._guesses.of_users(now)
            if until and not self.is_trusted(source)
        ]

    def forgive(self, usernames: Container[str], network: Network | None = None) -> list[str]:
        """Take back the wrong answers of users, at all addresses or those within a network.

        Return the addresses where there were some.  A ban of an address stays.
        """
        now = self.clock()
        found = [
            (source, username)
            for source, username, *_ in self._guesses.of_users(now)
            if username in usernames and (network is None or _is_within(source, network))
        ]
        for source, username in found:
            self._guesses.right(source, username)
        return [source for source, _ in found]

    def forgive_accounts(self, accounts: Iterable[Account]) -> None:
        """Take back the wrong answers of accounts that have a new password or are let in again."""
        if self._guesses:
            self.forgive({account.username for account in accounts})

    # Scanners

    def meet_scanner(self, flow: Flow, user_agent: str) -> None:
        """One of them has asked for something.  On a connection nobody else can be meant."""
        self.counts[DROPPED_SCANNER] += 1
        if flow.source_is_verified and not self.is_trusted(flow.remote[0]):
            host = flow.remote[0]
            source = network_of(host)
            seconds = self._guesses.shut(source, self.clock())
            self._ban(source, host, f"called itself {printable(user_agent[:60])}", seconds)

    # Bans

    def _ban(self, source: str, host: str, reason: str, seconds: float) -> None:
        now = int(self.unix_clock())
        ban = Ban(source, reason, now, now + int(seconds), self._guesses.times(source))
        self._bans[source] = ban
        self._shut_out()
        log.warning("banned %s for %d min: %s", source, seconds // 60, reason)
        if self._bus.has_listener(Banned):
            self._bus.publish(Banned(now, source, (host, 0), ban.ends_at, reason, ban.times))

    def know(self, bans: Iterable[Ban], trusted: Iterable[str]) -> None:
        """Hold what was kept, and that alone: at the start, and when somebody has changed it."""
        known = {ban.address: ban for ban in bans}
        for source in self._bans.keys() - known.keys():
            self._guesses.forgive(source)
        now, since = self.clock(), self.clock() - self.unix_clock()
        for source, ban in known.items():
            if self._bans.get(source) != ban:
                self._guesses.restore(source, ban.times, ban.ends_at + since, now)
        self._bans = known
        also_trusted = tuple(map(parse_network, trusted))
        if also_trusted != self._also_trusted:
            self._also_trusted = also_trusted
            self._forgive_trusted()
        self._shut_out()

    def trust(self, networks: Sequence[Network]) -> None:
        """Trust other networks by the settings than before."""
        self._always_trusted = tuple(networks)
        self._forgive_trusted()
        self._shut_out()

    def _forgive_trusted(self) -> None:
        """After a change of the trusted networks: nothing is held against an address in them."""
        self._trust.clear()
        self._guesses.forgive_all(self.is_trusted)

    def _shut_out(self) -> None:
        """Find out whose messages are dropped unread: not where phones are that belong here."""
        now = self.unix_clock()
        self._shut = {
            source: ban.ends_at
            for source, ban in self._bans.items()
            if ban.ends_at > now and source not in self._homes and not self.is_trusted(source)
        }
        self._is_wary = bool(self._shut) or self._shares.is_short
        active = {source for source, ban in self._bans.items() if ban.ends_at > now}
        ended, self._active = self._active - active, active
        if ended and self._bus.has_listener(Unbanned):
            for source in sorted(ended):
                reason = "expired" if source in self._bans else "lifted"
                self._bus.publish(Unbanned(now, source, reason))

    def is_trusted(self, host: str) -> bool:
        """Tell whether a host, or the network of a ban, is never limited or banned."""
        if not self._always_trusted and not self._also_trusted:
            return False
        known = self._trust.get(host)
        if known is None:
            if len(self._trust) >= MAX_LOOKED_UP:
                self._trust.clear()
            address = ip_address(host.partition("/")[0])
            trusted = (*self._always_trusted, *self._also_trusted)
            known = self._trust[host] = any(address in network for network in trusted)
        return known

    # Time

    def tick(self, now: float, *, is_behind: bool) -> None:
        """Share out anew; `is_behind` says whether more waits than should.  Often, and quick."""
        self._now = now
        shares = self._shares
        was_short = shares.is_short
        shares.tick(now, is_behind=is_behind)
        if shares.is_short != was_short:
            self._is_wary = bool(self._shut) or shares.is_short
            dropped = 0
            if was_short and shares.refused:
                dropped = shares.refused + round(self._thinning.kept_away)
                self.counts[DROPPED_OVERLOAD] += dropped
                log.warning("overload: dropped %d messages", dropped)
            if self._bus.has_listener(Overload):
                self._bus.publish(Overload(self.unix_clock(), shares.is_short, dropped))
        if shares.is_short:
            if self._thinning.judge(now, self._share_of):
                self._thin()
        elif was_short:
            self._set_packet_filter(())
            self._thinning.stop()

    def _share_of(self, source: str) -> float:
        """How many messages a second of a source are served before it is thinned."""
        if source in self._shut:
            return 0.0
        proven = self._homes[source]
        if proven > MAX_PROVEN_PORTS or self.is_trusted(source):
            return inf
        return self._shares.share_of(Standing.NEIGHBOUR if proven else Standing.STRANGER)

    def _thin(self) -> None:
        """Leave to the kernel what is far too much, but nothing that comes from the proven."""
        parts = self._thinning.parts
        ports: dict[str, list[int]] = {source: [] for source in parts if source in self._homes}
        if ports:
            for host, port in self._proven:
                home = network_of(host)
                if home in ports:
                    ports[home].append(port)
        if not self._set_packet_filter(
            [
                SampleRule(source, part, tuple(ports.get(source, ())))
                for source, part in parts.items()
            ]
        ):
            self._thinning.stop()

    def sweep(self) -> None:
        """End the bans whose time is over."""
        now = self.unix_clock()
        if any(self._bans[source].ends_at <= now for source in self._active):
            self._shut_out()


def _is_within(source: str, network: Network) -> bool:
    """Return True for a source in a network, or for the /64 that holds an address of IPv6."""
    within = parse_network(source)
    return within.version == network.version and within.overlaps(network)
