"""Several spellings of one user name (RFC 3261 §19.1.2, RFC 7616 §4)."""

import pytest

from tests.support.cases import cases
from tests.support.world import REALM, Phone, World

COMPOSED, DECOMPOSED = "j\u00f6rg", "jo\u0308rg"
ESCAPED = {COMPOSED: "j%C3%B6rg", DECOMPOSED: "jo%CC%88rg"}


def stored_as(world: World, name: str) -> Phone:
    """A phone of a user; the account has exactly that name."""
    phone = world.phone(name, registered=False)
    phone.registers()
    return phone


@pytest.mark.parametrize("stored", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("written", [COMPOSED, DECOMPOSED])
def test_a_user_is_called_in_either_unicode_form(world: World, stored: str, written: str):
    """RFC 7616 §4: names are compared in NFC, an earlier version may have stored NFD."""
    alice, phone = world.phone("alice"), stored_as(world, stored)
    alice.sends("INVITE", f"sip:{ESCAPED[written]}@{REALM}")
    phone.gets("INVITE")


@cases("stored", [COMPOSED, DECOMPOSED])
@cases("digest", [COMPOSED, DECOMPOSED, "j%C3%B6rg", "jo%CC%88rg"])
def test_a_digest_names_its_user_in_either_unicode_form(world: World, stored: str, digest: str):
    """RFC 7616 §4; its HA1 is made of the name as it is stored."""
    world.users.add(stored, "secret")
    phone = world.phone("p", registered=False)
    for written in (COMPOSED, DECOMPOSED):
        address = f"sip:{ESCAPED[written]}@{REALM}"
        request = phone.request(
            "REGISTER",
            f"sip:{REALM}",
            to=f"<{address}>",
            headers=(f"Contact: {phone.contact}",),
        )
        phone.transmits(request)
        again = phone.with_credentials(request, phone.gets(401), username=stored)
        said = (again.value("authorization") or "").replace(f'"{stored}"', f'"{digest}"')
        again.set("authorization", f"Authorization: {said}")
        phone.transmits(again)
        phone.gets(200)
    assert [row.aor for row in world.bindings.rows.values()] == [f"{stored}@{REALM}"]


def test_a_digest_of_another_spelling_has_its_own_cause(world: World, caplog):
    """Its HA1 is that of another name, which no server can know."""
    world.users.add("+4930123", "secret")
    phone = world.phone("+49-30-123", registered=False)
    del world.users.accounts["+49-30-123", REALM]
    request = phone.request("REGISTER", f"sip:{REALM}", to=f"<{phone.aor}>")
    phone.transmits(request)
    with caplog.at_level("INFO"):
        phone.transmits(phone.with_credentials(request, phone.gets(401)))
    phone.gets(401)
    told = "wrong password for +4930123, or the phone writes that name as +49-30-123"
    assert told in caplog.text
    phone.transmits(request)
    phone.transmits(phone.with_credentials(request, phone.gets(401), username="+4930123"))
    phone.gets(200)


def test_two_accounts_that_an_earlier_version_took_stay_two(world: World):
    """The account of exactly a name goes first."""
    alice, one, other = (
        world.phone("alice"),
        stored_as(world, COMPOSED),
        stored_as(world, DECOMPOSED),
    )
    for phone in (one, other):
        alice.sends("MESSAGE", phone.aor)
        phone.gets("MESSAGE")
        phone.sends("MESSAGE", alice.aor)
        alice.gets("MESSAGE")


# Names that hold an @


@pytest.mark.parametrize("digest", ["ann@example.org", "ann%40example.org"])
def test_a_name_may_be_a_mail_address(world: World, digest: str):
    """§19.1.2: escaped in a URI; RFC 7616 §3.4: as it is in a digest, though some escape it."""
    alice, ann = world.phone("alice"), world.phone("ann@example.org", registered=False)
    assert ann.aor == f"sip:ann%40example.org@{REALM}"
    request = ann.request(
        "REGISTER", f"sip:{REALM}", to=f"<{ann.aor}>", headers=(f"Contact: {ann.contact}",)
    )
    ann.transmits(request)
    again = ann.with_credentials(request, ann.gets(401))
    said = (again.value("authorization") or "").replace('"ann@example.org"', f'"{digest}"')
    again.set("authorization", f"Authorization: {said}")
    ann.transmits(again)
    ann.gets(200)
    alice.sends("INVITE", ann.aor)
    ann.gets("INVITE")
    ann.sends("MESSAGE", alice.aor)
    alice.inbox.clear()
    world.start_server()
    ann.sends("MESSAGE", alice.aor)
    alice.gets("MESSAGE")
    alice.sends("MESSAGE", ann.aor)
    ann.inbox.clear()
    ann.registers(expires=0)
    alice.inbox.clear()
    alice.sends("INVITE", ann.aor)
    alice.gets(480)


def test_an_at_sign_confuses_no_two_users(world: World):
    """ann of the realm b@c, and ann@b of the realm c: each has its own phones."""
    world.users.add("ann", "secret", "b@c")
    world.users.add("ann@b", "secret", "c")
    alice = world.phone("alice")
    ann = world.phone("ann@b", registered=False)
    ann.aor = "sip:ann%40b@c"
    request = ann.request(
        "REGISTER", "sip:c", to=f"<{ann.aor}>", headers=(f"Contact: {ann.contact}",)
    )
    ann.transmits(request)
    ann.transmits(ann.with_credentials(request, ann.gets(401)))
    ann.gets(200)
    assert not world.server.location.bindings("ann@b@c")
    alice.sends("MESSAGE", ann.aor)
    ann.gets("MESSAGE")
    world.server.remove_bindings([world.users.accounts["ann", "b@c"]])
    alice.sends("MESSAGE", ann.aor)
    ann.gets("MESSAGE")
    world.server.remove_bindings([world.users.accounts["ann@b", "c"]])
    alice.inbox.clear()
    alice.sends("MESSAGE", ann.aor)
    alice.gets(480)


def test_an_at_sign_that_is_not_escaped_is_refused(world: World):
    """§25.1: elements would not agree on where the host begins."""
    alice = world.phone("alice")
    alice.sends("INVITE", f"sip:ann@example.org@{REALM}")
    assert "unescaped @" in alice.gets(400).reason
