"""Lists as an admin types them: told in the browser, confirmed by a click, passwords shown once."""

import csv
import io

import pytest

from tests.browser.conftest import WITH_AND_WITHOUT_SCRIPTS

LIST = (
    "sep=;\r\nExtension;Secret;Büro;Display Name\r\n101;wonder-4711;7;Zoë\r\n102;;8;Bob\r\n;;;\r\n"
)


@pytest.fixture
def window(visit, request):
    scripts = request.node.callspec.params["scripts"]
    visitor = visit(java_script_enabled=scripts)
    visitor.signs_in()
    return visitor


def uploads(window, tmp_path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(LIST.encode("windows-1252"))
    window.goes_to("/users/import")
    window.page.get_by_label("CSV file").set_input_files(file)
    window.page.get_by_role("button", name="Look at it first").click()


@WITH_AND_WITHOUT_SCRIPTS
def test_a_list_of_another_system_is_imported(window, server, scripts, tmp_path):
    """Encoding and columns are told, passwords generated on a click, their sheet shown once."""
    page = window.page
    uploads(window, tmp_path)
    window.sees("Nothing can be imported until the refused rows are corrected, or allowed below.")
    window.sees("102 is a new user without password and ha1")
    page.get_by_role("button", name="Generate missing passwords").click()
    window.sees("Nothing was imported yet: the file is not in UTF-8.")
    window.sees("where names look like this: Zoë")
    window.sees("One column is unknown and will be ignored: Büro.")
    page.get_by_role("button", name="Read it as Windows-1252, leave 1 column out and apply").click()
    page.get_by_role("heading", name="Generated passwords").wait_for()
    (row,) = page.locator(".passwords tbody tr").all()
    user, name, password = row.locator("th, td").all_inner_texts()
    assert (user, name) == ("102", "Bob")
    if scripts:
        with page.expect_download() as download:
            page.get_by_role("button", name="Save as CSV").click()
        assert download.value.suggested_filename == "passwords.csv"
        text = download.value.path().read_text(encoding="utf-8-sig")
    else:
        assert page.get_by_role("button", name="Print").count() == 0
        page.get_by_text("As CSV, to copy").click()
        text = page.get_by_label("The passwords as CSV").input_value()
    (entry,) = csv.DictReader(io.StringIO(text))
    assert (entry["username"], entry["password"]) == ("102", password)

    window.goes_to("/users/import")
    window.sees("The generated passwords were shown, and are not stored.")
    assert password not in page.content()
    page.go_back()
    page.wait_for_load_state()
    assert password not in page.content(), "nor does the browser keep the page"


@pytest.mark.parametrize("scripts", [True], ids=["with-scripts"])
def test_the_sheet_prints_alone(window, server, scripts, tmp_path):
    page = window.page
    uploads(window, tmp_path)
    page.get_by_role("button", name="Generate missing passwords").click()
    page.get_by_role("button", name="and apply").click()
    page.get_by_role("heading", name="Generated passwords").wait_for()
    page.evaluate("window.print = () => { window.printed = true; }")
    page.get_by_role("button", name="Print").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("window.printed")
    page.emulate_media(media="print")
    assert page.locator(".passwords table").is_visible()
    for hidden in (".side", ".counts", "[data-print]", "details"):
        assert not page.locator(hidden).first.is_visible()


@WITH_AND_WITHOUT_SCRIPTS
def test_a_long_sheet_is_downloaded_once(window, scripts):
    page = window.page
    window.goes_to("/users/import")
    rows = "username\n" + "".join(f"user{number}\n" for number in range(501))
    page.get_by_label("Or paste the rows here").fill(rows)
    page.get_by_label("Generate passwords for new users").check()
    page.get_by_role("button", name="Look at it first").click()
    page.get_by_role("button", name="Apply").click()
    window.sees("501 generated passwords can be shown once.")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the passwords").click()
    text = download.value.path().read_text(encoding="utf-8-sig")
    assert len({row["password"] for row in csv.DictReader(io.StringIO(text))}) == 501
    window.goes_to("/users/import")
    window.sees("The generated passwords were shown, and are not stored.")


@WITH_AND_WITHOUT_SCRIPTS
def test_a_list_without_header_is_mapped_and_undone(window, scripts):
    """Columns are chosen by hand, changes shown before they are made, and all undone."""
    page = window.page
    window.goes_to("/users/import")
    page.get_by_label("Or paste the rows here").fill("101,wonder-4711,Ann\n102,wonder-4712,Bob\n")
    page.get_by_role("button", name="Look at it first").click()
    window.sees("Choose which column is which.")
    page.get_by_label("The first line of the file").select_option("is a row: there is no header")
    for name, field in (("101", "User name"), ("wonder-4711", "Password"), ("Ann", "Display name")):
        page.get_by_label(f"{name} is taken for").select_option(field)
    page.get_by_role("button", name="Use these columns").click()
    window.sees("display name: Bob")
    page.get_by_role("link", name="Same").click()
    window.sees("There are no such rows.")
    page.get_by_role("button", name="Apply").click()
    window.sees("Imported: 2 new, 0 changed.")
    page.get_by_role("button", name="Undo the import").click()
    window.sees("Undone: 2 users as before.")
    page.get_by_role("button", name="Import another").click()

    page.get_by_label("Or paste the rows here").fill("201,wonder-4711,Ann\n")
    page.get_by_role("button", name="Look at it first").click()
    window.sees("Columns of the file: 3 of 3 used, as chosen for an earlier file")
    window.sees("Nothing is written yet.")
