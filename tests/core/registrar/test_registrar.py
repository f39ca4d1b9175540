"""The registrar's own rules: how long, and by which way (RFC 3261 §10.3, RFC 3327)."""

import pytest
from carriers import MemorySocket
from world import REALM, World

from sip.core.errors import Refused
from sip.core.registrar.registrar import (
    Expiry,
)
from sip.core.uas import check_required
from sip.message.headers import parse_credentials, parse_name_addr
from sip.message.message import Request, Response, parse
from sip.transport.local_addresses import LocalAddresses
from sip.transport.transports import Transports

EXPIRY = Expiry(minimum=60, maximum=7200, default=3600)


def uris(response: Response) -> list[str]:
    return [parse_name_addr(value).uri_text for value in response.values("contact")]


# How long


@pytest.mark.parametrize(
    ("asked", "granted"),
    [(0, 0), (60, 60), (61, 61), (7200, 7200), (7201, 7200), (2**32 - 1, 7200)],
)
def test_what_is_asked_is_granted_within_bounds(asked: int, granted: int):
    """§10.3, step 7: shortened, never lengthened; zero removes."""
    assert EXPIRY.granted(asked) == granted


@pytest.mark.parametrize("asked", [1, 59])
def test_too_brief_an_interval_is_refused_with_the_least_that_is_not(asked: int):
    """§10.3, step 7; §20.23."""
    with pytest.raises(Refused) as refused:
        EXPIRY.granted(asked)
    assert (refused.value.status, refused.value.extra) == (423, (("Min-Expires", "60"),))


@pytest.mark.parametrize(
    ("contact", "header", "expires"),
    [
        ("", "120", 120),
        (";expires=90", "120", 90),
        (";expires", "120", 3600),
        (';expires="90"', "120", 90),
        (";EXPIRES=90", "120", 90),
        ("", "4294967295", 7200),
        ("", "4294967296", 7200),
        (";expires=4294967296", "120", 7200),
        (";expires=1.5", "120", 3600),
        (";expires=soon", "120", 3600),
        (";expires=-5", "120", 3600),
        ("", "soon", 3600),
        ("", None, 3600),
        (";expires=99999999999999999999", None, 7200),
    ],
)
def test_where_the_interval_is_read_from(world: World, contact: str, header, expires: int):
    """§10.2.1.1: the parameter, the header, the default; what can't be read counts as an hour."""
    bob = world.phone("bob", registered=False)
    headers = () if header is None else (f"Expires: {header}",)
    answer = bob.registers(f"{bob.contact}{contact}", expires=None, headers=headers)
    assert f";expires={expires}" in answer.value("contact")


@pytest.mark.parametrize(
    ("asked", "granted"), [(3599, None), (3600, 3600), (5999, 5999), (6000, 6000), (9000, 7200)]
)
def test_an_hour_is_never_too_brief(asked: int, granted: int | None):
    """§10.3, step 7: 423 only below one hour, whatever is configured."""
    strict = Expiry(minimum=6000, maximum=7200, default=7000)
    if granted is not None:
        assert strict.granted(asked) == granted
        return
    with pytest.raises(Refused) as refused:
        strict.granted(asked)
    assert refused.value.extra == (("Min-Expires", "3600"),)


# By which way


def test_a_contact_that_says_no_address_at_all_is_reached_where_it_came_from(world: World):
    """Nobody is 0.0.0.0, though any machine may bind to it; so such a contact isn't us."""
    alice = world.phone("alice")
    bob = world.phone("bob", registered=False)
    bob.registers("<sip:bob@0.0.0.0:5060>")
    alice.sends("INVITE", bob.aor)
    bob.gets("INVITE")


# What is stored and told


def test_what_was_quoted_is_quoted_again(world: World):
    """§25.1: nobody closes the quotes of +sip.instance and adds a parameter, or a contact."""
    bob = world.phone("bob", registered=False)
    odd = '"<urn:x\\">;expires=1, <sip:evil@203.0.113.9>\\\\"'
    answer = bob.registers(f"{bob.contact};+sip.instance={odd};reg-id=2")
    (value,) = answer.values("contact")
    contact = parse_name_addr(value)
    assert contact.params["+sip.instance"] == '<urn:x">;expires=1, <sip:evil@203.0.113.9>\\'
    assert (contact.params["expires"], contact.params["reg-id"]) == ("3600", "2")


@pytest.mark.parametrize(
    ("params", "kept"),
    [
        ("", ""),
        (";q=1.0;expires=90;reg-id=0", ""),
        (";audio", ";audio"),
        (";tag=x", ";tag=x"),
        (';Mobility=fixed;EXPIRES=90;+SIP.Rendering="no"', ';Mobility=fixed;+SIP.Rendering="no"'),
        ('; audio ;q=1 ; methods = "INVITE,BYE" ', '; audio ; methods = "INVITE,BYE"'),
        (';x=";expires=1;q=0.1";y', ';x=";expires=1;q=0.1";y'),
        (';x="<sip:evil@h>, \\"\\\\";y=""', ';x="<sip:evil@h>, \\"\\\\";y=""'),
        (';+sip.instancex="<urn:x>";qq=1;reg-idx', ';+sip.instancex="<urn:x>";qq=1;reg-idx'),
        (';x="a\r\n b"\r\n\t;y\r\n =\r\n z', ';x="a b" ;y = z'),
        (";x=%0d%0ay;z=a/b=c", ";x=%0d%0ay;z=a/b=c"),
        (";x=\u00e9", ";x=\u00e9"),
        (';video;temp-gruu="sip:x@h;gr";Pub-GRUU="sip:bob@h;gr=x"', ";video"),
    ],
)
@pytest.mark.parametrize("address", ["<sip:b@h>", '"<sip:b@h>;video" <sip:b@h>', "sip:b@h"])
def test_other_parameters_are_kept_as_they_came(world: World, address: str, params, kept: str):
    """RFC 3840 §6, §9; RFC 5627 §5.1: a GRUU is never the phone's to say."""
    bob = world.phone("bob", registered=False)
    answer = bob.registers(address + params, expires=90)
    assert answer.fields("contact") == [f"<sip:b@h>;expires=90{kept}"]
    world.start_server()
    (binding,) = world.server.location.bindings(f"bob@{REALM}")
    assert binding.params == kept


def test_a_reg_id_without_an_instance_is_ignored(world: World):
    """RFC 5626 §6."""
    bob = world.phone("bob", registered=False)
    (value,) = bob.registers(f"{bob.contact};reg-id=1").values("contact")
    assert "reg-id" not in value


def test_phones_that_say_the_same_share_its_text(world: World):
    """RFC 3840 §6: a hundred thousand phones are of a few models."""
    bob = world.phone("bob", registered=False)
    instances = [f'<sip:b@h{n}>;audio;+sip.instance="<urn:{n}>";class=business' for n in range(2)]
    bob.registers(*instances)
    one, other = (b.params for b in world.server.location.bindings(f"bob@{REALM}"))
    assert one is other
    assert one == ";audio;class=business"


@pytest.mark.parametrize(
    ("contact", "phrase"),
    [
        ("<*>", "Contact: "),
        ("*;expires=0", "Contact: "),
        ("<nonsense>", "Contact: "),
        ("<sip:bob@>", "Contact: "),
        ("<sip:bob@h:x>", "Contact: "),
        ("<sip:bob@h>;q=2", "Contact: '2' is not a q value"),
        ("<sip:bob@h>;q=x", "Contact: 'x' is not a q value"),
        ("<sip:bob@h>;audio;Audio", "Contact: the parameter 'audio' occurs twice"),
        ("<sip:bob@h>;audio;", "Contact: cannot read the parameters"),
        ('<sip:bob@h>;x="y', "Contact: cannot read the parameters"),
        ('"<sip:a@h>', "Contact: a quote"),
        ('<sip:a@h>, "<sip:a@h>', "Contact: a quote"),
    ],
)
def test_a_contact_that_cannot_be_read_binds_nothing(world: World, contact: str, phrase: str):
    """§10.3: all or none; §21.4.1: the phrase names the field."""
    bob = world.phone("bob", registered=False)
    answer = bob.registers("<sip:good@192.0.2.7>", contact)
    assert (answer.status, answer.reason[: len(phrase)]) == (400, phrase)
    assert not world.bindings.rows


def test_an_empty_contact_field_is_none(world: World):
    """A query, as if it weren't there."""
    bob = world.phone("bob")
    assert uris(bob.registers("")) == [f"sip:bob@{bob.address[0]}:5060"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("<sip:edge.example;lr>", 200),
        ('"Edge, \\"1\\"" <sip:e,1@[2001:db8::9];lr>;x="a, b", <sip:198.51.100.1;lr>', 200),
        ("nonsense", 400),
        ("<tel:+1555>", 400),
        ("<sip:edge.example:x;lr>", 400),
        ("<sip:192.0.2.1;lr>", 400),
        ("<sip:edge.example;lr>, <sip:EXAMPLE.com.;lr>", 400),
    ],
)
def test_a_path_is_read_before_it_is_kept_and_leads_away_from_us(world: World, path, status):
    """RFC 3327 §5.3; RFC 5393 §3: through ourselves each call would fork anew, up to 70 times."""
    bob = world.phone("bob", registered=False)
    answer = bob.registers(headers=("Supported: path", f"Path: {path}"))
    assert answer.status == status
    if status == 400:  # §21.4.1: the phrase names the field
        assert answer.reason.startswith(("Path: ", "Path Leads Back Here"))
    if status == 200:
        assert ", ".join(answer.values("path")) == path
        world.start_server()
        (binding,) = world.server.location.bindings(f"bob@{REALM}")
        assert ", ".join(binding.path) == path


def test_a_path_whose_quote_is_open_is_named(world: World):
    """§21.4.1: such a list is not even taken apart."""
    bob = world.phone("bob", registered=False)
    headers = ("Supported: path", 'Path: <sip:a;lr>, "')
    bob.transmits(bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>", headers=headers))
    assert bob.gets(400).reason.startswith("Path: a quote")


@pytest.mark.parametrize(
    ("required", "unsupported"),
    [("path", None), ("PATH, Path", None), ("path, gruu", "gruu"), ("a,b", "a, b"), ("", None)],
)
def test_what_we_lack_is_named(required: str, unsupported: str | None):
    """§8.2.2.3."""
    request = parse(
        (
            "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n"
            "From: <sip:a@h>;tag=a\r\nTo: <sip:b@h>\r\nCall-ID: c\r\n"
            f"CSeq: 1 OPTIONS\r\nRequire: {required}\r\n\r\n"
        ).encode()
    )
    assert isinstance(request, Request)
    if unsupported is None:
        check_required(request)
    else:
        with pytest.raises(Refused) as refused:
            check_required(request)
        assert (refused.value.status, refused.value.extra) == (420, (("Unsupported", unsupported),))


# Whose


def register(world: World, phone, uri: str, to: str, username: str, realm: str) -> Response:
    """Register as somebody of some realm, at some address of ours."""
    headers = (f"Contact: {phone.contact}",)
    request = phone.request("REGISTER", uri, to=f"<{to}>", headers=headers)
    phone.transmits(request)
    answer = phone.takes()
    if answer.status != 401:
        return answer
    assert parse_credentials(answer.fields("www-authenticate")[0]).params["realm"] == realm
    phone.transmits(phone.with_credentials(request, answer, username=username))
    return phone.takes()


def test_a_user_of_another_realm_registers_there_and_nowhere_else(world: World):
    """REGISTER is challenged with the realm of its To."""
    world.users.add("carol", "secret", "other.org")
    world.users.add("bob", "secret")
    phone = world.phone("phone", registered=False)
    for uri in ("sip:other.org", f"sip:{REALM}", "sip:192.0.2.1"):
        answer = register(world, phone, uri, "sip:carol@other.org", "carol", "other.org")
        assert answer.status == 200
    assert {row.aor for row in world.bindings.rows.values()} == {"carol@other.org"}
    assert (
        register(world, phone, f"sip:{REALM}", f"sip:carol@{REALM}", "carol", REALM).status == 401
    )
    assert register(world, phone, f"sip:{REALM}", "sip:bob@nowhere.org", "bob", REALM).status == 404
    elsewhere = register(world, phone, "sip:nowhere.org", "sip:carol@other.org", "carol", "")
    assert elsewhere.status == 407  # the proxy's


@pytest.mark.parametrize(
    ("to", "status"),
    [
        ("sip:bob@example.com", 200),
        ("sip:%62ob:pw@EXAMPLE.com.:5060;x=y", 200),
        ("sip:Bob@example.com", 403),
        ("sip:example.com", 403),
        ("sip:bob%00@example.com", 403),
        ("sip:alice@example.com", 403),
        ("tel:+1555", 400),
        ("sips:bob@example.com", 200),
        ("sip:bob@example.com:5999", 404),
        ("mailto:bob@example.com", 400),
    ],
)
def test_the_user_of_to_is_the_user_of_the_credentials(world: World, to: str, status: int):
    """§10.3, steps 4 and 5: unescaped, and by exact case."""
    world.users.add("alice", "other")
    bob = world.phone("bob", registered=False)
    assert register(world, bob, f"sip:{REALM}", to, "bob", REALM).status == status
    assert [row.aor for row in world.bindings.rows.values()] == ["bob@example.com"] * (
        status == 200
    )


def test_a_binding_says_whose_it_is(world: World):
    """By the account's id: its name may be given to somebody else."""
    bob = world.phone("bob")
    account = world.users.find("bob", REALM)
    ((key, row),) = world.bindings.rows.items()
    assert row.user_id == key[0] == account.id
    (binding,) = world.server.location.bindings(f"bob@{REALM}")
    assert binding.user_id == account.id
    bob.registers(expires=0)
    assert not world.bindings.rows


def test_the_phones_of_who_is_gone_ring_no_more(world: World):
    """And what the next of that name registers does."""
    alice, bob = world.phones("alice", "bob")
    old = world.users.find("bob", REALM)
    world.users.on_gone([old])
    assert not any(row.user_id == old.id for row in world.bindings.rows.values())
    call = alice.sends("INVITE", bob.aor)
    alice.gets(480, call)
    assert bob.hears_nothing()
    world.users.add("bob", "secret")
    desk = world.phone("bob")
    world.users.on_gone([old])
    alice.sends("INVITE", bob.aor)
    desk.gets("INVITE")


def test_many_that_are_gone_do_not_hold_the_sockets(world: World, monkeypatch):
    monkeypatch.setattr("sip.server.ACCOUNTS_AT_ONCE", 2)
    gone = [world.users.find(phone.name, REALM) for phone in world.phones(*"abcde")]
    slept = []
    monkeypatch.setattr("gevent.sleep", slept.append)
    world.users.on_gone(gone)
    assert slept == [0.001, 0.001]
    assert not world.bindings.rows


# Again


def test_what_was_authenticated_before_a_restart_is_not_taken_again(world: World):
    """RFC 7616 §5.4: the counts are forgotten with the process, so its nonces are too."""
    bob = world.phone("bob", registered=False)
    request = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>")
    bob.transmits(request)
    answered = bob.with_credentials(request, bob.gets(401))
    bob.transmits(answered)
    bob.gets(200)
    world.start_server()
    bob.transmits(answered)
    assert "stale=true" in bob.gets(401).value("www-authenticate")


def test_which_addresses_are_this_machine():
    """Its own and its names; not those that any machine may bind to, nor what is no address."""
    transports = Transports(lambda: 0.0, ("Sip.Example.NET", None))
    transports.add(MemorySocket(World(), ("192.0.2.1", 5060)))
    wildcard = MemorySocket(World(), ("0.0.0.0", 5060))
    wildcard.is_wildcard = True
    transports.add(wildcard)
    is_own = LocalAddresses(transports)
    for host in ("192.0.2.1", "127.0.0.1", "localhost", "sip.example.net"):
        assert is_own(host), host
    for host in ("0.0.0.0", "::", "224.0.1.75", "255.255.255.255", "999.1.2.3", "203.0.113.9", "x"):
        assert not is_own(host), host


@pytest.mark.parametrize(
    ("contacts", "phrase"),
    [
        (["<sip:a@10.0.0.1>"] * 21, "Too Many Contacts"),
        ([f"<sip:a@10.0.0.1;x={'%41' * 400}>"], "Contact Too Long"),
    ],
)
def test_contacts_are_bounded_before_they_are_compared(world, contacts, phrase: str):
    """RFC 5393 §5, §21.4.1: no phone takes 400 for a wrong password.

    Comparing thousands of long URIs with each other would hold the hub.
    """
    bob = world.phone("bob", registered=False)
    answer = bob.registers(*contacts)
    assert (answer.status, answer.reason) == (400, phrase)
    assert not world.bindings.rows


@pytest.mark.parametrize(
    ("more", "phrase"),
    [
        ({"call_id": "x" * 301}, "Call-ID Too Long"),
        (
            {"headers": ("Supported: path", "Path: <sip:a;x=" + "y" * 1000 + ";lr>")},
            "Path Too Long",
        ),
    ],
)
def test_what_is_kept_with_a_binding_is_bounded(world, more, phrase: str):
    """A user must not fill the memory with Call-IDs of 60 kB."""
    bob = world.phone("bob", registered=False)
    answer = bob.registers(**more)
    assert (answer.status, answer.reason) == (400, phrase)
    assert not world.bindings.rows
