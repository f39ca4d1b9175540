"""The second factor: set up on /account, asked for at the sign-in, guessed and replayed."""

import re
from dataclasses import replace

import pyotp
import pytest

from sip.store.admin_passwords import hash_password
from sip.store.audit import Act
from sip.store.second_factor import RECOVERY_CODES, STEP_SECONDS
from tests.support.wsgi_browser import Answer, Browser
from tests.webadmin.conftest import PASSWORD
from webadmin import second_factor, second_step
from webadmin.second_step import MAX_AGE_SECONDS
from webadmin.sign_in_limits import MAX_TRIES, TRIES_SECONDS

SETUP = "/account/second-factor"


class App:
    """The authenticator app of a phone, on the clock of the pages."""

    def __init__(self, secret: str, clock) -> None:
        self.totp = pyotp.TOTP(secret)
        self.clock = clock

    def code(self) -> str:
        return self.totp.at(int(self.clock.now))

    def next_code(self) -> str:
        """Wait until the app shows a code that was not used before."""
        self.clock.now += STEP_SECONDS
        return self.code()

    def wrong_code(self) -> str:
        return f"{(int(self.code()) + 500_000) % 1_000_000:06}"


def sets_up(browser: Browser, clock) -> tuple[App, list[str]]:
    """Scan the secret, turn the factor on, and write the recovery codes down."""
    secret = re.search(r'value="([A-Z2-7 ]{30,})"', browser.get(SETUP).text)[1]
    app = App(secret.replace(" ", ""), clock)
    answer = browser.post(SETUP, code=app.code(), current=PASSWORD)
    assert answer.location == "/account/recovery-codes"
    return app, re.findall(r"<li>(\S{19})</li>", browser.get(answer.location).text)


@pytest.fixture
def app(browser, clock) -> App:
    """The app of the administrator, after the set-up."""
    return sets_up(browser, clock)[0]


def knows_password(stranger: Browser, address: str = "198.51.100.9", **more: str) -> Answer:
    """Another browser, after the first step of the sign-in."""
    other = Browser(stranger.app, address=address)
    answer = other.post("/login", username="admin", password=PASSWORD, **more)
    answer.browser = other
    return answer


def enters(step: Answer, code: str) -> Answer:
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', step.text))
    return step.browser.post("/login/code", code=code, **fields)


# Setting it up


def test_it_is_set_up_with_a_picture_and_confirmed(browser, context, clock):
    page = browser.get(SETUP)
    assert 'src="data:image/svg+xml' in page.text
    assert page.headers["cache-control"] == "no-store, no-transform"
    assert browser.get(SETUP).text == page.text, "the secret that was scanned stays"
    _, codes = sets_up(browser, clock)
    assert len(set(codes)) == RECOVERY_CODES
    assert "10 recovery codes are left" in browser.get("/account").words
    assert context.audit.entries()[0].act == Act.FACTOR_ON


def test_the_recovery_codes_are_shown_once(browser, clock):
    secret = re.search(r'value="([A-Z2-7 ]{30,})"', browser.get(SETUP).text)[1]
    code = pyotp.TOTP(secret.replace(" ", "")).at(int(clock.now))
    browser.post(SETUP, code=code, current=PASSWORD)
    assert browser.send("HEAD", "/account/recovery-codes", b"", {}).status == 303
    assert "<li>" in browser.get("/account/recovery-codes").text
    assert browser.get("/account/recovery-codes").location == "/account"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"current": "wrong"}, "This password is wrong."),
        ({"code": "000000"}, "The code is wrong."),
        ({"code": ""}, "The code is wrong."),
    ],
)
def test_a_set_up_that_is_refused_changes_nothing(browser, context, clock, fields, sentence):
    secret = re.search(r'value="([A-Z2-7 ]{30,})"', browser.get(SETUP).text)[1]
    code = pyotp.TOTP(secret.replace(" ", "")).at(int(clock.now))
    answer = browser.post(SETUP, **{"code": code, "current": PASSWORD} | fields)
    assert answer.status == 422
    assert sentence in answer.words
    assert secret in answer.text, "the secret that was scanned stays"
    assert not context.admins.find("admin").has_second_factor


def test_setting_it_up_signs_other_browsers_out(browser, clock):
    other = Browser(browser.app, address="198.51.100.9")
    other.post("/login", username="admin", password=PASSWORD)
    sets_up(browser, clock)
    assert browser.get("/users").status == 200
    assert other.get("/users").status == 303


def test_a_set_up_page_that_is_too_old_starts_again(browser, context):
    assert browser.post(SETUP, code="123456", current=PASSWORD).location == SETUP
    assert "Start again" in browser.get(SETUP).words


def test_secrets_that_nobody_confirms_are_bounded(browser, context, monkeypatch):
    kept: dict[int, str] = {}
    monkeypatch.setattr(second_factor, "MAX_KEPT", 3)
    for number in range(5):
        second_factor._keep(kept, number, "secret")
    assert [*kept] == [2, 3, 4]


# Signing in


def test_the_code_is_asked_for_after_the_password(stranger, app, context):
    step = knows_password(stranger)
    assert step.status == 200
    assert "Enter the code" in step.words
    assert not step.browser.cookies, "the password alone opens nothing"
    assert step.browser.get("/users").status == 303
    assert enters(step, app.next_code()).location == "/"
    assert step.browser.get("/users").status == 200
    assert context.audit.entries()[0].act == Act.SIGNED_IN


def test_the_page_that_was_asked_for_comes_after_the_code(stranger, app):
    assert enters(knows_password(stranger, next="/audit"), app.next_code()).location == "/audit"
    for trap in ("//evil.example", "https://evil.example"):
        assert enters(knows_password(stranger, next=trap), app.next_code()).location == "/"


def test_a_form_that_was_kept_survives_the_code(stranger, app):
    kept = {"kept_path": "/users/1/name", "kept_form": "display_name=Ann", "kept_lacks": ""}
    step = knows_password(stranger, **kept)
    again = enters(enters_wrong(step, app), app.next_code())
    assert "this form was not processed: Sent to /users/1/name display_name Ann" in again.words


def enters_wrong(step: Answer, app: App) -> Answer:
    answer = enters(step, app.wrong_code())
    assert answer.status == 403
    answer.browser = step.browser
    return answer


def test_a_code_opens_one_session(stranger, app, context):
    """Read over the shoulder, or from the network: a replay is refused (RFC 6238 §5.2)."""
    code = app.next_code()
    first, second = knows_password(stranger), knows_password(stranger, "203.0.113.1")
    assert enters(first, code).status == 303
    replayed = enters(second, code)
    assert replayed.status == 403
    assert "The code is wrong, or it was used already." in replayed.words
    assert second.browser.get("/users").status == 303
    assert enters(first, app.next_code()).status == 403, "the ticket is used up, too"


def test_a_recovery_code_opens_one_session(browser, stranger, clock, context):
    _, codes = sets_up(browser, clock)
    assert enters(knows_password(stranger), codes[0]).status == 303
    acts = [(entry.act, entry.about) for entry in context.audit.entries()[:2]]
    assert acts[1] == (Act.RECOVERY_CODE_USED, "admin, 9 left")
    assert enters(knows_password(stranger), codes[0]).status == 403
    assert "9 recovery codes are left" in browser.get("/account").words


def test_a_clock_that_is_wrong_by_half_a_minute_is_fine(stranger, app, clock):
    code = app.next_code()
    clock.now += STEP_SECONDS
    assert enters(knows_password(stranger), code).status == 303


def test_the_sign_in_has_to_go_on_in_time(stranger, app, clock):
    step = knows_password(stranger)
    clock.now += MAX_AGE_SECONDS
    answer = enters(step, app.code())
    assert answer.status == 403
    assert "The sign-in took too long. Start again." in answer.words


@pytest.mark.parametrize("ticket", ["", "x", "\udcff", "é", "0" * 5000])
def test_a_made_up_ticket_opens_nothing(stranger, app, ticket):
    octets = ticket.encode("utf-8", "surrogateescape")
    answer = stranger.post("/login/code", ticket=octets, code=app.next_code())
    assert answer.status == 403
    assert stranger.get("/login/code").location == "/login"


def test_a_password_changed_meanwhile_opens_nothing(stranger, app, context):
    step = knows_password(stranger)
    context.admins.set_password_hash(hash_password("another one"))
    enters(step, app.next_code())
    assert step.browser.get("/users").status == 303
    assert context.sessions.of("admin", context.clock()) == []


def test_a_planted_ticket_or_cookie_is_no_session(stranger, app):
    """Session fixation: the token is made after the code, and the ticket is worth nothing."""
    step = knows_password(stranger)
    step.browser.cookies = {"sipserver_session": "planted"}
    enters(step, app.next_code())
    token = step.browser.cookies["sipserver_session"]
    ticket = re.search(r'name="ticket" value="([^"]*)"', step.text)[1]
    assert token not in ("planted", ticket)
    assert Browser(stranger.app, cookies={"sipserver_session": ticket}).get("/").status == 303


def test_sign_ins_that_wait_are_bounded(stranger, app, monkeypatch):
    monkeypatch.setattr(second_step, "MAX_PENDING", 2)
    steps = [knows_password(stranger) for _ in range(3)]
    assert "took too long" in enters(steps[0], app.next_code()).words
    assert enters(steps[2], app.next_code()).status == 303


# Guessing


def test_codes_are_limited_per_address_as_passwords_are(stranger, app, clock):
    """A right password in between forgives no wrong code."""
    for _ in range(MAX_TRIES):
        assert enters(knows_password(stranger), app.wrong_code()).status == 403
    assert knows_password(stranger).status == 429
    assert knows_password(stranger, "203.0.113.1").status == 200, "the name is not blocked"
    clock.now += TRIES_SECONDS
    assert enters(knows_password(stranger), app.next_code()).status == 303


def test_codes_are_limited_per_administrator(stranger, app, clock):
    """A million codes could else be tried from many addresses."""
    for number in range(MAX_TRIES):
        assert enters(knows_password(stranger, f"10.0.{number}.1"), app.wrong_code()).status == 403
    step = knows_password(stranger, "10.1.0.1")
    answer = enters(step, app.next_code())
    assert answer.status == 429
    assert "Too many wrong codes. Try again in 15 min." in answer.words
    assert answer.headers["retry-after"]
    clock.now += TRIES_SECONDS
    assert enters(knows_password(stranger, "10.1.0.1"), app.next_code()).status == 303


def test_wrong_codes_are_in_the_audit_without_the_code(stranger, app, context):
    wrong = app.wrong_code()
    enters(knows_password(stranger), wrong)
    entry = context.audit.entries()[0]
    assert (entry.act, entry.who, entry.about) == (
        Act.SIGN_IN_REFUSED,
        *("", "wrong code of admin"),
    )


# New recovery codes


def test_recovery_codes_are_renewed_with_password_and_code(browser, clock, context, stranger):
    """The factor stays on, and all former codes are void."""
    (app, (former, *_)), path = sets_up(browser, clock), "/account/recovery-codes/new"
    assert "Make new codes" in browser.get(path).words
    for password, code in (("wrong", app.next_code()), (PASSWORD, app.wrong_code())):
        assert browser.post(path, current=password, code=code).status == 422
    assert browser.post(path, current=PASSWORD, code=app.next_code()).location == path[:-4]
    page = browser.get("/account/recovery-codes")
    assert "The former ones are no longer valid." in page.words
    codes = re.findall(r"<li>(\S{19})</li>", page.text)
    assert len({former, *codes}) == RECOVERY_CODES + 1
    assert "recovery codes are left" in browser.get("/account").words
    assert context.audit.entries()[0].act == Act.RECOVERY_CODES_RENEWED
    assert enters(knows_password(stranger), former).status == 403
    assert enters(knows_password(stranger), codes[0]).status == 303


def test_there_are_no_recovery_codes_without_a_factor(browser, context):
    for answer in (
        browser.get("/account/recovery-codes/new"),
        browser.post("/account/recovery-codes/new", current=PASSWORD, code="1"),
    ):
        assert answer.location == "/account"
    assert context.second_factors.renew_recovery_codes("admin") == ()


# Turning it off


def test_it_is_turned_off_with_password_and_code(browser, app, context, stranger):
    off = f"{SETUP}/off"
    wrong = [("wrong", app.next_code()), (PASSWORD, app.wrong_code())]
    for password, code in wrong:
        assert browser.post(off, current=password, code=code).status == 422
    assert context.admins.find("admin").has_second_factor
    assert browser.post(off, current=PASSWORD, code=app.next_code()).location == "/account"
    assert "The second factor is off." in browser.get("/account").words
    assert context.audit.entries()[0].act == Act.FACTOR_OFF
    assert knows_password(stranger).status == 303


def test_an_open_browser_does_not_allow_guessing_the_code(browser, app):
    off = f"{SETUP}/off"
    for _ in range(MAX_TRIES):
        assert browser.post(off, current=PASSWORD, code=app.wrong_code()).status == 422
    assert browser.post(off, current=PASSWORD, code=app.next_code()).status == 429


# Required for all


@pytest.fixture
def required(context):
    context.config = replace(context.config, web_second_factor=True)


def test_without_a_required_factor_only_the_account_opens(browser, context, required, clock):
    assert browser.get("/users").location == "/account"
    assert browser.get("/users", HX_Request="true").headers["hx-redirect"] == "/account"
    assert browser.post("/users/new", username="bob", how="make").status == 403
    assert len(context.users) == 0
    page = browser.get("/account")
    assert "This server requires a second factor." in page.words
    sets_up(browser, clock)
    assert browser.get("/users").status == 200


def test_a_required_factor_stays_on(browser, app, context, required):
    answer = browser.post(f"{SETUP}/off", current=PASSWORD, code=app.next_code())
    assert answer.status == 422
    assert "This server requires a second factor: it stays on." in answer.words
    assert context.admins.find("admin").has_second_factor
