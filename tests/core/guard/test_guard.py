"""The guard: bans, verified addresses and trust, on a turned clock."""

from ipaddress import ip_network
from time import process_time
from types import SimpleNamespace

import pytest

from sip.core.guard.guard import MAX_VERIFIED, BlockedLogin, Guard, Wait, is_scanner
from sip.core.guard.password_limits import (
    FIRST_BLOCK_SECONDS,
    MAX_FAILURES_OF_SOURCE,
    MAX_FAILURES_OF_USER,
)
from sip.monitor.events import Banned, Bus, Overload, Unbanned
from sip.store.bans import Ban
from sip.transport.flow import Flow

REALM = "example.com"
GUESSER, OFFICE, SERVER = "192.0.2.66", "198.51.100.7", ("192.0.2.1", 5060)


class Bench:
    """A guard, its clock, and the bans that it has stored."""

    def __init__(self, *trusted: str) -> None:
        self.now = 1000.0
        self.at_home: set[tuple[str, str]] = set()
        self.kept: list[Ban] = []
        self.bus = bus = Bus()
        bus.listen(Banned, self._keep)
        self.guard = Guard(
            lambda: self.now,
            lambda: self.now + 1_700_000_000,
            [ip_network(each) for each in trusted],
            lambda network, username, realm: (network, username) in self.at_home,
            lambda rules: False,
            bus,
        )

    def _keep(self, event: Banned) -> None:
        ban = Ban(event.network, event.reason, int(event.at), int(event.until), event.times)
        self.kept.append(ban)

    def hears(self, host: str, port: int = 5060, transport: str = "UDP") -> bool:
        return self.guard.allows(Flow(transport, SERVER, (host, port)))

    def guesses(
        self, host: str = GUESSER, times: int = MAX_FAILURES_OF_SOURCE, user: str = ""
    ) -> int:
        """Send wrong passwords while they are checked; return how many were."""
        heard = 0
        for number in range(times):
            name = user or f"user{number}"
            if self.guard.may_try_password(host, name, REALM, nonce_is_ours=True):
                heard += 1
                self.guard.login_failed(host, name, nonce_is_ours=True)
        return heard

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.guard.tick(self.now, has_backlog=False)
        self.guard.sweep()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_guesser_is_banned_for_a_time_with_a_reason(bench: Bench):
    assert bench.guesses(times=100) == MAX_FAILURES_OF_SOURCE <= 20
    now = 1_700_001_000
    reason = f"guessed passwords, last user user{MAX_FAILURES_OF_SOURCE - 1}"
    assert bench.kept == [Ban(GUESSER, reason, now, now + 600, 1)]
    assert not bench.hears(GUESSER)
    assert not bench.hears(GUESSER, transport="TCP")
    assert bench.hears("192.0.2.67")
    bench.passes(FIRST_BLOCK_SECONDS + 1)
    assert bench.hears(GUESSER)
    assert bench.guesses(times=100) == 1
    assert bench.kept[-1].ends_at - bench.kept[-1].banned_at == 4 * FIRST_BLOCK_SECONDS
    assert bench.kept[-1].times == 2


def test_an_address_of_ipv6_stands_for_all_that_its_owner_has(bench: Bench):
    for number in range(MAX_FAILURES_OF_SOURCE):
        bench.guesses(f"2001:db8::{number + 1:x}", 1, f"user{number}")
    assert bench.kept[0].address == "2001:db8::/64"
    assert not bench.hears("2001:db8::ffff")
    assert bench.hears("2001:db8:0:1::1")


def test_forged_answers_ban_no_address(bench: Bench):
    """An answer to a nonce that its address was never given."""
    for number in range(10 * MAX_FAILURES_OF_SOURCE):
        bench.guard.login_failed(OFFICE, f"user{number}", nonce_is_ours=False)
    bench.guard.scanner_seen(Flow("UDP", SERVER, (OFFICE, 5060)), "friendly-scanner")
    assert not bench.kept
    assert bench.hears(OFFICE)
    assert bench.guard.may_try_password(OFFICE, "alice", REALM, nonce_is_ours=True)
    assert not bench.guard.may_try_password(OFFICE, "alice", REALM, nonce_is_ours=False)


def test_a_scanner_on_a_connection_is_banned(bench: Bench):
    bench.guard.scanner_seen(Flow("TCP", SERVER, (GUESSER, 5060), 1), "friendly-scanner")
    assert bench.kept[0].reason == "scanner, User-Agent friendly-scanner"
    assert not bench.hears(GUESSER)


@pytest.mark.parametrize(
    ("agent", "is_one"),
    [
        ("friendly-scanner", True),
        ("Friendly-Scanner v2", True),
        ("sipcli/v1.8", True),
        ("sundayddr", True),
        ("Linphone/3.6 (belle-sip/1.2)", False),
        ("Yealink SIP-T46S 66.86.0.15", False),
    ],
)
def test_scanners_are_known_by_what_they_call_themselves(agent: str, is_one: bool):
    assert is_scanner(agent) is is_one


def test_phones_of_a_banned_address_go_on(bench: Bench):
    bench.guard.mark_verified((OFFICE, 40_001))
    bench.at_home.add((OFFICE, "alice"))
    assert bench.guesses(OFFICE) == MAX_FAILURES_OF_SOURCE
    assert len(bench.kept) == 1
    # Nothing from there is dropped unread, for a phone may come by another port.
    assert bench.hears(OFFICE, 40_001)
    assert bench.hears(OFFICE, 40_002)
    assert bench.guard.may_try_password(OFFICE, "alice", REALM, nonce_is_ours=True)
    assert not bench.guard.may_try_password(OFFICE, "bob", REALM, nonce_is_ours=True)
    assert bench.guesses(OFFICE, 100, "bob") == 0


def test_an_office_with_two_wrong_phones_is_never_banned(bench: Bench):
    """Two hundred come back after a power cut; the two repeat themselves for an hour."""
    asked = 0
    for turn in range(720):
        for user in ("wrong1", "wrong2"):
            asked += bench.guesses(OFFICE, 1, user)
        if turn < 200:
            assert bench.guard.may_try_password(OFFICE, f"right{turn}", REALM, nonce_is_ours=True)
            bench.guard.login_succeeded(OFFICE, f"right{turn}")
            bench.guard.mark_verified((OFFICE, 40_000 + turn))
        assert bench.hears(OFFICE, 50_000)
        bench.passes(5)
    assert asked == 2 * (MAX_FAILURES_OF_USER + 2)  # again after ten minutes, and after forty more
    assert not bench.kept
    assert bench.guard.may_try_password(OFFICE, "new", REALM, nonce_is_ours=True)


def test_a_guessed_user_may_log_in_from_elsewhere(bench: Bench):
    bench.guesses(times=100, user="alice")
    assert not bench.guard.may_try_password(GUESSER, "alice", REALM, nonce_is_ours=True)
    assert bench.guard.may_try_password(OFFICE, "alice", REALM, nonce_is_ours=True)


def test_one_known_password_gives_no_guesses_at_another(bench: Bench):
    heard = 0
    for _ in range(50):
        heard += bench.guesses(times=1, user="alice")
        bench.guard.login_succeeded(GUESSER, "mine")
    assert heard == MAX_FAILURES_OF_USER


def test_a_trusted_network_is_never_banned(bench: Bench):
    bench = Bench("192.0.2.0/24")
    assert bench.guesses(times=100) == 100
    bench.guard.scanner_seen(Flow("TCP", SERVER, (GUESSER, 1), 1), "sipvicious")
    assert not bench.kept
    assert bench.hears(GUESSER)


def test_bans_outlive_a_restart_and_lifted_ones_do_not(bench: Bench):
    bench.guesses()
    again = Bench()
    again.guard.load_bans(bench.kept, [])
    assert not again.hears(GUESSER)
    assert not again.guard.may_try_password(GUESSER, "alice", REALM, nonce_is_ours=True)
    again.guard.load_bans([], [])
    assert again.hears(GUESSER)
    assert again.guesses(times=100) == MAX_FAILURES_OF_SOURCE


def test_an_ended_ban_makes_the_next_longer_after_a_restart(bench: Bench):
    now = 1_700_001_000
    bench.guard.load_bans([Ban(GUESSER, "guessed passwords", now - 900, now - 300, 1)], [])
    assert bench.hears(GUESSER)
    assert bench.guesses(times=100) == 1
    assert bench.kept[0].ends_at == now + 2400


def test_trust_that_is_given_while_it_runs_lifts_the_ban(bench: Bench):
    bench.guesses()
    bench.guard.load_bans(bench.kept, ["192.0.2.0/24"])
    assert bench.hears(GUESSER)
    bench.guard.load_bans(bench.kept, [])
    assert not bench.hears(GUESSER)


def test_an_invalid_trusted_network_changes_nothing(bench: Bench):
    """A row that was edited by hand is an error once, not one of each later sweep."""
    bench.guesses()
    with pytest.raises(ValueError, match="nonsense"):
        bench.guard.load_bans([], ["nonsense"])
    bench.passes(FIRST_BLOCK_SECONDS + 1)
    assert bench.hears(GUESSER)


# Blocked logins, and the end of a block


def test_a_wait_keeps_its_id_while_it_lasts(bench: Bench):
    bench.guesses(times=MAX_FAILURES_OF_USER, user="alice")
    bench.guesses(times=MAX_FAILURES_OF_USER, user="bob")
    bob, alice = bench.guard.waits().waits
    until = round(1_700_001_000 + FIRST_BLOCK_SECONDS)
    assert alice == Wait(1_700_001_000_000, "alice", GUESSER, MAX_FAILURES_OF_USER, until)
    assert bob.id > alice.id
    bench.passes(FIRST_BLOCK_SECONDS - 1)
    bench.guesses(OFFICE, user="carol", times=MAX_FAILURES_OF_USER)
    assert bench.guard.waits(after=bob.id + 1).waits == [bob, alice]
    bench.passes(1)
    assert [wait.username for wait in bench.guard.waits().waits] == ["carol"]
    bench.guesses(times=1, user="alice")
    assert bench.guard.waits().waits[0].id > bob.id


def test_a_wait_is_removed_by_its_id(bench: Bench):
    bench.guesses(times=MAX_FAILURES_OF_USER, user="alice")
    bench.guesses(times=MAX_FAILURES_OF_USER, user="bob")
    bob, alice = bench.guard.waits().waits
    assert bench.guard.remove_wait(bob.id + 1) is None
    assert bench.guard.remove_wait(alice.id) == alice
    assert bench.guard.remove_wait(alice.id) is None
    assert bench.guard.waits().waits == [bob]
    assert bench.guard.may_try_password(GUESSER, "alice", REALM, nonce_is_ours=True)


def test_a_banned_address_has_no_waits(bench: Bench):
    bench.guesses(times=MAX_FAILURES_OF_USER, user="alice")
    bench.guesses()
    assert bench.guard.waits() == ([], None)


def test_a_blocked_login_is_listed_and_logged_once(bench: Bench, caplog):
    caplog.set_level("INFO")
    bench.guesses(times=100, user="alice")
    until = round(1_700_001_000 + FIRST_BLOCK_SECONDS)
    assert bench.guard.blocked_logins() == [
        BlockedLogin("alice", GUESSER, MAX_FAILURES_OF_USER, until, False)
    ]
    assert [record.getMessage() for record in caplog.records] == [
        f"login blocked for alice at {GUESSER}: too many wrong passwords"
    ]
    bench.passes(FIRST_BLOCK_SECONDS + 1)
    assert bench.guard.blocked_logins() == []


@pytest.mark.parametrize("how", ["by a command", "by the settings"])
def test_trust_lifts_a_wait_at_once(bench: Bench, how: str):
    """Trusted addresses never wait, and nothing is held against them when trust ends."""
    for host in (GUESSER, OFFICE):
        bench.guesses(host, times=100, user="alice")
    bench.guard.login_failed(GUESSER, "alice", nonce_is_ours=False)
    if how == "by a command":
        bench.guard.load_bans([], [GUESSER])
    else:
        bench.guard.set_trusted([ip_network(GUESSER)])
    for is_ours in (True, False):
        assert bench.guard.may_try_password(GUESSER, "alice", REALM, nonce_is_ours=is_ours)
    assert not bench.guard.may_try_password(OFFICE, "alice", REALM, nonce_is_ours=True)
    assert [wait.address for wait in bench.guard.blocked_logins()] == [OFFICE]
    bench.guard.load_bans([], [])
    bench.guard.set_trusted([])
    assert bench.guard.may_try_password(GUESSER, "alice", REALM, nonce_is_ours=True)


@pytest.mark.parametrize(
    ("network", "lifted"),
    [
        ("", {GUESSER, OFFICE, "2001:db8::/64"}),
        (GUESSER, {GUESSER}),
        ("192.0.2.0/24", {GUESSER}),
        ("2001:db8::7", {"2001:db8::/64"}),
        ("2001:db8::/32", {"2001:db8::/64"}),
        ("10.0.0.0/8", set()),
    ],
)
def test_a_user_is_forgiven_everywhere_or_within_a_network(bench: Bench, network, lifted):
    for host in (GUESSER, OFFICE, "2001:db8::1"):
        bench.guesses(host, times=100, user="alice")
        bench.guesses(host, times=100, user="bob")
    forgiven = bench.guard.forgive({"alice"}, ip_network(network) if network else None)
    assert set(forgiven) == lifted
    assert {w.address for w in bench.guard.blocked_logins() if w.username == "alice"}.isdisjoint(
        lifted
    )
    assert len([w for w in bench.guard.blocked_logins() if w.username == "bob"]) == 3


def test_a_new_password_resets_only_the_failures_of_its_user(bench: Bench):
    bench.guesses(times=100, user="alice")
    bench.guesses(times=100, user="bob")
    bench.guard.forgive_accounts([SimpleNamespace(username="alice")])
    assert bench.guesses(times=100, user="alice") == MAX_FAILURES_OF_USER
    assert bench.guesses(times=100, user="bob") == 0


def test_forgiving_a_user_does_not_lift_the_ban_of_an_address(bench: Bench):
    """It is shown with the user, and is lifted by itself."""
    bench.guesses(times=100)
    assert {wait.is_banned for wait in bench.guard.blocked_logins()} == {True}
    assert bench.guard.forgive({"user0"}) == [GUESSER]
    assert not bench.hears(GUESSER)


def test_a_reason_is_fit_for_the_log(bench: Bench, caplog):
    bench.guesses(times=MAX_FAILURES_OF_SOURCE - 1)
    bench.guesses(times=1, user="a\nb\x1b[2J" + "c" * 200)
    assert bench.kept[0].reason == "guessed passwords, last user a?b?[2J" + "c" * 53
    assert len(caplog.records) == 1


def test_a_ban_and_its_two_ends_are_events(bench: Bench):
    """It expires by itself, or an administrator lifts it."""
    reader = bench.bus.read(Banned, Unbanned)
    bench.guesses("2001:db8::7")
    (banned,) = reader.take()
    assert (banned.network, banned.address) == ("2001:db8::/64", ("2001:db8::7", 0))
    assert (banned.until - banned.at, banned.times) == (600, 1)
    bench.passes(601)
    bench.passes(1)
    (unbanned,) = reader.take()
    assert unbanned == Unbanned(banned.at + 601, "2001:db8::/64", "expired")
    bench.guesses(times=MAX_FAILURES_OF_SOURCE)
    (again,) = reader.take()
    bench.guard.load_bans([], [])
    bench.guard.load_bans([], [])
    assert reader.take() == [Unbanned(again.at, GUESSER, "lifted")]


def test_overload_is_an_event_at_its_start_and_end(bench: Bench):
    reader = bench.bus.read(Overload)
    for _ in range(20):
        bench.now += 0.05
        bench.guard.tick(bench.now, has_backlog=True)
    (started,) = reader.take()
    assert (started.is_started, started.dropped) == (True, 0)
    flood = sum(bench.hears(GUESSER, port) for port in range(1000))
    bench.passes(2)
    (ended,) = reader.take()
    assert (ended.is_started, ended.dropped) == (False, 1000 - flood)


def test_only_the_latest_proofs_are_remembered(bench: Bench):
    for number in range(MAX_VERIFIED + 1):
        bench.guard.mark_verified((f"10.0.{number >> 8}.{number & 255}", 5060))
    assert not bench.guard.is_verified(("10.0.0.0", 5060))
    assert bench.guard.is_verified(("10.0.0.1", 5060))
    assert len(bench.guard._verified_per_address) == MAX_VERIFIED


def test_marking_verified_is_quick_at_the_bound():
    """At a start with 100,000 phones that was half of all that was done."""

    def seconds(guard: Guard, first: int) -> float:
        began_at = process_time()
        for port in range(first, first + MAX_VERIFIED):
            guard.mark_verified((OFFICE, port))
        return process_time() - began_at

    guards = [Bench().guard for _ in range(3)]
    to_fill = min(seconds(guard, 0) for guard in guards)
    assert min(seconds(guards[0], MAX_VERIFIED * time) for time in (1, 2, 3)) < 4 * to_fill


def test_in_an_overload_unknown_sources_come_last(bench: Bench, caplog):
    bench.guard.mark_verified((OFFICE, 40_001))
    for _ in range(20):
        bench.now += 0.05
        bench.guard.tick(bench.now, has_backlog=True)
    flood = sum(bench.hears(GUESSER, port) for port in range(1000))
    assert flood < 20
    assert all(bench.hears(OFFICE, 40_001) for _ in range(1000))
    assert all(bench.hears(OFFICE, 40_002) for _ in range(1000))  # at the same address
    assert bench.hears("192.0.2.67")
    bench.passes(2)
    assert [record.getMessage() for record in caplog.records] == [
        f"overload: dropped {1000 - flood} messages"
    ]
    assert all(bench.hears(GUESSER) for _ in range(1000))


def waits(bench: Bench, host: str, port: int = 5060) -> bool:
    """Let a connection send its share; return True if it has to wait then."""
    flow = Flow("TCP", SERVER, (host, port), 7)
    for _ in range(20_000):
        if bench.guard.should_throttle(flow):
            return True
        if not bench.guard.allows(flow):
            return False
    return False


def test_a_connection_waits_for_its_share_only_in_an_overload():
    """RFC 3261 §18: a message dropped there is never repeated."""
    bench = Bench("198.51.100.0/24")
    assert not waits(bench, GUESSER)
    bench.guard.tick(bench.now, has_backlog=True)
    bench.guard.tick(bench.now, has_backlog=True)
    assert waits(bench, GUESSER)
    assert waits(bench, GUESSER, port=5061)  # another connection of the same address
    assert not waits(bench, OFFICE)  # which is trusted
    assert waits(bench, "192.0.2.7")
    bench.guard.mark_verified(("192.0.2.7", 5060))
    assert not bench.guard.should_throttle(Flow("TCP", SERVER, ("192.0.2.7", 5060), 8))


def test_the_banned_do_not_wait(bench: Bench):
    """They are not heard at all, now or later."""
    bench.guesses(times=100)
    bench.guard.tick(bench.now, has_backlog=True)
    bench.guard.tick(bench.now, has_backlog=True)
    flow = Flow("TCP", SERVER, (GUESSER, 5060), 7)
    assert not bench.guard.should_throttle(flow)
    assert not bench.guard.allows(flow)
