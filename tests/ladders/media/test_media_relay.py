"""Calls whose media passes an rtpengine: which do, and its commands."""

import pytest

from sip.core.causes import MEDIA_RELAY
from sip.monitor.metrics import CALLS_RELAYED, RELAY_REFUSED, RELAY_SILENT
from tests.support.fake_rtpengine import RELAY, kind_of, sdp
from tests.support.nat_phones import NAT, OTHER_NAT, behind_nat
from tests.support.relayed_calls import SDP_TYPE, Browser, answers, invites, talk
from tests.support.world import REALM, dialog_of_callee, dialog_of_caller


def test_a_browser_and_a_desk_phone_understand_each_other(world, relay, ada, bob):
    """Each offer is translated to the kind of its receiver, and each answer back."""
    call = invites(ada, "bob", sdp("192.0.2.201", kind="w"))
    received = bob.gets("INVITE")
    assert kind_of(received.body) == "r"
    assert RELAY.encode() in received.body
    assert received.value("content-length") == str(len(received.body))
    [offer] = relay.commands
    assert offer[b"ICE"] == b"remove"
    answer = answers(bob, received, 200, sdp(bob.address[0]))
    heard = ada.gets(200)
    assert kind_of(heard.body) == "w"
    assert heard.value("content-length") == str(len(heard.body))
    assert relay.commands[1][b"ICE"] == b"force"
    name = offer[b"call-id"].decode()
    assert name.startswith(f"{call.call_id}-")
    tags = call.from_.tag, answer.to.tag
    assert relay.takes() == [("offer", name, tags[0], ""), ("answer", name, *tags)]
    here, there = dialog_of_caller(call, heard), dialog_of_callee(received, answer)
    # The desk phone changes the call, and the browser ends it.
    bob.sends_within("INVITE", there, body=sdp(bob.address[0], 4002), headers=(SDP_TYPE,))
    again = ada.gets("INVITE")
    assert kind_of(again.body) == "w"
    answers(ada, again, 200, sdp("192.0.2.201", kind="w"))
    assert kind_of(bob.gets(200).body) == "r"
    assert relay.takes() == [
        ("offer", name, answer.to.tag, tags[0]),
        ("answer", name, answer.to.tag, tags[0]),
    ]
    ada.sends_within("BYE", here)
    bob.answers(bob.gets("BYE"), 200)
    ada.gets(200)
    assert relay.takes() == [("delete", name, tags[0], "")]
    assert world.server.proxy.media.counts[CALLS_RELAYED] == 1
    assert len(world.server.proxy.media.turns) == 0


def test_a_desk_phone_calls_a_browser(relay, ada, bob):
    talk(bob, ada, sdp(bob.address[0]), sdp("192.0.2.201", kind="w"))
    assert [command[b"transport-protocol"] for command in relay.commands] == [
        b"UDP/TLS/RTP/SAVPF",
        b"RTP/AVP",
    ]


@pytest.mark.parametrize(
    ("one", "other", "is_relayed"),
    [
        ("", "", False),
        (NAT, NAT, False),
        (NAT, OTHER_NAT, True),
        (NAT, "", True),
        ("", NAT, True),
    ],
)
def test_phones_behind_different_nats_are_relayed(world, relay, one, other, is_relayed):
    """Behind one NAT they reach each other directly; the relay learns the real addresses."""
    phones = []
    for name, nat, port in (("al", one, 7001), ("bo", other, 7002)):
        phone = behind_nat(world, name, port, nat=nat) if nat else world.phone(name)
        host = "192.168.1.20" if nat else phone.address[0]
        phones.append((phone, sdp(host)))
    (al, offer), (bo, answer) = phones
    talk(al, bo, offer, answer)
    assert [name for name, *_ in relay.takes()] == (["offer", "answer"] if is_relayed else [])


def test_a_phone_behind_nat_is_known_by_its_source(world, relay):
    al, bo = behind_nat(world, "al", 7001), world.phone("bo")
    talk(al, bo, sdp("192.168.1.20"), sdp(bo.address[0]))
    offer, answer = relay.commands
    assert offer[b"received-from"] == [b"IP4", NAT.encode()]
    assert b"SIP-source-address" in offer[b"flags"]
    assert b"received-from" not in answer
    assert b"transport-protocol" not in offer


def test_only_relayed_calls_have_a_mark_in_their_tickets(world, relay, bob):
    al, carol = behind_nat(world, "al", 7001), world.phone("carol")
    invites(carol, "bob", sdp(carol.address[0]))
    assert ";m=" not in "".join(bob.gets("INVITE").fields("record-route"))
    invites(al, "bob", sdp("192.168.1.20"))
    own = bob.gets("INVITE").values("record-route")
    assert len(own) == 2
    assert all(";m=Aa" in value for value in own)


def test_each_branch_of_a_fork_has_its_own_call(world, relay, ada, bob):
    """The call of the loser ends as soon as the winner answers."""
    second = world.phone("bob", host="192.0.2.77")
    invites(ada, "bob", sdp("192.0.2.201", kind="w"))
    one, two = bob.gets("INVITE"), second.gets("INVITE")
    names = [name for _, name, *_ in relay.takes()]
    assert len(set(names)) == 2
    bob.answers(one, 180)
    second.answers(two, 180)
    answers(second, two, 200, sdp("192.0.2.77"))
    # In the order of the branches: the second one has won.
    done = relay.takes()
    assert ("delete", names[0]) in [each[:2] for each in done]
    assert ("answer", names[1]) in [each[:2] for each in done]
    bob.gets("CANCEL")
    bob.answers(one, 487)
    assert relay.takes() == []


@pytest.mark.parametrize("status", [486, 487, 408])
def test_a_branch_that_fails_ends_its_call(world, relay, ada, bob, status):
    """By a refusal, by the CANCEL of the caller, and by silence."""
    call = invites(ada, "bob", sdp("192.0.2.201", kind="w"))
    received = bob.gets("INVITE")
    if status == 487:
        bob.answers(received, 180)
        ada.cancels(call)
        bob.answers(bob.gets("CANCEL"), 200)
    if status == 408:
        world.passes(33.0)
    else:
        bob.answers(received, status)
    assert [name for name, *_ in relay.takes()] == ["offer", "delete"]


def test_an_update_is_an_offer_too(relay, ada, bob):
    """RFC 3311; and a repeated answer is not asked for again."""
    here, there = talk(ada, bob, sdp("192.0.2.201", kind="w"), sdp(bob.address[0]))
    name = relay.takes()[0][1]
    bob.sends_within("UPDATE", there, body=sdp(bob.address[0], 4002), headers=(SDP_TYPE,))
    update = ada.gets("UPDATE")
    assert kind_of(update.body) == "w"
    answers(ada, update, 200, sdp("192.0.2.201", kind="w"))
    assert kind_of(bob.gets(200).body) == "r"
    tags = there.local_tag, here.local_tag
    assert relay.takes() == [("offer", name, *tags), ("answer", name, *tags)]


def test_a_change_without_the_relay_leaves_the_call_as_it_is(world, relay, ada, bob):
    here, _ = talk(ada, bob, sdp("192.0.2.201", kind="w"), sdp(bob.address[0]))
    relay.is_silent = True
    body = sdp("192.0.2.201", kind="w")
    ada.sends_within("INVITE", here, body=body, headers=(SDP_TYPE,))
    world.passes(1.1)
    ada.gets(503)
    assert bob.hears_nothing()
    ada.sends_within("BYE", here)
    bob.gets("BYE")


def test_an_old_hold_stays_a_hold(relay, world):
    """RFC 3264 §8.4: the address 0.0.0.0 is not replaced by the source."""
    al, bo = behind_nat(world, "al", 7001), world.phone("bo")
    here, _ = talk(al, bo, sdp("192.168.1.20"), sdp(bo.address[0]))
    relay.commands.clear()
    al.sends_within("INVITE", here, body=sdp("0.0.0.0"), headers=(SDP_TYPE,))
    bo.gets("INVITE")
    assert b"received-from" not in relay.commands[0]


def test_a_restart_loses_no_call(world, relay):
    """The mark in the tickets leads re-INVITE and BYE to the call at the relay."""
    al, bo = behind_nat(world, "al", 7001), behind_nat(world, "bo", 7002, nat=OTHER_NAT)
    here, there = talk(al, bo, sdp("192.168.1.20"), sdp("192.168.1.20"))
    name = relay.takes()[0][1]
    world.start_server()
    relay.attach()
    bo.sends_within("INVITE", there, body=sdp("192.168.1.20", 4006), headers=(SDP_TYPE,))
    again = al.gets("INVITE")
    assert RELAY.encode() in again.body
    answers(al, again, 200, sdp("192.168.1.20"))
    assert RELAY.encode() in bo.gets(200).body
    tags = there.local_tag, here.local_tag
    assert relay.takes() == [("offer", name, *tags), ("answer", name, *tags)]
    al.sends_within("BYE", here)
    bo.gets("BYE")
    assert relay.takes() == [("delete", name, here.local_tag, "")]


def test_a_changed_mark_opens_nothing(world, relay):
    al, bo = behind_nat(world, "al", 7001), behind_nat(world, "bo", 7002, nat=OTHER_NAT)
    here, _ = talk(al, bo, sdp("192.168.1.20"), sdp("192.168.1.20"))
    relay.takes()
    here.routes = [route.replace(";m=AA", ";m=WW") for route in here.routes]
    al.sends_within("BYE", here)
    al.gets(407)
    assert relay.takes() == []


def test_an_offer_in_the_answer_is_answered_by_the_ack(relay, ada, bob):
    """The caller's INVITE has no offer (RFC 3261 §13.2.1)."""
    call = ada.sends("INVITE", f"sip:bob@{REALM}", body=b"")
    received = bob.gets("INVITE")
    assert relay.takes() == []
    response = answers(bob, received, 200, sdp(bob.address[0]))
    heard = ada.gets(200)
    assert kind_of(heard.body) == "w"
    tags = response.to.tag, call.from_.tag
    [(command, name, *found)] = relay.takes()
    assert (command, *found) == ("offer", *tags)
    here = dialog_of_caller(call, heard)
    body = sdp("192.0.2.201", kind="w")
    ada.sends_within("ACK", here, cseq=call.cseq[0], body=body, headers=(SDP_TYPE,))
    assert kind_of(bob.gets("ACK").body) == "r"
    assert relay.takes() == [("answer", name, *tags)]


def test_a_reliable_offer_is_answered_by_the_prack(relay, ada, bob):
    """RFC 3262 §5: and a further offer is in a PRACK whose 2xx has the answer."""
    call = ada.sends("INVITE", f"sip:bob@{REALM}", body=b"", headers=("Supported: 100rel",))
    received = bob.gets("INVITE")
    reliable = ("Require: 100rel", "RSeq: 1")
    response = answers(bob, received, 183, sdp(bob.address[0]), *reliable)
    heard = ada.gets(183)
    here = dialog_of_caller(call, heard)
    commands = []
    for number, kinds in ((1, "r"), (2, "rw")):
        body = sdp("192.0.2.201", kind="w")
        headers = (SDP_TYPE, f"RAck: {number} {call.cseq[0]} INVITE")
        ada.sends_within("PRACK", here, body=body, headers=headers)
        prack = bob.gets("PRACK")
        assert kind_of(prack.body) == kinds[0]
        answers(bob, prack, 200, sdp(bob.address[0]) if number == 2 else b"")
        assert kind_of(ada.gets(200).body) == kinds[1:]
    commands = [(name, one, other) for name, _, one, other in relay.takes()]
    tags = response.to.tag, call.from_.tag
    back = tags[::-1]
    assert commands == [
        ("offer", *tags),
        ("answer", *tags),
        ("offer", *back),
        ("answer", *back),
    ]


@pytest.mark.parametrize(("offered", "wanted"), [("s", "r"), ("r", "s"), ("w", "r")])
def test_an_offer_that_is_refused_is_tried_translated(world, relay, bob, offered, wanted):
    """SRTP to RTP and back: the phone says by its 488 that it needs the other one."""
    carol = world.phone("carol")
    call = invites(carol, "bob", sdp(carol.address[0], kind=offered))
    first = bob.gets("INVITE")
    assert kind_of(first.body) == offered
    bob.answers(first, 488)
    bob.gets("ACK")
    second = bob.gets("INVITE")
    assert kind_of(second.body) == wanted
    assert second.via.branch != first.via.branch
    for name in ("via", "record-route"):
        assert len(second.values(name)) == len(first.values(name))
    answers(bob, second, 200, sdp(bob.address[0], kind=wanted))
    heard = carol.gets(200, of=call)
    assert kind_of(heard.body) == offered
    assert [name for name, *_ in relay.takes()] == ["offer", "answer"]


def test_a_second_refusal_is_the_answer(world, relay, bob):
    carol = world.phone("carol")
    invites(carol, "bob", sdp(carol.address[0]))
    for _ in range(2):
        bob.answers(bob.gets("INVITE"), 488)
        bob.gets("ACK")
    carol.gets(488)
    assert bob.hears_nothing()
    assert [name for name, *_ in relay.takes()] == ["offer", "delete"]


def test_a_silent_relay_fails_only_calls_that_need_it(world, relay, ada, bob):
    """After a second; from then on at once, until it answers a ping."""
    relay.is_silent = True
    octets = len(relay.octets)
    invites(ada, "bob", sdp("192.0.2.201", kind="w"))
    world.passes(0.9)
    assert ada.gets(100)
    assert ada.hears_nothing()
    sent = [each for each in relay.octets[octets:] if b"4:ping" not in each]
    assert len(sent) == 3
    assert len(set(sent)) == 1
    world.passes(0.2)
    refused = ada.gets(503)
    assert MEDIA_RELAY.code in world.server.layer.counts.__repr__()
    assert "media relay" in refused.value("warning")
    assert bob.hears_nothing()
    # A call over NAT goes on without it; nothing waits any more.
    al = behind_nat(world, "al", 7001)
    body = sdp("192.168.1.20")
    invites(al, "bob", body)
    received = bob.gets("INVITE")
    assert received.body == body
    answers(bob, received, 200, sdp(bob.address[0]))
    assert al.gets(200).body == sdp(bob.address[0])
    assert world.server.proxy.media.counts[RELAY_SILENT] == 2
    relay.is_silent = False
    world.passes(1.1)
    invites(ada, "bob", sdp("192.0.2.201", kind="w"))
    assert kind_of(bob.gets("INVITE").body) == "r"


def test_a_fork_rings_on_without_the_relay(world, relay, ada, bob):
    """One phone of the user is a browser: only that branch needs the relay."""
    world.users.add("bob2", "secret")
    second = Browser(world, "carl", 202, ada.carrier)
    second.name = "bob"
    second.aor = f"sip:bob@{REALM}"
    second.registers()
    relay.is_silent = True
    invites(ada, "bob", sdp("192.0.2.201", kind="w"))
    world.passes(1.1)
    assert bob.hears_nothing()
    received = second.gets("INVITE")
    answers(second, received, 200, sdp("192.0.2.202", kind="w"))
    assert ada.gets(200).body == sdp("192.0.2.202", kind="w")


def test_an_error_of_the_relay_fails_the_call(world, relay, ada, bob):
    relay.error = "Ran out of ports"
    invites(ada, "bob", sdp("192.0.2.201", kind="w"))
    assert "Ran out of ports" in ada.gets(503).value("warning")
    assert world.server.proxy.media.counts[RELAY_REFUSED] == 1
    assert bob.hears_nothing()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"v=0\r\nm=audio x RTP/AVP 0\r\n", "application/sdp"),
        (b"v=0\r\n\xff\x00\r\n", "application/sdp"),
        (b"\x00" * 40_000, "application/sdp"),
        (sdp("192.168.1.20"), "text/plain"),
        (b"--b\r\n\r\n" + sdp("192.168.1.20") + b"--b--", "multipart/mixed;boundary=b"),
    ],
)
def test_a_body_that_cannot_be_read_passes_unchanged(world, relay, body, kind):
    al, bo = behind_nat(world, "al", 7001), world.phone("bo")
    headers = (f"Content-Type: {kind}",)
    al.sends("INVITE", f"sip:bo@{REALM}", body=body, headers=headers)
    received = bo.gets("INVITE")
    assert received.body == body
    bo.answers(received, 200, body=body, headers=headers)
    assert al.gets(200).body == body
    assert relay.takes() == []


def test_an_unreadable_answer_passes_unchanged(relay, ada, bob):
    invites(ada, "bob", sdp("192.0.2.201", kind="w"))
    answers(bob, bob.gets("INVITE"), 200, b"v=0\r\nm=\r\n")
    assert ada.gets(200).body == b"v=0\r\nm=\r\n"
