"""REGISTER through the whole server (RFC 3261 §10)."""

import pytest

from tests.support.world import REALM, World


def contacts(response) -> dict[str, str]:
    """Contact URIs of a response, with their parameters as text."""
    found = {}
    for value in response.values("contact"):
        uri, _, params = value[1:].partition(">")
        found[uri] = params
    return found


def test_a_phone_registers_after_a_challenge(world: World):
    """§10.2, RFC 3665 §2.1."""
    alice = world.phone("alice", registered=False)
    answer = alice.registers()
    assert answer.status == 200
    assert contacts(answer) == {f"sip:alice@{alice.address[0]}:5060": ";expires=3600"}
    assert len(world.bindings.rows) == 1


def test_a_challenge_is_stateless_and_offers_md5_first(world: World):
    """§22.1, RFC 8760 §2.4."""
    alice = world.phone("alice", registered=False)
    request = alice.request("REGISTER", f"sip:{REALM}", to=f"<{alice.aor}>")
    alice.transmits(request)
    challenge = alice.gets(401)
    offers = challenge.fields("www-authenticate")
    assert ["algorithm=MD5" in offers[0], "algorithm=SHA-256" in offers[1]] == [True, True]
    assert not world.server.layer.servers
    alice.transmits(request)
    assert alice.gets(401).fields("www-authenticate") != offers


def test_sha_is_not_offered_if_an_account_has_no_sha_hash(world: World):
    """RFC 8760 §2.3 and accounts that came with an MD5 HA1 alone."""
    world.users.missing.add("SHA-256")
    alice = world.phone("alice", registered=False)
    alice.transmits(alice.request("REGISTER", f"sip:{REALM}", to=f"<{alice.aor}>"))
    assert len(alice.gets(401).fields("www-authenticate")) == 1


@pytest.mark.parametrize(
    ("agent", "offers"),
    [
        ("baresip v1.0.0 (x86_64/linux)", 1),
        ("baresip v3.10.1", 1),
        ("baresip v3.11.0", 2),
        ("Linphone/5", 2),
    ],
)
def test_a_phone_that_gives_up_at_sha_is_offered_md5_alone(world: World, agent: str, offers: int):
    """RFC 8760 §2.4, and what old baresip makes of it."""
    alice = world.phone("alice", registered=False)
    alice.transmits(
        alice.request(
            "REGISTER", f"sip:{REALM}", to=f"<{alice.aor}>", headers=(f"User-Agent: {agent}",)
        )
    )
    assert len(alice.gets(401).fields("www-authenticate")) == offers


def test_every_binding_is_listed_with_what_is_left_of_its_time(world: World):
    """§10.3, step 8."""
    desk = world.phone("bob")
    world.passes(600, step=60)
    mobile = world.phone("bob", registered=False)
    answer = mobile.registers(f"{mobile.contact};q=0.5;expires=120")
    assert contacts(answer) == {
        f"sip:bob@{desk.address[0]}:5060": ";expires=3000",
        f"sip:bob@{mobile.address[0]}:5060": ";expires=120;q=0.5",
    }


def test_several_contacts_come_in_one_request(world: World):
    """§10.2.1: the parameter outweighs the header, the header the default."""
    bob = world.phone("bob", registered=False)
    answer = bob.registers("<sip:bob@10.1.1.1>;expires=100", "<sip:bob@10.1.1.2>", expires=200)
    assert list(contacts(answer).values()) == [";expires=100", ";expires=200"]
    answer = bob.registers("<sip:bob@10.1.1.3>", expires=None)
    assert contacts(answer)["sip:bob@10.1.1.3"] == ";expires=3600"


def test_a_query_changes_nothing(world: World):
    """§10.2.3."""
    bob = world.phone("bob")
    request = bob.request("REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>")
    bob.transmits(request)
    bob.transmits(bob.with_credentials(request, bob.gets(401)))
    assert len(contacts(bob.gets(200))) == 1


def test_a_contact_is_removed_by_expires_zero(world: World):
    """§10.2.2."""
    bob = world.phone("bob")
    assert not contacts(bob.registers(f"{bob.contact};expires=0"))


def test_bindings_expire_by_themselves(world: World):
    """§10.2.1; a look-up finds none, and the row is removed from the disk."""
    bob = world.phone("bob", registered=False)
    bob.registers(expires=60)
    world.passes(61, step=1)
    alice = world.phone("alice")
    alice.sends("INVITE", bob.aor)
    alice.gets(480)
    assert [row.aor for row in world.bindings.rows.values()] == [f"alice@{REALM}"]
    assert len(world.server.location) == 1


def test_a_phone_set_up_with_the_servers_address_registers(world: World):
    """The AOR at an address of ours is the one in the main domain."""
    bob = world.phone("bob", registered=False)
    request = bob.request(
        "REGISTER", "sip:192.0.2.1", to="<sip:bob@192.0.2.1>", headers=(f"Contact: {bob.contact}",)
    )
    bob.transmits(request)
    bob.transmits(bob.with_credentials(request, bob.gets(401)))
    bob.gets(200)
    assert [row.aor for row in world.bindings.rows.values()] == [f"bob@{REALM}"]


def test_a_database_that_cannot_write_makes_no_false_200(world: World):
    """The 200 promises what a power cut must not break; and nothing stays in memory either."""
    bob = world.phone("bob", registered=False)
    world.bindings.fails = "disk full"
    assert bob.registers().status == 500
    assert not world.server.location.bindings(f"bob@{REALM}")
    world.bindings.fails = ""
    assert bob.registers().status == 200


def test_a_200_is_held_until_its_binding_is_on_disk(world: World):
    """Repeats are absorbed meanwhile (§17.2.2), and calls go to the new binding already."""
    alice, bob = world.phones("alice", "bob")
    world.bindings.is_slow = True
    register = bob.request(
        "REGISTER", f"sip:{REALM}", to=f"<{bob.aor}>", headers=(f"Contact: {bob.contact}",)
    )
    bob.transmits(register)
    authorized = bob.with_credentials(register, bob.gets(401))
    bob.transmits(authorized)
    bob.transmits(authorized)
    assert bob.hears_nothing()
    assert world.server.dispatcher.pending == 1
    alice.sends("OPTIONS", bob.aor)
    bob.answers(bob.gets("OPTIONS"), 200)
    world.bindings.finishes()
    assert bob.gets(200, of=authorized).call_id == authorized.call_id
    assert bob.hears_nothing()
    assert world.server.dispatcher.pending == 0
    bob.transmits(authorized)
    bob.gets(200, of=authorized)


def test_a_disk_that_fails_later_takes_every_waiting_change_back(world: World):
    """The second change was based on the first, and 500 tells both phones to try again."""
    first, second = world.phone("bob", registered=False), world.phone("bob", registered=False)
    world.bindings.is_slow = True
    requests = []
    for phone in (first, second):
        register = phone.request(
            "REGISTER", f"sip:{REALM}", to=f"<{phone.aor}>", headers=(f"Contact: {phone.contact}",)
        )
        phone.transmits(register)
        requests.append(phone.with_credentials(register, phone.gets(401)))
        phone.transmits(requests[-1])
    assert len(world.server.location.bindings(f"bob@{REALM}")) == 2
    world.bindings.fails = "disk full"
    world.bindings.finishes()
    for phone, request in zip((first, second), requests, strict=True):
        assert phone.gets(500, of=request).reason == "Registration Not Saved"
    assert not world.server.location.bindings(f"bob@{REALM}")
    assert world.server.dispatcher.pending == 0


def test_a_binding_outlives_a_restart_and_its_call_arrives(world: World):
    """A call to a phone that has not registered again."""
    alice, bob = world.phones("alice", "bob")
    world.passes(100, step=10)
    world.start_server()
    alice.sends("INVITE", bob.aor)
    bob.gets("INVITE")


def test_a_wall_clock_step_does_not_change_when_bindings_end(world: World):
    """Moments in memory are monotonic."""
    bob = world.phone("bob")
    world.unix_start += 86_400
    assert ";expires=3600" in contacts(bob.registers()).values()
    world.unix_start -= 200_000
    world.passes(3601, step=100)
    assert not world.server.location.bindings(f"bob@{REALM}")


def test_refreshing_leaves_no_trail(world: World):
    """One entry per address-of-record is kept for its expiry, after any number of refreshes."""
    desk, mobile = world.phones("bob", "bob")
    for _ in range(30):
        desk.registers()
        mobile.registers()
        world.now += 1.0
    assert sum(len(due.aors) for due in world.server.location._expiring.values()) == 1


def test_credentials_reach_no_log(world: World, caplog: pytest.LogCaptureFixture):
    """Neither a password in clear text nor a nonce, in any kind of error."""
    caplog.set_level("DEBUG")
    bob = world.phone("bob", registered=False)
    for value in (
        "Basic YWxpY2U6c2VjcmV0",
        "Basic YWxpY2U6c2VjcmV0==",
        'Digest nonce="c2VjcmV0" x',
    ):
        bob.sends("REGISTER", f"sip:{REALM}", headers=(f"Authorization: {value}",))
    world.server.dispatcher.methods["REGISTER"] = lambda request, upstream: 1 / 0
    bob.sends("REGISTER", f"sip:{REALM}", headers=('Authorization: Digest nonce="c2VjcmV0"',))
    assert "ZeroDivisionError" in caplog.text
    assert "c2VjcmV0" not in caplog.text
