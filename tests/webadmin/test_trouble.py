"""The page of trouble: bans and trusted networks, and their buttons."""

import re

import pytest

from sip.config import Config
from sip.store.bans import Ban, BansChanged
from tests.webadmin.conftest import REALM


@pytest.fixture
def banned(context) -> Ban:
    now = int(context.clock())
    ban = Ban("192.0.2.66", "guessed passwords, last user <b>alice</b>", now - 120, now + 480, 2)
    context.bans.save(ban)
    return ban


def test_the_page_shows_bans_with_reason_and_duration(browser, banned):
    page = browser.get("/trouble")
    words = page.words
    assert "192.0.2.66 guessed passwords, last user <b>alice</b> 2 min ago 8 min 2 " in words
    assert "<b>alice" not in page.text  # a peer has chosen that name


def test_an_ended_ban_is_not_shown(browser, banned, clock):
    clock.now += 481
    assert "No address is banned." in browser.get("/trouble").words


def test_a_ban_is_lifted_by_its_button(browser, context, banned):
    told = []
    context.bans.bus.listen(
        BansChanged, lambda event: told.append((list(event.bans), list(event.trusted)))
    )
    answer = browser.post("/bans/remove", address="192.0.2.66")
    assert (answer.status, answer.location) == (303, "/trouble")
    words = browser.get("/trouble").words
    assert "192.0.2.66 is no longer banned." in words
    assert "No address is banned." in words
    assert told == [([], [])]
    browser.post("/bans/remove", address="192.0.2.66")
    assert "This address is not banned." in browser.get("/trouble").words


def test_trusting_a_network_removes_its_bans(browser, context, banned):
    browser.post("/bans/trust", network="192.0.2.0/24")
    words = browser.get("/trouble").words
    assert "No address is banned." in words
    assert context.bans.trusted() == ["192.0.2.0/24"]
    browser.post("/bans/distrust", network="192.0.2.0/24")
    assert "192.0.2.0/24 is no longer trusted." in browser.get("/trouble").words
    assert not context.bans.trusted()
    acts = [(entry.act, entry.about) for entry in context.audit.entries("bans")]
    assert acts == [
        ("network trusted no more", "192.0.2.0/24"),
        ("network trusted", "192.0.2.0/24"),
    ]
    assert "network no longer trusted 192.0.2.0/24" in browser.get("/audit").words
    browser.post("/bans/distrust", network="192.0.2.0/24")
    assert "This network is not trusted." in browser.get("/trouble").words


def test_an_invalid_network_stays_in_the_form_with_the_reason(browser, context):
    answer = browser.post("/bans/trust", network="<everybody>")
    assert answer.status == 422
    assert "'<everybody>' is not an address or network; write it like" in answer.words
    assert answer.value("network") == "<everybody>"
    assert not context.bans.trusted()


def test_networks_of_the_settings_are_shown_without_a_button(browser, context):
    from ipaddress import ip_network

    context.config = Config(sip_realm=REALM, guard_trusted=(ip_network("10.0.0.0/8"),))
    words = browser.get("/trouble").words
    assert "10.0.0.0/8 set by -guard.trusted" in words
    assert "Remove" not in words


def test_the_field_for_a_network_is_empty_at_first(browser, context):
    """It does not repeat the last network of the list."""
    context.bans.trust("192.0.2.0/24")
    (field,) = re.findall(r"<input[^>]*placeholder=[^>]*>", browser.get("/trouble").text)
    assert 'name="network" value=""' in field


def test_the_old_address_leads_to_the_page(browser):
    answer = browser.get("/bans")
    assert (answer.status, answer.location) == (303, "/trouble")


def test_bans_require_a_session(stranger, context, banned):
    assert stranger.get("/trouble").location == "/login?next=/trouble"
    stranger.post("/bans/remove", address="192.0.2.66")
    assert context.bans.list(context.clock()) == [banned]
