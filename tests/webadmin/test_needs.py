"""What needs the administrator, and the cure as a button."""

from types import SimpleNamespace

import pytest

from sip.config import Config
from sip.core.guard.guard import Guard
from sip.core.guard.password_limits import MAX_FAILURES_OF_USER
from sip.monitor.events import (
    UNREGISTERED_BY_CLOSE,
    UNREGISTERED_BY_TIME,
    Bus,
    Refused,
    Sender,
    Unregistered,
)
from sip.monitor.health import Check, Status
from sip.monitor.lost_phones import LostPhones
from sip.monitor.refusals import Refusals
from sip.store.bans import Ban
from tests.webadmin.conftest import REALM
from webadmin.context import OperatorWarning
from webadmin.needs import MAX_OF_KIND, issues

HERE = "192.0.2.7"


@pytest.fixture
def bus(context, clock) -> Bus:
    """The bus of a server that runs on the clock of the pages."""
    bus = Bus(clock)
    context.guard = Guard(clock, clock, (), lambda *who: False, lambda rules: False, bus)
    context.refusals = Refusals()
    context.lost_phones = LostPhones(bus)
    context.config = Config(sip_realm=REALM, web_cert="cert.pem", web_key="key.pem")
    return bus


def guesses(context, username: str, address: str = HERE) -> None:
    for _ in range(MAX_FAILURES_OF_USER):
        context.guard.login_failed(address, username, nonce_is_ours=True)


def loses(context, bus, username: str, reason: str = UNREGISTERED_BY_TIME) -> int:
    number = context.users.find(username, REALM).id
    phone = ("sip:x@192.0.2.44", "Doorbird D2101V", ("192.0.2.44", 5060), "UDP", reason)
    bus.publish(Unregistered(bus.now(), number, username, REALM, *phone))
    return number


def test_a_wrong_password_is_cured_by_its_button(browser, context, bus, clock):
    context.users.add("carol", "secret")
    guesses(context, "carol")
    refuses(context, "carol")
    clock.now += 180
    page = browser.get("/")
    assert f"carol can't register from {HERE}: wrong password" in page.words
    assert "5 wrong passwords, the last 3 min ago by MicroSIP 3.21." in page.words
    assert "That address has to wait for 7 min." in page.words
    assert 'action="/bans/forgive"' in page.text
    answer = browser.post("/bans/forgive", username="carol", address=HERE, page="/")
    assert (answer.status, answer.location) == (303, "/")
    words = browser.get("/").words
    assert f"carol can log in again from {HERE}." in words
    assert "can't register" not in words


def refuses(context, username: str, address: str = HERE) -> None:
    who = (f"wrong password for {username}", "", username, REALM, username, "", (address, 5060))
    refused = (Sender.USER, "REGISTER", 401, *who, address, "UDP", "MicroSIP 3.21", "one", "tag")
    context.refusals.add(Refused(context.clock(), *refused))


def test_a_user_at_a_banned_address_is_cured_by_unban(browser, context, bus, clock):
    """Addresses of strangers, which are most bans, need nothing."""
    now = int(clock())
    for address in (HERE, "192.0.2.66"):
        context.bans.save(Ban(address, "guessed passwords", now, now + 600, 1))
    context.users.add("carol", "secret")
    refuses(context, "carol")
    refuses(context, "admin", "192.0.2.66")
    (issue,) = issues(context)
    assert issue.title == f"carol can't register from {HERE}: that address is banned"
    assert "Reason: guessed passwords. The ban ends in 10 min." in issue.detail
    assert browser.post(issue.href, **dict(issue.fields)).location == "/"
    assert f"{HERE} is no longer banned." in browser.get("/").words
    assert issues(context) == []


def test_a_refused_phone_is_shown_until_it_registers(context, bus):
    context.users.add("carol", "secret")
    refuses(context, "carol")
    (issue,) = issues(context)
    assert issue.title == f"carol can't register from {HERE}: wrong password for carol"
    context.refusals.clear_refused("carol", HERE)
    assert issues(context) == []


def test_the_button_leads_to_no_other_site(browser, context, bus):
    guesses(context, "carol")
    fields = {"username": "carol", "address": HERE, "page": "//evil.example/"}
    assert browser.post("/bans/forgive", **fields).location == "/trouble"


def test_guessed_names_without_an_account_need_nothing(context, bus):
    guesses(context, "admin")
    assert issues(context) == []


def test_many_logins_that_wait_are_one_more_issue(context, bus):
    context.users.add("carol", "secret")
    for number in range(MAX_OF_KIND + 2):
        guesses(context, "carol", f"192.0.2.{number}")
    found = issues(context)
    assert len(found) == MAX_OF_KIND + 1
    assert found[-1].title == "2 more logins have to wait"


def test_a_lost_phone_is_named_after_a_minute(context, bus, clock):
    context.users.add("door", "secret", display_name="Front door")
    number = loses(context, bus, "door")
    assert issues(context) == [], "it may come back by itself"
    clock.now += 1200
    (issue,) = issues(context)
    assert issue.title == "“Front door” has been offline for 20 min"
    assert issue.detail.startswith(
        "Its registration expired; it was Doorbird D2101V at 192.0.2.44."
    )
    assert (issue.action, issue.href) == ("Show", f"/users/{number}")
    context.users.disable("door")
    assert issues(context) == []


def test_a_closed_connection_is_told_as_one(context, bus, clock):
    context.users.add("door", "secret")
    loses(context, bus, "door", UNREGISTERED_BY_CLOSE)
    clock.now += 61
    (issue,) = issues(context)
    assert issue.title == "door has been offline for 1 min 1 s"
    assert issue.detail.startswith("Its connection was closed;")


def test_a_user_with_another_phone_is_not_offline(context, bus, clock):
    context.users.add("door", "secret")
    number = loses(context, bus, "door")
    clock.now += 61
    statement = f"UPDATE users SET online = 1 WHERE id = {number}"
    context.users.database.run(lambda tables: tables.query(statement))
    assert issues(context) == []


def test_many_lost_phones_are_one_more_issue(context, bus, clock):
    for number in range(MAX_OF_KIND + 2):
        context.users.add(f"phone{number}", "secret")
        loses(context, bus, f"phone{number}")
    clock.now += 61
    found = issues(context)
    assert len(found) == MAX_OF_KIND + 1
    assert found[-1].title == "2 more users have gone offline"


def test_checks_that_are_not_ok_are_shown_failing_ones_first(context, bus):
    checks = [
        Check("Clock", Status.WARNING, "No time service.", "Start one."),
        Check("Web encryption", Status.WARNING, "Valid for 5 more days.", "Renew it."),
        Check("Disk space", Status.FAILING, "1 MB is free.", "Delete files."),
        Check("Database", Status.OK, "Writable."),
    ]
    context.health = SimpleNamespace(known=lambda: checks)
    first, clock, days = issues(context)
    assert first == (True, "Disk space: 1 MB is free.", "Delete files.", *link("disk-space"))
    assert clock == (False, "Clock: No time service.", "Start one.", *link("clock"))
    assert days.title == "Web encryption: Valid for 5 more days."


def link(anchor: str) -> tuple[object, ...]:
    return "Show", f"/health#{anchor}", ()


def test_pages_without_encryption_are_one_issue(context, bus):
    check = Check("Web encryption", Status.WARNING, "Not encrypted.", "Set -web.cert.")
    context.health = SimpleNamespace(known=lambda: [check])
    context.config = Config(sip_realm=REALM)
    (only,) = issues(context)
    assert (only.title, only.action) == ("These pages are not encrypted", "Set up HTTPS")


def test_each_issue_has_a_button_or_a_link(context, bus, clock):
    """Also a warning about accounts."""
    other = context.users.add("carol", "secret", realm="branch.example")
    context.warnings = lambda: [OperatorWarning("Some fail.", "Mend.", "Show users", "/users?x")]
    refuses(context, "dora")
    refused = (Sender.USER, "REGISTER", 401, "wrong password", "", "carol", "branch.example")
    where = ("carol@branch.example", "", (HERE, 5060), HERE, "UDP", "", "two", "tag")
    context.refusals.add(Refused(clock(), *refused, *where))
    found = {issue.title.split()[0]: issue for issue in issues(context)}
    assert (found["Some"].action, found["Some"].href) == ("Show users", "/users?x")
    assert found["dora"].href == "/trouble"
    assert found["carol@branch.example"].href == f"/users/{other.id}", "the cure is done there"
    assert all(issue.action and issue.href for issue in found.values())
