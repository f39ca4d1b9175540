"""What phones fetch: links of one use, files behind the secret path, and attacks on both."""

import re
from dataclasses import replace

import pytest

from sip.store.audit import Act
from sip.store.desk_phones import DeskPhones
from tests.support.wsgi_browser import Browser
from webadmin.phone_setups import SECONDS
from webadmin.sign_in_limits import MAX_TRIES

SECRET = "a-secret-path-of-this-server"
MAC = "001565aabbcc"
FILE = f"/provision/{SECRET}/{MAC}.cfg"


@pytest.fixture
def alice(context):
    context.config = replace(context.config, provision_secret=SECRET)
    return context.users.add("alice", "old password")


@pytest.fixture
def phone(browser):
    """A phone that reaches the server through a proxy with TLS on the same machine."""
    return Proxied(browser.app, address="127.0.0.1")


class Proxied(Browser):
    def get(self, path, **headers):
        return super().get(path, **{"X-Forwarded-Proto": "https", **headers})


@pytest.fixture
def link(browser, alice):
    """Make a link as an administrator whose pages come by HTTPS."""

    def make(number=alice.id) -> str:
        path = browser.post(f"/users/{number}/setup/link").location
        page = browser.get(path, Origin="https://pbx.example.com:8080")
        (found,) = re.findall(r'value="https://pbx.example.com:8080(/provision/[^"]*)"', page.text)
        assert "data:image/svg+xml" in page.text
        return found

    return make


@pytest.fixture
def desk_phone(context, alice):
    DeskPhones(context.users.database).add(MAC, alice.id)
    return alice


def acts(context):
    return [(entry.who, entry.act, entry.about) for entry in context.audit.entries()]


def password_in(answer):
    found = re.search(r"account\.1\.password = (\S+)", answer.text)
    return found[1] if found else None


def test_a_link_gives_the_settings_once(context, alice, link, phone):
    path = link()
    answer = phone.get(path)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/xml")
    assert answer.headers["cache-control"] == "no-store, no-transform"
    assert alice.ha1_md5 in answer.text
    again = phone.get(path)
    assert again.status == 404
    assert "used already" in again.text
    assert context.users.find("alice", "example.com").ha1_md5 == alice.ha1_md5
    assert acts(context)[0] == ("admin", Act.SETTINGS_FETCHED, "alice, by a link")


def test_a_link_is_shown_once_and_not_in_the_log(browser, link, caplog):
    with caplog.at_level("DEBUG"):
        path = link()
    assert path.rpartition("/")[2] not in caplog.text
    assert "/provision/link/" not in browser.get("/users/1/setup").text


def test_a_head_request_does_not_use_a_link_up(link, phone):
    path = link()
    assert phone.send("HEAD", path, b"", {"X-Forwarded-Proto": "https"}).status == 405
    assert phone.get(path).status == 200


def test_an_expired_link_gives_nothing(link, phone, clock):
    path = link()
    clock.now += SECONDS
    assert phone.get(path).status == 404


@pytest.mark.parametrize("act", ["disable", "remove"])
def test_a_link_ends_with_its_account(browser, link, phone, act):
    path = link()
    browser.post(f"/users/1/{act}")
    answer = phone.get(path)
    assert (answer.status, "deleted or disabled" in answer.text) == (404, True)


def test_a_link_that_was_sent_in_clear_is_void(link, phone):
    path = link()
    answer = Browser(phone.app, address="198.51.100.7").get(path, Origin="https://x.test")
    assert answer.status == 403
    assert "needs HTTPS" in answer.text
    assert phone.get(path).status == 404
    path = link()
    assert phone.get(path, **{"X-Forwarded-Proto": "http"}).status == 403


def test_no_link_is_shown_on_a_page_without_tls(browser, alice):
    page = browser.get(browser.post("/users/1/setup/link").location)
    assert "A QR code needs HTTPS" in page.words
    assert "/provision/link/" not in page.text


def test_guessers_of_links_are_blocked(link, phone):
    """But not a phone behind the same proxy, with a valid link."""
    path = link()
    for number in range(MAX_TRIES):
        assert phone.get(f"/provision/link/{number}").status == 404
    answer = phone.get("/provision/link/another")
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) > 0
    assert phone.get(path).status == 200


def test_files_are_off_without_the_setting(context, desk_phone, phone):
    context.config = replace(context.config, provision_secret="")
    assert phone.get(FILE).status == 404
    assert phone.get(f"/provision//{MAC}.cfg").status == 404


def test_a_desk_phone_gets_a_new_password_once(context, browser, desk_phone, phone, caplog):
    assert password_in(phone.get(FILE)) is None
    assert context.users.find("alice", "example.com").ha1_md5 == desk_phone.ha1_md5
    answer = browser.post(f"/users/{desk_phone.id}/desk-phones/open", mac=MAC)
    assert "gets a new password" in browser.get(answer.location).words
    with caplog.at_level("DEBUG"):
        password = password_in(phone.get(FILE))
    assert password
    assert password not in caplog.text
    assert SECRET not in caplog.text
    assert context.users.find("alice", "example.com").ha1_md5 != desk_phone.ha1_md5
    assert password_in(phone.get(FILE)) is None
    about = "alice, with a new password, by the desk phone 00:15:65:AA:BB:CC"
    assert acts(context)[0] == ("admin", Act.SETTINGS_FETCHED, about)


def test_a_window_closes_after_ten_minutes(context, browser, desk_phone, phone, clock):
    browser.post(f"/users/{desk_phone.id}/desk-phones/open", mac=MAC)
    clock.now += SECONDS
    assert password_in(phone.get(FILE)) is None


@pytest.mark.parametrize(
    ("name", "part"),
    [("cfg001565AABBCC.xml", "<gs_provision"), ("snomD735-001565AABBCC.xml", "<phone-settings>")],
)
def test_each_maker_gets_its_own_file(desk_phone, phone, name, part):
    answer = phone.get(f"/provision/{SECRET}/{name}")
    assert answer.status == 200
    assert part in answer.text


def test_files_need_tls_and_the_secret(desk_phone, phone):
    answer = Browser(phone.app, address="198.51.100.7").get(FILE)
    assert answer.status == 403
    assert "HTTPS only" in answer.text
    assert phone.get(f"/provision/another-secret-of-this/{MAC}.cfg").status == 404
    assert phone.get(f"/provision/{SECRET}/001565aabbcd.cfg").status == 404


def test_files_of_a_model_do_not_count_as_guesses(desk_phone, phone):
    """A phone asks for some of them at each start."""
    for _ in range(2 * MAX_TRIES):
        assert phone.get(f"/provision/{SECRET}/y000000000028.cfg").status == 404
    assert phone.get(FILE).status == 200


def test_guessers_of_the_secret_do_not_block_phones(desk_phone, link, phone):
    """They learn nothing: the answer is the same with and without a phone of that MAC address."""
    path = link()
    guesses = ("x" * 20, SECRET[:-1], SECRET + "x", SECRET.upper())
    for number in range(MAX_TRIES):
        wrong = phone.get(f"/provision/{guesses[number % 4]}/{MAC}.cfg")
        assert (wrong.status, wrong.text) == (404, "There is no file for this phone.\n")
    blocked = [phone.get(f"/provision/{'x' * 20}/{mac}.cfg") for mac in (MAC, "001565aabbcd")]
    assert [answer.status for answer in blocked] == [429, 429]
    assert blocked[0].text == blocked[1].text
    assert phone.get("/provision/link/x").status == 429
    assert phone.get(FILE).status == 200
    assert phone.get(path).status == 200


def test_guessers_of_mac_addresses_are_blocked(desk_phone, phone):
    for number in range(MAX_TRIES):
        assert phone.get(f"/provision/{SECRET}/{number:012x}.cfg").status == 404
    assert phone.get(FILE).status == 429


def test_a_disabled_user_has_no_file(browser, desk_phone, phone):
    browser.post(f"/users/{desk_phone.id}/disable")
    assert phone.get(FILE).status == 404


def test_the_page_of_a_user_adds_and_removes_phones(context, browser, alice):
    def says(act, mac):
        answer = browser.post(f"/users/{alice.id}/desk-phones{act}", mac=mac)
        return browser.get(answer.location).words

    assert "00:15:65:AA:BB:CC was added" in says("", "00-15-65-AA-BB-CC")
    assert "12 digits" in says("", "phone")
    bob = context.users.add("bob", "secret")
    answer = browser.post(f"/users/{bob.id}/desk-phones/open", mac=MAC)
    assert answer.status == 404, "the phone of another user"
    assert browser.post(f"/users/{bob.id}/desk-phones/remove", mac=MAC).status == 404
    assert "was removed" in says("/remove", MAC)
    assert [act for _, act, _ in acts(context)[:2]] == [
        Act.DESK_PHONE_REMOVED,
        Act.DESK_PHONE_ADDED,
    ]
