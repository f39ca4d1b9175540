"""An import is undone from its result, or later from the list of recent changes."""

import re

from sip.store.audit import Act
from sip.store.undo import Undo
from tests.support.import_page import settled


def imported(browser, rows: bytes, **boxes: str) -> str:
    browser.upload("/users/import", rows, **boxes)
    settled(browser)
    browser.press("apply")
    return settled(browser)


def test_an_import_is_undone_on_its_page(browser, context):
    context.users.add("ann", "former-1", display_name="Ann")
    rows = b"username,password,display_name\nann,changed-1,Ann Lee\nbob,wonder-1,Bob\n"
    assert "The import can be undone for an hour" in imported(browser, rows, update="yes")
    assert browser.press("undo").status == 303
    assert "Undone: 2 users as before." in settled(browser)
    assert len(context.users) == 1
    assert context.users.find("ann", "example.com").display_name == "Ann"
    entry = context.audit.entries()[0]
    assert (entry.act, entry.about) == (Act.USERS_UNDONE, "users imported, 1 new, 1 changed")
    browser.press("undo")
    assert "Undone: 2 users as before." in settled(browser), "only once"
    browser.press("cancel")
    assert "CSV file" in settled(browser)


def test_users_changed_since_are_left_and_named(browser, context):
    imported(browser, b"username,password\nann,wonder-1\nbob,wonder-1\n")
    context.users.set_display_name("bob", "Bob")
    browser.press("undo")
    assert (
        "Undone: 1 user as before. 1 user stays as it is, because it was changed or deleted"
        " since then, or its name is taken: bob." in settled(browser)
    )
    assert context.users.find("bob", "example.com").display_name == "Bob"


def test_the_list_of_recent_changes_has_the_import(browser, context):
    imported(browser, b"username,password\nann,wonder-1\n")
    page = browser.get("/users/undo")
    assert "Users imported: 1 new, 0 changed." in page.words
    (path,) = re.findall(r'action="(/users/undo/\d+)"', page.text)
    browser.post(path)
    assert len(context.users) == 0
    browser.press("undo")
    words = settled(browser)
    assert "The import was not undone: this can no longer be undone" in words
    assert "Undo the import" not in words


def test_generated_passwords_of_an_undone_import_are_gone(browser, context):
    rows = b"username\n" + b"".join(b"user%d\n" % number for number in range(501))
    assert "501 generated passwords can be shown once" in imported(browser, rows, generate="yes")
    browser.press("undo")
    assert "Undone: 501 users as before." in settled(browser)
    browser.press("cancel")
    assert "CSV file" in settled(browser), "no password holds up the next import"
    assert Undo(context.users).steps() == []
