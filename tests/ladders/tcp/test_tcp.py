"""Phones on connections: registered, called and hung up along them (RFC 3261 §18; RFC 5626 §5)."""

import re

import pytest

from sip.message.headers import parse_name_addr
from sip.message.message import Response
from tests.support.forwarding import calls, exchanged, placed, started_again, talks
from tests.support.world import REALM, SDP, TcpPhone, World, dialog_of_callee, dialog_of_caller


@pytest.fixture
def alice(world: World):
    return world.phone("alice")


@pytest.fixture
def bob(world: World) -> TcpPhone:
    """On a connection, and listening for others."""
    return world.phone("bob", transport="TCP")


@pytest.fixture
def hidden(world: World) -> TcpPhone:
    """On a connection, behind NAT."""
    carol = world.phone("carol", registered=False, transport="TCP")
    carol.moves_behind_nat("192.168.1.20:5060")
    carol.registers()
    return carol


def behind_nat(world: World, contact: str, host: str = "") -> TcpPhone:
    """A phone of carol's on a connection, behind NAT, with a Contact of its own making."""
    carol = world.phone("carol", registered=False, transport="TCP", host=host)
    carol.moves_behind_nat("192.168.1.20:5060")
    carol.contact = f"<sip:{contact};transport=tcp>"
    carol.registers()
    return carol


def bound(world: World, name: str) -> list[str]:
    return [b.contact for b in world.server.location.bindings(f"{name}@{REALM}")]


def test_a_phone_is_called_on_the_connection_it_registered_by(world: World, alice, bob):
    """RFC 5626 §5.3: and no other connection is opened to it."""
    numbers = set(world.streams.phones)
    call = calls((alice, bob))
    assert call.received.via.transport == "TCP"
    call.is_answered()
    call.ends()
    assert set(world.streams.phones) == numbers


def test_between_two_kinds_each_side_knows_us_by_its_own(world: World, alice, bob):
    """RFC 5658 §4: two Record-Routes, each with the transport of its side."""
    call = talks((alice, bob))
    nearer, farther = (
        parse_name_addr(value).sip_uri for value in call.received.values("record-route")
    )
    assert (nearer.param("transport"), farther.param("transport")) == ("tcp", None)
    call.ends()


def test_phones_on_udp_need_one_record_route(world: World, alice):
    """§16.6, step 4: two would be longer for nothing."""
    desk = world.phone("desk")
    assert len(calls((alice, desk)).received.values("record-route")) == 1


def test_a_closed_connection_is_reopened_at_the_phones_port(world: World, alice, bob):
    """§18.1.1: its Contact says where, and its Via has told the truth."""
    bob.hangs_up()
    call = calls((alice, bob))
    assert call.received.via.transport == "TCP"
    call.is_answered()
    bob.hangs_up()
    exchanged(alice, "INFO", call.here, bob)
    assert bound(world, "bob") == [bob.contact.strip("<>")]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize("is_stranger", [False, True])
def test_a_phone_that_stopped_listening_loses_its_binding(
    world, alice, bob, method: str, is_stranger: bool
):
    """§18.4: an external caller gets the same answer as for a user without a phone."""
    if is_stranger:
        alice.aor = "sip:alice@elsewhere.org"
    bob.hangs_up(listens=False)
    never = world.phone("carol", registered=False)
    answers = [alice.gets(480, alice.sends(method, phone.aor)) for phone in (bob, never, bob)]
    assert {(each.reason, *each.names) for each in answers} == {
        (answers[0].reason, *answers[0].names)
    }
    assert bound(world, "bob") == []
    world.start_server()
    assert bound(world, "bob") == []


def test_one_that_listens_no_more_fails_no_other(world: World, alice, bob):
    """§16.7: and what another has answered is what the caller hears."""
    desk = world.phone("bob")
    bob.hangs_up(listens=False)
    invite = alice.sends("INVITE", bob.aor)
    desk.answers(desk.gets("INVITE"), 486)
    assert alice.gets(486, invite)
    assert bound(world, "bob") == [desk.contact.strip("<>")]


def test_one_that_breaks_off_is_bound_still(world: World, alice, bob):
    """It may listen for another connection, and the next call shows that."""
    alice.sends("INVITE", bob.aor)
    bob.hangs_up()
    assert alice.gets(500)
    bob.inbox.clear()
    calls((alice, bob))


@pytest.mark.parametrize("status", [None, 100, 180])
def test_a_phone_that_breaks_off_ends_its_call_at_once(world: World, alice, bob, status):
    """§18.4: also while it rings, else its caller would listen for three minutes."""
    invite = alice.sends("INVITE", bob.aor)
    received = bob.gets("INVITE")
    if status:
        bob.answers(received, status)
    bob.hangs_up()
    if status == 180:
        alice.gets(180, invite)
    assert alice.gets(500, invite).reason == "Next Hop Unreachable"
    assert bob.hears_nothing()  # no other connection is opened in the middle of a call


def test_its_other_phones_ring_on_when_one_breaks_off(world: World, alice, bob):
    """§16.7: a branch is over, and no more."""
    desk = world.phone("bob")
    invite = alice.sends("INVITE", bob.aor)
    bob.answers(bob.gets("INVITE"), 180)
    bob.hangs_up()
    desk.answers(desk.gets("INVITE"), 200)
    assert alice.gets(180, invite)
    assert alice.gets(200, invite)


def test_a_connection_closed_after_its_answer_has_answered(world: World, alice, bob):
    """RFC 6026 §8.7: it may repeat it along another connection."""
    call = talks((alice, bob))
    bob.hangs_up()
    bob.connects()
    bob.answers(call.received, 200, body=SDP)
    assert alice.gets(200, call.invite)


def test_behind_nat_a_closed_connection_ends_its_binding(world: World, alice, hidden):
    """Only the phone can open another one; memory and disk remove the binding before any call."""
    hidden.hangs_up()
    assert bound(world, "carol") == []
    assert [row.aor for row in world.bindings.rows.values()] == [f"alice@{REALM}"]
    alice.sends("INVITE", hidden.aor)
    assert alice.gets(480)


def test_its_other_phones_ring_all_the_same(world: World, alice, hidden):
    """§16.7: a dead contact never fails the fork."""
    desk = world.phone("carol")
    hidden.hangs_up()
    alice.sends("INVITE", hidden.aor)
    assert desk.gets("INVITE")
    assert hidden.hears_nothing()


def test_a_fork_rings_on_both_kinds_and_the_loser_stops(world: World, alice, bob):
    """§16.7, step 10."""
    desk = world.phone("bob")
    invite = alice.sends("INVITE", bob.aor)
    here, there = bob.gets("INVITE"), desk.gets("INVITE")
    bob.answers(here, 180)
    desk.answers(there, 180)
    desk.answers(there, 200)
    cancel = bob.gets("CANCEL")
    assert cancel.via == here.via
    assert "elsewhere" in (cancel.value("reason") or "")
    bob.answers(cancel, 200)
    bob.answers(here, 487)
    assert bob.gets("ACK").via == here.via
    assert [alice.takes().status for _ in range(3)] == [100, 180, 180]
    assert alice.gets(200, invite)


@pytest.mark.parametrize("asks", ["alice", "carol"])
def test_a_request_in_a_dialog_of_a_lost_phone_gets_430(world: World, alice, hidden, asks: str):
    """RFC 5626 §5.3.1: 430; nothing goes where its Contact points."""
    call = talks((alice, hidden) if asks == "alice" else (hidden, alice))
    hidden.hangs_up()
    view = call.here if asks == "alice" else call.there
    bye = alice.sends_within("BYE", view)
    assert alice.gets(430, bye)
    assert not world.lost


def test_a_dialog_goes_on_when_its_phone_has_come_back(world: World, alice, hidden):
    """By its Contact, once that is registered along a new connection."""
    call = talks((alice, hidden))
    hidden.hangs_up()
    hidden.connects()
    assert alice.gets(430, alice.sends_within("INFO", call.here))
    hidden.registers()
    exchanged(alice, "INVITE", call.here, hidden)
    exchanged(hidden, "BYE", call.there, alice)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("carol@192.168.1.20:40001", "carol@192.168.1.20:40002"),  # pjsua2
        ("carol-0x55a8@192.168.1.20:5060", "carol-0x55a8@192.168.1.20:5060"),  # baresip
    ],
    ids=["another port", "a name of its own"],
)
def test_a_returning_phone_is_known_under_any_user_part(
    world: World, alice, before: str, after: str
):
    """Its Contact may hold the port that it connects from, and need not hold its user's name."""
    carol = behind_nat(world, before)
    call = talks((alice, carol))
    call.here.remote = carol.aor
    carol.hangs_up()
    carol.connects()
    assert alice.gets(430, alice.sends_within("INFO", call.here))
    carol.contact = f"<sip:{after};transport=tcp>"
    carol.registers()
    exchanged(alice, "INVITE", call.here, carol)
    exchanged(carol, "BYE", call.there, alice)


@pytest.mark.parametrize(
    "hosts", [["198.51.100.7"], ["192.0.2.200", "192.0.2.200"]], ids=["elsewhere", "two"]
)
def test_a_phone_that_only_looks_like_the_lost_one_is_not_called(
    world: World, alice, hosts: list[str]
):
    """A private address is used in many places, and of two phones that may be it none is."""
    carol = behind_nat(world, "carol@192.168.1.20:40001", "192.0.2.200")
    call = talks((alice, carol))
    call.here.remote = carol.aor
    carol.hangs_up()
    for number, host in enumerate(hosts):
        other = behind_nat(world, f"carol@192.168.1.20:{number + 40002}", host)
        if len(hosts) == 1:  # the only phone of the user, but by its instance it is another one
            other.registers(f'{other.contact};+sip.instance="<urn:uuid:2>"')
    assert alice.gets(430, alice.sends_within("INFO", call.here))
    assert not world.lost


def test_a_dialog_with_a_lost_flow_reaches_no_other_phone(world: World, alice, hidden):
    """The ticket opens no other way: what no phone here has registered leads nowhere."""
    call = talks((alice, hidden))
    hidden.hangs_up()
    for target in ("sip:carol@192.0.2.200", "sip:x@192.0.2.200;transport=tcp", "sip:192.0.2.200"):
        call.here.target = target
        assert alice.gets(430, alice.sends_within("INFO", call.here))
    assert not world.lost


def test_a_restart_forgets_connections_and_no_call(world: World):
    """A number of before means none of the new ones."""
    pair = placed(world, "both on TCP behind NAT")
    call = talks(pair)
    started_again(world)
    exchanged(pair[1], "REFER", call.there, pair[0], headers=("Refer-To: <sip:x@example.com>",))
    exchanged(pair[0], "BYE", call.here, pair[1])


@pytest.mark.parametrize("same", ["call_id", "instance"])
def test_a_phone_that_comes_back_by_another_port_is_bound_once(world: World, same: str):
    """RFC 5626 §6: its Contact may hold the port that it called from."""
    bob = world.phone("bob", registered=False, transport="TCP")
    instance = ';+sip.instance="<urn:uuid:1>"' if same == "instance" else ""
    more = {"call_id": "one"} if same == "call_id" else {}
    for _ in range(2):
        host, port = bob.address
        answer = bob.registers(f"<sip:bob@{host}:{port};transport=tcp>{instance}", **more)
        assert len(answer.values("contact")) == 1
        bob.hangs_up()
        bob.connects()


def test_answers_go_by_the_connection_that_was_asked_on(world: World, alice, bob):
    """§18.2.2."""
    numbers = set(world.streams.phones)
    options = bob.sends("OPTIONS", f"sip:{REALM}")
    assert bob.gets(200, options)
    invite = bob.sends("INVITE", alice.aor)
    alice.answers(alice.gets("INVITE"), 486)
    assert bob.gets(486, invite)
    assert set(world.streams.phones) == numbers


def test_a_response_after_a_closed_connection_goes_to_its_port(world: World, alice, bob):
    """§18.2.2: to the port that its Via names."""
    invite = bob.sends("INVITE", alice.aor)
    received = alice.gets("INVITE")
    bob.hangs_up()
    alice.answers(received, 200)
    assert bob.gets(200, invite)


def test_a_response_without_a_connection_does_no_harm(world: World, alice, hidden):
    """§18.4: there is no connection to answer on."""
    hidden.sends("INVITE", alice.aor)
    received = alice.gets("INVITE")
    hidden.hangs_up()
    there = dialog_of_callee(received, alice.answers(received, 200))
    assert alice.gets(430, alice.sends_within("BYE", there))
    world.passes(40, step=0.5)
    assert not world.server.layer.servers


def test_a_repeat_needs_no_timer_of_ours(world: World, alice, bob):
    """§17.1.1.2, §17.2.1: what a connection carries is sent once."""
    alice.sends("INVITE", bob.aor)
    bob.gets("INVITE")
    world.passes(20, step=0.25)
    assert bob.hears_nothing()


def test_a_big_request_reaches_a_phone_on_a_connection(world: World, alice, bob):
    """§18.1.1: what no datagram should hold."""
    body = b"a=candidate:1 1 UDP 1 192.0.2.9 4000 typ host\r\n" * 200
    call = calls((alice, bob), body=body)
    assert call.received.body == body
    assert isinstance(call.is_answered(body=body), Response)


@pytest.mark.parametrize("contact", ["behind a firewall", "its own socket"])
def test_a_dialog_goes_on_by_the_connection_of_the_next_register(world, alice, contact: str):
    """RFC 5626 §5.3: an unreachable port is no better than the new connection."""
    carol = world.phone("carol", registered=False, transport="TCP")
    carol.listens_at = None

    def registers() -> None:
        if contact == "its own socket":
            host, port = carol.address
            carol.contact = f"<sip:carol@{host}:{port};transport=tcp>"
        carol.registers()

    registers()
    call = talks((alice, carol))
    carol.hangs_up(listens=False)
    carol.connects()
    registers()
    alice.sends_within("BYE", call.here)
    assert carol.gets("BYE")


def test_a_dialog_by_an_edge_proxy_survives_a_restart(world, alice):
    """RFC 3327: the phone's Contact is the proxy's matter, its Route stands in the dialog."""
    edge = world.phone("bob", registered=False, host="198.51.100.1", transport="TCP")
    edge.contact = "<sip:bob@192.168.9.9:5060>"
    route = "<sip:198.51.100.1:5060;transport=tcp;lr>"
    edge.registers(headers=("Supported: path", f"Path: {route}"))
    invite = alice.sends("INVITE", edge.aor)
    received = edge.gets("INVITE")
    received.put_first("record-route", f"Record-Route: {route}")
    edge.answers(received, 200)
    here = dialog_of_caller(invite, alice.gets(200))
    world.start_server()
    edge.connects()
    alice.sends_within("BYE", here)
    bye = edge.gets("BYE")
    assert bye.values("route") == [route]
    assert bye.uri_text == "sip:bob@192.168.9.9:5060"


def test_messages_on_a_connection_get_a_content_length(world: World, alice, bob):
    """§16.6 step 9, §18.3, §20.14: requests, responses and ACKs from datagrams without it."""

    def without_length(data: bytes, source) -> None:
        deliver(re.sub(rb"Content-Length: \d+\r\n", b"", data), source)

    deliver, world.deliver = world.deliver, without_length
    invite = alice.sends("INVITE", bob.aor, body=SDP)
    received = bob.gets("INVITE")
    bob.answers(received, 200, body=SDP)
    answer = alice.gets(200, invite)
    alice.sends_within("ACK", dialog_of_caller(invite, answer))
    ack = bob.gets("ACK")
    bye = bob.sends_within("BYE", dialog_of_callee(received, answer))
    alice.answers(alice.gets("BYE"), 200)
    lengths = [one.value("content-length") for one in (received, answer, ack, bob.gets(200, bye))]
    assert lengths == [str(len(SDP)), None, "0", "0"]  # in a datagram it may be missing


@pytest.mark.parametrize(
    ("sent_by", "contact", "record_route", "is_reached"),
    [
        ("proxy.elsewhere.org:5070", "a@192.168.7.7", "sip:proxy.elsewhere.org;lr", True),
        ("198.51.100.5:5070", "a@192.168.7.7", "sip:proxy.elsewhere.org;lr", True),
        ("198.51.100.5:5070", "a@pc.elsewhere.org;transport=tcp", "", True),
        ("198.51.100.5:5070", "a@198.51.100.5:5070", "", True),
        ("192.168.7.7:5070", "a@192.168.7.7:5070;transport=tcp", "", False),
    ],
    ids=["a name", "an address", "a phone", "for datagrams", "behind NAT"],
)
def test_an_external_call_ends_though_its_connection_is_closed(
    world: World, alice, sent_by: str, contact: str, record_route: str, is_reached: bool
):
    """§18.1.1, §18.2.2: at the address that it came from, and the port that its Via names."""
    far = world.phone("far", registered=False, host="198.51.100.5", port=5070, transport="TCP")
    far.aor, far.sent_by, far.contact = "sip:a@elsewhere.org", sent_by, f"<sip:{contact}>"
    headers = (f"Record-Route: <{record_route}>",) if record_route else ()
    invite = far.sends("INVITE", alice.aor, headers=headers)
    received = alice.gets("INVITE")
    there = dialog_of_callee(received, alice.answers(received, 200))
    assert far.gets(200, invite)
    far.hangs_up()
    bye = alice.sends_within("BYE", there)
    assert (far.gets("BYE") if is_reached else alice.gets(430, bye)) is not None
    assert not world.lost
