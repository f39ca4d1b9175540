"""The page of health."""

from types import SimpleNamespace

from sip.monitor.health import Check

CHECKS = [
    Check("SIP over UDP", "ok", "Answers OPTIONS at :5060 in 0.6 ms."),
    Check("Disk space", "failing", "1 MB is free.", "Delete <files>."),
    Check("Clock", "warning", "No time service.", "Start one."),
]


def test_checks_that_are_not_ok_come_first(browser, context):
    context.health = SimpleNamespace(checks=lambda: CHECKS)
    page = browser.get("/health")
    assert "2 of 3 checks need you" in page.words
    assert "Disk space failing 1 MB is free. Delete <files>." in page.words
    assert "Delete <files>" not in page.text
    assert page.words.index("Clock warning") < page.words.index("SIP over UDP ok")
    assert 'id="disk-space"' in page.text, "other pages link to it"


def test_the_page_says_if_all_is_well(browser, context):
    context.health = SimpleNamespace(checks=lambda: CHECKS[:1])
    assert "All 1 checks are ok" in browser.get("/health").words


def test_the_page_needs_a_session(stranger):
    assert stranger.get("/health").location == "/login?next=/health"
    assert stranger.get("/healthz").words == "ok", "for load balancers, without one"
