"""A new user is set up: the card turns by itself as its phone registers or is refused."""

import contextlib
import re

import pytest

from tests.support.baresip import Baresip


@pytest.fixture
def window(visit):
    visitor = visit(width=390)
    visitor.signs_in()
    return visitor


def test_the_card_turns_as_the_phone_registers(window, server, tmp_path):
    """First with a wrong password, then with the one that the card shows."""
    page = window.page
    window.goes_to("/users/new")
    page.get_by_label("User name").fill("alice")
    page.get_by_role("button", name="Add", exact=True).click()
    window.sees("Waiting for the phone …")
    password = page.get_by_label("The password, shown only now").input_value()
    page.get_by_role("radio", name="baresip").check()
    line = page.get_by_label("The line for baresip").input_value()
    assert f";auth_user=alice;auth_pass={password}" in line
    assert page.get_by_text("Line Active").is_hidden()

    with contextlib.closing(Baresip("alice", tmp_path / "a", server, "wrong")) as phone:
        phone.asks_to_register()
        window.sees("Wrong password, type it again")
    assert page.get_by_label("The line for baresip").input_value() == line, "it stays on the page"
    with contextlib.closing(Baresip("alice", tmp_path / "b", server, password)) as phone:
        phone.registers()
        page.get_by_text(re.compile(r"Registered: baresip .*, 127\.")).wait_for()
        assert not window.scrolls_sideways(), "a long device name is wrapped"
    assert password not in server.log.read_text()


def test_without_scripts_the_page_loads_itself_again(visit, server):
    server.has_users("alice")
    window = visit(java_script_enabled=False)
    window.signs_in()
    window.goes_to("/users/1/setup")
    assert window.page.locator("noscript meta, meta[http-equiv=refresh]").count()
    window.sees("Waiting for the phone …")
    window.page.get_by_role("radio", name="QR code").check()
    window.page.get_by_role("button", name="Make a QR code").click()
    window.page.get_by_role("radio", name="QR code").check()
    image = window.page.get_by_alt_text("QR code of the link below")
    assert image.evaluate("image => image.naturalWidth") > 100
    assert not window.page.locator("meta[http-equiv=refresh]").count()
    assert window.page.locator("noscript a").inner_text() == "Look for the phone"
