"""The columns of an import file: shown with samples, chosen by hand, kept for the next file."""

import html
import re

import pytest

from tests.support.import_page import number_of, settled

GERMAN = b"Nummer;Kennwort;Ort;Wer\n101;wonder-4711;Saal;Ann Lee\n102;wonder-4712;Saal;\n"
BARE = b"101;wonder-4711;Ann\n102;wonder-4712;Bob\n"


def chosen(browser) -> list[tuple[str, str]]:
    """Return the title of each column, and the field it is taken for."""
    text = browser.get("/users/import").text
    return [
        (
            html.unescape(re.search(r'aria-label="(.*?) is taken for"', select)[1]),
            *re.findall(r'<option value="(\w*)" selected', select),
        )
        for select in re.findall(r'<select name="column\d+".*?</select>', text, re.S)
    ]


def choose(browser, *fields: str, header: str = "yes"):
    columns = {f"column{number}": field for number, field in enumerate(fields)}
    answer = browser.post(
        "/users/import/columns", number=number_of(browser), header=header, **columns
    )
    assert answer.status == 303
    return settled(browser)


def test_columns_are_shown_with_samples_but_no_passwords(browser):
    browser.upload("/users/import", b"ext,secret,Room\n101,wonder-4711,Hall\n102,,Hall\n")
    words = settled(browser)
    assert "Columns of the file: 2 of 3 used" in words
    assert chosen(browser) == [("ext", "username"), ("secret", "password"), ("Room", "")]
    page = browser.get("/users/import")
    for sample in ("101, 102", "11 characters", "Hall"):
        assert sample in page.words
    assert "wonder" not in page.text
    assert page.headers["cache-control"] == "no-store, no-transform"


def test_an_unknown_header_asks_for_the_columns(browser, context):
    browser.upload("/users/import", GERMAN)
    words = settled(browser)
    assert "Nothing was imported yet: there is no header line with a column username" in words
    assert "Choose which column is which." in words
    words = choose(browser, "username", "password", "", "display_name")
    assert "2 new 0 changed 0 same 0 refused" in words
    assert "unknown" not in words, "a column that was left out by hand is no question"
    browser.press("apply")
    settled(browser)
    assert context.users.find("101", "example.com").display_name == "Ann Lee"


def test_a_choice_is_kept_for_the_same_header(browser):
    browser.upload("/users/import", GERMAN)
    settled(browser)
    choose(browser, "username", "password", "", "last_name")
    browser.press("cancel")
    browser.upload("/users/import", GERMAN.replace(b"101", b"103"))
    words = settled(browser)
    assert "3 of 4 used, as chosen for an earlier file" in words
    assert "2 new" in words
    assert chosen(browser)[3] == ("Wer", "last_name")


def test_a_known_header_can_be_read_otherwise(browser):
    browser.upload("/users/import", b"user,password,secret\n101,wonder-1,wonder-2\n")
    settled(browser)
    words = choose(browser, "username", "", "password")
    assert "1 new" in words
    assert [field for _, field in chosen(browser)] == ["username", "", "password"]


def test_a_file_without_a_header_has_numbered_columns(browser, context):
    browser.upload("/users/import", BARE)
    settled(browser)
    words = choose(browser, "username", "password", "display_name", header="no")
    assert "2 new" in words
    assert [title for title, _ in chosen(browser)] == ["Column 1", "Column 2", "Column 3"]
    browser.press("apply")
    settled(browser)
    assert context.users.find("101", "example.com")

    browser.press("cancel")
    browser.upload("/users/import", BARE.replace(b"10", b"20"))
    assert "2 new" in settled(browser), "the next file with three columns is read in this way"
    browser.press("cancel")
    browser.upload("/users/import", b"user,password,name\n301,wonder-1,Carl\n")
    assert "1 new" in settled(browser), "but not one with a header"
    assert chosen(browser)[0] == ("user", "username")


def test_allowed_changes_stay_allowed(browser, context):
    context.users.add("101", "secret-1")
    browser.upload("/users/import", b"user;Wer\n101;Ann\n102;Bob\n", update="yes", generate="yes")
    settled(browser)
    words = choose(browser, "username", "display_name")
    assert "1 new 1 changed 0 same 0 refused" in words


def test_columns_without_a_user_name_are_asked_for_again(browser):
    browser.upload("/users/import", GERMAN)
    settled(browser)
    words = choose(browser, "", "password", "", "")
    assert "no column is taken for the user name" in words
    assert "2 new" in choose(browser, "username", "password", "", "")


@pytest.mark.parametrize("field", ["nonsense", "created_at", "<b>"])
def test_a_field_that_is_none_is_refused(browser, field):
    browser.upload("/users/import", GERMAN)
    settled(browser)
    answer = browser.post(
        "/users/import/columns", number=number_of(browser), header="yes", column0=field
    )
    assert answer.status == 400
    assert "Choose which column is which." in settled(browser)


def test_columns_of_an_old_page_are_refused(browser):
    browser.upload("/users/import", GERMAN)
    settled(browser)
    assert browser.post("/users/import/columns", number="1", header="yes").status == 409


def test_an_applied_file_is_not_kept(browser):
    browser.upload("/users/import", b"user,password\n101,wonder-1\n")
    settled(browser)
    browser.press("apply")
    assert "Columns of the file" not in settled(browser)
    assert browser.post("/users/import/columns", number=number_of(browser)).status == 303
    assert "Imported: 1 new" in settled(browser)


def test_of_very_many_columns_the_used_ones_are_shown(browser):
    names = [f"c{number}" for number in range(148)]
    rows = [",".join([*names, "ext", "secret"]), ",".join([*["x"] * 148, "101", "wonder-1"])]
    browser.upload("/users/import", "\n".join(rows).encode())
    words = settled(browser)
    assert "50 more columns are left out." in words
    assert len(chosen(browser)) == 100
    assert chosen(browser)[-2:] == [("ext", "username"), ("secret", "password")]
    fields = {"column148": "username", "column149": "password"}
    browser.post("/users/import/columns", number=number_of(browser), header="yes", **fields)
    assert "1 new" in settled(browser)
