"""The registrar's steps in their order, each with its exceptions (RFC 3261 §10.3, RFC 3327)."""

import pytest

from sip.core.registrar.registrar import MAX_CONTACT_LENGTH
from sip.message.headers import parse_name_addr
from sip.message.message import Response
from tests.support.cases import cases
from tests.support.world import REALM, Phone, World

HOUR = ";expires=3600"


def bound(response: Response) -> dict[str, str]:
    """The contacts of a 200 with their parameters as text."""
    assert response.status == 200
    pairs = (value[1:].partition(">") for value in response.values("contact"))
    return {uri: params for uri, _, params in pairs}


def asks(phone: Phone, uri: str, to: str, *headers: str, **more) -> Response:
    """Send a REGISTER with these fields, answer a challenge, and return the response."""
    request = phone.request("REGISTER", uri, to=f"<{to}>", headers=headers, **more)
    phone.transmits(request)
    answer = phone.takes()
    if answer.status == 401:
        phone.transmits(phone.with_credentials(request, answer))
        answer = phone.takes()
    return answer


def asks_exactly(phone: Phone, call_id: str, cseq: int, *headers: str) -> Response:
    """A REGISTER with right credentials and that number."""
    request = phone.request(
        "REGISTER", f"sip:{REALM}", to=f"<{phone.aor}>", call_id=call_id, headers=headers
    )
    phone.transmits(request)
    again = phone.with_credentials(request, phone.gets(401))
    again.set("cseq", f"CSeq: {cseq} REGISTER")
    phone.transmits(again)
    return phone.takes()


def fetched(phone: Phone) -> dict[str, str]:
    """Return the current bindings, by a query."""
    return bound(asks(phone, f"sip:{REALM}", phone.aor))


# Steps 1 to 5


@pytest.mark.parametrize("uri", ["sips:example.com", "tel:+1555", "http://example.com/"])
def test_a_request_uri_that_is_no_sip_uri_is_not_served(world: World, uri: str):
    """§8.2.2.1, by which §10.3 goes: 416."""
    bob = world.phone("bob", registered=False)
    bob.transmits(bob.request("REGISTER", uri, to=f"<{bob.aor}>"))
    bob.gets(416)


def test_a_user_and_parameters_in_the_request_uri_are_no_matter(world: World):
    """§10.2: they must not be there; table 1: misplaced parameters are ignored."""
    bob = world.phone("bob", registered=False)
    answer = asks(bob, "sip:alice@Example.COM.:5060;x=y", bob.aor, f"Contact: {bob.contact}")
    assert list(bound(answer)) == [bob.contact.strip("<>")]


def test_require_is_checked_before_the_credentials(world: World):
    """§10.3, steps 2 and 3."""
    bob = world.phone("bob", registered=False)
    headers = ("Require: pref", "Require: path, outbound, gruu, sec-agree")
    bob.transmits(bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>", headers=headers))
    assert bob.gets(420).values("unsupported") == ["pref", "sec-agree"]


def test_the_credentials_are_checked_before_the_contacts(world: World):
    """§10.3, steps 3 to 5: an unauthenticated sender does not learn which users exist."""
    world.users.add("alice", "secret")
    bob = world.phone("bob", registered=False)
    for to, status in ((f"sip:alice@{REALM}", 403), ("sip:bob@nowhere.org", 404)):
        request = bob.request("REGISTER", f"sip:{REALM}", to=f"<{to}>", headers=("Contact: *",))
        bob.transmits(request)
        bob.transmits(bob.with_credentials(request, bob.gets(401)))
        bob.gets(status)


def test_an_address_of_another_domain_is_not_registered_here(world: World):
    """§10.3, step 5: 404 for an address that is not valid in the domain of the Request-URI."""
    world.users.add("carol", "secret", "other.org")
    bob = world.phone("bob", registered=False)
    assert asks(bob, "sip:other.org", bob.aor, f"Contact: {bob.contact}").status == 404
    assert not world.bindings.rows


def test_a_third_party_registers_with_the_users_password(world: World):
    """§10.2, From: it may be another's; the credentials must be those of To."""
    world.users.add("alice", "secret")
    bob = world.phone("bob", registered=False)
    answer = asks(
        bob, f"sip:{REALM}", bob.aor, f"Contact: {bob.contact}", from_uri=f"sip:alice@{REALM}"
    )
    assert len(bound(answer)) == 1
    assert {row.aor for row in world.bindings.rows.values()} == {f"bob@{REALM}"}


@pytest.mark.parametrize(
    "to",
    ["sip:%62%6Fb@example.com", "sip:bob:pw@EXAMPLE.com:5060;user=phone;x", "sips:bob@192.0.2.1"],
)
def test_every_spelling_of_an_address_is_one_address_of_record(world: World, to: str):
    """§10.3, step 5; RFC 5630 §5.2: SIP and SIPS are equivalent here."""
    bob = world.phone("bob")
    other = "<sip:bob@198.51.100.9>"
    answer = asks(bob, f"sip:{REALM}", to, f"Contact: {other}", "Expires: 60")
    assert list(bound(answer)) == [other.strip("<>"), bob.contact.strip("<>")]


# Step 6


@cases(
    ("headers", "status"),
    [
        (("Contact: *", "Expires: 0"), 200),
        (("m: *", "expires:   000"), 200),
        (("Contact: *",), 400),
        (("Contact: *", "Expires: 1"), 400),
        (("Contact: *", "Expires: soon"), 400),
        (("Contact: *", "Expires: -0"), 400),
        (("Contact: *", "Expires:"), 400),
        (("Contact: *;expires=0",), 400),
        (("Contact: *;expires=0", "Expires: 0"), 400),
        (("Contact: <*>", "Expires: 0"), 400),
        (("Contact: *, *", "Expires: 0"), 400),
        (("Contact: *", "Contact: *", "Expires: 0"), 400),
        (("Contact: *", "Contact: <sip:bob@h>", "Expires: 0"), 400),
        (("Contact: <sip:bob@h>, *", "Expires: 0"), 400),
    ],
)
def test_a_star_goes_alone_and_with_zero(world: World, headers: tuple[str, ...], status: int):
    """§10.2.2; §10.3, step 6; §25.1: STAR takes no parameters."""
    bob = world.phone("bob")
    assert asks(bob, f"sip:{REALM}", bob.aor, *headers).status == status
    assert len(fetched(bob)) == (status != 200)
    assert len(world.bindings.rows) == (status != 200)


def test_a_star_that_comes_late_for_one_binding_removes_none(world: World):
    """§10.3, step 6: the update is aborted as a whole."""
    bob = world.phone("bob", registered=False)
    one, two = "Contact: <sip:bob@198.51.100.1>", "Contact: <sip:bob@198.51.100.2>"
    asks_exactly(bob, "first", 1, one)
    asks_exactly(bob, "second", 50, two)
    for cseq in (49, 50):
        assert asks_exactly(bob, "second", cseq, "Contact: *", "Expires: 0").status == 500
        assert len(fetched(bob)) == 2
    assert not bound(asks_exactly(bob, "second", 51, "Contact: *", "Expires: 0"))


# Step 7


@cases(
    ("bad", "status"),
    [
        ("<sip:new@198.51.100.3>;expires=5", 423),
        ("<sip:new@198.51.100.3>;q=1.1", 400),
        ("<sip:new@198.51.100.3>;q=0.1234", 400),
        ("<sip:new@198.51.100.3>;expires=60;expires=60", 400),
        ("<sip:@198.51.100.3>", 400),
        ("<sips:new@198.51.100.3>", 400),
        ("sip:new@198.51.100.3?a=b", 400),
        ("nothing", 400),
        ("<sip:late@198.51.100.2>", 500),
    ],
)
@cases("order", [1, -1])
def test_of_a_request_that_fails_nothing_is_done(world: World, bad: str, status: int, order: int):
    """§10.3: the other additions, refreshes and removals of the request stay undone."""
    bob = world.phone("bob", registered=False)
    bob.registers("<sip:old@198.51.100.1>", "<sip:late@198.51.100.2>", call_id="c", cseq=90)
    before = fetched(bob), dict(world.bindings.rows)
    values = [
        "<sip:old@198.51.100.1>;expires=0",
        "<sip:fine@198.51.100.4>",
        bad,
        "<sip:fine@198.51.100.5>;q=0.5",
    ]
    call_id = "c" if status == 500 else "d"
    answer = bob.registers(*values[::order], call_id=call_id, cseq=10)
    assert answer.status == status
    assert (answer.value("min-expires") == "60") == (status == 423)
    assert (fetched(bob), dict(world.bindings.rows)) == before


def test_one_request_removes_some_and_adds_others(world: World):
    """§10.2.4, §10.3 step 7: each contact by its own interval."""
    bob = world.phone("bob", registered=False)
    contacts = [f"<sip:{name}@198.51.100.1>" for name in "abc"]
    bob.registers(*contacts, call_id="one")
    answer = bob.registers(
        "<sip:b@198.51.100.1>;expires=0, <sip:d@198.51.100.1>;expires=90;q=0.25",
        "<sip:nobody@198.51.100.1>;expires=0",
        "sip:a@198.51.100.1;expires=120",
        call_id="one",
    )
    assert bound(answer) == {
        "sip:a@198.51.100.1": ";expires=120",
        "sip:c@198.51.100.1": HOUR,
        "sip:d@198.51.100.1": ";expires=90;q=0.25",
    }


def test_any_scheme_may_be_a_contact(world: World):
    """§10.2.1, §20.10: an address for mail, a number; they are listed as they came."""
    bob = world.phone("bob", registered=False)
    answer = bob.registers('"Bob, B." <mailto:bob@h.org>;q=0.1', "<tel:+1-555>", bob.contact)
    assert list(bound(answer)) == ["mailto:bob@h.org", "tel:+1-555", bob.contact.strip("<>")]
    answer = bob.registers("<tel:+1555>;expires=0", "<mailto:bob@h.org>;expires=0")
    assert list(bound(answer)) == [bob.contact.strip("<>")]


@cases(
    ("one", "other", "are_equal"),
    [
        ("sip:bob@Phone.example;transport=UDP", "sip:%62ob@phone.EXAMPLE;Transport=udp", True),
        ("sip:bob@h;a=1;b=2", "sip:bob@h;B=2;A=1", True),
        ("sip:bob@h;a=1", "sip:bob@h", True),
        ("sip:bob@[2001:DB8::1]", "sip:bob@[2001:db8:0::1]", True),
        ("sip:bob@h", "sip:bob@h:5060", False),
        ("sip:bob@h", "sip:bob@h;Transport=UDP", True),
        ("sip:bob@h;transport=udp;a=1", "sip:bob@h", True),
        ("sip:bob@h", "sip:bob@h;transport=tcp", False),
        ("sip:bob@h;transport=udp", "sip:bob@h;transport=tcp", False),
        ("sip:bob@h", "sip:Bob@h", False),
        ("sip:bob@h", "sip:h", False),
        ("sip:bob@h", "sip:bob:@h", False),
        ("sip:bob@h", "sip:bob@h;user=ip", False),
        ("sip:bob@h", "sip:bob@h?subject=x", False),
        ("sip:bob@h;a=1", "sip:bob@h;a=2", False),
    ],
)
def test_a_binding_is_found_by_the_rules_of_uris(world: World, one, other, are_equal: bool):
    """§10.3, step 7; §19.1.4, but for `transport=udp`: the newer spelling is kept, as it came."""
    bob = world.phone("bob", registered=False)
    bob.registers(f"<{one}>", call_id="one")
    answer = bound(bob.registers(f"<{other}>;expires=90", call_id="one"))
    assert answer == ({} if are_equal else {one: HOUR}) | {other: ";expires=90"}
    assert len(world.bindings.rows) == len(answer)
    assert list(bound(bob.registers(f"<{other}>;expires=0"))) == ([] if are_equal else [one])


def test_the_same_contact_twice_counts_as_it_stands_last(world: World):
    """§10.3, step 7: each value in turn."""
    bob = world.phone("bob", registered=False)
    answer = bob.registers("<sip:b@h>;expires=90", "<sip:%62@H>;expires=60;q=0.5")
    assert bound(answer) == {"sip:%62@H": ";expires=60;q=0.5"}
    assert not bound(bob.registers("<sip:b@h>", "<sip:b@h>;expires=0"))


def test_only_a_higher_number_of_the_same_call_changes_a_binding(world: World):
    """§10.3, step 7: in a transaction of its own, an equal one is late too."""
    bob = world.phone("bob", registered=False)
    contact, gone = f"Contact: {bob.contact}", f"Contact: {bob.contact};expires=0"
    assert asks_exactly(bob, "c", 8, contact).status == 200
    for cseq, header in ((8, contact), (7, contact), (8, gone), (1, gone)):
        late = asks_exactly(bob, "c", cseq, header, "Contact: <sip:bob@h>")
        assert (late.status, late.reason) == (500, "CSeq Out of Order")
        assert len(fetched(bob)) == 1
    assert asks_exactly(bob, "c", 9, contact).status == 200
    assert asks_exactly(bob, "other", 1, contact).status == 200
    assert not bound(asks_exactly(bob, "c", 1, gone))


# Step 8


def test_a_200_tells_the_time_and_what_is_left(world: World):
    """§10.3, step 8; §20.17; §10.2.5."""
    bob = world.phone("bob", registered=False)
    world.unix_start = 1_289_690_940.0 - world.now  # the example of §20.17
    answer = bob.registers("<sip:b@h>;q=0;expires=100;x=y")
    assert answer.fields("date") == ["Sat, 13 Nov 2010 23:29:00 GMT"]
    world.passes(40, step=10)
    answer = asks(bob, f"sip:{REALM}", bob.aor)
    assert bound(answer) == {"sip:b@h": ";expires=60;q=0;x=y"}
    assert answer.value("date") == "Sat, 13 Nov 2010 23:29:40 GMT"
    world.now += 59.9
    assert fetched(bob) == {"sip:b@h": ";expires=1;q=0;x=y"}
    world.now += 0.1
    assert asks(bob, f"sip:{REALM}", bob.aor).value("contact") is None


def test_a_200_tells_what_each_phone_has_said_that_it_can_do(world: World):
    """RFC 3840 §6: all of it, across a restart, until a refresh says otherwise."""
    desk, other = world.phone("bob", registered=False), world.phone("bob", registered=False)
    can = ';audio;video;actor="msg-taker";automata;mobility="fixed";methods="INVITE,BYE"'
    own = f'{can};+sip.rendering="no";x'
    assert bound(desk.registers(f"<sip:b@h>{own};q=0.5"))["sip:b@h"] == f"{HOUR};q=0.5{own}"
    listed = bound(other.registers('"B" <sip:c@h>;expires=90;+sip.instance="<urn:x>";audio'))
    assert listed == {
        "sip:b@h": f"{HOUR};q=0.5{own}",
        "sip:c@h": ';expires=90;+sip.instance="<urn:x>";audio',
    }
    world.start_server()
    assert fetched(desk) == listed
    assert bound(desk.registers("<sip:b@h>;text"))["sip:b@h"] == f"{HOUR};text"
    assert bound(desk.registers("<sip:b@h>"))["sip:b@h"] == HOUR


def test_what_a_phone_can_do_is_bounded_with_its_contact(world: World):
    """RFC 3840 §6: a Contact is bounded as a whole."""
    bob = world.phone("bob", registered=False)
    value = f"<sip:b@h>;x={'y' * (MAX_CONTACT_LENGTH - 12)}"
    assert list(bound(bob.registers(value))) == ["sip:b@h"]
    answer = bob.registers(value + "y")
    assert (answer.status, answer.reason) == (400, "Contact Too Long")


def test_a_record_route_is_ignored_and_never_given(world: World):
    """§10.2, §10.3: it has no meaning in a REGISTER."""
    bob = world.phone("bob", registered=False)
    headers = ("Record-Route: <sip:198.51.100.1;lr>", "Route: <sip:192.0.2.1;lr>")
    answer = bob.registers(headers=headers)
    assert answer.status == 200
    assert "record-route" not in answer.names
    alice = world.phone("alice")
    assert "record-route" not in alice.registers("*", expires=1, headers=headers).names


def test_a_to_tag_changes_nothing_in_a_registration(world: World):
    """§10.2; §8.2.6.2: a tag that stands there is copied."""
    bob = world.phone("bob", registered=False)
    request = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>;tag=x")
    bob.transmits(request)
    bob.transmits(bob.with_credentials(request, bob.gets(401)))
    assert bob.gets(200).to.params == {"tag": "x"}


def test_a_repeat_is_answered_and_not_served_again(world: World):
    """§17.2.2: with a nonce that was used, and a CSeq that is not higher, it gets the same 200."""
    bob = world.phone("bob", registered=False)
    headers = (f"Contact: {bob.contact};expires=90",)
    request = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>", headers=headers)
    bob.transmits(request)
    again = bob.with_credentials(request, bob.gets(401))
    bob.transmits(again)
    first = bob.gets(200).encode()
    bob.registers("*", expires=0)
    bob.transmits(again)
    assert bob.gets(200).encode() == first
    assert not fetched(bob)


# Path, and extensions that are not supported


def test_a_path_that_the_phone_knows_nothing_of_is_refused(world: World):
    """RFC 3327 §5.3: so the phone learns that a proxy is on the path."""
    bob = world.phone("bob", registered=False)
    for headers in ((), ("Supported: gruu, outbound",), ("Require: path",)):
        answer = asks(
            bob,
            f"sip:{REALM}",
            bob.aor,
            f"Contact: {bob.contact}",
            "Path: <sip:198.51.100.1;lr>",
            *headers,
        )
        assert (answer.status, answer.value("unsupported")) == (420, "path")
    assert not world.bindings.rows


def test_a_path_keeps_its_order_and_ends_with_its_binding(world: World):
    """RFC 3327 §5.3: stored with each contact, and replaced by the next registration of it."""
    alice, bob = world.phone("alice"), world.phone("bob", registered=False)
    first = world.phone("first", registered=False, host="198.51.100.1")
    path = ("Path: <sip:198.51.100.1;lr>;x=y, <sip:198.51.100.2;lr>", "Path: <sip:edge@h.org;lr>")
    answer = bob.registers(headers=("k: PATH", *path))
    values = ["<sip:198.51.100.1;lr>;x=y", "<sip:198.51.100.2;lr>", "<sip:edge@h.org;lr>"]
    assert answer.values("path") == values
    alice.sends("MESSAGE", bob.aor)
    message = first.gets("MESSAGE")
    assert (message.uri_text, message.values("route")) == (bob.contact.strip("<>"), values)
    answer = bob.registers(headers=("Supported: path",))
    assert "path" not in answer.names
    alice.sends("MESSAGE", bob.aor)
    assert not bob.gets("MESSAGE").values("route")


def test_what_was_not_asked_for_is_not_promised(world: World):
    """RFC 5626 §6, RFC 5627 §5.2, RFC 3608 §6: no Outbound, no GRUU, and no Service-Route."""
    bob = world.phone("bob", registered=False)
    contact = f'{bob.contact};+sip.instance="<urn:uuid:1>";reg-id=1'
    answer = bob.registers(contact, headers=("Supported: path",))
    assert answer.status == 200
    assert not {"require", "service-route", "flow-timer", "supported"} & set(answer.names)
    assert "gruu" not in answer.fields("contact")[0]


def test_a_phone_with_a_new_nat_port_is_bound_once(world: World):
    """RFC 5626 §6: its old flow leads nowhere; on its own address each contact stands."""
    call = {"call_id": "boot", "sent_by": "10.0.0.7:5060"}
    before = world.phone("bob", registered=False, host="198.51.100.7", port=40_001)
    after = world.phone("bob", registered=False, host="198.51.100.7", port=40_002)
    after.cseq = before.cseq
    assert len(bound(before.registers(**call))) == 1
    assert list(bound(after.registers(**call))) == [after.contact.strip("<>")]
    desk = world.phone("bob", registered=False)
    desk.registers(call_id="desk")
    assert len(bound(desk.registers("<sip:bob@h>", call_id="desk"))) == 3


def test_an_address_in_angle_brackets_keeps_its_parameters(world: World):
    """§20.10: without them, what follows a semicolon belongs to the header field."""
    bob = world.phone("bob", registered=False)
    answer = bob.registers("<sip:b@h;line=x7;transport=UDP>;expires=90", "sip:c@h;expires=60;q=0.5")
    uris = [parse_name_addr(value).uri_text for value in answer.values("contact")]
    assert uris == ["sip:b@h;line=x7;transport=UDP", "sip:c@h"]
