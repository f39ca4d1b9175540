"""Search in the devices and addresses of registered phones."""

import pytest

from sip.store import device_search
from sip.store import directory as directory_module
from sip.store.account_lists import Listing, list_part
from sip.store.bindings import BindingRow, BindingStore
from sip.store.directory import Directory, Question
from tests.support.cases import cases


@pytest.fixture
def directory(database, users):
    return Directory(database, users)


@pytest.fixture
def bind(database, users):
    bindings = BindingStore(database, window=0)

    def bind(username: str, device: str, flow: str) -> None:
        number = users.find(username, "example.com").id
        row = BindingRow(
            number,
            f"{username}@example.com",
            f"sip:{username}@h",
            9000,
            user_agent=device,
            flow=flow,
        )
        bindings.save([row], [], lambda: None, 1000).wait()

    yield bind
    bindings.close()


def found(directory, text: str, **more) -> list[str]:
    return [entry.username for entry in directory.page(Question(search=text, **more)).entries]


@pytest.fixture
def phones(users, bind) -> None:
    for name in ("ann", "bob", "yealinka"):
        users.add(name, "secret-1")
    bind("ann", "Yealink SIP-T46U", "UDP/192.0.2.1:5060/198.51.100.20:61000;nat")
    bind("bob", "50% off\udcff", "TCP/192.0.2.1:5060/[2001:db8::7]:5061")


@cases("few", [4000, 0])
@cases(
    ("text", "names"),
    [
        ("yealink", ["ann", "yealinka"]),
        ("t46", ["ann"]),
        ("198.51.100.20:61", ["ann"]),
        ("2001:db8", ["bob"]),
        ("50%", ["bob"]),
        ("192.0.2.1", []),
        ("nat", []),
        ("UDP", []),
        ("t4", []),
    ],
)
def test_devices_and_addresses_are_searched(directory, phones, monkeypatch, few, text, names):
    """Not the address of the server, and no short text, which is the start of a name."""
    monkeypatch.setattr(directory_module, "_FEW", few)
    assert found(directory, text) == names
    assert (
        list_part(directory, Listing(search=text), None)[0]
        == directory.page(Question(search=text)).entries
    )
    assert len(directory.matching(Question(search=text), 10)) == len(names)


def test_a_search_is_combined_with_a_state(directory, phones):
    assert found(directory, "yealink", status="offline") == ["yealinka"]


def test_a_phone_that_has_just_registered_is_found_soon(directory, phones, bind, monkeypatch):
    assert found(directory, "snom") == []
    bind("bob", "snom D785", "UDP/192.0.2.1:5060/203.0.113.9:5060")
    assert found(directory, "snom") == [], "of the last seconds"
    monkeypatch.setattr(device_search, "MAX_AGE", 0)
    assert found(directory, "snom") == ["bob"]
