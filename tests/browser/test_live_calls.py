"""Real calls, and the open page of calls that shows them."""

import contextlib
import re

import pytest

from tests.support.baresip import Baresip
from tests.support.phone_calls import talk
from tests.support.pjsua import Pjsua
from tests.support.programs import until


@pytest.fixture
def phones(server, tmp_path):
    """Alice and bob, registered: a baresip and a pjsua2."""
    server.has_users("alice", "bob")
    with contextlib.ExitStack() as stack:
        found = []
        for kind, user in ((Baresip, "alice"), (Pjsua, "bob")):
            phone = kind(user, tmp_path / user, server)
            stack.enter_context(contextlib.closing(phone))
            phone.registers()
            found.append(phone)
        yield found


def test_the_page_follows_a_call_and_ends_it(visit, phones):
    """Without a reload: it rings, talks, its time runs on, and a click ends it at both phones.

    Then the history has it.
    """
    alice, bob = phones
    window = visit()
    window.signs_in()
    window.goes_to("/calls")
    page = window.page
    page.get_by_text("live", exact=True).wait_for()
    page.evaluate("window.isTheSamePage = true")
    alice.dials(bob)
    bob.gets_a_call(alice)
    window.sees("1 ringing")
    window.sees("1 phone rings")
    bob.answers()
    alice.is_talking(bob)
    window.sees("1 talking")
    time = page.locator("[data-running]")
    first = time.inner_text()
    assert re.fullmatch(r"0:\d\d", first)
    page.wait_for_function(
        "first => document.querySelector('[data-running]').textContent !== first", arg=first
    )
    assert page.evaluate("window.isTheSamePage")
    assert page.get_by_text("live", exact=True).is_visible()
    page.get_by_role("button", name="Hang up the call from alice to bob").click()
    window.sees("The call from alice to bob was ended.")
    alice.call_ends(bob)
    bob.call_ends(alice)
    window.sees("No call rings or talks now.")
    row = page.locator("table.past-calls tr", has_text="bob")

    def is_in_history() -> bool:
        window.goes_to("/history")
        return row.count() == 1

    until(is_in_history, "the call is in the history")
    assert row.locator(".pill", has_text="Answered").is_visible()
    row.get_by_role("link", name="Ladder").click()
    page.locator(".pill", has_text="Answered by").wait_for()


def test_a_call_that_fails_shows_its_sentence_for_a_while(visit, phones):
    alice, bob = phones
    window = visit()
    window.signs_in()
    window.goes_to("/calls")
    alice.dials(bob)
    bob.gets_a_call(alice)
    window.sees("1 ringing")
    bob.refuses()
    window.sees("is busy.")
    window.page.get_by_text("No call rings or talks now.").wait_for(timeout=15_000)


def test_a_sign_out_in_another_tab_ends_the_live_page(visit, server):
    window = visit()
    window.signs_in()
    window.goes_to("/calls")
    page = window.page
    page.get_by_text("live", exact=True).wait_for()
    answer = page.context.request.post(
        server.web_url + "/logout", headers={"Origin": server.web_url}
    )
    assert answer.ok
    page.wait_for_url(re.compile("/login"))


def test_a_call_is_ended_without_scripts(visit, phones):
    talk(*phones)
    window = visit(java_script_enabled=False)
    window.signs_in()
    window.goes_to("/calls")
    window.sees("1 talking")
    window.page.get_by_role("button", name="Hang up the call").click()
    window.sees("was ended")
    phones[0].call_ends()
