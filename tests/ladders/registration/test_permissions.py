"""The accounts that may bind an address-of-record (RFC 3261 §10.3, steps 3 to 5)."""

from sip.message.headers import parse_credentials
from sip.message.message import Response
from sip.store.accounts import AccountsRemoved
from tests.support.cases import cases
from tests.support.world import REALM, World


def register(world: World, phone, uri: str, to: str, username: str, realm: str) -> Response:
    """Register as a user of a realm, at a given address of the server."""
    headers = (f"Contact: {phone.contact}",)
    request = phone.request("REGISTER", uri, to=f"<{to}>", headers=headers)
    phone.transmits(request)
    answer = phone.takes()
    if answer.status != 401:
        return answer
    assert parse_credentials(answer.fields("www-authenticate")[0]).params["realm"] == realm
    phone.transmits(phone.with_credentials(request, answer, username=username))
    return phone.takes()


def test_a_user_of_another_realm_registers_only_there(world: World):
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


@cases(
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


def test_a_binding_stores_the_id_of_its_account(world: World):
    """By the account's id: its name may be given to another user."""
    bob = world.phone("bob")
    account = world.users.find("bob", REALM)
    ((key, row),) = world.bindings.rows.items()
    assert row.user_id == key[0] == account.id
    (binding,) = world.server.location.bindings(f"bob@{REALM}")
    assert binding.user_id == account.id
    bob.registers(expires=0)
    assert not world.bindings.rows


def test_phones_of_a_removed_account_ring_no_more(world: World):
    """And what the next of that name registers does."""
    alice, bob = world.phones("alice", "bob")
    old = world.users.find("bob", REALM)
    world.bus.publish(AccountsRemoved([old]))
    assert not any(row.user_id == old.id for row in world.bindings.rows.values())
    call = alice.sends("INVITE", bob.aor)
    alice.gets(480, call)
    assert bob.hears_nothing()
    world.users.add("bob", "secret")
    desk = world.phone("bob")
    world.bus.publish(AccountsRemoved([old]))
    alice.sends("INVITE", bob.aor)
    desk.gets("INVITE")


def test_removing_many_accounts_does_not_block_the_sockets(world: World, monkeypatch):
    monkeypatch.setattr("sip.server.ACCOUNTS_AT_ONCE", 2)
    gone = [world.users.find(phone.name, REALM) for phone in world.phones(*"abcde")]
    slept = []
    monkeypatch.setattr("gevent.sleep", slept.append)
    world.bus.publish(AccountsRemoved(gone))
    assert slept == [0.001, 0.001]
    assert not world.bindings.rows


def test_credentials_of_before_a_restart_are_stale(world: World):
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
