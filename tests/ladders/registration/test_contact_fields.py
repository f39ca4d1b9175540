"""Contact, Expires and Path of a REGISTER: read, stored and listed (RFC 3261 §10, RFC 3327)."""

import pytest

from sip.message.headers import parse_name_addr
from sip.message.message import Response
from tests.support.cases import cases
from tests.support.world import REALM, World


def uris(response: Response) -> list[str]:
    return [parse_name_addr(value).uri_text for value in response.values("contact")]


# Contact


@cases(
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


def test_a_quoted_instance_is_quoted_again(world: World):
    """§25.1: the quotes of +sip.instance cannot be closed to add a parameter or a contact."""
    bob = world.phone("bob", registered=False)
    odd = '"<urn:x\\">;expires=1, <sip:evil@203.0.113.9>\\\\"'
    answer = bob.registers(f"{bob.contact};+sip.instance={odd};reg-id=2")
    (value,) = answer.values("contact")
    contact = parse_name_addr(value)
    assert contact.params["+sip.instance"] == '<urn:x">;expires=1, <sip:evil@203.0.113.9>\\'
    assert (contact.params["expires"], contact.params["reg-id"]) == ("3600", "2")


@cases(
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
@cases("address", ["<sip:b@h>", '"<sip:b@h>;video" <sip:b@h>', "sip:b@h"])
def test_other_parameters_are_kept_as_they_came(world: World, address: str, params, kept: str):
    """RFC 3840 §6, §9; RFC 5627 §5.1: a GRUU is never the phone's to say."""
    bob = world.phone("bob", registered=False)
    answer = bob.registers(address + params, expires=90)
    assert answer.fields("contact") == [f"<sip:b@h>;expires=90{kept}"]
    world.start_server()
    (binding,) = world.server.location.bindings(f"bob@{REALM}")
    assert binding.profile.params == kept


def test_a_reg_id_without_an_instance_is_ignored(world: World):
    """RFC 5626 §6."""
    bob = world.phone("bob", registered=False)
    (value,) = bob.registers(f"{bob.contact};reg-id=1").values("contact")
    assert "reg-id" not in value


def test_equal_contact_parameters_are_stored_once(world: World):
    """RFC 3840 §6: a hundred thousand phones are of a few models."""
    bob = world.phone("bob", registered=False)
    instances = [f'<sip:b@h{n}>;audio;+sip.instance="<urn:{n}>";class=business' for n in range(2)]
    bob.registers(*instances)
    one, other = (b.profile.params for b in world.server.location.bindings(f"bob@{REALM}"))
    assert one is other
    assert one == ";audio;class=business"


@cases(
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
def test_path_and_call_id_are_bounded(world, more, phrase: str):
    """A user must not fill the memory with Call-IDs of 60 kB."""
    bob = world.phone("bob", registered=False)
    answer = bob.registers(**more)
    assert (answer.status, answer.reason) == (400, phrase)
    assert not world.bindings.rows


def test_an_unspecified_contact_is_reached_along_its_flow(world: World):
    """0.0.0.0 is no host, though any machine may bind to it; so such a contact isn't us."""
    alice = world.phone("alice")
    bob = world.phone("bob", registered=False)
    bob.registers("<sip:bob@0.0.0.0:5060>")
    alice.sends("INVITE", bob.aor)
    bob.gets("INVITE")


# Path


@cases(
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
        assert ", ".join(binding.profile.path) == path


def test_a_path_with_an_open_quote_is_named(world: World):
    """§21.4.1: such a list is not even taken apart."""
    bob = world.phone("bob", registered=False)
    headers = ("Supported: path", 'Path: <sip:a;lr>, "')
    bob.transmits(bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>", headers=headers))
    assert bob.gets(400).reason.startswith("Path: a quote")
