"""The first page, and how it helps to the first call."""

import io
import socket
from dataclasses import replace

import pytest

from sip.config import Address, Advertised, Config
from sip.listening import ListeningAddress
from sip.store.importing import import_accounts
from sip.store.users import Users
from webadmin.context import Advice
from webadmin.warnings import advice


def test_an_empty_server_leads_to_the_first_user(browser):
    words = browser.get("/").words
    assert "0 users" in words
    assert "0 users have a phone online" in words
    assert "Add the first user" in words


def test_before_the_first_phone_the_page_shows_what_to_type(browser, site):
    site.users.add("carol", "secret")
    words = browser.get("/").words
    assert "1 user " in words
    assert "No phone is registered yet" in words
    assert "User name carol" in words
    assert "Domain, server or registrar pbx.example.com" in words
    assert "Transport UDP" in words
    assert "Realm, if it asks example.com" in words
    site.phones.online = 1
    words = browser.get("/").words
    assert "1 user has a phone online" in words
    assert "No phone is registered yet" not in words


def test_warnings_come_with_their_cure(browser, site):
    site.advice = lambda: [Advice("The <disk> is full.", "Make room.")]
    assert "What needs attention The <disk> is full. Make room." in browser.get("/").words


def settings(browser, site, config: Config) -> str:
    site.config = config
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
def test_the_settings_name_the_server_as_a_phone_finds_it(browser, site, config, domain):
    site.users.add("carol", "secret")
    words = settings(browser, site, replace(config, sip_realm="example.com"))
    assert f"registrar {domain} Transport" in words
    assert f"Others dial sip:carol@{domain}" in words


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_no_phone_is_told_to_register_with_every_address(browser, site, host):
    config = Config(sip_addr=Address(host, 5060), sip_realm="example.com")
    assert "registrar pbx.example.com Transport" in settings(browser, site, config)


def test_every_transport_that_listens_is_named(browser, site):
    """Taken from the open sockets, port included: with -sip.addr :0 the system chooses one."""
    alice = site.users.add("alice", "secret")
    site.config = Config(sip_addr=Address("192.0.2.1", 0), sip_realm="example.com")
    open_sockets = [
        ListeningAddress("UDP", "192.0.2.1", 5070),
        ListeningAddress("TCP", "192.0.2.1", 5070),
        ListeningAddress("TLS", "192.0.2.1", 5071),
    ]
    site.listening = lambda: open_sockets
    overview = browser.get("/").words
    assert "SIP 192.0.2.1:5070 UDP, TCP 192.0.2.1:5071 TLS Realm" in overview
    for words in (overview, browser.get(f"/users/{alice.id}").words):
        assert "registrar 192.0.2.1:5070 Transport UDP or TCP or TLS (port 5071) Realm" in words
    del open_sockets[1:]
    assert "Transport UDP Realm" in browser.get("/").words


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_no_phone_is_told_to_register_with_itself(site, browser, host):
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


def test_advice_on_a_renamed_realm_names_the_cure(site):
    site.users.add("alice", "secret")
    renamed = Users(site.users.database, "other.example")
    (first,) = advice(Config(sip_realm="other.example"), renamed, [])
    assert "start with -sip.realm example.com" in first.cure


def test_advice_on_accounts_that_keep_sha_from_being_offered(site):
    rows = b"username,ha1\nold,0123456789abcdef0123456789abcdef\n"
    import_accounts(site.users, io.BytesIO(rows))
    (only,) = advice(Config(sip_realm="example.com"), site.users, [])
    assert only.warning.startswith("SHA-256 cannot be offered in the realm example.com")


def test_advice_on_small_buffers_is_for_those_with_many_phones(site, monkeypatch):
    assert not list(advice(Config(), site.users, [212_992]))
    monkeypatch.setattr(Users, "__len__", lambda self: 5000)
    (only,) = advice(Config(), site.users, [4_194_304, 212_992])
    assert "rmem_max" in only.cure
    assert not list(advice(Config(), site.users, [4_194_304]))


def test_a_browser_without_a_host_gets_its_page_too(site, browser):
    assert browser.send("GET", "/", b"", {"Host": ""}).status == 200
