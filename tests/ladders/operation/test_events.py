"""Events of calls, registrations, refusals and messages: exactly one for each cause."""

import pytest

from sip.core.causes import CANCELLED
from sip.core.proxy import call_events
from sip.core.registrar import location
from sip.core.registrar.bindings import BindingsChanged
from sip.message.framing import BadStream
from sip.message.message import Request, parse
from sip.monitor.events import (
    CallAnswered,
    CallEnded,
    CallRinging,
    CallStarted,
    MessagePassed,
    Party,
    Reader,
    Refused,
    Registered,
    Sender,
    Unregistered,
)
from tests.support.fake_transport import SERVER
from tests.support.world import REALM, SDP, Phone, World

BOB = f"sip:bob@{REALM}"
CALL_EVENTS = (CallStarted, CallRinging, CallAnswered, CallEnded)


@pytest.fixture
def world() -> World:
    return World()


def names(reader: Reader) -> list[str]:
    return [type(event).__name__ for event in reader.take()]


def bye_within(phone: Phone, invite: Request, answer, target: Phone) -> Request:
    """Hang up as the caller, and answer; the routes are those that the 200 has recorded."""
    routes = tuple(f"Route: {route}" for route in reversed(answer.values("record-route")))
    request = phone.request(
        "BYE",
        target.contact.strip("<>"),
        to=answer.value("to"),
        call_id=invite.call_id,
        from_tag=invite.from_.tag,
        headers=routes,
    )
    phone.transmits(request)
    target.answers(target.gets("BYE"), 200)
    return request


def test_a_call_gives_each_event_once(world: World):
    """A repeated 180, 200 and BYE are no further events."""
    alice, bob = world.phones("alice", "bob")
    calls = world.server.bus.read(*CALL_EVENTS)
    invite = alice.sends("INVITE", BOB, headers=("User-Agent: Desk 1",))
    at_bob = bob.gets("INVITE")
    started, *more = calls.take()
    assert not more
    assert started == CallStarted(
        at=world.now + world.unix_start,
        call_id=invite.call_id,
        from_tag=invite.from_.tag,
        caller=Party(alice.aor, world.users.find("alice", REALM).id, "alice", REALM),
        callee=Party(BOB, world.users.find("bob", REALM).id, "bob", REALM),
        address=alice.address,
        transport="UDP",
        device="Desk 1",
        offer=SDP,
    )
    bob.answers(at_bob, 100)
    assert not calls.take()
    ringing = bob.answers(at_bob, 180, headers=("Server: Phone 2",))
    bob.transmits(ringing)
    bob.answers(at_bob, 183)
    (rings,) = calls.take()
    assert (rings.call_id, rings.status, rings.address) == (invite.call_id, 180, bob.address)
    assert rings.device == "Phone 2"
    world.passes(2.0)
    ok = bob.answers(at_bob, 200)
    bob.transmits(ok)
    (answered,) = calls.take()
    assert (answered.to_tag, answered.at - rings.at) == (ok.to.tag, pytest.approx(2.0))
    bye = bye_within(alice, invite, parse(alice.inbox[-1]), bob)
    alice.transmits(bye)
    (ended,) = calls.take()
    assert (ended.status, ended.cause, ended.ended_by) == (200, "hung up", "caller")
    assert (ended.from_tag, ended.to_tag) == (invite.from_.tag, ok.to.tag)
    assert len(world.server.proxy.calls) == 0


def test_two_forked_phones_ring_once(world: World):
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    calls = world.server.bus.read(*CALL_EVENTS)
    alice.sends("INVITE", BOB)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    desk.answers(at_desk, 180)
    mobile.answers(at_mobile, 180)
    mobile.answers(at_mobile, 200)
    desk.answers(desk.gets("CANCEL"), 200)
    desk.answers(at_desk, 487)
    assert names(calls) == ["CallStarted", "CallRinging", "CallAnswered"]


def test_two_phones_that_answer_are_one_call(world: World):
    """The caller hangs up on the second one (§13.2.2.4); that ends nothing."""
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    calls = world.server.bus.read(*CALL_EVENTS)
    invite = alice.sends("INVITE", BOB)
    at_desk, at_mobile = desk.gets("INVITE"), mobile.gets("INVITE")
    desk.answers(at_desk, 200)
    alice.gets(200)
    mobile.answers(at_mobile, 200)
    second = alice.gets(200)
    assert names(calls) == ["CallStarted", "CallAnswered"]
    bye_within(alice, invite, second, mobile)
    assert not calls.take()
    assert len(world.server.proxy.calls) == 1


def test_a_busy_phone_ends_the_call(world: World):
    alice, bob = world.phones("alice", "bob")
    calls = world.server.bus.read(*CALL_EVENTS)
    alice.sends("INVITE", BOB)
    bob.answers(bob.gets("INVITE"), 486)
    started, ended = calls.take()
    assert (ended.status, ended.cause, ended.ended_by) == (486, "bob's phone is busy", "callee")
    assert ended.call_id == started.call_id


def test_a_cancelled_call_ends_with_487(world: World):
    alice, bob = world.phones("alice", "bob")
    calls = world.server.bus.read(*CALL_EVENTS)
    invite = alice.sends("INVITE", BOB)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    alice.cancels(invite)
    bob.answers(bob.gets("CANCEL"), 200)
    bob.answers(at_bob, 487)
    _, ringing, ended = calls.take()
    assert isinstance(ringing, CallRinging)
    assert (ended.status, ended.cause, ended.ended_by) == (487, CANCELLED.text, "caller")


def test_a_phone_out_of_reach_ends_the_call(world: World):
    """The failure is a refusal by this server as well."""
    alice, bob = world.phones("alice", "bob")
    calls = world.server.bus.read(*CALL_EVENTS, Refused)
    world.dead.add(bob.address)
    invite = alice.sends("INVITE", BOB)
    started, ended, refused = calls.take()
    assert (ended.status, ended.ended_by) == (500, "server")
    assert ended.cause == refused.cause
    assert started.call_id == ended.call_id == refused.call_id == invite.call_id


def test_a_call_to_an_unknown_number_is_no_call(world: World):
    """It is a refusal, with what a row of a history needs."""
    alice = world.phone("alice")
    calls = world.server.bus.read(*CALL_EVENTS, Refused)
    invite = alice.sends("INVITE", f"sip:nobody@{REALM}")
    (refused,) = calls.take()
    assert (refused.status, refused.user, refused.to) == (404, "alice", "nobody")
    assert (refused.call_id, refused.sender) == (invite.call_id, Sender.USER)
    assert refused.address == alice.address


def test_a_bye_after_a_restart_is_one_end(world: World):
    """Its INVITE is not known any more; the BYE of the other side is no second end."""
    alice, bob = world.phones("alice", "bob")
    invite = alice.sends("INVITE", BOB)
    bob.answers(bob.gets("INVITE"), 200)
    answer = alice.gets(200)
    world.start_server()
    calls = world.server.bus.read(*CALL_EVENTS)
    bye_within(alice, invite, answer, bob)
    bye_within(alice, invite, answer, bob)
    (ended,) = calls.take()
    assert (ended.call_id, ended.ended_by) == (invite.call_id, "")
    assert ended.from_uri == alice.aor


def test_a_bye_with_an_odd_uri_is_forwarded(world: World):
    """A reader of events makes no request invalid that is valid without it."""
    alice, bob = world.phones("alice", "bob")
    invite = alice.sends("INVITE", BOB)
    bob.answers(bob.gets("INVITE"), 200)
    answer = alice.gets(200)
    world.start_server()
    calls = world.server.bus.read(*CALL_EVENTS)
    bye = alice.request(
        "BYE",
        bob.contact.strip("<>"),
        to=answer.value("to"),
        call_id=invite.call_id,
        from_tag=invite.from_.tag,
        from_uri="sip:alice@x@y",
        headers=tuple(f"Route: {route}" for route in reversed(answer.values("record-route"))),
    )
    alice.transmits(bye)
    bob.answers(bob.gets("BYE"), 200)
    (ended,) = calls.take()
    assert ended.from_uri == "sip:alice@x@y"


def test_a_bye_removes_a_call_whose_end_nobody_reads(world: World):
    alice, bob = world.phones("alice", "bob")
    calls = world.server.bus.read(CallStarted)
    invite = alice.sends("INVITE", BOB)
    bob.answers(bob.gets("INVITE"), 200)
    bye_within(alice, invite, alice.gets(200), bob)
    assert names(calls) == ["CallStarted"]
    assert len(world.server.proxy.calls) == 0


def test_a_registration_is_published_when_it_is_kept(world: World):
    changes = world.server.bus.read(Registered, Unregistered)
    bob = world.phone("bob")
    (registered,) = changes.take()
    assert registered == Registered(
        at=world.now + world.unix_start,
        user_id=world.users.find("bob", REALM).id,
        username="bob",
        realm=REALM,
        contact=bob.contact.strip("<>"),
        device="",
        address=bob.address,
        transport="UDP",
        behind_nat=False,
        expires_at=pytest.approx(world.now + world.unix_start + 3600),
        is_refresh=False,
    )
    bob.registers()
    assert changes.take() == [], "a refresh along the same flow"
    second = bob.contact.replace("@", ".two@")
    bob.registers(bob.contact, second)
    assert [event.is_refresh for event in changes.take()] == [True, False]
    bob.registers(expires=0)
    (gone,) = changes.take()
    assert (gone.username, gone.address, gone.reason) == ("bob", bob.address, "unregistered")


def test_a_registration_not_kept_is_not_published(world: World):
    """The keep-alive sees memory's change and its undoing."""
    alice = world.phone("alice")
    changes = world.server.bus.read(Registered, Unregistered)
    memory = world.server.bus.read(BindingsChanged)
    world.bindings.fails = "the disk is full"
    alice.registers(expires=0)
    assert not changes.take()
    removed, restored = memory.take()
    assert (removed.after, restored.after) == ((), removed.before)


def test_each_way_a_registration_ends_has_a_reason(world: World):
    ended = world.server.bus.read(Unregistered)
    world.phone("bob").registers(expires=60)
    world.passes(62, step=1.0)
    carol = world.phone("carol", transport="TCP", registered=False)
    carol.moves_behind_nat("192.168.1.2:5060")
    carol.registers()
    world.server.connection_closed(carol.source.connection)
    world.phone("dave")
    world.server.remove_bindings([world.users.find("dave", REALM)])
    erin = world.phone("erin")
    aor = f"erin@{REALM}"
    (binding,) = world.server.location.bindings(aor)
    world.server.location.remove_contact(aor, binding.contact, binding.row_flow())
    assert erin.hears_nothing()
    assert [(event.username, event.reason) for event in ended.take()] == [
        ("bob", "expired"),
        ("carol", "connection closed"),
        ("dave", "removed"),
        ("erin", "removed"),
    ]


def test_a_wrong_password_is_published_as_refused(world: World):
    refused = world.server.bus.read(Refused)
    bob = world.phone("bob", registered=False)
    first = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>", call_id="one")
    bob.transmits(first)
    challenge = bob.gets(401)
    assert not refused.take()
    bob.transmits(bob.with_credentials(first, challenge, password="wrong"))
    (event,) = refused.take()
    assert (event.method, event.status, event.cause) == (
        "REGISTER",
        401,
        "wrong password for bob",
    )
    assert (event.call_id, event.network, event.to) == ("one", bob.address[0], "")


def test_messages_are_published_octet_for_octet(world: World):
    bob = world.phone("bob")
    messages = world.server.bus.read(MessagePassed)
    options = bob.request("OPTIONS", f"sip:{REALM}")
    bob.transmits(options)
    world.deliver(b"\r\n\r\n", bob.address)
    came, went = map(MessagePassed._make, messages.take())
    assert came == MessagePassed(
        at=world.now + world.unix_start,
        direction="in",
        local=SERVER,
        remote=bob.address,
        transport="UDP",
        octets=options.encode(),
    )
    assert (went.direction, went.remote) == ("out", bob.address)
    assert went.octets == bob.inbox[-1]


def test_a_stream_that_cannot_be_cut_is_published(world: World):
    """Its end cannot be found, so its head is published; then the refusal of it."""
    bob = world.phone("bob", transport="TCP")
    messages = world.server.bus.read(MessagePassed)
    head = bob.request("OPTIONS", f"sip:{REALM}").encode().replace(b"Content-Length: 0\r\n", b"")
    bad = BadStream("Missing Content-Length header field", 400, head[:-2])
    world.server.receiver.refuse_on_connection(bad, bob.source)
    came, went = map(MessagePassed._make, messages.take())
    assert (came.direction, came.octets) == ("in", bad.head)
    assert went.octets.startswith(b"SIP/2.0 400 ")


def test_an_event_without_listener_is_not_built(world: World, monkeypatch):
    """Each class is replaced by one that cannot be built."""
    built = []

    def poisoned(name: str) -> type:
        return type(name, (), {"__init__": lambda self, *values, **named: built.append(name)})

    for name in ("Registered", "Unregistered"):
        monkeypatch.setattr(location, name, poisoned(name))
    for event_class in CALL_EVENTS:
        name = event_class.__name__
        monkeypatch.setattr(call_events, name, poisoned(name))
    now = world.server.transports._now  # the time of a message is asked for when it is built
    monkeypatch.setattr(world.server.transports, "_now", lambda: built.append("message") or now())
    alice, bob = world.phones("alice", "bob")
    invite = alice.sends("INVITE", BOB)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    bob.answers(at_bob, 200)
    answer = parse(alice.inbox[-1])
    bye_within(alice, invite, answer, bob)
    bob.registers(expires=0)
    assert not built
    assert len(world.server.proxy.calls) == 0
