"""The ladder of a call of real phones in a real browser."""

from contextlib import closing

import pytest

from tests.browser.conftest import WITH_AND_WITHOUT_SCRIPTS
from tests.support.baresip import Baresip
from tests.support.hostile_markup import registers_nastily
from tests.support.phone_calls import part, talk
from tests.support.pjsua import Pjsua


@pytest.fixture
def phones(server, tmp_path):
    """Alice and bob, registered: a baresip and a pjsua2."""
    server.has_users("alice", "bob")
    with (
        closing(Baresip("alice", tmp_path / "a", server)) as alice,
        closing(Pjsua("bob", tmp_path / "b", server)) as bob,
    ):
        alice.registers()
        bob.registers()
        yield alice, bob


def opens_ladder(window, words: str = "INVITE from alice") -> None:
    """Go to the latest ladder whose link has these words."""
    window.goes_to("/traces")
    window.page.get_by_role("link", name=words).first.click()
    window.page.locator("svg.ladder-picture").wait_for()


def test_a_call_is_followed_while_it_goes_on(visit, phones):
    """The focus stays on the message that the administrator looks at."""
    alice, bob = phones
    window = visit()
    window.signs_in()
    alice.dials(bob)
    bob.gets_a_call(alice)
    opens_ladder(window)
    page = window.page
    page.locator("a.rung", has_text="180 Ringing").first.wait_for()
    page.locator("a.rung").first.focus()
    bob.answers()
    alice.is_talking(bob)
    page.locator("a.rung", has_text="200 OK").last.wait_for()
    assert page.evaluate("document.activeElement.id") == "m1"
    part(alice, bob)
    page.locator("a.rung", has_text="200 OK (BYE)").last.wait_for()
    assert page.locator(".pill", has_text="answered").is_visible()


@WITH_AND_WITHOUT_SCRIPTS
def test_a_message_opens_by_click_and_by_key(visit, phones, scripts):
    alice, bob = phones
    talk(alice, bob)
    part(alice, bob)
    window = visit(java_script_enabled=scripts)
    window.signs_in()
    opens_ladder(window)
    page = window.page
    page.locator("a.rung", has_text="407 Proxy").click()
    page.get_by_role("heading", name="407 Proxy Authentication Required").wait_for()
    assert "m=2" in page.url
    assert page.locator("pre b", has_text="Proxy-Authenticate").count() == 1
    page.locator("a.rung").first.press("Enter")
    page.get_by_role("heading", name="INVITE", exact=True).wait_for()
    page.get_by_label("Compare 1 with").select_option("4")
    page.get_by_role("button", name="Compare").click()
    page.locator(".differs", has_text="Proxy-Authorization").wait_for()
    assert page.locator(".message").count() == 2
    assert "redacted" in page.locator(".message").last.inner_text()
    page.get_by_role("button", name="Show credentials").click()
    page.get_by_text("Credentials and keys are shown.").wait_for()
    assert "redacted" not in page.locator(".message").last.inner_text()


def test_the_text_can_be_copied(visit, phones):
    alice, bob = phones
    talk(alice, bob)
    part(alice, bob)
    window = visit(permissions=["clipboard-read", "clipboard-write"])
    window.signs_in()
    opens_ladder(window)
    window.page.get_by_role("button", name="Copy as text").click()
    window.page.get_by_role("button", name="Copied").wait_for()
    assert "INVITE sip:bob@" in window.page.evaluate("navigator.clipboard.readText()")


def test_ladders_are_accessible(visit, phones):
    """With a failure, which has a sentence; on a phone the picture scrolls within its card."""
    alice, bob = phones
    alice.dials(bob)
    bob.gets_a_call(alice)
    bob.refuses()
    alice.call_ends(bob)
    window = visit()
    window.signs_in()
    opens_ladder(window)
    ladder = window.page.url.removeprefix(window.server.web_url)
    faults = {}
    for path in ("/traces?q=none", ladder, f"{ladder}?compare=1,4", f"{ladder}?secrets=true"):
        window.goes_to(path)
        faults[path] = window.faults_of_page()
    assert not any(faults.values()), faults


def test_markup_in_messages_is_shown_as_text(visit, server):
    """The window fails the test if a script runs, or an image is asked for."""
    server.has_users("alice")
    registers_nastily(server)
    window = visit()
    window.signs_in()
    opens_ladder(window, "REGISTER")
    window.page.locator("a.rung").last.click()
    window.page.get_by_role("heading", name="200 OK (REGISTER)").wait_for()
    window.page.locator("a.rung").first.click()
    window.page.locator("pre", has_text="<script>alert(1)</script>").wait_for()
