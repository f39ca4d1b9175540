"""Hooks in a running server: real phones, and a hook that never ends."""

from pathlib import Path

import pytest

from tests.support.baresip import Baresip
from tests.support.phone_calls import talk_and_hear
from tests.support.pjsua import Pjsua
from tests.support.programs import until

HOOKS = """
def route(call):
    if call.to == "night":
        call.forward_to("bob")
    elif call.to == "lunch":
        call.refuse(486, "back at one")
    elif call.to == "bob":
        while True:
            pass
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "hooks.py"
    path.write_text(HOOKS)
    path.chmod(0o600)
    return path


@pytest.fixture
def flags(path: Path) -> list[str]:
    return ["-hooks.file", str(path)]


def hears(caller: Pjsua, uri: str) -> str:
    """Call until the hook refuses: on a busy machine it may be later than 50 ms."""
    for _ in range(5):
        caller.dials(uri)
        closed = caller.call_ends()
        if closed.status == 486:
            break
    return closed.warning


def test_a_hook_forwards_refuses_and_changes(server, registered, path):
    """The file is read again when it changes."""
    alice, bob = registered(Pjsua, "alice"), registered(Baresip, "bob")
    lunch = f"sip:lunch@{server.domain}"
    assert hears(alice, lunch) == "refused by a hook: back at one"
    alice.dials(f"sip:night@{server.domain}")
    bob.gets_a_call(alice)
    bob.answers()
    bob.hangs_up()
    alice.call_ends()

    path.write_text(HOOKS.replace("back at one", "back at two"))
    until(lambda: server.log.read_text().count("hooks loaded from") == 2, "the new hooks")
    assert hears(alice, lunch) == "refused by a hook: back at two"


def test_a_hook_that_never_ends_delays_no_call_and_no_stop(server, registered):
    """The call goes on after 50 ms; the stop in the end of the fixture is clean."""
    alice, bob = registered(Pjsua, "alice"), registered(Baresip, "bob")
    talk_and_hear(alice, bob)
    assert "hook route took longer than 50 ms, it is ignored" in server.log.read_text()
    bob.hangs_up()
    alice.call_ends(bob)
