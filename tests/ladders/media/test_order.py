"""No message of a relayed dialog overtakes one that waits for the media relay."""

from tests.support.fake_rtpengine import sdp
from tests.support.relayed_calls import SDP_TYPE, answers, invites, talk
from tests.support.world import dialog_of_callee


def test_no_message_overtakes_an_answer_that_waits(world, relay, ada, bob):
    """The responses of a branch keep their order, and so do the requests of its dialog."""
    invites(ada, "bob", sdp("192.0.2.201", kind="w"))
    received = bob.gets("INVITE")
    ada.gets(100)
    relay.is_slow = True
    answers(bob, received, 183, sdp(bob.address[0], 4008))
    bob.answers(received, 180)
    response = answers(bob, received, 200, sdp(bob.address[0]))
    answers(bob, received, 200, sdp(bob.address[0]))  # repeated, before the answer is relayed
    there = dialog_of_callee(received, response)
    bob.sends_within("INFO", there)
    bob.sends_within("BYE", there)
    assert ada.hears_nothing()
    relay.answers_one()
    ada.gets(183)
    ada.gets(180)
    assert ada.hears_nothing()
    relay.answers_one()
    first, repeated = ada.gets(200), ada.gets(200)
    assert first.body == repeated.body
    assert [name for name, *_ in relay.takes()] == ["offer", "answer", "answer", "delete"]
    ada.gets("INFO")
    ada.gets("BYE")
    assert len(world.server.proxy.media.turns) == 0


def test_no_other_response_overtakes_an_answer_that_waits(relay, ada, bob):
    """Also the one to a later request of the dialog."""
    here, _ = talk(ada, bob, sdp("192.0.2.201", kind="w"), sdp(bob.address[0]))
    ada.sends_within("INVITE", here, body=sdp("192.0.2.201", kind="w"), headers=(SDP_TYPE,))
    ada.sends_within("INFO", here)
    invite, info = bob.gets("INVITE"), bob.gets("INFO")
    relay.is_slow = True
    answers(bob, invite, 200, sdp(bob.address[0], 4002))
    bob.answers(info, 200)
    ada.gets(100)
    assert ada.hears_nothing()
    relay.answers_one()
    assert [ada.gets(200).cseq[1] for _ in range(2)] == ["INVITE", "INFO"]


def test_a_request_that_waits_is_forwarded_once(relay, ada, bob):
    """Its retransmissions are absorbed, and a CANCEL is not lost."""
    _, there = talk(ada, bob, sdp("192.0.2.201", kind="w"), sdp(bob.address[0]))
    relay.is_slow = True
    body = sdp(bob.address[0], 4002)
    update = bob.sends_within("UPDATE", there, body=body, headers=(SDP_TYPE,))
    bob.transmits(update)
    bob.transmits(update)
    assert ada.hears_nothing()
    relay.answers_one()
    ada.gets("UPDATE")
    assert ada.hears_nothing()
    call = invites(ada, "bob", sdp("192.0.2.201", kind="w"))
    ada.cancels(call)
    relay.answers_one()
    bob.answers(bob.gets("INVITE"), 180)
    bob.gets("CANCEL")


def test_a_failure_waits_for_an_answer_before_it(relay, ada, bob):
    invites(ada, "bob", sdp("192.0.2.201", kind="w"))
    received = bob.gets("INVITE")
    relay.is_slow = True
    answers(bob, received, 183, sdp(bob.address[0]))
    for _ in range(30):  # more than are kept
        bob.answers(received, 180)
    bob.answers(received, 486)
    relay.answers_one()
    ada.gets(183)
    for _ in range(15):
        ada.gets(180)
    ada.gets(486)
