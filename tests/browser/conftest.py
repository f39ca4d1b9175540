"""Fixtures: a real browser, and the real server."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, sync_playwright

from tests.support.programs import program
from tests.support.server import Server

PASSWORD = "correct horse battery staple"
AXE = (Path(__file__).parent / "vendor/axe/axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# Those of them that depend on colours: all that a theme changes (light-dark() in admin.css).
RULES_OF_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
WIDTHS = [390, 1280]
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # A microphone for the phone in the browser.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
# Messages that may appear on the console: error responses that a test causes, and on a busy machine
# a field that the test has focused before the page did.
EXPECTED = (
    "Failed to load resource: the server responded with a status of",
    "Autofocus processing was blocked because a document already has a focused element",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.wire)


class Visitor:
    """A browser window.  Any other message on the console fails the test."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server
        self.faults: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("request", self._watch)

    def goes_to(self, path: str) -> None:
        self.page.goto(self.server.web_url + path)

    def signs_in(self) -> None:
        self.goes_to("/login")
        self.page.get_by_label("User name").fill("admin")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Overview").wait_for()

    def sees(self, text: str) -> None:
        """Wait until the page shows a text."""
        self.page.get_by_text(text).first.wait_for()

    def violations(self, rules: list[str] | dict = RULES) -> list[str]:
        """Have axe examine the page by WCAG 2.2, levels A and AA, or by some of its rules."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE)
        result = self.page.evaluate(
            "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules
        )
        assert result["passes"], "axe has examined nothing"
        return [
            f"{found['id']}: {node['html'][:150]} {node['failureSummary']}"
            for found in result["violations"]
            for node in found["nodes"]
        ]

    def faults_of_page(self, widths: Sequence[int] = WIDTHS) -> list[str]:
        """Examine the page in all widths and both themes: by axe, and for sideways scrolling."""
        faults = []
        for width in widths:
            self.page.set_viewport_size({"width": width, "height": 844})
            for theme, rules in (("dark", RULES_OF_COLOURS), ("light", RULES)):
                self.page.emulate_media(color_scheme=theme)
                faults += [f"{width} px, {theme}: {fault}" for fault in self.violations(rules)]
            if self.scrolls_sideways():
                faults.append(f"{width} px: {self.page.url} scrolls sideways")
        return faults

    def scrolls_sideways(self) -> bool:
        return self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )

    def _hear(self, message: ConsoleMessage) -> None:
        if not message.text.startswith(EXPECTED):
            self.faults.append(f"{self.page.url}: {message.type}: {message.text}")

    def _watch(self, request) -> None:
        if not request.url.startswith((self.server.web_url, "data:")):
            self.faults.append(f"request to another server: {request.url}")


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=program("chromium"), args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def flags() -> list[str]:
    """Flags of the server, in addition to those of all."""
    return []


@pytest.fixture
def server(tmp_path: Path, flags: list[str]) -> Iterator[Server]:
    """The real server without users, running; `admin` has PASSWORD."""
    server = Server(tmp_path / "server", *flags)
    server.environment["SIPSERVER_ADMIN_PASSWORD"] = PASSWORD
    server.start()
    yield server
    server.close()


@pytest.fixture
def visit(chromium: Browser, server: Server) -> Iterator[Callable[..., Visitor]]:
    """Open a window: `visit(width=390, color_scheme="dark", java_script_enabled=False)`."""
    with ExitStack() as windows:
        visitors = []

        def open_window(width: int = 1280, **options) -> Visitor:
            context = chromium.new_context(
                viewport={"width": width, "height": 844}, reduced_motion="reduce", **options
            )
            windows.callback(context.close)
            context.set_default_timeout(10_000)
            visitor = Visitor(context.new_page(), server)
            visitors.append(visitor)
            return visitor

        yield open_window
        assert not list(itertools.chain.from_iterable(v.faults for v in visitors))


WITH_AND_WITHOUT_SCRIPTS = pytest.mark.parametrize(
    "scripts", [True, False], ids=["with-scripts", "without-scripts"]
)
