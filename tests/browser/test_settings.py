"""The page /settings in the browser: a change, a wrong value, undo, and the backup."""

from sip.store.backup import check_backup
from tests.browser.conftest import WITH_AND_WITHOUT_SCRIPTS


@WITH_AND_WITHOUT_SCRIPTS
def test_a_setting_is_changed_and_undone_and_a_backup_made(visit, tmp_path, scripts):
    window = visit(java_script_enabled=scripts)
    window.signs_in()
    page = window.page
    page.get_by_role("link", name="Settings").first.click()
    page.get_by_label("log.level", exact=True).fill("loud")
    page.keyboard.press("Enter")
    window.sees("'loud' must be one of debug, info, warning, error")
    assert page.get_by_label("log.level", exact=True).input_value() == "loud"
    page.get_by_label("log.level", exact=True).fill("warning")
    page.get_by_label("log.format", exact=True).select_option("json")
    page.get_by_role("button", name="Save: Log").click()
    window.sees("log.level: info → warning; log.format: text → json.")
    page.get_by_role("button", name="Undo the change of log.level").click()
    window.sees("log.level: warning → info.")
    assert page.get_by_label("log.format", exact=True).input_value() == "json"
    with page.expect_download() as expected:
        page.get_by_role("button", name="Download a backup").click()
    file = tmp_path / "downloaded.db"
    expected.value.save_as(file)
    check_backup(str(file))
