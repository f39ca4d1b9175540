"""SIPVicious, as its users start it, and when it hides what it is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sip import __version__
from sip.core.guard.password_limits import ANSWERS_PER_ATTEMPT, MAX_FAILURES_OF_USER
from tests.support.programs import REPOSITORY, own_address
from tests.support.server import Server

pytestmark = pytest.mark.wire

AS_PHONE = Path(__file__).parents[1] / "support/sipvicious_as_phone.py"
NOTHING = "found nothing"
PASSWORD = "0123"


@pytest.fixture
def attacked(server: Server) -> Server:
    """A server with a user 100 and a password of four digits."""
    server.add_user("100", PASSWORD)
    return server


def scans(server: Server, tool: str, *words: str, hidden: bool = False) -> str:
    """Run a tool from an address of its own to its end; gives all that it prints."""
    start = [AS_PHONE, tool] if hidden else ["-m", f"sipvicious.{tool}"]
    done = subprocess.run(
        [sys.executable, *start, "-p", str(server.port), "-b", own_address(), *words],
        capture_output=True,
        text=True,
        cwd=server.home,
        env={"HOME": str(server.home), "PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        timeout=90,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("svmap", ["127.0.0.1/32"]),
        ("svwar", ["-e", "95-105", "--force", "127.0.0.1"]),
        ("svwar", ["-e", "95-105", "--force", "-m", "INVITE", "127.0.0.1"]),
        ("svcrack", ["-u", "100", "-r", "100-150", "-z", "4", "127.0.0.1"]),
    ],
)
def test_a_scanner_by_its_user_agent_finds_no_server(attacked: Server, tool, words):
    said = scans(attacked, tool, *words)
    assert NOTHING in said
    assert not attacked.does("bans")


def test_a_scanner_that_hides_finds_a_server_of_unknown_make(attacked: Server):
    said = scans(attacked, "svmap", "127.0.0.1/32", hidden=True)
    assert f"127.0.0.1:{attacked.port}" in said
    assert re.search(r"\bunknown\b", said)
    assert __version__ not in said.replace("127.0.0.1", "")
    assert "sipserver" not in said.lower()


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "INVITE"])
def test_a_scanner_that_hides_finds_no_user(attacked: Server, method):
    """100 is answered like all names without an account."""
    words = ["-e", "95-105", "--force", "-m", method, "127.0.0.1"]
    assert NOTHING in scans(attacked, "svwar", *words, hidden=True)


def test_a_guesser_that_hides_finds_no_password_of_four_digits(attacked: Server):
    """All its requests have one Call-ID, so its first answers are one try."""
    words = ["-u", "100", "-r", "100-200", "-z", "4", "127.0.0.1"]
    said = scans(attacked, "svcrack", *words, hidden=True)
    assert PASSWORD not in said
    assert NOTHING in said
    log = attacked.log.read_text()
    assert log.count("wrong password for 100") == ANSWERS_PER_ATTEMPT + MAX_FAILURES_OF_USER - 1


def test_the_guesser_would_find_it_among_the_first_tries(attacked: Server):
    """So it is the end of the tries that keeps the password, and no fault of the tool."""
    words = ["-u", "100", "-r", "122-124", "-z", "4", "127.0.0.1"]
    assert PASSWORD in scans(attacked, "svcrack", *words, hidden=True)
