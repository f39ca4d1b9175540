"""The login of a phone in the browser, as long as the session of its administrator goes on."""

import re
from collections.abc import Callable

import gevent
import pytest

from sip.store.database import DatabaseError
from sip.store.tokens import Role
from tests.support.udp_client import until
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import HASH, PASSWORD, REALM
from webadmin.app import build


@pytest.fixture
def boss(context) -> Browser:
    """A browser in which boss, an administrator, is signed in."""
    context.admins.add("boss", Role.ADMIN, HASH)
    browser = Browser(build(context))
    assert browser.post("/login", username="boss", password=PASSWORD).status == 303
    return browser


@pytest.fixture
def works(context, boss) -> Callable[[], bool]:
    """Open a phone as alice; return what tells if its login works."""
    context.users.add("alice", "secret of alice")
    name = re.search(r"web\.[0-9a-f]{16}", boss.get("/phone?user=alice").text)[0]

    def does_work() -> bool:
        return context.phone_logins.find(name, REALM) is not None

    assert does_work()
    return does_work


def test_it_ends_when_its_administrator_signs_out(context, boss, works, monkeypatch):
    """At once: the session is read again for each act of an administrator."""
    find, found = context.sessions.find, []

    def notes(token: str, now: float) -> object:
        found.append(find(token, now))
        return found[-1]

    monkeypatch.setattr(context.sessions, "find", notes)
    boss.post("/logout")
    until(lambda: None in found)
    assert not works()


@pytest.mark.parametrize("role", [Role.VIEWER, None])
def test_it_ends_with_the_role_of_its_administrator(context, works, role):
    """Also if another process does it; SIP never waits for the database."""
    if role is None:
        context.admins.remove("boss")
    else:
        context.admins.set_role("boss", role)
    assert works()
    until(lambda: not works())


def test_an_error_of_the_database_does_not_end_it(context, clock, works, monkeypatch):
    def fails(token: str, now: float) -> None:
        raise DatabaseError("the disk is full")

    gevent.sleep(0.01)
    monkeypatch.setattr(context.sessions, "find", fails)
    for _ in range(3):
        assert works()
        gevent.sleep(0)
    clock.now += 12 * 3600
    assert not works()
