"""GRUUs: handed out to phones, and each request to one reaches its phone (RFC 5627 §5, §6)."""

import gevent
import pytest

from sip.message.message import Request, Response
from tests.support.flows import INSTANCE, flow, gruus, register_flow, with_gruu
from tests.support.followed_calls import FollowedCalls
from tests.support.robot_phone import OFFER, robot_phone
from tests.support.world import REALM, Dialog, Phone, World, dialog_of_callee, dialog_of_caller

OTHER = "<urn:uuid:00000000-0000-4000-8000-000000000002>"
KINDS = ("public", "temporary")


@pytest.fixture
def alice(world: World) -> Phone:
    return world.phone("alice")


def registered(world: World, phone: Phone, instance: str = INSTANCE, **more) -> Response:
    contact = f'{phone.contact};+sip.instance="{instance}"'
    return phone.registers(contact, headers=("Supported: gruu",), **more)


def gruu(answer: Response, kind: str) -> str:
    return gruus(answer)[KINDS.index(kind)]


# REGISTER


def test_a_phone_that_asks_gets_both_gruus(world: World):
    """RFC 5627 §5.1, §5.2: the host is that of its To; the temporary one is always another."""
    bob = world.phone("bob", registered=False)
    bob.aor = "sip:bob@EXAMPLE.com:5060"
    answer = registered(world, bob)
    public, temporary = gruus(answer)
    assert public == f"sip:bob@EXAMPLE.com:5060;gr={INSTANCE[1:-1]}"
    assert temporary.startswith("sip:tgruu.")
    assert temporary.endswith("@EXAMPLE.com:5060;gr")
    assert not {"require", "supported"} & set(answer.names)
    again = gruus(registered(world, bob))
    assert again[0] == public
    assert again[1] != temporary


def test_only_phones_that_have_asked_are_listed_with_gruus(world: World):
    """RFC 5627 §5.2: one temporary GRUU for all flows of a phone; none without instance or tag."""
    plain, desk = world.phone("bob"), world.phone("bob", registered=False)
    desk.registers(f'{desk.contact};+sip.instance="{OTHER}"')
    first, second = flow(world, "bob", 1), flow(world, "bob", 2)
    register_flow(first)
    listed = register_flow(second).values("contact")
    assert [("gruu" in value, INSTANCE in value) for value in listed] == [
        (True, True),
        (False, False),
        (False, False),
        (True, True),
    ]
    flows = [value.partition(";pub-gruu")[2] for value in listed if "gruu" in value]
    assert flows[0] == flows[1]
    assert "gruu" not in str(plain.registers().values("contact"))
    answer = registered(world, desk, "urn:uuid:not-bracketed")
    assert "gruu" not in answer.values("contact")[0]


@pytest.mark.parametrize(
    "contact", ["sip:bob@example.com", "sip:BoB@192.0.2.1", "tel:+1234", "public", "temporary"]
)
def test_a_contact_that_leads_to_its_user_is_403(world: World, contact: str):
    """RFC 5627 §5.1: it would be a loop; a phone without GRUUs may do so."""
    bob = world.phone("bob", registered=False)
    answer = registered(world, bob)
    if contact in KINDS:
        contact = gruu(answer, contact)
    bob.contact = f"<{contact.replace('BoB', 'bob')}>"
    assert registered(world, bob).status == 403
    assert len(world.bindings.rows) == 1
    assert bob.registers().status == 200


# Requests outside of a dialog


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("restarts", [False, True])
def test_a_gruu_rings_one_phone(world: World, alice: Phone, kind: str, restarts: bool):
    """RFC 5627 §6.1: the Contact takes its place, and `gr` goes no further."""
    desk = world.phone("bob")
    mobile = world.phone("bob", registered=False)
    uri = gruu(registered(world, mobile), kind)
    if restarts:
        world.start_server()
    for method in ("INVITE", "MESSAGE", "OPTIONS"):
        alice.sends(method, uri)
        request = mobile.gets(method)
        assert request.uri_text == mobile.contact.strip("<>")
        assert request.to.uri_text == uri
        assert desk.hears_nothing()


def test_a_phone_that_is_away_is_480(world: World, alice: Phone):
    """RFC 5627 §5.3: its public GRUU stays valid; of a disabled user too."""
    bob = world.phone("bob", registered=False)
    public, temporary = gruus(registered(world, bob))
    registered(world, bob, expires=0)
    world.phone("bob")
    assert alice.gets(480, alice.sends("MESSAGE", public))
    assert alice.gets(404, alice.sends("MESSAGE", temporary))
    registered(world, bob)
    alice.sends("MESSAGE", public)
    assert bob.gets("MESSAGE")
    assert alice.gets(404, alice.sends("MESSAGE", temporary))
    world.users.accounts["bob", REALM].enabled = False
    assert alice.gets(480, alice.sends("INVITE", public))


def test_a_temporary_gruu_ends_with_its_call_id(world: World, alice: Phone):
    """RFC 5627 §5.1, §5.3: 404; all of one Call-ID are valid as long as the phone is bound."""
    bob = world.phone("bob", registered=False)
    first = gruus(registered(world, bob, call_id="one"))[1]
    second = gruus(registered(world, bob, call_id="one", expires=100))[1]
    for temporary in (first, second):
        alice.sends("MESSAGE", temporary)
        bob.answers(bob.gets("MESSAGE"), 200)
        alice.gets(200)
    world.passes(101.0, step=1.0)
    assert alice.gets(404, alice.sends("MESSAGE", first))
    third = gruus(registered(world, bob, call_id="one"))[1]
    registered(world, bob, call_id="two")
    for temporary in (second, third):
        assert alice.gets(404, alice.sends("MESSAGE", temporary))


def test_a_failed_register_ends_no_gruu(world: World, alice: Phone):
    """RFC 5627 §4.2."""
    bob = world.phone("bob", registered=False)
    temporary = gruus(registered(world, bob, call_id="one"))[1]
    world.bindings.fails = "disk full"
    assert registered(world, bob, call_id="two").status == 500
    world.bindings.fails = ""
    alice.sends("MESSAGE", temporary)
    assert bob.gets("MESSAGE")


def test_a_connection_may_close_in_between(world: World, alice: Phone):
    """RFC 5627 §5.3: 480 until the phone is back; then its earlier temporary GRUU is valid."""
    bob = world.phone("bob", registered=False, transport="TCP")
    bob.moves_behind_nat("192.168.1.20:40001")
    temporary = gruus(registered(world, bob, call_id="one"))[1]
    bob.hangs_up()
    assert alice.gets(480, alice.sends("MESSAGE", temporary))
    bob.connects()
    registered(world, bob, call_id="one")
    alice.sends("MESSAGE", temporary)
    bob.answers(bob.gets("MESSAGE"), 200)
    alice.gets(200)
    world.start_server()
    assert alice.gets(480, alice.sends("MESSAGE", temporary))
    bob.connects()
    registered(world, bob, call_id="one")
    alice.sends("MESSAGE", temporary)
    assert bob.gets("MESSAGE")
    world.start_server()
    world.passes(3601.0, step=60.0)
    assert alice.gets(404, alice.sends("MESSAGE", temporary))


def test_another_flow_follows_as_with_the_user(world: World, alice: Phone):
    """RFC 5627 §6.1, RFC 5626 §7."""
    other = world.phone("bob")
    first, second = (flow(world, "bob", n, transport="TCP") for n in (1, 2))
    register_flow(first)
    world.passes(1.0)
    public = gruus(register_flow(second))[0]
    alice.sends("INVITE", public)
    second.gets("INVITE")
    second.hangs_up()
    first.answers(first.gets("INVITE"), 200)
    alice.gets(200)
    assert other.hears_nothing()


def test_what_is_no_gruu_of_ours_is_404(world: World, alice: Phone):
    """RFC 5627 §6.1; strangers get the same for each public GRUU, and no password opens one."""
    bob = world.phone("bob", registered=False)
    public, temporary = gruus(registered(world, bob))
    forged = f"{temporary[:12]}{'b' if temporary[12] == 'a' else 'a'}{temporary[13:]}"
    for uri, status in (
        (forged, 404),
        (f"sip:bob@{REALM};gr", 404),
        (f"sip:nobody@{REALM};gr=urn:uuid:1", 404),
        (f"sip:bob@{REALM};gr=urn:uuid:1", 480),
    ):
        assert alice.gets(status, alice.sends("INVITE", uri)), uri
    stranger = world.phone("eve", registered=False)
    outside = {"from_uri": "sip:eve@elsewhere.org"}
    for uri in (f"sip:nobody@{REALM};gr=urn:uuid:1", f"sip:bob@{REALM};gr=urn:uuid:1"):
        stranger.gets(480, stranger.sends("INVITE", uri, **outside))
    stranger.gets(404, stranger.sends("INVITE", forged, **outside))
    stranger.gets(407, stranger.sends("INVITE", public, answers_challenge=False))
    assert bob.hears_nothing()
    stranger.sends("INVITE", temporary, **outside)
    assert bob.gets("INVITE")


def test_a_gruu_is_not_forwarded(world: World, alice: Phone):
    """RFC 5627 §6.1: the phone is meant; do not disturb counts, but not for a call it has."""
    carol = world.phone("carol")
    bob = world.phone("bob", registered=False)
    public = gruus(registered(world, bob))[0]
    world.users.set("bob", always="carol")
    alice.sends("INVITE", public)
    bob.answers(bob.gets("INVITE"), 486)
    bob.gets("ACK")
    assert carol.hears_nothing()
    world.users.set("bob", always="", dnd=True)
    alice.inbox.clear()
    alice.gets(480, alice.sends("INVITE", public))
    alice.sends("INVITE", public, headers=("Replaces: x;to-tag=1;from-tag=2",))
    assert bob.gets("INVITE")


@pytest.mark.parametrize("kind", KINDS)
def test_calls_are_forwarded_and_redirected_to_a_gruu(world: World, kind: str):
    """RFC 5627 §6.1: by a user, a group, a 3xx, and the Contact of another user; each loop ends."""
    world.settings = {"sip_follow_redirects": True}
    world.start_server()
    alice, carol, dave = world.phones("alice", "carol", "dave")
    world.phone("bob")
    mobile = world.phone("bob", registered=False)
    uri = gruu(registered(world, mobile), kind)

    def rings_alone(invite: Request) -> None:
        mobile.answers(mobile.gets("INVITE"), 486)
        mobile.gets("ACK")
        while (answer := alice.takes()).status in (100, 181):
            assert answer.call_id == invite.call_id
        assert answer.status == 486
        alice.acknowledges(invite, answer)

    world.users.set("carol", always=uri)
    rings_alone(alice.sends("INVITE", carol.aor))
    world.users.set("carol", always="")
    world.users.add_group("600", "eve", then=uri)
    rings_alone(alice.sends("INVITE", f"sip:600@{REALM}"))
    invite = alice.sends("INVITE", carol.aor)
    carol.answers(carol.gets("INVITE"), 302, headers=(f"Contact: <{uri}>",))
    carol.gets("ACK")
    rings_alone(invite)
    dave.registers(dave.contact, expires=0)
    dave.registers(f"<{uri}>")
    rings_alone(alice.sends("INVITE", dave.aor))
    mobile.registers(mobile.contact, expires=0)
    world.users.set("carol", always=uri)
    alice.gets(480, alice.sends("INVITE", carol.aor))


# Within a dialog


def talk(caller: Phone, callee: Phone) -> tuple[Dialog, Dialog]:
    """A call between phones with any Contacts; return the view of each side."""
    invite = caller.sends("INVITE", callee.aor)
    received = callee.gets("INVITE")
    callee.answers(received, 200)
    answer = caller.gets(200, invite)
    here, there = dialog_of_caller(invite, answer), dialog_of_callee(received, answer)
    caller.sends_within("ACK", here, cseq=invite.cseq[0])
    assert callee.gets("ACK")
    return here, there


def passes(sender: Phone, method: str, dialog: Dialog, receiver: Phone, **more) -> None:
    asked = sender.sends_within(method, dialog, **more)
    got = receiver.gets(method)
    assert "gr" not in dict(got.uri.params)
    receiver.answers(got, 200)
    sender.gets(200, asked)


@pytest.mark.parametrize("transport", ["UDP", "TCP", "UDP behind NAT"])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_call_between_gruus_goes_on(world: World, transport: str, restarts: bool):
    """RFC 5627 §6.1: before the flow of the ticket; a re-INVITE, and a phone that moves."""
    phones = []
    for name in ("alice", "bob"):
        phone = world.phone(name, registered=False, transport=transport[:3])
        if "NAT" in transport:
            phone.contact = f"<sip:{name}@192.168.1.20>"
        phone.contact = f"<{gruus(registered(world, phone, f'<urn:{name}>', call_id=name))[0]}>"
        phones.append(phone)
    alice, bob = phones
    here, there = talk(alice, bob)
    if restarts and transport != "TCP":
        world.start_server()
    for method in ("INFO", "UPDATE"):
        passes(alice, method, here, bob)
        passes(bob, method, there, alice)
    invite = alice.sends_within("INVITE", here, body=b"v=0\r\n")
    bob.answers(bob.gets("INVITE"), 200)
    alice.gets(200, invite)
    alice.sends_within("ACK", here, cseq=invite.cseq[0])
    assert bob.gets("ACK")
    moved = world.phone("bob", registered=False, host="192.0.2.240", transport=transport[:3])
    registered(world, moved, "<urn:bob>", call_id="bob", cseq=100)
    passes(alice, "INFO", here, moved)
    passes(moved, "BYE", there, alice)


def test_a_plain_phone_hangs_up_at_a_gruu_without_a_password(world: World, alice: Phone):
    """A valid ticket is enough; another user's GRUU needs a password, even then."""
    bob, carol = with_gruu(world, "bob"), with_gruu(world, "carol", instance=OTHER)
    here, _ = talk(alice, bob)
    to_carol = Dialog(**(vars(here) | {"target": carol.contact.strip("<>")}))
    alice.gets(407, alice.sends_within("INFO", to_carol))
    gone = Dialog(**(vars(here) | {"target": f"sip:tgruu.x@{REALM};gr"}))
    alice.gets(404, alice.sends_within("INFO", gone))
    assert carol.hears_nothing()
    passes(alice, "BYE", here, bob)


def test_an_ack_without_a_route_reaches_a_gruu(world: World, alice: Phone):
    """RFC 3261 §13.2.2.4: of a caller that ignores our Record-Route."""
    bob = with_gruu(world, "bob")
    invite = alice.sends("INVITE", bob.aor)
    received = bob.gets("INVITE")
    bob.answers(received, 200)
    here = dialog_of_caller(invite, alice.gets(200, invite))
    here.routes = []
    alice.sends_within("ACK", here, cseq=invite.cseq[0])
    assert bob.gets("ACK").uri_text.startswith("sip:bob@192.0.2.")


def test_a_phone_that_signs_off_in_a_call_is_480(world: World, alice: Phone):
    """RFC 5627 §6.1: no registered contact is bound to its GRUU."""
    bob = with_gruu(world, "bob")
    here, _ = talk(alice, bob)
    bob.registers("*", expires=0)
    alice.gets(480, alice.sends_within("INFO", here))


@pytest.mark.parametrize("host", ["198.51.100.1", "198.51.100.2"])
def test_the_path_is_not_used_beside_a_route(world: World, alice: Phone, host: str):
    """RFC 5627 §6.1: an edge proxy that records its route, from one address or from two."""
    edge = world.phone("edge", registered=False, host="198.51.100.1")
    bob = world.phone("bob", registered=False, host=host)
    address, path = "sip:bob@192.168.1.20", ("Path: <sip:198.51.100.1;lr>", "k: path, gruu")
    answer = bob.registers(f'<{address}>;+sip.instance="{INSTANCE}"', headers=path)
    edge.contact = f"<{gruus(answer)[0]}>"
    world.at[edge.address] = edge
    invite = alice.sends("INVITE", bob.aor)
    received = edge.gets("INVITE")
    received.put_first("record-route", "Record-Route: <sip:198.51.100.1;lr>")
    edge.answers(received, 200)
    here = dialog_of_caller(invite, alice.gets(200, invite))
    alice.sends_within("ACK", here, cseq=invite.cseq[0])
    ack = edge.gets("ACK")
    assert (ack.uri_text, ack.values("route")) == (address, ["<sip:198.51.100.1;lr>"])


def test_a_stranger_learns_nothing_by_a_gruu(world: World, alice: Phone):
    """In its own dialog, along the route to itself: neither users nor the addresses of phones."""
    carol = with_gruu(world, "carol", instance=OTHER)
    eve = world.phone("eve", registered=False)
    eve.aor = "sip:eve@elsewhere.org"
    invite = eve.sends("INVITE", alice.aor)
    received = alice.gets("INVITE")
    to_eve = dialog_of_callee(received, alice.answers(received, 200))
    eve.gets(200, invite)
    for uri in (f"sip:carol@{REALM};gr=urn:uuid:1", f"sip:nobody@{REALM};gr=urn:uuid:1"):
        to_eve.target = uri
        eve.gets(480, eve.sends_within("INFO", to_eve))
    to_eve.target = carol.contact.strip("<>")
    eve.sends_within("INFO", to_eve)
    assert eve.hears_nothing()
    assert carol.gets("INFO")  # as outside of a dialog


def test_a_refer_leads_to_the_phone_of_a_gruu(world: World, alice: Phone):
    """RFC 3515, RFC 5627 §1: the new call reaches the phone, not all phones of its user."""
    desk, bob = world.phone("carol"), with_gruu(world, "bob")
    carol = with_gruu(world, "carol", instance=OTHER)
    here, _ = talk(alice, bob)
    refer_to = f"Refer-To: {carol.contact}"
    passes(alice, "REFER", here, bob, headers=(refer_to,))
    bob.sends("INVITE", carol.contact.strip("<>"))
    assert carol.gets("INVITE")
    assert desk.hears_nothing()


def test_the_server_hangs_up_phones_with_gruus(world: World):
    """By a BYE to each side, at its address."""
    calls = FollowedCalls(world)
    alice, bob = with_gruu(world, "alice"), with_gruu(world, "bob", instance=OTHER)
    talk(alice, bob)
    assert calls.hangs_up()
    for phone in (alice, bob):
        assert phone.gets("BYE").uri_text == f"sip:{phone.name}@{phone.sent_by}"


def test_the_robot_talks_to_a_phone_with_a_gruu(world: World):
    """It calls the phone, and sends ACK and BYE within the dialog."""
    bob = robot_phone(world, "bob")
    answer = registered(world, bob, call_id="robot")
    bob.contact = f"<{gruus(answer)[0]}>"
    calling = gevent.spawn(world.server.call_phone, "bob", REALM)
    world.settle()
    invite = bob.gets("INVITE")
    bob.answers(invite, 200, headers=("Content-Type: application/sdp",), body=OFFER)
    assert bob.gets("ACK").uri_text == f"sip:bob@{bob.sent_by}"
    assert calling.get(timeout=1).is_answered
    world.passes(5.1)
    assert bob.gets("BYE").uri_text == f"sip:bob@{bob.sent_by}"
    world.server.robot.stop()
