"""Operations on refusals, waits, bans and trusted networks."""

import json

import pytest

from sip.config import Config
from sip.operator_values import parse_network
from sip.store.audit import Act
from tests.support.api_client import problem


def items(api, path: str, **query: object) -> list[dict]:
    return api.json(path, **query)["items"]


def whole(api, path: str, limit: int) -> list[dict]:
    """Read a list part by part."""
    found, cursor = [], {}
    for _ in range(20):
        part = api.json(path, limit=limit, **cursor)
        assert len(part["items"]) <= limit
        found += part["items"]
        if part["next"] is None:
            return found
        cursor = {"after": part["next"]}
    raise AssertionError("the list has no end")


def last_act(context) -> tuple[str, str, str]:
    entry = context.audit.entries()[0]
    return entry.act, entry.who, entry.about


def test_equal_refusals_are_one_item_and_filtered(api, filled, clock):
    filled.refuses("alice")
    clock.now += 5
    filled.refuses("alice")
    filled.refuses("bob", to="alice", address="192.0.2.20")
    filled.refuses("carol", address="2001:db8::1")
    (refusal,) = items(api, "/refusals", user="alice", address="192.0.2.10")
    assert {
        "first_at": "2023-11-14T22:13:20Z",
        "last_at": "2023-11-14T22:13:25Z",
        "count": 2,
        "method": "REGISTER",
        "status": 401,
        "code": "wrong_password",
        "user": "alice",
        "address": "192.0.2.10",
    }.items() <= refusal.items()
    for query, users in (
        ({"user": "alice@example.com"}, {"alice", "bob"}),
        ({"address": "192.0.2.0/24"}, {"alice", "bob"}),
        ({"address": "2001:db8::/64"}, {"carol"}),
        ({"user": "nobody"}, set()),
    ):
        assert {each["user"] for each in items(api, "/refusals", **query)} == users


def test_refusals_of_one_moment_are_listed_once(api, filled, clock):
    for user in "abcde":
        filled.refuses(user)
    clock.now += 1
    filled.refuses("new")
    found = [each["user"] for each in whole(api, "/refusals", 2)]
    assert found[0] == "new"
    assert sorted(found[1:]) == [*"abcde"]


def test_a_wait_is_removed(api, filled, context):
    filled.has_to_wait("alice")
    filled.has_to_wait("bob")
    filled.refuses("alice")
    waits = whole(api, "/waits", 1)
    assert {each["user"] for each in waits} == {"alice", "bob"}
    (wait,) = (each for each in waits if each["user"] == "alice")
    assert (wait["address"], wait["tries"]) == ("192.0.2.10", 5)
    assert api.write("DELETE", f"/waits/{wait['id']}").status == 204
    assert [each["user"] for each in items(api, "/waits")] == ["bob"]
    assert not context.refusals.refused
    assert last_act(context) == (Act.WAIT_LIFTED, "token api", "alice from 192.0.2.10")
    assert problem(api.write("DELETE", f"/waits/{wait['id']}"))["status"] == 404


def test_a_ban_is_removed(api, filled, context):
    addresses = ["192.0.2.66", "192.0.2.67", "2001:db8:1:2::/64", "192.0.2.68"]
    for ago, address in zip((10, 10, 10, 20), addresses, strict=True):
        filled.bans(address, ago)
    filled.bans("192.0.2.99", 601)  # ended
    found = whole(api, "/bans", 2)
    assert [each["address"] for each in found] == addresses
    assert found[0] == {
        "address": "192.0.2.66",
        "reason": "guessed passwords",
        "banned_at": "2023-11-14T22:13:10Z",
        "until": "2023-11-14T22:23:10Z",
        "times": 1,
    }
    assert api.write("DELETE", "/bans/2001:db8:1:2::/64").status == 204
    assert last_act(context) == (Act.BAN_LIFTED, "token api", "2001:db8:1:2::/64")
    assert len(items(api, "/bans")) == 3
    for address in ("192.0.2.1", "nonsense", "2001:db8:1:2::/64"):
        assert problem(api.write("DELETE", f"/bans/{address}"))["status"] == 404


def test_a_network_is_trusted_and_no_longer(api, filled, context):
    filled.bans("192.0.2.66")
    answer = api.write("POST", "/trusted", {"network": "192.0.2.0/24"})
    assert answer.status == 201
    assert json.loads(answer.body) == {"network": "192.0.2.0/24", "source": "added"}
    assert items(api, "/bans") == []
    details = problem(api.write("POST", "/trusted", {"network": "192.0.2.0/24"}))
    assert (details["status"], details["errors"][0]["field"]) == (409, "network")
    assert api.write("DELETE", "/trusted/192.0.2.0/24").status == 204
    assert last_act(context) == (Act.NETWORK_DISTRUSTED, "token api", "192.0.2.0/24")
    assert problem(api.write("DELETE", "/trusted/192.0.2.0/24"))["status"] == 404
    assert items(api, "/trusted") == []


def test_a_network_of_the_setting_cannot_be_removed(api, context):
    context.config = Config(guard_trusted=(parse_network("198.51.100.0/24"),))
    for number in range(3):
        context.bans.trust(f"10.0.{number}.0/24")
    assert [each["source"] for each in whole(api, "/trusted", 1)] == ["setting", *["added"] * 3]
    assert problem(api.write("DELETE", "/trusted/198.51.100.0/24"))["status"] == 409
    assert problem(api.write("POST", "/trusted", {"network": "198.51.100.0/24"}))["status"] == 409


@pytest.mark.parametrize("network", ["", "everybody", "192.0.2.0/99", "\u0000"])
def test_a_text_that_is_no_network_is_refused(api, context, network):
    details = problem(api.write("POST", "/trusted", {"network": network}))
    assert (details["status"], details["errors"][0]["field"]) == (422, "network")
    assert not context.bans.trusted()
