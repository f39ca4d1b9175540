"""The switch of the theme: a cookie, so that each page is sent in the theme of its browser."""

import pytest


def theme_of(page: str) -> str:
    """Return the theme of a page, as its first tag says it."""
    tag = page[page.index("<html") : page.index("<head")]
    return tag.partition('data-theme="')[2].partition('"')[0]


def test_a_page_follows_the_device_at_first(browser):
    page = browser.get("/users").text
    assert theme_of(page) == ""
    assert '<meta name="color-scheme" content="light dark">' in page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_server_sends_the_chosen_theme(browser, theme):
    """The first page after the choice has it, without a script; so does the sign-in page."""
    assert browser.post("/theme", theme=theme).status == 303
    page = browser.get("/users").text
    assert theme_of(page) == theme
    assert f'<meta name="color-scheme" content="{theme}">' in page
    browser.post("/logout")
    assert theme_of(browser.get("/login").text) == theme
    browser.cookies["sipserver_theme"] = "system"
    assert theme_of(browser.get("/login").text) == ""


def test_the_switch_offers_the_next_theme(browser):
    offered = []
    for _ in range(3):
        page = browser.get("/").text
        offered.append(page.partition('name="theme" value="')[2].partition('"')[0])
        browser.post("/theme", theme=offered[-1])
    assert offered == ["light", "dark", "system"]


def test_the_switch_leads_back_to_its_page(browser):
    form = {"Content-Type": "application/x-www-form-urlencoded", **browser.own_site}
    for referer, place in (
        ("http://pbx.example.com:8080/users?q=a", "/users?q=a"),
        ("http://elsewhere.example/users", "/"),
        ("", "/"),
    ):
        answer = browser.send("POST", "/theme", b"theme=dark", {**form, "Referer": referer})
        assert (answer.status, answer.location) == (303, place)


def test_the_cookie_holds_a_year_and_leaks_nothing(browser):
    browser.post("/theme", theme="dark")
    line = browser.cookie_lines[-1]
    assert line.startswith("sipserver_theme=dark;")
    assert "Max-Age=31536000" in line
    assert "SameSite=lax" in line


@pytest.mark.parametrize("theme", ["", "DARK", '"><script>', "x" * 5000])
def test_an_unknown_theme_is_refused_and_ignored(browser, theme):
    assert browser.post("/theme", theme=theme).status == 422
    browser.cookies["sipserver_theme"] = theme.replace('"', "%22")
    answer = browser.get("/users")
    assert (answer.status, theme_of(answer.text)) == (200, "")


def test_strangers_have_no_switch(stranger):
    answer = stranger.post("/theme", theme="dark")
    assert (answer.status, answer.location) == (303, "/login")
    assert "sipserver_theme" not in stranger.cookies
