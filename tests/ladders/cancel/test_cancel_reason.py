"""The Reason of a CANCEL (RFC 3326)."""

import pytest

from sip.message.message import Request, Response
from tests.support.cases import cases
from tests.support.world import Phone, World


def statuses(phone: Phone) -> list[int | str]:
    """All that a phone has heard and not taken yet."""
    messages = [phone.takes() for _ in range(len(phone.inbox))]
    return [m.status if isinstance(m, Response) else m.method for m in messages]


def calls(world: World, *callees: str) -> tuple[Phone, list[Phone], Request, list[Request]]:
    """Alice calls Bob on so many phones: she, they, her INVITE, those that they got."""
    alice, *phones = world.phones("alice", *callees)
    call = alice.sends("INVITE", phones[0].aor)
    alice.gets(100)
    return alice, phones, call, [phone.gets("INVITE") for phone in phones]


REASONS = ('SIP;cause=200;text="Call completed elsewhere"', "Q.850 ;cause=16")


def cancels_with(alice: Phone, call: Request, *reasons: str) -> None:
    cancel = alice.request(
        "CANCEL",
        call.uri_text,
        call_id=call.call_id,
        cseq=call.cseq[0],
        from_tag=call.from_.tag,
        branch=call.via.branch,
        headers=tuple(f"Reason: {reason}" for reason in reasons),
    )
    alice.transmits(cancel)


@cases("reasons", [REASONS[:1], REASONS, (", ".join(REASONS),), ("",), ()])
@cases("rings", [True, False])
def test_the_reason_of_a_cancel_goes_with_ours(world: World, reasons: tuple[str, ...], rings: bool):
    """RFC 3326 §2: SHOULD copy it; it waits with a CANCEL that waits."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    if rings:
        bob.answers(invite, 180)
    cancels_with(alice, call, *reasons)
    if not rings:
        assert bob.hears_nothing()
        bob.answers(invite, 180)
    ours = bob.gets("CANCEL")
    assert ours.values("reason") == [
        value for field in reasons for value in field.split(", ") if value
    ]
    assert ours.names.count("reason") <= 1
    bob.answers(ours, 200)
    bob.answers(invite, 487)
    bob.gets("ACK")
    assert statuses(alice).count(487) == 1


def test_the_reason_reaches_every_phone(world: World):
    """RFC 3326 §2, §16.10: that which rings, and later that which has not yet."""
    alice, phones, call, invites = calls(world, "bob", "bob")
    phones[0].answers(invites[0], 180)
    cancels_with(alice, call, REASONS[0])
    phones[1].answers(invites[1], 180)
    for phone in phones:
        assert phone.gets("CANCEL").fields("reason") == [REASONS[0]]


@pytest.mark.parametrize("rings", [True, False])
def test_the_losers_of_a_fork_hear_that_the_call_was_answered(world: World, rings: bool):
    """RFC 3326 §3.1: its phone shows no missed call."""
    alice, (desk, mobile), _, invites = calls(world, "bob", "bob")
    if rings:
        desk.answers(invites[0], 180)
    mobile.answers(invites[1], 200)
    if not rings:
        assert desk.hears_nothing()
        desk.answers(invites[0], 180)
    assert desk.gets("CANCEL").fields("reason") == [REASONS[0]]
    assert 200 in statuses(alice)


def test_a_cancel_without_a_reason_gives_none(world: World):
    """RFC 3326: the call was not answered, so the phone shows a missed call."""
    alice, (bob,), call, (invite,) = calls(world, "bob")
    bob.answers(invite, 180)
    alice.cancels(call)
    assert "reason" not in bob.gets("CANCEL").names


def test_ringing_phones_hear_the_reason_of_a_6xx(world: World):
    """RFC 3326 §2: the status and phrase of the 6xx that has ended the search."""
    _, (desk, mobile), _, invites = calls(world, "bob", "bob")
    desk.answers(invites[0], 180)
    mobile.answers(invites[1], 603)
    assert desk.gets("CANCEL").fields("reason") == ['SIP;cause=603;text="Decline"']
