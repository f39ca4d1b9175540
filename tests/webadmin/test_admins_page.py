"""The page of the administrators, and its forms."""

import re

import pyotp
import pytest

from sip.store.admin_passwords import verify
from sip.store.audit import Act
from sip.store.second_factor import make_secret
from sip.store.tokens import Role
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import HASH, PASSWORD


def shown_secret(page: str) -> str:
    return re.search(r'value="([^"]*)" aria-label="The password, shown only now"', page)[1]


def test_the_list_has_role_factor_and_last_use(browser, viewer, context, clock):
    clock.now += 3600
    words = browser.get("/admins").words
    assert "carol viewer off 1 h ago Make admin New password Remove" in words
    assert "admin you admin off now Your account" in words


def test_one_is_added_with_a_password_shown_once(browser, context):
    answer = browser.post("/admins/add", username="carol", role="viewer", how="make")
    assert answer.location == "/admins"
    page = browser.get("/admins")
    password = shown_secret(page.text)
    assert page.headers["cache-control"] == "no-store, no-transform"
    assert password not in browser.get("/admins").text
    carol = Browser(browser.app)
    assert carol.post("/login", username="carol", password=password).status == 303
    assert context.admins.find("carol").role is Role.VIEWER
    assert context.audit.entries("administrators")[0].about == "carol, viewer"


def test_one_is_added_with_a_typed_password(browser, context):
    fields = {"username": " carol ", "role": "admin", "how": "type"}
    assert browser.post("/admins/add", **fields, password="carol1").status == 303
    assert "The password is weak: it is the user name, or similar." in browser.get("/admins").words
    assert verify(context.admins.password_hash("carol"), "carol1")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"username": "admin"}, "There is an administrator admin already."),
        ({"username": ""}, "The name of an administrator has 1 to 60 printable characters"),
        ({"username": "a<b> c"}, "printable characters without blanks."),
        ({"how": "type", "password": ""}, "The password is empty."),
    ],
)
def test_what_cannot_be_added_is_a_sentence(browser, context, fields, sentence):
    form = {"username": "carol", "role": "admin", "how": "make"} | fields
    answer = browser.post("/admins/add", **form)
    assert answer.status == 422
    assert sentence in answer.words
    assert answer.value("username") == form["username"]
    assert len(context.admins.list()) == 1


@pytest.mark.parametrize("role", ["", "root", "Admin"])
def test_there_are_two_roles(browser, context, role):
    assert browser.post("/admins/add", username="eve", role=role, how="make").status == 422
    assert browser.post("/admins/role", name="admin", role=role).status == 422


def test_a_new_password_signs_the_person_out(browser, viewer, context):
    browser.post("/admins/password", name="carol")
    password = shown_secret(browser.get("/admins").text)
    assert viewer.get("/").status == 303
    assert viewer.post("/login", username="carol", password=PASSWORD).status == 403
    assert viewer.post("/login", username="carol", password=password).status == 303


def test_one_is_removed_and_signed_out(browser, viewer, context):
    browser.post("/admins/remove", name="carol")
    assert "carol was removed." in browser.get("/admins").words
    assert viewer.get("/").status == 303
    assert viewer.post("/login", username="carol", password=PASSWORD).status == 403
    assert context.audit.entries("administrators")[0].act == Act.ADMIN_REMOVED


def test_a_lost_phone_is_helped_out(browser, viewer, context, clock):
    secret = make_secret()
    code = pyotp.TOTP(secret).at(int(clock.now))
    context.second_factors.turn_on("carol", secret, code, clock.now)
    assert "Remove second factor" in browser.get("/admins").words
    browser.post("/admins/reset-factor", name="carol")
    assert not context.admins.find("carol").has_second_factor
    assert browser.post("/admins/reset-factor", name="carol").status == 409


@pytest.mark.parametrize("act", ["role", "password", "reset-factor", "remove"])
def test_the_own_account_is_changed_by_others(browser, context, act):
    """So that no slip locks the person out, and one with role admin is always left."""
    context.admins.add("dave", Role.ADMIN, HASH)
    answer = browser.post(f"/admins/{act}", name="admin", role="viewer")
    assert answer.status == 409
    assert "This is your own account: another administrator has to do this." in answer.words
    answer = browser.post(f"/admins/{act}", name="nobody", role="viewer")
    assert (answer.status, "There is no such administrator" in answer.words) == (409, True)
    assert context.admins.find("admin").role is Role.ADMIN
    assert browser.get("/").status == 200


def test_markup_in_a_name_is_only_shown(browser, context):
    context.admins.add("<script>alert(1)</script>", Role.VIEWER, HASH)
    for path in ("/admins", "/audit"):
        assert "<script>alert" not in browser.get(path).text


def test_the_first_password_holds_its_promise(browser, context):
    """The page of the own account names the variable to `admin` alone, whom it concerns."""
    context.environment_password = True
    context.admins.add("dave", Role.ADMIN, HASH)
    dave = Browser(browser.app)
    dave.post("/login", username="dave", password=PASSWORD)
    assert "SIPSERVER_ADMIN_PASSWORD" not in dave.get("/account").words
