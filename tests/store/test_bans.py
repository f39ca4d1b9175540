"""Bans and trusted networks in the database."""

import time

import pytest

from sip.store.bans import (
    HISTORY_SECONDS,
    MAX_BANS,
    Ban,
    Bans,
    BansChanged,
    NoSuchBan,
    parse_banned,
)
from sip.store.database import Database, DatabaseError, write_many

NOW = int(time.time())


def ban(address: str = "192.0.2.7", ends_at: int = NOW + 600, times: int = 1) -> Ban:
    return Ban(address, "guessed passwords", NOW, ends_at, times)


@pytest.fixture
def bans(tmp_path):
    with Database(str(tmp_path / "sip.db")) as database:
        bans = Bans(database)
        bans.heard = []
        bans.bus.listen(BansChanged, lambda event: bans.heard.append((event.bans, event.trusted)))
        yield bans


def test_a_ban_outlives_the_process(bans: Bans):
    bans.save(ban())
    bans.save(ban("192.0.2.8", ends_at=NOW - 1))
    with Database(bans.database.path) as database:
        again = Bans(database)
        heard = []
        again.bus.listen(BansChanged, lambda event: heard.append((event.bans, event.trusted)))
        again.reload()
        assert [found.address for found in again.list(NOW)] == ["192.0.2.7"]
    # One that has ended is told too: it makes the next one longer.
    ((known, trusted),) = heard
    assert {found.address for found in known} == {"192.0.2.7", "192.0.2.8"}
    assert not trusted


def test_the_next_ban_of_an_address_takes_the_place_of_the_last(bans: Bans):
    bans.save(ban())
    bans.save(ban(times=2, ends_at=NOW + 1200))
    assert bans.list(NOW) == [ban(times=2, ends_at=NOW + 1200)]


def test_what_has_ended_long_ago_is_forgotten(bans: Bans):
    bans.save(ban("192.0.2.8", ends_at=NOW - HISTORY_SECONDS))
    bans.save(ban())
    bans.reload()
    (known, _), *_ = bans.heard
    assert [found.address for found in known] == ["192.0.2.7"]


def test_the_oldest_go_at_the_bound(bans: Bans):
    rows = [(f"10.0.{n >> 8}.{n & 255}", "x", NOW - n - 1, NOW + 600, 1) for n in range(MAX_BANS)]
    statement = "INSERT INTO bans VALUES (?, ?, ?, ?, ?)"
    bans.database.run(lambda tables: write_many(tables, statement, rows))
    bans.save(ban())
    kept = bans.list(NOW)
    assert len(kept) == MAX_BANS
    assert kept[0].address == "192.0.2.7"
    assert rows[-1][0] not in {found.address for found in kept}


def test_a_lifted_ban_is_forgotten_and_published(bans: Bans):
    bans.save(ban())
    bans.remove("192.0.2.7")
    assert bans.heard == [([], [])]
    with pytest.raises(NoSuchBan, match="is not banned; `bans list` shows all bans"):
        bans.remove("192.0.2.7")
    with pytest.raises(ValueError, match="is not an address or network"):
        bans.remove("nobody")


def test_an_address_of_ipv6_stands_for_its_network(bans: Bans):
    assert parse_banned("2001:db8::1:2:3") == "2001:db8::/64"
    bans.save(ban("2001:db8::/64"))
    bans.remove("2001:db8::7")
    assert not bans.list(NOW)


def test_trust_lifts_the_bans_in_a_network(bans: Bans):
    for address in ("192.0.2.7", "198.51.100.7", "2001:db8::/64"):
        bans.save(ban(address))
    assert bans.trust("192.0.2.9/24") == "192.0.2.0/24"
    assert bans.trust("2001:db8::/32") == "2001:db8::/32"
    known, trusted = bans.heard[-1]
    assert [found.address for found in known] == ["198.51.100.7"]
    assert trusted == ["192.0.2.0/24", "2001:db8::/32"]
    bans.distrust("192.0.2.0/24")
    assert bans.trusted() == ["2001:db8::/32"]
    with pytest.raises(NoSuchBan):
        bans.distrust("192.0.2.0/24")


def test_a_reload_keeps_a_ban_that_is_being_written(bans: Bans):
    """An earlier read must not undo it."""
    seen = []

    class Slow:
        path = bans.database.path

        def run(self, function):
            bans.database = database
            bans.reload()
            seen.append([found.address for found in bans.heard[-1][0]])
            return database.run(function)

    database, bans.database = bans.database, Slow()
    bans.save(ban())
    assert seen == [["192.0.2.7"]]
    bans.remove("192.0.2.7")
    assert bans.heard[-1] == ([], [])


def test_a_ban_that_cannot_be_written_holds_all_the_same(bans: Bans, caplog):
    class Full:
        def run(self, function):
            raise DatabaseError("the disk is full")

    database, bans.database = bans.database, Full()
    bans.save(ban())
    assert "a restart lifts it: the disk is full" in caplog.text
    bans.database = database
    bans.reload()
    assert list(bans.heard[-1][0]) == [ban()]
