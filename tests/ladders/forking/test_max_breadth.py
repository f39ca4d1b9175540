"""Max-Breadth: how many branches a request may have at once (RFC 5393 §5)."""

from sip.message.message import Request
from tests.support.cases import cases
from tests.support.outside_proxy import STRANGER, statuses
from tests.support.world import Phone, World, dialog_of_caller


def pending_breadth(phones: list[Phone], known: dict[str, tuple[Phone, Request]]) -> int:
    """Take the requests from the phones; return the sum of breadth without an answer."""
    for phone in phones:
        while phone.inbox:
            request = phone.gets("MESSAGE")
            known[request.via.branch] = phone, request
    return sum(int(request.value("max-breadth")) for _, request in known.values())


@cases("breadth", [1, 2, 3, 4, 5, 7, 60])
@cases("phones", [1, 2, 3, 5])
def test_branches_at_work_never_have_more_breadth_than_came(
    world: World, breadth: int, phones: int
):
    """§5.3.3: the outgoing sum is at most the incoming value, and each phone is tried."""
    bobs = world.phones(*["bob"] * phones)
    stranger = world.phone("stranger", registered=False)
    stranger.sends("MESSAGE", bobs[0].aor, from_uri=STRANGER, headers=(f"Max-Breadth: {breadth}",))
    known: dict[str, tuple[Phone, Request]] = {}
    for tried in range(phones):
        total = pending_breadth(bobs, known)
        assert total == breadth if tried == 0 else total <= breadth
        assert len(known) == min(breadth, phones - tried)
        branch = next(iter(known))
        phone, request = known.pop(branch)
        phone.answers(request, 486)
    assert not known
    assert all(phone.hears_nothing() for phone in bobs)
    stranger.gets(486)


@cases(
    ("came", "goes"),
    [((), "60"), (("7",), "7"), (("1",), "1"), (("61",), "60"), (("9" * 30,), "60")],
)
@cases("method", ["INVITE", "MESSAGE", "FLY"])
def test_one_target_has_all_the_breadth_there_is(world: World, method: str, came, goes: str):
    """§5.3.3: added where there is none, cut to our maximum, and never counted down."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    headers = tuple(f"Max-Breadth: {value}" for value in came)
    stranger.sends(method, bob.aor, from_uri=STRANGER, headers=headers)
    assert bob.gets(method).fields("max-breadth") == [goes]


def test_requests_within_a_dialog_have_it_too(world: World):
    """§5.3.3: all proxied requests."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 200)
    here = dialog_of_caller(call, alice.gets(200, call))
    alice.sends_within("ACK", here, cseq=call.cseq[0])
    assert bob.gets("ACK").fields("max-breadth") == ["60"]
    alice.sends_within("INFO", here, headers=("Max-Breadth: 3",))
    assert bob.gets("INFO").fields("max-breadth") == ["3"]


def test_phones_tried_one_after_the_other_have_all_of_it_each(world: World):
    """§5.2, sequential forking; §5.3.3.1."""
    stranger = world.phone("stranger", registered=False)
    desk, mobile = world.phone("bob", registered=False), world.phone("bob", registered=False)
    desk.registers(f"{desk.contact};q=0.9")
    mobile.registers(f"{mobile.contact};q=0.1")
    stranger.sends("INVITE", desk.aor, from_uri=STRANGER)
    for phone in (desk, mobile):
        invite = phone.gets("INVITE")
        assert invite.value("max-breadth") == "60"
        phone.answers(invite, 486)


def test_breadth_given_back_goes_to_a_waiting_phone(world: World):
    """§5.5: as one of them fails the next begins; the others need not have ended."""
    stranger = world.phone("stranger", registered=False)
    phones = world.phones("bob", "bob", "bob", "bob")
    stranger.sends("INVITE", phones[0].aor, from_uri=STRANGER, headers=("Max-Breadth: 2",))
    invites = [phone.gets("INVITE") for phone in phones[:2]]
    assert all(phone.hears_nothing() for phone in phones[2:])
    phones[0].answers(invites[0], 486)
    third = phones[2].gets("INVITE")
    assert third.value("max-breadth") == "1"
    assert phones[3].hears_nothing()
    phones[2].answers(third, 200)
    stranger.gets(200)
    assert phones[3].hears_nothing()
    phones[1].answers(invites[1], 180)
    phones[1].gets("CANCEL")


def test_targets_waiting_for_breadth_are_not_tried_after_cancel(world: World):
    """RFC 3261 §16.10, §5.5: a CANCEL frees breadth, but no branch starts."""
    stranger = world.phone("stranger", registered=False)
    desk, mobile = world.phones("bob", "bob")
    call = stranger.sends("INVITE", desk.aor, from_uri=STRANGER, headers=("Max-Breadth: 1",))
    invite = desk.gets("INVITE")
    desk.answers(invite, 180)
    stranger.cancels(call)
    desk.answers(desk.gets("CANCEL"), 200)
    desk.answers(invite, 487)
    desk.gets("ACK")
    assert statuses(stranger) == [180, 200, 487]
    assert mobile.hears_nothing()


def test_what_waits_for_breadth_is_not_tried_after_a_6xx(world: World):
    """RFC 3261 §16.7, step 5: it MUST NOT be."""
    stranger = world.phone("stranger", registered=False)
    desk, mobile, car = world.phones("bob", "bob", "bob")
    stranger.sends("INVITE", desk.aor, from_uri=STRANGER, headers=("Max-Breadth: 2",))
    desk.answers(desk.gets("INVITE"), 603)
    desk.gets("ACK")
    invite = mobile.gets("INVITE")
    assert car.hears_nothing()
    mobile.answers(invite, 486)
    assert car.hears_nothing()
    assert statuses(stranger) == [603]


def test_dead_phones_give_their_breadth_back(world: World):
    """§5.3.3.1, RFC 3261 §16.9: they count as having answered 503."""
    stranger = world.phone("stranger", registered=False)
    phones = world.phones("bob", "bob", "bob")
    world.dead.update(phone.address for phone in phones[:2])
    stranger.sends("INVITE", phones[0].aor, from_uri=STRANGER, headers=("Max-Breadth: 1",))
    invite = phones[2].gets("INVITE")
    assert invite.value("max-breadth") == "1"
    phones[2].answers(invite, 200)
    assert statuses(stranger) == [200]
