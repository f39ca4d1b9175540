"""The address of a client, by the connection and by the proxies that the operator names."""

from dataclasses import replace

import pytest

from sip.operator_values import parse_networks
from tests.support.api_client import ApiClient
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import PASSWORD
from webadmin.client_address import client_address
from webadmin.sign_in_limits import MAX_TRIES

PROXIES = parse_networks("127.0.0.1, 10.0.0.0/8, ::1")


@pytest.mark.parametrize(
    ("peer", "field", "client"),
    [
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "1.1.1.1, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "1.1.1.1, 198.51.100.7,10.1.1.1", "198.51.100.7"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:127.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("10.9.9.9", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.9.9.9", "198.51.100.7:4711", "198.51.100.7"),
        ("10.9.9.9", "10.1.1.1", "10.1.1.1"),
        ("192.0.2.7", "198.51.100.7", "192.0.2.7"),
        ("127.0.0.2", "198.51.100.7", "127.0.0.2"),
        ("127.0.0.1", "198.51.100.7, unknown", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7,", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7" + ",10.1.1.1" * 100_000, "10.1.1.1"),
        ("", "198.51.100.7", ""),
        ("a socket", "198.51.100.7", "a socket"),
    ],
)
def test_the_last_address_that_is_no_proxy_is_the_client(peer, field, client):
    """All before it was written by the client."""
    assert client_address(peer, field, PROXIES) == client


class Behind(Browser):
    """A browser behind a proxy on the machine of the server; `address` is that of the proxy."""

    client = "198.51.100.7"

    def send(self, method, path, body, headers):
        forwarded = {"X-Forwarded-For": f"1.2.3.4, {self.client}"}
        return super().send(method, path, body, {**forwarded, **headers})


@pytest.fixture
def behind(context, stranger):
    """Make a browser behind the proxy, for its address."""
    context.config = replace(context.config, web_proxies=PROXIES)

    def make(client: str) -> Behind:
        browser = Behind(stranger.app, address="127.0.0.1")
        browser.client = client
        return browser

    return make


def guesses(browser: Browser) -> list[int]:
    """Guess once at each door that has a limit, and return the statuses."""
    token = ApiClient(browser, "sipserver_guess").get("/users")
    return [
        browser.post("/login", username="admin", password="guess").status,
        browser.post("/me/login", username="alice", password="guess").status,
        token.status,
        browser.get("/provision/link/guess", X_Forwarded_Proto="https").status,
    ]


def test_each_client_behind_a_proxy_has_its_own_limits(context, behind):
    context.users.add("alice", "wonder-4711")
    guesser, other = behind("198.51.100.7"), behind("198.51.100.8")
    for _ in range(MAX_TRIES):
        guesses(guesser)
    assert guesses(guesser) == [429] * 4
    assert guesses(other) == [403, 403, 401, 404]
    assert other.post("/login", username="admin", password=PASSWORD).status == 303
    assert other.post("/me/login", username="alice", password="wonder-4711").status == 303
    (session,) = context.sessions.of("admin", context.clock())
    assert session.address == "198.51.100.8"


def test_a_client_that_is_no_proxy_states_no_address(context, behind, stranger):
    """Else each guess would be from another address."""
    for number in range(MAX_TRIES + 1):
        field = {"X-Forwarded-For": f"198.51.100.{number}", **stranger.own_site}
        form = {"Content-Type": "application/x-www-form-urlencoded", **field}
        status = stranger.send("POST", "/login", b"username=admin&password=x", form).status
    assert status == 429


def test_a_proxy_without_the_setting_is_named_in_the_log(stranger, caplog):
    """Its clients share the limits: anybody could send that field through a careless proxy."""
    stranger.address = "127.0.0.1"
    for _ in range(2):
        stranger.get("/login", X_Forwarded_For="198.51.100.7")
    assert [record.message for record in caplog.records if "-web.proxies" in record.message] == [
        "a proxy on this machine sends X-Forwarded-For, but -web.proxies does not name it: all its"
        " clients share the limit of wrong passwords. Set -web.proxies 127.0.0.1"
    ]


def test_what_a_proxy_states_of_tls_is_for_its_clients(context, behind):
    """A file of a phone is sent by TLS only; without a word of the proxy there was none."""
    phone = behind("198.51.100.7")
    path = "/provision/a-secret-path-of-this-server/001565aabbcc.cfg"
    context.config = replace(context.config, provision_secret=path.split("/")[2])
    assert phone.get(path).status == 403
    assert phone.get(path, X_Forwarded_Proto="http").status == 403
    assert phone.get(path, X_Forwarded_Proto="https").status == 404
    phone.address = "10.0.0.1"
    assert phone.get(path, X_Forwarded_Proto="https").status == 404
    phone.address = "192.0.2.7"
    assert phone.get(path, X_Forwarded_Proto="https").status == 403
