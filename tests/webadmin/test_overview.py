"""The first page: its parts, and how it helps to the first call."""

import io
import socket
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sip.addresses import Address, Advertised
from sip.config import Config
from sip.listening import ListeningAddress
from sip.monitor.calls import Calls
from sip.monitor.day_lines import CallsToday
from sip.monitor.events import (
    Bus,
    CallAnswered,
    CallStarted,
    CallUpdated,
    Party,
    PhonesRinging,
    RingingPhone,
)
from sip.monitor.health import Check
from sip.store.importing import import_accounts
from sip.store.users import Users
from tests.support.followed_calls import ANSWER, OFFER
from webadmin.context import OperatorWarning
from webadmin.warnings import current_warnings


def test_an_empty_server_leads_to_the_first_user(browser):
    words = browser.get("/").words
    assert "Phones online 0 of 0 users" in words
    assert "Add the first user" in words
    assert "Nothing since the start of the server." in words


def test_before_the_first_phone_the_page_shows_what_to_type(browser, context):
    context.users.add("carol", "secret")
    words = browser.get("/").words
    assert "Phones online 0 of 1 user " in words
    assert "No phone is registered yet" in words
    assert "User name carol" in words
    assert "Domain, server or registrar pbx.example.com" in words
    assert "Transport UDP" in words
    assert "Realm, if the phone asks for it example.com" in words
    context.phones.online = 1
    words = browser.get("/").words
    assert "Phones online 1 of 1 user " in words
    assert "1 thing needs you" in words, "the pages are not encrypted"
    context.config = replace(context.config, web_cert="a.pem", web_key="b.pem")
    assert "All is well for 1 phone" in browser.get("/").words
    assert "No phone is registered yet" not in words


def test_warnings_are_shown_with_their_remedy(browser, context):
    context.warnings = lambda: [
        OperatorWarning("The <disk> is full.", "Make room.", "See", "/users")
    ]
    words = browser.get("/").words
    assert "2 things need you" in words, "with the encryption"
    assert "The <disk> is full. Make room. See" in words


def test_the_first_registered_phone_is_invited_to_call_echo(browser, context):
    context.users.add("carol", "secret")
    context.phones.online = 1
    context.config = replace(context.config, robot=False)
    assert "call echo" not in browser.get("/").words, "without the robot"
    context.config = replace(context.config, robot=True)
    assert "Registered, call echo The phone of carol is registered." in browser.get("/").words
    context.calls_today = lambda: CallsToday(1, 1, 10.0)
    assert "call echo" not in browser.get("/").words, "once a call was made"


def test_the_calls_of_now_are_shown_with_their_ladders(browser, context, clock):
    alice = context.users.add("alice", "secret", display_name="Alice Liddell")
    bus = Bus(clock)
    context.calls = Calls(bus)
    caller = Party("sip:alice@example.com", alice.id, "alice", "example.com")
    callee = Party("sip:0049301234@example.com", 0, "", "")
    head = ("call/1", "tag", caller, callee, ("192.0.2.9", 5060), "UDP", "")
    bus.publish(CallStarted(clock() - 69, *head))
    page = browser.get("/")
    assert "All 1" in page.words
    assert "Alice Liddell alice → 0049301234 Ringing 1:09 Ladder" in page.words
    assert 'href="/traces/call%2F1"' in page.text
    phone = (("192.0.2.10", 5060), "UDP", "")
    phones = tuple(RingingPhone(*phone, False) for _ in range(3))
    bus.publish(PhonesRinging(clock(), "call/1", "tag", phones))
    assert "Ringing 1:09 3 phones Ladder" in browser.get("/").words
    bus.publish(CallAnswered(clock() - 12, "call/1", "tag", "to", 200, *phone, False, ANSWER))
    assert "Talking 0:12 PCMA Ladder" in browser.get("/").words
    held = (OFFER, ANSWER, frozenset({"caller"}))
    bus.publish(CallUpdated(clock(), "call/1", "tag", *held))
    assert "On hold 0:12 PCMA held by Alice Liddell Ladder" in browser.get("/").words


def test_some_checks_are_shown_and_all_that_are_not_ok(browser, context):
    checks = [
        Check("SIP over UDP", "ok", "Answers."),
        Check("NAT", "ok", "None."),
        Check("Clock", "warning", "No time service.", "Start one."),
    ]
    context.health = SimpleNamespace(known=lambda: checks)
    words = browser.get("/").words
    assert "SIP over UDP Answers. ok" in words
    assert "Clock what to do warning" in words, "the cure is under Needs you"
    assert "NAT" not in words


def settings(browser, context, config: Config) -> str:
    context.config = config
    return browser.get("/").words


@pytest.mark.parametrize(
    ("config", "domain"),
    [
        (Config(), "pbx.example.com"),
        (Config(sip_addr=Address(None, 5070)), "pbx.example.com:5070"),
        (Config(sip_addr=Address("192.0.2.1", 5060)), "192.0.2.1"),
        (Config(sip_addr=Address("2001:db8::1", 5070)), "[2001:db8::1]:5070"),
        (Config(sip_advertise=Advertised("sip.example.net", None)), "sip.example.net"),
        (Config(sip_advertise=Advertised("sip.example.net", 5080)), "sip.example.net:5080"),
    ],
)
def test_the_settings_name_the_server_as_a_phone_finds_it(browser, context, config, domain):
    context.users.add("carol", "secret")
    words = settings(browser, context, replace(config, sip_realm="example.com"))
    assert f"registrar {domain} Transport" in words
    assert f"Address for callers sip:carol@{domain}" in words


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_no_phone_is_advised_to_register_with_the_wildcard(browser, context, host):
    config = Config(sip_addr=Address(host, 5060), sip_realm="example.com")
    assert "registrar pbx.example.com Transport" in settings(browser, context, config)


def test_every_transport_that_listens_is_named(browser, context):
    """Taken from the open sockets, port included: with -sip.addr :0 the system chooses one."""
    alice = context.users.add("alice", "secret")
    context.config = Config(sip_addr=Address("192.0.2.1", 0), sip_realm="example.com")
    open_sockets = [
        ListeningAddress("UDP", "192.0.2.1", 5070),
        ListeningAddress("TCP", "192.0.2.1", 5070),
        ListeningAddress("TLS", "192.0.2.1", 5071),
    ]
    context.listening = lambda: open_sockets
    overview = browser.get("/").words
    assert "SIP 192.0.2.1:5070 UDP, TCP 192.0.2.1:5071 TLS Realm" in overview
    for words in (overview, browser.get(f"/users/{alice.id}").words):
        assert "registrar 192.0.2.1:5070 Transport UDP or TCP or TLS (port 5071) Realm" in words
    del open_sockets[1:]
    assert "Transport UDP Realm" in browser.get("/").words


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_no_phone_is_advised_to_register_with_itself(context, browser, host):
    """The administrator's browser may run on the server; a phone doesn't."""
    words = browser.send("GET", "/", b"", {"Host": host}).words
    found = words.split("registrar ")[1].split()[0]
    assert found not in ("localhost", "127.0.0.1", "[::1]") or no_network()


def no_network() -> bool:
    """Whether this machine has no way to anywhere: then it has no better name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return True
    return False


def test_the_warning_of_a_renamed_realm_names_the_remedy(context):
    context.users.add("alice", "secret")
    renamed = Users(context.users.database, "other.example")
    (first,) = current_warnings(Config(sip_realm="other.example"), renamed)
    assert "start with -sip.realm example.com" in first.remedy


def test_accounts_without_sha_digests_cause_a_warning(context):
    rows = b"username,ha1\nold,0123456789abcdef0123456789abcdef\n"
    import_accounts(context.users, io.BytesIO(rows))
    (only,) = current_warnings(Config(sip_realm="example.com"), context.users)
    assert only.text.startswith("SHA-256 cannot be offered in the realm example.com")


def test_a_browser_without_a_host_gets_its_page_too(context, browser):
    assert browser.send("GET", "/", b"", {"Host": ""}).status == 200
