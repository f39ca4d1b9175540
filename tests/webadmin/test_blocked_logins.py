"""Blocked logins and refused requests on the pages, and the unblock buttons."""

import re

import pytest

from sip.core.guard.guard import Guard
from sip.core.guard.password_limits import MAX_FAILURES_OF_SOURCE, MAX_FAILURES_OF_USER
from sip.monitor.events import Bus, Refused, Sender
from sip.monitor.refusals import Refusals
from tests.webadmin.conftest import REALM
from webadmin.blocked_logins import MAX_SHOWN
from webadmin.trouble import SOME_REFUSALS
from webadmin.user_banners import MAX_BANNERS
from webadmin.users import SOME_REFUSALS as SOME_OF_USER

HERE, THERE = "192.0.2.7", "198.51.100.7"


@pytest.fixture(autouse=True)
def running(context, clock):
    """The guard and the refusals of a server that runs, on the clock of the pages."""
    context.guard = Guard(clock, clock, (), lambda *who: False, lambda rules: False, Bus())
    context.refusals = Refusals()


def guesses(context, username: str, address: str = HERE, times: int = MAX_FAILURES_OF_USER) -> None:
    for _ in range(times):
        context.guard.login_failed(address, username, nonce_is_ours=True)


def is_asked(context, username: str, address: str = HERE) -> bool:
    return context.guard.may_try_password(address, username, REALM, nonce_is_ours=True)


def refuses(context, user: str = "alice", method: str = "REGISTER", **changes) -> None:
    values = {"status": 401, "cause": f"wrong password for {user}", "cure": "Type it again."}
    values |= {"username": user, "realm": REALM, "user": user, "to": "", "device": "Desk <1>"}
    values |= {"network": HERE, "transport": "UDP", "call_id": "one", "from_tag": "tag"} | changes
    values["address"] = values.get("address", HERE), 5060
    context.refusals.add(Refused(at=context.clock(), sender=Sender.USER, method=method, **values))


# Waits


def test_the_page_of_trouble_lists_blocked_logins(browser, context):
    assert "No login is blocked." in browser.get("/trouble").words
    context.users.add("alice", "secret")
    guesses(context, "alice")
    guesses(context, "<b>nobody</b>", THERE)
    guesses(context, "bob", times=MAX_FAILURES_OF_USER - 1)  # one attempt is left
    page = browser.get("/trouble")
    assert f"alice {HERE} 5 10 min Let it try again" in page.words
    assert page.words.index("alice") < page.words.index(
        "<b>nobody</b>"
    )  # users with an account come first
    assert "bob" not in page.words
    assert "<b>nobody" not in page.text


def test_many_blocked_logins_are_counted(browser, context):
    for number in range(MAX_SHOWN + 3):
        guesses(context, "alice", f"10.0.{number >> 8}.{number & 255}")
    assert "and 3 more" in browser.get("/trouble").words


def test_the_button_of_a_row_unblocks_that_login(browser, context):
    guesses(context, "alice")
    guesses(context, "alice", THERE)
    page = browser.get("/trouble").text
    assert page.count('action="/bans/forgive"') == 2
    answer = browser.post("/bans/forgive", username="alice", address=HERE)
    assert (answer.status, answer.location) == (303, "/trouble")
    assert f"alice can log in again from {HERE}." in browser.get("/trouble").words
    assert is_asked(context, "alice")
    assert not is_asked(context, "alice", THERE)
    (entry,) = context.audit.entries("bans")
    assert (entry.act, entry.about) == ("wait lifted", f"alice from {HERE}")
    browser.post("/bans/forgive", username="alice", address=HERE)
    assert "Logins of alice are not blocked." in browser.get("/trouble").words
    assert browser.post("/bans/forgive", username="alice", address="x").status == 422


def test_a_blocked_user_is_marked_and_unblocked_on_its_page(browser, context):
    number = context.users.add("alice", "secret").id
    context.users.add("bob", "secret")
    guesses(context, "alice")
    rows = re.findall(r"<tr id=.*?</tr>", browser.get("/users").text, re.DOTALL)
    assert ["login blocked" in row for row in rows] == [True, False]
    page = browser.get(f"/users/{number}")
    assert "offline login blocked" in page.words
    assert f"Wrong password, 5 times from {HERE} ." in page.words
    refuses(context)
    page = browser.get(f"/users/{number}")
    assert f"5 times from {HERE} by Desk <1>, the last just now." in page.words
    assert "has to wait for 10 min. Correct the password in the phone, then" in page.words
    path = f"/users/{number}/forgive"
    assert f'action="{path}"' in page.text
    found = f"/users/{number}?q=ali"
    assert f'action="{path}?q=ali"' in browser.get(found).text
    assert browser.post(f"{path}?q=ali", address=HERE).location == found
    assert "alice can log in again" in browser.get(f"/users/{number}").words
    assert "login blocked" not in browser.get("/users").words
    assert is_asked(context, "alice")
    assert browser.post("/users/99/forgive", address="").status == 404


def test_a_banned_address_is_shown_on_the_page_of_a_user(browser, context):
    """Its own wait may be over, or have never begun; the button for the address is elsewhere."""
    number = context.users.add("alice", "secret").id
    guesses(context, "alice", times=1)
    for other in range(MAX_FAILURES_OF_SOURCE):
        guesses(context, f"user{other}", times=1)
    words = browser.get(f"/users/{number}").words
    assert f"Wrong password, once from {HERE} . That address is banned, for all users." in words
    assert "No login is blocked." in browser.get("/trouble").words


def test_blocks_beyond_the_banners_are_in_a_table(browser, context):
    number = context.users.add("alice", "secret").id
    for last in range(MAX_BANNERS + 1):
        guesses(context, "alice", f"10.0.0.{last}")
    page = browser.get(f"/users/{number}")
    assert page.words.count("Wrong password, 5 times from") == MAX_BANNERS
    assert "Blocked logins from other addresses" in page.words
    assert page.text.count(f'action="/users/{number}/forgive"') == MAX_BANNERS + 1


def test_unblock_buttons_need_a_session(stranger, context):
    guesses(context, "alice")
    stranger.post("/bans/forgive", username="alice", address="")
    stranger.post("/users/1/forgive", address="")
    assert not is_asked(context, "alice")


# Refusals


def test_the_page_shows_what_was_refused_and_what_to_do(browser, context, clock):
    assert "No registration or call was refused" in browser.get("/trouble").words
    refuses(context)
    clock.now += 120
    refuses(context, call_id="the second/attempt")
    refuses(context, "bob", "INVITE", to="carol", cause="carol is not registered", status=480)
    page = browser.get("/trouble")
    assert "just now 2 times alice registration 401" in page.words
    assert f"Wrong password for alice. Type it again. {HERE} Desk <1>" in page.words
    assert "bob call to carol 480 carol is not registered." in page.words
    assert "Desk <1>" not in page.text
    assert 'href="/traces/the%20second%2Fattempt"' in page.text, "the ladder of the latest one"


def test_a_row_has_the_button_while_its_login_has_to_wait(browser, context):
    context.users.add("alice", "secret")
    refuses(context)
    assert "Let it try again" not in browser.get("/trouble").words
    guesses(context, "alice")
    words = browser.get("/trouble").words
    assert words.count("Let it try again") == 2, "of the refusal, and of the wait"
    guesses(context, "alice", THERE)
    assert browser.get("/trouble").words.count("Let it try again") == 3


def test_the_page_shows_some_and_the_others_when_asked(browser, context):
    for number in range(SOME_REFUSALS + 5):
        refuses(context, f"user{number}")
    page = browser.get("/trouble")
    assert page.text.count('data-label="When"') == SOME_REFUSALS
    assert f"Show all {SOME_REFUSALS + 5}" in page.words
    page = browser.get("/trouble?refusals=all")
    assert page.text.count('data-label="When"') == SOME_REFUSALS + 5
    assert 'hx-get="/trouble?refusals=all"' in page.text


def test_the_page_of_a_user_shows_what_concerns_it(browser, context):
    number = context.users.add("alice", "secret").id
    elsewhere = context.users.add("alice", "secret", realm="branch.example").id
    refuses(context)
    refuses(context, "bob")
    refuses(
        context, "alice@example.net", username="alice", realm=None, cause="the phone asked for x"
    )
    words = browser.get(f"/users/{number}").words
    assert "Wrong password for alice." in words
    assert "The phone asked for x." in words
    assert "bob" not in words
    assert "Wrong password for alice." not in browser.get(f"/users/{elsewhere}").words
    for attempt in range(SOME_OF_USER):
        refuses(context, cause=f"reason {attempt}")
    page = browser.get(f"/users/{number}")
    assert page.text.count('class="ic bad"') == SOME_OF_USER
    assert "All refusals" in page.words
