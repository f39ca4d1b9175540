"""Two administrators of different roles at once, and a second factor with a phone."""

import time

import pyotp

from sip.store.second_factor import STEP_SECONDS
from tests.browser.conftest import PASSWORD, Visitor


def enters_code(window: Visitor, code: str) -> None:
    window.page.get_by_label("Code").fill(code)
    window.page.get_by_role("button", name="Sign in").click()


def types_password(window: Visitor, name: str, password: str) -> None:
    window.goes_to("/login")
    window.page.get_by_label("User name").fill(name)
    window.page.get_by_label("Password").fill(password)
    window.page.get_by_role("button", name="Sign in").click()


def test_an_admin_and_a_viewer_work_at_the_same_time(visit, server):
    admin, viewer = visit(), visit(width=390, java_script_enabled=False)
    admin.signs_in()
    page = admin.page
    admin.goes_to("/admins")
    page.get_by_label("Name").fill("carol")
    page.get_by_role("button", name="Add").click()
    admin.sees("carol was added. This password is shown only now:")
    faults = admin.faults_of_page()
    password = page.get_by_label("The password, shown only now").input_value()
    types_password(viewer, "carol", password)
    viewer.page.get_by_role("heading", name="Overview").wait_for()
    admin.goes_to("/users/new")
    page.get_by_label("User name").fill("bob")
    page.get_by_role("button", name="Add", exact=True).click()
    admin.sees("bob was added.")
    viewer.goes_to("/users/1")
    viewer.page.get_by_role("heading", name="bob").wait_for()
    buttons = viewer.page.get_by_role("main").get_by_role("button")
    assert [each.text_content() for each in buttons.all()] == []
    viewer.goes_to("/admins")
    assert viewer.page.get_by_role("main").get_by_role("button").count() == 0
    viewer.goes_to("/users/1/hashes")
    viewer.sees("Your role is viewer")
    assert not viewer.scrolls_sideways()

    admin.goes_to("/tokens")
    page.get_by_label("Name").fill("prometheus")
    page.get_by_role("button", name="Add").click()
    page.get_by_label("The token, shown only now").wait_for()
    faults += admin.faults_of_page()
    admin.goes_to("/admins")
    page.get_by_role("button", name="Make admin: carol").click()
    admin.sees("carol is admin now, and has to sign in again.")
    viewer.goes_to("/users")
    viewer.sees("Your session has ended.")
    assert faults == []


def test_a_second_factor_is_set_up_and_asked_for(visit, server):
    """The phone is pyotp; the second window has no scripts."""
    window = visit()
    window.signs_in()
    page = window.page
    window.goes_to("/account")
    faults = window.faults_of_page()
    page.get_by_role("button", name="Set it up").click()
    page.get_by_label("Secret").wait_for()
    faults += window.faults_of_page()
    is_drawn = page.get_by_alt_text("QR code").evaluate("image => image.naturalWidth > 100")
    phone = pyotp.TOTP(page.get_by_label("Secret").input_value().replace(" ", ""))
    page.get_by_label("Code").fill(phone.now())
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Turn on").click()
    codes = page.get_by_label("Recovery codes").get_by_role("listitem").all_text_contents()
    faults += window.faults_of_page()
    page.get_by_role("button", name="I have kept them").click()
    window.sees("10 recovery codes are left.")
    page.get_by_role("button", name="New recovery codes").click()
    page.get_by_role("button", name="Make new codes").wait_for()
    faults += window.faults_of_page()

    other = visit(width=390, java_script_enabled=False)
    types_password(other, "admin", PASSWORD)
    enters_code(other, codes[0])
    other.page.get_by_role("heading", name="Overview").wait_for()
    scripted = visit()
    types_password(scripted, "admin", PASSWORD)
    scripted.page.get_by_role("heading", name="Enter the code").wait_for()
    faults += scripted.faults_of_page()
    enters_code(scripted, codes[0])
    scripted.sees("The code is wrong, or it was used already.")
    enters_code(scripted, phone.at(int(time.time()) + STEP_SECONDS))
    scripted.page.get_by_role("heading", name="Overview").wait_for()
    assert (is_drawn, faults) == (True, [])
