"""Every page in both themes and two widths: accessible, and without sideways scrolling."""

import time
from contextlib import closing

import pytest

from sip.core.guard.password_limits import MAX_FAILURES_OF_USER
from sip.store.bans import Ban, Bans
from sip.store.database import Database
from sip.store.history_search import RESULTS
from tests.browser.conftest import PASSWORD
from tests.support.password_guesser import PasswordGuesser
from tests.support.past_calls import ALICE, outside, past_call, write_calls
from tests.support.past_calls import user as phone
from tests.support.server import Server

LONG = "x" * 100
ROWS = [
    "username,password,display_name,realm,enabled",
    "alice,secret-1,Alice Liddell,,",
    f"{LONG},secret-1,{LONG},,",
    "+4930123456789,secret-1,Front door,branch.example.test,",
    "off,secret-1,,,no",
    *(f"phone{number},secret-1,Room {number}," + "," for number in range(60)),
]


# Windows-1252, unknown columns, a blank before a password, a change and a missing password.
UNDERSTOOD = (
    f"Extension;Secret;{LONG};Büro;Display Name\n"
    f"{'y' * 100};;;;{LONG}\nalice;;;;{LONG} Zoë\nf; blank-before;;;\n"
).encode("windows-1252")


@pytest.fixture
def populated(server: Server) -> Server:
    """A server with users of all kinds."""
    file = server.home / "users.csv"
    file.write_text("\n".join(ROWS) + "\n")
    server.does("users", "import", str(file))
    now = int(time.time())
    with Database(str(server.database)) as database:
        bans = Bans(database)
        for address in ("192.0.2.7", "2001:db8:aaaa:bbbb::/64"):
            bans.save(Ban(address, f"guessed passwords, last user {LONG}", now, now + 600, 1))
        bans.trust("2001:db8:ffff::/48")
        sides = [ALICE, phone(2, LONG, LONG), outside(f"sip:{LONG}@example.com")]
        write_calls(
            database,
            (
                past_call(now - at * 3000, sides[at % 3], sides[at % 2], result, cause=LONG)
                for at, result in enumerate(RESULTS * 10)
            ),
        )
    with closing(PasswordGuesser(server)) as thief:
        for _ in range(MAX_FAILURES_OF_USER):
            thief.guesses("alice", "wrong")
        for user in (LONG, "+4930123456789", *(f"none{number}" for number in range(5))):
            thief.guesses(user, "wrong")
    return server


def state_of(window, path: str) -> None:
    """Go to a page, or bring it into the state that its name stands for."""
    page = window.page
    match path:
        case "wrong password":
            window.goes_to("/login")
            page.get_by_label("User name").fill("admin")
            page.get_by_label("Password").fill("wrong")
            page.get_by_role("button", name="Sign in").click()
            window.sees("is wrong")
        case "signed out":
            page.get_by_role("button", name="Sign out").click()
            window.sees("You have signed out.")
        case "ended":
            page.context.add_cookies([{**page.context.cookies()[0], "value": "ended"}])
            window.goes_to("/users?status=online")
            window.sees("Your session has ended.")
        case "kept":
            window.signs_in()
            window.goes_to("/users/new")
            page.get_by_label("User name").fill(LONG)
            page.get_by_label("New password").fill("typed")
            page.context.add_cookies([{**page.context.cookies()[0], "value": "ended"}])
            page.get_by_role("button", name="Add", exact=True).click()
            window.sees("so nothing was changed")
        case "sent again":
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            window.sees("Send it now")
        case "weak":
            window.goes_to("/users/1?q=alice")
            page.get_by_label("New password").fill("alice")
            page.get_by_role("button", name="Change").click()
            window.sees("The password is weak")
        case "errors":
            window.goes_to("/users/new")
            page.get_by_label("User name").fill("a b")
            page.get_by_label("Take this one:").check()
            page.get_by_role("button", name="Add", exact=True).click()
            window.sees("the password is empty")
        case "added":
            window.goes_to("/users/new")
            page.get_by_label("User name").fill("new")
            page.get_by_role("button", name="Add", exact=True).click()
            window.sees("shown only now")
        case "removed":
            page.get_by_role("button", name="Delete").click()
            window.sees("was deleted")
        case "refused":
            window.goes_to("/users/import")
            page.get_by_label("Or paste").fill("username,password\na b,c\n" + f"{LONG * 2},d\n")
            page.get_by_role("button", name="Look at it first").click()
            window.sees("Nothing can be imported")
        case "looked at":
            page.get_by_role("button", name="Choose another file").click()
            page.get_by_label("Or paste").fill("username,password\nd,c\n")
            page.get_by_role("button", name="Look at it first").click()
            window.sees("Nothing is written yet")
        case "understood":
            page.get_by_role("button", name="Choose another file").click()
            page.get_by_label("CSV file").set_input_files(
                {"name": "list.csv", "mimeType": "text/csv", "buffer": UNDERSTOOD}
            )
            page.get_by_label("Rows may change users").check()
            page.get_by_label("Generate passwords").check()
            page.get_by_role("button", name="Look at it first").click()
            window.sees("are unknown and will be ignored")
        case "generated":
            page.get_by_role("button", name="and apply").click()
            window.sees("Generated passwords")
            page.get_by_text("As CSV, to copy").click()
        case "another":
            page.get_by_role("button", name="Import another").click()
            page.get_by_label("Or paste").fill("username,password\ne,f\ne,g\n")
            page.get_by_role("button", name="Look at it first").click()
            window.sees("is already on line 2")
        case "imported":
            page.get_by_role("button", name="Apply").click()
            window.sees("Imported:")
            page.get_by_role("button", name="Import another").focus()
        case "password refused":
            window.goes_to("/settings")
            page.get_by_label("Present password").fill("wrong")
            for field in ("New password", "New password, once more"):
                page.get_by_label(field, exact=True).fill("another")
            page.get_by_role("button", name="Change").click()
            window.sees("This password is wrong.")
        case "shown":
            window.goes_to("/users")
            page.get_by_role("link", name="Show the HA1s of alice").click()
            page.get_by_label("MD5 HA1 of alice").wait_for()
        case "no network":
            window.goes_to("/trouble")
            page.get_by_label("Address or network").fill("everybody")
            page.get_by_role("button", name="Trust it").click()
            window.sees("is not an address or network")
        case _:
            window.goes_to(path)


STATES = [
    *["/", "/users", "shown", "/users?q=nobody", "/users?sort=last_seen&order=desc&page=2"],
    *["/users/1", "/users/2", "/users/4", "/users/1/hashes", "/users/new", "errors", "added"],
    *["removed", "/users/import", "refused", "looked at", "understood", "generated"],
    *["another", "looked at", "imported", "/no/such/page"],
    *["/trouble", "no network", "/trouble?refusals=all", "/health"],
    *["/history", "/history?result=busy&user=alice", "/history?number=zz&from=2026-01-01"],
    *["/audit", "/audit?kind=sign-ins", "/audit?before=1", "/settings", "password refused"],
    *["weak", "signed out", "ended", "kept", "sent again"],
]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible(visit, populated, theme, width):
    """WCAG 2.2 A and AA as far as axe can tell, and no sideways scroll."""
    window = visit(width=width, color_scheme=theme)
    faults = {}
    for state in ["/login", "wrong password", "signed in", *STATES]:
        if state == "signed in":
            window.signs_in()
        else:
            state_of(window, state)
        if violations := window.violations():
            faults[state] = violations
        if window.scrolls_sideways():
            faults[f"{state} scrolls sideways"] = window.page.url
    assert not faults


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_of_an_empty_server_are_accessible(visit, theme, width):
    window = visit(width=width, color_scheme=theme)
    window.signs_in()
    for path in ("/", "/calls", "/users", "/trouble", "/health", "/history"):
        window.goes_to(path)
        assert not window.violations()
        assert not window.scrolls_sideways()


def test_the_examination_would_find_a_fault(visit):
    """An input without a label, a text in grey on grey, and a wide block."""
    window = visit(width=390)
    window.goes_to("/login")
    window.page.evaluate(
        """() => {
            const block = document.createElement("div");
            block.innerHTML = "<input><p>hard to read</p>";
            block.style.cssText = "width: 1000px; color: #888; background: #999";
            document.querySelector("main").append(block);
        }"""
    )
    found = " ".join(window.violations())
    assert "label" in found
    assert "color-contrast" in found
    assert window.scrolls_sideways()
