"""The frame of the pages: the links to the sections, the counts beside them, and the foot."""

import gzip
import re

import pytest

from sip import __version__
from webadmin import templates as pages

SECTIONS = ["/", "/calls", "/history", "/users", "/groups", "/trouble", "/health", "/audit"]
SECTIONS += ["/settings", "/admins", "/tokens", "/account"]


def part(page: str, start: str, end: str) -> str:
    return page.partition(start)[2].partition(end)[0]


def links(part_of_page: str) -> list[str]:
    return re.findall('<a href="([^"]*)"', part_of_page)


def test_each_section_is_one_click_away(browser):
    """In the side bar; on a narrow screen in the bar at the bottom, or in its menu."""
    page = browser.get("/audit").text
    assert links(part(page, '<nav aria-label="Main">', "</nav>")) == SECTIONS
    bar = part(page, '<nav class="tabbar"', "</nav>")
    assert sorted(links(bar)) == sorted(SECTIONS)
    assert links(bar.partition("<details>")[0]) == ["/", "/calls", "/users"]


def test_the_menu_is_marked_on_its_pages(browser):
    assert '<summary aria-current="true">' in browser.get("/audit").text
    assert '<summary aria-current="true">' not in browser.get("/users").text


def test_each_section_has_a_drawing():
    drawn = set(re.findall('id="([a-z]+)"', (pages.STATIC / "icons.svg").read_text()))
    sections = {section.icon for _, group in pages.GROUPS for section in group}
    assert drawn == sections | {"more"}


def counts(page: str) -> dict[str, str]:
    """Return the numbers in the side bar by the name of the section."""
    bar = part(page, '<nav aria-label="Main">', "</nav>")
    found = re.findall(r"</svg>(\w+)\s*(?:<span[^>]*>([^<]*)</span>)?", bar)
    return {name: count for name, count in found if count}


def test_the_side_bar_counts_users_and_refused_ones(browser, context):
    assert counts(browser.get("/audit").text) == {}, "a zero says nothing"
    for name in ("alice", "bob"):
        context.users.add(name, "secret")
    context.refusals.refused["alice", "192.0.2.7"] = None  # its password was wrong
    assert counts(browser.get("/audit").text) == {"Users": "2", "Trouble": "1"}


def test_the_foot_names_domain_uptime_and_version(browser, clock):
    clock.now += 2 * 3600 + 300
    words = browser.get("/audit").words
    assert f"example.com up 2 h 5 min · v{__version__} admin · Sign out" in words


def test_strangers_see_no_section_and_no_version(stranger):
    words = stranger.get("/login").words
    assert "Users" not in words
    assert __version__ not in words
    assert "example.com" not in words


@pytest.mark.parametrize("path", ["/", "/users", "/trouble", "/users/import"])
def test_a_part_comes_without_the_frame(browser, path):
    """A page asks for it every few seconds; the title stays, as htmx takes it over."""
    whole = browser.get(path).text
    part = browser.get(path, HX_Request="true").text
    assert '<nav aria-label="Main"' not in part
    assert whole.partition("<title>")[2].partition("<")[0] in part
    content = part.partition("</title>")[2].strip()
    assert content
    assert content in whole
    again = browser.get(path, HX_Request="true", HX_History_Restore_Request="true").text
    assert again == whole, "going back, htmx asks for the whole page"


@pytest.mark.parametrize(
    "path",
    [
        *["/", "/users", "/users/1", "/users/new", "/users/import", "/groups", "/groups/new"],
        *["/trouble", "/audit", "/settings", "/account"],
    ],
)
def test_a_page_has_one_primary_button_at_most(browser, context, path):
    context.users.add("alice", "secret")
    primary = re.findall(r'class="(?:[^"]* )?p(?: [^"]*)?"', browser.get(path).text)
    assert len(primary) <= 1


def test_the_style_sheet_stays_small():
    """It is the first thing that a browser waits for."""
    sheet = (pages.STATIC / "admin.css").read_bytes()
    assert len(gzip.compress(sheet)) < 7000
