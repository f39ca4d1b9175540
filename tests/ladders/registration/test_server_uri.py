"""Requests to the server itself, and to a user's own address (RFC 3261 §8.2, §11.2)."""

import pytest

from sip.message.message import Response
from tests.support.cases import cases
from tests.support.world import REALM, SDP, Phone, World, dialog_of_caller

STRANGER = "sip:x@elsewhere.org"
OWN = (f"sip:{REALM}", "sip:192.0.2.1", "sip:192.0.2.1:5060;lr", "sip:EXAMPLE.com.;transport=udp")
ALLOWED = "ACK, CANCEL, OPTIONS, REGISTER"


@pytest.fixture
def stranger(world: World) -> Phone:
    return world.phone("stranger", registered=False)


def asks(phone: Phone, method: str, uri: str, *headers: str, **more) -> Response:
    """Send a request of an external caller; return the one response, without a 100."""
    more.setdefault("from_uri", STRANGER)
    phone.transmits(phone.request(method, uri, headers=headers, **more))
    answers = [phone.takes() for _ in range(len(phone.inbox))]
    (answer,) = [a for a in answers if not (isinstance(a, Response) and a.status == 100)]
    assert isinstance(answer, Response)
    return answer


# Methods, §8.2.1


@pytest.mark.parametrize(
    "method",
    "INVITE BYE MESSAGE SUBSCRIBE NOTIFY PUBLISH REFER INFO UPDATE PRACK".split(),
)
@pytest.mark.parametrize("uri", OWN)
def test_a_known_method_that_the_server_does_not_serve_is_405(
    world: World, stranger: Phone, method: str, uri: str
):
    """§8.2.1, §21.4.6: with the methods it accepts; no user without a name is looked up."""
    answer = asks(stranger, method, uri)
    assert (answer.status, answer.fields("allow")) == (405, [ALLOWED])
    assert answer.to.tag
    world.passes(1)
    assert world.is_quiet


@pytest.mark.parametrize(
    "method", ["FLY", "invite", "register", "options", "X" * 90, "A.b-C!%*_+`"]
)
@pytest.mark.parametrize("uri", OWN[:2])
def test_an_unknown_method_is_501(stranger: Phone, method: str, uri: str):
    """§8.2.1, §21.5.2: methods have case."""
    assert asks(stranger, method, uri).status == 501


@pytest.mark.parametrize(("method", "status"), [("INVITE", 405), ("FLY", 501)])
def test_a_method_is_refused_without_a_challenge(
    world: World, stranger: Phone, method: str, status: int
):
    """§8.2.1: for any sender, with our Route before it, within a dialog or outside of one."""
    for more in (
        {"from_uri": f"sip:alice@{REALM}"},
        {"headers": ("Route: <sip:192.0.2.1;lr>",)},
        {"to": f"<sip:{REALM}>;tag=gone"},
    ):
        request = stranger.request(method, f"sip:{REALM}", **({"from_uri": STRANGER} | more))
        stranger.transmits(request)
        stranger.gets(status, request)


def test_the_method_is_judged_before_what_is_required(stranger: Phone):
    """§8.2: in this order."""
    assert asks(stranger, "MESSAGE", f"sip:{REALM}", "Require: 100rel").status == 405


@pytest.mark.parametrize("uri", [f"sip:{REALM}", "sip:192.0.2.1"])
def test_an_ack_to_the_server_is_never_answered(world: World, stranger: Phone, uri: str):
    """§17.1.1.3, §13.2.2.4."""
    stranger.transmits(stranger.request("ACK", uri, from_uri=STRANGER))
    assert stranger.hears_nothing()
    assert world.is_quiet


def test_a_call_to_a_user_is_none_to_the_server(world: World, stranger: Phone):
    """§16.5: the same addresses with a user before them are looked up."""
    bob = world.phone("bob")
    for uri in OWN:
        stranger.sends("INVITE", uri.replace("sip:", "sip:bob@"), from_uri=STRANGER)
        bob.gets("INVITE")


# OPTIONS, §11.2


@pytest.mark.parametrize("uri", OWN)
@pytest.mark.parametrize("hops", [0, 1, 70])
def test_options_to_the_server_says_what_it_serves(stranger: Phone, uri: str, hops: int):
    """§11.2: Allow, Accept, Accept-Encoding, Accept-Language and Supported; no hop is needed."""
    request = stranger.request("OPTIONS", uri, from_uri=STRANGER)
    request.set("max-forwards", f"Max-Forwards: {hops}")
    stranger.transmits(request)
    answer = stranger.gets(200, request)
    assert answer.fields("allow") == [ALLOWED]
    assert answer.fields("accept") == ["application/sdp"]
    assert answer.fields("accept-encoding") == ["identity"]
    assert answer.fields("accept-language") == ["en"]
    assert answer.fields("supported") == ["gruu, outbound, path"]
    assert answer.value("date") == "Tue, 14 Nov 2023 22:30:00 GMT"
    assert not answer.body
    assert "contact" not in answer.names


def test_options_to_a_user_is_for_its_phone(world: World, stranger: Phone):
    """§11.2: with 200 from there, and 480 for a user without a phone."""
    bob = world.phone("bob")
    request = stranger.request("OPTIONS", bob.aor, from_uri=STRANGER)
    stranger.transmits(request)
    bob.answers(bob.gets("OPTIONS"), 200, headers=("Allow: INVITE",))
    assert stranger.gets(200, request).fields("allow") == ["INVITE"]
    assert asks(stranger, "OPTIONS", f"sip:nobody@{REALM}").status == 480


# Bodies, §8.2.3


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (("Content-Type: application/sdp",), 200),
        (("c: application/SDP ; charset=x",), 200),
        (("Content-Type: application/sdp", "Content-Encoding: identity"), 200),
        (("Content-Type: text/plain", "Content-Disposition: render;handling=optional"), 200),
        (("Content-Type: text/plain", "Content-Disposition: x ; handling = OPTIONAL"), 200),
        (("Content-Type: text/plain",), 415),
        (("Content-Type: text/plain", "Content-Disposition: session;handling=required"), 415),
        (("Content-Type: application/sdp", "e: gzip"), 415),
        (("Content-Type: multipart/mixed;boundary=b",), 415),
        ((), 415),
    ],
)
def test_a_body_to_the_server_is_of_a_type_that_it_knows(
    world: World, stranger: Phone, fields: tuple[str, ...], status: int
):
    """§8.2.3: 415 lists what would do; a body that may be ignored is."""
    answer = asks(stranger, "OPTIONS", f"sip:{REALM}", *fields, body=SDP)
    assert answer.status == status
    assert answer.fields("accept") == ["application/sdp"]
    assert answer.fields("accept-encoding") == ["identity"]
    alice = world.phone("alice", registered=False)
    more = (*fields, f"Contact: {alice.contact}")
    register = alice.request(
        "REGISTER", f"sip:{REALM}", to=f"<{alice.aor}>", headers=more, body=SDP
    )
    alice.transmits(register)
    alice.gets(415 if status == 415 else 401, register)
    assert not world.bindings.rows


def test_what_is_required_is_judged_before_the_body(stranger: Phone):
    """§8.2.2.3, §8.2.3."""
    more = ("Require: pref", "Content-Type: text/plain")
    assert asks(stranger, "OPTIONS", f"sip:{REALM}", *more, body=SDP).status == 420


def test_the_body_of_what_goes_on_is_no_matter_of_ours(world: World, stranger: Phone):
    """§16.3, step 1."""
    bob = world.phone("bob")
    fields = ("Content-Type: text/odd", "Content-Encoding: gzip")
    stranger.transmits(stranger.request("OPTIONS", bob.aor, headers=fields, body=SDP))
    stranger.gets(407)
    stranger.transmits(
        stranger.request("OPTIONS", bob.aor, headers=fields, body=SDP, from_uri=STRANGER)
    )
    assert bob.gets("OPTIONS").body == SDP


# A user's own address, RFC 6665 §4.2.1.1, RFC 3903 §6


@cases("method", ["SUBSCRIBE", "PUBLISH"])
@cases("uri", [f"sip:alice@{REALM}", "sip:%61lice@192.0.2.1:5060;user=phone"])
@cases("event", ["Event: reg", "o: message-summary;id=7", "Event: x-nobody.winfo"])
def test_a_phone_that_asks_about_its_own_address_gets_489(
    world: World, method: str, uri: str, event: str
):
    """RFC 6665 §4.2.1.1: no event package is served here, and it isn't asked of itself."""
    alice, other = world.phones("alice", "alice")
    alice.sends(method, uri, headers=(event,))
    refusal = alice.gets(489)
    assert refusal.reason == "Bad Event"
    assert "allow-events" not in refusal.names
    assert other.hears_nothing()
    assert alice.hears_nothing()


@pytest.mark.parametrize("method", ["SUBSCRIBE", "PUBLISH"])
def test_so_is_one_that_is_not_registered_or_names_no_event(world: World, method: str):
    """RFC 6665 §4.2.1.1: it makes no difference to the answer."""
    alice = world.phone("alice", registered=False)
    alice.sends(method, alice.aor, headers=("Event: reg",))
    alice.gets(489)
    alice.sends(method, alice.aor)
    alice.gets(489)


@pytest.mark.parametrize("method", ["SUBSCRIBE", "PUBLISH"])
def test_a_489_comes_only_after_the_password(world: World, method: str):
    """RFC 6665 §4.2.1.2, §22.1."""
    alice = world.phone("alice")
    alice.sends(method, alice.aor, headers=("Event: reg",), answers_challenge=False)
    alice.gets(407)


@pytest.mark.parametrize("method", ["SUBSCRIBE", "PUBLISH"])
def test_what_others_ask_about_a_user_reaches_his_phone(world: World, stranger: Phone, method: str):
    """§16.5: another user, an external caller, and an external caller with the same user name."""
    alice, bob = world.phones("alice", "bob")
    bob.sends(method, alice.aor, headers=("Event: presence",))
    alice.gets(method)
    for uri in (STRANGER, "sip:alice@elsewhere.org"):
        stranger.sends(method, alice.aor, from_uri=uri, headers=("Event: presence",))
        alice.gets(method)


def test_users_of_one_name_in_two_realms_are_two(world: World):
    """§10.3, step 5: an address-of-record has a domain."""
    world.users.add("alice", "secret", "other.example")
    alice, elder = world.phone("alice"), world.phone("elder", registered=False)
    elder.name, elder.aor = "alice", "sip:alice@other.example"
    elder.sends("SUBSCRIBE", alice.aor, headers=("Event: presence",))
    alice.gets("SUBSCRIBE")


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "NOTIFY", "FLY"])
def test_other_requests_to_ones_own_address_reach_other_phones(world: World, method: str):
    """§16.5: calling oneself is calling all one's phones, this one included."""
    desk, mobile = world.phones("alice", "alice")
    desk.sends(method, desk.aor)
    mobile.gets(method)


def test_within_a_dialog_a_subscription_goes_on(world: World):
    """RFC 6665 §4.1.2.2: a refresh is not for this server, even if a user has the same name."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("SUBSCRIBE", bob.aor, headers=("Event: presence",))
    bob.answers(bob.gets("SUBSCRIBE"), 200)
    here = dialog_of_caller(call, alice.gets(200, call))
    alice.sends_within("SUBSCRIBE", here, headers=("Event: presence",))
    bob.gets("SUBSCRIBE")


# REGISTER of other domains, §10.3 step 1


@pytest.mark.parametrize(
    ("uri", "headers"),
    [
        ("sip:elsewhere.org", ()),
        ("sip:203.0.113.9", ()),
        (f"sip:{REALM}:5999", ()),
        ("sip:192.0.2.1:5999", ()),
        ("sip:elsewhere.org", ("Route: <sip:192.0.2.1;lr>",)),
        ("sip:elsewhere.org", ("Route: <sip:192.0.2.1;lr>, <sip:203.0.113.9;lr>",)),
        (f"sip:{REALM}", ("Route: <sip:203.0.113.9;lr>",)),
        (f"sip:{REALM}", ("Route: <sip:192.0.2.1;lr>", "Route: <sip:203.0.113.9;lr>")),
    ],
)
def test_a_register_for_another_server_is_not_forwarded(
    world: World, stranger: Phone, uri: str, headers: tuple[str, ...]
):
    """§10.3, step 1: a request like any other, and calls to outside are off."""
    assert asks(stranger, "REGISTER", uri, *headers, to="<sip:x@elsewhere.org>").status == 403
    alice = world.phone("alice", registered=False)
    more = (*headers, f"Contact: {alice.contact}")
    alice.sends("REGISTER", uri, to=f"<{alice.aor}>", headers=more, answers_challenge=False)
    alice.gets(407)
    alice.sends("REGISTER", uri, to=f"<{alice.aor}>", headers=more)
    alice.gets(403)
    assert not world.lost
    assert not world.bindings.rows


def test_a_register_with_our_own_route_before_it_is_ours(world: World):
    """§16.4, §10.3: what names us is taken off; the registrar serves it."""
    alice = world.phone("alice", registered=False)
    answer = alice.registers(headers=("Route: <sip:192.0.2.1;lr>", "Route: <sip:example.com;lr>"))
    assert answer.status == 200
    assert world.bindings.rows


# OPTIONS
