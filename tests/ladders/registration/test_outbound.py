"""Phones with several flows (RFC 5626 §6, §7): when Outbound is used, and which flow is called."""

import re

import pytest

from sip.message.message import Response
from tests.support.flows import SUPPORTED, flow, register_flow
from tests.support.followed_calls import FollowedCalls
from tests.support.forwarding import exchanged, talks
from tests.support.world import REALM, Phone, TcpPhone, World

EDGE = "Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKedge"
OB = "Path: <sip:192.0.2.78;lr>, <sip:token@192.0.2.77;lr;ob>"


def claims(answer: Response) -> list[str | None]:
    return [answer.value(name) for name in ("require", "supported", "flow-timer")]


@pytest.mark.parametrize(
    ("transport", "fields", "expected"),
    [
        ("UDP", (SUPPORTED,), ["outbound", "outbound, path", None]),
        ("TCP", (SUPPORTED,), ["outbound", "outbound, path", "120"]),
        ("UDP", (SUPPORTED, EDGE, OB), ["outbound", "outbound, path", None]),
        ("TCP", (SUPPORTED, EDGE, OB), ["outbound", "outbound, path", None]),
        ("UDP", ("Supported: path",), [None, None, None]),
        ("UDP", (EDGE,), [None, None, None]),
    ],
)
def test_outbound_is_claimed_if_the_first_hop_has_it(world: World, transport, fields, expected):
    """RFC 5626 §6: that is this server, or the proxy of the last Path value."""
    bob = flow(world, "bob", 1, transport=transport)
    answer = bob.registers(headers=fields)
    assert answer.status == 200
    assert claims(answer) == expected
    is_used = expected[0] is not None
    (binding,) = world.server.location.bindings(f"bob@{REALM}")
    assert binding.profile.is_outbound == is_used
    assert ("reg-id=1" in answer.fields("contact")[0]) == (EDGE not in fields or is_used)


@pytest.mark.parametrize("path", [(), ("Path: <sip:192.0.2.77;lr;ob>, <sip:192.0.2.78;lr>",)])
@pytest.mark.parametrize("expires", [3600, 0])
def test_a_first_hop_without_outbound_is_439(world: World, path: tuple[str, ...], expires: int):
    """RFC 5626 §6, §11.6."""
    bob = flow(world, "bob", 1)
    answer = bob.registers(headers=(SUPPORTED, EDGE, *path), expires=expires)
    assert (answer.status, answer.reason) == (439, "First Hop Lacks Outbound Support")
    assert not world.bindings.rows


def test_one_register_is_for_one_flow(world: World):
    """RFC 5626 §6: 400 for a second contact, unless it is removed."""
    bob = flow(world, "bob", 1)
    second = "<sip:bob@192.0.2.9>"
    assert bob.registers(bob.contact, second, headers=(SUPPORTED,)).status == 400
    assert not world.bindings.rows
    register_flow(bob, f"Contact: {second};expires=0")


def test_flows_are_bound_by_instance_and_reg_id(world: World):
    """RFC 5626 §6: any Contact, and equal Contacts, on one socket too; each ends by itself."""
    first, second = flow(world, "bob", 1), flow(world, "bob", 2)
    register_flow(first)
    assert len(register_flow(second).values("contact")) == 2
    first.contact = first.contact.replace("192.168.1.20", "10.0.0.7")
    assert len(register_flow(first, call_id="another").values("contact")) == 2
    first.contact = first.contact.replace("reg-id=1", "reg-id=3").replace("<urn", "<URN")
    assert len(register_flow(first).values("contact")) == 3
    assert len(world.bindings.rows) == 3
    assert len(register_flow(first, expires=0).values("contact")) == 2
    world.start_server()
    bindings = world.server.location.bindings(f"bob@{REALM}")
    assert sorted(b.profile.reg_id for b in bindings) == [1, 2]
    assert all(b.profile.is_outbound for b in bindings)


@pytest.fixture
def alice(world: World) -> Phone:
    return world.phone("alice")


def two_flows(world: World, **more) -> tuple[Phone, Phone]:
    """A phone with two flows; the second was registered last."""
    first, second = flow(world, "bob", 1, **more), flow(world, "bob", 2, **more)
    register_flow(first)
    world.passes(1.0)
    register_flow(second)
    return first, second


@pytest.mark.parametrize("restarts", [False, True])
def test_the_latest_flow_is_called_alone(world: World, alice: Phone, restarts: bool):
    """RFC 5626 §7: never two flows of one phone; a refresh makes a flow the latest."""
    first, second = two_flows(world)
    if restarts:
        world.start_server()
    for latest, other in ((second, first), (first, second)):
        world.passes(1.0)
        register_flow(latest)
        alice.sends("MESSAGE", latest.aor)
        message = latest.gets("MESSAGE")
        assert message.uri_text == "sip:bob@192.168.1.20"
        latest.answers(message, 200)
        assert other.hears_nothing()


def test_another_flow_follows_a_silent_one(world: World, alice: Phone):
    """RFC 5626 §7: after 408 without a response; at the end, one failure for the caller."""
    first, second = two_flows(world)
    invite = alice.sends("INVITE", first.aor)
    second.gets("INVITE")
    world.passes(33.0, step=0.5)
    at_first = first.gets("INVITE")
    first.inbox.clear()  # it was repeated
    first.answers(at_first, 486)
    first.gets("ACK")
    alice.acknowledges(invite, alice.gets(486, invite))
    invite = alice.sends("INVITE", first.aor)
    world.passes(66.0, step=0.5)
    alice.gets(408, invite)
    assert (len(second.inbox), len(first.inbox)) == (6 + 7, 7)


def test_a_phone_that_has_answered_is_called_once(world: World, alice: Phone):
    """RFC 5626 §7: any response of the phone ends that, a 180 before a time-out too."""
    first, second = two_flows(world)
    for status in (404, 480, 486, 503):
        invite = alice.sends("INVITE", first.aor)
        second.answers(second.gets("INVITE"), status)
        second.gets("ACK")
        assert alice.takes().status in (100, 480)
        alice.gets(500 if status == 503 else status, invite)
        assert first.hears_nothing()
    alice.sends("INVITE", first.aor)
    second.answers(second.gets("INVITE"), 180)
    world.passes(200.0, step=1.0)
    assert first.hears_nothing()


def test_another_flow_follows_a_closed_connection(world: World, alice: Phone):
    """RFC 5626 §7: its binding ends with it, though its Contact accepts connections."""
    first, second = flow(world, "bob", 1, transport="TCP"), flow(world, "bob", 2, transport="TCP")
    for phone in (first, second):
        phone.contact = phone.contact.replace(">", ";transport=tcp>").replace(
            "192.168.1.20", phone.sent_by
        )
        register_flow(phone)
        world.passes(1.0)
    alice.sends("INVITE", first.aor)
    second.gets("INVITE")
    second.hangs_up()
    invite = first.gets("INVITE")
    assert [b.profile.reg_id for b in world.server.location.bindings(f"bob@{REALM}")] == [1]
    first.answers(invite, 200)
    alice.gets(200)
    first.hangs_up()
    again = alice.sends("INVITE", first.aor)
    alice.gets(480, again)


def test_a_430_leads_to_another_flow_and_to_no_caller(world: World, alice: Phone):
    """RFC 5626 §7, §11.5: an edge proxy has lost a flow; callers hear 480."""
    edges = [world.phone(f"edge{n}", registered=False, host=f"198.51.100.{n}") for n in (1, 2)]
    bob = flow(world, "bob", 1)
    for number, edge in enumerate(edges, 1):
        bob.contact = bob.contact.rpartition("=")[0] + f"={number}"
        path = f"Path: <sip:t{number}@{edge.address[0]};lr;ob>"
        register_flow(bob, EDGE, path)
        world.passes(1.0)
    for is_second_lost in (False, True):
        invite = alice.sends("INVITE", bob.aor)
        edges[1].answers(edges[1].gets("INVITE"), 430)
        edges[1].gets("ACK")
        at_first = edges[0].gets("INVITE")
        assert at_first.values("route") == ["<sip:t1@198.51.100.1;lr;ob>"]
        edges[0].answers(at_first, 430 if is_second_lost else 200)
        alice.gets(480 if is_second_lost else 200, invite)


def test_a_cancelled_call_tries_no_other_flow(world: World, alice: Phone):
    first, second = two_flows(world)
    invite = alice.sends("INVITE", first.aor)
    second.gets("INVITE")
    alice.cancels(invite)
    world.passes(70.0, step=0.5)
    assert first.hears_nothing()


def test_a_dialog_goes_along_the_flow_of_its_phone(world: World, alice: Phone):
    """RFC 5626 §5.3.2, §7: its Contact is not used; nor after a restart."""
    bob = flow(world, "bob", 1)
    bob.contact = bob.contact.replace("192.168.1.20", "192.0.2.250:5999")
    register_flow(bob)
    world.start_server()
    for caller, callee in ((alice, bob), (bob, alice)):
        call = talks((caller, callee))
        world.start_server()
        there = call.there if callee is bob else call.here
        assert there is not None
        alice.sends_within("INFO", call.here if caller is alice else call.there)
        bob.answers(bob.gets("INFO"), 200)
        alice.gets(200)


@pytest.mark.parametrize("is_caller", [True, False])
def test_a_call_follows_a_phone_that_keeps_its_contact(world: World, alice: Phone, is_caller: bool):
    """RFC 5626 §4.3: its Contact may be the address of an earlier flow, as that of pjsua on TCP."""
    world.users.add("bob", "secret")
    bob = TcpPhone(world, "bob", ("192.0.2.50", 40_000), 40_000)
    world.at[bob.address] = bob
    bob.contact = f'{bob.contact[:-1]};ob>;reg-id=1;+sip.instance="<urn:uuid:{"0" * 36}>"'
    register_flow(bob)
    call = talks((bob, alice) if is_caller else (alice, bob))
    bob.address = "192.0.2.51", 41_000  # its old connection still looks open
    bob.connects()
    register_flow(bob)
    sent_along = []
    send = bob.carrier.send
    bob.carrier.send = lambda data, flow: sent_along.append(flow.remote[0]) or send(data, flow)
    exchanged(alice, "INFO", call.there if is_caller else call.here, bob)
    assert sent_along[0] == "192.0.2.51"


def test_outbound_alone_is_no_nat_on_the_pages(world: World, alice: Phone):
    """A phone that is reached along its flow is behind NAT only if its Contact shows that."""
    calls, bob = FollowedCalls(world), flow(world, "bob", 1)
    for host, is_behind in (("192.168.1.20", True), (bob.address[0], False)):
        bob.contact = re.sub(r"@[\d.]+", f"@{host}", bob.contact)
        register_flow(bob)
        invite = alice.sends("INVITE", bob.aor)
        bob.answers(bob.gets("INVITE"), 180)
        (phone,) = calls.the_one().phones
        assert phone.behind_nat == is_behind
        alice.cancels(invite)
        bob.answers(bob.gets("CANCEL"), 200)
        world.passes(40.0, step=0.5)
        bob.inbox.clear()
        alice.inbox.clear()
