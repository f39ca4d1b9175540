"""Several spellings of one telephone number (RFC 3261 §19.1.1, §19.1.6; RFC 3966)."""

import pytest

from sip.core.trunk import parse_trunks
from tests.support.cases import cases
from tests.support.world import REALM, Phone, World, dialog_of_callee, dialog_of_caller

NUMBER = "+4930123456"
SPELLINGS = [
    f"sip:{NUMBER}@{REALM}",
    f"sip:{NUMBER}@{REALM};user=phone",
    f"sip:+49-30-123.456@{REALM}",
    "sip:+49(30)123456@192.0.2.1;user=phone",
    f"sip:%2B49%2030%20123456@{REALM}",
    f"sip:{NUMBER};phone-context=anywhere.example@{REALM};user=phone",
    f"sip:+49-30-123456;postd=pp22@{REALM};user=phone",
    f"sip:{NUMBER};ext=5;tsp=a.b@{REALM}",
    f"sip:{NUMBER};isub=1411@{REALM}",
    f"tel:{NUMBER}",
    "TEL:+49-(30)-123.456",
    f"tel:{NUMBER};ext=5;phone-context=+49",
    f"tel:{NUMBER};POSTD=pp22",
]
LOCAL = [
    f"sip:7042@{REALM};user=phone",
    f"sip:70-42;phone-context={REALM}@{REALM};user=phone",
    "sip:7042;Phone-Context=EXAMPLE.com.;postd=1@192.0.2.1;user=phone",
    f"sip:7042;phone-context=+49-30@{REALM};user=phone",
    f"tel:7042;phone-context={REALM}",
    "tel:70(42);ext=5;phone-context=192.0.2.1",
    "tel:7042;phone-context=+4930",
    "tel:7042",
]
ELSEWHERE = [
    "tel:7042;phone-context=munich.example.org",
    f"sip:7042;phone-context=munich.example.org@{REALM};user=phone",
    f"sip:7042;phone-context=@{REALM}",
    f"sip:7042;phone-context={REALM}%3A5060@{REALM}",
    f"tel:7042;m-new=1;phone-context={REALM}",
    f"sip:7042;m-new@{REALM};user=phone",
]


@cases(("name", "uri"), [(NUMBER, uri) for uri in SPELLINGS] + [("7042", uri) for uri in LOCAL])
@cases("method", ["INVITE", "MESSAGE"])
def test_every_spelling_calls_the_one_user(world: World, name: str, uri: str, method: str):
    """RFC 3966 §4, §5.1.1, §5.1.5: what goes on is the Contact that the user has bound."""
    alice, desk = world.phones("alice", name)
    alice.sends(method, uri)
    assert desk.gets(method).uri_text == desk.contact.strip("<>")


@cases("uri", ELSEWHERE)
def test_a_number_of_another_context_is_no_user_here(world: World, uri: str):
    """RFC 3966 §5.1.5, §5.4, §9: 404, and for external callers the 480 of an absent user."""
    alice, desk = world.phones("alice", "7042")
    alice.sends("INVITE", uri)
    alice.gets(404)
    stranger = world.phone("stranger", registered=False)
    stranger.sends("INVITE", uri, from_uri="sip:x@elsewhere.org")
    stranger.gets(480)
    assert desk.hears_nothing()


@pytest.mark.parametrize("host", ["elsewhere.org", "example.com.elsewhere.org"])
def test_a_number_of_another_domain_is_that_domains(world: World, host: str):
    """§19.1.6: user=phone only says that the user part is a number."""
    alice, desk = world.phones("alice", NUMBER)
    alice.sends("INVITE", f"sip:{NUMBER}@{host};user=phone")
    alice.gets(403)
    assert desk.hears_nothing()


@cases("uri", SPELLINGS)
def test_a_caller_is_the_user_of_its_number(world: World, uri: str):
    """The digest has the name and the password of the account."""
    desk, bob = world.phones(NUMBER, "bob")
    bob.aor = f"sip:bob@{REALM}"
    desk.sends("INVITE", bob.aor, from_uri=uri)
    assert bob.gets("INVITE").from_.uri_text == uri
    thief = world.phone("thief", registered=False)
    thief.sends("INVITE", bob.aor, from_uri=uri)
    thief.gets(403)
    assert bob.hears_nothing()


def test_a_number_registers_once_however_it_is_spelled(world: World):
    """§10.3, step 5: all spellings of To are one address-of-record."""
    desk, alice = world.phone(NUMBER, registered=False), world.phone("alice")
    for spelling in SPELLINGS:
        if spelling.startswith("sip:"):
            desk.aor = spelling
            assert len(desk.registers().values("contact")) == 1
    assert {row.aor for row in world.bindings.rows.values()} == {
        f"{NUMBER}@{REALM}",
        f"alice@{REALM}",
    }
    world.start_server()
    alice.sends("INVITE", f"tel:{NUMBER}")
    desk.gets("INVITE")
    other = world.phone("7042")
    other.aor = SPELLINGS[2]
    assert other.registers().status == 403


@cases("uri", SPELLINGS)
def test_a_dialog_with_a_number_follows_its_phone(world: World, uri: str):
    """§12.2: the user that To or From means is registered elsewhere by now."""
    alice, desk = world.phones("alice", NUMBER)
    instance = ';+sip.instance="<urn:uuid:1>"'
    desk.registers(expires=0)
    desk.contact = f"<sip:0x12ab@{desk.address[0]}:5060>"  # which names no user
    desk.registers(desk.contact + instance)
    invite = alice.sends("INVITE", uri)
    ok = desk.answers(desk.gets("INVITE"), 200)
    here = dialog_of_caller(invite, alice.gets(200))
    here.remote = uri
    desk.registers(expires=0)
    moved = world.phone(NUMBER, registered=False, host="192.0.2.77")
    moved.registers(moved.contact + instance)
    alice.sends_within("INFO", here)
    info = moved.gets("INFO")
    there = dialog_of_callee(invite, ok)
    there.routes = list(reversed(here.routes))
    moved.aor, there.remote = uri, alice.aor
    moved.answers(info, 200)
    alice.gets(200)
    moved.sends_within("BYE", there)
    alice.gets("BYE")
    assert desk.hears_nothing()


# Names that only look like numbers, and numbers that are stored with separators


@cases("name", ["bob-2", "a.b", "(x)", "~1-2", "1-2a", "x;ext=5"])
def test_a_name_that_is_no_number_keeps_its_separators(world: World, name: str):
    """§10.3, step 5: names are compared as they are."""
    alice, bob = world.phones("alice", name)
    alice.sends("INVITE", bob.aor)
    bob.gets("INVITE")
    bare = "".join(character for character in name.partition(";")[0] if character not in "-.()")
    alice.inbox.clear()
    alice.sends("INVITE", f"sip:{bare}@{REALM}")
    alice.gets(404)


@pytest.mark.parametrize("uri", [f"sip:030-123@{REALM}", f"sip:030123@{REALM}", "tel:0(30)123"])
def test_an_account_may_be_stored_with_separators(world: World, uri: str):
    """The number is that of the account, whichever of the two has them."""
    alice, desk = world.phones("alice", "030-123")
    alice.sends("INVITE", uri)
    desk.gets("INVITE")
    desk.sends("MESSAGE", alice.aor, from_uri=uri)
    alice.inbox.clear()
    desk.sends("MESSAGE", alice.aor, from_uri=uri)
    alice.gets("MESSAGE")


def test_the_account_of_exactly_a_name_goes_first(world: World):
    """An admin may have given 10-1 and 101 to two users."""
    alice, first, second = world.phones("alice", "10-1", "101")
    for uri, phone in (
        (first.aor, first),
        (second.aor, second),
        (f"sip:1-01@{REALM}", second),
        ("tel:10-1", second),
    ):
        alice.sends("MESSAGE", uri)
        phone.gets("MESSAGE")
    second.sends("MESSAGE", alice.aor, from_uri=first.aor)
    second.gets(403)


# Redirections and trunks


@cases("contact", SPELLINGS)
def test_a_redirection_to_a_number_rings_its_user(contact: str):
    """§16.5: a Contact of a 3xx is looked up as a Request-URI here would be."""
    world = World(settings={"sip_follow_redirects": True})
    alice, bob, desk = world.phones("alice", "bob", NUMBER)
    alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 302, headers=(f"Contact: <{contact}>",))
    desk.gets("INVITE")


@pytest.fixture
def gateway() -> Phone:
    """A gateway that takes every number in Berlin."""
    world = World(settings={"sip_trunk": parse_trunks("+49 30-=sip:203.0.113.9")})
    return world.phone("gateway", registered=False, host="203.0.113.9")


@pytest.mark.parametrize("uri", SPELLINGS)
def test_a_number_leaves_by_its_trunk_in_one_form(gateway: Phone, uri: str):
    """RFC 3966 §9: the proxy translates what its gateway is to dial."""
    alice = gateway.world.phone("alice")
    alice.sends("INVITE", uri)
    assert gateway.gets("INVITE").uri_text == f"sip:{NUMBER}@203.0.113.9"


def test_a_number_of_another_context_leaves_by_no_trunk():
    """RFC 3966 §9: a context that isn't understood is never dialled."""
    world = World(settings={"sip_trunk": parse_trunks("7=sip:203.0.113.9")})
    gateway = world.phone("gateway", registered=False, host="203.0.113.9")
    alice = world.phone("alice")
    for uri in ELSEWHERE:
        alice.sends("INVITE", uri)
        alice.gets(404)
    assert gateway.hears_nothing()
    alice.sends("INVITE", "tel:%37042%23")
    assert gateway.gets("INVITE").uri_text == "sip:7042%23@203.0.113.9"


# External callers with a number


@pytest.mark.parametrize(
    "from_uri", ["tel:+15551234", "tel:+15551234;ext=1", "tel:7042;phone-context=far.example"]
)
def test_an_external_caller_with_a_number_is_accepted(world: World, from_uri: str):
    """Like one from a foreign domain: to a user here, and nowhere else."""
    bob, _ = world.phones("bob", "7042")
    stranger = world.phone("stranger", registered=False)
    stranger.sends("INVITE", bob.aor, from_uri=from_uri)
    assert bob.gets("INVITE").from_.uri_text == from_uri
    stranger.inbox.clear()
    stranger.sends("INVITE", "sip:x@elsewhere.org", from_uri=from_uri)
    stranger.gets(403)
    stranger.sends("INVITE", f"sip:nobody@{REALM}", from_uri=from_uri)
    stranger.gets(480)


@pytest.mark.parametrize("calls_from_outside", [True, False])
def test_external_callers_do_not_learn_which_numbers_are_users(calls_from_outside: bool):
    """Only a caller that would ring another user in a local user's name is challenged."""
    world = World(settings={"sip_calls_from_outside": calls_from_outside})
    bob, _, stranger = world.phone("bob"), world.phone("7042"), world.phone("x", registered=False)
    world.users.add("carol", "secret")
    answers = {}
    for number in ("7042", "7043"):
        for uri in ("sip:x@elsewhere.org", f"sip:nobody@{REALM}", f"sip:carol@{REALM}", "tel:9"):
            stranger.sends("INVITE", uri, from_uri=f"tel:{number}", answers_challenge=False)
            answers.setdefault(number, []).append(stranger.takes().status)
    assert answers["7042"] == answers["7043"]
    assert 407 not in answers["7042"]
    stranger.sends("INVITE", bob.aor, from_uri="tel:7042", answers_challenge=False)
    stranger.gets(407 if calls_from_outside else 403)
    assert bob.hears_nothing()


def test_a_user_may_call_by_its_number_wherever_that_leads(world: World):
    """Its phone is registered, so it is asked for the password first, as for a sip: URI of ours."""
    desk = world.phone("7042")
    for uri in ("sip:x@elsewhere.org", f"sip:nobody@{REALM}"):
        desk.sends("INVITE", uri, from_uri="tel:70-42", answers_challenge=False)
        desk.gets(407)


def test_calls_from_outside_may_be_off_for_numbers_too():
    """The setting means every caller without an account here."""
    world = World(settings={"sip_calls_from_outside": False})
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    stranger.sends("INVITE", bob.aor, from_uri="tel:+15551234")
    stranger.gets(403)
    stranger.sends(
        "INVITE", bob.aor, from_uri=f"sip:+15551234@{REALM};user=phone", answers_challenge=False
    )
    stranger.gets(407)
    assert bob.hears_nothing()
