"""Users who have to wait, and refusals: where the pages show them, and what the buttons do."""

import re

import pytest

from sip.core.guard.guard import Guard
from sip.core.guard.password_limits import MAX_FAILURES_OF_SOURCE, MAX_FAILURES_OF_USER
from sip.monitor.events import Bus, Refused, Sender
from sip.monitor.refusals import Refusals
from tests.webadmin.conftest import REALM
from webadmin.blocked_logins import MAX_SHOWN
from webadmin.overview import SOME_REFUSALS

HERE, THERE = "192.0.2.7", "198.51.100.7"


@pytest.fixture(autouse=True)
def running(site, clock):
    """The guard and the refusals of a server that runs, on the clock of the pages."""
    site.guard = Guard(clock, clock, (), lambda *who: False, lambda rules: False, Bus())
    site.refusals = Refusals()


def guesses(site, username: str, address: str = HERE, times: int = MAX_FAILURES_OF_USER) -> None:
    for _ in range(times):
        site.guard.login_failed(address, username, nonce_is_ours=True)


def is_asked(site, username: str, address: str = HERE) -> bool:
    return site.guard.may_try_password(address, username, REALM, nonce_is_ours=True)


def refuses(site, user: str = "alice", method: str = "REGISTER", **changes) -> None:
    values = {"status": 401, "cause": f"wrong password for {user}", "cure": "Type it again."}
    values |= {"username": user, "realm": REALM, "user": user, "to": "", "device": "Desk <1>"}
    values |= {"network": HERE, "transport": "UDP", "call_id": "one", "from_tag": "tag"} | changes
    values["address"] = values.get("address", HERE), 5060
    site.refusals.add(Refused(at=site.clock(), sender=Sender.USER, method=method, **values))


# Waits


def test_bans_lists_users_who_have_to_wait(browser, site):
    assert "No user has to wait." in browser.get("/bans").words
    site.users.add("alice", "secret")
    guesses(site, "alice")
    guesses(site, "<b>nobody</b>", THERE)
    guesses(site, "bob", times=MAX_FAILURES_OF_USER - 1)  # who has a try left
    page = browser.get("/bans")
    assert f"alice {HERE} 5 10 min Lift the wait" in page.words
    assert page.words.index("alice") < page.words.index("<b>nobody</b>")  # who has an account
    assert "bob" not in page.words
    assert "<b>nobody" not in page.text


def test_many_who_wait_are_counted(browser, site):
    for number in range(MAX_SHOWN + 3):
        guesses(site, "alice", f"10.0.{number >> 8}.{number & 255}")
    assert "and 3 more" in browser.get("/bans").words


def test_the_button_of_a_row_lifts_that_wait(browser, site):
    guesses(site, "alice")
    guesses(site, "alice", THERE)
    page = browser.get("/bans").text
    assert page.count('action="/bans/forgive"') == 2
    answer = browser.post("/bans/forgive", username="alice", address=HERE)
    assert (answer.status, answer.location) == (303, "/bans")
    assert f"alice may try again from {HERE}." in browser.get("/bans").words
    assert is_asked(site, "alice")
    assert not is_asked(site, "alice", THERE)
    (entry,) = site.audit.entries("bans")
    assert (entry.act, entry.about) == ("wait lifted", f"alice from {HERE}")
    browser.post("/bans/forgive", username="alice", address=HERE)
    assert "alice does not have to wait any more." in browser.get("/bans").words
    assert browser.post("/bans/forgive", username="alice", address="x").status == 422


def test_a_user_who_has_to_wait_is_marked_and_let_in_by_its_page(browser, site):
    number = site.users.add("alice", "secret").id
    site.users.add("bob", "secret")
    guesses(site, "alice")
    rows = re.findall(r"<tr id=.*?</tr>", browser.get("/users").text, re.DOTALL)
    assert ["has to wait" in row for row in rows] == [True, False]
    page = browser.get(f"/users/{number}")
    assert "offline has to wait" in page.words
    assert f"alice {HERE} 5 10 min Lift the wait" in page.words
    path = f"/users/{number}/forgive"
    assert f'action="{path}"' in page.text
    found = f"/users/{number}?q=ali"
    assert f'action="{path}?q=ali"' in browser.get(found).text
    assert browser.post(f"{path}?q=ali", address=HERE).location == found
    assert "alice may try again" in browser.get(f"/users/{number}").words
    assert "has to wait" not in browser.get("/users").words
    assert is_asked(site, "alice")
    assert browser.post("/users/99/forgive", address="").status == 404


def test_a_banned_address_is_told_on_the_page_of_a_user(browser, site):
    """Its own wait may be over, or have never begun; the button for the address is elsewhere."""
    number = site.users.add("alice", "secret").id
    guesses(site, "alice", times=1)
    for other in range(MAX_FAILURES_OF_SOURCE):
        guesses(site, f"user{other}", times=1)
    words = browser.get(f"/users/{number}").words
    assert "The whole address is banned: lift that under Bans" in words
    assert "No user has to wait." in browser.get("/bans").words


def test_buttons_are_for_who_is_signed_in(stranger, site):
    guesses(site, "alice")
    stranger.post("/bans/forgive", username="alice", address="")
    stranger.post("/users/1/forgive", address="")
    assert not is_asked(site, "alice")


# Refusals


def test_the_overview_shows_what_was_refused_and_what_to_do(browser, site, clock):
    assert "Refused lately" not in browser.get("/").words
    refuses(site)
    clock.now += 120
    refuses(site)
    refuses(site, "bob", "INVITE", to="carol", cause="carol is not registered", status=480)
    page = browser.get("/")
    assert "just now 2 times alice registration 401" in page.words
    assert f"Wrong password for alice. Type it again. {HERE} Desk <1>" in page.words
    assert "bob call to carol 480 carol is not registered." in page.words
    assert "Desk <1>" not in page.text


def test_the_overview_shows_some_and_the_others_when_asked(browser, site):
    for number in range(SOME_REFUSALS + 5):
        refuses(site, f"user{number}")
    page = browser.get("/")
    assert page.text.count('data-label="When"') == SOME_REFUSALS
    assert f"Show all {SOME_REFUSALS + 5}" in page.words
    page = browser.get("/?refusals=all")
    assert page.text.count('data-label="When"') == SOME_REFUSALS + 5
    assert 'hx-get="/?refusals=all"' in page.text


def test_the_page_of_a_user_shows_what_concerns_it(browser, site):
    number = site.users.add("alice", "secret").id
    elsewhere = site.users.add("alice", "secret", realm="branch.example").id
    refuses(site)
    refuses(site, "bob")
    refuses(site, "alice@example.net", username="alice", realm=None, cause="the phone asked for x")
    words = browser.get(f"/users/{number}").words
    assert "Wrong password for alice." in words
    assert "The phone asked for x." in words
    assert "bob" not in words
    assert "Wrong password for alice." not in browser.get(f"/users/{elsewhere}").words
