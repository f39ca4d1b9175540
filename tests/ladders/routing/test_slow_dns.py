"""A Contact with a slow DNS name, and the events meanwhile (RFC 3261 §16.6, §16.10)."""

import pytest

from sip.message.message import Request, Response
from tests.support.world import Phone, World

STRANGER = "sip:x@elsewhere.org"
FAR, NAME = "198.51.100.9", "phones.elsewhere.org"


class Names:
    """Names that are resolved only when a test says so."""

    def __init__(self, world: World) -> None:
        self.zone = world.zone
        self.zone.records[NAME, "A"] = [FAR]
        self.zone.waits()

    @property
    def are_known(self) -> bool:
        return bool(self.zone.records)

    @are_known.setter
    def are_known(self, are: bool) -> None:
        if not are:
            self.zone.records.clear()

    def knows_nothing(self) -> None:
        self.zone.records.clear()
        self.zone.answers()


@pytest.fixture
def names(world: World) -> Names:
    return Names(world)


def statuses(phone: Phone) -> list[int | str]:
    messages = [phone.takes() for _ in range(len(phone.inbox))]
    what = [m.status if isinstance(m, Response) else m.method for m in messages]
    return [item for item in what if item != 100]


def far_phone(world: World, *, is_behind_edge: bool = False) -> Phone:
    """A phone of Bob with a host name in its Contact, or in the Path of its proxy."""
    phone = world.phone("bob", registered=False, host=FAR)
    if is_behind_edge:
        phone.registers(headers=("Supported: path", f"Path: <sip:{NAME};lr>"))
    else:
        phone.registers(f"<sip:bob@{NAME}>")
    return phone


def rings_beside(world: World) -> tuple[Phone, Request, Phone, Request, Phone]:
    """A call to a phone that rings, and to one with a name that is being resolved."""
    desk = world.phone("bob")
    far = far_phone(world)
    caller = world.phone("caller", registered=False)
    call = caller.sends("INVITE", desk.aor, from_uri=STRANGER)
    invite = desk.gets("INVITE")
    desk.answers(invite, 180)
    assert statuses(caller) == [180]
    return caller, call, desk, invite, far


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("status", [200, 603])
def test_a_resolved_name_rings_no_phone_after_the_decision(
    world: World, names: Names, status: int, is_known: bool
):
    """§16.7, step 5: after a 2xx or a 6xx no new branch is begun."""
    caller, _, desk, invite, far = rings_beside(world)
    desk.answers(invite, status)
    names.are_known = is_known
    names.zone.answers()
    assert far.hears_nothing()
    assert statuses(caller) == [status]
    world.passes(40, step=0.5)
    for phone in (caller, desk):
        phone.inbox.clear()
    assert world.is_quiet


@pytest.mark.parametrize("is_known", [True, False])
def test_a_resolved_name_rings_no_phone_after_a_cancel(world: World, names: Names, is_known: bool):
    """§16.10: the CANCEL came before the branch."""
    caller, call, desk, invite, far = rings_beside(world)
    caller.cancels(call)
    names.are_known = is_known
    names.zone.answers()
    assert far.hears_nothing()
    desk.answers(desk.gets("CANCEL"), 200)
    desk.answers(invite, 487)
    desk.gets("ACK")
    assert statuses(caller) == [200, 487]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_call_cancelled_before_any_phone_rang_ends_with_487(
    world: World, names: Names, is_known: bool
):
    """§16.10, §15.1.2: whether or not the one name there is can be resolved."""
    far = far_phone(world)
    caller = world.phone("caller", registered=False)
    call = caller.sends("INVITE", far.aor, from_uri=STRANGER)
    caller.cancels(call)
    names.are_known = is_known
    names.zone.answers()
    assert far.hears_nothing()
    assert statuses(caller) == [200, 487]


def test_the_next_group_does_not_wait_for_an_unknown_name(world: World, names: Names):
    """§16.6, step 7: a name without an address is a branch that has failed."""
    far = far_phone(world, is_behind_edge=True)
    desk = world.phone("bob", registered=False)
    desk.registers(f"{desk.contact};q=0.1")
    caller = world.phone("caller", registered=False)
    caller.sends("INVITE", desk.aor, from_uri=STRANGER)
    assert desk.hears_nothing()
    names.knows_nothing()
    desk.answers(desk.gets("INVITE"), 200)
    assert statuses(caller) == [200]
    assert far.hears_nothing()


def test_what_failed_meanwhile_gives_its_breadth_back(world: World, names: Names):
    """RFC 5393 §5.3.3.1: never more than came, and none of it lost."""
    desk = world.phone("bob")
    far = far_phone(world)
    mobile = world.phone("bob")
    caller = world.phone("caller", registered=False)
    caller.sends("MESSAGE", desk.aor, from_uri=STRANGER, headers=("Max-Breadth: 2",))
    assert mobile.hears_nothing()
    desk.answers(desk.gets("MESSAGE"), 480)
    names.zone.answers()
    shares = [int(phone.gets("MESSAGE").value("max-breadth") or 0) for phone in (far, mobile)]
    assert shares == [1, 1]


def test_a_redirection_that_came_meanwhile_is_followed():
    """§16.7, step 4."""
    world = World(settings={"sip_follow_redirects": True})
    names = Names(world)
    carol = world.phone("carol")
    caller, _, desk, invite, far = rings_beside(world)
    desk.answers(invite, 302, headers=(f"Contact: <{carol.aor}>",))
    names.zone.answers()
    at_far, at_carol = far.gets("INVITE"), carol.gets("INVITE")
    shares = [int(invite.value("max-breadth") or 0) for invite in (at_far, at_carol)]
    assert shares == [30, 30]
    far.answers(at_far, 486)
    carol.answers(at_carol, 200)
    assert statuses(caller) == [200]


@pytest.mark.parametrize("status", [200, 603])
def test_a_response_does_not_wait_for_a_slow_name(world: World, names: Names, status: int):
    """§16.7, steps 5 and 10: at once; the name may be resolved when all is over."""
    caller, _, desk, invite, far = rings_beside(world)
    desk.answers(invite, status)
    assert statuses(caller) == [status]
    names.zone.answers()
    assert far.hears_nothing()
    world.passes(40, step=0.5)
    for phone in (caller, desk):
        phone.inbox.clear()
    assert world.is_quiet
    assert world.server.dispatcher.pending == 0


def test_a_cancel_does_not_wait_for_a_slow_name(world: World, names: Names):
    """§16.10: what rings is cancelled at once."""
    caller, call, desk, invite, far = rings_beside(world)
    caller.cancels(call)
    desk.answers(desk.gets("CANCEL"), 200)
    desk.answers(invite, 487)
    assert statuses(caller) == [200, 487]
    names.zone.answers()
    assert far.hears_nothing()


def test_a_phone_rings_without_waiting_for_a_slow_name(world: World, names: Names):
    """§16.6: the phones of a group are tried in parallel, whichever was bound first."""
    far = far_phone(world)
    desk = world.phone("bob")
    caller = world.phone("caller", registered=False)
    caller.sends("INVITE", desk.aor, from_uri=STRANGER)
    desk.answers(desk.gets("INVITE"), 486)
    desk.gets("ACK")
    assert statuses(caller) == []
    names.zone.answers()
    far.answers(far.gets("INVITE"), 200)
    assert statuses(caller) == [200]


@pytest.mark.parametrize("is_late", [True, False])
def test_a_name_and_a_cancel_in_one_turn_ring_no_phone(world: World, names: Names, is_late: bool):
    """§16.10: in whichever order they come."""
    caller, call, desk, invite, far = rings_beside(world)
    settle, world.settle = world.settle, lambda: None  # type: ignore[method-assign]
    if is_late:
        names.zone.may_answer()
    caller.cancels(call)
    if not is_late:
        names.zone.may_answer()
    world.settle = settle  # type: ignore[method-assign]
    world.settle()
    assert far.hears_nothing()
    desk.answers(desk.gets("CANCEL"), 200)
    desk.answers(invite, 487)
    assert statuses(caller) == [200, 487]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_an_unknown_name_is_an_unreachable_phone(world: World, names: Names, method: str):
    """§16.7, §16.9: as if it had answered 503, which stays here."""
    far = far_phone(world, is_behind_edge=True)
    caller = world.phone("caller", registered=False)
    request = caller.sends(method, far.aor, from_uri=STRANGER)
    assert 500 not in statuses(caller)
    names.knows_nothing()
    assert caller.gets(500, request).reason == "Next Hop Unreachable"
    assert world.server.dispatcher.pending == 0


@pytest.mark.parametrize("is_dead", [False, True])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_contact_with_an_unknown_name_is_where_it_was_seen(
    world: World, names: Names, method: str, is_dead: bool
):
    """§16.6, step 7: it has registered from there, and its answer comes back from there."""
    far = far_phone(world)
    caller = world.phone("caller", registered=False)
    request = caller.sends(method, far.aor, from_uri=STRANGER)
    assert far.hears_nothing()
    names.zone.is_dead = is_dead
    names.knows_nothing()
    received = far.gets(method)
    assert received.uri_text == f"sip:bob@{NAME}"
    far.answers(received, 200)
    assert caller.gets(200, request)


def test_a_fault_while_a_name_is_resolved_is_no_more_than_that(world: World):
    """§16.9: the call ends all the same, and the other phone may take it."""
    far, desk = far_phone(world), world.phone("bob")
    world.zone.fails = RuntimeError("a fault of ours")
    caller = world.phone("caller", registered=False)
    caller.sends("INVITE", desk.aor, from_uri=STRANGER)
    desk.answers(desk.gets("INVITE"), 486)
    assert far.hears_nothing()
    assert statuses(caller) == [486]
    assert world.server.dispatcher.pending == 0
