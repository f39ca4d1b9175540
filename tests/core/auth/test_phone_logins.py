"""Logins of phones in browsers: they stand for one account while a session goes on."""

import dataclasses

import pytest

from sip.core.auth.phone_logins import MAX_OF_ACCOUNT, PREFIX, PhoneLogin, PhoneLogins
from sip.core.guard.password_limits import MAX_FAILURES_OF_SOURCE
from tests.support.world import REALM, Phone, World


@dataclasses.dataclass
class Session:
    """The session of a page that has a phone."""

    account: object


@pytest.fixture
def session(world: World) -> Session:
    world.phone("alice", registered=False)
    return Session(world.users.find("alice", REALM))


@pytest.fixture
def browser(world: World, session: Session) -> Phone:
    """Alice's phone, which knows a login in place of her password."""
    logins = world.server.phone_logins
    login = logins.issue(session.account, REALM, "session", lambda: session.account)
    phone = world.phone("alice", registered=False)
    phone.login = login
    return phone


def registers(phone: Phone) -> int:
    """Register with the login."""
    request = phone.request(
        "REGISTER", f"sip:{REALM}", to=f"<{phone.aor}>", headers=(f"Contact: {phone.contact}",)
    )
    phone.transmits(request)
    phone.transmits(phone.with_ha1(request, phone.gets(401), *phone.login))
    return phone.takes().status


def test_a_login_stands_for_its_account(world: World, browser: Phone):
    assert browser.login.name.startswith(PREFIX)
    assert registers(browser) == 200
    assert len(world.server.location) == 1


def test_it_ends_with_its_session(browser: Phone, session: Session):
    session.account = None
    assert registers(browser) == 401


def test_logins_that_have_ended_count_as_no_guesses(world: World, browser: Phone):
    """After a restart, the open pages of an office must not have its address banned."""
    for number in range(MAX_FAILURES_OF_SOURCE + 1):
        browser.login = PhoneLogin(f"{PREFIX}{number:016x}", "0" * 32)
        assert registers(browser) == 401
    assert browser.registers().status == 200
    for number in range(MAX_FAILURES_OF_SOURCE):  # no name of a login
        browser.login = PhoneLogin(f"{PREFIX}{number}", "0" * 32)
        assert registers(browser) == 401
    assert world.server.guard.ban_count


def test_signing_out_ends_the_logins_of_a_session(session: Session):
    logins = PhoneLogins()
    mine, other = (
        logins.issue(session.account, REALM, owner, lambda: session.account)
        for owner in ("session", "another")
    )
    assert logins.end("session") == [mine.name]
    assert logins.find(mine.name, REALM) is None
    assert logins.find(other.name, REALM)


def test_it_is_for_one_user_only(world: World, browser: Phone):
    """Another name in To is refused, as with a password."""
    world.phone("bob", registered=False)
    browser.aor = f"sip:bob@{REALM}"
    assert registers(browser) == 403


def test_it_is_for_one_realm_only(session: Session):
    """The HA1 is not computed from the realm."""
    logins = PhoneLogins()
    login = logins.issue(session.account, REALM, "session", lambda: session.account)
    assert logins.find(login.name, REALM) == (session.account, login.ha1)
    assert logins.find(login.name, "other.example") is None


def test_an_account_has_a_few_at_most(session: Session):
    """The oldest one ends."""
    logins = PhoneLogins()
    made = [
        logins.issue(session.account, REALM, "session", lambda: session.account)
        for _ in range(MAX_OF_ACCOUNT + 2)
    ]
    found = [logins.find(login.name, REALM) is not None for login in made]
    assert found == [False] * 2 + [True] * MAX_OF_ACCOUNT
    assert len({login.ha1 for login in made}) == len(made)


def test_a_browser_has_md5_where_accounts_have_not():
    """Its HA1 is random, so MD5 is no weakness; a password is not accepted by MD5."""
    world = World(settings={"sip_digest": ("SHA-256",)})
    phone = world.phone("alice", registered=False)
    account = world.users.find("alice", REALM)
    phone.login = world.server.phone_logins.issue(account, REALM, "session", lambda: account)
    assert registers(phone) == 200
