"""A user looks after its own phone on /me, with a mobile."""

import contextlib

from tests.support.baresip import Baresip


def test_a_user_signs_off_a_phone_and_changes_its_password(visit, server, tmp_path):
    server.has_users("alice", "bob")
    window = visit(width=390)
    page = window.page
    window.goes_to("/me")
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    window.sees("The user name or the password is wrong.")
    with contextlib.closing(Baresip("alice", tmp_path / "phone", server)) as phone:
        phone.registers()
        page.get_by_label("Password").fill(server.password_of("alice"))
        page.get_by_role("button", name="Sign in").click()
        window.sees("My phones")
        assert not window.scrolls_sideways()
        page.get_by_role("button", name="Sign off baresip").click()
        window.sees("The phone is signed off.")
        window.sees("No phone is registered: calls to you fail.")
    page.get_by_label("Forward when busy to").fill("alice")
    page.get_by_role("button", name="Save").click()
    window.sees("Alice cannot forward to itself.")
    page.get_by_label("Forward when busy to").fill("bob")
    page.get_by_label("Do not disturb").check()
    page.get_by_role("button", name="Save").click()
    window.sees("Saved.")
    assert page.get_by_label("Do not disturb").is_checked()
    assert not window.scrolls_sideways()
    page.get_by_label("Present password").fill(server.password_of("alice"))
    page.get_by_role("textbox", name="New password", exact=True).fill("x4.new-password")
    page.get_by_label("New password, once more").fill("x4.new-password")
    page.get_by_role("button", name="Change").click()
    window.sees("The password was changed.")
    phone = Baresip("alice", tmp_path / "again", server, "x4.new-password")
    with contextlib.closing(phone):
        phone.registers()
        window.goes_to("/me")
        window.sees("baresip")
    window.goes_to("/users/1")
    page.get_by_text("The server printed the password at its first start.").wait_for()
    window.goes_to("/me")
    page.get_by_role("button", name="Sign out").click()
    window.sees("Use the user name and the password of your phone.")
