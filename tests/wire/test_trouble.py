"""Trouble of a real phone on the pages of a running server, and the button that ends it."""

import html
import json
import re

import pytest

from sip.core.guard.password_limits import MAX_FAILURES_OF_USER
from tests.support.admin import Admin
from tests.support.baresip import Baresip
from tests.support.programs import until

PASSWORD = "secret of the admin"


def words_of(page: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())


@pytest.fixture
def admin(server) -> Admin:
    server.does("admin", "password", "--password", PASSWORD)
    admin = Admin(server)
    assert admin.signs_in(PASSWORD)
    return admin


def test_a_phone_with_a_wrong_password_is_let_in_by_the_button(server, phone, admin):
    """The page names the cause, the phone, and the address; after the button it registers."""
    carol = phone(Baresip, "carol", server, "a wrong password")

    def tries() -> list[dict]:
        """Register once, and return the logins that have to wait then."""
        carol.asks_to_register()
        carol.expects("refused")
        carol._do("uadel", carol.uri)
        return json.loads(server.does("trouble", "--json"))["waits"]

    waits = next(filter(None, (tries() for _ in range(MAX_FAILURES_OF_USER))))
    assert [(wait["user"], wait["address"]) for wait in waits] == [("carol", carol.address)]
    page = words_of(admin.reads("/trouble"))
    assert "Wrong password for carol. Enter the password on the phone again" in page
    assert f"{carol.address} baresip" in page
    assert "Let it try again" in page
    assert f"carol can't register from {carol.address}: wrong password" in words_of(
        admin.reads("/")
    )

    carol.password = server.password_of("carol")
    carol.asks_to_register()
    carol.expects("refused")
    carol._do("uadel", carol.uri)
    assert "too many wrong passwords for carol" in server.does("trouble")

    fields = {"username": "carol", "address": carol.address, "page": "/"}
    assert admin.sends("/bans/forgive", **fields) == "/"
    carol.registers()
    assert json.loads(server.does("trouble", "--json"))["waits"] == []
    overview = words_of(admin.reads("/"))
    assert "can't register" not in overview
    assert "Phones online 1 of" in overview
    assert re.search(r"carol registered with baresip \S+", overview)


def test_a_running_server_is_well(server, admin):
    """Its own datagram and connection come back, by the page and by the command."""
    page = words_of(admin.reads("/health"))
    for transport in ("UDP", "TCP"):
        assert re.search(rf"SIP over {transport} ok Answers OPTIONS at \S+ in [\d.]+ m?s", page)
    assert re.search(r"Database ok The database is writable", page)
    checks = {}

    def is_known() -> bool:
        """The overview shows what is known, and has the rest measured meanwhile."""
        return "SIP over UDP Answers OPTIONS" in words_of(admin.reads("/"))

    until(is_known, "the overview shows the checks")
    out = server.does("health", "--json", codes=(0, 1))
    checks = {each["name"]: each["status"] for each in json.loads(out)["checks"]}
    assert checks["SIP over UDP"] == checks["SIP over TCP"] == checks["Disk space"] == "ok"
