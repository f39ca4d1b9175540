"""Bans from the outside: by guessing, over restarts, from the command line, on connections."""

import hashlib
import os
import re
import socket

import pytest

from sip.core.guesses import TRIES_OF_SOURCE
from tests.wire.programs import own_address, until
from tests.wire.server import Server

pytestmark = pytest.mark.wire


class Thief:
    """Registers with passwords that it makes up, from an address of its own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.host = own_address()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.host, 0))
        self.socket.connect(("127.0.0.1", server.port))
        self.socket.settimeout(0.5)

    def asks(self, user: str, authorization: str = "") -> str:
        """Send a REGISTER; gives the answer, or nothing."""
        domain, unique = self.server.domain, os.urandom(6).hex()
        lines = [
            f"REGISTER sip:{domain} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host};branch=z9hG4bK{unique};rport",
            "Max-Forwards: 70",
            f"From: <sip:{user}@{domain}>;tag={unique}",
            f"To: <sip:{user}@{domain}>",
            f"Call-ID: {unique}",
            "CSeq: 1 REGISTER",
            f"Contact: <sip:{user}@{self.host}>",
            *filter(None, [authorization]),
            "Content-Length: 0",
        ]
        self.socket.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        try:
            return self.socket.recv(65535).decode()
        except TimeoutError:
            return ""

    def guesses(self, user: str, password: str = "1234") -> str:
        """Try one password."""
        found = re.search('nonce="([^"]+)"', self.asks(user))
        if found is None:
            return ""
        domain = self.server.domain
        ha1, ha2 = (
            hashlib.md5(text.encode()).hexdigest()
            for text in (f"{user}:{domain}:{password}", f"REGISTER:sip:{domain}")
        )
        answer = hashlib.md5(f"{ha1}:{found[1]}:{ha2}".encode()).hexdigest()
        return self.asks(
            user,
            f'Authorization: Digest username="{user}", realm="{domain}", nonce="{found[1]}",'
            f' uri="sip:{domain}", response="{answer}"',
        )

    def is_heard(self) -> bool:
        return self.asks("anybody").startswith("SIP/2.0 401 ")


@pytest.fixture
def thief(server):
    thief = Thief(server)
    yield thief
    thief.socket.close()


def test_a_ban_outlives_a_restart_and_is_lifted_by_a_command(server: Server, thief: Thief):
    for number in range(TRIES_OF_SOURCE):
        assert thief.guesses(f"user{number}").startswith("SIP/2.0 401 ")
    assert not thief.is_heard()
    assert server.answers_options()  # from another address
    (line,) = server.does("bans").splitlines()
    address, until_when, reason = line.split("\t")
    assert address == thief.host
    assert re.fullmatch(r"until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", until_when)
    assert reason == f"guessed passwords, the last for user{TRIES_OF_SOURCE - 1}"
    assert server.log.read_text().count(f"banned {thief.host} for 10 min: {reason}") == 1

    server.restart()
    assert not thief.is_heard()
    assert server.does("bans", "list") == f"{line}\n"

    server.does("bans", "remove", thief.host)
    until(thief.is_heard, "an answer after the ban was lifted")
    assert server.does("bans") == ""


def test_trust_on_the_command_line_lifts_a_ban_and_keeps_others_away(server, thief):
    for number in range(TRIES_OF_SOURCE):
        thief.guesses(f"user{number}")
    server.does("bans", "trust", f"{thief.host}/24")
    until(thief.is_heard, "an answer to who is trusted")
    for number in range(TRIES_OF_SOURCE + 5):
        assert thief.guesses(f"user{number}").startswith("SIP/2.0 401 ")
    network = thief.host.rpartition(".")[0] + ".0/24"
    assert server.does("bans") == f"{network}\ttrusted\t\n"
    server.does("bans", "distrust", network)
    assert server.does("bans") == ""


@pytest.mark.parametrize("flags", [["-guard.trusted", "127.0.0.0/8"]])
def test_networks_of_the_settings_are_never_banned(server, thief):
    for number in range(TRIES_OF_SOURCE + 5):
        assert thief.guesses(f"user{number}").startswith("SIP/2.0 401 ")


def test_a_scanner_on_a_connection_is_banned_on_udp_as_well(server: Server, thief: Thief, line):
    scanner = line(thief.host)
    scanner.says(scanner.request("OPTIONS", "User-Agent: friendly-scanner"))
    until(lambda: server.does("bans"), "the ban of a scanner")
    assert "called itself friendly-scanner" in server.does("bans")
    assert not thief.is_heard()
    assert line(thief.host).is_closed()


def test_a_phone_that_is_registered_goes_on_when_its_address_is_banned(server, thief):
    password = server.password_of("alice")
    assert thief.guesses("alice", password).startswith("SIP/2.0 200 ")
    for number in range(TRIES_OF_SOURCE + 5):
        thief.guesses(f"user{number}")
    assert thief.host in server.does("bans")
    assert thief.guesses("alice", password).startswith("SIP/2.0 200 ")
    server.restart()
    assert thief.guesses("alice", password).startswith("SIP/2.0 200 ")
    assert thief.guesses("bob", server.password_of("bob")).startswith("SIP/2.0 401 ")
