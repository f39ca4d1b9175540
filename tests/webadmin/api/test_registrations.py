"""Operations on registrations."""

from sip.store.audit import Act
from tests.support.api_client import problem
from tests.webadmin.conftest import FLOW, REALM


def test_registrations_of_a_user_or_of_all(api, context, bound):
    alice, bob = (context.users.add(name, "secret") for name in ("alice", "bob"))
    branch = context.users.add("alice", "secret", "branch.example")
    bound(alice)
    bound(alice, "sip:alice@10.0.0.5:5060", flow=FLOW + ";nat;ob=2", instance="<urn:uuid:1>")
    bound(bob, "sip:bob@10.0.0.6:5060")
    bound(branch, "sip:alice@10.0.0.7:5060")
    whole = api.json("/registrations")["items"]
    assert [each["username"] for each in whole] == ["alice", "bob", "alice", "alice"]
    assert {
        "user_id": alice.id,
        "realm": REALM,
        "contact": "sip:alice@10.0.0.5:5060",
        "device": "Yealink SIP-T46U",
        "address": "198.51.100.20",
        "transport": "UDP",
        "behind_nat": True,
        "instance": "<urn:uuid:1>",
        "reg_id": 2,
        "expires_at": "2023-11-14T23:13:20Z",
    }.items() <= next(each for each in whole if "10.0.0.5" in each["contact"]).items()
    assert [each["reg_id"] for each in whole if each["instance"] == ""] == [0, 0, 0]
    for text, count in (("alice", 2), (f"alice@{REALM}", 2), ("alice@branch.example", 1)):
        found = api.json("/registrations", user=text)["items"]
        assert len(found) == count, text
    assert api.json("/registrations", user="nobody") == {"items": [], "next": None}


def test_the_parts_of_the_list_have_each_contact_once(api, context, bound):
    for name in ("alice", "bob", "carol"):
        account = context.users.add(name, "secret")
        for number in range(3):
            bound(account, f"sip:{name}@10.0.0.{number}:5060")
    found, cursor = [], {}
    for _ in range(5):
        part = api.json("/registrations", limit=2, **cursor)
        found += [each["id"] for each in part["items"]]
        cursor = {"after": part["next"]}
    assert part["next"] is None
    assert len(found) == len(set(found)) == 9


def test_a_registration_is_removed_and_audited(api, context, bound):
    bound(context.users.add("alice", "secret"))
    (registration,) = api.json("/registrations")["items"]
    path = f"/registrations/{registration['id']}"
    assert api.write("DELETE", path).status == 204
    assert context.phones.dropped == [("alice@example.com", "sip:alice@198.51.100.20:5060", FLOW)]
    entry = context.audit.entries()[0]
    assert (entry.act, entry.who, entry.about) == (Act.PHONE_DROPPED, "token api", "alice")
    assert problem(api.write("DELETE", "/registrations/1-none"))["status"] == 404
    assert problem(api.write("DELETE", "/registrations/none"))["status"] == 404
