"""A redirection is followed where the operator wants it (RFC 3261 §16.5, §16.7 step 4, §21.3)."""

import itertools

import pytest

from sip.message.message import Request, Response
from tests.support.cases import cases
from tests.support.world import REALM, Phone, World, dialog_of_callee, dialog_of_caller

STRANGER = "sip:x@elsewhere.org"
FOREIGN = "<sip:bob@elsewhere.org>"


@pytest.fixture
def world() -> World:
    """A server that follows redirections."""
    return World(settings={"sip_follow_redirects": True})


def statuses(phone: Phone) -> list[int | str]:
    """All that a phone has heard and not taken yet, but for a 100."""
    messages = [phone.takes() for _ in range(len(phone.inbox))]
    what = [m.status if isinstance(m, Response) else m.method for m in messages]
    return [item for item in what if item != 100]


def calls(world: World, callee: str = "bob", *headers: str) -> tuple[Phone, Request]:
    """An external caller of a user."""
    caller = world.phone("caller", registered=False)
    return caller, caller.sends(
        "INVITE", f"sip:{callee}@{REALM}", from_uri=STRANGER, headers=headers
    )


def redirects(phone: Phone, *contacts: str, status: int = 302) -> None:
    """Answer the INVITE that has come with a 3xx."""
    fields = tuple(f"Contact: {contact}" for contact in contacts)
    phone.answers(phone.gets("INVITE"), status, headers=fields)
    phone.gets("ACK")


def declines(phone: Phone, status: int = 486) -> None:
    phone.answers(phone.gets("INVITE"), status)
    phone.gets("ACK")


def at(user: str, params: str = "") -> str:
    return f"<sip:{user}@{REALM}>{params}"


def in_one_turn(world: World, *steps) -> None:
    """All that is sent meanwhile is read before any handler has its turn."""
    settle, world.settle = world.settle, lambda: None  # type: ignore[method-assign]
    for step in steps:
        step()
    world.settle = settle  # type: ignore[method-assign]
    world.settle()


# Followed to the end


@pytest.mark.parametrize("status", [300, 301, 302])
def test_a_call_goes_on_where_a_redirection_leads(world: World, status: int):
    """§16.7, step 4: the caller does not see the 3xx; the dialog is with the phone that answers."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    call = alice.sends("INVITE", bob.aor)
    redirects(bob, at("carol"), status=status)
    invite = carol.gets("INVITE")
    assert invite.uri_text == carol.contact.strip("<>")
    assert invite.value("to") == call.value("to")
    assert (invite.call_id, invite.from_.tag, invite.body) == (
        *(call.call_id, call.from_.tag),
        call.body,
    )
    carol.answers(invite, 180)
    alice.gets(180, call)
    ok = carol.answers(invite, 200)
    here, there = dialog_of_caller(call, alice.gets(200, call)), dialog_of_callee(invite, ok)
    alice.sends_within("ACK", here, cseq=call.cseq[0])
    carol.gets("ACK")
    carol.sends_within("BYE", there)
    alice.answers(alice.gets("BYE"), 200)
    carol.gets(200)
    assert bob.hears_nothing()
    world.passes(33, step=0.5)
    assert world.is_quiet


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "REFER", "FLY"])
def test_a_request_of_any_method_is_redirected(world: World, method: str):
    """§21.3: 3xx is no matter of INVITE alone."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    alice.sends(method, bob.aor)
    bob.answers(bob.gets(method), 302, headers=(f"Contact: {at('carol')}",))
    carol.answers(carol.gets(method), 200)
    assert statuses(alice) == [200]
    world.passes(33, step=0.5)
    assert world.is_quiet


@cases(
    "contact",
    [
        f"sip:555@{REALM}",
        f"<sip:555@{REALM}:5060>",
        "<sip:555@192.0.2.1>",
        f'"Carol, at home" <sip:%3555@{REALM.upper()}.;transport=tcp>;q=0.3;x=y',
        f"<sip:555@{REALM};method=BYE?Subject=x&Route=%3Csip:203.0.113.9%3E>",
        f"<sip:555@{REALM};maddr=192.0.2.1>",
        "<tel:555>",
    ],
)
def test_the_user_of_a_redirection_is_called_in_any_spelling(world: World, contact: str):
    """§16.5, §19.1.1: it is looked up as a Request-URI here would be; nothing else of it counts."""
    bob, other = world.phones("bob", "555")
    calls(world)
    redirects(bob, contact)
    invite = other.gets("INVITE")
    assert invite.uri_text == other.contact.strip("<>")
    assert not invite.values("route")
    assert "subject" not in invite.names


def test_redirections_follow_one_another(world: World):
    """§16.7, step 4: what a second one says is added in its turn."""
    bob, carol, dave, erin = world.phones("bob", "carol", "dave", "erin")
    caller, _ = calls(world)
    redirects(bob, at("carol"))
    redirects(carol, at("dave"), status=301)
    redirects(dave, at("erin"), status=300)
    erin.answers(erin.gets("INVITE"), 200)
    assert statuses(caller) == [200]


def test_the_phones_of_a_group_are_redirected_each_for_itself(world: World):
    """§16.7, step 4: several redirections, and all that they name rings."""
    desk, mobile, carol, dave = world.phones("bob", "bob", "carol", "dave")
    caller, _ = calls(world)
    redirects(desk, at("carol"))
    invite = carol.gets("INVITE")
    redirects(mobile, at("dave"))
    carol.answers(invite, 180)
    dave.answers(dave.gets("INVITE"), 200)
    assert carol.gets("CANCEL").fields("reason")
    assert statuses(caller) == [180, 200]


def test_a_user_named_by_two_redirections_rings_once(world: World):
    """§16.5: a known target is not added; the Contact that named it goes to the caller."""
    desk, mobile, carol = world.phones("bob", "bob", "carol")
    caller, _ = calls(world)
    redirects(desk, at("carol"))
    invite = carol.gets("INVITE")
    redirects(mobile, at("carol"))
    assert carol.hears_nothing()
    carol.answers(invite, 404)
    assert caller.gets(302).values("contact") == [at("carol")]


# Its order


def test_the_preference_of_the_new_addresses_is_kept(world: World):
    """§16.6, §20.10: by q, equals at once, without a q first; none before the higher has ended."""
    bob, *others = world.phones("bob", "carol", "dave", "erin", "frank")
    carol, dave, erin, frank = others
    caller, _ = calls(world)
    redirects(
        *(bob, at("carol", ";q=0.5")),
        *(f"{at('dave', ';q=0.9')}, {at('erin')}", at("frank", ";q=0.5")),
    )
    declines(erin)
    declines(dave)
    at_carol, at_frank = carol.gets("INVITE"), frank.gets("INVITE")
    assert statuses(caller) == []
    carol.answers(at_carol, 486)
    frank.answers(at_frank, 200)
    assert statuses(caller) == [200]


@pytest.mark.parametrize("q", ["1", "0.7", "0.001", "0", "0.0"])
def test_a_single_new_address_is_tried_with_any_q(world: World, q: str):
    """§20.10: q orders the targets, and excludes none."""
    bob, carol = world.phones("bob", "carol")
    calls(world)
    redirects(bob, at("carol", f";q={q}"))
    carol.gets("INVITE")


def test_the_new_addresses_come_before_less_preferred_phones(world: World):
    """§16.6: a group with a redirected phone ends only when the new targets have ended."""
    desk, mobile = world.phone("bob", registered=False), world.phone("bob", registered=False)
    desk.registers(f"{desk.contact};q=0.9")
    mobile.registers(f"{mobile.contact};q=0.8")
    carol, dave = world.phones("carol", "dave")
    caller, _ = calls(world)
    redirects(desk, at("carol", ";q=0.2"), at("dave", ";q=0.1"))
    for phone in (carol, dave, mobile):
        assert statuses(caller) == []
        declines(phone)
    assert statuses(caller) == [486]


def test_the_phones_of_a_new_address_ring_together(world: World):
    """§16.6: the q of a Contact in a 3xx is that of all which it is bound to."""
    bob = world.phone("bob")
    desk, mobile = world.phone("carol", registered=False), world.phone("carol", registered=False)
    desk.registers(f"{desk.contact};q=0.9")
    mobile.registers(f"{mobile.contact};q=0.1")
    calls(world)
    redirects(bob, at("carol"))
    desk.gets("INVITE")
    mobile.gets("INVITE")


def test_a_redirection_is_followed_while_another_phone_rings(world: World):
    """§16.7, step 4: at once; the first answer cancels the others."""
    desk, mobile, carol = world.phones("bob", "bob", "carol")
    caller, _ = calls(world)
    ringing = mobile.gets("INVITE")
    mobile.answers(ringing, 180)
    redirects(desk, at("carol"))
    invite = carol.gets("INVITE")
    carol.answers(invite, 180)
    mobile.answers(ringing, 200)
    assert statuses(caller) == [180, 180, 200]
    carol.answers(carol.gets("CANCEL"), 200)
    carol.answers(invite, 487)
    carol.gets("ACK")


def test_redirections_share_the_breadth_that_came(world: World):
    """RFC 5393 §5.3.3.1: what the redirected branch had is theirs; with 1, in turn."""
    bob, carol, dave = world.phones("bob", "carol", "dave")
    caller, _ = calls(world, "bob", "Max-Breadth: 1")
    redirects(bob, at("carol"), at("dave"))
    for phone in (carol, dave):
        invite = phone.gets("INVITE")
        assert invite.fields("max-breadth") == ["1"]
        assert dave.hears_nothing()
        assert statuses(caller) == []
        phone.answers(invite, 486)
        phone.gets("ACK")
    assert statuses(caller) == [486]


# The final response


@cases(("status", "got"), [(486, 486), (603, 603), (404, 404), (500, 500), (503, 500), (305, 305)])
def test_the_failure_of_a_redirection_target_is_the_answer(world: World, status: int, got: int):
    """§16.7, step 4: a redirection that has been followed whole is no answer any more."""
    bob, carol = world.phones("bob", "carol")
    caller, _ = calls(world)
    redirects(bob, at("carol"))
    declines(carol, status)
    assert statuses(caller) == [got]
    world.passes(33, step=0.5)


def test_the_silence_of_a_redirection_target_is_the_answer(world: World):
    """§16.7, §16.9: 408, and 500 for a phone out of reach."""
    bob, carol, dave = world.phones("bob", "carol", "dave")
    caller, _ = calls(world)
    redirects(bob, at("carol"))
    carol.gets("INVITE")
    world.passes(33, step=0.5)
    assert statuses(caller)[0] == 408
    caller.inbox.clear()
    world.dead.add(dave.address)
    caller, _ = calls(world)
    redirects(bob, at("dave"))
    assert statuses(caller)[0] == 500


def test_what_leads_elsewhere_stays_for_the_caller(world: World):
    """§16.7, step 4: followed contacts are removed, the rest goes back when all have failed."""
    bob, carol = world.phones("bob", "carol")
    caller, _ = calls(world)
    redirects(bob, FOREIGN, f"{at('carol')}, <mailto:bob@elsewhere.org>", at("nobody"))
    assert statuses(caller) == []
    declines(carol)
    response = caller.gets(302)
    assert response.fields("contact") == [FOREIGN, "<mailto:bob@elsewhere.org>", at("nobody")]


def test_contacts_left_in_a_3xx_are_not_needed_after_a_2xx(world: World):
    """§16.7, step 5."""
    bob, carol = world.phones("bob", "carol")
    caller, _ = calls(world)
    redirects(bob, FOREIGN, at("carol"))
    carol.answers(carol.gets("INVITE"), 200)
    assert statuses(caller) == [200]


@cases(
    "contacts",
    [
        (FOREIGN,),
        (at("bob"),),
        (at("nobody"), at("away")),
        (f"<sip:{REALM}>",),
        (f"<sip:carol@{REALM}:5999>",),
        (f"<sips:carol@{REALM}>",),
        (f"<sip:carol@{REALM};maddr=203.0.113.9>",),
        (),
    ],
)
def test_a_redirection_without_a_local_user_goes_back_unchanged(world: World, contacts):
    """§16.7, §26.2.2: external, the user itself, unknown, unregistered, or another transport.

    A SIPS address must not be reached without TLS; a maddr asks for another place.
    """
    world.phone("away", registered=False)
    bob, carol = world.phones("bob", "carol")
    caller, _ = calls(world)
    redirects(bob, *contacts)
    assert caller.gets(302).fields("contact") == list(contacts)
    assert carol.hears_nothing()
    assert bob.hears_nothing()


@pytest.mark.parametrize("status", [304, 305, 380, 399])
def test_redirections_of_other_kinds_are_for_the_caller(world: World, status: int):
    """§21.3.4, §21.3.5: 305 names a proxy, 380 another service, other codes are unknown."""
    bob, carol = world.phones("bob", "carol")
    caller, _ = calls(world)
    redirects(bob, at("carol"), status=status)
    assert caller.gets(status).fields("contact") == [at("carol")]
    assert carol.hears_nothing()


def test_two_users_that_redirect_to_each_other_ring_once_each(world: World):
    """RFC 5393 §4: no loop, and what led back is what the caller hears."""
    bob, carol = world.phones("bob", "carol")
    caller, _ = calls(world)
    redirects(bob, at("carol"))
    redirects(carol, at("bob"))
    assert bob.hears_nothing()
    assert caller.gets(302).fields("contact") == [at("bob")]
    world.passes(33, step=0.5)
    caller.inbox.clear()  # repeats of the 302
    assert world.is_quiet


@cases(
    "contact",
    [
        *("<sip:", "<>", "*", ",,,", "\\", '"', '"a, b', "<mailto:>", "<tel:>", "<tel:x>", "sip:"),
        f'"<sip:carol@{REALM}>',
        f"<sip:carol@{REALM}",
        f"<sip:carol@{REALM}:99999>",
        f"<sip:carol@{REALM}>;q=2",
        f"<sip:@{REALM}>",
        f"<sip:%zz@{REALM}>",
        f"<sip:car ol@{REALM}>",
        f"<sip:carol@{REALM};maddr=[>",
        "<sip:carol@[::1>",
        f"<sip:carol@{REALM}?Route=%zz>",
    ],
)
def test_a_contact_that_cannot_be_read_is_for_the_caller(world: World, contact: str):
    """§16.3, step 1: it harms neither the call nor the phone that goes on ringing."""
    desk, mobile, carol = world.phones("bob", "bob", "carol")
    caller, _ = calls(world)
    ringing = mobile.gets("INVITE")
    mobile.answers(ringing, 180)
    redirects(desk, contact)
    assert mobile.hears_nothing()
    assert carol.hears_nothing()
    assert statuses(caller) == [180]
    mobile.answers(ringing, 486)
    assert caller.gets(302).fields("contact") == [contact]


def test_what_can_be_read_beside_it_is_followed(world: World):
    """§16.7, step 4."""
    bob, carol = world.phones("bob", "carol")
    caller, _ = calls(world)
    redirects(bob, "<tel:>", at("carol"), "<sip:")
    declines(carol)
    assert caller.gets(302).fields("contact") == ["<tel:>", "<sip:"]


# When it comes too late


@pytest.mark.parametrize("is_late", [True, False])
def test_a_redirection_rings_no_phone_after_a_cancel(world: World, is_late: bool):
    """§16.10: in whichever order the two are heard."""
    bob, carol = world.phones("bob", "carol")
    caller, call = calls(world)
    invite = bob.gets("INVITE")
    bob.answers(invite, 180)
    steps = [
        lambda: caller.cancels(call),
        lambda: bob.answers(invite, 302, headers=(f"Contact: {at('carol')}",)),
    ]
    in_one_turn(world, *(steps if is_late else reversed(steps)))
    assert carol.hears_nothing()
    assert statuses(caller) == [180, 200, 302 if is_late else 487]
    world.passes(40, step=0.5)
    for phone in (caller, bob):
        phone.inbox.clear()
    assert world.is_quiet


@pytest.mark.parametrize("status", [200, 603])
@pytest.mark.parametrize("is_late", [True, False])
def test_a_redirection_rings_no_phone_once_the_call_is_decided(
    world: World, status: int, is_late: bool
):
    """§16.7, step 5: after a 2xx or 6xx; in one turn of the server, in either order."""
    desk, mobile, carol = world.phones("bob", "bob", "carol")
    caller, _ = calls(world)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    steps = [
        lambda: mobile.answers(at_mobile, status),
        lambda: desk.answers(at_desk, 302, headers=(f"Contact: {at('carol')}",)),
    ]
    in_one_turn(world, *(steps if is_late else reversed(steps)))
    assert carol.hears_nothing()
    assert statuses(caller) == [status]


def test_a_cancel_reaches_phones_that_ring_by_a_redirection(world: World):
    """§16.10: each pending branch, of any origin; a waiting target is not tried."""
    bob, carol, dave = world.phones("bob", "carol", "dave")
    caller, call = calls(world)
    redirects(bob, at("carol"), at("dave", ";q=0.1"))
    invite = carol.gets("INVITE")
    carol.answers(invite, 180)
    caller.cancels(call)
    carol.answers(carol.gets("CANCEL"), 200)
    carol.answers(invite, 487)
    carol.gets("ACK")
    assert statuses(caller) == [180, 200, 487]
    assert dave.hears_nothing()


def test_within_a_dialog_no_redirection_is_followed(world: World):
    """§16.5: the target there is not for us to change."""
    alice, bob, carol = world.phones("alice", "bob", "carol")
    call = alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 200)
    here = dialog_of_caller(call, alice.gets(200, call))
    alice.sends_within("INVITE", here)
    redirects(bob, at("carol"))
    assert alice.gets(302).fields("contact") == [at("carol")]
    assert carol.hears_nothing()


def test_unless_it_is_wanted_no_redirection_is_followed():
    """§16.7, step 4: it MAY be; a phone that knows more than we do shows it to its user."""
    world = World()
    bob, carol = world.phones("bob", "carol")
    caller, _ = calls(world)
    redirects(bob, at("carol"))
    assert caller.gets(302).fields("contact") == [at("carol")]
    assert carol.hears_nothing()


# Bounds


def test_many_new_addresses_are_followed_up_to_the_bound(world: World):
    """RFC 5393 §5: sixty users of one request; the remaining Contacts stay for the caller."""
    bob = world.phone("bob")
    names = [f"u{number}" for number in range(70)]
    others = [world.phone(name, host=f"198.18.0.{n}") for n, name in enumerate(names, 1)]
    caller, _ = calls(world)
    redirects(bob, ", ".join(map(at, names)))
    rung = [phone for phone in others if not phone.hears_nothing()]
    assert len(rung) == 59
    invites = [phone.gets("INVITE") for phone in rung]
    assert sum(int(invite.value("max-breadth") or 0) for invite in invites) == 60
    for phone, invite in zip(rung, invites, strict=True):
        phone.answers(invite, 486)
    assert caller.gets(302).values("contact") == [at(name) for name in names[59:]]


def test_a_chain_of_redirections_ends_at_the_bound(world: World):
    """RFC 5393 §5: each step is a branch of the one request."""
    chain = [world.phone(f"u{n}", host=f"198.18.0.{n + 1}") for n in range(70)]
    caller, _ = calls(world, "u0")
    seen = 0
    for phone, following in itertools.pairwise(chain):
        if phone.hears_nothing():
            break
        seen += 1
        redirects(phone, at(following.name))
    assert seen == 60
    assert caller.gets(302).values("contact") == [at("u60")]
    world.passes(33, step=0.5)
    caller.inbox.clear()
    assert world.is_quiet
    assert world.server.dispatcher.pending == 0
