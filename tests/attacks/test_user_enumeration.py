"""User enumeration: neither an answer nor its time shows if a user exists."""

import re
import statistics
import time
from ipaddress import ip_network

import pytest

from sip.message.message import parse
from tests.support.world import REALM, World

STRANGER = "sip:x@elsewhere.test"
THIEF = "203.0.113.66"
# RFC 3261 §26.1: what a stranger learns.  The bound asked of us is 100 µs in the median.
SECONDS_APART = 100e-6
ROUNDS = 300


@pytest.fixture
def stranger(world: World):
    """A stranger; bob exists and is not registered, nob does not exist."""
    world.users.add("bob", "secret")
    world.users.add("off", "secret").enabled = False
    return world.phone("thief", registered=False, host=THIEF)


def asks(
    stranger, method: str, username: str, as_user: bool = False, password: str = "", more: str = ""
):
    """Return the answer to a request for a user, or as a user; `more` is added to its URI."""
    aor = f"sip:{username}@{REALM}"
    uri = f"sip:{REALM}" if method == "REGISTER" else (f"sip:alice@{REALM}" if as_user else aor)
    uri += more
    from_uri = aor if as_user or method == "REGISTER" else STRANGER
    request = stranger.request(
        method, uri, to=f"<{aor}>" if method == "REGISTER" else "", from_uri=from_uri
    )
    stranger.transmits(request)
    if password:
        challenge = parse(stranger.inbox.pop())
        stranger.transmits(stranger.with_credentials(request, challenge, password, username))
    return parse(stranger.inbox.pop())


def without_what_differs(response, username: str) -> str:
    """An answer without its own values: names, tags, nonces, branches, numbers."""
    text = response.encode().decode().replace(username, "NAME")
    text = re.sub(r'nonce="[0-9a-f]+"', "NONCE", text)
    text = re.sub(r"(tag|branch)=[^;>\r\n]+", r"\1", text)
    return re.sub(r"(?m)^(Call-ID: .*|CSeq: \d+)", "NUMBER", text)


@pytest.mark.parametrize(
    ("method", "as_user", "password"),
    [
        ("REGISTER", True, ""),
        ("REGISTER", True, "wrong"),
        ("INVITE", True, ""),
        ("INVITE", True, "wrong"),
        ("INVITE", False, ""),
        ("MESSAGE", False, ""),
        ("OPTIONS", False, ""),
        ("SUBSCRIBE", False, ""),
        ("BYE", False, ""),
    ],
)
def test_a_known_user_is_answered_like_an_unknown_one(stranger, method, as_user, password):
    """Status and header fields of any request; a disabled user is no exception."""
    heard = {
        without_what_differs(asks(stranger, method, name, as_user, password), name)
        for name in ("bob", "nob", "off")
    }
    assert len(heard) == 1, heard


def test_public_gruus_show_no_user(stranger):
    """RFC 5627 §6.1, where 404 is recommended: that would show which names exist."""
    names = ("bob", "nob", "off")
    heard = {
        without_what_differs(asks(stranger, "INVITE", name, more=";gr=urn:uuid:1"), name)
        for name in names
    }
    assert len(heard) == 1, heard


@pytest.mark.parametrize(
    ("method", "password"), [("REGISTER", ""), ("REGISTER", "wrong"), ("INVITE", "")]
)
def test_the_answer_takes_the_same_time(stranger, method, password):
    """CPU time of this process, of which the test's half is the same for both; turn by turn."""
    world = stranger.world
    world.server.guard.set_trusted([ip_network(THIEF)])  # so each answer is looked at
    spent: dict[str, list[float]] = {"bob": [], "nob": []}
    for number in range(2 * ROUNDS):
        name = ("bob", "nob")[number % 2]
        before = time.process_time()
        asks(stranger, method, name, password=password)
        spent[name].append(time.process_time() - before)
    medians = [statistics.median(times) for times in spent.values()]
    assert abs(medians[0] - medians[1]) < SECONDS_APART, medians


def test_the_time_would_tell_if_there_were_something_to_tell(stranger, monkeypatch):
    """The measure is fine enough: half a millisecond more for existing users shows."""
    find = stranger.world.users.find

    def slow(username: str, realm: str):
        account = find(username, realm)
        until = time.process_time() + 0.0005
        while account and time.process_time() < until:
            pass
        return account

    monkeypatch.setattr(stranger.world.users, "find", slow)
    with pytest.raises(AssertionError):
        test_the_answer_takes_the_same_time(stranger, "REGISTER", "wrong")
