"""Which nonce a challenge has after a wrong answer (RFC 3261 §22.1, RFC 7616 §3.3)."""

import pytest

from sip.core.auth.digest import NONCE_SECONDS
from sip.core.guard.password_limits import MAX_FAILURES_OF_USER
from sip.message.headers import parse_credentials
from tests.support.authenticator_fixture import PEER, AuthenticatorFixture


@pytest.fixture
def bench() -> AuthenticatorFixture:
    return AuthenticatorFixture()


def nonces_of(challenges: list[str]) -> set[str]:
    return {parse_credentials(value).params["nonce"] for value in challenges}


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "wrong"},
        {"username": "nobody"},
        {"username": "off"},
        {"algorithm": "SHA-256", "password": "wrong"},
        {"algorithm": "SHA-512-256"},
        {"qop": "auth-int"},
        {"nc": "1"},
        {"qop": "-", "password": "wrong"},
    ],
)
def test_a_wrong_answer_gets_the_same_nonce_again(
    bench: AuthenticatorFixture, wrong: dict[str, str]
):
    """§22.1: so a phone that answers each new challenge asks its user instead.

    The nonce stays good for the right answer, by the same count.
    """
    bench.users.add("off", "secret").enabled = False
    nonce = bench.nonces.make(bench.now, PEER)
    for _ in range(3):
        _, challenges = bench.challenges(bench.digest(nonce=nonce, **wrong))
        assert nonces_of(challenges) == {nonce}
        assert not any("stale" in challenge for challenge in challenges)
    assert bench.lets_in(bench.digest(nonce=nonce)) == "bob"


def test_an_answer_that_is_not_looked_at_gets_the_same_nonce_too(bench: AuthenticatorFixture):
    """A guesser is not told that it has to wait, nor by which answer that began."""
    nonce = bench.nonces.make(bench.now, PEER)
    for number in range(20):
        field = bench.digest(nonce=nonce, password=f"guess{number}")
        assert nonces_of(bench.challenges(field)[1]) == {nonce}
    challenge, challenges = bench.challenges(bench.digest(nonce=nonce))
    assert nonces_of(challenges) == {nonce}
    assert "logins are blocked" in challenge.cause


def test_a_nonce_that_is_no_longer_good_is_replaced(bench: AuthenticatorFixture):
    """Else the next answer, a right one perhaps, would be stale."""
    wrong = {"password": "wrong"}
    foreign = bench.nonces.make(bench.now, "192.0.2.66")
    used = bench.digest(qop="-", nc="-", cnonce="-")  # RFC 2069: it serves once
    bench.lets_in(used)
    used_nonce = parse_credentials(used).params["nonce"]
    old = bench.nonces.make(bench.now - NONCE_SECONDS - 1, PEER)
    for nonce in (foreign, used_nonce, old, "0" * 40, "x"):
        _, challenges = bench.challenges(bench.digest(nonce=nonce, **wrong))
        assert nonces_of(challenges).isdisjoint({nonce})
    _, challenges = bench.challenges(used)
    assert nonces_of(challenges).isdisjoint({used_nonce})


def test_a_phone_that_answers_both_challenges_has_made_one_try(bench: AuthenticatorFixture):
    """RFC 8760 §2.3: one typo, two answers."""
    for _ in range(MAX_FAILURES_OF_USER - 1):
        nonce = bench.nonces.make(bench.now, PEER)
        both = [
            bench.digest(nonce=nonce, algorithm=name, password="wrong")
            for name in ("MD5", "SHA-256")
        ]
        bench.call_id = f"call {nonce}"
        bench.challenges(*both)
    assert bench.lets_in(bench.digest()) == "bob"
