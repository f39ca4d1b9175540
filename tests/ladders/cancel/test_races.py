"""Messages that cross, with the proxy between the phones (RFC 5407, in the order of its sections).

Each ends as its phones mean it to, and leaves nothing behind.
"""

import pytest

from sip.message.message import Request, Response
from tests.support.world import SDP, Dialog, Phone, World, dialog_of_callee, dialog_of_caller


def statuses(phone: Phone) -> list[int | str]:
    """All that a phone has heard and not taken yet, but for 100s."""
    messages = [phone.takes() for _ in range(len(phone.inbox))]
    whats = [m.status if isinstance(m, Response) else m.method for m in messages]
    return [what for what in whats if what != 100]


def leaves_nothing(world: World) -> bool:
    """Every transaction, timer and waiting greenlet is gone after all timers but C have run."""
    world.passes(38, step=0.5)
    server = world.server
    return world.is_quiet and len(server.layer.timers) == 0 and server.dispatcher.pending == 0


class Call:
    """A call from Alice to Bob, as far as it has come: what either side has sent and knows."""

    def __init__(self, world: World) -> None:
        self.alice, self.bob = world.phones("alice", "bob")
        self.call: Request = self.alice.sends("INVITE", self.bob.aor)
        self.invite: Request = self.bob.gets("INVITE")

    def rings(self) -> Response:
        self.bob.answers(self.invite, 180)
        return self.alice.gets(180, self.call)

    def is_answered(self) -> tuple[Dialog, Dialog]:
        """Bob's 200 has reached Alice; return her view of the dialog, and his."""
        ok = self.bob.answers(self.invite, 200)
        answer = self.alice.gets(200, self.call)
        return dialog_of_caller(self.call, answer), dialog_of_callee(self.invite, ok)

    def acknowledges(self, dialog: Dialog) -> Request:
        """Alice sends the ACK of the first INVITE, for the first time or again."""
        return self.alice.sends_within("ACK", dialog, cseq=self.call.cseq[0])

    def is_established(self) -> tuple[Dialog, Dialog]:
        here, there = self.is_answered()
        self.acknowledges(here)
        self.bob.gets("ACK")
        return here, there


def test_a_repeated_invite_crosses_the_200(world: World):
    """§3.1.1: it belongs to the transaction that has been accepted (RFC 6026 §7.1)."""
    both = Call(world)
    here, _ = both.is_answered()
    both.alice.transmits(both.call)
    assert both.alice.hears_nothing()
    assert both.bob.hears_nothing()
    both.acknowledges(here)
    both.bob.gets("ACK")
    assert leaves_nothing(world)


@pytest.mark.parametrize("crosses", ["before the server", "behind the server"])
def test_a_cancel_crosses_the_200(world: World, crosses: str):
    """§3.1.2: the CANCEL gets its 200, the call stands, and a BYE ends it."""
    both = Call(world)
    alice, bob = both.alice, both.bob
    both.rings()
    if crosses == "before the server":
        ok = bob.answers(both.invite, 200)
        alice.cancels(both.call)
        answer = alice.gets(200)
        assert statuses(bob) == []
    else:
        alice.cancels(both.call)
        ok = bob.answers(both.invite, 200)
        bob.answers(bob.gets("CANCEL"), 200)
        assert alice.takes().cseq[1] == "CANCEL"
        answer = alice.gets(200)
    here = dialog_of_caller(both.call, answer)
    if crosses == "before the server":
        for_cancel = alice.gets(200)
        assert for_cancel.cseq[1] == "CANCEL"
        assert for_cancel.to.tag == ok.to.tag  # RFC 3261 §9.2
    both.acknowledges(here)
    alice.sends_within("BYE", here)
    bob.gets("ACK")
    bob.answers(bob.gets("BYE"), 200)
    assert statuses(alice) == [200]
    assert leaves_nothing(world)


def test_a_bye_of_the_early_dialog_crosses_the_200(world: World):
    """§3.1.3: both pass, and so does the ACK that ends the three-way handshake."""
    both = Call(world)
    here = dialog_of_caller(both.call, both.rings())
    bye = both.alice.sends_within("BYE", here)
    both.bob.answers(both.invite, 200)
    both.alice.gets(200, both.call)
    both.acknowledges(here)
    both.bob.answers(both.bob.gets("BYE"), 200)
    both.bob.gets("ACK")
    assert both.alice.gets(200).cseq == bye.cseq
    assert leaves_nothing(world)


@pytest.mark.parametrize("status", [200, 491])
def test_an_ack_is_lost_and_a_reinvite_crosses_the_repeated_200(world: World, status: int):
    """§3.1.4, §3.1.5: the ACK is sent again, behind a request of a higher CSeq."""
    both = Call(world)
    alice, bob = both.alice, both.bob
    here, _ = both.is_answered()
    both.acknowledges(here)
    bob.inbox.clear()  # lost
    again = alice.sends_within("INVITE", here, body=SDP)
    bob.answers(both.invite, 200)  # repeated
    assert alice.gets(200).cseq == both.call.cseq
    both.acknowledges(here)
    at_bob = bob.gets("INVITE")
    assert bob.gets("ACK").cseq == (both.call.cseq[0], "ACK")
    bob.answers(at_bob, status)
    final = alice.gets(status, again)
    if status == 200:
        alice.sends_within("ACK", here, cseq=again.cseq[0])
    else:
        alice.acknowledges(again, final)
    assert bob.gets("ACK").cseq == (again.cseq[0], "ACK")
    assert leaves_nothing(world)


def test_an_ack_is_lost_and_a_bye_crosses_the_repeated_200(world: World):
    """§3.1.6: the repeated 200 and the ACK pass although the dialog is ending."""
    both = Call(world)
    alice, bob = both.alice, both.bob
    here, _ = both.is_answered()
    alice.sends_within("BYE", here)
    bob.answers(both.invite, 200)
    assert alice.gets(200).cseq == both.call.cseq
    both.acknowledges(here)
    bob.answers(bob.gets("BYE"), 200)
    bob.gets("ACK")
    assert alice.gets(200).cseq[1] == "BYE"
    bob.answers(both.invite, 200)  # the ACK has not come to him yet
    assert alice.gets(200).cseq == both.call.cseq
    both.acknowledges(here)
    bob.gets("ACK")
    assert leaves_nothing(world)


def test_two_byes_cross(world: World):
    """§3.2.1: both are answered 200."""
    both = Call(world)
    here, there = both.is_established()
    both.alice.sends_within("BYE", here)
    both.bob.sends_within("BYE", there)
    at_bob, at_alice = both.bob.gets("BYE"), both.alice.gets("BYE")
    both.bob.answers(at_bob, 200)
    both.alice.answers(at_alice, 200)
    assert statuses(both.alice) == statuses(both.bob) == [200]
    assert leaves_nothing(world)


def test_a_bye_crosses_a_reinvite(world: World):
    """§3.2.2: 481 to the re-INVITE, acknowledged hop by hop."""
    both = Call(world)
    alice, bob = both.alice, both.bob
    here, there = both.is_established()
    alice.sends_within("BYE", here)
    again = bob.sends_within("INVITE", there, body=SDP)
    bob.answers(bob.takes(), 200)
    alice.answers(alice.gets("INVITE"), 481)
    assert statuses(alice) == [200, "ACK"]
    bob.acknowledges(again, bob.gets(481, again))
    assert statuses(alice) == []
    assert leaves_nothing(world)


def test_a_reinvite_is_answered_while_a_bye_is_on_its_way(world: World):
    """§3.2.3: its 200 and the ACK of that pass behind the BYE."""
    both = Call(world)
    alice, bob = both.alice, both.bob
    _, there = both.is_established()
    again = bob.sends_within("INVITE", there, body=SDP)
    bob.sends_within("BYE", there)
    at_alice = alice.gets("INVITE")
    alice.answers(at_alice, 200)
    assert bob.gets(200).cseq == again.cseq
    bob.sends_within("ACK", there, cseq=again.cseq[0])
    alice.answers(alice.gets("BYE"), 200)
    assert alice.gets("ACK").cseq == (again.cseq[0], "ACK")
    assert bob.gets(200).cseq[1] == "BYE"
    assert leaves_nothing(world)


def test_an_ack_crosses_a_bye(world: World):
    """§3.2.4."""
    both = Call(world)
    here, there = both.is_answered()
    both.bob.sends_within("BYE", there)
    both.acknowledges(here)
    both.bob.gets("ACK")
    both.alice.answers(both.alice.gets("BYE"), 200)
    both.bob.gets(200)
    assert leaves_nothing(world)


def test_two_reinvites_cross_and_are_tried_again_later(world: World):
    """§3.3.1: 491 to both; Bob retries first, because Alice made the Call-ID."""
    both = Call(world)
    alice, bob = both.alice, both.bob
    here, there = both.is_established()
    hers = alice.sends_within("INVITE", here, body=SDP)
    his = bob.sends_within("INVITE", there, body=SDP)
    bob_gets, alice_gets = bob.takes(), alice.takes()
    while isinstance(bob_gets, Response):  # 100s
        bob_gets = bob.takes()
    while isinstance(alice_gets, Response):
        alice_gets = alice.takes()
    bob.answers(bob_gets, 491)
    alice.answers(alice_gets, 491)
    alice.acknowledges(hers, alice.gets(491, hers))
    bob.gets("ACK")
    bob.acknowledges(his, bob.gets(491, his))
    alice.gets("ACK")
    for asking, asked, dialog, seconds in ((bob, alice, there, 1.0), (alice, bob, here, 2.0)):
        world.passes(seconds)
        again = asking.sends_within("INVITE", dialog, body=SDP)
        asked.answers(asked.gets("INVITE"), 200)
        asking.gets(200, again)
        asking.sends_within("ACK", dialog, cseq=again.cseq[0])
        asked.gets("ACK")
    assert leaves_nothing(world)


@pytest.mark.parametrize("method", ["UPDATE", "REFER"])
def test_another_request_crosses_a_reinvite_or_a_bye(world: World, method: str):
    """§3.3.2, §3.3.3: each is answered for itself."""
    both = Call(world)
    alice, bob = both.alice, both.bob
    here, there = both.is_established()
    theirs = "INVITE" if method == "UPDATE" else "BYE"
    asked = alice.sends_within(theirs, here, body=SDP if theirs == "INVITE" else b"")
    crossing = bob.sends_within(method, there, headers=("Refer-To: <sip:carol@example.com>",))
    at_bob = bob.takes()
    alice.answers(alice.gets(method), 491 if method == "UPDATE" else 481)
    bob.answers(at_bob, 491 if method == "UPDATE" else 200)
    if theirs == "INVITE":
        alice.acknowledges(asked, alice.gets(491, asked))
        assert statuses(bob) == [491, "ACK"]
    else:
        alice.gets(200, asked)
        assert bob.gets(481).cseq == crossing.cseq
    assert leaves_nothing(world)
