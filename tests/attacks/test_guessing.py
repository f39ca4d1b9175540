"""Password guessing: where it ends, and that it harms no other phone."""

from sip.core.guard.password_limits import MAX_FAILURES_OF_SOURCE, MAX_FAILURES_OF_USER
from sip.message.message import parse
from sip.monitor.events import Banned
from tests.support.world import REALM, World

GUESSER = "203.0.113.66"
PASSWORDS = [f"{number:04}" for number in range(10_000)]


def guesses(thief, passwords: list[str], username: str = "bob", method: str = "REGISTER"):
    """Try passwords one after the other; gives the statuses that come back, None for silence."""
    heard = []
    for password in passwords:
        uri = f"sip:{REALM}" if method == "REGISTER" else f"sip:alice@{REALM}"
        to = f"<sip:{username}@{REALM}>" if method == "REGISTER" else ""
        first = thief.request(method, uri, to=to, from_uri=f"sip:{username}@{REALM}")
        thief.transmits(first)
        if not thief.inbox:
            heard.append(None)
            continue
        challenge = parse(thief.inbox.pop())
        again = thief.with_credentials(first, challenge, password, username)
        thief.transmits(again)
        heard.append(parse(thief.inbox.pop()).status if thief.inbox else None)
        thief.inbox.clear()
    return heard


def looks(world: World) -> list[str]:
    """Return a list of the users that are looked up from now on."""
    asked = []
    find = world.users.find
    world.users.find = lambda username, realm: asked.append(username) or find(username, realm)
    return asked


def test_a_password_of_four_digits_is_not_found(world: World):
    """Not even with the right one: after a few attempts none is checked."""
    world.users.add("bob", "0123")
    thief = world.phone("thief", registered=False, host=GUESSER)
    asked = looks(world)
    heard = guesses(thief, PASSWORDS[:400])
    assert set(heard) == {401}
    assert asked == ["bob"] * MAX_FAILURES_OF_USER


def test_guessing_by_calls_is_the_same_guessing(world: World):
    world.users.add("bob", "0123")
    thief = world.phone("thief", registered=False, host=GUESSER)
    asked = looks(world)
    heard = guesses(thief, PASSWORDS[:10]) + guesses(thief, PASSWORDS[:200], method="INVITE")
    assert set(heard) == {401, 407}
    assert len(asked) == MAX_FAILURES_OF_USER


def test_a_guesser_of_many_users_is_banned_and_gets_no_answer(world: World, caplog):
    thief = world.phone("thief", registered=False, host=GUESSER)
    bans = []
    world.server.bus.listen(Banned, bans.append)
    statuses = [guesses(thief, ["1234"], f"user{number}")[0] for number in range(40)]
    assert statuses == [401] * MAX_FAILURES_OF_SOURCE + [None] * (40 - MAX_FAILURES_OF_SOURCE)
    (ban,) = bans
    assert ban.network == GUESSER
    assert sum("banned" in record.getMessage() for record in caplog.records) == 1
    world.passes(601, step=1.0)
    world.server.guard.sweep()
    assert guesses(thief, ["1234"], "user99") == [401]


def test_a_blocked_login_does_not_block_other_addresses(world: World):
    bob = world.phone("bob", host="198.51.100.7")
    thief = world.phone("thief", registered=False, host=GUESSER)
    guesses(thief, PASSWORDS[:50])
    assert bob.registers().status == 200
    assert world.phone("bob", host="198.51.100.8").registers().status == 200


def test_a_phone_behind_the_guessers_own_address_goes_on(world: World):
    """They share the address of a router; the phone comes back by another port."""
    bob = world.phone("bob", host=GUESSER, port=40_001)
    thief = world.phone("thief", registered=False, host=GUESSER, port=40_002)
    for number in range(40):
        guesses(thief, ["1234"], f"user{number}")
    assert bob.registers().status == 200
    bob.address = GUESSER, 40_003
    world.at[bob.address] = bob
    assert bob.registers().status == 200
    asked = looks(world)
    assert guesses(thief, PASSWORDS[:50]) == [401] * 50
    assert len(asked) <= MAX_FAILURES_OF_USER


def test_a_forger_cannot_get_another_address_banned(world: World):
    """Wrong answers in the name of an office, to nonces that were given to another address."""
    office = world.phone("bob", host="198.51.100.7")
    thief = world.phone("thief", registered=False, host=GUESSER)
    bans = []
    world.server.bus.listen(Banned, bans.append)
    for number in range(100):
        uri, to = f"sip:{REALM}", f"<sip:user{number}@{REALM}>"
        first = thief.request("REGISTER", uri, to=to)
        thief.transmits(first)
        challenge = parse(thief.inbox.pop())
        forged = thief.with_credentials(first, challenge, "wrong", f"user{number}")
        world.deliver(forged.encode(), office.address)
    assert not bans
    office.inbox.clear()
    assert office.registers().status == 200


def test_answers_to_nonces_of_ones_own_making_are_no_way_to_ask(world: World):
    """Only the first tells by `stale` whether the password was right (RFC 7616 §3.3)."""
    world.users.add("bob", "0123")
    thief = world.phone("thief", registered=False, host=GUESSER)
    stale = []
    for password in ("0000", "0123"):
        first = thief.request("REGISTER", f"sip:{REALM}", to=f"<sip:bob@{REALM}>")
        thief.transmits(first)
        challenge = parse(thief.inbox.pop())
        at = challenge.names.index("www-authenticate")
        head, _, tail = challenge.lines[at].partition('nonce="')
        challenge.lines[at] = f'{head}nonce="{"0" * 40}{tail[40:]}'
        challenge = parse(challenge.encode())
        thief.transmits(thief.with_credentials(first, challenge, password, "bob"))
        stale.append(b"stale=true" in thief.inbox.pop())
    assert stale == [False, False]


def test_a_scanner_gets_no_answer_to_any_method(world: World):
    scanner = world.phone("thief", registered=False, host=GUESSER)
    bob = world.phone("bob")
    world.passes(64, step=1.0)  # its registration is an old story
    for method, uri in (
        ("OPTIONS", "sip:192.0.2.1"),
        ("REGISTER", f"sip:{REALM}"),
        ("INVITE", f"sip:bob@{REALM}"),
        ("SHOUT", f"sip:bob@{REALM}"),
    ):
        agent = ("User-Agent: friendly-scanner",)
        scanner.transmits(
            scanner.request(method, uri, headers=agent, from_uri="sip:x@elsewhere.test")
        )
        assert scanner.hears_nothing()
        assert bob.hears_nothing()
    assert not world.server.layer.servers


def test_a_trusted_office_may_be_wrong_as_often_as_it_likes():
    from ipaddress import ip_network

    world = World(settings={"guard_trusted": (ip_network("203.0.113.0/24"),)})
    thief = world.phone("thief", registered=False, host=GUESSER)
    asked = looks(world)
    guesses(thief, PASSWORDS[:50])
    assert len(asked) == 50
