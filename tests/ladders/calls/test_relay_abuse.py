"""Relay abuse: requests that try to make us send to places of their choice (RFC 3261 §16, §26).

A request is forwarded to a phone of ours or back to its source; every other one is refused, and
never by a traceback.
"""

import logging

import pytest

from sip.message.headers import parse_name_addr
from sip.message.message import Response
from tests.support.cases import cases
from tests.support.world import REALM, World

STRANGER = "sip:x@elsewhere.org"
US = "192.0.2.1"


@pytest.fixture(autouse=True)
def nothing_raised(caplog):
    """No input of a peer causes an error of our own."""
    yield
    assert not [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]


# Where a Request-URI, a Route or a tag points


@cases(
    ("uri", "headers"),
    [
        ("sip:bob@203.0.113.9", ()),
        ("sip:bob@elsewhere.org", ()),
        ("sip:example.com@elsewhere.org", ()),
        ("sip:bob%40example.com@elsewhere.org", ()),
        ("sip:bob:example.com@elsewhere.org", ()),
        ("sip:bob@example.com.elsewhere.org", ()),
        ("sip:bob@elsewhere.org;maddr=192.0.2.1", ()),
        ("sip:bob@elsewhere.org;lr", ()),
        ("sip:bob@example.com;maddr=203.0.113.9", ()),
        ("sip:bob@example.com;maddr=elsewhere.org", ()),
        ("sip:bob@example.com:5999", ()),
        ("sip:bob@[2001:db8::9]", ()),
        ("sip:bob@[::ffff:203.0.113.9]", ()),
        ("sip:bob@999.1.2.3", ()),
        ("sip:bob@1.2.3.4.5", ()),
        ("sip:bob@255.255.255.255", ()),
        ("sip:bob@224.0.1.75", ()),
        ("sip:bob@0.0.0.0", ()),
        ("sip:bob@example.com", ("Route: <sip:203.0.113.9;lr>",)),
        ("sip:bob@example.com", ("Route: <sip:192.0.2.1;lr>, <sip:203.0.113.9;lr>",)),
        ("sip:bob@example.com", ("Route: <sip:192.0.2.1;lr>", "Route: <sip:203.0.113.9>")),
        ("sip:bob@203.0.113.9", ("Route: <sip:192.0.2.1;lr;t=AAAAAAAAAAAAAAAA>",)),
        ("sip:bob@203.0.113.9", ("Route: <sip:example.com.;lr>",)),
        ("sip:192.0.2.1;lr", ("Route: <sip:bob@203.0.113.9>",)),
        ("sip:192.0.2.1;lr;t=AAAA", ("Route: <sip:bob@203.0.113.9>",)),
        ("sip:192.0.2.1;lr;t=AAAA", ("Route: <sip:203.0.113.9;lr>, <sip:bob@example.com>",)),
        ("sip:192.0.2.1;lr;t=AAAA;f=UDP/192.0.2.1:5060/203.0.113.9:5060", ("Route: <sip:bob@h>",)),
        (
            "sip:bob@h",
            ("Route: <sip:192.0.2.1;lr;t=AAAA;f=UDP/192.0.2.1:5060/203.0.113.9:5060>",),
        ),
    ],
)
@cases("to", ["<sip:bob@example.com>", "<sip:bob@example.com>;tag=1"])
def test_nothing_in_a_request_leads_outside(world: World, uri: str, headers, to: str):
    """No open relay: for strangers, and while calls to outside are off for users neither."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    alice = world.phone("alice")
    for method in ("INVITE", "MESSAGE", "BYE", "OPTIONS"):
        stranger.sends(method, uri, to=to, headers=headers, from_uri=STRANGER)
        assert stranger.takes().status == 403
        alice.sends(method, uri, to=to, headers=headers)
        assert alice.takes().status == 403
    stranger.sends("ACK", uri, to=to, headers=headers, from_uri=STRANGER)
    assert not world.lost
    assert bob.hears_nothing()
    assert stranger.hears_nothing()


@cases(
    ("uri", "headers"),
    [
        ("sip:bob@example.com", ()),
        ("sip:b%6fb:pw@EXAMPLE.Com.:5060;transport=tcp;lr", ()),
        ("sip:bob@192.0.2.1", ("Route: <sip:192.0.2.1;lr>",)),
        ("sip:bob@example.com;lr", ("Route: <sip:192.0.2.1;lr>",)),
        ("sip:bob@example.com;maddr=192.0.2.1", ()),
        ("sip:bob@example.com", ("Route: <sip:example.com;lr>, <sip:bob@192.0.2.1;lr>",)),
        ("sip:bob@example.com", ("Route: ",)),
        ("sip:bob@example.com;lr;t=x", ("Route:",)),
    ],
)
def test_a_user_is_rung_by_every_spelling_of_the_name(world: World, uri: str, headers):
    """§16.4, §16.5."""
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    stranger.sends("INVITE", uri, headers=headers, from_uri=STRANGER)
    assert bob.gets("INVITE").uri_text == f"sip:bob@{bob.address[0]}:5060"


def test_options_through_our_own_routes_is_answered(world: World):
    """§11.2: phones with an outbound proxy put its Route first into every request."""
    phone = world.phone("phone", registered=False)
    for headers in (
        (),
        ("Route: <sip:192.0.2.1;lr>",),
        ("Route: <sip:example.com;lr>, <sip:192.0.2.1>",),
    ):
        phone.sends("OPTIONS", f"sip:{REALM}", headers=headers, from_uri=STRANGER)
        phone.gets(200)
    phone.sends(
        "OPTIONS", f"sip:{REALM}", headers=("Route: <sip:203.0.113.9;lr>",), from_uri=STRANGER
    )
    phone.gets(403)


# Identity


@cases(
    "from_uri",
    [
        "sip:alice@example.com",
        "sip:alice@EXAMPLE.COM.",
        "sip:alice@example.com:5999",
        "sip:alice@example.com.:1;maddr=203.0.113.9",
        "sips:alice@example.com",
        "sip:alice@192.0.2.1",
        "sip:%61lice@example.com;user=phone",
        "sip:alice:pw@other.org:9",
        "tel:+1-555",
        "tel:+1555;ext=7",
        "sip:+1(555)@example.com;user=phone",
    ],
)
def test_a_local_name_in_from_needs_its_password(world: World, from_uri: str):
    """A From in a domain of ours is challenged, however it is written."""
    world.users.add("alice", "secret", "other.org")
    world.users.add("+1555", "secret")
    bob, stranger = world.phone("bob"), world.phone("stranger", registered=False)
    stranger.sends("INVITE", bob.aor, from_uri=from_uri, answers_challenge=False)
    stranger.gets(407)
    assert bob.hears_nothing()


def test_a_user_of_another_realm_calls_with_its_password(world: World):
    """A call is challenged with the realm of its From; the same name elsewhere is another."""
    world.users.add("carol", "secret", "other.org")
    bob, carol = world.phone("bob"), world.phone("carol", registered=False)
    carol.sends("INVITE", bob.aor, from_uri="sip:carol@other.org")
    bob.gets("INVITE")
    carol.sends("INVITE", bob.aor, from_uri="sip:bob@other.org")
    carol.gets(403)
    dave = world.phone("dave", registered=False)
    dave.sends("INVITE", bob.aor, from_uri="sip:dave@other.org")
    dave.gets(407)


# Abuse by users


def test_a_contact_that_names_us_is_looked_up_with_any_path(world: World):
    """RFC 5393 §3: through another and back to us a call would fork anew, up to 70 times."""
    stranger, bob = world.phone("stranger", registered=False), world.phone("bob")
    evil = world.phone("evil", registered=False)
    edge = world.phone("edge", registered=False, host="198.51.100.1")
    evil.registers(
        f"<sip:evil@{REALM};x=1>",
        f"<sip:evil@{US};x=2>",
        f"<sip:bob@{REALM}>",
        headers=("Supported: path", "Path: <sip:198.51.100.1;lr>"),
    )
    stranger.sends("INVITE", evil.aor, from_uri=STRANGER)
    bob.gets("INVITE")
    assert edge.hears_nothing()
    assert bob.hears_nothing()
    assert not world.lost


def test_two_ways_to_one_phone_ring_it_once(world: World):
    """§16.5: a target set holds each once."""
    alice, bob = world.phone("alice"), world.phone("bob")
    for name in ("one", "two"):
        world.phone(name, registered=False).registers(f"<{bob.aor}>")
    many = world.phone("many", registered=False)
    own = bob.contact.replace(">", ";transport=udp>")
    many.registers(f"<sip:one@{REALM}>", f"<sip:two@{REALM}>", f"<{bob.aor}>", bob.contact)
    alice.sends("INVITE", many.aor)
    bob.gets("INVITE")
    many.registers(own)
    alice.sends("INVITE", many.aor)
    bob.gets("INVITE")
    assert bob.hears_nothing()


def test_a_fork_shares_max_breadth_and_refuses_without_any(world: World):
    """RFC 5393 §5.3, §5.4."""
    stranger = world.phone("stranger", registered=False)
    phones = world.phones("bob", "bob", "bob")
    stranger.sends("INVITE", phones[0].aor, from_uri=STRANGER, headers=("Max-Breadth: 7",))
    assert [p.gets("INVITE").value("max-breadth") for p in phones] == ["3", "2", "2"]
    stranger.sends("MESSAGE", phones[0].aor, from_uri=STRANGER, headers=("Max-Breadth: 0",))
    while (answer := stranger.takes()).status == 100:
        pass
    assert (answer.status, answer.reason) == (440, "Max-Breadth Exceeded")
    stranger.sends("MESSAGE", phones[0].aor, from_uri=STRANGER, headers=("Max-Breadth: x",))
    stranger.gets(400)
    assert all(phone.hears_nothing() for phone in phones)


def test_without_enough_breadth_phones_are_tried_in_turns(world: World):
    """RFC 5393 §5.3.3."""
    stranger = world.phone("stranger", registered=False)
    first, second = world.phones("bob", "bob")
    stranger.sends("MESSAGE", first.aor, from_uri=STRANGER, headers=("Max-Breadth: 1",))
    request = first.gets("MESSAGE")
    assert request.value("max-breadth") == "1"
    assert second.hears_nothing()
    first.answers(request, 486)
    second.answers(second.gets("MESSAGE"), 200)
    stranger.gets(200)


# Injection into our own lines


def lines_of(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogateescape").split("\r\n")


@pytest.mark.parametrize(
    ("method", "uri", "headers"),
    [
        ("INVITE", "sip:bob%0d%0aX-Evil:1@example.com", ()),
        ("INVITE", "sip:bob@example.com;x=%0d%0aX-Evil:1", ()),
        ("INVITE", "sip:bob@elsewhere.org;x=%0d%0aX-Evil:1", ()),
        ("INVITE", "sip:bob@example.com;maddr=%0d%0aX-Evil:1", ()),
        ("INVITE", "sip:bob@example.com", ("Proxy-Require: a\\\r\n X-Evil:1",)),
        ("OPTIONS", "sip:example.com", ('Require: "x\r\n\tX-Evil:1"',)),
        ("REGISTER", "sip:example.com", ("Require: a\r\n X-Evil:1, %0d%0aX-Evil:1",)),
        ("INVITE", "sip:bob@h", ("Route: <sip:192.0.2.1;lr;f=%0d%0aX-Evil:1;t=%0d%0aX-Evil:1>",)),
        ("INVITE", "sip:192.0.2.1;lr;t=x", ("Route: <sip:x%0d%0aX-Evil:1@h>",)),
        ("INVITE", "caf\u00e9:x", ()),
    ],
)
def test_no_value_of_theirs_begins_a_line_of_ours(world: World, caplog, method, uri, headers):
    """§7.3.1: in responses, in what goes on, and in the log."""
    caplog.set_level(logging.INFO)
    phone, bob = world.phone("phone", registered=False), world.phone("bob")
    phone.sends(method, uri, to="<sip:bob@example.com>;tag=a", headers=headers, from_uri=STRANGER)
    for data in [*phone.inbox, *bob.inbox, *world.lost]:
        assert not [line for line in lines_of(data) if line.lower().startswith("x-evil")]
    assert phone.inbox
    for record in caplog.records:
        record.getMessage().encode()
        assert record.getMessage().isprintable()


@pytest.mark.parametrize(
    "params",
    [
        ';x="a\r\n X-Evil: 1"',
        ";x\r\n\t=\r\n X-Evil:1",
        ";x=%0d%0aX-Evil:1",
        ';x="\\\r\n X-Evil: 1"',
        ';x=">\\",<sip:evil@h>;expires=1"',
    ],
)
def test_no_contact_parameter_injects_a_line_or_a_contact(world: World, params: str):
    """§7.3.1; RFC 3840 §6: they are given back, after a restart too."""
    bob = world.phone("bob", registered=False)
    bob.registers(bob.contact + params)
    world.start_server()
    request = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>")
    bob.transmits(request)
    bob.transmits(bob.with_credentials(request, bob.gets(401)))
    answer = bob.gets(200)
    assert not [line for line in lines_of(answer.encode()) if line.lower().startswith("x-evil")]
    (value,) = answer.values("contact")
    assert parse_name_addr(value).params.keys() == {"expires", "x"}


def test_the_log_holds_what_was_refused_in_one_printable_line(world: World, caplog):
    """The log has no line that a stranger wrote, and no octet that breaks a line."""
    caplog.set_level(logging.INFO)
    phone = world.phone("phone", registered=False)
    phone.sends("INVITE", "sip:a%0aroot%1b[2J%ff\u00e9@example.com", from_uri=STRANGER)
    phone.gets(480)
    (line,) = [r.getMessage() for r in caplog.records if "unknown callee" in r.getMessage()]
    assert line.endswith("unknown callee a?root?[2J?\u00e9")


def test_an_unresolvable_contact_is_one_printable_log_line(world: World, caplog):
    """§19.1.4: what stands escaped in a URI is any octet once it has been read."""
    caplog.set_level(logging.INFO)
    alice, bob = world.phone("alice"), world.phone("bob", registered=False)
    path = "Path: <sip:203.0.113.9;transport=%0a%ffroot;lr>"
    bob.registers(headers=("Supported: path", path))
    alice.sends("INVITE", bob.aor)
    assert alice.gets(500).reason == "Next Hop Unreachable"
    assert all(record.getMessage().isprintable() for record in caplog.records)


# Odd requests


@cases(
    "headers",
    [
        ("Contact: <nonsense",),
        ("Contact: ",),
        ("Contact: *",),
        ("Contact: <mailto:x@y>",),
        ("Record-Route: nonsense",),
        ("Proxy-Authorization: nonsense",),
        ('Proxy-Authorization: Digest realm="example.com',),
        ("Route: nonsense",),
        ('Route: "', "Max-Forwards: x"),
        ("Require: everything", "Unsupported: \udcff\x01"),
        ("Max-Breadth: 3, 4",),
    ],
)
@cases("method", ["INVITE", "MESSAGE", "ACK", "CANCEL", "BYE", "OPTIONS", "FLY"])
def test_odd_fields_are_passed_on_or_refused_and_harm_nothing(world: World, method: str, headers):
    """§16.3: and a call comes through afterwards."""
    phone, bob = world.phone("phone", registered=False), world.phone("bob")
    request = phone.request(method, bob.aor, from_uri=STRANGER)
    for header in headers:
        request.set(header.partition(":")[0].lower(), header)
    phone.transmits(request)
    phone.inbox.clear()
    bob.inbox.clear()
    phone.sends("MESSAGE", bob.aor, from_uri=STRANGER)
    bob.gets("MESSAGE")


@cases(
    ("hops", "what"),
    [("0", 483), ("1", "0"), ("255", "254"), ("0068", "67"), (None, "70"), ("256", 400)],
)
def test_max_forwards_counts_down_and_defaults_to_seventy(world: World, hops, what):
    """§16.3, step 3; §16.6, step 3."""
    phone, bob = world.phone("phone", registered=False), world.phone("bob")
    request = phone.request("MESSAGE", bob.aor, from_uri=STRANGER)
    request.remove("max-forwards")
    if hops is not None:
        request.set("max-forwards", f"Max-Forwards: {hops}")
    phone.transmits(request)
    if isinstance(what, str):
        assert bob.gets("MESSAGE").fields("max-forwards") == [what]
    else:
        phone.gets(what)


def test_an_unknown_caller_gets_the_final_response_until_its_ack(world: World):
    """§17.2.1: after a 100 he repeats nothing, so a lost failure would leave him ringing."""
    phone, bob = world.phone("phone", registered=False), world.phone("bob")
    world.dead.add(bob.address)
    call = phone.sends("INVITE", bob.aor, from_uri=STRANGER)
    phone.gets(100)
    lost = phone.takes()
    world.passes(0.6)
    again = phone.takes()
    assert isinstance(again, Response)
    assert again.encode() == lost.encode()
    phone.acknowledges(call, again)
    world.passes(40, step=1)
    assert world.is_quiet


def test_a_cancel_or_ack_by_another_changes_nothing(world: World):
    """§9.1, §17.2.3: branch and sent-by must match, and a ticket or nothing for an ACK."""
    stranger, bob = world.phone("stranger", registered=False), world.phone("bob")
    third = world.phone("third", registered=False)
    call = stranger.sends("INVITE", bob.aor, from_uri=STRANGER)
    invite = bob.gets("INVITE")
    bob.answers(invite, 180)
    stranger.gets(180)
    cancel = third.request(
        "CANCEL", bob.aor, call_id=call.call_id, branch=call.via.branch, from_tag=call.from_.tag
    )
    third.transmits(cancel)
    third.gets(481)
    third.sends("ACK", bob.aor, call_id=call.call_id, from_uri=STRANGER, to=f"<{bob.aor}>;tag=b")
    assert bob.hears_nothing()
    bob.answers(invite, 200)
    stranger.gets(200)
