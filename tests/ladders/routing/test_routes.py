"""Route and Record-Route through the whole server (RFC 3261 §16.4, §16.6, §16.12, RFC 5658)."""

import gevent
import pytest

from sip.message.headers import parse_name_addr
from sip.message.message import Request, parse
from sip.transport.flow import Flow
from tests.support.cases import cases
from tests.support.fake_transport import MemorySocket
from tests.support.world import REALM, SERVER, Phone, World, dialog_of_callee, dialog_of_caller

STRANGER = "sip:caller@u1.example.org"
LEFT, RIGHT = "198.51.100.1", "198.51.100.2"  # the proxies P1, before us, and P3, after us
U1, U2 = "sip:caller@192.0.2.71", "sip:bob@192.0.2.72"
WAYS = {"loose": ";lr", "strict": ""}


def uri_of(host: str, kind: str) -> str:
    """The route that a proxy of that kind records."""
    return f"sip:{host}{WAYS[kind]}"


def leaves(target: str, routes: list[str]) -> tuple[str, list[str]]:
    """Request-URI and Routes as an endpoint, or a loose router, sends them (§12.2.1.1)."""
    if not routes or ";lr" in routes[0]:
        return target, routes
    return routes[0], [*routes[1:], target]


def passes(own: str, uri: str, routes: list[str]) -> tuple[str, list[str]]:
    """The request after a proxy that recorded `own`: a strict router just takes the next."""
    if ";lr" not in own:
        assert uri == own
        return routes[0], routes[1:]
    if uri == own:  # a strict router came before
        uri, routes = routes[-1], routes[:-1]
    if routes and routes[0] == own:
        routes = routes[1:]
    return leaves(uri, routes)


class Chain:
    """U1 - P1 - this server - P3 - U2, in a dialog; what the proxies do is played by hand."""

    def __init__(self, world: World, before: str, after: str) -> None:
        self.world = world
        self.left = world.phone("left", registered=False, host=LEFT)
        self.right = world.phone("bob", registered=False, host=RIGHT)
        self.own_left, self.own_right = uri_of(LEFT, before), uri_of(RIGHT, after)
        self.right.registers(f"<{U2}>", headers=("Supported: path", f"Path: <sip:{RIGHT};lr>"))
        self.left.contact = f"<{U1}>"
        call = self.left.sends(
            "INVITE",
            f"sip:bob@{REALM}",
            from_uri=STRANGER,
            headers=(f"Record-Route: <{self.own_left}>",),
        )
        invite = self.right.gets("INVITE")
        assert (invite.uri_text, invite.values("route")) == (U2, [f"<sip:{RIGHT};lr>"])
        self.number = call.cseq[0]
        invite.put_first("record-route", f"Record-Route: <{self.own_right}>")
        self.right.contact = f"<{U2}>"
        ok = self.right.answers(invite, 200)
        self.caller = dialog_of_caller(call, self.left.gets(200, call))
        self.callee = dialog_of_callee(invite, ok)

    def from_caller(self, method: str, cseq: int | None = None) -> Request:
        """U1 asks within the dialog; what P3 gets."""
        return self._goes(method, self.caller, self.left, self.own_left, self.right, cseq)

    def from_callee(self, method: str) -> Request:
        """U2 asks within the dialog; what P1 gets."""
        return self._goes(method, self.callee, self.right, self.own_right, self.left, None)

    def _goes(self, method, dialog, near: Phone, own: str, far: Phone, cseq) -> Request:
        routes = [parse_name_addr(route).uri_text for route in dialog.routes]
        assert routes[0] == own
        uri, routes = passes(own, *leaves(dialog.target, routes))
        self.world.deliver(
            near.request(
                method,
                uri,
                to=f"<sip:peer@{REALM}>;tag={dialog.remote_tag}",
                from_uri=STRANGER,
                from_tag=dialog.local_tag,
                call_id=dialog.call_id,
                cseq=cseq,
                headers=tuple(f"Route: <{route}>" for route in routes),
            ).encode(),
            near.address,
        )
        return far.gets(method)


def test_the_trapezoid(world: World):
    """§16.12.1.1: this server is P2; the values of P1 stand below its own and come back so."""
    chain = Chain(world, "loose", "loose")
    assert chain.callee.routes[0] == f"<sip:{RIGHT};lr>"
    assert chain.callee.routes[-1] == f"<sip:{LEFT};lr>"
    assert all("192.0.2.1" in route for route in chain.callee.routes[1:-1])
    bye = chain.from_caller("BYE")
    assert (bye.uri_text, bye.values("route")) == (U2, [f"<sip:{RIGHT};lr>"])
    chain.right.answers(bye, 200)
    chain.left.gets(200)


@cases("before", WAYS)
@cases("after", WAYS)
@cases("direction", ["onward", "back"])
@cases("method", ["INFO", "BYE", "ACK", "INVITE", "FLY"])
def test_loose_and_strict_routers_on_either_side(
    world: World, before: str, after: str, direction: str, method: str
):
    """§16.12.1.2: what stood in the Request-URI survives a strict router on either side of us."""
    chain = Chain(world, before, after)
    if direction == "onward":
        request = chain.from_caller(method, chain.number if method == "ACK" else None)
        kind, host, target = after, RIGHT, U2
    else:
        request = chain.from_callee(method)
        kind, host, target = before, LEFT, U1
    own = uri_of(host, kind)
    if kind == "loose":
        assert (request.uri_text, request.values("route")) == (target, [f"<{own}>"])
    else:
        assert (request.uri_text, request.values("route")) == (own, [f"<{target}>"])
    assert not world.lost


def test_sides_that_know_us_by_different_addresses_get_one_each(world: World):
    """§16.12.1.3, RFC 5658 §3: what each endpoint puts first is an address that it can reach."""
    other = ("203.0.113.1", 5060)
    world.server.transports.add(MemorySocket(world, other))
    alice, bob = world.phone("alice"), world.phone("bob", registered=False, host="203.0.113.50")

    def delivered(data: bytes, source) -> None:
        local = other if source == bob.address else SERVER
        gevent.spawn(world.server.receiver.receive, data, Flow("UDP", local, source))
        world.settle()

    world.deliver = delivered  # type: ignore[method-assign]
    bob.registers(f"<sip:bob@{bob.address[0]}>", sent_by="10.9.9.9:5060")  # behind NAT
    call = alice.sends("INVITE", bob.aor)
    invite = bob.gets("INVITE")
    upper, lower = (parse_name_addr(value).sip_uri for value in invite.values("record-route"))
    assert (upper.host, lower.host) == (other[0], SERVER[0])
    assert invite.via.sent_by == "203.0.113.1:5060"
    ok = bob.answers(invite, 200)
    here, there = dialog_of_caller(call, alice.gets(200, call)), dialog_of_callee(invite, ok)
    alice.sends_within("INFO", here)
    info = bob.gets("INFO")
    assert (info.values("route"), info.via.sent_by) == ([], "203.0.113.1:5060")
    bob.sends_within("BYE", there)
    bye = alice.gets("BYE")
    assert (bye.values("route"), bye.via.sent_by) == ([], "192.0.2.1:5060")


# What a request that goes on looks like, §16.6


def test_all_that_came_is_still_there_in_its_order(world: World):
    """§16.6, step 1: nothing removed, nothing reordered, the body as it was."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    fields = (
        "Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKb, SIP/2.0/TCP 10.0.0.3;branch=z9hG4bKc",
        "Subject: one",
        "v: SIP/2.0/UDP 10.0.0.4;branch=z9hG4bKd",
        "X-Odd: 1",
        "Record-Route: <sip:10.0.0.2;lr>",
        "x-odd : 2, 3",
        "Record-Route: <sip:10.0.0.3;lr>, <sip:10.0.0.4>",
        "X-ODD:4",
        "Contact: <sip:x@10.0.0.9>",
    )
    body = b"\x00\r\n\r\n\xff" * 3
    request = stranger.request("INVITE", bob.aor, from_uri=STRANGER, headers=fields, body=body)
    stranger.transmits(request)
    invite = bob.gets("INVITE")
    assert [line for line in invite.lines if line in fields] == list(fields)
    ours = [value for value in invite.values("record-route") if "192.0.2.1" in value]
    assert invite.values("record-route") == [
        *ours,
        "<sip:10.0.0.2;lr>",
        "<sip:10.0.0.3;lr>",
        "<sip:10.0.0.4>",
    ]
    sent_by = [via.split()[1].partition(";")[0] for via in invite.values("via")]
    assert sent_by == [
        "192.0.2.1:5060",
        f"{stranger.address[0]}:5060",
        *("10.0.0.2", "10.0.0.3", "10.0.0.4"),
    ]
    assert invite.body == body


@pytest.mark.parametrize(
    ("contact", "uri"),
    [
        ("sip:bob@192.0.2.50;method=INVITE", "sip:bob@192.0.2.50"),
        ("sip:bob@192.0.2.50?Subject=x&Replaces=a%3Bb", "sip:bob@192.0.2.50"),
        ("sip:bob@192.0.2.50;ob;METHOD=BYE;x=y?a=b", "sip:bob@192.0.2.50;ob;x=y"),
        ("sip:bob;x=1@192.0.2.50;lr;ttl=9", "sip:bob;x=1@192.0.2.50;lr;ttl=9"),
    ],
)
def test_what_no_request_uri_may_hold_is_taken_off_the_target(world: World, contact: str, uri: str):
    """§16.6, step 2; §19.1.1, table 1."""
    alice, bob = world.phone("alice"), world.phone("bob", registered=False)
    desk = world.phone("desk", registered=False, host="192.0.2.50")
    bob.registers(f"<{contact}>")
    alice.sends("MESSAGE", bob.aor)
    assert desk.gets("MESSAGE").uri_text == uri


@cases("method", ["INVITE", "SUBSCRIBE", "REFER", "NOTIFY", "UPDATE", "FLY"])
def test_each_dialog_forming_method_records_our_route(world: World, method: str):
    """§16.6, step 4: unknown methods too; a SIP URI with `lr`, that is us, and no transport."""
    alice, bob = world.phones("alice", "bob")
    alice.sends(method, bob.aor, headers=("Route: <sip:192.0.2.1;lr>",))
    request = bob.gets(method)
    assert not request.values("route")
    (value,) = request.values("record-route")
    uri = parse_name_addr(value).sip_uri
    assert (uri.scheme, uri.host, uri.port) == ("sip", *SERVER)
    assert (uri.param("lr"), uri.param("transport")) == ("", None)


def test_each_phone_of_a_fork_has_a_branch_of_its_own(world: World):
    """§16.6, steps 7 and 8: globally unique, with the cookie."""
    alice, *phones = world.phones("alice", "bob", "bob", "bob")
    alice.sends("INVITE", phones[0].aor)
    branches = {phone.gets("INVITE").via.branch for phone in phones}
    assert len(branches) == 3
    assert all(branch.startswith("z9hG4bK") for branch in branches)


def test_the_proxies_of_a_path_are_visited_in_their_order(world: World):
    """§16.6, step 6, RFC 3327 §5.4: all of them go into the Route, the first is the next hop."""
    alice, bob = world.phone("alice"), world.phone("bob", registered=False)
    edge = world.phone("edge", registered=False, host=LEFT)
    bob.registers(
        headers=(
            "Supported: path",
            f"Path: <sip:{LEFT};lr>, <sip:{RIGHT}>",
            "Path: <sip:10.0.0.3;lr>",
        )
    )
    alice.sends("INVITE", bob.aor)
    invite = edge.gets("INVITE")
    assert invite.uri_text == parse_name_addr(bob.contact).uri_text
    assert invite.values("route") == [f"<sip:{LEFT};lr>", f"<sip:{RIGHT}>", "<sip:10.0.0.3;lr>"]


def test_a_path_with_a_strict_router_first_keeps_the_rest(world: World):
    """§16.6, step 6: its own URI first, the phone's last."""
    alice, bob = world.phone("alice"), world.phone("bob", registered=False)
    edge = world.phone("edge", registered=False, host=LEFT)
    bob.registers(headers=("Supported: path", f"Path: <sip:{LEFT};x=1>, <sip:{RIGHT};lr>"))
    alice.sends("INVITE", bob.aor)
    invite = edge.gets("INVITE")
    assert invite.uri_text == f"sip:{LEFT};x=1"
    assert invite.values("route") == [f"<sip:{RIGHT};lr>", bob.contact]


# Routes of ours among those of others, §16.4


def talk(world: World, caller: Phone, callee: Phone, **more):
    call = caller.sends("INVITE", callee.aor, **more)
    invite = callee.gets("INVITE")
    ok = callee.answers(invite, 200)
    return dialog_of_caller(call, caller.gets(200, call)), dialog_of_callee(invite, ok)


def test_only_the_leading_values_of_ours_are_taken_off(world: World):
    """§16.4: what stands behind the first foreign one travels on as it came."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    here, _ = talk(world, stranger, bob, from_uri=STRANGER)
    behind = ["<sip:10.0.0.3;lr>", "<sip:192.0.2.1:5060;lr>", *here.routes, "<sip:example.com>"]
    here.routes += behind
    stranger.sends_within("INFO", here)
    info = bob.gets("INFO")
    assert info.values("route") == behind
    assert info.uri_text == here.target
    assert not world.lost


@pytest.mark.parametrize("place", ["before", "between"])
def test_a_ticket_behind_a_foreign_route_opens_nothing(world: World, place: str):
    """§16.4: the first value is not ours, so it is an external request to an external host."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    here, _ = talk(world, stranger, bob, from_uri=STRANGER)
    foreign = ["<sip:10.0.0.3;lr>"]
    own = [] if place == "before" else ["<sip:192.0.2.1;lr>"]
    here.routes = [*own, *foreign, *here.routes]
    routes = tuple(f"Route: {route}" for route in here.routes)
    for method in ("INFO", "BYE", "INVITE", "ACK", "OPTIONS"):
        stranger.sends(
            method,
            here.target,
            to=f"<{bob.aor}>;tag={here.remote_tag}",
            from_uri=STRANGER,
            from_tag=here.local_tag,
            call_id=here.call_id,
            headers=routes,
        )
        if method != "ACK":
            stranger.gets(403)
    assert bob.hears_nothing()
    assert stranger.hears_nothing()
    assert not world.lost


@pytest.mark.parametrize(
    "first", ["<sip:example.com;lr>", "<sip:EXAMPLE.com.:5060>", "<sip:192.0.2.1>"]
)
def test_a_ticket_behind_other_names_of_ours_is_found(world: World, first: str):
    """§16.4: each of them is this proxy, with or without `lr`."""
    alice, bob = world.phones("alice", "bob")
    here, _ = talk(world, alice, bob)
    here.routes.insert(0, first)
    alice.sends_within("BYE", here)
    assert not bob.gets("BYE").values("route")


def test_only_the_ticket_of_the_last_value_of_ours_counts(world: World):
    """A ticket in front of a value without one opens nothing."""
    alice, bob = world.phones("alice", "bob")
    here, _ = talk(world, alice, bob)
    here.routes.append("<sip:192.0.2.1;lr>")
    alice.sends_within("BYE", here)
    alice.gets(407)
    assert bob.hears_nothing()


def test_a_request_without_a_dialog_gets_nothing_for_a_ticket(world: World):
    """§12.1: a Record-Route value is good in its dialog alone, and that has two tags."""
    alice, bob = world.phones("alice", "bob")
    here, _ = talk(world, alice, bob)
    other = world.phone("other", registered=False)
    request = other.request(
        "INVITE",
        "sip:victim@203.0.113.9",
        call_id=here.call_id,
        from_tag=here.local_tag,
        headers=tuple(f"Route: {route}" for route in here.routes),
    )
    other.transmits(request)
    other.gets(407)
    assert not world.lost


def test_a_response_takes_its_record_routes_back_unchanged(world: World):
    """§16.7, step 8, §12.1.1: what the callee copied the caller sees."""
    bob, edge = world.phone("bob"), world.phone("edge", registered=False)
    call = edge.sends(
        "INVITE", bob.aor, from_uri=STRANGER, headers=("Record-Route: <sip:10.0.0.2;lr;x=1>",)
    )
    invite = bob.gets("INVITE")
    for status in (180, 183, 200):
        bob.answers(invite, status)
        assert edge.gets(status, call).values("record-route") == invite.values("record-route")


def test_a_notify_that_overtakes_the_answer_finds_the_subscriber(world: World):
    """RFC 6665 §4.1.2.4: it is within the dialog that the SUBSCRIBE begins."""
    alice, bob = world.phones("alice", "bob")
    alice.sends("SUBSCRIBE", bob.aor, headers=("Event: presence",))
    subscribe = bob.gets("SUBSCRIBE")
    notify = bob.request(
        "NOTIFY",
        parse_name_addr(subscribe.values("contact")[0]).uri_text,
        to=subscribe.value("from"),
        call_id=subscribe.call_id,
        from_tag="notifier",
        headers=tuple(f"Route: {route}" for route in subscribe.values("record-route")),
    )
    bob.transmits(notify)
    at_alice = alice.gets("NOTIFY")
    alice.answers(at_alice, 200)
    bob.gets(200, notify)


def test_what_the_transport_added_to_our_caller_s_via_comes_back(world: World):
    """§16.7, step 9: `received` stays where it is."""
    bob, nat = world.phone("bob"), world.phone("nat", registered=False, host="203.0.113.5")
    nat.sends("MESSAGE", bob.aor, from_uri=STRANGER, sent_by="10.1.1.1:5060")
    bob.answers(bob.gets("MESSAGE"), 200)
    raw = nat.inbox.popleft()
    (via,) = parse(raw).values("via")
    assert via.startswith("SIP/2.0/UDP 10.1.1.1:5060")
    assert ";received=203.0.113.5" in via
