"""Log lines: refusals with cause and remedy, waits, and registrations."""

import logging
from ipaddress import ip_network

import pytest

from sip.core.guard.password_limits import FIRST_BLOCK_SECONDS, MAX_FAILURES_OF_USER
from sip.core.registrar.bindings import MAX_CONTACTS
from sip.core.request_log import MAX_REFUSALS_LOGGED, MAX_REGISTRATIONS_LOGGED
from sip.message.message import parse
from sip.store.accounts import CredentialsChanged, full_name
from tests.support.cases import cases
from tests.support.world import REALM, World


@pytest.fixture(autouse=True)
def at_info(caplog):
    caplog.set_level(logging.INFO)


def rows(world: World) -> list:
    return world.server.request_log.refusals.latest()


def lines(caplog, beginning: str) -> list[str]:
    said = [
        record.getMessage() for record in caplog.records if record.name == "sip.core.request_log"
    ]
    return [line for line in said if line.startswith(beginning)]


def tries(phone, password: str, *, username: str = "", call_id: str = ""):
    """Register with a password, which may be wrong; gives the answer to it."""
    headers = (f"Contact: {phone.contact}", "User-Agent: Desk 1")
    to = f"<{phone.aor}>"
    first = phone.request("REGISTER", f"sip:{REALM}", to=to, call_id=call_id, headers=headers)
    phone.transmits(first)
    challenge = parse(phone.inbox.pop())
    phone.transmits(phone.with_credentials(first, challenge, password, username))
    return parse(phone.inbox.pop())


# One typo


def test_a_phone_that_answers_each_challenge_has_made_one_typo(world: World):
    """Five wrong answers in one Call-ID at once; the right password is let in a second later."""
    bob = world.phone("bob", registered=False)
    first = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>")
    bob.transmits(first)
    answer, nonces = bob.gets(401), set()
    for _ in range(5):
        bob.transmits(bob.with_credentials(first, answer, "wrong"))
        answer = bob.gets(401)
        nonces.add(answer.value("www-authenticate"))
    assert len(nonces) == 1  # no other than it had, so most phones stop after the first
    for _ in range(MAX_FAILURES_OF_USER - 2):
        assert tries(bob, "wrong").status == 401
    assert tries(bob, "secret").status == 200


def test_a_wrong_answer_that_is_repeated_is_one_try(world: World):
    """RFC 3261 §17.1.2.2: a datagram comes again until its answer is heard."""
    bob = world.phone("bob", registered=False)
    first = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>")
    bob.transmits(first)
    wrong = bob.with_credentials(first, bob.gets(401), "wrong")
    for _ in range(11):
        bob.transmits(wrong)
        bob.gets(401)
        world.passes(4.0)
    assert tries(bob, "secret").status == 200


@pytest.mark.parametrize("how", ["password", "enabled", "address", "network", "user"])
def test_what_the_operator_does_lifts_a_wait_at_once(world: World, how: str):
    """Or the phone would go on hearing 401 to its right password, for ten minutes and more."""
    bob = world.phone("bob", registered=False)
    for _ in range(MAX_FAILURES_OF_USER):
        tries(bob, "wrong")
    assert tries(bob, "secret").status == 401
    guard, account = world.server.guard, world.users.find("bob", REALM)
    match how:
        case "password" | "enabled":
            world.bus.publish(CredentialsChanged([account]))
        case "address":
            guard.load_bans([], [bob.address[0]])
        case "network":
            guard.forgive({"bob"}, ip_network("192.0.2.0/24"))
        case "user":
            guard.forgive({"bob"})
    assert tries(bob, "secret").status == 200


# Refusals


def wrong_domain(world: World, settings_off: bool = False):
    phone = world.phone("bob", registered=False)
    uri = "sip:example.net"
    phone.sends("REGISTER", uri, to="<sip:bob@example.net>", from_uri="sip:bob@example.net")


def wrong_name(world: World):
    tries(world.phone("bob", registered=False), "secret", username="robert")


def another_name(world: World):
    world.users.add("robert", "secret")
    tries(world.phone("bob", registered=False), "secret", username="robert")


def disabled(world: World):
    bob = world.phone("bob", registered=False)
    world.users.find("bob", REALM).enabled = False
    tries(bob, "secret")


def has_to_wait(world: World):
    bob = world.phone("bob", registered=False)
    for _ in range(MAX_FAILURES_OF_USER + 1):
        tries(bob, "wrong")


def too_many_contacts(world: World):
    bob = world.phone("bob", registered=False)
    for number in range(MAX_CONTACTS + 1):
        other = world.phone("bob", registered=False)
        request = other.request(
            "REGISTER",
            f"sip:{REALM}",
            to=f"<{bob.aor}>",
            headers=(f"Contact: {other.contact}", f"User-Agent: Phone/{number}"),
        )
        other.transmits(request)
        other.transmits(other.with_credentials(request, other.gets(401)))


def not_registered(world: World):
    world.users.add("carol", "secret")
    world.phone("bob").sends("INVITE", f"sip:carol@{REALM}")


def callee_disabled(world: World):
    world.users.add("carol", "secret").enabled = False
    world.phone("bob").sends("INVITE", f"sip:carol@{REALM}")


def nobody(world: World):
    world.phone("bob").sends("INVITE", f"sip:999@{REALM}")


def to_outside(world: World):
    world.phone("bob").sends("INVITE", "sip:x@example.net")


@cases(
    ("happens", "row", "cause", "cure"),
    [
        (lambda world: tries(world.phone("bob", registered=False), "wrong"),
         ("REGISTER", 401, "bob", ""), "wrong password for bob", "set a new one"),
        (wrong_name, ("REGISTER", 401, "bob", ""), "unknown user robert", "add the user"),
        (another_name, ("REGISTER", 403, "bob", ""), "robert may not act as bob", "the same name"),
        (disabled, ("REGISTER", 401, "bob", ""), "account bob is disabled", "Enable"),
        (has_to_wait, ("REGISTER", 401, "bob", ""),
         "too many wrong passwords for bob, logins are blocked", "sipserver.py forgive bob"),
        (too_many_contacts, ("REGISTER", 503, "bob", ""),
         f"contact limit reached: {MAX_CONTACTS} contacts, none of this phone to replace",
         "Remove unused contacts"),
        (wrong_domain, ("REGISTER", 403, "bob@example.net", ""),
         "example.net is no domain of this server",
         "Set the domain on the phone to 192.0.2.1, or start with -sip.domains example.net."),
        (not_registered, ("INVITE", 480, "bob", "carol"), "callee carol is not registered",
         "is switched on"),
        (callee_disabled, ("INVITE", 480, "bob", "carol"), "callee carol is disabled", "Enable"),
        (nobody, ("INVITE", 404, "bob", "999"), "unknown callee 999", "the dialled number"),
        (to_outside, ("INVITE", 403, "bob", "x@example.net"),
         "sip:x@example.net is external, -sip.calls_to_outside is off",
         "-sip.calls_to_outside on"),
    ],
)  # fmt: skip
def test_a_refusal_is_kept_with_its_cause_and_cure(world: World, caplog, happens, row, cause, cure):
    happens(world)
    latest = rows(world)[0]
    assert (latest.method, latest.status, latest.user, latest.to) == row
    assert latest.cause == cause
    assert cure in latest.cure
    assert latest.address.startswith("192.0.2.1")
    line = lines(caplog, "refused")[-1]
    assert line.startswith(f"refused {row[0]} {row[1]} from bob@example.")
    assert f" at {latest.address}:5060: {cause}" in line


@pytest.mark.parametrize(
    ("name", "aor"),
    [
        ("+4930123", f"sip:+49-30-123@{REALM};user=phone"),
        ("jo\u0308rg", f"sip:j%C3%B6rg@{REALM}"),
        ("ann@example.org", f"sip:ann%40example.org@{REALM}"),
    ],
)
def test_a_refusal_is_kept_with_its_user_in_any_spelling(world: World, name: str, aor: str):
    """The page of the user shows it by the name of the account."""
    phone = world.phone(name, registered=False)
    phone.aor = aor
    assert tries(phone, "wrong").status == 401
    (row,) = world.server.request_log.refusals.of_user(full_name(name), name, REALM)
    assert row.username == name
    assert tries(phone, "secret", username=name).status == 200


def test_a_wrong_domain_is_reported_when_external_calls_are_off(caplog):
    world = World(settings={"sip_calls_from_outside": False})
    wrong_domain(world)
    stranger = world.phone("stranger", registered=False)
    stranger.sends("INVITE", f"sip:bob@{REALM}", from_uri="sip:x@example.net")
    second, first = (row.cause for row in rows(world))
    assert first.startswith("example.net is no domain")
    assert second == "external caller from example.net, -sip.calls_from_outside is off"


def test_a_wrong_port_is_reported_without_a_domain_hint(world: World):
    phone = world.phone("bob", registered=False)
    uri = "sip:192.0.2.1:5999"
    phone.sends("REGISTER", uri, to="<sip:bob@192.0.2.1:5999>", from_uri="sip:bob@example.net")
    (row,) = rows(world)
    assert row.cause.startswith("192.0.2.1:5999 is no domain of")
    assert row.cure == "Set the domain on the phone to 192.0.2.1."


def test_what_a_phone_mends_by_itself_is_no_refusal(world: World, caplog):
    """A first challenge, a stale nonce, a wish for too short a time (§10.2.8)."""
    bob = world.phone("bob")
    request = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>")
    bob.transmits(request)
    right = bob.with_credentials(request, bob.gets(401))
    for _ in range(2):
        bob.transmits(right)
        world.passes(33.0)
    bob.inbox.clear()
    assert bob.registers(expires=7).status == 423
    world.passes(400.0, step=10.0)
    bob.transmits(right)
    assert "stale=true" in bob.gets(401).value("www-authenticate")
    assert rows(world) == []


def test_refusals_of_external_callers_have_their_own_rows(world: World):
    """The source of a datagram may be forged."""
    stranger = world.phone("stranger", registered=False)
    for number in range(20):
        stranger.sends("INVITE", f"sip:no{number}@{REALM}", from_uri=f"sip:x{number}@example.net")
    tables = world.server.request_log.refusals._tables
    assert [len(table.rows) for table in tables] == [0, 0, 20]


def test_a_line_names_both_parties_and_no_secret(world: World, caplog):
    """Caller and callee, on one line for any text of a peer."""
    phone = world.phone("bob", registered=False)
    assert tries(phone, "not-the-password").status == 401
    phone.sends("INVITE", "sip:%0d%0aroot@example.net", from_uri="sip:a%20b@example.net")
    phone.sends("MESSAGE", "tel:+49-30-1;phone-context=x", from_uri="sip:x@example.net")
    first, second, third = lines(caplog, "refused")
    assert first == (
        f"refused REGISTER 401 from bob@{REALM} to bob@{REALM} at {phone.sent_by}:"
        " wrong password for bob"
    )
    assert "from a%20b@example.net to %0d%0aroot@example.net at" in second
    assert "to tel:+49-30-1" in third
    assert "nonce" not in caplog.text
    assert "not-the-password" not in caplog.text


def test_a_flood_of_refusals_is_summed_up(world: World, caplog):
    stranger = world.phone("stranger", registered=False)
    for number in range(MAX_REFUSALS_LOGGED + 7):
        stranger.sends("INVITE", f"sip:no{number}@{REALM}", from_uri="sip:x@example.net")
    world.server.sweep()
    assert len(lines(caplog, "refused INVITE")) == MAX_REFUSALS_LOGGED
    assert lines(caplog, "refused 7 more requests")


# Registrations


def test_a_new_registration_is_logged(world: World, caplog):
    """The first one, one from a new address, and one after a refusal; no refresh, no farewell."""
    bob = world.phone("bob", registered=False)
    agent = ("User-Agent: Desk 1",)
    bob.registers(headers=agent)
    bob.registers(headers=agent)
    assert lines(caplog, "registered") == [
        "registered bob at 192.0.2.101:5060 UDP: was not registered, Desk 1"
    ]
    mobile = world.phone("bob", registered=False)
    mobile.registers()
    assert tries(mobile, "wrong").status == 401
    mobile.registers()
    mobile.registers()
    assert lines(caplog, "registered")[1:] == [
        "registered bob at 192.0.2.102:5060 UDP: at a new address, no User-Agent",
        "registered bob at 192.0.2.102:5060 UDP: after a refusal, no User-Agent",
    ]
    bob.registers(expires=0)
    mobile.registers(expires=0)
    assert len(lines(caplog, "registered")) == 3
    mobile.registers()
    assert "was not registered" in lines(caplog, "registered")[-1]


def test_many_new_phones_are_summed_up(world: World, caplog):
    for number in range(MAX_REGISTRATIONS_LOGGED + 3):
        world.phone(f"phone{number}")
    world.server.sweep()
    assert len(lines(caplog, "registered phone")) == MAX_REGISTRATIONS_LOGGED
    assert lines(caplog, "registered 3 more phones")


def test_a_wait_ends_by_itself(world: World):
    bob = world.phone("bob", registered=False)
    has_to_wait(world)
    (wait,) = world.server.guard.blocked_logins()
    assert (wait.username, wait.tries) == ("bob", MAX_FAILURES_OF_USER)
    world.passes(FIRST_BLOCK_SECONDS + 1, step=10.0)
    assert tries(bob, "secret").status == 200
