"""The frame around all pages: theme, keyboard shortcuts, and the bar of a narrow screen."""

import pytest

from tests.browser.conftest import WITH_AND_WITHOUT_SCRIPTS

DARK, LIGHT = "rgb(13, 18, 22)", "rgb(245, 247, 248)"


def ground(window) -> str:
    """The colour behind the page."""
    return window.page.evaluate("getComputedStyle(document.body).backgroundColor")


@WITH_AND_WITHOUT_SCRIPTS
def test_the_theme_is_switched_and_stays(visit, scripts):
    window = visit(java_script_enabled=scripts, color_scheme="dark")
    window.signs_in()
    window.goes_to("/users?status=offline")
    assert ground(window) == DARK, "as the device"
    for shown, colour in (("light", LIGHT), ("dark", DARK), ("system", DARK), ("light", LIGHT)):
        window.page.locator("#theme button").click()
        window.page.get_by_role("button", name=f"Theme: {shown}").wait_for()
        assert ground(window) == colour
        assert window.page.url.endswith("/users?status=offline")
    window.goes_to("/audit")
    assert ground(window) == LIGHT
    window.page.get_by_role("button", name="Sign out").click()
    window.sees("You have signed out.")
    assert ground(window) == LIGHT


def test_the_other_open_pages_follow_the_theme(visit):
    window = visit()
    window.signs_in()
    other = window.page.context.new_page()
    other.goto(f"{window.server.web_url}/audit")
    window.page.locator("#theme button").click()
    window.page.locator("#theme button").click()
    other.get_by_role("button", name="Theme: dark").wait_for()
    assert other.evaluate("getComputedStyle(document.body).backgroundColor") == DARK


@pytest.fixture
def window(visit, server):
    server.has_users("alice")
    visitor = visit()
    visitor.signs_in()
    return visitor


def test_shortcuts_lead_to_the_pages(window):
    page, keys = window.page, window.page.keyboard
    for letter, place in (("u", "/users"), ("o", "/"), ("c", "/calls")):
        keys.press("g")
        keys.press(letter)
        page.wait_for_url(window.server.web_url + place)
    keys.press("/")
    page.wait_for_url("**/users#q")
    page.wait_for_function("document.activeElement.id === 'q'")
    keys.type("gu?/")
    assert page.get_by_label("Search").input_value() == "gu?/", "a field keeps its letters"
    assert page.locator("#shortcuts").count() == 0
    page.get_by_role("button", name="Search").focus()
    keys.press("/")
    assert page.evaluate("document.activeElement.id") == "q"


def test_shortcuts_are_listed_and_can_be_switched_off(window):
    """WCAG 2.2, 2.1.4; the button opens the list also while they are off."""
    page, keys = window.page, window.page.keyboard
    window.goes_to("/audit")
    keys.press("?")
    switch = page.get_by_label("Use these shortcuts")
    switch.wait_for()
    assert not window.violations()
    keys.press("g")
    keys.press("u")
    switch.uncheck()
    keys.press("Escape")
    for letter in "gu?":
        keys.press(letter)
    page.reload()
    for letter in "gu?":
        keys.press(letter)
    assert page.url.endswith("/audit")
    page.get_by_role("button", name="Shortcuts").click()
    switch.check()
    page.get_by_role("button", name="Close").click()
    with page.expect_navigation(url="**/users"):
        keys.press("g")
        keys.press("u")


@WITH_AND_WITHOUT_SCRIPTS
def test_a_phone_has_a_bar_with_a_menu(visit, scripts):
    window = visit(width=390, java_script_enabled=scripts)
    window.signs_in()
    page = window.page
    page.get_by_role("link", name="Users", exact=True).click()
    page.get_by_role("heading", name="Users").wait_for()
    assert page.get_by_role("link", name="Audit", exact=True).count() == 0
    page.get_by_text("More").click()
    page.get_by_role("link", name="Audit", exact=True).wait_for()
    if scripts:
        assert not window.faults_of_page([390])
        page.keyboard.press("Escape")
        page.get_by_role("link", name="Audit", exact=True).wait_for(state="hidden")
        page.keyboard.press("Enter")
    page.get_by_role("link", name="Audit", exact=True).click()
    page.get_by_role("heading", name="Audit").wait_for()
    assert not window.scrolls_sideways()


def test_a_value_for_a_phone_is_copied(visit, server):
    server.has_users("alice")
    window = visit(permissions=["clipboard-read", "clipboard-write"])
    window.signs_in()
    window.goes_to("/users/1")
    window.page.get_by_role("button", name="Copy: User name", exact=True).click()
    window.sees("Copied")
    assert window.page.evaluate("navigator.clipboard.readText()") == "alice"


def test_focus_and_text_stay_visible_in_forced_colours(visit):
    """Windows' contrast themes take backgrounds away: words, borders and outlines remain."""
    window = visit(forced_colors="active")
    window.signs_in()
    window.page.keyboard.press("Tab")
    window.page.keyboard.press("Tab")
    style = "getComputedStyle(document.activeElement)"
    assert window.page.evaluate(f"{style}.outlineStyle") == "solid"
    assert "underline" in window.page.evaluate(f"{style}.textDecorationLine"), "the page one is on"
