"""What provokes each cause of a refused request or a failed call, in a virtual world."""

import errno
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from sip.core.guard.password_limits import MAX_FAILURES_OF_SOURCE, MAX_FAILURES_OF_USER
from sip.core.registrar.bindings import MAX_CONTACTS
from sip.core.trunk import parse_trunks
from sip.dispatcher import MAX_HANDLERS
from sip.message.message import Response, parse
from tests.support.fake_rtpengine import SETTINGS as WITH_RELAY
from tests.support.fake_rtpengine import FakeRtpEngine, sdp
from tests.support.forwarding import talks
from tests.support.outside_proxy import STRANGER, goes_on, outside
from tests.support.tls_phone import SETTINGS, TlsPhone
from tests.support.world import REALM, Phone, World

BOB = f"sip:bob@{REALM}"
OUTSIDE = {"sip_calls_to_outside": True}
GATEWAY = {"sip_trunk": parse_trunks("0=sip:office:secret@203.0.113.9")}

Provoke = Callable[[World, Any], None]


class Scenario(NamedTuple):
    """What provokes a cause, and what is seen of it.

    `is_told`: the sender has authenticated, so a Warning says why.  `is_answered` is True if the
    final response is that of a phone, which is forwarded unchanged, without a log line.
    """

    provoke: Provoke
    settings: dict
    is_told: bool
    is_answered: bool


SCENARIOS: dict[str, Scenario] = {}
# How answered calls end: in ladders/calls/, test_hang_up, test_call_ends and test_followed_calls;
# the robot: in ladders/robot/; forwarded calls: in ladders/forwarding/; sips: in ladders/tls/.
SHOWN_ELSEWHERE = {
    "sips_not_allowed",
    *("hung_up_by_admin", "replaced", "transferred", "session_expired", "both_gone"),
    *("robot_refused", "forwarded", "forward_loop"),
}
# Causes whose line has other words: none for a first request, and "draining".
WITHOUT_LINE = {"no_credentials", "stopping"}


def provokes(code: str, *, told: bool = True, answered: bool = False, **settings):
    def add(provoke: Provoke) -> Provoke:
        SCENARIOS[code] = Scenario(provoke, settings, told, answered)
        return provoke

    return add


def registers(phone: Phone, *, password: str = "secret", username: str = "", uri="", to="", **more):
    """Register in two steps, with any password and fields."""
    headers = more.pop("headers", (f"Contact: {phone.contact}",))
    request = phone.request(
        "REGISTER", uri or f"sip:{REALM}", to=f"<{to or phone.aor}>", headers=headers, **more
    )
    phone.transmits(request)
    challenge = parse(phone.inbox.pop())
    if isinstance(challenge, Response) and challenge.status == 401:
        again = phone.with_credentials(request, challenge, password, username)
        phone.transmits(again)
        return again
    return request


def unregistered(world: World, name: str = "bob") -> Phone:
    return world.phone(name, registered=False)


def on_tls(world: World, name: str, scheme: str) -> TlsPhone:
    phone = TlsPhone(world, name, 201, scheme=scheme)
    phone.registers()
    return phone


# Logins


@provokes("no_credentials", told=False)
def _(world, patch):
    bob = unregistered(world)
    bob.sends("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>", answers_challenge=False)


@provokes("unknown_user", told=False)
def _(world, patch):
    registers(unregistered(world), username="robert")


@provokes("disabled_user", told=False)
def _(world, patch):
    bob = unregistered(world)
    world.users.find("bob", REALM).enabled = False
    registers(bob)


@provokes("wrong_password", told=False)
def wrong_password(world, patch, name: str = "bob", username: str = ""):
    registers(unregistered(world, name), password="wrong", username=username)


provokes("wrong_spelling", told=False)(
    partial(wrong_password, name="+4930123", username="+49(30)123")
)


@provokes("login_blocked", told=False)
def _(world, patch):
    bob = unregistered(world)
    for _ in range(MAX_FAILURES_OF_USER + 1):
        registers(bob, password="wrong")


@provokes("unknown_nonce", told=False)
def _(world, patch):
    """Failures with nonces of others are counted apart; then such credentials are not checked."""
    bob = unregistered(world)
    first = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>")
    bob.transmits(first)
    challenge = bob.gets(401)
    foreign = re.sub(r'nonce="[^"]*"', 'nonce="foreign"', challenge.value("www-authenticate"))
    challenge.set("www-authenticate", f"WWW-Authenticate: {foreign}")
    for number in range(200):
        bob.transmits(bob.with_credentials(first, challenge, f"wrong {number}"))


@provokes("reused_nonce", told=False)
def _(world, patch):
    bob = unregistered(world)
    again = registers(bob).copy()
    again.set("via", f"Via: SIP/2.0/UDP {bob.sent_by};branch=z9hG4bKagain;rport")
    again.set("cseq", "CSeq: 99 REGISTER")
    again.set("call-id", "Call-ID: another")
    bob.transmits(parse(again.encode()))


def credentials_with(old: str, new: str) -> Provoke:
    def provoke(world, patch):
        bob = unregistered(world)
        first = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>")
        bob.transmits(first)
        proves = bob.with_credentials(first, bob.gets(401))
        value = proves.value("authorization").replace(old, new)
        proves.set("authorization", f"Authorization: {value}")
        bob.transmits(proves)

    return provoke


provokes("unusable_credentials", told=False)(credentials_with("qop=auth", "qop=auth-int"))
provokes("foreign_digest", told=False)(
    credentials_with(f'uri="sip:{REALM}"', 'uri="sip:example.net"')
)


@provokes("other_user")
def _(world, patch):
    world.users.add("robert", "secret")
    registers(unregistered(world), username="robert")


@provokes("wrong_domain", told=False)
def _(world, patch):
    unregistered(world).sends(
        "REGISTER", "sip:example.net", to="<sip:bob@example.net>", from_uri="sip:bob@example.net"
    )


@provokes("no_relay", told=False)
def _(world, patch):
    route = ("Route: <sip:203.0.113.9;lr>",)
    unregistered(world).sends("INVITE", BOB, from_uri=STRANGER, headers=route)


@provokes("wrong_address")
def _(world, patch):
    world.users.add("carol", "secret", "other.org")
    registers(unregistered(world), uri="sip:other.org")


provokes("call_to_outside")(lambda world, patch: sends(world, patch, uri="sip:x@example.net"))


@provokes("call_from_outside", told=False, sip_calls_from_outside=False)
def _(world, patch):
    world.phone("bob")
    unregistered(world, "x").sends("INVITE", BOB, from_uri=STRANGER)


@provokes("interval_too_brief")
def _(world, patch):
    bob = unregistered(world)
    registers(bob, headers=(f"Contact: {bob.contact}", "Expires: 1"))


@provokes("too_many_contacts")
def _(world, patch):
    for number in range(MAX_CONTACTS + 1):
        other = unregistered(world)
        registers(other, headers=(f"Contact: {other.contact}", f"User-Agent: Phone/{number}"))


@provokes("register_too_large")
def _(world, patch):
    registers(unregistered(world), headers=(f"Contact: <sip:bob@192.0.2.9;x={'y' * 1000}>",))


@provokes("path_unsupported", told=False)
def _(world, patch):
    registers(unregistered(world), headers=("Path: <sip:203.0.113.9;lr>",))


@provokes("path_loop")
def _(world, patch):
    bob = unregistered(world)
    path = ("Path: <sip:192.0.2.1;lr>", "Supported: path")
    registers(bob, headers=(f"Contact: {bob.contact}", *path))


@provokes("sips_contact")
def _(world, patch):
    registers(unregistered(world), headers=("Contact: <sips:bob@192.0.2.9>",))


INSTANCE = '+sip.instance="<urn:uuid:1>"'


@provokes("outbound_unsupported")
def _(world, patch):
    bob = unregistered(world)
    proxied = ("Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKedge", "Supported: outbound")
    registers(bob, headers=(f"Contact: {bob.contact};{INSTANCE};reg-id=1", *proxied))


@provokes("contact_is_user")
def _(world, patch):
    fields = (f"Contact: <{BOB}>;{INSTANCE}", "Supported: gruu")
    registers(unregistered(world), headers=fields)


@provokes("cseq_out_of_order")
def _(world, patch):
    bob = unregistered(world)
    registers(bob, call_id="one", cseq=100)
    bob.cseq = iter(range(5, 50))
    registers(bob, call_id="one", cseq=4)


@provokes("not_saved")
def _(world, patch):
    bob = unregistered(world)
    world.bindings.fails = "the disk is full"
    registers(bob)


@provokes("malformed")
def _(world, patch):
    bob = unregistered(world)
    registers(bob, headers=(f"Contact: {bob.contact}", "Contact: *", "Expires: 0"))


@provokes("unsupported_scheme", told=False)
def sends(world, patch, method: str = "INVITE", uri: str = "mailto:bob@example.com", *headers):
    world.phone("alice").sends(method, uri, headers=headers)


def sending(*arguments: str) -> Provoke:
    return lambda world, patch: sends(world, patch, *arguments)


@provokes("sips_without_tls", told=False, **SETTINGS)
def _(world, patch):
    on_tls(world, "bob", "sips")
    sends(world, patch, "INVITE", f"sips:bob@{REALM}")


provokes("unsupported_extension", told=False)(sending("INVITE", BOB, "Proxy-Require: teleport"))
provokes("method_not_allowed", told=False)(sending("INVITE", f"sip:{REALM}"))
provokes("unknown_method", told=False)(sending("FLY", f"sip:{REALM}"))


@provokes("unsupported_body", told=False)
def _(world, patch):
    registers(unregistered(world), headers=("Content-Type: text/x",), body=b"hello")


@provokes("unsupported_event")
def _(world, patch):
    alice = world.phone("alice")
    alice.sends("SUBSCRIBE", alice.aor, headers=("Event: message-summary",))


# Routing


@provokes("loop", told=False)
def _(world, patch):
    proxy = outside(world, "bob")
    world.phone("alice").sends("INVITE", BOB)
    proxy.transmits(goes_on(proxy.gets("INVITE"), BOB))


@provokes("too_many_hops", told=False)
def _(world, patch):
    alice = world.phone("alice")
    invite = alice.request("INVITE", BOB)
    invite.set("max-forwards", "Max-Forwards: 0")
    alice.transmits(invite)


@provokes("too_many_branches")
def _(world, patch):
    alice, _ = world.phones("alice", "bob")
    alice.sends("INVITE", BOB, headers=("Max-Breadth: 0",))


@provokes("merged_request", told=False)
def _(world, patch):
    bob = unregistered(world)
    other = registers(bob).copy()
    at = other.names.index("via")
    other.lines[at] = other.lines[at].replace("branch=z9hG4bK", "branch=z9hG4bKother")
    bob.transmits(parse(other.encode()))


@provokes("no_ticket", told=False)
def _(world, patch):
    alice, bob = world.phones("alice", "bob")
    here = talks((alice, bob)).here
    here.routes.clear()
    here.target = "sip:x@203.0.113.9"
    alice.sends_within("INFO", here)


@provokes("foreign_target", told=False)
def _(world, patch):
    alice, bob = world.phones("alice", "bob")
    here = talks((alice, bob)).here
    here.routes.append("<sip:203.0.113.9;lr>")
    alice.sends_within("INFO", here)


@provokes("flow_lost")
def _(world, patch):
    alice = world.phone("alice")
    bob = world.phone("bob", registered=False, transport="TCP")
    bob.moves_behind_nat("192.168.1.20:40001")
    bob.registers()
    call = talks((alice, bob))
    bob.hangs_up()
    alice.sends_within("INFO", call.here)


provokes("no_route", **OUTSIDE)(
    lambda world, patch: sends(world, patch, uri="sip:x@nowhere.example.net")
)


@provokes("unreachable")
def _(world, patch):
    alice, bob = world.phones("alice", "bob")
    world.dead.add(bob.address)
    alice.sends("INVITE", BOB)


@provokes("no_connection")
def _(world, patch):
    alice = world.phone("alice")
    bob = world.phone("bob", transport="TCP")
    bob.hangs_up(listens=False)
    alice.sends("INVITE", BOB)


@provokes("no_response")
def _(world, patch):
    alice, _ = world.phones("alice", "bob")
    alice.sends("INVITE", BOB)
    world.passes(33, step=0.5)


@provokes("gateway_login", **GATEWAY)
def _(world, patch):
    gateway = world.phone("gateway", registered=False, host="203.0.113.9")
    world.phone("alice").sends("INVITE", f"sip:0891234@{REALM}")
    challenge = 'Proxy-Authenticate: Digest realm="x", nonce="{}", algorithm=MD5, qop="auth"'
    for number in range(2):
        gateway.answers(gateway.gets("INVITE"), 407, headers=(challenge.format(number),))
        gateway.gets("ACK")


@provokes("media_relay", **WITH_RELAY)
def _(world, patch):
    alice, bob = world.phones("alice", "bob")
    FakeRtpEngine(world).error = "Ran out of ports"
    headers = ("Content-Type: application/sdp",)
    alice.sends("INVITE", BOB, body=sdp("192.0.2.101", kind="s"), headers=headers)
    bob.answers(bob.gets("INVITE"), 488)


@provokes("too_large_for_udp")
def _(world, patch):
    alice, bob = world.phones("alice", "bob")
    sock = world.server.transports.sockets[0]
    send = sock.send

    def sends(data, flow):
        if flow.remote == bob.address:
            raise OSError(errno.EMSGSIZE, "Message too long")
        send(data, flow)

    patch.setattr(sock, "send", sends)
    alice.sends("INVITE", BOB)


# Limits


def calls_beyond(limit: str) -> Provoke:
    def provoke(world, patch):
        patch.setattr(f"sip.core.guard.call_limits.{limit}", 0)
        world.phone("bob")
        unregistered(world, "x").sends("INVITE", BOB, from_uri=STRANGER)

    return provoke


provokes("too_many_calls_for_user", told=False)(calls_beyond("MAX_CALLS_FOR_USER"))
provokes("too_many_calls_of_source", told=False)(calls_beyond("MAX_CALLS_OF_SOURCE"))


@provokes("overloaded", told=False)
def _(world, patch):
    patch.setattr(world.server.dispatcher, "pending", MAX_HANDLERS)
    world.phone("alice", registered=False).sends("INVITE", BOB)


@provokes("stopping")
def _(world, patch):
    """A call that still rings when the server stops."""
    alice, bob = world.phones("alice", "bob")
    alice.sends("INVITE", BOB)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    patch.setattr("sip.dispatcher.DRAIN_SECONDS", 0.0)
    patch.setattr("sip.dispatcher.CANCEL_SECONDS", 0.0)
    world.server.dispatcher.drain()
    world.settle()
    bob.answers(bob.gets("CANCEL"), 200)
    bob.answers(at_bob, 487)


@provokes("internal_error")
def _(world, patch):
    alice = world.phone("alice")
    find = world.users.find

    def fails(username, realm):
        if username == "bob":
            raise ZeroDivisionError
        return find(username, realm)

    patch.setattr(world.users, "find", fails)
    alice.sends("INVITE", BOB)


@provokes("password_guessing", told=False)
def _(world, patch):
    bob = unregistered(world)
    for number in range(MAX_FAILURES_OF_SOURCE):
        registers(bob, password="wrong", username=f"user{number}")


@provokes("scanner", told=False)
def _(world, patch):
    phone = world.phone("bob", registered=False, transport="TCP")
    phone.transmits(phone.request("OPTIONS", f"sip:{REALM}", headers=("User-Agent: sipvicious",)))
