"""The location service: bindings are changed, stored, undone and loaded (RFC 3261 §10)."""

from dataclasses import asdict, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.errors import Refused
from sip.core.registrar.bindings import Binding
from sip.core.registrar.location import Location
from sip.monitor.events import Bus
from sip.store.bindings import NOTHING_TO_SAVE, BindingRow, Commit, NotSaved
from sip.transport.flow import Flow
from tests.support.bindings import PLAIN_FLOW, changed, plain_binding

FLOW = PLAIN_FLOW
TEXT = str(FLOW)
AOR = "bob@example.com"
BOB = 7  # his account


def binding(contact: str = "sip:bob@192.0.2.7", expires_at: float = 100.0, **more) -> Binding:
    """A plain phone's."""
    return changed(plain_binding(contact, expires_at), **more)


class Disk:
    """A journal in memory: it can fail, and do something while its caller waits."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str, str], BindingRow] = {}
        self.seen: list[int | None] = []
        self.fails = False
        self.meanwhile = lambda: None

    def save(self, kept, gone, undo, seen_at=None) -> Commit:
        self.meanwhile()
        if self.fails:
            undo()
            raise NotSaved("full")
        self.remove(gone)
        for row in kept:
            self.rows[row.key] = row
        self.seen.append(seen_at)
        return NOTHING_TO_SAVE

    def remove(self, gone) -> None:
        for key in gone:
            self.rows.pop(key, None)

    def remove_expired(self, expired, now) -> None:
        for key in expired:
            self.rows.pop(key, None)


class Clocks:
    """Both clocks of a location."""

    def __init__(self) -> None:
        self.now = 10.0
        self.unix = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def unix_time(self) -> float:
        return self.unix + self.now


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def location(disk: Disk, clocks: Clocks) -> Location:
    return Location(disk, clocks, clocks.unix_time, Bus())


CONTACTS = [f"sip:bob@192.0.2.{n}" for n in range(4)]


# The errand


def test_an_update_is_stored_before_it_returns(location: Location, disk: Disk):
    contact = binding()
    bindings, _ = location.update(AOR, [contact])
    assert bindings == (contact,)
    assert list(disk.rows) == [contact.key]
    assert location.bindings(AOR) == (contact,)
    assert len(location) == 1
    again = binding("sip:%62ob@192.0.2.7", cseq=2)
    location.update(AOR, [again])
    assert list(disk.rows) == [again.key]
    location.update(AOR, [binding(cseq=3, expires_at=0.0)])
    assert not disk.rows
    assert len(location) == 0


def test_an_update_that_cannot_be_stored_is_undone(location: Location, disk: Disk):
    """A false 200 is worse than none."""
    first = binding()
    location.update(AOR, [first])
    disk.fails = True
    with pytest.raises(NotSaved):
        location.update(AOR, [binding(cseq=2, expires_at=500.0), binding(CONTACTS[0])])
    assert location.bindings(AOR) == (first,)
    with pytest.raises(NotSaved):
        location.remove_all(AOR, "call", 2)
    assert location.bindings(AOR) == (first,)
    with pytest.raises(NotSaved):
        location.update("new@example.com", [first])
    assert location.bindings("new@example.com") == ()
    assert len(location) == 1


def test_a_binding_restored_late_is_swept(location: Location, disk: Disk, clocks: Clocks):
    """The disk took its time, and the sweep has passed the old binding's second."""
    location.update(AOR, [binding(expires_at=20.0)])

    def wait() -> None:
        clocks.now = 30.0
        location.sweep(clocks.now)

    disk.fails, disk.meanwhile = True, wait
    with pytest.raises(NotSaved):
        location.update(AOR, [binding(cseq=2, expires_at=90.0)])
    assert location.bindings(AOR) == ()
    location.sweep(31.0)
    assert len(location) == 0


def test_the_order_of_requests_holds_during_a_write(location: Location, disk: Disk):
    """§10.3, step 7: memory is changed first, so the next request sees the change."""
    statuses = []

    def meanwhile() -> None:
        disk.meanwhile = lambda: None
        with pytest.raises(Refused) as refused:
            location.update(AOR, [binding(cseq=5, expires_at=0.0)])
        statuses.append(refused.value.status)

    disk.meanwhile = meanwhile
    location.update(AOR, [binding(cseq=5)])
    assert statuses == [500]


def test_a_star_removes_what_is_live_and_heeds_only_that(
    location: Location, disk: Disk, clocks: Clocks
):
    """§10.2.2; an expired binding does not count."""
    location.update(AOR, [binding(expires_at=15.0, cseq=9), binding(CONTACTS[0], call_id="b")])
    clocks.now = 16.0
    location.remove_all(AOR, "call", 1)
    assert location.bindings(AOR) == ()
    assert not disk.rows
    location.remove_all(AOR, "call", 1)


def test_the_sweep_removes_exactly_the_expired_bindings(
    location: Location, disk: Disk, clocks: Clocks
):
    location.update(AOR, [binding(expires_at=20.5), binding(CONTACTS[0], expires_at=40.0)])
    location.update("carol@example.com", [binding(expires_at=20.0, user_id=8)])
    for now, left in ((19.0, 3), (20.4, 3), (21.0, 1), (40.5, 1), (41.0, 0)):
        clocks.now = now
        location.sweep(now)
        assert len(disk.rows) == left, now
    assert len(location) == 0
    assert not location._expiring


def test_a_sweep_after_a_long_sleep_and_one_after_a_refresh(
    location: Location, disk: Disk, clocks: Clocks
):
    """A suspended machine wakes up hours later."""
    location.update(AOR, [binding(expires_at=20.0)])
    location.update(AOR, [binding(expires_at=90_000.0, cseq=2)])
    location.update("carol@example.com", [binding(expires_at=50.0, user_id=8)])
    clocks.now = 80_000.0
    location.sweep(clocks.now)
    assert list(disk.rows) == [binding().key]
    assert len(location) == 1


def test_refreshing_without_end_does_not_fill_the_memory(location: Location, clocks: Clocks):
    """A bound on memory: one entry per second, for any number of registrations."""
    for cseq in range(1, 500):
        location.update(AOR, [binding(expires_at=clocks.now + 3600, cseq=cseq)])
    assert sum(len(due.aors) for due in location._expiring.values()) == 1


def test_bindings_that_end_in_one_second_share_its_entry(location: Location):
    """A number for each of 100,000 would take 3 MB."""
    for n in range(3):
        location.update(f"u{n}@example.com", [binding(expires_at=20.0 + n / 4, user_id=n)])
    assert len({id(due) for due in location._sweep_at.values()}) == 1


# Dropped by others than the phone


@dataclass
class Someone:
    """An account."""

    id: int
    username: str
    realm: str | None = None


def test_bindings_that_wait_for_removal_are_not_entered_again(
    location: Location, disk: Disk, monkeypatch: pytest.MonkeyPatch
):
    """A closed connection is over, also for its users that register meanwhile."""
    monkeypatch.setattr("sip.core.registrar.location.MAX_REMOVED_AT_ONCE", 1)
    flow = Flow("TCP", FLOW.local, FLOW.remote, 7)
    users = ("ann@example.com", "bea@example.com")
    for aor in users:
        location.update(aor, [binding(behind_nat=True, flow=flow)])
    location.connection_closed(7)
    for aor in users:
        location.update(aor, [binding(CONTACTS[0])])
    location.remove_closed()
    assert [len(location.bindings(aor)) for aor in users] == [1, 1]
    assert not location._by_connection


def test_an_undo_restores_no_binding_of_a_closed_connection(location, disk):
    """It closed while a refresh waited for a disk that then failed."""
    flow = Flow("TCP", FLOW.local, FLOW.remote, 7)
    location.update(AOR, [binding(behind_nat=True, flow=flow), binding(CONTACTS[0])])
    disk.fails = True
    disk.meanwhile = lambda: location.connection_closed(7)
    with pytest.raises(NotSaved):
        location.update(AOR, [binding(CONTACTS[0], cseq=2)])
    assert [b.contact for b in location.bindings(AOR)] == [CONTACTS[0]]


def test_disconnected_users_are_remembered_within_a_bound(
    location: Location, monkeypatch: pytest.MonkeyPatch
):
    """The one of longest ago goes."""
    monkeypatch.setattr("sip.core.registrar.location.MAX_DISCONNECTED", 2)
    names = ("ann", "bea", "cleo")
    for number, name in enumerate(names, 1):
        flow = Flow("TCP", FLOW.local, FLOW.remote, number)
        location.update(f"{name}@example.com", [binding(behind_nat=True, flow=flow)])
        location.connection_closed(number)
    host = FLOW.remote[0]
    known = [location.is_registered_from_network(host, name, "example.com") for name in names]
    assert known == [False, True, True]


def test_remove_contact_keeps_the_others_and_marks_nothing_seen(
    location: Location, disk: Disk, clocks: Clocks
):
    kept = binding(CONTACTS[0])
    location.update(AOR, [binding(), kept])
    location.remove_contact(AOR, "sip:bob@192.0.2.7", TEXT)
    assert location.bindings(AOR) == (kept,)
    assert list(disk.rows) == [kept.key]
    assert disk.seen == [round(clocks.unix_time()), None]
    location.remove_contact(AOR, "sip:nobody@192.0.2.7", TEXT)
    location.remove_contact("nobody@example.com", "sip:nobody@192.0.2.7", TEXT)
    assert len(disk.seen) == 2


def test_a_contact_that_cannot_be_removed_on_disk_stays(location: Location, disk: Disk):
    location.update(AOR, [binding()])
    disk.fails = True
    with pytest.raises(NotSaved):
        location.remove_contact(AOR, "sip:bob@192.0.2.7", TEXT)
    assert len(location.bindings(AOR)) == 1


def test_a_removed_phone_may_register_again(location: Location):
    """Its order starts anew: no CSeq is remembered of a removed binding."""
    location.update(AOR, [binding(cseq=5)])
    location.remove_contact(AOR, "sip:bob@192.0.2.7", TEXT)
    bindings, _ = location.update(AOR, [binding(cseq=5)])
    assert bindings


def test_an_undo_restores_no_binding_of_a_removed_account(location, disk):
    """The account is removed while a refresh waits for a disk that then fails."""
    location.update(AOR, [binding()])
    disk.fails = True
    disk.meanwhile = lambda: location.remove_accounts([Someone(BOB, "bob", None)], "example.com")
    with pytest.raises(NotSaved):
        location.update(AOR, [binding(cseq=2, expires_at=200.0)])
    assert location.bindings(AOR) == ()

    # Allowed again, the account is like any other.
    disk.fails, disk.meanwhile = False, lambda: None
    location.update(AOR, [binding(cseq=3)])
    disk.fails = True
    with pytest.raises(NotSaved):
        location.update(AOR, [binding(cseq=4, expires_at=200.0)])
    assert [b.cseq for b in location.bindings(AOR)] == [3]


def test_removing_an_account_spares_a_new_one_of_its_name(location: Location, disk: Disk):
    heir = binding(CONTACTS[0], user_id=8)
    location.update(AOR, [binding(), binding(CONTACTS[1])])
    location.update(AOR, [heir])
    location.update("bob@other.org", [binding(user_id=9)])
    gone = [Someone(BOB, "bob"), Someone(10, "bob", "other.org"), Someone(11, "carol")]
    location.remove_accounts(gone, "example.com")
    assert location.bindings(AOR) == (heir,)
    assert len(location.bindings("bob@other.org")) == 1
    assert set(disk.rows) == {heir.key, binding(user_id=9).key}
    location.remove_accounts([Someone(9, "bob", "other.org")], "example.com")
    assert location.bindings("bob@other.org") == ()
    assert len(location) == 1


ODD = "b\udcffb\u00e9"
rows = st.builds(
    binding,
    st.sampled_from([f"sip:{ODD}@h;x=1", "sips:a@[2001:db8::1]:5061", "tel:+1555", *CONTACTS]),
    st.integers(11, 9999).map(float),
    q=st.integers(0, 1000),
    call_id=st.sampled_from(["c", ODD, ""]),
    cseq=st.integers(0, 2**31 - 1),
    path=st.lists(
        st.sampled_from(["<sip:edge;lr>", '"a, b" <sip:x,y@h;lr>;p="q, \\"<"', "<sip:[::1]>"]),
        max_size=3,
    ).map(tuple),
    instance=st.sampled_from(["", "<urn:uuid:1>"]),
    reg_id=st.integers(0, 2**32),
    user_agent=st.sampled_from(["", ODD, "x, y;z"]),
    flow=st.sampled_from(
        [
            FLOW,
            Flow("UDP", ("2001:db8::1", 5060), ("2001:db8::7", 1)),
            FLOW._replace(local=("h", 1)),
        ]
    ),
    behind_nat=st.booleans(),
    params=st.sampled_from(["", ";audio", f';x="{ODD}, \\";<" ; Y=z']),
)


@given(st.lists(rows, max_size=5, unique_by=lambda b: b.contact))
def test_a_restart_forgets_nothing_of_a_binding(bindings: list[Binding]):
    """Octets that are no UTF-8, path, q, flow, and the time by a clock that starts anew."""
    disk, clocks = Disk(), Clocks()
    Location(disk, clocks, clocks.unix_time, Bus()).update(AOR, bindings)
    clocks.unix += clocks.now - 3.0
    clocks.now = 3.0
    again = Location(disk, clocks, clocks.unix_time, Bus())
    again.load(disk.rows.values())
    loaded = again.bindings(AOR)
    for before, after in zip(bindings, loaded, strict=True):
        assert after.expires_at == pytest.approx(before.expires_at - 7.0, abs=0.51)
        assert after.registered_at == pytest.approx(clocks.now, abs=0.51)  # when it was written
        times = {"expires_at": after.expires_at, "lifetime": after.profile.lifetime}
        assert asdict(after) == asdict(changed(before, **times))
    again.sweep(20_000.0)
    assert len(again) == 0


def test_equal_texts_of_loaded_bindings_are_stored_once(
    location: Location, disk: Disk, clocks: Clocks
):
    """RFC 3840 §6: a hundred thousand phones are of a few models."""
    params = [f";audio;n={number}" for number in (1, 1, 2)]
    location.update(AOR, [binding(c, params=p) for c, p in zip(CONTACTS, params, strict=False)])
    again = Location(disk, clocks, clocks.unix_time, Bus())
    # As it comes from the disk: each row has a text of its own.
    again.load(row._replace(params="".join(list(row.params))) for row in disk.rows.values())
    one, other, different = (bound.profile.params for bound in again.bindings(AOR))
    assert one is other
    assert [one, different] == params[1:]


@pytest.mark.parametrize(
    "changes",
    [{"flow": ""}, {"flow": "UDP/x"}, {"contact": "nothing"}, {"path": '"<sip:a>, <sip:b>'}],
)
def test_a_row_that_cannot_be_read_is_left_out(
    location: Location, disk: Disk, clocks: Clocks, changes: dict[str, str]
):
    """One bad row does not keep other phones from ringing."""
    location.update(AOR, [binding(), binding(CONTACTS[0])])
    good, bad = disk.rows.values()
    again = Location(disk, clocks, clocks.unix_time, Bus())
    again.load([bad._replace(**changes), good])
    assert [b.contact for b in again.bindings(AOR)] == [good.contact]
