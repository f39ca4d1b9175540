"""Extensions between phones pass unchanged: 100rel, UPDATE, REFER, events, INFO.

Each extension of SIP is played as its RFC shows it, with the proxy in the middle.
"""

import pytest

from tests.support.forwarding import (
    answered,
    calls,
    carried,
    each_pair,
    exchanged,
    placed,
    talks,
)
from tests.support.world import REALM, SDP, Dialog, World, dialog_of_callee, dialog_of_caller

# Reliable provisional responses


@each_pair()
def test_a_reliable_provisional_response_and_its_prack_pass(world: World, pair):
    """RFC 3262 §3, §4: RSeq, RAck and Require; offers and answers in either."""
    call = calls(pair, headers=("Supported: 100rel",))
    alice, bob = pair
    reliably = ("Require: 100rel", "RSeq: 988789", "Content-Type: application/sdp")
    call.rings(183, headers=reliably, body=SDP)
    assert not bob.inbox, "the proxy acknowledges nothing itself"

    rack = ("RAck: 988789 776656 INVITE", "Content-Type: application/sdp")
    exchanged(alice, "PRACK", call.here, bob, headers=rack, body=SDP)
    again = ("Require: 100rel", "RSeq: 988790")
    answered(call.received, bob, 180, alice, headers=again)
    exchanged(alice, "PRACK", call.here, bob, headers=("RAck: 988790 776656 INVITE",))
    call.is_answered()
    call.ends()
    world.passes(40, step=0.5)
    assert world.is_quiet


def test_a_reliable_response_that_is_repeated_passes_each_time(world: World):
    """RFC 3262 §3: the UAS repeats it until a PRACK has come; the proxy takes none for a copy."""
    call = calls((world.phone("alice"), world.phone("bob")), headers=("Require: 100rel",))
    for _ in range(3):
        answered(call.received, call.callee, 180, call.caller, headers=("RSeq: 7",))


def test_a_prack_without_a_match_is_refused_by_the_callee(world: World):
    """RFC 3262 §3: a PRACK that fits no response is a 481 of the UAS; a proxy passes it on."""
    call = calls((world.phone("alice"), world.phone("bob")))
    call.rings()
    wrong = ("RAck: 5 1 INVITE",)
    exchanged(call.caller, "PRACK", call.here, call.callee, 481, headers=wrong)


def test_the_callee_itself_refuses_100rel(world: World):
    """RFC 3262 §3, RFC 3261 §8.2.2.3: Require is for the callee; 420 with Unsupported passes."""
    call = calls((world.phone("alice"), world.phone("bob")), headers=("Require: 100rel",))
    answered(call.received, call.callee, 420, call.caller, headers=("Unsupported: 100rel",))


def test_each_phone_of_a_fork_gets_the_prack_of_its_own_response(world: World):
    """RFC 3262 §4: each reliable response of a fork begins an early dialog with its own RSeqs."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    invite = alice.sends("INVITE", desk.aor, headers=("Supported: 100rel",))
    for phone, number in ((desk, 5), (mobile, 5000)):
        got = carried(invite, phone)
        reliably = ("Require: 100rel", f"RSeq: {number}")
        rings = answered(got, phone, 180, alice, headers=reliably)
        rack = (f"RAck: {number} {invite.cseq[0]} INVITE",)
        exchanged(alice, "PRACK", dialog_of_caller(invite, rings), phone, headers=rack)
    assert desk.hears_nothing()
    assert mobile.hears_nothing()


# UPDATE


@each_pair()
def test_update_passes_both_ways_before_and_after_the_answer(world: World, pair):
    """RFC 3311 §5, §6: in the early dialog as in the confirmed one, with offer and answer."""
    call = calls(pair, headers=("Allow: INVITE, ACK, BYE, CANCEL, UPDATE",))
    alice, bob = pair
    offer = ("Content-Type: application/sdp",)
    call.rings()
    exchanged(alice, "UPDATE", call.here, bob, headers=offer, body=SDP)
    exchanged(bob, "UPDATE", call.there, alice, headers=offer, body=SDP)
    call.is_answered()
    exchanged(alice, "UPDATE", call.here, bob, headers=offer, body=SDP)
    exchanged(bob, "UPDATE", call.there, alice, headers=offer, body=SDP)
    call.ends()
    world.passes(40, step=0.5)
    assert world.is_quiet


@pytest.mark.parametrize(
    ("status", "says"),
    [(491, ()), (500, ("Retry-After: 7",)), (504, ()), (488, ('Warning: 304 b.test "no video"',))],
)
def test_a_refused_update_comes_back_as_it_is(world: World, status: int, says):
    """RFC 3311 §5.2: 491, 500 with Retry-After, 504 and 488 with a Warning are the UAS's."""
    call = talks((world.phone("alice"), world.phone("bob")))
    exchanged(call.caller, "UPDATE", call.here, call.callee, status, answer=says, body=SDP)


# Session timers


@each_pair()
def test_a_session_timer_is_agreed_on_between_the_phones(world: World, pair):
    """RFC 4028 §7, §8, §9: no value is set, raised or lowered on the way; 422 brings Min-SE."""
    alice, bob = pair
    first = calls(pair, headers=("Supported: timer", "Session-Expires: 90"))
    too_small = answered(first.received, bob, 422, alice, headers=("Min-SE: 3600",))
    bob.gets("ACK")
    alice.acknowledges(first.invite, too_small)

    wanted = ("Supported: timer", "x: 3600;refresher=uac", "Min-SE: 3600")
    call = calls(pair, headers=wanted)
    agreed = ("Require: timer", "Session-Expires: 3600;refresher=uac")
    call.is_answered(headers=agreed, body=SDP)

    exchanged(alice, "UPDATE", call.here, bob, headers=wanted, answer=agreed)
    exchanged(bob, "UPDATE", call.there, alice, headers=wanted, answer=agreed)
    for sender, dialog, receiver in ((alice, call.here, bob), (bob, call.there, alice)):
        again = sender.sends_within("INVITE", dialog, headers=wanted, body=SDP)
        answered(carried(again, receiver), receiver, 200, sender, headers=agreed, body=SDP)
        carried(sender.sends_within("ACK", dialog, cseq=again.cseq[0], body=SDP), receiver)
    call.ends()
    world.passes(40, step=0.5)
    assert world.is_quiet


def test_a_call_without_a_session_timer_gets_none(world: World):
    """RFC 4028 §8.1, §8.2: a proxy may ask for one; this one keeps no call, and asks for none."""
    call = talks((world.phone("alice"), world.phone("bob")))
    for name in ("session-expires", "min-se", "require", "supported"):
        assert name not in call.received.names


@each_pair()
def test_a_crossing_re_invite_is_refused_by_the_phone(world: World, pair):
    """RFC 3261 §14.1, §14.2: 491 passes; the call goes on."""
    call = talks(pair)
    alice, bob = pair
    from_alice = alice.sends_within("INVITE", call.here, body=SDP)
    at_bob = carried(from_alice, bob)
    from_bob = bob.sends_within("INVITE", call.there, body=SDP)
    at_alice = carried(from_bob, alice)
    answered(at_alice, alice, 491, bob)
    alice.gets("ACK")
    answered(at_bob, bob, 491, alice)
    bob.gets("ACK")
    call.ends()


# REFER, Replaces, and what they notify


@each_pair()
def test_a_refer_within_a_call_and_its_notifies_pass(world: World, pair):
    """RFC 3515 §2.4, §4.1: REFER one way, 202, and message/sipfrag the other way."""
    call = talks(pair)
    alice, bob = pair
    refer = (
        f"Refer-To: <sip:carol@{REALM}?Replaces=7%40b%3Bto-tag%3Da%3Bfrom-tag%3Db&Require=x>",
        f'Referred-By: "Bob, here" <{bob.aor}>;cid="20398823.2UWQFN309shb3@bob.example"',
        "Target-Dialog: 592435881734450904;local-tag=1;remote-tag=2",
    )
    exchanged(bob, "REFER", call.there, alice, 202, headers=refer)
    for state, text in (("active;expires=60", b"SIP/2.0 100 Trying\r\n"), ("terminated", b"")):
        about = (
            "Event: refer;id=93809824",
            f"Subscription-State: {state};reason=noresource",
            "Content-Type: message/sipfrag;version=2.0",
        )
        body = text or b"SIP/2.0 200 OK\r\nContact: <sip:carol@192.0.2.9>\r\n\r\n"
        exchanged(alice, "NOTIFY", call.here, bob, headers=about, body=body)
    call.ends()


@each_pair()
def test_a_refer_outside_a_dialog_begins_one_for_its_notifies(world: World, pair):
    """RFC 3515 §2.4.4: the NOTIFYs come back along the Record-Route of the REFER."""
    alice, bob = pair
    refer = alice.sends("REFER", bob.aor, headers=("Refer-To: <sip:carol@elsewhere.org>",))
    got = carried(refer, bob)
    accepted = answered(got, bob, 202, alice, headers=(f"Contact: {bob.contact}",))
    there = dialog_of_callee(got, accepted)
    about = ("Event: refer", "Subscription-State: active;expires=60")
    fragment = b"SIP/2.0 180 Ringing\r\n"
    exchanged(bob, "NOTIFY", there, alice, headers=about, body=fragment)
    here = dialog_of_caller(refer, accepted)
    unsubscribe = ("Event: refer", "Expires: 0")
    exchanged(alice, "SUBSCRIBE", here, bob, headers=unsubscribe, answer=("Expires: 0",))


@each_pair()
def test_an_invite_that_replaces_a_call_reaches_the_user(world: World, pair):
    """RFC 3891 §5: Replaces passes transparently, and Require of it is for the callee."""
    call = talks(pair)
    _, bob = pair
    carol = world.phone("carol")
    replaces = (
        f"Replaces: {call.invite.call_id};to-tag={call.here.remote_tag}"
        f";from-tag={call.here.local_tag};early-only",
        "Require: replaces",
        f"Referred-By: <{bob.aor}>",
    )
    second = talks((carol, bob), headers=replaces)
    exchanged(bob, "BYE", call.there, call.caller, headers=("Reason: SIP;cause=200;text=replaced",))
    second.ends()


def test_a_forked_replaces_is_taken_by_the_phone_in_the_call(world: World):
    """RFC 3891 §5, RFC 3261 §16.7: the 481 of the other phone isn't the end of it."""
    alice, desk, mobile, carol = world.phones("alice", "bob", "bob", "carol")
    invite = alice.sends("INVITE", desk.aor)
    ok = answered(carried(invite, mobile), mobile, 200, alice)
    carried(invite, desk)
    here = dialog_of_caller(invite, ok)
    replaces = f"Replaces: {here.call_id};to-tag={here.remote_tag};from-tag={here.local_tag}"
    again = carol.sends("INVITE", desk.aor, headers=(replaces,))
    desk.answers(carried(again, desk), 481)
    answered(carried(again, mobile), mobile, 200, carol)
    assert carol.hears_nothing()


@pytest.mark.parametrize("place", ["plain", "callee behind NAT"])
def test_a_replaces_aimed_at_a_contact_reaches_only_that_phone(world: World, place: str):
    """RFC 3891 §4: it is sent to the Contact of the phone that has the call."""
    _, desk = placed(world, place)
    mobile, carol = world.phones("bob", "carol")
    aim = desk.contact.strip("<>") + ";x=y"
    invite = carol.sends("INVITE", aim, headers=("Replaces: 7;to-tag=a;from-tag=b",))
    answered(carried(invite, desk), desk, 200, carol)
    assert mobile.hears_nothing()
    for other in (mobile.contact.strip("<>") + "5", f"sip:carol@{mobile.address[0]}"):
        carol.sends("INVITE", other)
        carol.gets(403)
    stranger = world.phone("stranger", registered=False)
    stranger.sends("INVITE", aim, from_uri="sip:x@elsewhere.org")
    stranger.gets(403)


# Events


@each_pair()
def test_a_subscription_and_its_notifies_pass(world: World, pair):
    """RFC 6665 §4.1, §4.2: SUBSCRIBE, 200, NOTIFY the other way, refresh, end."""
    alice, bob = pair
    wanted = ("Event: presence;id=8", "Expires: 600", "Accept: application/pidf+xml, text/*;q=0.1")
    subscribe = alice.sends("SUBSCRIBE", bob.aor, headers=wanted)
    got = carried(subscribe, bob)
    ok = answered(got, bob, 200, alice, headers=("Expires: 600",))
    here, there = dialog_of_caller(subscribe, ok), dialog_of_callee(got, ok)
    active = ("Event: presence;id=8", "Subscription-State: active;expires=599")
    xml = b'<?xml version="1.0" encoding="UTF-8"?>\n<presence xmlns="urn:ietf:params:xml:ns:pidf"/>'
    exchanged(bob, "NOTIFY", there, alice, headers=active, body=xml)
    exchanged(alice, "SUBSCRIBE", here, bob, headers=wanted, answer=("Expires: 300",))
    exchanged(bob, "NOTIFY", there, alice, headers=active, body=xml)
    gone = ("Event: presence;id=8", "Subscription-State: terminated;reason=timeout")
    exchanged(bob, "NOTIFY", there, alice, headers=gone)
    world.passes(40, step=0.5)
    assert world.is_quiet


@each_pair()
def test_a_notify_may_come_before_the_answer_to_its_subscribe(world: World, pair):
    """RFC 6665 §4.1.2.4, §4.4.1: the NOTIFY begins the dialog, and overtakes the 200."""
    alice, bob = pair
    subscribe = alice.sends("SUBSCRIBE", bob.aor, headers=("Event: dialog",))
    got = carried(subscribe, bob)
    routes, tag = got.values("record-route"), "early"
    there = Dialog(got.call_id, tag, got.from_.tag, alice.contact.strip("<>"), routes)
    active = ("Event: dialog", "Subscription-State: pending")
    exchanged(bob, "NOTIFY", there, alice, headers=active)
    answered(got, bob, 200, alice, tag=tag)


def test_a_subscribe_that_forks_is_notified_by_each_phone(world: World):
    """RFC 6665 §4.1.4: one 2xx goes back, but NOTIFYs come from all phones that accepted."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    subscribe = alice.sends("SUBSCRIBE", desk.aor, headers=("Event: presence",))
    at_desk, at_mobile = carried(subscribe, desk), carried(subscribe, mobile)
    ok = answered(at_desk, desk, 200, alice)
    other = mobile.answers(at_mobile, 200)
    assert alice.hears_nothing(), "of a fork that is no INVITE one final response goes back"
    about = ("Event: presence", "Subscription-State: active")
    exchanged(desk, "NOTIFY", dialog_of_callee(at_desk, ok), alice, headers=about)
    exchanged(mobile, "NOTIFY", dialog_of_callee(at_mobile, other), alice, headers=about)
    world.passes(40, step=0.5)
    assert world.is_quiet


@pytest.mark.parametrize(
    ("status", "says"),
    [(489, ("Allow-Events: presence",)), (423, ("Min-Expires: 60",)), (481, ())],
)
def test_a_refused_subscription_comes_back_as_it_is(world: World, status: int, says):
    """RFC 6665 §4.1.2, §8.3: 489 with Allow-Events, 423 with Min-Expires are the notifier's."""
    alice, bob = world.phones("alice", "bob")
    subscribe = alice.sends("SUBSCRIBE", bob.aor, headers=("Event: x",))
    answered(carried(subscribe, bob), bob, status, alice, headers=says)


@each_pair()
def test_an_unsolicited_notify_passes(world: World, pair):
    """RFC 3842 §3: what many voicemail servers send, an unsolicited NOTIFY to a user."""
    voicemail, bob = pair
    about = (
        "o: message-summary",
        "Subscription-State: active",
        "c: application/simple-message-summary",
    )
    summary = b"Messages-Waiting: yes\r\nMessage-Account: sip:bob@x\r\nvoice-message: 2/8 (0/2)\r\n"
    notify = voicemail.sends("NOTIFY", bob.aor, headers=about, body=summary)
    answered(carried(notify, bob), bob, 200, voicemail)


@each_pair()
def test_published_state_passes(world: World, pair):
    """RFC 3903 §4, §6: SIP-If-Match one way, SIP-ETag and 412 the other; no dialog begins."""
    alice, bob = pair
    about = ("Event: presence", "Expires: 3600", "SIP-If-Match: dx200xyz")
    publish = alice.sends("PUBLISH", bob.aor, headers=about, body=b"<presence/>")
    got = carried(publish, bob)
    assert not got.values("record-route")
    answered(got, bob, 412, alice)
    publish = alice.sends("PUBLISH", bob.aor, headers=about[:2], body=b"<presence/>")
    answered(carried(publish, bob), bob, 200, alice, headers=("SIP-ETag: kwj449x", "Expires: 9"))


# INFO


@each_pair()
def test_info_passes_both_ways_with_its_package_and_body(world: World, pair):
    """RFC 6086 §4, §5: Info-Package, Recv-Info and the body are the phones'; so is a 469."""
    call = talks(pair, headers=("Recv-Info: dtmf, foo",))
    alice, bob = pair
    package = ("Info-Package: foo", "Content-Disposition: Info-Package")
    digits = b"Signal=#\r\nDuration=160\r\n"
    exchanged(alice, "INFO", call.here, bob, headers=package, body=digits)
    exchanged(bob, "INFO", call.there, alice, headers=package, body=digits)
    exchanged(alice, "INFO", call.here, bob, 469, headers=package, answer=("Recv-Info: dtmf",))


def test_a_message_that_forks_is_answered_once(world: World):
    """RFC 3428 §6: delivered to each phone, answered to the sender by one."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    cpim = ("Content-Type: message/cpim", "Date: Sat, 13 Nov 2010 23:29:00 GMT")
    body = b"From: MR SANDERS <im:piglet@100akerwood.com>\r\n\r\nContent-Type: text/plain\r\n\r\nhi"
    message = alice.sends("MESSAGE", desk.aor, headers=cpim, body=body)
    at_desk, at_mobile = carried(message, desk), carried(message, mobile)
    answered(at_desk, desk, 200, alice)
    mobile.answers(at_mobile, 202)
    assert alice.hears_nothing()
    world.passes(40, step=0.5)
    assert world.is_quiet
