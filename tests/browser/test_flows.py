"""The work of an administrator in the browser, with scripts and without."""

import re

import pytest

from tests.browser.conftest import PASSWORD, WITH_AND_WITHOUT_SCRIPTS
from tests.support.programs import until


@pytest.fixture
def window(visit, request):
    """A window that is signed in; the parameter `scripts` says whether it runs scripts."""
    scripts = request.node.callspec.params["scripts"] if hasattr(request.node, "callspec") else True
    visitor = visit(java_script_enabled=scripts)
    visitor.signs_in()
    return visitor


def has_many_users(server) -> None:
    rows = [f"phone{number:03},secret-{number},Room {number}" for number in range(120)]
    file = server.home / "many.csv"
    file.write_text("\n".join(["username,password,display_name", *rows]) + "\n")
    server.does("users", "import", str(file))


@WITH_AND_WITHOUT_SCRIPTS
def test_signing_in_and_out(visit, scripts):
    window = visit(java_script_enabled=scripts)
    window.goes_to("/users?status=offline")
    page = window.page
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    window.sees("The user name or the password is wrong.")
    assert page.get_by_label("User name").input_value() == "admin"
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Users").wait_for()
    assert page.url.endswith("/users?status=offline")

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    window.goes_to("/users")
    page.get_by_role("heading", name="Sign in").wait_for()


@WITH_AND_WITHOUT_SCRIPTS
def test_a_user_is_added_changed_disabled_and_deleted(window, scripts):
    page = window.page
    window.goes_to("/users")
    window.sees("There are no users yet.")
    page.get_by_role("button", name="Add a user").click()
    page.get_by_label("User name").fill("front door")
    page.get_by_label("Display name").fill("Front door")
    page.get_by_role("button", name="Add", exact=True).click()
    window.sees("cannot be the user name of a SIP URI")
    assert page.get_by_label("Display name").input_value() == "Front door"
    page.get_by_label("User name").fill("101")
    page.get_by_role("button", name="Add", exact=True).click()

    window.sees("101 was added. This password is shown only now:")
    password = page.get_by_label("The password, shown only now").input_value()
    assert len(password) >= 16
    page.reload()
    assert password not in page.content()
    page.get_by_role("link", name="Back to 101").click()

    page.get_by_label("New password").fill("8842")
    page.get_by_role("button", name="Change").click()
    window.sees("The password of 101 was changed.")
    page.get_by_role("link", name="Back to 101").click()

    page.get_by_label("Display name").fill("Back door")
    page.get_by_role("button", name="Save", exact=True).click()
    window.sees("The display name of 101 was changed.")

    page.get_by_role("button", name="Disable").click()
    window.sees("101 is disabled")
    page.get_by_role("button", name="Enable").click()
    window.sees("101 is enabled: its phones can register again.")

    page.get_by_role("button", name="Delete").click()
    window.sees("101 was deleted.")
    window.sees("There are no users yet.")
    page.get_by_role("button", name="Undo").click()
    window.sees("101 was restored")
    assert page.get_by_label("Display name").input_value() == "Back door"


@WITH_AND_WITHOUT_SCRIPTS
def test_the_ha1s_show_on_a_click(window, server, scripts):
    server.has_users("alice")
    window.page.reload()
    window.goes_to("/users")
    assert not re.search("[0-9a-f]{32}", window.page.content())
    window.page.get_by_role("link", name="Show the HA1s of alice").click()
    shown = window.page.get_by_label("MD5 HA1 of alice")
    shown.wait_for()
    assert re.fullmatch("[0-9a-f]{32}", shown.input_value())
    assert window.page.url.endswith("/users" if scripts else "/hashes")


def test_an_ha1_is_copied(visit, server):
    server.has_users("alice")
    window = visit(permissions=["clipboard-read", "clipboard-write"])
    window.signs_in()
    window.goes_to("/users")
    window.page.get_by_role("link", name="Show the HA1s of alice").click()
    shown = window.page.get_by_label("SHA-256 HA1 of alice")
    shown.wait_for()
    shown.locator("xpath=..").get_by_role("button", name="Copy").click()
    window.sees("Copied")
    assert window.page.evaluate("navigator.clipboard.readText()") == shown.input_value()


@WITH_AND_WITHOUT_SCRIPTS
def test_a_file_is_imported(window, scripts, tmp_path):
    page = window.page
    window.goes_to("/users/import")
    file = tmp_path / "users.csv"
    file.write_text("username,password\nalice,wonder-4711\nb b,x\n")
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Look at it first").click()
    window.sees("Nothing can be imported until the refused rows are corrected")
    window.sees("'b b' cannot be the user name of a SIP URI")
    page.get_by_role("button", name="Choose another file").click()

    page.get_by_label("Or paste the rows here").fill("username,password\nalice,wonder-4711\n")
    page.get_by_role("button", name="Look at it first").click()
    window.sees("Nothing is written yet.")
    page.get_by_role("button", name="Apply").click()
    window.sees("Imported: 1 new, 0 changed.")
    page.get_by_role("button", name="Show the users").click()
    page.get_by_role("link", name="alice", exact=True).wait_for()

    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    assert "alice" in download.value.path().read_text(encoding="utf-8-sig")


@WITH_AND_WITHOUT_SCRIPTS
def test_many_users_are_filtered_sorted_and_paged(window, server, scripts):
    has_many_users(server)
    page = window.page
    window.goes_to("/users")
    window.sees("120 users, page 1 of 3")
    page.get_by_role("link", name="Last", exact=True).click()
    window.sees("120 users, page 3 of 3")
    page.get_by_role("link", name="User name").click()
    window.sees("120 users, page 1 of 3")
    page.get_by_role("link", name="phone119", exact=True).wait_for()
    page.get_by_label("Search").fill("room 11")
    page.get_by_role("button", name="Search").click()
    window.sees("11 users")
    page.get_by_role("link", name="Disabled 0").click()
    window.sees("No user matches.")
    page.get_by_role("link", name="Show all users").click()
    window.sees("120 users, page 1 of 3")


def test_a_search_writes_one_entry_of_history(window, server):
    """However slowly it is typed; Enter and leaving the field add none, another search does."""
    has_many_users(server)
    page = window.page
    window.goes_to("/users")
    before = page.evaluate("history.length")

    def asks_for(typed: str) -> bool:
        return page.evaluate("location.search").endswith(f"q={typed}")

    def has_added(entries: int) -> bool:
        return page.evaluate("history.length") == before + entries

    search = page.get_by_label("Search")
    for typed, found in [("phone07", "10 users"), ("7", "1 user")]:
        search.press_sequentially(typed)
        window.sees(found)
        until(lambda: asks_for(search.input_value()), "the URL holds the search")
    assert has_added(1)
    with page.expect_response("**/users?*"):
        search.press("Enter")
    with page.expect_response("**/users?*"):
        search.press_sequentially("8")
        search.press("Tab")
    until(lambda: asks_for("phone0778"), "the URL holds the search")
    assert has_added(2), "typing on after Enter is another search, ended by leaving the field"
    with page.expect_response("**/users?*"):
        page.get_by_role("link", name="Offline 120").click()
    until(lambda: has_added(3), "a filter is an entry of its own")

    for found, typed in [
        ("No user matches.", "phone0778"),
        ("1 user", "phone077"),
        ("120 users", ""),
    ]:
        page.go_back()
        window.sees(found)
        until(lambda q=typed: search.input_value() == q, "the field shows the search")
    page.go_forward()
    window.sees("1 user")
    page.reload()
    assert search.input_value() == "phone077"


@WITH_AND_WITHOUT_SCRIPTS
def test_back_from_a_user_is_back_in_the_list(window, server, scripts):
    """By the link and by the browser's own button; after a change and a deletion too."""
    has_many_users(server)
    page = window.page
    window.goes_to("/users")
    page.get_by_label("Search").fill("room")
    page.get_by_role("button", name="Search").click()
    page.locator('a[href*="q=room"]', has_text="Offline").click()
    # The search finds all users, so the text is the same before it: the link shows that it is done.
    page.locator('a[href*="q=room"][href*="status=offline"]', has_text="Next").click()
    window.sees("120 users, page 2 of 3")

    def sees_the_list(of: int) -> None:
        window.sees(f"{of} users, page 2 of 3")
        assert page.get_by_label("Search").input_value() == "room"
        offline = page.get_by_role("navigation", name="State").get_by_text("Offline")
        assert offline.get_attribute("aria-current") == "page"

    page.get_by_role("link", name="phone055", exact=True).click()
    page.get_by_label("Display name").fill("Room of their own")
    page.get_by_role("button", name="Save", exact=True).click()
    window.sees("The display name of phone055 was changed.")
    page.get_by_role("link", name="Back to the list").click()
    sees_the_list(120)
    page.get_by_role("link", name="phone056", exact=True).click()
    page.get_by_role("heading", name="Room 56").wait_for()
    page.go_back()
    sees_the_list(120)
    page.get_by_role("link", name="phone057", exact=True).click()
    page.get_by_role("button", name="Delete").click()
    sees_the_list(119)
    page.get_by_role("button", name="Undo").click()
    window.sees("phone057 was restored")
    page.get_by_role("link", name="Back to the list").click()
    sees_the_list(120)


@WITH_AND_WITHOUT_SCRIPTS
def test_a_generated_password_replaces_the_typed_one(window, server, scripts):
    page = window.page
    window.goes_to("/users/new")
    page.get_by_label("User name").fill("alice")
    page.get_by_label("New password").fill("typed-4711")
    page.get_by_label("Make one, and show it once").check()
    page.get_by_role("button", name="Add", exact=True).click()
    window.sees("alice was added. This password is shown only now:")
    first = page.get_by_label("The password, shown only now").input_value()
    page.get_by_role("link", name="Back to alice").click()
    page.get_by_label("New password").fill("typed-4711")
    page.get_by_label("Make one, and show it once").check()
    page.get_by_role("button", name="Change").click()
    window.sees("alice has a new password. It is shown only now:")
    second = page.get_by_label("The password, shown only now").input_value()
    assert first != second
    assert re.fullmatch(r"(\w{4}\.){3}\w{4}", second)
    if scripts:
        page.get_by_role("link", name="Back to alice").click()
        page.get_by_label("New password").fill("typed-4711")
        assert page.get_by_label("Take this one:").is_checked()


def test_all_of_it_can_be_done_by_the_keyboard_alone(visit):
    """The keyboard is enough, and the focus is always visible."""
    window = visit()
    page, keys = window.page, window.page.keyboard
    window.goes_to("/login")
    keys.press("Shift+Tab")
    keys.type("admin")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    page.get_by_role("heading", name="Overview").wait_for()

    keys.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(4):
        keys.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Users"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    keys.press("Enter")
    page.get_by_role("heading", name="Users").wait_for()
    page.get_by_role("button", name="Add a user").focus()
    keys.press("Enter")
    page.get_by_role("heading", name="Add a user").wait_for()
    keys.type("alice")
    for _ in range(3):
        keys.press("Tab")  # past the display name and the two ways to a password
    keys.type("wonder-4711")
    keys.press("Enter")
    window.sees("alice was added.")


def test_a_page_whose_session_has_ended_goes_to_the_sign_in(window, server):
    """The part that keeps itself fresh takes the whole page along."""
    server.has_users("alice")
    window.goes_to("/users?q=ali")
    window.sees("1 user")
    server.does("admin", "password", "--password", "another one entirely")
    window.page.get_by_role("heading", name="Sign in").wait_for(timeout=15_000)
    window.sees("Your session has ended.")
    window.page.get_by_label("Password").fill("another one entirely")
    window.page.get_by_role("button", name="Sign in").click()
    window.page.get_by_role("heading", name="Users").wait_for()
    assert window.page.get_by_label("Search").input_value() == "ali"


def test_a_page_says_when_it_is_no_longer_fresh(window, server):
    """The server goes, and comes back; the page tells both."""
    window.goes_to("/")
    hint = window.page.get_by_text("This page could not be refreshed")
    assert not hint.is_visible()
    server.stop()
    hint.wait_for(timeout=15_000)
    server.start()
    hint.wait_for(state="hidden", timeout=15_000)
    assert all(re.search("ERR_CONNECTION_REFUSED|Failed to fetch", f) for f in window.faults)
    window.faults.clear()
