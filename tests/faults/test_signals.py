"""SIGTERM drains, SIGHUP reloads, and systemd is notified of both."""

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.programs import PATIENCE, until
from tests.support.raw_tcp import TcpClient
from tests.support.server import Server
from tests.support.socket_phone import NoMessage, SocketPhone, value

# The log line when the drain time is over, and the server ends all unanswered requests.
GIVES_UP = "cancelling ringing calls"


@pytest.fixture
def stopped(server: Server) -> Callable[..., str]:
    """End the server by SIGTERM, do something `meanwhile`, and hold it to exit code 0.

    Gives what it has logged since; not how long it took, which other programs have a part in.
    """

    def stop(meanwhile: Callable[[], object] = lambda: None) -> str:
        before = len(server.log.read_text())
        server.process.send_signal(signal.SIGTERM)
        try:
            until(lambda: "stopping" in server.log.read_text()[before:], "it has heard SIGTERM")
            meanwhile()
            assert server.process.wait(3 * PATIENCE) == 0
        finally:
            server.process = None
        return server.log.read_text()[before:]

    return stop


# SIGTERM


def test_an_idle_server_waits_for_nothing_when_it_ends(server, registered, stopped):
    registered("alice").calls(registered("bob"))  # an answered call delays no stop
    assert GIVES_UP not in stopped()


def test_a_draining_server_delivers_pending_answers(registered, stopped):
    """The INVITE was accepted before: its 200 and its ACK still pass."""
    alice, bob = registered("alice"), registered("bob")
    call, branch = alice.dials(bob)
    invite = bob.hears("INVITE ")

    def meanwhile() -> None:
        bob.takes(invite)
        alice.is_answered(call, branch)
        bob.hears("ACK ")

    assert GIVES_UP not in stopped(meanwhile)


def test_a_call_that_rings_on_is_ended_on_both_sides(registered, stopped):
    """The caller hears 503 and when to try again, the phone is told why it rings no more."""
    alice, bob = registered("alice"), registered("bob")
    _, branch = alice.dials(bob)
    invite = bob.hears("INVITE ")
    bob.answers(invite, 180)

    def meanwhile() -> None:
        response = alice.final(branch)
        assert response.startswith("SIP/2.0 503 ")
        assert int(value("Retry-After", response)) > 0
        cancel = bob.hears("CANCEL ")
        assert value("Reason", cancel).startswith("SIP;cause=503;")
        bob.answers(cancel, 200)
        bob.answers(invite, 487)
        bob.hears("ACK ")

    assert f"draining: 1 requests are still pending, {GIVES_UP}" in stopped(meanwhile)


def test_nothing_new_is_taken_while_the_last_call_is_waited_for(server, registered, stopped):
    """A datagram stays unanswered, so that its sender repeats it; on TCP there is no repeat."""
    alice, bob, carol = registered("alice"), registered("bob"), registered("carol")
    line = TcpClient(server)
    assert line.asks() == 200
    _, branch = alice.dials(bob)
    invite = bob.hears("INVITE ")

    def meanwhile() -> None:
        with pytest.raises(NoMessage):
            carol.final(carol.sends("OPTIONS", f"sip:{server.address}", carol.registration), 0.5)
        assert line.asks() == 503
        with pytest.raises(ConnectionRefusedError):
            TcpClient(server)
        bob.answers(invite, 486)
        assert alice.final(branch).startswith("SIP/2.0 486 ")

    stopped(meanwhile)
    line.close()


# SIGHUP


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A file of settings."""
    file = tmp_path / "settings.toml"
    file.write_text("[sip]\nmax_expires = 7200\n")
    return file


@pytest.fixture
def flags(request: pytest.FixtureRequest) -> list[str]:
    if "settings" not in request.fixturenames:
        return []
    return ["-config", str(request.getfixturevalue("settings"))]


def hangs_up(server: Server, wanted: str) -> str:
    """Send SIGHUP, and return the log line with its result."""
    before = len(server.log.read_text())
    server.process.send_signal(signal.SIGHUP)
    until(lambda: wanted in server.log.read_text()[before:], f"the log says {wanted!r}")
    (line,) = (line for line in server.log.read_text()[before:].splitlines() if wanted in line)
    return line


def expires(phone: SocketPhone) -> int:
    uri = f"sip:{phone.server.domain}"
    fields = f"Contact: {phone.contact}", "Expires: 3600"
    _, response = phone.authorized("REGISTER", uri, phone.registration, *fields)
    return int(re.search(r"expires=(\d+)", value("Contact", response))[1])


def test_settings_are_reloaded_without_a_restart(server, settings, registered):
    """Calls and registrations stay; the log names the changed settings."""
    alice, bob = registered("alice"), registered("bob")
    call, _ = alice.calls(bob)
    assert expires(alice) == 3600
    settings.write_text(
        "[sip]\nmax_expires = 600\ndefault_expires = 300\ndomains = 'more.test'\n"
        "[log]\nlevel = 'debug'\n"
    )
    line = hangs_up(server, "settings reloaded")
    assert line.endswith("changed sip.domains, sip.max_expires, sip.default_expires, log.level")
    assert expires(alice) == 600
    uri = "sip:bob@more.test"
    message = alice.sends("OPTIONS", uri, alice.registration)
    assert alice.final(message).startswith("SIP/2.0 407 ")  # a name of ours
    alice.hangs_up(call, bob)
    TcpClient(server).close()
    until(lambda: " DEBUG " in server.log.read_text(), "the end of a connection is logged")


def test_settings_that_need_a_restart_are_logged(server, settings):
    settings.write_text("[sip]\nmax_expires = 7200\nkeepalive = 0\n")
    line = hangs_up(server, "settings reloaded")
    assert line.endswith("changed nothing; restart needed for sip.keepalive")
    assert hangs_up(server, "settings reloaded").endswith("restart needed for sip.keepalive")


def test_a_wrong_settings_file_is_one_line_and_changes_nothing(server, settings, registered):
    alice = registered("alice")
    for text, cause in (
        ("[sip]\nmax_expires = 'soon'\n", "max_expires"),
        ("[sip]\nmax_expire = 600\n", "did you mean sip.max_expires?"),
        ("[sip]\nmax_expires = 60\n", "must be between"),
        ("sip max_expires", "is not a TOML file"),
        ("", "cannot read the settings"),
    ):
        settings.write_text(text)
        if not text:
            settings.unlink()
        before = len(server.log.read_text().splitlines())
        assert cause in hangs_up(server, "cannot reload the settings")
        assert len(server.log.read_text().splitlines()) == before + 1
    assert expires(alice) == 3600


def test_accounts_are_reloaded_too(server, handset):
    server.does("users", "disable", "alice")
    hangs_up(server, "settings reloaded")
    assert handset("alice").registers() in (401, 403)


# systemd


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    """Where a server says how it is, as systemd has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(10)
        yield ear


def test_systemd_is_notified_of_ready_reload_and_stop(tmp_path: Path, told):
    """READY comes when both ports answer, so units that are ordered after it find them."""
    server = Server(tmp_path / "server")
    server.environment["NOTIFY_SOCKET"] = told.getsockname()
    server.start()
    try:
        assert told.recv(100) == b"READY=1"
        before = time.monotonic_ns()
        with socket.create_connection(("127.0.0.1", server.web_port), 5):
            server.process.send_signal(signal.SIGHUP)
        reloading, since = told.recv(100).decode().splitlines()
        assert reloading == "RELOADING=1"
        microseconds = int(since.removeprefix("MONOTONIC_USEC="))
        assert before // 1000 <= microseconds <= time.monotonic_ns() // 1000
        assert told.recv(100) == b"READY=1"
    finally:
        server.stop()
    assert told.recv(100) == b"STOPPING=1"


def test_an_abstract_notify_socket_works_too(tmp_path: Path):
    """That is how it is inside of a container."""
    name = f"sipserver-{os.urandom(8).hex()}"
    server = Server(tmp_path / "server")
    server.environment["NOTIFY_SOCKET"] = f"@{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0{name}")
        ear.settimeout(10)
        server.start()
        try:
            assert ear.recv(100) == b"READY=1"
        finally:
            server.stop()


def test_a_notify_socket_that_does_not_exist_is_ignored(tmp_path: Path):
    server = Server(tmp_path / "server")
    server.environment["NOTIFY_SOCKET"] = str(tmp_path / "nobody")
    server.start()
    server.stop()
