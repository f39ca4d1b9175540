"""The warning on pages that are not encrypted, and when it is shown."""

import pytest

from sip.addresses import parse_address
from sip.config import Config
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import PASSWORD
from webadmin.app import build

WARNING = "This connection is not encrypted."
PAGES = ["/", "/users", "/users/new", "/users/import", "/audit", "/account", "/no/such/page"]


def listening_at(context, address: str, **settings: str) -> Browser:
    context.config = Config(web_addr=parse_address(address), **settings)
    return Browser(build(context))


@pytest.mark.parametrize("address", [":8080", "0.0.0.0:8080", "192.0.2.1:8080", "[::]:8080"])
def test_every_page_warns_where_other_machines_can_listen(context, address):
    browser = listening_at(context, address)
    assert WARNING in browser.get("/login").words, "before the password is typed"
    browser.post("/login", username="admin", password=PASSWORD)
    for page in PAGES:
        assert WARNING in browser.get(page).words, page


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "127.1.2.3:8080", "[::1]:8080"])
def test_a_loopback_address_causes_no_warning(context, address):
    assert WARNING not in listening_at(context, address).get("/login").words


def test_with_a_certificate_there_is_nothing_to_warn_of(context):
    browser = listening_at(context, ":8080", web_cert="cert.pem", web_key="key.pem")
    assert WARNING not in browser.get("/login").words


@pytest.mark.parametrize(
    ("address", "proto", "warns"),
    [
        ("127.0.0.1", "https", False),
        ("::1", "https", False),
        ("127.0.0.1", "http", True),
        ("127.0.0.1", "https, http", True),
        ("192.0.2.7", "https", True),
        ("", "https", True),
    ],
)
def test_a_proxy_is_believed_on_this_machine_alone(context, address, proto, warns):
    """A client on another machine can forge that header."""
    browser = listening_at(context, ":8080")
    browser.address = address
    answer = browser.get("/login", X_Forwarded_Proto=proto)
    assert (WARNING in answer.words) is warns


@pytest.mark.parametrize(("address", "secure"), [("127.0.0.1", True), ("192.0.2.7", False)])
def test_behind_a_proxy_with_tls_the_cookie_is_for_tls_alone(stranger, address, secure):
    stranger.address = address
    stranger.own_site["X-Forwarded-Proto"] = "https"
    stranger.post("/login", username="admin", password=PASSWORD)
    assert ("Secure" in stranger.cookie_lines[0]) is secure


def test_a_browser_is_held_to_tls_by_our_own_alone(stranger):
    """A proxy says so itself; and without TLS no browser would listen (RFC 6797 §7.2)."""
    assert "strict-transport-security" not in stranger.get("/login").headers
    stranger.address = "127.0.0.1"
    headers = stranger.get("/login", X_Forwarded_Proto="https").headers
    assert "strict-transport-security" not in headers
