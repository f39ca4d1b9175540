"""Pages that refresh themselves: they keep focus and input, and run no injected markup."""

from contextlib import closing

import pytest

from sip.core.guard.password_limits import MAX_FAILURES_OF_USER
from tests.support.password_guesser import PasswordGuesser
from tests.support.programs import until

EVIL = '<img src=x onerror="alert(1)">\'<script>alert(2)</script>'


@pytest.fixture
def window(visit):
    visitor = visit()
    visitor.signs_in()
    return visitor


def names(page) -> list[str]:
    return page.locator("#rows td[data-label='User name']").all_inner_texts()


def test_what_is_shown_of_a_user_stays_with_that_user(window, server):
    """A row comes in above while the HA1s of one below are shown and one is marked."""
    page = window.page
    server.has_users("bob", "carol")
    window.goes_to("/users")
    page.get_by_role("link", name="Show the HA1s of carol").click()
    shown = page.get_by_label("SHA-256 HA1 of carol")
    shown.focus()
    before = shown.input_value()
    server.add_user("alice", "secret")
    until(lambda: names(page) == ["alice", "bob", "carol"], "the new row shows up", 20)
    assert page.locator("#count").inner_text().strip() == "3 users"
    assert shown.input_value() == before
    assert shown.evaluate("element => element === document.activeElement")
    page.keyboard.press("Escape")
    shown.wait_for(state="detached")
    assert before not in page.content(), "closed, it stands nowhere"
    focus = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(focus) == "Show the HA1s of carol", "the focus is back where it was"


def test_a_refresh_keeps_text_that_is_being_typed(window, server):
    page = window.page
    server.has_users("alice")
    window.goes_to("/users")
    page.get_by_role("link", name="alice", exact=True).click()
    page.get_by_label("Display name").fill("Alice L")
    page.get_by_label("New password").fill("wonder-4711")
    server.does("users", "disable", "alice")
    window.sees("This user is disabled: its phones are refused.")
    page.get_by_role("button", name="Enable").wait_for()
    assert page.locator("#state").inner_text().strip() == "disabled", "the page says one thing"
    assert page.get_by_label("Display name").input_value() == "Alice L"
    assert page.get_by_label("New password").input_value() == "wonder-4711"


def test_a_blocked_login_shows_up_at_the_top_with_its_cure(window, server):
    """The banner comes without a reload, and the focus in the head stays."""
    page = window.page
    server.has_users("alice")
    window.goes_to("/users")
    page.get_by_role("link", name="alice", exact=True).click()
    button = page.get_by_role("button", name="Disable")
    button.focus()
    with closing(PasswordGuesser(server)) as guesser:
        for _ in range(MAX_FAILURES_OF_USER):
            guesser.guesses("alice", "wrong")
    window.sees("Wrong password, 5 times from")
    assert button.evaluate("element => element === document.activeElement")
    page.locator("#banners").get_by_role("button", name="Let it try again").click()
    window.sees("alice can log in again from")
    assert page.locator("#banners .banner").count() == 0


def test_a_search_is_in_the_url_before_enter_is_pressed(window, server):
    page = window.page
    server.has_users("alice", "bob")
    window.goes_to("/users?sort=last_seen&order=desc")
    page.get_by_label("Search").press_sequentially("bo")
    until(lambda: names(page) == ["bob"], "the search is answered", 10)
    asked = dict(part.partition("=")[::2] for part in page.url.partition("?")[2].split("&"))
    assert asked == {"q": "bo", "sort": "last_seen", "order": "desc"}
    page.reload()
    assert names(page) == ["bob"]


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_no_name_becomes_part_of_a_page(visit, server, scripts):
    """An alert would block the page, and a refusal by the policy appears on the console."""
    file = server.home / "evil.csv"
    quoted = EVIL.replace('"', '""')
    file.write_text(f'username,password,display_name,realm\na\'b&<,x,,\n"o\'x",p,"{quoted}",\n')
    window = visit(java_script_enabled=scripts)
    window.signs_in()
    page = window.page
    window.goes_to("/users/import")
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Look at it first").click()
    window.sees("cannot be the user name of a SIP URI")
    page.get_by_role("button", name="Choose another file").click()
    page.get_by_label("Or paste").fill(f'username,password,display_name\no\'x,p,"{quoted}"\n')
    page.get_by_role("button", name="Look at it first").click()
    page.get_by_role("button", name="Apply").click()
    window.sees("Imported: 1 new")
    window.goes_to("/users")
    window.sees(EVIL)
    page.get_by_role("link", name="Show the HA1s of o'x").click()
    page.get_by_label("MD5 HA1 of o'x").wait_for()
    window.goes_to("/users")
    page.get_by_role("link", name="o'x", exact=True).click()
    assert page.get_by_label("Display name").input_value() == EVIL
    window.goes_to("/users?q=%3Cimg%20src%3Dx")
    window.sees("o'x")
    assert page.locator("main img").count() == 0


def test_injected_markup_could_not_run(window):
    """The Content-Security-Policy blocks scripts, styles and forms to other servers."""
    window.goes_to("/users/new")
    window.page.evaluate(
        """() => {
            const block = document.createElement("div");
            block.innerHTML = `<img src="data:," onerror="window.got = 1">
                <a href="javascript:window.got = 2" id="link">x</a><p style="color: red">x</p>
                <form action="http://192.0.2.1/" id="form"></form>`;
            document.body.append(block);
            const script = document.createElement("script");
            script.textContent = "window.got = 3";
            document.body.append(script);
            document.getElementById("link").click();
            document.getElementById("form").submit();
        }"""
    )
    refusals = ("inline script", "inline style", "event handler", "JavaScript URL", "form-action")

    def refused() -> bool:
        heard = window.page.evaluate("window.got") is None and " ".join(window.faults)
        return heard and all(words in heard for words in refusals)

    until(refused, "the browser refuses all five", 10)
    assert window.page.evaluate("window.got") is None
    assert window.page.url == f"{window.server.web_url}/users/new"
    window.faults.clear()


def test_going_back_after_signing_out_shows_nothing(window, server):
    page = window.page
    server.has_users("alice")
    window.goes_to("/users")
    window.sees("alice")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    page.go_back()
    page.get_by_role("heading", name="Sign in").wait_for()
    assert "alice" not in page.content()


SPACED = """() => {
    for (const element of document.querySelectorAll("body *")) {
        element.style.lineHeight = "1.5";
        element.style.letterSpacing = "0.12em";
        element.style.wordSpacing = "0.16em";
    }
}"""


@pytest.mark.parametrize("width", [320, 768])
def test_pages_fit_a_small_window_and_letters_set_wide(visit, server, width):
    """WCAG 2.2, 1.4.10 (320 pixels, which is a desktop at 400 %) and 1.4.12."""
    rows = [f"{'x' * 120},secret-1,{'Long ' * 20}", "+4930123456789,secret-1,Front door"]
    file = server.home / "users.csv"
    file.write_text("\n".join(["username,password,display_name", *rows]) + "\n")
    server.does("users", "import", str(file))
    window = visit(width=width)
    window.signs_in()
    wide = []
    for path in ("/", "/users", "/users/1", "/users/1/hashes", "/users/new", "/users/import"):
        window.goes_to(path)
        if window.scrolls_sideways():
            wide.append(path)
        window.page.evaluate(SPACED)
        if window.scrolls_sideways():
            wide.append(f"{path}, spaced")
    assert not wide
