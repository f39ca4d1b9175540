"""Changes of many chosen users, in a real browser."""

import re

import pytest

from tests.browser.conftest import WITH_AND_WITHOUT_SCRIPTS


@pytest.fixture
def window(visit, server, scripts):
    rows = "".join(f"phone{number:03},secret-1\n" for number in range(120))
    file = server.home / "users.csv"
    file.write_text(f"username,password\n{rows}")
    server.does("users", "import", str(file))
    window = visit(java_script_enabled=scripts)
    window.signs_in()
    return window


@WITH_AND_WITHOUT_SCRIPTS
def test_many_users_are_changed_and_that_is_undone(window, server, scripts):
    """Ticks on two pages, disabled and undone; then all that match get new passwords."""
    page = window.page
    window.goes_to("/users")
    page.get_by_label("Choose phone003").check()
    page.get_by_label("Choose phone007").check()
    if scripts:
        window.sees("2 users chosen")
    else:
        page.get_by_role("button", name="Keep these ticks").click()
    page.get_by_role("link", name="Next").click()
    window.sees("page 2 of 3")
    window.sees("2 users chosen")
    page.get_by_label("Choose phone051").check()
    if scripts:
        window.sees("3 users chosen")
    page.get_by_role("button", name="Disable").click()
    window.sees("Disable 3 users?")
    page.get_by_role("button", name="Disable 3 users").click()
    window.sees("3 users were disabled.")
    page.get_by_role("link", name="Disabled 3").wait_for()
    page.get_by_role("button", name="Undo").click()
    window.sees("Undone: 3 users as before.")
    page.get_by_role("link", name="Disabled 0").wait_for()

    page.get_by_label("Search").fill("phone00")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("button", name="Choose all 10", exact=True).click()
    window.sees("10 users chosen")
    page.get_by_role("button", name="New passwords").click()
    page.get_by_role("button", name="Make new passwords for 10 users").click()
    window.sees("Generated passwords")
    rows = page.locator(".passwords tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == [f"phone00{number}" for number in range(10)]
    page.get_by_role("link", name="Back to the list").click()
    page.get_by_role("link", name="Recent changes").click()
    page.get_by_role("button", name=re.compile("10 users were given new passwords")).click()
    window.sees("Undone: 10 users as before.")


@pytest.mark.parametrize("scripts", [True])
def test_ticks_stay_while_the_list_refreshes_itself(window, server, scripts):
    """The page asks for its rows every few seconds; one tick chooses all of a page."""
    page = window.page
    window.goes_to("/users")
    page.get_by_label("Choose all on this page").check()
    window.sees("50 users chosen")
    page.get_by_label("Choose phone004").uncheck()
    window.sees("49 users chosen")
    server.does("users", "disable", "phone005")
    page.get_by_role("row", name="phone005").get_by_text("disabled").wait_for(timeout=20_000)
    assert page.get_by_label("Choose phone005").is_checked()
    assert not page.get_by_label("Choose phone004").is_checked()
    page.get_by_role("button", name="Choose none").click()
    window.sees("No user chosen")


@WITH_AND_WITHOUT_SCRIPTS
def test_columns_are_chosen(window, scripts):
    page = window.page
    window.goes_to("/users")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("HA1", exact=True).uncheck()
    page.get_by_role("button", name="Show these columns").click()
    page.get_by_role("columnheader", name="Last seen").wait_for()
    assert not page.get_by_role("columnheader", name="HA1").count()
