"""Every page in both themes and two widths: accessible, and without sideways scrolling."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from sip.core.guard.password_limits import MAX_FAILURES_OF_USER
from sip.store.bans import Ban, Bans
from sip.store.database import Database
from sip.store.history_search import RESULTS
from tests.browser.conftest import PASSWORD, WIDTHS
from tests.support.password_guesser import PasswordGuesser
from tests.support.past_calls import ALICE, outside, past_call, write_calls
from tests.support.past_calls import user as phone
from tests.support.server import Server
from tests.support.socket_phone import SocketPhone

LONG = "x" * 100
ROWS = [
    "username,password,display_name,realm,enabled",
    f"alice,{Server.password_of('alice')},Alice Liddell,,",
    f"{LONG},{Server.password_of(LONG)},{LONG},,",
    "+4930123456789,secret-1,Front door,branch.example.test,",
    "off,secret-1,,,no",
    *(f"phone{n},{Server.password_of(f'phone{n}')},Room {n},," for n in range(60)),
]


# Windows-1252, unknown columns, a blank before a password, a change and a missing password.
UNDERSTOOD = (
    f"Extension;Secret;{LONG};Büro;Display Name\n"
    f"{'y' * 100};;;;{LONG}\nalice;;;;{LONG} Zoë\nf; blank-before;;;\n"
).encode("windows-1252")


def make_calls(server: Server, opened: ExitStack) -> None:
    """Let alice talk to a phone, and another phone ring; the phones stay until the end."""
    names = ("alice", "phone1", LONG, "phone2")
    alice, callee, caller, ringing = (
        opened.enter_context(closing(SocketPhone(server, name))) for name in names
    )
    for each in (alice, callee, caller, ringing):
        assert each.registers() == 200
    alice.calls(callee)
    _, branch = caller.dials(ringing)
    ringing.answers(ringing.hears("INVITE "), 180)
    while branch not in caller.hears("SIP/2.0 180 "):
        pass


@pytest.fixture
def populated(server: Server) -> Iterator[Server]:
    """A server with users of all kinds, and two calls."""
    server.imports_users(ROWS)
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
    with ExitStack() as opened:
        make_calls(server, opened)
        thief = opened.enter_context(closing(PasswordGuesser(server)))
        for _ in range(MAX_FAILURES_OF_USER):
            thief.guesses("alice", "wrong")
        for user in (LONG, "+4930123456789", *(f"none{number}" for number in range(5))):
            thief.guesses(user, "wrong")
        yield server


def state_of(window, path: str) -> None:
    """Go to a page, or bring it into the state that its name stands for."""
    page = window.page
    match path:
        case "signed in":
            window.signs_in()
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
        case "chosen":
            window.goes_to("/users")
            page.get_by_label("Choose alice").check()
            window.sees("1 user chosen")
            page.get_by_text("Columns", exact=True).click()
        case "confirm":
            page.get_by_role("button", name="New passwords").click()
            window.sees("new passwords to 1 user?")
        case "new passwords":
            page.get_by_role("button", name="Make new passwords").click()
            window.sees("Generated passwords")
        case "undo":
            window.goes_to("/users/undo")
            page.get_by_role("button", name="Undo: 1 user was given").wait_for()
        case "undone":
            page.get_by_role("button", name="Undo: 1 user was given").click()
            window.sees("Undone: 1 user as before.")
        case "QR code":
            page.get_by_role("radio", name="QR code").check()
            window.sees("Open Linphone on the phone.")
        case "own sign-in":
            window.goes_to("/me")
            window.sees("Use the user name and the password of your phone.")
        case "own page":
            page.get_by_label("User name").fill("alice")
            page.get_by_label("Password").fill(Server.password_of("alice"))
            page.get_by_role("button", name="Sign in").click()
            window.sees("My phones")
        case "removed":
            page.get_by_role("link", name="Back to new").click()
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
        case "columns":
            page.get_by_role("button", name="Choose another file").click()
            page.get_by_label("Or paste").fill(f"{LONG};x;y\nalice;{LONG} Liddell;no\n")
            page.get_by_label("Rows may change users").check()
            page.get_by_role("button", name="Look at it first").click()
            window.sees("Choose which column is which")
        case "changes":
            page.get_by_label("The first line of the file").select_option("no")
            for number, field in enumerate(("username", "display_name", "")):
                page.locator(f"[name=column{number}]").select_option(field)
            page.get_by_role("button", name="Use these columns").click()
            window.sees("Changed rows")
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
        case "import undone":
            page.get_by_role("button", name="Undo the import").click()
            window.sees("Undone: 1 user as before.")
        case "password refused":
            window.goes_to("/account")
            page.get_by_label("Present password").fill("wrong")
            for field in ("New password", "New password, once more"):
                page.get_by_label(field, exact=True).fill("another")
            page.get_by_role("button", name="Change").click()
            window.sees("This password is wrong.")
        case "setting changed":
            window.goes_to("/settings")
            for value in ("7", "8"):
                page.get_by_label("calls.keep", exact=True).fill(value)
                page.get_by_role("button", name="Save: History and messages").click()
                window.sees(f"→ {value}.")
        case "setting refused":
            page.get_by_label("calls.keep", exact=True).fill("many")
            page.get_by_role("button", name="Save: History and messages").click()
            window.sees("'many' is not a whole number")
        case "shown":
            window.goes_to("/users")
            page.get_by_role("link", name="Show the HA1s of alice").click()
            page.get_by_label("MD5 HA1 of alice").wait_for()
        case "calls":
            window.goes_to("/calls")
            window.sees("1 ringing")
            window.sees("1 talking")
        case "ladder":
            window.goes_to("/traces")
            page.get_by_role("link", name="INVITE from alice").first.click()
            page.locator("svg.ladder-picture").wait_for()
        case "api":
            window.goes_to("/settings")
            page.get_by_role("link", name="API").click()
            for each in page.locator("main summary").all():
                each.press("Enter")
            page.get_by_label("Example of GET /api/v1/waits", exact=True).wait_for()
        case "alice":
            window.goes_to("/users/1")
            for heading in ("Last calls", "Last refusals"):
                page.get_by_role("heading", name=heading).wait_for()
            page.get_by_role("button", name="Sign off").wait_for()
        case "calls refused":
            window.goes_to("/users/2")
            page.get_by_label("Aliases").fill("alice")
            page.get_by_label("Do not disturb").check()
            page.get_by_label("Forward when busy to").fill(f"sip:{LONG}@example.com")
            page.locator("#call-settings").get_by_role("button", name="Save").click()
            window.sees("choose another alias")
        case "group refused":
            window.goes_to("/groups/new")
            page.get_by_label("Name or number").fill("600")
            page.get_by_label("Members").fill(f"alice\n{LONG}\nzoe")
            page.get_by_label("Then forward to").fill(LONG)
            page.get_by_role("button", name="Add", exact=True).click()
            window.sees("There is no user zoe")
        case "group added":
            page.get_by_label("Members").fill(f"alice\n{LONG}")
            page.get_by_label("In turn").check()
            page.get_by_role("button", name="Add", exact=True).click()
            window.sees("The group 600 was added.")
        case "no network":
            window.goes_to("/trouble")
            page.get_by_label("Address or network").fill("everybody")
            page.get_by_role("button", name="Trust it").click()
            window.sees("is not an address or network")
        case _:
            window.goes_to(path)


# By the topic of the pages; the pages of a topic are visited in this order.
STATES = {
    "sign-in": [
        *["/login", "wrong password", "signed in", "/", "/no/such/page", "/account"],
        *["password refused", "setting changed", "setting refused"],
        *["signed out", "ended", "kept", "sent again"],
    ],
    "users": [
        *["signed in", "/users", "shown", "/users?q=nobody"],
        *["/users?sort=last_seen&order=desc&page=2", "alice", "/users/2", "/users/4"],
        *["/users/1/hashes", "/users/new", "errors", "added", "QR code", "removed", "weak"],
        *["/users/1/setup"],
        *["chosen", "confirm", "new passwords", "undo", "undone", "/users/undo"],
    ],
    "own page": ["own sign-in", "own page"],
    "groups": [
        *["signed in", "calls refused", "/groups/new", "group refused", "group added"],
        *["/groups", "/users/1"],
    ],
    "imports": [
        *["signed in", "/users/import", "refused", "looked at", "columns", "changes"],
        *["/users/import?show=same", "understood", "generated", "another", "looked at", "imported"],
        *["import undone"],
    ],
    "records": [
        *["signed in", "calls", "/traces", "ladder", "/trouble", "no network"],
        *["/trouble?refusals=all", "/health", "/history", "/history?result=busy&user=alice"],
        *["/history?number=zz&from=2026-01-01", "/audit", "/audit?kind=sign-ins"],
        *["/audit?before=1", "api"],
    ],
}


@pytest.mark.parametrize("topic", STATES)
def test_every_page_is_accessible(visit, populated, topic):
    """WCAG 2.2 A and AA as far as axe can tell, and no sideways scroll."""
    window = visit()
    faults = {}
    for state in STATES[topic]:
        state_of(window, state)
        if found := window.faults_of_page():
            faults[state] = found
    assert not faults


def test_the_pages_of_an_empty_server_are_accessible(visit):
    window = visit()
    window.signs_in()
    for path in ("/", "/calls", "/users", "/groups", "/trouble", "/health", "/history", "/traces"):
        window.goes_to(path)
        assert not window.faults_of_page()


def test_the_examination_would_find_a_fault(visit):
    """An input without a label, a text that is grey on grey in one theme, and a wide block."""
    window = visit()
    window.goes_to("/login")
    window.page.evaluate(
        """() => {
            const block = document.createElement("div");
            block.innerHTML = "<input><p>hard to read</p>";
            block.style.cssText =
                "width: 800px; color: light-dark(#000, #888); background: light-dark(#fff, #999)";
            document.querySelector("main").append(block);
        }"""
    )
    found = window.faults_of_page()
    for width in WIDTHS:
        assert any(fault.startswith(f"{width} px, light: label: <input>") for fault in found)
        assert any(fault.startswith(f"{width} px, dark: color-contrast: <p>") for fault in found)
    assert [fault.split(":")[0] for fault in found if "sideways" in fault] == ["390 px"]
