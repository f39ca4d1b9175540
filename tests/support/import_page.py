"""The import page of the web admin: rows to import, and its text when the work is done."""

import re

import gevent

from tests.support.wsgi_browser import Browser

ROWS = b"username,password,display_name\nalice,wonder-4711,Alice\n101,8842,Front door\n"


def settled(browser) -> str:
    """Return the text of the import page when its work is done."""
    with gevent.Timeout(20):
        while True:
            page = browser.get("/users/import")
            if "<progress" not in page.text:
                return page.words
            gevent.sleep(0.01)


def number_of(browser: Browser) -> str:
    """Return the number of the preview that the page shows."""
    return re.search(r'name="number" value="(\d+)"', browser.get("/users/import").text)[1]
