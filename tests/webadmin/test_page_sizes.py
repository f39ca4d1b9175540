"""How much the first visit of a page loads: the page and all files that it names, in gzip."""

import gzip
import re

import pytest

from webadmin.app import pages as build_pages
from webadmin.import_service import ImportService
from webadmin.token_check import TokenCheck

MOST = 60_000  # octets
# Long, as names of people and devices are, and all different, so that they hardly compress.
USERS = 50


@pytest.fixture
def filled(context, browser, bound):
    """A browser, and a full page of users, each with two phones."""
    for number in range(USERS):
        name = f"{number * 7919 % 1000:03}-{hash_text(number, 12)}"
        account = context.users.add(name, "secret-1", display_name=f"Name {hash_text(-number, 24)}")
        for phone in range(2):
            contact = f"sip:{name}@198.51.{phone}.{number}:{50000 + number * 31 % 9999}"
            bound(account, contact, user_agent=f"Phone {hash_text(number + phone, 16)}")
    return browser


def hash_text(number: int, length: int) -> str:
    """Return hexadecimal digits that do not compress further than to a half."""
    return f"{(number * 0x9E3779B97F4A7C15 + 0x1234567) % 16**length:0{length}x}"


def first_visit(browser, path: str) -> int:
    """Return the octets that the first visit of a page loads; 0 if it is no page."""
    answer = browser.get(path, **{"Accept-Encoding": "gzip", **browser.own_site})
    if answer.status != 200 or not answer.headers["content-type"].startswith("text/html"):
        return 0
    is_packed = answer.headers.get("content-encoding") == "gzip"
    page = (gzip.decompress(answer.body) if is_packed else answer.body).decode()
    files = {*re.findall(r'(?:src|href)="(/static/[^"#]+)', page)}
    assert files, path
    sizes = [len(browser.get(file, **{"Accept-Encoding": "gzip"}).body) for file in files]
    return len(answer.body) + sum(sizes)


def test_the_first_visit_of_each_page_is_small(context, filled):
    """What an administrator waits for over a slow line."""
    app = build_pages(context, TokenCheck(context), ImportService(context), dict)
    rules = [each.rule for each in app.routes if each.method == "GET"]
    paths = {rule.replace("<number:id>", "1") for rule in rules}
    paths = {path for path in paths if not path.endswith("/events")}  # these never end
    sizes = {path: first_visit(filled, path) for path in paths if "<" not in path}
    pages = {path: size for path, size in sizes.items() if size}
    assert {"/", "/users", "/users/1", "/settings", "/api", "/history"} <= {*pages}
    assert max(pages.values()) < MOST, sorted(pages.items(), key=lambda each: -each[1])[:3]
