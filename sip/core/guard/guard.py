"""Abuse protection: bans, login limits and overload control, per source address.

Against the attacks of RFC 3261 §26.1.  Pure, but for its log lines: clocks are arguments, and bans
are published as events.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Container, Iterable, Sequence
from ipaddress import ip_address
from math import inf
from typing import NamedTuple, Protocol

from sip.core import causes
from sip.core.errors import Cause, printable
from sip.core.guard.fair_share import FairShare, TrustLevel
from sip.core.guard.kernel_drop import PacketSampler
from sip.core.guard.password_limits import FailedLogins
from sip.message.cache import cached_parse
from sip.monitor.events import Banned, Bus, Overload, Unbanned
from sip.monitor.metrics import DROPPED_BANNED, DROPPED_OVERLOAD, DROPPED_SCANNER, Counters
from sip.operator_values import Network, parse_network
from sip.store.bans import Ban
from sip.transport.flow import Endpoint, Flow, network_of
from sip.transport.packet_filter import SampleRule

log = logging.getLogger(__name__)

# Addresses and ports that have shown a password or a signed route token, some 200 octets each.  The
# oldest is removed for a new one, and comes back with its next password.
MAX_VERIFIED = 32_768
# Verified ports of one address that the kernel filter exempts; an address with more is not sampled.
MAX_EXEMPT_PORTS = 50
# Hosts whose trust is cached.
MAX_CACHED_TRUST = 4096
# Parts of the User-Agent of scanners, in lower case; no phone uses them.
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
    """The part of an account that the guard needs."""

    @property
    def username(self) -> str: ...


@cached_parse(1024)
def is_scanner(user_agent: str) -> bool:
    """Return True for the User-Agent of a tool that scans for servers and users."""
    text = user_agent.lower()
    return any(name in text for name in SCANNERS)


class BlockedLogin(NamedTuple):
    """A user whose logins from one address are blocked after wrong passwords.

    `address` is one of IPv4, or the /64 network of one of IPv6; `until` is in Unix seconds.
    `is_banned` says that the whole address is blocked, for all users.
    """

    username: str
    address: str
    tries: int
    until: int
    is_banned: bool


class Wait(NamedTuple):
    """A user whose logins from one address are blocked; the address itself is not banned.

    `address` and `until` are as in BlockedLogin.  `id` stays the same as long as the wait lasts.
    """

    id: int
    username: str
    address: str
    tries: int
    until: int


class WaitPage(NamedTuple):
    """One page of waits; `next` is the id that the next page begins after, or None."""

    waits: list[Wait]
    next: int | None


class Guard:
    """Drops messages of banned addresses, limits the load in an overload, counts wrong passwords.

    Problem: keep serving phones while an address floods the server or guesses passwords.
    Model: an address is banned after too many wrong passwords; an overload is shared out by
        `fair_share`, and a flood that is too much even to be read is cut by `kernel_drop`.
    Invariant: **an address is banned only by messages that prove where they come from**: an answer
        to a nonce, which names the address that it was sent to, or a connection.  So a forged
        datagram harms no other address.  While nothing is banned and the server is not overloaded,
        no message is looked at here.
    Bounds: MAX_VERIFIED, MAX_CACHED_TRUST, and those of the modules in this folder.

    An address may be an office.  Wrong answers for one user are blocked long before the address is
    banned, so a phone or two with a wrong password, which repeat it for ever, never get it banned;
    a right password clears the failures of its user.  When an address is banned all the same,
    verified phones there go on.  If there are any, no message from there is dropped unread: users
    that are registered from there may log in as before, other users are blocked.

    `is_at_home(network, username, realm)` returns True if a user is registered from a network.
    `trusted` networks are never limited or banned.  `set_packet_filter` sets the filter of the
    kernel, and returns False if it cannot.  Bans are published on `bus`; a listener may wait.
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
        self._active: set[str] = set()  # sources of the bans that have not ended
        self._blocked: dict[str, int] = {}  # sources that are dropped unread, until a Unix second
        # In order; a plain dict is slow to find its first key after many removals.
        self._verified: OrderedDict[Endpoint, None] = OrderedDict()
        self._verified_per_address: Counter[str] = Counter()
        # By the clock, so that after a restart no wait has the id of an earlier one.
        self._failed_logins = FailedLogins(first_number=int(unix_clock() * 1000))
        self._fair_share = FairShare()
        self._sampler = PacketSampler()
        self._is_filtering = False  # False: every message is allowed at once
        self._now = clock()  # of the last tick
        self._always_trusted = tuple(trusted)
        self._also_trusted: tuple[Network, ...] = ()
        self._trust: dict[str, bool] = {}  # cache, by host

    # Each message

    def allows(self, flow: Flow) -> bool:
        """Return True if a message, or a connection, is to be handled; False: drop it."""
        return not self._is_filtering or self._judge(flow)

    def _judge(self, flow: Flow) -> bool:
        remote = flow.remote
        source: Endpoint | str = remote
        trust = TrustLevel.VERIFIED
        is_forgeable = not flow.source_is_verified
        if remote not in self._verified:
            source = network_of(remote[0])
            if self._fair_share.is_overloaded and is_forgeable:
                self._sampler.count(source)
            if source in self._blocked:
                self.counts[DROPPED_BANNED] += 1
                # A drop counts as refused, or the sampling would end and the flood come back.
                if source in self._sampler.keep_ratios:
                    self._fair_share.refuse(self._now)
                return False
            is_same_address = source in self._verified_per_address
            trust = TrustLevel.SAME_ADDRESS if is_same_address else TrustLevel.UNKNOWN
        if not self._fair_share.is_overloaded or self.is_trusted(remote[0]):
            return True
        return self._fair_share.allows(source, self._now, trust=trust, is_forgeable=is_forgeable)

    def should_throttle(self, flow: Flow) -> bool:
        """Return True if a connection is beyond its share: then it is not read for now.

        A message dropped there would never be repeated (RFC 3261 §18).  Banned sources do not wait:
        `allows` drops their messages.
        """
        fair_share, remote = self._fair_share, flow.remote
        if not fair_share.is_overloaded or self.is_trusted(remote[0]):
            return False
        if remote in self._verified:
            return not fair_share.has_room(remote, self._now, trust=TrustLevel.VERIFIED)
        source = network_of(remote[0])
        is_same_address = source in self._verified_per_address
        trust = TrustLevel.SAME_ADDRESS if is_same_address else TrustLevel.UNKNOWN
        is_blocked = source in self._blocked
        return not is_blocked and not fair_share.has_room(source, self._now, trust=trust)

    def mark_verified(self, remote: Endpoint) -> None:
        """Remember that an address and port has shown a password or a signed route token."""
        if remote in self._verified:
            return
        if len(self._verified) >= MAX_VERIFIED:
            oldest, _ = self._verified.popitem(last=False)
            address = network_of(oldest[0])
            self._verified_per_address[address] -= 1
            if not self._verified_per_address[address]:
                del self._verified_per_address[address]
        self._verified[remote] = None
        self._verified_per_address[network_of(remote[0])] += 1

    def is_verified(self, remote: Endpoint) -> bool:
        """Return True if an address and port has shown a password or a signed route token."""
        return remote in self._verified

    # Passwords

    def may_try_password(
        self, host: str, username: str, realm: str, *, nonce_is_ours: bool
    ) -> bool:
        """Return True if the digest of a user may be compared with the password.

        `nonce_is_ours` says that this server made the nonce, for this host.
        """
        if (nonce_is_ours and not self._failed_logins) or self.is_trusted(host):
            return True
        source, now = network_of(host), self.clock()
        if not nonce_is_ours:
            return not self._failed_logins.is_unverified_blocked(source, now)
        if self._failed_logins.is_blocked(source, username, now):
            return False
        is_source_blocked = self._failed_logins.is_blocked(source, None, now)
        return not is_source_blocked or self.is_at_home(source, username, realm)

    def login_succeeded(self, host: str, username: str) -> None:
        """Remove the failures of a user at a host after a right password."""
        if self._failed_logins:
            self._failed_logins.clear_user(network_of(host), username)

    def login_failed(
        self, host: str, username: str, *, nonce_is_ours: bool, call_id: str = "", answer: str = ""
    ) -> None:
        """Count a wrong digest of a user name, known or not; ban the host if needed.  May wait.

        `answer` is the digest, in a request of that Call-ID: several count as one attempt, see
        `password_limits`.
        """
        if self.is_trusted(host):
            return
        source, now = network_of(host), self.clock()
        if not nonce_is_ours:
            self._failed_logins.count_unverified_failure(source, now)
            return
        seconds = self._failed_logins.count_failure(
            source, username, now, call_id=call_id, answer=answer
        )
        shown = printable(username[:60])
        if self._failed_logins.is_blocked(source, username, now):
            fields = {
                "call_id": printable(call_id),
                "user": shown,
                "address": host,
                "cause": causes.LOGIN_BLOCKED.code,
            }
            line = "login blocked for %s at %s: too many wrong passwords"
            log.info(line, shown, source, extra=fields)
        if seconds:
            self._ban(source, host, causes.PASSWORD_GUESSING.of(name=shown), seconds)

    def blocked_logins(self) -> list[BlockedLogin]:
        """List the users whose logins are blocked, and where, the latest first."""
        now, since = self.clock(), self.unix_clock() - self.clock()
        return [
            BlockedLogin(username, source, tries, round(until + since), is_banned)
            for source, username, tries, until, is_banned in self._failed_logins.by_user(now)
            if until and not self.is_trusted(source)
        ]

    def waits(self, *, after: int | None = None, limit: int = 50) -> WaitPage:
        """Return up to `limit` waits, the latest first; only those after an id.

        A page that is not the last one may have fewer, too.  Takes some milliseconds at most.
        """
        now, since = self.clock(), self.unix_clock() - self.clock()
        found, following = self._failed_logins.blocked_users(now, after, limit)
        waits = [
            Wait(number, username, source, tries, round(until + since))
            for number, source, username, tries, until in found
        ]
        return WaitPage(waits, following)

    def remove_wait(self, id_: int) -> Wait | None:
        """Unblock the user of a wait, as `forgive` does, and return the wait; None without one."""
        for wait in self.waits(after=id_ + 1, limit=1).waits:
            if wait.id == id_:
                self._failed_logins.clear_user(wait.address, wait.username)
                return wait
        return None

    def forgive(self, usernames: Container[str], network: Network | None = None) -> list[str]:
        """Remove the failed logins of users, at all addresses or at those within a network.

        Return the addresses where there were some.  A ban of an address stays.
        """
        now = self.clock()
        found = [
            (source, username)
            for source, username, *_ in self._failed_logins.by_user(now)
            if username in usernames and (network is None or _is_within(source, network))
        ]
        for source, username in found:
            self._failed_logins.clear_user(source, username)
        return [source for source, _ in found]

    def forgive_accounts(self, accounts: Iterable[Account]) -> None:
        """Remove the failed logins of accounts that got a new password or were enabled again."""
        if self._failed_logins:
            self.forgive({account.username for account in accounts})

    # Scanners

    def scanner_seen(self, flow: Flow, user_agent: str) -> None:
        """Count a request of a scanner; ban its source if that cannot be forged.  May wait."""
        self.counts[DROPPED_SCANNER] += 1
        if flow.source_is_verified and not self.is_trusted(flow.remote[0]):
            host = flow.remote[0]
            source = network_of(host)
            seconds = self._failed_logins.block(source, self.clock())
            cause = causes.SCANNER.of(agent=printable(user_agent[:60]))
            self._ban(source, host, cause, seconds)

    # Bans

    def _ban(self, source: str, host: str, cause: Cause, seconds: float) -> None:
        now, reason = int(self.unix_clock()), cause.text
        ban = Ban(source, reason, now, now + int(seconds), self._failed_logins.block_count(source))
        self._bans[source] = ban
        self._update_blocked()
        fields = {"address": host, "cause": cause.code}
        log.warning("banned %s for %d min: %s", source, seconds // 60, reason, extra=fields)
        if self._bus.has_listener(Banned):
            until, address = ban.ends_at, (host, 0)
            event = Banned(now, source, address, until, reason, ban.times, code=cause.code)
            self._bus.publish(event)

    def load_bans(self, bans: Iterable[Ban], trusted: Iterable[str]) -> None:
        """Replace all bans and trusted networks by those from the database.

        Raises ValueError for an invalid network; then nothing has changed.
        """
        known = {ban.address: ban for ban in bans}
        also_trusted = tuple(map(parse_network, trusted))
        for source in self._bans.keys() - known.keys():
            self._failed_logins.clear_source(source)
        now, since = self.clock(), self.clock() - self.unix_clock()
        for source, ban in known.items():
            if self._bans.get(source) != ban:
                self._failed_logins.restore(source, ban.times, ban.ends_at + since, now)
        self._bans = known
        if also_trusted != self._also_trusted:
            self._also_trusted = also_trusted
            self._clear_trusted()
        self._update_blocked()

    def set_trusted(self, networks: Sequence[Network]) -> None:
        """Replace the trusted networks of the settings; those of the database stay."""
        self._always_trusted = tuple(networks)
        self._clear_trusted()
        self._update_blocked()

    def _clear_trusted(self) -> None:
        """Remove the failed logins of trusted addresses, after a change of trusted networks."""
        self._trust.clear()
        self._failed_logins.clear_sources(self.is_trusted)

    def _update_blocked(self) -> None:
        """Compute the sources to drop unread: banned, without verified phones, not trusted."""
        now = self.unix_clock()
        self._blocked = {
            source: ban.ends_at
            for source, ban in self._bans.items()
            if ban.ends_at > now
            and source not in self._verified_per_address
            and not self.is_trusted(source)
        }
        self._is_filtering = bool(self._blocked) or self._fair_share.is_overloaded
        active = {source for source, ban in self._bans.items() if ban.ends_at > now}
        ended, self._active = self._active - active, active
        if ended and self._bus.has_listener(Unbanned):
            for source in sorted(ended):
                reason = "expired" if source in self._bans else "lifted"
                self._bus.publish(Unbanned(now, source, reason))

    def is_trusted(self, host: str) -> bool:
        """Return True if a host, or the network of a ban, is never limited or banned."""
        if not self._always_trusted and not self._also_trusted:
            return False
        known = self._trust.get(host)
        if known is None:
            if len(self._trust) >= MAX_CACHED_TRUST:
                self._trust.clear()
            address = ip_address(host.partition("/")[0])
            trusted = (*self._always_trusted, *self._also_trusted)
            known = self._trust[host] = any(address in network for network in trusted)
        return known

    # Time

    def tick(self, now: float, *, has_backlog: bool) -> None:
        """Adapt the overload control to the load.  Call it often; it is quick.

        `has_backlog` says that more messages wait than the server can soon handle.
        """
        self._now = now
        fair_share = self._fair_share
        was_overloaded = fair_share.is_overloaded
        fair_share.tick(now, has_backlog=has_backlog)
        if fair_share.is_overloaded != was_overloaded:
            self._is_filtering = bool(self._blocked) or fair_share.is_overloaded
            dropped = 0
            if was_overloaded and fair_share.refused:
                dropped = fair_share.refused + round(self._sampler.dropped)
                self.counts[DROPPED_OVERLOAD] += dropped
                log.warning("overload: dropped %d messages", dropped)
            if self._bus.has_listener(Overload):
                self._bus.publish(Overload(self.unix_clock(), fair_share.is_overloaded, dropped))
        if fair_share.is_overloaded:
            if self._sampler.update(now, self._share_of):
                self._update_packet_filter()
        elif was_overloaded:
            self._set_packet_filter(())
            self._sampler.reset()

    @property
    def ban_count(self) -> int:
        """The number of bans that are in force."""
        return len(self._active)

    @property
    def dropped_for_overload(self) -> int:
        """The number of messages dropped for overload, those of the present overload included."""
        dropped = self.counts[DROPPED_OVERLOAD]
        if self._fair_share.is_overloaded:
            dropped += self._fair_share.refused + round(self._sampler.dropped)
        return dropped

    def _share_of(self, source: str) -> float:
        """Return how many messages per second of a source may be served; inf: do not sample it."""
        if source in self._blocked:
            return 0.0
        verified_ports = self._verified_per_address[source]
        if verified_ports > MAX_EXEMPT_PORTS or self.is_trusted(source):
            return inf
        trust = TrustLevel.SAME_ADDRESS if verified_ports else TrustLevel.UNKNOWN
        return self._fair_share.share_of(trust)

    def _update_packet_filter(self) -> None:
        """Let the kernel drop a part of each flood, but no message from a verified port."""
        ratios = self._sampler.keep_ratios
        ports: dict[str, list[int]] = {
            source: [] for source in ratios if source in self._verified_per_address
        }
        if ports:
            for host, port in self._verified:
                address = network_of(host)
                if address in ports:
                    ports[address].append(port)
        if not self._set_packet_filter(
            [
                SampleRule(source, ratio, tuple(ports.get(source, ())))
                for source, ratio in ratios.items()
            ]
        ):
            self._sampler.reset()

    def sweep(self) -> None:
        """Unblock the sources whose ban has ended."""
        now = self.unix_clock()
        if any(self._bans[source].ends_at <= now for source in self._active):
            self._update_blocked()


def _is_within(source: str, network: Network) -> bool:
    """Return True for a source in a network, or for the /64 that holds an address of IPv6."""
    within = parse_network(source)
    return within.version == network.version and within.overlaps(network)
