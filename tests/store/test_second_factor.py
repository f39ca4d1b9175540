"""The second factor: codes of RFC 6238, used once, and recovery codes."""

import sqlite3
from contextlib import closing

import pyotp
import pytest

from sip.store.admins import Admins
from sip.store.database import Database
from sip.store.second_factor import (
    RECOVERY_CODES,
    STEP_SECONDS,
    Accepted,
    SecondFactors,
    key_uri,
    make_secret,
    matching_step,
)
from tests.support.cases import cases

NOW = 1_700_000_000.0


@pytest.fixture
def factors(database: Database) -> SecondFactors:
    Admins(database).set_password_hash("hash")
    return SecondFactors(database)


@pytest.fixture
def secret() -> str:
    return make_secret()


def code_at(secret: str, now: float) -> str:
    return pyotp.TOTP(secret).at(int(now))


def turned_on(factors: SecondFactors, secret: str, now: float = NOW - 300) -> list[str]:
    return [*factors.turn_on("admin", secret, code_at(secret, now), now)]


@cases(
    ("at", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_rfc(at, code):
    """RFC 6238, Appendix B, the last six of eight digits for SHA-1."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # "12345678901234567890" in Base32
    assert matching_step(secret, code, at) == at // STEP_SECONDS
    assert matching_step(secret, f"{code[:3]} {code[3:]}", at) == at // STEP_SECONDS


def test_a_clock_may_differ_by_one_step(secret):
    code, step = code_at(secret, NOW), NOW // STEP_SECONDS
    for drift in (-1, 0, 1):
        assert matching_step(secret, code, NOW + drift * STEP_SECONDS) == step
    for drift in (-2, 2):
        assert matching_step(secret, code, NOW + drift * STEP_SECONDS) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "\u0661" * 6, "\udcff" * 6])
def test_what_is_no_code_is_refused(factors, secret, code):
    assert matching_step(secret, code, NOW) is None
    turned_on(factors, secret)
    assert factors.accept("admin", code, NOW) is None


def test_secrets_are_of_160_bits_and_never_the_same():
    secrets = {make_secret() for _ in range(20)}
    assert len(secrets) == 20
    assert {len(pyotp.TOTP(secret).byte_secret()) for secret in secrets} == {20}


def test_the_uri_is_read_by_an_authenticator_app(secret):
    app = pyotp.parse_uri(key_uri(secret, "carol", "example.com"))
    assert (app.secret, app.name, app.issuer) == (secret, "carol@example.com", "sipserver")
    assert matching_step(secret, app.at(int(NOW)), NOW)


def test_only_a_right_code_turns_it_on(factors, secret, database):
    code = code_at(secret, NOW)
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    assert factors.turn_on("admin", secret, wrong, NOW) == ()
    assert factors.turn_on("dave", secret, code, NOW) == ()
    assert not Admins(database).find("admin").has_second_factor
    assert len(set(factors.turn_on("admin", secret, code, NOW))) == RECOVERY_CODES
    assert Admins(database).find("admin").has_second_factor
    other = make_secret()
    assert factors.turn_on("admin", other, code_at(other, NOW), NOW) == (), "it is on"


def test_each_code_is_accepted_once(factors, secret):
    """RFC 6238 §5.2: also the one that turned it on, and one that is older than the last."""
    assert turned_on(factors, secret, NOW)
    assert factors.accept("admin", code_at(secret, NOW), NOW) is None
    later = NOW + STEP_SECONDS
    assert factors.accept("admin", code_at(secret, later), NOW) is Accepted.CODE
    assert factors.accept("admin", code_at(secret, later), later) is None
    assert factors.accept("admin", code_at(secret, NOW), later) is None


def test_recovery_codes_are_accepted_once_each(factors, secret, database):
    codes = turned_on(factors, secret)
    assert factors.accept("admin", codes[0], NOW) is Accepted.RECOVERY_CODE
    assert factors.accept("admin", codes[0], NOW) is None
    typed = f" {codes[1].upper().replace('-', ' ')} "
    assert factors.accept("admin", typed, NOW) is Accepted.RECOVERY_CODE
    assert Admins(database).find("admin").recovery_codes == RECOVERY_CODES - 2
    assert factors.accept("admin", code_at(secret, NOW), NOW) is Accepted.CODE, "still valid"
    assert factors.accept("dave", codes[2], NOW) is None


def test_recovery_codes_are_stored_as_hashes(factors, secret, path):
    codes = turned_on(factors, secret)
    with closing(sqlite3.connect(path)) as connection:
        stored = str(connection.execute("SELECT * FROM recovery_codes").fetchall())
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)


def test_turned_off_no_code_is_accepted(factors, secret, database):
    codes = turned_on(factors, secret)
    assert factors.turn_off("admin")
    assert not factors.turn_off("admin")
    assert factors.accept("admin", code_at(secret, NOW), NOW) is None
    assert factors.accept("admin", codes[0], NOW) is None
    administrator = Admins(database).find("admin")
    assert (administrator.has_second_factor, administrator.recovery_codes) == (False, 0)


def test_a_new_password_keeps_the_second_factor(factors, secret, database):
    turned_on(factors, secret)
    Admins(database).set_password_hash("another")
    assert factors.accept("admin", code_at(secret, NOW), NOW)
