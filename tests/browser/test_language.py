"""The pages in German, in a real browser: words, times, and two readers at once."""

import re

from tests.browser.conftest import PASSWORD, Visitor
from tests.support.server import Server


def signs_in(window: Visitor) -> None:
    window.goes_to("/login")
    window.page.get_by_label("Benutzername").fill("admin")
    window.page.get_by_label("Passwort").fill(PASSWORD)
    window.page.get_by_role("button", name="Anmelden").click()
    window.page.get_by_role("heading", name="Übersicht").wait_for()


def test_a_german_browser_gets_german_pages(visit, server):
    """Each reader of a page that refreshes itself reads it in the own language."""
    server.add_user("alice", Server.password_of("alice"))
    german = visit(locale="de-AT", timezone_id="Asia/Kolkata", width=390)
    english = visit()
    signs_in(german)
    english.signs_in()
    for window, text in ((german, "Noch kein Telefon ist registriert"), (english, "No phone is")):
        with window.page.expect_response(lambda answer: answer.request.headers.get("hx-request")):
            pass
        window.sees(text)
    german.goes_to("/audit")
    moment = german.page.locator("tbody time").first
    utc = moment.get_attribute("datetime")
    local = german.page.evaluate("utc => new Date(utc).toLocaleTimeString('de-AT')", utc)
    assert local in moment.inner_text(), "five and a half hours after UTC"
    assert german.page.get_by_text("Zeiten sind in UTC.").is_hidden()
    german.page.keyboard.press("?")
    german.sees("Diese Tastenkürzel verwenden")
    german.page.keyboard.press("Escape")
    german.goes_to("/users/1")
    german.page.get_by_role("button", name="Kopieren: Benutzername").click()
    german.sees("Kopiert")
    german.page.get_by_role("button", name="Löschen").click()
    german.sees("alice wurde gelöscht.")
    assert german.faults_of_page(widths=[390, 1280]) == []


def test_without_scripts_times_are_german_and_utc(visit, server):
    window = visit(locale="de-DE", timezone_id="Asia/Kolkata", java_script_enabled=False)
    signs_in(window)
    window.goes_to("/audit")
    moment = window.page.locator("tbody time").first
    year, month, day, hour = re.findall(r"\d+", moment.get_attribute("datetime"))[:4]
    assert moment.inner_text().startswith(f"{day}.{month}.{year} {hour}:")
    window.sees("Zeiten sind in UTC.")
    window.goes_to("/users/new")
    window.page.get_by_label("Benutzername").fill("a b")
    window.page.get_by_role("button", name="Hinzufügen", exact=True).click()
    window.sees("kann nicht der Benutzername einer SIP-URI sein")
