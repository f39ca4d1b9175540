"""The last calls on the page of a user."""

from dataclasses import dataclass

from sip.monitor.calls import CallResult
from tests.webadmin.conftest import REALM
from webadmin.user_calls import SOME_CALLS


@dataclass
class Side:
    user_id: int
    name: str
    username: str

    def number(self, main_realm: str = "") -> str:
        assert main_realm == REALM
        return self.username


@dataclass
class Past:
    """A call of the history."""

    caller: Side
    callee: Side
    result: str
    rang_seconds: float = 0.0
    talked_seconds: float = 0.0
    cause: str = ""
    cure: str = ""
    call_id: str = "call/1"
    started_at: float = 1_699_999_000.0


def test_calls_are_shown_from_the_side_of_the_user(browser, context):
    number = context.users.add("carol", "secret").id
    carol, door, rosa = Side(number, "", "carol"), Side(9, "Front door", "101"), Side(0, "", "+49")
    calls = [
        Past(carol, door, CallResult.ANSWERED, 4.0, 192.0, "the callee hung up"),
        Past(rosa, carol, CallResult.MISSED, 20.0, cause="no answer in time", cure="Look at it."),
    ]
    asked = []
    context.last_calls = lambda *question: asked.append(question) or calls
    page = browser.get(f"/users/{number}")
    assert asked == [(number, SOME_CALLS)]
    assert "→ Front door 101 Answered 3:12 16 min ago ladder" in page.words
    assert "← +49 No answer in time. Look at it. Missed rang 20 s" in page.words
    assert page.text.count('href="/traces/call%2F1"') == 2
    assert 'href="/history?user=carol"' in page.text


def test_the_page_of_a_user_without_calls_says_so(browser, context):
    number = context.users.add("carol", "secret").id
    assert "This user has made and got no call yet." in browser.get(f"/users/{number}").words
