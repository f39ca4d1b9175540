"""The phone in the browser: two tabs call each other, with a microphone that Chromium plays."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser_phone import Phone

NO_MICROPHONE = """navigator.mediaDevices.getUserMedia = () =>
  Promise.reject(new DOMException("none", "NotFoundError"));"""

SIP_JS = (Path(__file__).parent / "vendor/sipjs/sip.min.js").read_text()
# A phone of SIP.js, which registers by a password.
STARTS_SIP_JS = """async ([url, domain, user, password]) => {
  window.phone = new SIP.Web.SimpleUser(url, {
    aor: `sip:${user}@${domain}`,
    media: {remote: {audio: document.createElement("audio")}},
    userAgentOptions: {
      authorizationUsername: user, authorizationPassword: password, logLevel: "error",
    },
  });
  await phone.connect();
  await phone.register();
}"""


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.textContent")


def test_three_tabs_call_and_transfer(visit, server):
    """RTP both ways; hold, keypad, a second call, transfer (RFC 3515), and a reload."""
    server.has_users("alice", "bob", "carol")
    alice = Phone(visit(), "alice")
    bob = Phone(visit(width=390, locale="de-DE", color_scheme="dark"), "bob", "Anmelden")
    carol = Phone(visit(), "carol")
    alice.is_registered()
    carol.is_registered()
    bob.is_registered("Registriert")
    alice.calls("bob")
    bob.shows("alice ruft an")
    assert focused(bob.page) == "Annehmen"
    alice.shows("Ringing")
    assert bob.window.faults_of_page([390]) == []
    bob.presses("Annehmen")
    alice.shows("Talking 0:0")
    assert [focused(alice.page), focused(bob.page)] == ["Hang up", "Auflegen"]
    alice.hears()
    bob.hears()
    carol.calls("alice")
    carol.shows("Busy")
    expect(alice.page.locator("#past")).to_contain_text("Missed call")
    alice.presses("Hold")
    alice.shows("On hold")
    bob.shows("alice hält den Anruf")
    alice.presses("Resume")
    bob.shows("Im Gespräch 0:")
    alice.presses("Keypad")
    alice.page.keyboard.press("5")
    alice.presses("#")
    expect(alice.page.locator("#pressed")).to_have_text("5#")
    alice.presses("Mute")
    expect(alice.page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
    alice.presses("Transfer")
    assert alice.window.faults_of_page() == []
    alice.page.get_by_label("Transfer to").fill("carol")
    alice.presses("Transfer now")
    bob.shows("alice verbindet Sie mit carol")
    assert focused(bob.page) == "Anrufen"
    bob.page.keyboard.press("Enter")
    carol.shows("bob is calling")
    carol.presses("Answer")
    alice.shows("Call ended")
    assert focused(alice.page) == ""  # the field
    bob.shows("Im Gespräch 0:")
    carol.hears()
    bob.page.reload()
    carol.shows("Call ended")
    bob.is_registered("Registriert")
    expect(bob.page.locator("#past li")).to_have_count(2)
    bob.calls("carol")
    carol.presses("Decline")
    bob.shows("Abgewiesen")
    bob.page.get_by_role("button", name="Abmelden").click()
    bob.page.locator("[name=password]").wait_for()
    carol.calls("bob")
    carol.shows("Not reachable at the moment")


def test_another_library_registers_and_calls(visit, server):
    """SIP.js, on the page of the phone; it knows MD5 alone, and answers the last challenge."""
    server.has_users("alice", "bob", "carol")
    page, bob = Phone(visit(), "carol").page, Phone(visit(), "bob")
    bob.is_registered()
    page.evaluate(SIP_JS + "; window.SIP = SIP")
    url = server.web_url.replace("http", "ws") + "/"
    page.evaluate(STARTS_SIP_JS, [url, server.domain, "alice", server.password_of("alice")])
    page.evaluate("domain => { phone.call(`sip:bob@${domain}`); }", server.domain)
    bob.shows("alice is calling")
    bob.presses("Answer")
    bob.shows("Talking")
    bob.hears()
    page.evaluate("phone.hangup()")
    bob.shows("Call ended")


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("", "The phone needs JavaScript."),
        ("window.RTCPeerConnection = null", "This browser cannot make calls (it has no WebRTC)."),
        ("Object.defineProperty(window, 'isSecureContext', {value: false})", "only with https://"),
    ],
    ids=["no-scripts", "no-webrtc", "http"],
)
def test_a_hindrance_is_said_in_one_sentence(visit, server, script: str, sentence: str):
    """And nothing is shown that does not work."""
    server.has_users("alice")
    window = visit(java_script_enabled=bool(script))
    window.page.add_init_script(script)
    Phone(window, "alice")
    sentences = window.page.locator("[role=alert]:visible")
    expect(sentences).to_contain_text(sentence)
    assert not window.page.locator("#phone").is_visible()


def test_an_admin_opens_the_phone_of_a_user(visit, server):
    """It registers again after a restart of the server; a missing microphone is named."""
    server.has_users("alice", "bob")
    window = visit()
    window.signs_in()
    window.goes_to("/users/1")
    window.page.add_init_script(NO_MICROPHONE)
    window.page.get_by_role("link", name="Phone in the browser").click()
    registration = window.page.get_by_role("status").first
    expect(registration).to_have_text("Registered")
    window.page.get_by_label("Number or name").fill("bob")
    window.page.get_by_role("button", name="Call", exact=True).click()
    window.sees("No microphone was found")
    server.stop()
    expect(registration).to_have_text("Not connected: the phone tries again by itself.")
    server.start()
    expect(registration).to_have_text("Registered", timeout=20_000)
    window.goes_to("/audit")
    window.sees("phone opened in the browser")
    # The browser names each try during the restart.
    window.faults = [fault for fault in window.faults if "ERR_CONNECTION_REFUSED" not in fault]
