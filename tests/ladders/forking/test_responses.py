"""Responses, step by step (RFC 3261 §16.7 to §16.9)."""

import itertools

import pytest

from sip.message.message import Request, Response, parse
from tests.support.cases import cases
from tests.support.world import Phone, World

STRANGER = "sip:x@elsewhere.org"


def heard(phone: Phone) -> list[int | str]:
    """All that a phone has got and not taken yet; a 100 is passed over."""
    messages = [phone.takes() for _ in range(len(phone.inbox))]
    what = [m.status if isinstance(m, Response) else m.method for m in messages]
    return [item for item in what if item != 100]


def calls(world: World, phones: int, method: str = "INVITE") -> tuple[Phone, list[Phone], Request]:
    """An external caller calls Bob: return the caller, that many phones, and the request."""
    caller = world.phone("caller", registered=False, host="203.0.113.20")
    bobs = world.phones(*["bob"] * phones)
    return caller, bobs, caller.sends(method, bobs[0].aor, from_uri=STRANGER)


def fail(phone: Phone, invite: Request, status: int, headers: tuple[str, ...] = ()) -> None:
    """Answer an INVITE with a failure and take its ACK."""
    phone.answers(invite, status, headers=headers)
    phone.gets("ACK")


def leaves_nothing(world: World) -> bool:
    """No transaction, timer or waiting handler is left once time has passed."""
    world.passes(100, step=0.5)
    for phone in world.at.values():
        phone.inbox.clear()  # repeats of what the scripts didn't answer
    server = world.server
    return world.is_quiet and len(server.layer.timers) == 0 and server.dispatcher.pending == 0


# Step 2: timer C


def test_only_a_100_does_not_reset_timer_c(world: World):
    """§16.7, step 2: 101 to 199 reset timer C, a 100 doesn't."""
    caller, (bob,), _ = calls(world, 1)
    invite = bob.gets("INVITE")
    bob.answers(invite, 180)
    world.passes(170, step=1)
    bob.answers(invite, 101)
    world.passes(170, step=1)
    assert bob.hears_nothing()
    bob.answers(invite, 199)
    world.passes(170, step=1)
    assert heard(caller) == [180, 101, 199]
    bob.answers(invite, 100)
    world.passes(15, step=0.5)
    assert heard(bob)[:1] == ["CANCEL"]


def test_each_branch_has_its_own_timer_c(world: World):
    """§16.6, step 11; §16.8: the phone that shows life goes on ringing."""
    caller, (desk, mobile), _ = calls(world, 2)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    desk.answers(at_desk, 180)
    mobile.answers(at_mobile, 180)
    world.passes(120, step=1)
    mobile.answers(at_mobile, 180)
    world.passes(65, step=0.5)
    desk.answers(desk.gets("CANCEL"), 200)
    desk.answers(at_desk, 487)
    desk.inbox.clear()
    assert mobile.hears_nothing()
    mobile.answers(at_mobile, 200)
    assert heard(caller) == [180, 180, 180, 200]
    assert leaves_nothing(world)


# Step 3: Via


def test_our_via_alone_is_taken_off(world: World):
    """§16.7, step 3: also where the callee wrote all of them into one line."""
    caller, (bob,), _ = calls(world, 1)
    invite = bob.gets("INVITE")
    below = "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKb"
    vias = [*invite.values("via"), below]
    response = bob.answers(invite, 180)
    caller.gets(180)
    response.set_values("via", "v", [", ".join(vias)])
    bob.transmits(parse(response.encode()))
    assert caller.gets(180).values("via") == vias[1:]


def test_a_response_with_no_via_below_ours_goes_nowhere(world: World):
    """§16.7, step 3: it was meant for us."""
    caller, (bob,), _ = calls(world, 1)
    invite = bob.gets("INVITE")
    for status in (180, 200):
        response = bob.answers(invite, 183)
        caller.gets(183)
        response.status = status
        response.set_values("via", "Via", response.values("via")[:1])
        bob.transmits(response)
        assert heard(caller) == []
    bob.answers(invite, 200)
    caller.gets(200)


# Steps 4 and 5: what goes on at once


@cases("contacts", [(), ("Contact: <sip:a@10.0.0.1>, <tel:+1>", "m: <sip:b@h>")])
@cases("status", [300, 301, 302, 305, 380])
def test_a_redirection_goes_back_as_it_is(world: World, status: int, contacts):
    """§16.7, step 4: with or without Contacts; what isn't followed isn't touched."""
    caller, (bob,), _ = calls(world, 1)
    fail(bob, bob.gets("INVITE"), status, contacts)
    response = caller.gets(status)
    assert [line for line in response.lines if line in contacts] == list(contacts)
    assert len(response.values("contact")) == (3 if contacts else 0)


@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "FLY"])
def test_one_final_response_goes_back_to_what_is_no_invite(world: World, method: str):
    """§16.7, step 5: exactly one; RFC 4320 §4.1: and nothing provisional but a 100 of our own."""
    caller, (desk, mobile), _ = calls(world, 2, method)
    at_desk, at_mobile = desk.gets(method), mobile.gets(method)
    desk.answers(at_desk, 180)
    desk.answers(at_desk, 202)
    mobile.answers(at_mobile, 200)
    desk.answers(at_desk, 202)
    assert heard(caller) == [202]
    assert heard(desk) == heard(mobile) == []  # nor is anything but an INVITE cancelled
    assert leaves_nothing(world)


def test_a_100_is_never_relayed(world: World):
    """§16.7, step 5: MUST NOT be forwarded."""
    caller, (bob,), _ = calls(world, 1)
    caller.gets(100)
    invite = bob.gets("INVITE")
    bob.answers(invite, 100, headers=("Content-Type: text/plain", "X-Odd: 1"), body=b"patience")
    bob.answers(invite, 180)
    bob.answers(invite, 100, body=b"once more")
    assert [parse(data).status for data in caller.inbox] == [180]


@pytest.mark.parametrize("status", [180, 183, 200])
def test_a_tag_is_neither_given_nor_taken(world: World, status: int):
    """§16.7, step 6: MUST NOT insert or modify a tag of a 1xx or 2xx; a 2xx needs no Contact."""
    caller, (bob,), _ = calls(world, 1)
    invite = bob.gets("INVITE")
    response = bob.answers(invite, 182)
    caller.gets(182)
    response.status = status
    response.set("to", f"To: {invite.value('to')}")
    response.remove("contact")
    response.remove("record-route")
    bob.transmits(response)
    got = caller.gets(status)
    assert not got.to.tag
    assert not got.values("contact")


def test_a_failure_keeps_the_tag_and_all_that_its_sender_wrote(world: World):
    """§16.7, steps 6 and 9: header fields, their order, and the body."""
    caller, (bob,), _ = calls(world, 1)
    fields = ("X-One: 1", 'Warning: 399 h "x"', "x-one : 2", "Content-Type: text/plain")
    invite = bob.gets("INVITE")
    bob.answers(invite, 486, tag="busy", headers=fields, body=b"\x00\r\n\r\nbusy")
    response = caller.gets(486)
    assert response.to.tag == "busy"
    assert [line for line in response.lines if line in fields] == list(fields)
    assert response.body == b"\x00\r\n\r\nbusy"


def test_a_provisional_response_after_the_final_one_is_dropped(world: World):
    """§16.7, step 5: of the same branch and of another."""
    caller, (desk, mobile), _ = calls(world, 2)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    mobile.answers(at_mobile, 200)
    mobile.answers(at_mobile, 180)
    desk.answers(at_desk, 180)
    assert heard(caller) == [200]
    assert heard(desk) == ["CANCEL"]
    desk.answers(at_desk, 181)
    assert heard(caller) == []
    assert heard(desk) == []  # one CANCEL is enough


# 6xx


def test_a_2xx_that_comes_after_a_6xx_is_the_only_answer(world: World):
    """§16.7, step 5: the caller never hears a 6xx followed by a 2xx."""
    caller, (desk, mobile), _ = calls(world, 2)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    mobile.answers(at_mobile, 180)
    fail(desk, at_desk, 603)
    mobile.answers(mobile.gets("CANCEL"), 200)
    mobile.answers(at_mobile, 200)
    assert heard(caller) == [180, 200]
    assert leaves_nothing(world)


def test_after_a_6xx_no_new_branch_is_made(world: World):
    """§16.7, step 5: MUST NOT; not those of a lower q either."""
    caller = world.phone("caller", registered=False)
    desk, mobile = world.phone("bob", registered=False), world.phone("bob", registered=False)
    desk.registers(f"{desk.contact};q=0.9")
    mobile.registers(f"{mobile.contact};q=0.1")
    caller.sends("INVITE", desk.aor, from_uri=STRANGER)
    fail(desk, desk.gets("INVITE"), 600)
    assert heard(caller) == [600]
    assert mobile.hears_nothing()
    assert leaves_nothing(world)


def test_a_6xx_cancels_a_phone_as_soon_as_that_may_be_done(world: World):
    """§16.7, steps 5 and 10; §9.1: a silent branch is given up with timer B, and 6xx it is."""
    caller, (desk, mobile), _ = calls(world, 2)
    fail(desk, desk.gets("INVITE"), 604)
    mobile.gets("INVITE")
    world.passes(31, step=0.5)
    assert heard(caller) == []
    world.passes(2, step=0.5)
    assert heard(caller)[:1] == [604]
    assert "CANCEL" not in heard(mobile)


# Step 6: the best


@cases(
    ("statuses", "best"),
    [
        ((503, 407, 501, 404), 407),  # the RFC's own example
        ((404, 480, 401, 486), 401),
        ((486, 480, 415, 404), 415),
        ((420, 486, 404, 408), 420),
        ((484, 486, 480, 487), 484),
        ((500, 501, 480, 503), 480),
        ((302, 404, 500, 486), 302),
        ((302, 401, 407, 606), 606),
        ((503, 503, 503, 503), 500),
        ((404, 486), 486),
        ((486, 480, 407), 407),
        ((503, 486), 486),
        ((503, 503), 500),
        ((302, 486), 302),
        ((500, 415, 404), 415),
        ((486, 603), 603),
    ],
)
def test_the_best_response_goes_back_in_any_order_of_arrival(
    world: World, statuses: tuple[int, ...], best: int
):
    """§16.7, step 6: 6xx, else the lowest class, in it what helps to ask better; no 503."""
    for order in itertools.islice(
        itertools.permutations(statuses), 0, 24, 5 if len(statuses) == 4 else 1
    ):
        world = World()
        caller, phones, _ = calls(world, len(statuses))
        invites = [phone.gets("INVITE") for phone in phones]
        for phone, invite, status in zip(phones, invites, order, strict=True):
            assert heard(caller) == []
            fail(phone, invite, status, ('WWW-Authenticate: Digest realm="a", nonce="1"',))
        assert heard(caller) == [best]


def test_a_phones_answer_beats_silence_and_dead_phones(world: World):
    """§16.7, step 6; §16.9: 503 and 408 for silent phones say less than a received response."""
    caller = world.phone("caller", registered=False)
    dead, silent, busy = world.phones("bob", "bob", "bob")
    world.dead.add(dead.address)
    caller.sends("INVITE", dead.aor, from_uri=STRANGER)
    silent.gets("INVITE")
    fail(busy, busy.gets("INVITE"), 486)
    assert heard(caller) == []
    world.passes(33, step=0.5)
    assert heard(caller)[:1] == [486]
    assert leaves_nothing(world)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_phones_that_are_all_dead_are_a_500(world: World, method: str):
    """§16.9: as if each had said 503, which is not passed on."""
    caller = world.phone("caller", registered=False)
    phones = world.phones("bob", "bob")
    world.dead.update(phone.address for phone in phones)
    caller.sends(method, phones[0].aor, from_uri=STRANGER)
    assert heard(caller) == [500]
    assert leaves_nothing(world)


def test_a_503_and_when_to_try_again_stay_here(world: World):
    """§16.7, step 6: upstream it would say that this server is overloaded."""
    caller, (bob,), _ = calls(world, 1)
    fail(bob, bob.gets("INVITE"), 503, ("Retry-After: 3600",))
    assert caller.gets(500).value("retry-after") is None


# Step 7: challenges


def test_challenges_of_both_kinds_go_back_in_one_response(world: World):
    """§16.7, step 7: all of 401 and 407, of every branch, unchanged; of no other status."""
    caller, phones, _ = calls(world, 4)
    fields = [
        ('WWW-Authenticate: Digest realm="a, b",  nonce="1" , qop="auth,auth-int"',),
        (
            'Proxy-Authenticate: Digest realm="c", nonce="2"',
            'Proxy-Authenticate: Bearer authz_server="https://h/"',
        ),
        ('www-authenticate: Digest realm="d", nonce="3"',),
        ('Proxy-Authenticate: Digest realm="e", nonce="4"',),
    ]
    invites = [phone.gets("INVITE") for phone in phones]
    for phone, invite, status, lines in zip(
        phones, invites, (401, 407, 401, 486), fields, strict=True
    ):
        fail(phone, invite, status, lines)
    response = caller.takes()
    while response.status == 100:
        response = caller.takes()
    assert response.status in (401, 407)
    values = [[line.partition(": ")[2] for line in lines] for lines in fields]
    assert response.fields("www-authenticate") == [*values[0], *values[2]]
    assert response.fields("proxy-authenticate") == values[1]


def test_challenges_of_branches_tried_in_turn_are_gathered_too(world: World):
    """§16.7, step 7: received so far in this response context."""
    caller = world.phone("caller", registered=False)
    desk, mobile = world.phone("bob", registered=False), world.phone("bob", registered=False)
    desk.registers(f"{desk.contact};q=0.9")
    mobile.registers(f"{mobile.contact};q=0.1")
    caller.sends("MESSAGE", desk.aor, from_uri=STRANGER)
    desk.answers(desk.gets("MESSAGE"), 407, headers=("Proxy-Authenticate: Digest realm=one",))
    mobile.answers(mobile.gets("MESSAGE"), 401, headers=("WWW-Authenticate: Digest realm=two",))
    response = caller.takes()
    assert response.fields("proxy-authenticate") == ["Digest realm=one"]
    assert response.fields("www-authenticate") == ["Digest realm=two"]


# Step 10, and responses after the handler has ended


def test_a_branch_with_only_a_100_is_cancelled_too(world: World):
    """§16.7, step 10: a branch with a provisional response is pending."""
    caller, (trying, silent, busy, winner), _ = calls(world, 4)
    invites = [phone.gets("INVITE") for phone in (trying, silent, busy, winner)]
    trying.answers(invites[0], 100)
    fail(busy, invites[2], 486)
    winner.answers(invites[3], 200)
    assert heard(trying) == ["CANCEL"]
    assert heard(silent) == heard(busy) == heard(winner) == []
    assert heard(caller) == [200]


def test_late_results_of_a_decided_call_are_handled(world: World):
    """§16.7, steps 5 and 9: failures acknowledged and kept, each 2xx passed on, nothing left."""
    caller, (winner, late, busy, second), _ = calls(world, 4)
    invites = [phone.gets("INVITE") for phone in (winner, late, busy, second)]
    winner.answers(invites[0], 200)
    caller.gets(200)
    fail(busy, invites[2], 486)
    fail(late, invites[1], 603)
    second.answers(invites[3], 200)
    second.answers(invites[3], 200)
    assert heard(caller) == [200, 200]
    assert leaves_nothing(world)


def test_a_caller_that_cannot_be_reached_ends_no_branch(world: World):
    """§16.9: the response is dropped, and outstanding branches are not cancelled."""
    caller, (desk, mobile), _ = calls(world, 2)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    world.dead.add(caller.address)
    desk.answers(at_desk, 180)
    mobile.answers(at_mobile, 180)
    assert desk.hears_nothing()
    assert mobile.hears_nothing()
    world.dead.clear()
    caller.inbox.clear()
    mobile.answers(at_mobile, 200)
    assert heard(caller) == [200]


def test_a_cancel_after_all_branches_ended_changes_nothing(world: World):
    """§16.10: nothing is pending; the call has been answered."""
    caller = world.phone("caller", registered=False)
    dead, busy = world.phones("bob", "bob")
    world.dead.add(dead.address)
    call = caller.sends("INVITE", dead.aor, from_uri=STRANGER)
    fail(busy, busy.gets("INVITE"), 486)
    caller.acknowledges(call, caller.gets(486))
    caller.cancels(call)
    assert heard(caller) == [200]
    assert busy.hears_nothing()
    assert leaves_nothing(world)
