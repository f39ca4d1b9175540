"""A tab of Chromium with the phone of a user."""

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.support.programs import until

if TYPE_CHECKING:
    from tests.browser.conftest import Visitor

# Keeps the connections of the page, so that a test can count what they received.
COUNTS_MEDIA = """
window.connections = [];
if (window.RTCPeerConnection) window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...values) { super(...values); window.connections.push(this); }
};
"""
PACKETS = """async () => {
  const counts = window.connections.map(async (each) => {
    const stats = [...(await each.getStats()).values()];
    return stats.filter(({type}) => type === "inbound-rtp").map((it) => it.packetsReceived);
  });
  return (await Promise.all(counts)).flat().at(-1) ?? 0;
}"""


class Phone:
    """A tab with the phone of a user."""

    def __init__(self, window: "Visitor", user: str, sign_in: str = "Sign in") -> None:
        self.window, self.page = window, window.page
        self.page.context.grant_permissions(["microphone"])
        self.page.add_init_script(COUNTS_MEDIA)
        window.goes_to("/phone")
        self.page.locator("[name=username]").fill(user)
        self.page.locator("[name=password]").fill(window.server.password_of(user))
        self.page.get_by_role("button", name=sign_in).click()

    def shows(self, text: str) -> None:
        expect(self.page.locator("#call-state")).to_contain_text(text)

    def presses(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def is_registered(self, word: str = "Registered") -> None:
        expect(self.page.get_by_role("status").first).to_have_text(word)

    def calls(self, name: str) -> None:
        self.page.locator("#number").fill(name)
        self.page.keyboard.press("Enter")

    def hears(self) -> None:
        before = self.page.evaluate(PACKETS)
        until(lambda: self.page.evaluate(PACKETS) > before + 10, "no RTP was received")
