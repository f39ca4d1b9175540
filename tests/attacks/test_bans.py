"""Bans from the outside: by guessing, over restarts, from the command line, on connections."""

import os
import re

import pytest

from sip.control.protocol import control_path
from sip.core.guard.password_limits import MAX_FAILURES_OF_SOURCE, MAX_FAILURES_OF_USER
from tests.support.password_guesser import PasswordGuesser
from tests.support.programs import until
from tests.support.server import Server

pytestmark = pytest.mark.wire


@pytest.fixture
def thief(server):
    thief = PasswordGuesser(server)
    yield thief
    thief.close()


def test_a_ban_outlives_a_restart_and_is_lifted_by_a_command(
    server: Server, thief: PasswordGuesser
):
    for number in range(MAX_FAILURES_OF_SOURCE):
        assert thief.guesses(f"user{number}").startswith("SIP/2.0 401 ")
    assert not thief.is_heard()
    assert server.answers_options()  # from another address
    (line,) = server.does("bans").splitlines()
    address, until_when, reason = line.split("\t")
    assert address == thief.host
    assert re.fullmatch(r"until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", until_when)
    assert reason == f"guessed passwords, last user user{MAX_FAILURES_OF_SOURCE - 1}"
    assert server.log.read_text().count(f"banned {thief.host} for 10 min: {reason}") == 1

    server.restart()
    assert not thief.is_heard()
    assert server.does("bans", "list") == f"{line}\n"

    server.does("bans", "remove", thief.host)
    until(thief.is_heard, "an answer after the ban was lifted")
    assert server.does("bans") == ""


def test_trust_by_command_lifts_a_ban_and_prevents_others(server, thief):
    for number in range(MAX_FAILURES_OF_SOURCE):
        thief.guesses(f"user{number}")
    server.does("bans", "trust", f"{thief.host}/24")
    until(thief.is_heard, "an answer to a trusted source")
    for number in range(MAX_FAILURES_OF_SOURCE + 5):
        assert thief.guesses(f"user{number}").startswith("SIP/2.0 401 ")
    network = thief.host.rpartition(".")[0] + ".0/24"
    assert server.does("bans") == f"{network}\ttrusted\t\n"
    server.does("bans", "distrust", network)
    assert server.does("bans") == ""


@pytest.mark.parametrize("flags", [["-guard.trusted", "127.0.0.0/8"]])
def test_networks_of_the_settings_are_never_banned(server, thief):
    for number in range(MAX_FAILURES_OF_SOURCE + 5):
        assert thief.guesses(f"user{number}").startswith("SIP/2.0 401 ")


def test_a_scanner_on_a_connection_is_banned_on_udp_as_well(
    server: Server, thief: PasswordGuesser, line
):
    scanner = line(thief.host)
    scanner.says(scanner.request("OPTIONS", "User-Agent: friendly-scanner"))
    until(lambda: server.does("bans"), "the ban of a scanner")
    assert "scanner, User-Agent friendly-scanner" in server.does("bans")
    assert not thief.is_heard()
    assert line(thief.host).is_closed()


def test_a_registered_phone_goes_on_when_its_address_is_banned(server, thief):
    password = server.password_of("alice")
    assert thief.guesses("alice", password).startswith("SIP/2.0 200 ")
    for number in range(MAX_FAILURES_OF_SOURCE + 5):
        thief.guesses(f"user{number}")
    assert thief.host in server.does("bans")
    assert thief.guesses("alice", password).startswith("SIP/2.0 200 ")
    server.restart()
    assert thief.guesses("alice", password).startswith("SIP/2.0 200 ")
    assert thief.guesses("bob", server.password_of("bob")).startswith("SIP/2.0 401 ")


# Lifting the block of one user


@pytest.fixture
def waiting(server, thief) -> PasswordGuesser:
    """A phone of alice that has guessed so often that the right password is not looked at."""
    for _ in range(MAX_FAILURES_OF_USER):
        thief.guesses("alice", "wrong")
    assert thief.guesses("alice", server.password_of("alice")).startswith("SIP/2.0 401 ")
    return thief


@pytest.mark.parametrize(
    "command",
    [
        ("forgive", "alice"),
        ("forgive", "alice", "ADDRESS"),
        ("users", "password", "alice", "--password", "secret-of-alice"),  # as it was
        ("bans", "trust", "ADDRESS"),
    ],
    ids=" ".join,
)
def test_a_command_lifts_a_wait(server: Server, waiting: PasswordGuesser, command: tuple[str, ...]):
    """Of a running server, which notices a change of the file."""
    assert f"user alice blocked after {MAX_FAILURES_OF_USER} wrong passwords" in server.does("bans")
    server.does(*(waiting.host if word == "ADDRESS" else word for word in command))
    password = server.password_of("alice")

    def is_let_in() -> bool:
        return waiting.guesses("alice", password).startswith("SIP/2.0 200 ")

    until(is_let_in, "the right password is let in")
    assert server.does("bans").count("alice") == 0
    assert f"registered alice at {waiting.host}" in server.log.read_text()


def test_disabling_and_enabling_lifts_a_wait(server: Server, waiting: PasswordGuesser):
    server.does("users", "disable", "alice")
    server.does("users", "enable", "alice")
    assert server.does("bans") == ""
    password = server.password_of("alice")

    def is_let_in() -> bool:
        return waiting.guesses("alice", password).startswith("SIP/2.0 200 ")

    until(is_let_in, "the right password is let in")


def test_the_control_socket_is_there_while_the_server_runs(server: Server):
    path = control_path(str(server.database))
    assert os.stat(path).st_mode & 0o777 == 0o600
    server.kill()
    server.start()
    server.stop()
    assert not os.path.exists(path)
    server.start()
