"""Checks before a request is forwarded (RFC 3261 §16.3)."""

import pytest

from sip.message.message import Request
from tests.support.cases import cases
from tests.support.world import REALM, Dialog, World, dialog_of_caller

STRANGER = "sip:x@elsewhere.org"


def with_hops(request: Request, hops: int) -> Request:
    """The same request with so many hops left."""
    request.set("max-forwards", f"Max-Forwards: {hops}")
    return request


# Step 1: reasonable syntax


@cases(
    "field",
    [
        "Date: the day before yesterday",
        "Timestamp: noon",
        "Accept: /;;",
        "Event: ;;;",
        "RAck: one two three four",
        "Session-Expires: for ever",
        "Reply-To: <sip:",
        'Alert-Info: "',
        "Require: ,, everything",
        "Retry-After:",
        "Content-Disposition: ;=",
        "Authorization: none",
        "Remote-Party-ID: <<>>",
        "Allow: (",
        "X-Unheard-Of: \u00ff\u0001\t,;=",
    ],
)
def test_malformed_fields_of_no_concern_pass_unchanged(world: World, field: str):
    """§16.3, step 1: it is neither a reason to refuse nor taken off."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    stranger.sends("INVITE", bob.aor, from_uri=STRANGER, headers=(field,))
    assert field in bob.gets("INVITE").lines


# Step 2: the scheme


@cases("uri", ["urn:service:sos", "im:bob@example.com", "http://example.com/bob", "x-y.z+1:bob"])
@cases("method", ["INVITE", "OPTIONS", "BYE", "FLY"])
def test_a_scheme_that_is_not_served_gets_416(world: World, uri: str, method: str):
    """§16.3, step 2: for any sender, before any challenge."""
    stranger = world.phone("stranger", registered=False)
    for from_uri in (STRANGER, stranger.aor):
        stranger.sends(method, uri, from_uri=from_uri, answers_challenge=False)
        refusal = stranger.gets(416)
        assert refusal.to.tag
        assert not refusal.values("record-route")


# Step 3: the hops


def test_hops_end_for_every_method_and_caller(world: World):
    """§16.3, step 3: MUST NOT be forwarded; 483."""
    alice, bob = world.phones("alice", "bob")
    for method in ("INVITE", "MESSAGE", "OPTIONS", "BYE", "FLY"):
        for from_uri in (STRANGER, alice.aor):
            alice.transmits(with_hops(alice.request(method, bob.aor, from_uri=from_uri), 0))
            alice.gets(483)
    assert bob.hears_nothing()


def test_the_last_recipient_needs_no_hops(world: World):
    """§16.3, step 3: OPTIONS and REGISTER to the server itself are not forwarded."""
    phone = world.phone("phone", registered=False)
    phone.transmits(with_hops(phone.request("OPTIONS", f"sip:{REALM}", from_uri=STRANGER), 0))
    phone.gets(200)
    phone.transmits(with_hops(phone.request("REGISTER", f"sip:{REALM}", to=f"<{phone.aor}>"), 0))
    phone.gets(401)


def test_a_cancel_is_of_one_hop_and_needs_none_left(world: World):
    """§16.10: it is answered here; ours is a new request."""
    stranger, bob = world.phone("stranger", registered=False), world.phone("bob")
    call = stranger.sends("INVITE", bob.aor, from_uri=STRANGER)
    invite = bob.gets("INVITE")
    bob.answers(invite, 180)
    cancel = stranger.request(
        "CANCEL",
        call.uri_text,
        call_id=call.call_id,
        cseq=call.cseq[0],
        from_uri=STRANGER,
        from_tag=call.from_.tag,
        branch=call.via.branch,
        headers=("Proxy-Require: teleport", "Require: teleport"),
    )
    stranger.gets(180)
    stranger.transmits(with_hops(cancel, 0))
    stranger.gets(200)
    ours = bob.gets("CANCEL")
    assert ours.value("max-forwards") == "70"
    assert not ours.values("proxy-require")


def test_hops_end_within_a_dialog_too_and_an_ack_dies_silently(world: World):
    """§16.3, step 3; §17.1.1.3: an ACK is never answered."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 200)
    here = dialog_of_caller(call, alice.gets(200, call))
    routes = tuple(f"Route: {route}" for route in here.routes)
    for method in ("ACK", "BYE"):
        request = alice.request(
            method,
            here.target,
            to=f"<{bob.aor}>;tag={here.remote_tag}",
            call_id=here.call_id,
            from_tag=here.local_tag,
            headers=routes,
        )
        alice.transmits(with_hops(request, 0))
    alice.gets(483)
    assert alice.hears_nothing()
    assert bob.hears_nothing()


# Step 5: Proxy-Require


def test_all_that_is_required_of_proxies_and_not_known_is_listed(world: World):
    """§16.3, step 5: several fields and values, in one Unsupported."""
    stranger, bob = world.phone("stranger", registered=False), world.phone("bob")
    stranger.sends(
        "INVITE",
        bob.aor,
        from_uri=STRANGER,
        headers=("Proxy-Require: one, two", "proxy-require:\tthree"),
    )
    assert stranger.gets(420).values("unsupported") == ["one", "two", "three"]
    assert bob.hears_nothing()


def test_what_is_required_of_the_callee_is_none_of_our_business(world: World):
    """§20.32: Require is for the UAS; a proxy looks at Proxy-Require alone."""
    stranger, bob = world.phone("stranger", registered=False), world.phone("bob")
    stranger.sends("INVITE", bob.aor, from_uri=STRANGER, headers=("Require: teleport",))
    assert bob.gets("INVITE").values("require") == ["teleport"]


def test_an_ack_cannot_be_refused_and_passes(world: World):
    """§8.2.2.3, §16.3: nothing answers an ACK, so its options are the callee's."""
    alice, bob = world.phones("alice", "bob")
    call = alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 200)
    here = dialog_of_caller(call, alice.gets(200, call))
    alice.sends_within("ACK", here, cseq=call.cseq[0], headers=("Proxy-Require: teleport",))
    bob.gets("ACK")
    assert alice.hears_nothing()


# What a refusal looks like


@pytest.mark.parametrize(
    ("uri", "field", "status"),
    [
        ("urn:x:y", "X-Odd: 1", 416),
        (f"sip:bob@{REALM}", "Max-Forwards: 0", 483),
        (f"sip:bob@{REALM}", "Proxy-Require: teleport", 420),
    ],
)
def test_a_refusal_is_that_of_a_user_agent_server(world: World, uri: str, field: str, status: int):
    """§16.3, §8.2.6: Via, From, To with a tag, Call-ID and CSeq as they came; its ACK ends here."""
    stranger, bob = world.phone("stranger", registered=False), world.phone("bob")
    world.passes(40, step=1)  # until Bob's REGISTER is forgotten
    request = stranger.request(
        "INVITE", uri, from_uri=STRANGER, headers=("Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx",)
    )
    request.set(field.partition(":")[0].lower(), field)
    stranger.transmits(request)
    refusal = stranger.gets(status)
    assert refusal.values("via")[1] == "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx"
    for name in ("from", "call-id", "cseq"):
        assert refusal.value(name) == request.value(name)
    assert refusal.value("to").startswith(f"{request.value('to')};tag=")
    stranger.acknowledges(request, refusal)
    assert stranger.hears_nothing()
    assert bob.hears_nothing()
    assert world.is_quiet


# The ACK of a refused request


def test_an_ack_to_a_scheme_that_is_not_served_goes_no_further(world: World):
    """RFC 3261 §16.3, step 2; §26.2.2: what says sips never travels without TLS."""
    bob = world.phone("bob")
    eve = world.phone("eve", registered=False, host="198.51.100.7")
    call = eve.request(
        "INVITE",
        f"sip:bob@{REALM}",
        from_uri="sip:eve@elsewhere.org",
        headers=(f"Contact: {eve.contact}",),
    )
    eve.transmits(call)
    bob.answers(bob.gets("INVITE"), 200)
    dialog = dialog_of_caller(call, eve.gets(200))
    secret = Dialog(
        dialog.call_id,
        dialog.local_tag,
        dialog.remote_tag,
        dialog.target.replace("sip:", "sips:", 1),
        dialog.routes,
    )

    eve.sends_within("ACK", secret, cseq=1)
    assert bob.hears_nothing()

    eve.sends_within("ACK", dialog, cseq=1)
    bob.gets("ACK")
