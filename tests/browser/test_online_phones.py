"""A phone registers, and the open page shows it."""

import contextlib
import re

import pytest

from tests.support.baresip import Baresip


@pytest.fixture
def window(visit):
    visitor = visit()
    visitor.signs_in()
    return visitor


def add(window, name: str, password: str) -> None:
    window.goes_to("/users/new")
    page = window.page
    page.get_by_label("User name").fill(name)
    page.get_by_label("Take this one:").check()
    page.get_by_label("New password").fill(password)
    page.get_by_role("button", name="Add", exact=True).click()
    window.sees(f"{name} was added.")


def test_two_users_are_added_and_a_phone_of_one_shows_up(window, server, tmp_path):
    """The overview and the page of a user refresh without a reload."""
    page = window.page
    add(window, "alice", server.password_of("alice"))
    add(window, "bob", server.password_of("bob"))
    window.goes_to("/")
    window.sees("No phone is registered yet")
    with contextlib.closing(Baresip("alice", tmp_path / "phone", server)) as phone:
        phone.registers()
        page.locator("#online", has_text=re.compile("^1$")).wait_for()
        assert page.get_by_text("No phone is registered yet").count() == 0

        window.goes_to("/users")
        row = page.locator("tr", has=page.get_by_role("link", name="alice", exact=True))
        assert "online" in row.inner_text()
        assert "baresip" in row.inner_text()
        assert "offline" in page.locator("tr", has_text="bob").inner_text()

        page.get_by_role("link", name="alice", exact=True).click()
        left = page.locator("[data-left]")
        first = left.inner_text()
        page.wait_for_function(
            "first => document.querySelector('[data-left]').textContent !== first", arg=first
        )
        page.get_by_role("button", name="Sign off").click()
        window.sees("The phone is signed off.")
        assert page.get_by_text("baresip").count() == 0
        phone.unregisters()
        phone.registers()
        page.get_by_text("baresip").first.wait_for(timeout=15_000)

        page.get_by_role("button", name="Disable").click()
        window.sees("This user is disabled: its phones are refused.")
        window.goes_to("/")
        page.locator("#online", has_text=re.compile("^0$")).wait_for()
