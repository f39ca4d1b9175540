"""Who is not heard: bans, proofs and trust, on a turned clock."""

from ipaddress import ip_network
from time import process_time
from types import SimpleNamespace

import pytest

from sip.core.guard.guard import MAX_PROVEN, Guard, Wait, is_scanner
from sip.core.guard.password_limits import FIRST_WAIT, TRIES_OF_SOURCE, TRIES_OF_USER
from sip.monitor.events import Banned, Bus, Overload, Unbanned
from sip.store.bans import Ban
from sip.transport.flow import Flow

REALM = "example.com"
GUESSER, OFFICE, SERVER = "192.0.2.66", "198.51.100.7", ("192.0.2.1", 5060)


class Bench:
    """A guard, its clock, and what it has asked to keep."""

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

    def guesses(self, host: str = GUESSER, times: int = TRIES_OF_SOURCE, user: str = "") -> int:
        """Answer wrongly, as often as somebody listens; gives how often that was."""
        heard = 0
        for number in range(times):
            name = user or f"user{number}"
            if self.guard.is_asked(host, name, REALM, is_ours=True):
                heard += 1
                self.guard.wrong(host, name, is_ours=True)
        return heard

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.guard.tick(self.now, is_behind=False)
        self.guard.sweep()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_who_guesses_is_banned_with_a_time_and_a_reason_and_then_heard_again(bench: Bench):
    assert bench.guesses(times=100) == TRIES_OF_SOURCE <= 20
    now = 1_700_001_000
    reason = f"guessed passwords, the last for user{TRIES_OF_SOURCE - 1}"
    assert bench.kept == [Ban(GUESSER, reason, now, now + 600, 1)]
    assert not bench.hears(GUESSER)
    assert not bench.hears(GUESSER, transport="TCP")
    assert bench.hears("192.0.2.67")
    bench.passes(FIRST_WAIT + 1)
    assert bench.hears(GUESSER)
    assert bench.guesses(times=100) == 1
    assert bench.kept[-1].ends_at - bench.kept[-1].banned_at == 4 * FIRST_WAIT
    assert bench.kept[-1].times == 2


def test_an_address_of_ipv6_stands_for_all_that_its_owner_has(bench: Bench):
    for number in range(TRIES_OF_SOURCE):
        bench.guesses(f"2001:db8::{number + 1:x}", 1, f"user{number}")
    assert bench.kept[0].address == "2001:db8::/64"
    assert not bench.hears("2001:db8::ffff")
    assert bench.hears("2001:db8:0:1::1")


def test_what_a_forged_address_says_bans_nobody(bench: Bench):
    """An answer to a nonce that its address was never given."""
    for number in range(10 * TRIES_OF_SOURCE):
        bench.guard.wrong(OFFICE, f"user{number}", is_ours=False)
    bench.guard.meet_scanner(Flow("UDP", SERVER, (OFFICE, 5060)), "friendly-scanner")
    assert not bench.kept
    assert bench.hears(OFFICE)
    assert bench.guard.is_asked(OFFICE, "alice", REALM, is_ours=True)
    assert not bench.guard.is_asked(OFFICE, "alice", REALM, is_ours=False)


def test_a_scanner_on_a_connection_is_banned(bench: Bench):
    bench.guard.meet_scanner(Flow("TCP", SERVER, (GUESSER, 5060), 1), "friendly-scanner")
    assert bench.kept[0].reason == "called itself friendly-scanner"
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
    bench.guard.prove((OFFICE, 40_001))
    bench.at_home.add((OFFICE, "alice"))
    assert bench.guesses(OFFICE) == TRIES_OF_SOURCE
    assert len(bench.kept) == 1
    # Nothing from there is dropped unread, for a phone may come by another port.
    assert bench.hears(OFFICE, 40_001)
    assert bench.hears(OFFICE, 40_002)
    assert bench.guard.is_asked(OFFICE, "alice", REALM, is_ours=True)
    assert not bench.guard.is_asked(OFFICE, "bob", REALM, is_ours=True)
    assert bench.guesses(OFFICE, 100, "bob") == 0


def test_an_office_with_two_phones_that_are_set_up_wrongly_is_never_banned(bench: Bench):
    """Two hundred come back after a power cut; the two repeat themselves for an hour."""
    asked = 0
    for turn in range(720):
        for user in ("wrong1", "wrong2"):
            asked += bench.guesses(OFFICE, 1, user)
        if turn < 200:
            assert bench.guard.is_asked(OFFICE, f"right{turn}", REALM, is_ours=True)
            bench.guard.right(OFFICE, f"right{turn}")
            bench.guard.prove((OFFICE, 40_000 + turn))
        assert bench.hears(OFFICE, 50_000)
        bench.passes(5)
    assert asked == 2 * (TRIES_OF_USER + 2)  # again after ten minutes, and after forty more
    assert not bench.kept
    assert bench.guard.is_asked(OFFICE, "new", REALM, is_ours=True)


def test_the_user_who_was_guessed_at_is_asked_elsewhere_as_ever(bench: Bench):
    bench.guesses(times=100, user="alice")
    assert not bench.guard.is_asked(GUESSER, "alice", REALM, is_ours=True)
    assert bench.guard.is_asked(OFFICE, "alice", REALM, is_ours=True)


def test_who_knows_one_password_has_no_more_guesses_at_another(bench: Bench):
    heard = 0
    for _ in range(50):
        heard += bench.guesses(times=1, user="alice")
        bench.guard.right(GUESSER, "mine")
    assert heard == TRIES_OF_USER


def test_a_trusted_network_is_never_banned(bench: Bench):
    bench = Bench("192.0.2.0/24")
    assert bench.guesses(times=100) == 100
    bench.guard.meet_scanner(Flow("TCP", SERVER, (GUESSER, 1), 1), "sipvicious")
    assert not bench.kept
    assert bench.hears(GUESSER)


def test_what_was_kept_holds_after_a_restart_and_what_was_lifted_does_not(bench: Bench):
    bench.guesses()
    again = Bench()
    again.guard.know(bench.kept, [])
    assert not again.hears(GUESSER)
    assert not again.guard.is_asked(GUESSER, "alice", REALM, is_ours=True)
    again.guard.know([], [])
    assert again.hears(GUESSER)
    assert again.guesses(times=100) == TRIES_OF_SOURCE


def test_a_ban_that_has_ended_makes_the_next_one_longer_after_a_restart(bench: Bench):
    now = 1_700_001_000
    bench.guard.know([Ban(GUESSER, "guessed passwords", now - 900, now - 300, 1)], [])
    assert bench.hears(GUESSER)
    assert bench.guesses(times=100) == 1
    assert bench.kept[0].ends_at == now + 2400


def test_trust_that_is_given_while_it_runs_lifts_the_ban(bench: Bench):
    bench.guesses()
    bench.guard.know(bench.kept, ["192.0.2.0/24"])
    assert bench.hears(GUESSER)
    bench.guard.know(bench.kept, [])
    assert not bench.hears(GUESSER)


# Who has to wait, and what ends it


def test_a_user_who_has_to_wait_is_listed_and_told_once(bench: Bench, caplog):
    caplog.set_level("INFO")
    bench.guesses(times=100, user="alice")
    until = round(1_700_001_000 + FIRST_WAIT)
    assert bench.guard.waits() == [Wait("alice", GUESSER, TRIES_OF_USER, until, False)]
    assert [record.getMessage() for record in caplog.records] == [
        f"wait for alice at {GUESSER}: too many wrong passwords"
    ]
    bench.passes(FIRST_WAIT + 1)
    assert bench.guard.waits() == []


@pytest.mark.parametrize("how", ["by a command", "by the settings"])
def test_trust_lifts_a_wait_at_once(bench: Bench, how: str):
    """Trusted addresses never wait, and nothing is held against them when trust ends."""
    for host in (GUESSER, OFFICE):
        bench.guesses(host, times=100, user="alice")
    bench.guard.wrong(GUESSER, "alice", is_ours=False)
    if how == "by a command":
        bench.guard.know([], [GUESSER])
    else:
        bench.guard.trust([ip_network(GUESSER)])
    for is_ours in (True, False):
        assert bench.guard.is_asked(GUESSER, "alice", REALM, is_ours=is_ours)
    assert not bench.guard.is_asked(OFFICE, "alice", REALM, is_ours=True)
    assert [wait.address for wait in bench.guard.waits()] == [OFFICE]
    bench.guard.know([], [])
    bench.guard.trust([])
    assert bench.guard.is_asked(GUESSER, "alice", REALM, is_ours=True)


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
    assert {w.address for w in bench.guard.waits() if w.username == "alice"}.isdisjoint(lifted)
    assert len([w for w in bench.guard.waits() if w.username == "bob"]) == 3


def test_a_new_password_gives_its_user_all_tries_anew_and_nobody_else(bench: Bench):
    bench.guesses(times=100, user="alice")
    bench.guesses(times=100, user="bob")
    bench.guard.forgive_accounts([SimpleNamespace(username="alice")])
    assert bench.guesses(times=100, user="alice") == TRIES_OF_USER
    assert bench.guesses(times=100, user="bob") == 0


def test_forgiving_a_user_does_not_lift_the_ban_of_an_address(bench: Bench):
    """It is shown with the user, and is lifted by itself."""
    bench.guesses(times=100)
    assert {wait.is_banned for wait in bench.guard.waits()} == {True}
    assert bench.guard.forgive({"user0"}) == [GUESSER]
    assert not bench.hears(GUESSER)


def test_a_reason_is_fit_for_the_log(bench: Bench, caplog):
    bench.guesses(times=TRIES_OF_SOURCE - 1)
    bench.guesses(times=1, user="a\nb\x1b[2J" + "c" * 200)
    assert bench.kept[0].reason == "guessed passwords, the last for a?b?[2J" + "c" * 53
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
    bench.guesses(times=TRIES_OF_SOURCE)
    (again,) = reader.take()
    bench.guard.know([], [])
    bench.guard.know([], [])
    assert reader.take() == [Unbanned(again.at, GUESSER, "lifted")]


def test_overload_is_an_event_at_its_start_and_end(bench: Bench):
    reader = bench.bus.read(Overload)
    for _ in range(20):
        bench.now += 0.05
        bench.guard.tick(bench.now, is_behind=True)
    (started,) = reader.take()
    assert (started.is_started, started.dropped) == (True, 0)
    flood = sum(bench.hears(GUESSER, port) for port in range(1000))
    bench.passes(2)
    (ended,) = reader.take()
    assert (ended.is_started, ended.dropped) == (False, 1000 - flood)


def test_only_the_latest_proofs_are_remembered(bench: Bench):
    for number in range(MAX_PROVEN + 1):
        bench.guard.prove((f"10.0.{number >> 8}.{number & 255}", 5060))
    assert not bench.guard.is_proven(("10.0.0.0", 5060))
    assert bench.guard.is_proven(("10.0.0.1", 5060))
    assert len(bench.guard._homes) == MAX_PROVEN


def test_a_proof_costs_hardly_more_where_another_is_forgotten_for_it():
    """At a start with 100,000 phones that was half of all that was done."""

    def seconds(guard: Guard, first: int) -> float:
        began_at = process_time()
        for port in range(first, first + MAX_PROVEN):
            guard.prove((OFFICE, port))
        return process_time() - began_at

    guards = [Bench().guard for _ in range(3)]
    to_fill = min(seconds(guard, 0) for guard in guards)
    assert min(seconds(guards[0], MAX_PROVEN * time) for time in (1, 2, 3)) < 4 * to_fill


def test_during_a_shortage_strangers_come_last_and_it_is_told_once(bench: Bench, caplog):
    bench.guard.prove((OFFICE, 40_001))
    for _ in range(20):
        bench.now += 0.05
        bench.guard.tick(bench.now, is_behind=True)
    flood = sum(bench.hears(GUESSER, port) for port in range(1000))
    assert flood < 20
    assert all(bench.hears(OFFICE, 40_001) for _ in range(1000))
    assert all(bench.hears(OFFICE, 40_002) for _ in range(1000))  # its neighbour
    assert bench.hears("192.0.2.67")
    bench.passes(2)
    assert [record.getMessage() for record in caplog.records] == [
        f"overload: dropped {1000 - flood} messages"
    ]
    assert all(bench.hears(GUESSER) for _ in range(1000))


def waits(bench: Bench, host: str, port: int = 5060) -> bool:
    """Let a connection say what it may, and tell whether it has to wait then."""
    flow = Flow("TCP", SERVER, (host, port), 7)
    for _ in range(20_000):
        if bench.guard.should_throttle(flow):
            return True
        if not bench.guard.allows(flow):
            return False
    return False


def test_a_connection_waits_for_its_share_in_a_shortage_and_only_then():
    """RFC 3261 §18: what is dropped there is never said again."""
    bench = Bench("198.51.100.0/24")
    assert not waits(bench, GUESSER)
    bench.guard.tick(bench.now, is_behind=True)
    bench.guard.tick(bench.now, is_behind=True)
    assert waits(bench, GUESSER)
    assert waits(bench, GUESSER, port=5061)  # another connection of the same address
    assert not waits(bench, OFFICE)  # which is trusted
    assert waits(bench, "192.0.2.7")
    bench.guard.prove(("192.0.2.7", 5060))
    assert not bench.guard.should_throttle(Flow("TCP", SERVER, ("192.0.2.7", 5060), 8))


def test_the_banned_do_not_wait(bench: Bench):
    """They are not heard at all, now or later."""
    bench.guesses(times=100)
    bench.guard.tick(bench.now, is_behind=True)
    bench.guard.tick(bench.now, is_behind=True)
    flow = Flow("TCP", SERVER, (GUESSER, 5060), 7)
    assert not bench.guard.should_throttle(flow)
    assert not bench.guard.allows(flow)
