"""Features of the RFCs beyond a plain call, with programs that we did not write."""

import socket

from tests.support.baresip import BaresipWithMailbox
from tests.support.phone_calls import part, talk_at_once
from tests.support.pjsua import Pjsua, PjsuaPublishing, PjsuaWithMailbox
from tests.support.programs import own_address
from tests.support.sipp_calls import register

ELSEWHERE = r'Reason: SIP;cause=200;text="Call completed elsewhere"'


def registers_by(scenario: str, server, sipp, user: str, contact: str) -> None:
    """Play a REGISTER scenario once for `user`, with the socket `contact` for its calls."""
    sipp(
        scenario,
        calls=1,
        to=server.address,
        domain=server.domain,
        people=[("", user, server.password_of(user))],
        port=5070,
        contact=contact,
    ).succeeds()


# Several phones of one user


def test_the_other_phone_shows_no_missed_call(registered):
    """RFC 3326 §2, RFC 3261 §16.7 step 10: its CANCEL says that the call was answered."""
    alice, desk, mobile = (registered(Pjsua, user) for user in ("alice", "bob", "bob"))

    alice.dials(desk)
    desk.gets_a_call(alice)
    mobile.gets_a_call(alice)
    mobile.answers()
    alice.is_talking()
    mobile.is_talking(alice)
    desk.has_received("CANCEL .*", ELSEWHERE)
    desk.call_ends(alice, status=487)
    part(alice, mobile)
    mobile.has_not_received("CANCEL .*")


def test_a_caller_that_gives_up_gets_487_and_no_phone_rings(registered):
    """RFC 3261 §16.10, §9.1: and without an answer each phone may show a missed call."""
    alice, desk, mobile = (registered(Pjsua, user) for user in ("alice", "bob", "bob"))

    alice.dials(desk)
    desk.gets_a_call(alice)
    mobile.gets_a_call(alice)
    alice.hears_ringing()
    alice.hangs_up()
    for phone in (desk, mobile):
        phone.call_ends(alice, status=487)
        phone.has_received("CANCEL .*")
        phone.has_received("ACK .*")
        phone.has_not_received("CANCEL .*", "Reason: .*")
    alice.call_ends(status=487)
    alice.has_received("SIP/2.0 200 .*", r"CSeq: \d+ CANCEL")


def test_a_603_ends_what_a_486_did_not(registered):
    """RFC 3261 §16.7 steps 5 and 6: a 6xx is the best response, after any other."""
    alice, desk, mobile, cell = (registered(Pjsua, user) for user in ("alice", "bob", "bob", "bob"))

    alice.dials(desk)
    for phone in (desk, mobile, cell):
        phone.gets_a_call(alice)
    desk.refuses()
    desk.call_ends(alice)
    desk.has_received("ACK .*")  # the 486 has been heard, and the others go on ringing
    mobile.has_not_received("CANCEL .*")
    alice.has_not_received("SIP/2.0 486 .*")
    mobile.answers(603)
    cell.call_ends(alice, status=487)
    cell.has_received("CANCEL .*", "Reason: SIP;cause=603.*")
    alice.call_ends(status=603)
    alice.has_not_received("SIP/2.0 486 .*")


def test_a_phone_that_never_answers_holds_up_no_call(server, sipp, registered):
    """RFC 3261 §16.6, §16.7: all are tried at once, and a 200 waits for no timer B."""
    alice, bob = registered(Pjsua, "alice"), registered(Pjsua, "bob")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as black_hole:
        address = own_address()
        black_hole.bind((address, 5060))
        register(server, sipp, ["bob"], address, f"{address}:5060")

        talk_at_once(alice, bob)
        part(alice, bob)
        black_hole.setblocking(False)
        assert black_hole.recv(65_535).startswith(b"INVITE sip:bob@")


def test_a_phone_that_is_gone_holds_up_no_refusal(server, sipp, registered):
    """RFC 3261 §18.4, §16.9: ICMP ends its branch at once, and 486 is better than its 503."""
    alice, bob = registered(Pjsua, "alice"), registered(Pjsua, "bob")
    address = own_address()
    register(server, sipp, ["bob"], address, f"{address}:5060")

    talk_at_once(alice, bob)
    part(alice, bob)
    alice.dials(bob)
    bob.gets_a_call(alice)
    bob.refuses()
    alice.call_ends(bob, status=486)


# What a phone asks of its own address


def test_a_subscription_to_a_mailbox_is_refused_at_once(registered):
    """RFC 6665 §4.2.1.1, RFC 3842: 489, and the request rings at no phone, its sender's least."""
    alice, bob = registered(PjsuaWithMailbox, "alice"), registered(BaresipWithMailbox, "bob")

    alice.has_received("SIP/2.0 489 .*", r"CSeq: \d+ SUBSCRIBE")
    bob.expects("mailbox refused", status=489)
    talk_at_once(alice, bob)
    part(alice, bob)
    talk_at_once(bob, alice)
    part(bob, alice)
    alice.has_not_received("SUBSCRIBE .*")


def test_publish_of_presence_is_refused_at_once(registered):
    """RFC 3903 §6: 489, and calls go on."""
    alice, bob = registered(PjsuaPublishing, "alice"), registered(Pjsua, "bob")

    alice.says_it_is("at the window")
    alice.has_received("SIP/2.0 489 .*", r"CSeq: \d+ PUBLISH")
    talk_at_once(bob, alice)
    part(bob, alice)
    alice.has_not_received("PUBLISH .*")


def test_a_watching_phone_is_notified_along_the_record_route(registered):
    """RFC 6665 §4.3, RFC 3261 §16.6 step 4: the NOTIFYs, too, say which way leads back."""
    alice, bob = registered(Pjsua, "alice"), registered(Pjsua, "bob")

    alice.watches(bob)
    bob.expects("watched", peer="alice")
    bob.has_received("SUBSCRIBE .*", "Record-Route: <sip:127.0.0.1:.*;lr.*")
    alice.has_received("SIP/2.0 200 .*", "Record-Route: .*", r"CSeq: \d+ SUBSCRIBE")
    alice.has_received("NOTIFY .*", "Record-Route: <sip:127.0.0.1:.*;lr.*", "Event: presence")
    alice.expects("seen", peer="bob")
    bob.says_it_is("at the window")
    alice.expects("seen", peer="bob", text="at the window")
    bob.has_received("SIP/2.0 200 .*", "Record-Route: .*", r"CSeq: \d+ NOTIFY")


# Being somewhere else


def test_a_caller_follows_a_redirection_by_itself(server, sipp, registered):
    """RFC 3261 §16.7 step 4, §8.1.3.4: by default a 302 is the caller's to follow."""
    alice, carol = registered(Pjsua, "alice"), registered(Pjsua, "carol")
    moved = sipp("callee_moved", calls=1, contact=f"carol@{server.domain}")
    register(server, sipp, ["bob"], moved.address, moved.socket)

    alice.dials(f"sip:bob@{server.domain}")
    moved.succeeds()
    alice.has_received("SIP/2.0 302 .*", f"Contact: <sip:carol@{server.domain}>;expires=60")
    alice.expects("redirected", peer="carol")
    carol.gets_a_call(alice)
    carol.answers()
    alice.is_talking()
    carol.hangs_up()
    carol.call_ends(alice)
    alice.call_ends()


def test_the_server_follows_a_redirection_if_configured(server, sipp, registered):
    """RFC 3261 §16.5, §16.7 step 4: the caller sees only the phone that rings."""
    server.flags = ("-sip.follow_redirects", "on")
    server.restart()
    alice, carol = registered(Pjsua, "alice"), registered(Pjsua, "carol")
    moved = sipp("callee_moved", calls=1, contact=f"carol@{server.domain}")
    register(server, sipp, ["bob"], moved.address, moved.socket)

    alice.dials(f"sip:bob@{server.domain}")
    moved.succeeds()
    carol.gets_a_call(alice)
    alice.hears_ringing()
    carol.answers()
    alice.is_talking()
    carol.hangs_up()
    carol.call_ends(alice)
    alice.call_ends()
    alice.has_not_received("SIP/2.0 302 .*")


# On the way to the registrar


def test_a_phone_behind_an_edge_proxy_is_called_through_it(server, sipp, registered):
    """RFC 3327 §5.3, §5.4: the Path of its REGISTER is the Route of each call to it."""
    alice = registered(Pjsua, "alice")
    edge = sipp("callee_behind_edge", calls=1)
    registers_by("register_through_edge", server, sipp, "bob", edge.socket)

    alice.dials(f"sip:bob@{server.domain}")
    alice.hears_ringing()
    alice.is_talking()
    alice.hangs_up()
    edge.succeeds()
    alice.call_ends()


def test_a_phone_that_knows_no_path_is_not_registered_with_one(server, sipp):
    """RFC 3327 §5.3: 420, for it would not know of the proxy in front of it."""
    registers_by("register_path_unsupported", server, sipp, "bob", f"{own_address()}:5060")


def test_a_registration_that_comes_by_two_ways_is_served_once(server, sipp):
    """RFC 3261 §8.2.2.2: 482 to the second; a repeat of the first gets its 200 again."""
    registers_by("register_by_two_ways", server, sipp, "bob", f"{own_address()}:5060")


def test_a_call_that_comes_by_two_ways_rings_once(server, sipp, registered):
    """RFC 3261 §8.2.2.2: both copies pass, each an INVITE of its own; the phone says 482 to one."""
    bob = registered(Pjsua, "bob")
    caller = sipp(
        "caller_by_two_ways",
        calls=1,
        to=server.address,
        domain=server.domain,
        from_domain="elsewhere.test",
        people=[("bob", "alice", "")],
    )

    bob.gets_a_call()
    bob.has_received("ACK .*")  # of the 482
    bob.refuses()
    caller.succeeds()
    bob.call_ends()


def test_each_request_by_hand_gets_the_status_of_its_fault(server, sipp):
    """RFC 3261 §8.2, §9.2, §11.2, §16.3: each status, with the field that explains it."""
    sipp(
        "prober",
        calls=10,
        to=server.address,
        domain=server.domain,
        from_domain="elsewhere.test",
        people=[("bob", "prober", "")],
    ).succeeds()
