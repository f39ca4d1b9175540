"""Calls through a gateway that challenges us, and calls from it (RFC 3261 §22.3)."""

import hashlib
import logging

import pytest

from sip.core.trunk import parse_trunks
from sip.message.headers import parse_credentials
from sip.message.message import Request
from tests.support.forwarding import exchanged
from tests.support.world import REALM, SDP, Phone, World, dialog_of_callee, dialog_of_caller

GATEWAY = "203.0.113.9"
TRUNKS = f"0=sip:office:pass%20word@{GATEWAY},00=sip:{GATEWAY}:5070"
NONCE = 'Digest realm="carrier", nonce="n{}", algorithm=MD5, qop="auth"'


def asks(gateway: Phone, request: Request, number: int = 1, more: str = "") -> None:
    gateway.answers(request, 407, headers=(f"Proxy-Authenticate: {NONCE.format(number)}{more}",))


def is_right(request: Request, number: int = 1) -> bool:
    """Return True if a request has the right credentials of the trunk."""
    (field,) = request.fields("proxy-authorization")
    said = parse_credentials(field).params
    ha1 = md5("office:carrier:pass word")
    ha2 = md5(f"{request.method}:{said['uri']}")
    expected = md5(f"{ha1}:n{number}:00000001:{said['cnonce']}:auth:{ha2}")
    return (said["username"], said["uri"], said["response"]) == (
        "office",
        request.uri_text,
        expected,
    )


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@pytest.fixture
def world() -> World:
    return World(settings={"sip_trunk": parse_trunks(TRUNKS), "sip_calls_from_outside": False})


@pytest.fixture
def alice(world: World) -> Phone:
    return world.phone("alice")


@pytest.fixture
def gateway(world: World) -> Phone:
    gateway = world.phone("gateway", registered=False, host=GATEWAY)
    gateway.aor = f"sip:+4989555@{REALM}"  # as gateways do: they call in the name of our domain
    return gateway


def dials(alice: Phone, gateway: Phone, number: str = "0891234") -> tuple[Request, Request]:
    """A call as it leaves, and as the gateway gets it for good."""
    invite = alice.sends("INVITE", f"sip:{number}@{REALM}")
    first = gateway.gets("INVITE")
    asks(gateway, first)
    gateway.gets("ACK")
    return invite, gateway.gets("INVITE")


def test_a_number_goes_to_its_gateway_with_our_credentials(world: World, alice, gateway):
    """§22.3: a new branch; the CSeq stays, for it is the caller that counts."""
    invite, second = dials(alice, gateway)
    assert second.uri_text == f"sip:0891234@{GATEWAY}"
    assert is_right(second)
    assert second.cseq == invite.cseq
    gateway.answers(second, 200)
    assert [alice.takes().status for _ in range(2)] == [100, 200]


@pytest.mark.parametrize(
    "uri", ["tel:089-1234", f"sip:0(89)1234@{REALM}", f"sip:%30891234@{REALM}"]
)
def test_a_number_may_be_written_in_many_ways(alice, gateway, uri: str):
    """RFC 3966 §5.1.1: separators are for people."""
    alice.sends("INVITE", uri)
    assert gateway.gets("INVITE").uri_text == f"sip:0891234@{GATEWAY}"


def test_a_user_of_that_name_is_nearer(world: World, alice, gateway):
    """Whether registered or not: calls for a colleague don't cost money by chance."""
    desk = world.phone("0891234")
    alice.sends("MESSAGE", desk.aor)
    assert desk.gets("MESSAGE")
    desk.registers(expires=0)
    message = alice.sends("MESSAGE", desk.aor)
    assert alice.gets(480, message)
    assert gateway.hears_nothing()


def test_a_number_that_no_trunk_takes_is_unknown(alice, gateway):
    """§21.4.5."""
    alice.sends("INVITE", f"sip:112@{REALM}")
    assert alice.gets(404)
    assert gateway.hears_nothing()


def test_another_trunk_may_need_no_password(world: World, alice):
    """The longer beginning."""
    other = world.phone("x", registered=False, host=GATEWAY, port=5070)
    alice.sends("INVITE", f"sip:0049@{REALM}")
    invite = other.gets("INVITE")
    assert invite.uri_text == f"sip:0049@{GATEWAY}:5070"
    other.answers(invite, 486)
    assert alice.gets(486)


def test_requests_within_the_call_are_answered_for_too(world: World, alice, gateway):
    """§22.3: a re-INVITE and a BYE are asked anew, first by us; also after a restart."""
    invite, second = dials(alice, gateway)
    ok = gateway.answers(second, 200)
    here, there = dialog_of_caller(invite, alice.gets(200)), dialog_of_callee(second, ok)
    alice.sends_within("ACK", here, cseq=invite.cseq[0])
    assert "proxy-authorization" not in gateway.gets("ACK").names
    for number, method in enumerate(("INVITE", "BYE"), 2):
        world.start_server()
        sent = alice.sends_within(method, here, body=SDP if method == "INVITE" else b"")
        assert (
            gateway.hears_nothing()
        )  # alice is authenticated before the gateway gets our credentials
        sent = alice.with_credentials(sent, alice.gets(407))
        alice.transmits(sent)
        asks(gateway, gateway.gets(method), number)
        if method == "INVITE":
            gateway.gets("ACK")
        again = gateway.gets(method)
        assert is_right(again, number)
        gateway.answers(again, 200)
        alice.gets(200, sent)
    exchanged(gateway, "INFO", there, alice)


def test_a_nonce_that_was_too_old_is_answered_once_more(alice, gateway):
    """RFC 7616 §3.3."""
    _, second = dials(alice, gateway)
    asks(gateway, second, 2, ", stale=true")
    gateway.gets("ACK")
    third = gateway.gets("INVITE")
    assert is_right(third, 2)
    asks(gateway, third, 3, ", stale=true")
    assert alice.gets(500)


@pytest.mark.parametrize("field", [NONCE.format(2), "Basic realm=x", "Digest realm=", ""])
def test_a_gateway_that_does_not_take_our_word_asks_no_caller(alice, gateway, caplog, field: str):
    """§16.7: its challenge would have alice's phone ask her for a password."""
    caplog.set_level(logging.INFO)
    _, second = dials(alice, gateway)
    gateway.answers(second, 407, headers=(f"Proxy-Authenticate: {field}",) if field else ())
    answer = alice.gets(500)
    assert "proxy-authenticate" not in answer.names
    assert "rejects our credentials" in caplog.text
    assert "pass" not in caplog.text.replace("password", "")


def test_a_gateway_of_another_dialog_gets_no_credentials(world: World, alice, gateway):
    """A phone at the gateway that challenges in a call of its own gets no credentials."""
    bob = world.phone("bob")
    invite = alice.sends("INVITE", bob.aor)
    received = bob.gets("INVITE")
    bob.answers(received, 407, headers=(f"Proxy-Authenticate: {NONCE.format(1)}",))
    assert alice.gets(407, invite)
    bob.gets("ACK")
    assert bob.hears_nothing()


def test_a_cancelled_call_sends_no_credentials(alice, gateway):
    """§16.10."""
    invite = alice.sends("INVITE", f"sip:0891234@{REALM}")
    first = gateway.gets("INVITE")
    gateway.answers(first, 100)
    cancel = alice.cancels(invite)
    alice.gets(200, cancel)
    gateway.answers(gateway.gets("CANCEL"), 200)
    asks(gateway, first)
    gateway.gets("ACK")
    assert gateway.hears_nothing()
    assert alice.takes().status in (487, 500)


def test_an_external_caller_reaches_no_gateway(world: World, gateway):
    """No call leaves without a local user, with any From of an external caller."""
    for from_uri in (f"sip:alice@{REALM}", "sip:x@elsewhere.org", f"sip:0891@{GATEWAY}"):
        stranger = world.phone("stranger", registered=False)
        stranger.sends("INVITE", f"sip:0891234@{REALM}", answers_challenge=False, from_uri=from_uri)
        assert stranger.takes().status in (403, 407, 480)
    assert gateway.hears_nothing()


def test_a_call_from_the_gateway_reaches_only_local_users(world: World, alice, gateway):
    """Without a password, with any From, and though calls from outside are off."""
    gateway.sends("INVITE", alice.aor, answers_challenge=False)
    received = alice.gets("INVITE")
    answer = alice.answers(received, 200)
    ok = gateway.gets(200)
    there = dialog_of_callee(received, answer)
    bye = alice.sends_within("BYE", there)
    alice.transmits(alice.with_credentials(bye, alice.gets(407)))
    assert gateway.gets("BYE")
    assert ok
    for uri in ("sip:x@elsewhere.org", f"sip:0049@{REALM}", "sip:x@192.0.2.200"):
        gateway.sends("INVITE", uri, answers_challenge=False)
        assert gateway.takes().status in (403, 404)
    gateway.sends("MESSAGE", f"sip:nobody@{REALM}", answers_challenge=False)
    assert gateway.gets(404)
    assert not world.lost


def test_the_gateway_cannot_register_a_user(world: World, gateway):
    """§10.3: its address is a password for calls alone."""
    world.users.add("carol", "secret")
    gateway.transmits(
        gateway.request(
            "REGISTER",
            f"sip:{REALM}",
            to=f"<sip:carol@{REALM}>",
            headers=("Contact: <sip:carol@192.0.2.66>",),
        )
    )
    assert gateway.gets(401)


def test_a_gateway_has_a_name_and_moves():
    """RFC 3263: its addresses are looked up again and again."""
    world = World(settings={"sip_trunk": parse_trunks("0=sip:gw.example.net:5060")})
    gateway = world.phone("gateway", registered=False, host=GATEWAY)
    gateway.aor = f"sip:1@{REALM}"
    bob = world.phone("bob")
    gateway.sends("MESSAGE", bob.aor, answers_challenge=False)
    assert gateway.gets(407)
    world.zone.records["gw.example.net", "A"] = [GATEWAY]
    world.now += 400
    world.server.trunks.refresh()
    gateway.sends("MESSAGE", bob.aor, answers_challenge=False)
    assert bob.gets("MESSAGE")
    world.zone.is_dead = True
    world.now += 400
    world.server.trunks.refresh()
    gateway.sends("MESSAGE", bob.aor, answers_challenge=False)
    assert bob.gets("MESSAGE")


NAME = "gw.example.net"
SERVICE = f"_sip._udp.{NAME}", "SRV"


@pytest.fixture
def named() -> World:
    """A world with a trunk to a gateway name of 12 servers; the web site of that name is elsewhere.

    They are not found before `refreshes`.
    """
    settings = {"sip_trunk": parse_trunks(f"0=sip:{NAME}"), "sip_calls_from_outside": False}
    world = World(settings=settings)
    records = world.zone.records
    records[SERVICE] = [(1, 1, 5060, f"g{number}.net") for number in range(12)]
    records |= {(f"g{number}.net", "A"): [f"203.0.113.{number}"] for number in range(12)}
    records[NAME, "A"] = ["203.0.113.80"]
    return world


def refreshes(world: World, *silent: tuple[str, str]) -> set[int]:
    """Look the gateway up anew, and give the last numbers of the addresses that it is known by."""
    world.now += 400
    world.zone.silent = set(silent)
    world.server.trunks.refresh()
    known = world.server.trunks.is_gateway
    return {number for number in range(256) if known((f"203.0.113.{number}", 5060))}


def test_a_gateway_has_as_many_addresses_as_it_has(named: World):
    """RFC 2782: whichever of them calls, and in whichever order they are drawn."""
    assert refreshes(named) == set(range(12))
    alice = named.phone("alice")
    for number in range(12):
        gateway = named.phone("gateway", registered=False, host=f"203.0.113.{number}")
        gateway.sends("MESSAGE", alice.aor, from_uri="sip:0891@x.org", answers_challenge=False)
        assert alice.gets("MESSAGE")


@pytest.mark.parametrize(
    "silent",
    [[SERVICE], [SERVICE, (f"_sip._tcp.{NAME}", "SRV")], [("g3.net", "A")], [(NAME, "NAPTR")]],
)
def test_a_lost_dns_answer_neither_removes_nor_adds_a_gateway(named: World, silent):
    """RFC 2782: silence does not say that the web site of that name were the gateway."""
    assert refreshes(named) == set(range(12))
    assert refreshes(named, *silent) == set(range(12))
    del named.zone.records["g5.net", "A"]
    assert refreshes(named) == set(range(12)) - {5}


def test_a_gateway_that_is_known_in_part_is_better_than_none(named: World):
    """At the start, when there is nothing to go by yet."""
    assert refreshes(named, ("g3.net", "A")) == set(range(12)) - {3}


def test_what_was_meant_for_us_does_not_reach_the_gateway(alice, gateway):
    """§22.3: alice's credentials end here."""
    _, second = dials(alice, gateway)
    assert all("example.com" not in field for field in second.fields("proxy-authorization"))


@pytest.mark.parametrize("registers_by", ["Contact", "Path"])
@pytest.mark.parametrize("caller", ["alice", "a stranger"])
def test_no_contact_leads_to_a_gateway(registers_by: str, caller: str):
    """There each call may cost money, and a number that no trunk takes is not to be had."""
    world = World(settings={"sip_trunk": parse_trunks(f"0891=sip:{GATEWAY}")})
    gateway = world.phone("gateway", registered=False, host=GATEWAY)
    alice = world.phone("alice", registered=False)
    if registers_by == "Contact":
        alice.registers(f"<sip:0900123@{GATEWAY}>")
    else:
        path = ("Supported: path", f"Path: <sip:{GATEWAY};lr>")
        alice.registers("<sip:0900123@carrier.example>", headers=path)
    if caller == "alice":
        alice.sends("INVITE", alice.aor)
    else:
        stranger = world.phone("x", registered=False)
        stranger.sends("INVITE", alice.aor, from_uri="sip:x@elsewhere.org", answers_challenge=False)
    assert gateway.hears_nothing()


def test_a_gateway_that_registers_itself_is_called_there():
    """A telephone exchange may be both: the gateway of a trunk, and a user."""
    world = World(settings={"sip_trunk": parse_trunks(f"0891=sip:{GATEWAY}")})
    alice, exchange = world.phone("alice"), world.phone("exchange", host=GATEWAY)
    alice.sends("INVITE", exchange.aor)
    assert exchange.gets("INVITE")


def test_a_phone_at_the_address_of_the_gateway_is_a_phone(world: World, gateway):
    """One machine, or one NAT, for both: a call in a user's name needs the password."""
    bob, beside = world.phone("bob"), world.phone("carol", host=GATEWAY, port=44_444)
    beside.sends("INVITE", f"sip:0891234@{REALM}")
    assert gateway.gets("INVITE")
    beside.sends("INVITE", bob.aor, answers_challenge=False)
    assert beside.gets(407)
    assert bob.hears_nothing()


def test_another_gateway_address_has_a_nonce_of_its_own():
    """RFC 3263 §4.3: the next host does not know the nonce of the one before."""
    world = World(settings={"sip_trunk": parse_trunks("0=sip:office:pass%20word@gw.example.net")})
    world.zone.records["gw.example.net", "A"] = [GATEWAY, "203.0.113.10"]
    world.now += 400  # seconds; that there was no such name is forgotten then
    world.server.trunks.refresh()
    both = [world.phone("one", registered=False, host=GATEWAY)]
    both.append(world.phone("two", registered=False, host="203.0.113.10"))
    alice = world.phone("alice")
    alice.sends("INVITE", f"sip:0891234@{REALM}")
    first, second = both if both[0].inbox else reversed(both)
    asks(first, first.gets("INVITE"), 1)
    first.gets("ACK")
    first.answers(first.gets("INVITE"), 503)
    first.gets("ACK")
    asks(second, second.gets("INVITE"), 2)
    second.gets("ACK")
    assert is_right(second.gets("INVITE"), 2)


def test_a_call_through_a_gateway_on_tcp_goes_on_after_a_restart():
    """RFC 5626 §5.3: the gateway has another connection by then, and is known by its address."""
    trunk = parse_trunks(f"0=sip:office:pass%20word@{GATEWAY};transport=tcp")
    world = World(settings={"sip_trunk": trunk})
    gateway = world.phone("gateway", registered=False, host=GATEWAY, transport="TCP")
    alice = world.phone("alice")
    invite, second = dials(alice, gateway)
    gateway.answers(second, 200)
    here = dialog_of_caller(invite, alice.gets(200))
    world.start_server()
    gateway.connects()
    bye = alice.sends_within("BYE", here)
    bye = alice.with_credentials(bye, alice.gets(407))
    alice.transmits(bye)
    asks(gateway, gateway.gets("BYE"), 2)
    again = gateway.gets("BYE")
    assert is_right(again, 2)
    gateway.answers(again, 200)
    assert alice.gets(200, bye)
