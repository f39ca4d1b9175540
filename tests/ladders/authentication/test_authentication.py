"""Authentication: accepted, challenged and refused requests (RFC 3261 §22, RFC 7616)."""

import re

import pytest

from sip.core.auth.digest import NONCE_SECONDS
from sip.message.message import Request
from tests.support.world import REALM, World


def credentials_changed(request: Request, **changes: str) -> Request:
    """The same request with some of its digest parameters changed."""
    name = "authorization" if "authorization" in request.names else "proxy-authorization"
    at = request.names.index(name)
    for key, value in changes.items():
        request.lines[at] = re.sub(
            rf"\b{key}=(\"[^\"]*\"|[^,]*)", f"{key}={value}", request.lines[at]
        )
    return request


def answered(world: World, phone, password: str = "secret", username: str = "") -> Request:
    """A REGISTER with an answer to a fresh challenge, not sent yet."""
    request = phone.request("REGISTER", f"sip:{REALM}", to=f"<{phone.aor}>")
    phone.transmits(request)
    return phone.with_credentials(request, phone.gets(401), password, username)


def test_a_wrong_password_and_an_unknown_user_look_alike(world: World):
    """§22.4: the answers do not reveal which users exist."""
    bob = world.phone("bob", registered=False)
    bob.transmits(answered(world, bob, password="wrong"))
    wrong = bob.gets(401)
    bob.transmits(answered(world, bob, username="nobody"))
    unknown = bob.gets(401)
    shape = [
        re.sub(r"[0-9a-f]{16,}", "*", line)
        for line in wrong.lines
        if not line.startswith(("Via", "CSeq", "From", "Call"))
    ]
    assert shape == [
        re.sub(r"[0-9a-f]{16,}", "*", line)
        for line in unknown.lines
        if not line.startswith(("Via", "CSeq", "From", "Call"))
    ]
    assert "stale" not in " ".join(wrong.lines)


def test_a_disabled_account_does_not_get_in(world: World):
    bob = world.phone("bob", registered=False)
    world.users.accounts["bob", REALM].enabled = False
    bob.transmits(answered(world, bob))
    bob.gets(401)


def test_a_count_is_taken_once_and_a_gap_is_allowed(world: World):
    """RFC 7616 §3.4: replay."""
    bob = world.phone("bob", registered=False)
    first = answered(world, bob)
    bob.transmits(first)
    bob.gets(200)
    replay = first.copy()
    replay.set("via", "Via: SIP/2.0/UDP 192.0.2.101:5060;branch=z9hG4bKreplay;rport")
    replay.set("cseq", f"CSeq: {first.cseq[0] + 1} REGISTER")  # else it is a merged one (482)
    bob.transmits(replay)
    assert "stale=true" in bob.gets(401).value("www-authenticate")


def test_an_old_nonce_is_stale_only_with_the_right_password(world: World):
    """RFC 7616 §3.3."""
    bob = world.phone("bob", registered=False)
    right, wrong = answered(world, bob), answered(world, bob, password="guess")
    world.passes(NONCE_SECONDS + 2, step=100)
    bob.transmits(right)
    assert "stale=true" in bob.gets(401).value("www-authenticate")
    bob.transmits(wrong)
    assert "stale" not in bob.gets(401).value("www-authenticate")


def test_a_nonce_is_good_from_its_own_address_only(world: World):
    """A stolen answer is of no use elsewhere."""
    bob = world.phone("bob", registered=False)
    thief = world.phone("bob", registered=False)
    stolen = answered(world, bob)
    thief.transmits(stolen)
    assert "stale=true" in thief.gets(401).value("www-authenticate")


def test_a_digest_for_another_server_is_refused(world: World):
    """RFC 7616 §3.4.6."""
    bob = world.phone("bob", registered=False)
    bob.transmits(credentials_changed(answered(world, bob), uri='"sip:elsewhere.org"'))
    bob.gets(400)


@pytest.mark.parametrize(
    "changes",
    [
        {"qop": "auth-int"},
        {"nc": "1"},
        {"nc": "zzzzzzzz"},
        {"algorithm": "SHA-1"},
        {"response": '""'},
    ],
)
def test_answers_that_are_not_ours_to_take_are_challenged_again(
    world: World, changes: dict[str, str]
):
    """RFC 7616 §3.4."""
    bob = world.phone("bob", registered=False)
    bob.transmits(credentials_changed(answered(world, bob), **changes))
    bob.gets(401)


def test_a_local_call_is_challenged_once_and_its_ack_absorbed(world: World):
    """§22.3; the challenge has no transaction."""
    alice, bob = world.phones("alice", "bob")
    world.passes(40, step=1)
    call = alice.sends("INVITE", bob.aor, answers_challenge=False)
    challenge = alice.gets(407)
    assert world.is_quiet
    alice.acknowledges(call, challenge)
    assert bob.hears_nothing()
    assert world.is_quiet


def test_a_user_cannot_call_in_the_name_of_another(world: World):
    """The user of From is the user of the credentials."""
    alice, _ = world.phones("alice", "bob")
    alice.sends("INVITE", f"sip:bob@{REALM}", from_uri=f"sip:bob@{REALM}")
    alice.gets(403)


def test_credentials_end_here_but_those_of_other_realms_travel(world: World):
    """§22.3."""
    alice, bob = world.phones("alice", "bob")
    other = 'Proxy-Authorization: Digest username="a", realm="other.org", nonce="x", response="z"'
    request = alice.request("MESSAGE", bob.aor, headers=(other,))
    alice.transmits(request)
    again = alice.with_credentials(request, alice.gets(407))
    again.append("proxy-authorization", other)
    alice.transmits(again)
    assert bob.gets("MESSAGE").fields("proxy-authorization") == [other.partition(": ")[2]]


def test_an_external_caller_needs_no_credentials(world: World):
    """A call from another domain, to one of our users."""
    bob = world.phone("bob")
    stranger = world.phone("stranger", registered=False)
    stranger.sends("INVITE", bob.aor, from_uri="sip:someone@elsewhere.org")
    bob.gets("INVITE")


def test_external_calls_are_refused_when_they_are_off():
    world = World(settings={"sip_calls_from_outside": False})
    bob = world.phone("bob")
    world.passes(40, step=1)
    stranger = world.phone("stranger", registered=False)
    stranger.sends("INVITE", bob.aor, from_uri="sip:someone@elsewhere.org")
    stranger.gets(403)
    assert world.is_quiet


def test_external_callers_do_not_learn_which_users_exist(world: World):
    """The same 480 for unknown and unregistered users; 404 for authenticated callers."""
    world.users.add("carol", "secret")
    stranger = world.phone("stranger", registered=False)
    for name in ("carol", "nobody"):
        stranger.sends("INVITE", f"sip:{name}@{REALM}", from_uri="sip:x@elsewhere.org")
        assert stranger.gets(480).reason == "Temporarily Unavailable"
    alice = world.phone("alice")
    alice.sends("INVITE", f"sip:carol@{REALM}")
    alice.gets(480)
    alice.sends("INVITE", f"sip:nobody@{REALM}")
    alice.gets(404)


@pytest.mark.parametrize(
    "target", ["sip:x@elsewhere.org", "sip:x@192.0.2.77", "sip:bob@192.0.2.1:5999"]
)
def test_external_targets_are_refused(world: World, target: str):
    """No open relay, for users neither while calls to outside are off."""
    stranger = world.phone("stranger", registered=False)
    stranger.sends("INVITE", target, from_uri="sip:x@elsewhere.org")
    stranger.gets(403)
    alice = world.phone("alice")
    alice.sends("INVITE", target)
    alice.gets(403)
    assert not world.lost


def test_an_external_caller_cannot_borrow_a_route_or_a_tag(world: World):
    """A Route or a To tag without our ticket is nothing."""
    bob = world.phone("bob")
    stranger = world.phone("stranger", registered=False)
    for to in (f"<{bob.aor}>", f"<{bob.aor}>;tag=made-up"):
        stranger.sends(
            "INVITE",
            bob.aor,
            to=to,
            from_uri="sip:x@elsewhere.org",
            headers=("Route: <sip:192.0.2.1;lr>", "Route: <sip:192.0.2.88;lr>"),
        )
        stranger.gets(403)
    stranger.sends(
        "BYE",
        "sip:x@192.0.2.99",
        to="<sip:x@y>;tag=1",
        from_uri="sip:x@elsewhere.org",
        headers=("Route: <sip:192.0.2.1;lr;t=AAAAAAAAAAAAAAAA>",),
    )
    stranger.gets(403)
    assert not world.lost
