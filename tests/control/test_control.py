"""The control socket of a running server, and the commands that ask it."""

import json
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import gevent
import pytest
from gevent import socket as green
from gevent.threadpool import ThreadPool

from sip.cli.main import main
from sip.control import handlers
from sip.control import protocol as control
from sip.control.handlers import call_handlers, guard_handlers, trace_handlers
from sip.control.protocol import (
    MAX_PATH_BYTES,
    MAX_REQUEST_BYTES,
    ControlError,
    NotRunning,
    control_path,
)
from sip.control.server import MAX_COMMANDS, ControlServer, Refusal
from sip.core.guard.guard import Guard
from sip.core.guard.password_limits import MAX_FAILURES_OF_SOURCE, MAX_FAILURES_OF_USER
from sip.monitor.calls import Calls
from sip.monitor.events import Bus, CallStarted, MessagePassed, Party
from sip.monitor.traces import Traces
from sip.store.audit import Audit
from sip.store.database import Database
from tests.support.cases import cases

HERE = "192.0.2.7"
CALL_ID = 1_700_000_000_000_000


class Commands:
    """Asks a server from a thread of its own, as another process does."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.threads = ThreadPool(1)

    def __call__(self, **request):
        return self.does(control.ask, self.database, **request)

    def does(self, function, *arguments, **named):
        """Call a function there; raises what it raises."""

        def quietly():
            try:
                return function(*arguments, **named), None
            except ControlError as error:
                return None, error

        result, error = self.threads.spawn(quietly).get()
        if error is not None:
            raise error
        return result


@pytest.fixture
def database(tmp_path) -> str:
    path = str(tmp_path / "sip.db")
    Database(path).close()
    return path


@pytest.fixture
def ask(database) -> Iterator[Commands]:
    commands = Commands(database)
    yield commands
    commands.threads.kill()


def echo(request):
    return {"said": request["what"]}


def refuse(request):
    raise Refusal("it is not possible today")


def fail(request):
    raise RuntimeError("a fault of ours")


@pytest.fixture
def serve(database) -> Iterator:
    """Start servers; they are stopped with the test."""
    started = []

    def start(path: str = database, **handlers) -> ControlServer:
        server = ControlServer(control_path(path), {"echo": echo, **handlers})
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


def test_a_command_is_answered(serve, ask):
    serve(refuse=refuse)
    assert ask(do="echo", what="ünïcode\nof two lines") == {"said": "ünïcode\nof two lines"}
    with pytest.raises(ControlError, match="it is not possible today"):
        ask(do="refuse")


def test_without_a_server_a_command_says_so(ask, serve):
    with pytest.raises(NotRunning, match="no server is running with the database"):
        ask(do="echo", what="")
    serve().stop()
    with pytest.raises(NotRunning):
        ask(do="echo", what="")


def test_only_the_owner_may_use_the_control_socket(serve, database):
    umask = os.umask(0)
    try:
        server = serve()
        assert os.umask(0) == 0  # as it was
    finally:
        os.umask(umask)
    status = os.stat(control_path(database))
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
    server.stop()
    assert not os.path.exists(control_path(database))


def test_the_control_socket_of_a_killed_server_is_replaced(serve, ask, database):
    with closing(socket.socket(socket.AF_UNIX)) as left_behind:
        left_behind.bind(control_path(database))
    with pytest.raises(NotRunning):
        ask(do="echo", what="")
    serve()
    assert ask(do="echo", what=1) == {"said": 1}


def test_a_second_server_does_not_take_the_control_socket(serve, ask, caplog):
    serve()
    second = ControlServer(control_path(ask.database), {"echo": refuse})
    second.start()
    assert "another server with the same database" in caplog.text
    assert second.failure().startswith("another server with the same database")
    second.stop()
    assert ask(do="echo", what=1) == {"said": 1}


def test_the_socket_of_another_server_is_not_removed_at_the_end(serve, database):
    first = serve()
    assert first.failure() == ""
    os.unlink(control_path(database))
    assert first.failure().endswith("No such file or directory")
    serve()
    assert "has taken the place of" in first.failure()
    first.stop()
    assert first.failure() == "it is not open"
    assert os.path.exists(control_path(database))


def test_a_file_that_is_no_socket_stays(serve, database, caplog):
    path = Path(control_path(database))
    path.write_text("precious")
    serve()
    assert "a file that is not a socket is there" in caplog.text
    assert path.read_text() == "precious"


def test_a_long_path_works(serve, tmp_path, ask):
    """The address of a Unix socket has 108 bytes (unix(7))."""
    directory = tmp_path / ("d" * 100) / ("e" * 100)
    directory.mkdir(parents=True)
    path = str(directory / "sip.db")
    assert len(control_path(path)) > MAX_PATH_BYTES
    server = serve(path)
    ask.database = path
    assert ask(do="echo", what=1) == {"said": 1}
    assert os.listdir(directory) == ["sip.db.sock"]
    server.stop()
    assert os.listdir(directory) == []


def test_a_link_to_the_database_leads_to_the_same_socket(serve, tmp_path, ask, database):
    link = tmp_path / "link.db"
    link.symlink_to(database)
    serve()
    ask.database = str(link)
    assert ask(do="echo", what=1) == {"said": 1}


@cases(
    "line",
    [b"\n", b"{}\n", b"[]\n", b"1\n", b'{"do": []}\n', b'{"do": "x"}\n', b"[" * 9999 + b"\n"],
)
def test_an_invalid_request_gets_an_error_as_reply(serve, database, line):
    serve()
    with closing(green.socket(socket.AF_UNIX)) as peer:
        peer.connect(control_path(database))
        peer.sendall(line)
        reply = json.loads(peer.recv(65_536))
    assert reply == {"error": "the server does not know this command; it may be an older one"}


def test_an_error_in_a_handler_is_logged_and_the_server_goes_on(serve, ask, caplog):
    serve(fail=fail)
    with pytest.raises(ControlError, match="its log says why"):
        ask(do="fail")
    assert "a fault of ours" in caplog.text
    assert ask(do="echo", what=1) == {"said": 1}


def test_a_line_without_end_is_cut_off(serve, database):
    serve()
    with closing(green.socket(socket.AF_UNIX)) as peer:
        peer.connect(control_path(database))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            peer.sendall(b"x" * (100 * MAX_REQUEST_BYTES))


def test_a_silent_command_is_disconnected(serve, ask, monkeypatch):
    """Silent ones take all places until their time is over; then others are answered."""
    monkeypatch.setattr("sip.control.server.SECONDS_TO_ASK", 0.05)
    serve()
    silent = [green.socket(socket.AF_UNIX) for _ in range(MAX_COMMANDS)]
    for peer in silent:
        peer.connect(control_path(ask.database))
    gevent.sleep(0)
    assert ask(do="echo", what=1) == {"said": 1}
    for peer in silent:
        assert peer.recv(1) == b""
        peer.close()


@pytest.mark.parametrize("reply", [b"", b"nonsense\n", b"[1]\n"])
def test_an_invalid_reply_is_an_error_for_the_operator(database, ask, reply):
    listener = green.socket(socket.AF_UNIX)
    listener.bind(control_path(database))
    listener.listen(1)

    def answer():
        peer, _ = listener.accept()
        peer.recv(65_536)
        peer.sendall(reply)
        peer.close()

    serving = gevent.spawn(answer)
    with pytest.raises(ControlError, match=r"could not be asked|another program listens"):
        ask(do="echo")
    serving.join()
    listener.close()


# forgive


@pytest.fixture
def traces() -> Traces:
    """The messages that the running server keeps: one INVITE."""
    bus = Bus()
    traces = Traces(bus)
    invite = b"INVITE sip:bob@example.com SIP/2.0\r\nCall-ID: a/b c\r\nSubject: \x1b[2J\r\n\r\n"
    here, there = ("192.0.2.1", 5060), ("192.0.2.7", 5060)
    bus.publish(MessagePassed(1.0, "in", here, there, "UDP", invite))
    return traces


@pytest.fixture
def guard(serve, database, traces) -> Guard:
    """The guard of the running server; alice has to wait at HERE."""
    guard = Guard(
        lambda: 1000.0, lambda: 1_700_000_000.0, (), lambda *who: False, lambda rules: False, Bus()
    )
    server = ControlServer(
        control_path(database), guard_handlers(guard) | trace_handlers(traces, lambda work: work())
    )
    server.start()
    for number in range(MAX_FAILURES_OF_USER):
        guard.login_failed(HERE, "alice", nonce_is_ours=True, answer=str(number))
    yield guard
    server.stop()


@pytest.fixture
def command(database, ask, capsys):
    """Call the command line; gives exit code, output and error."""

    def call(*arguments):
        code = ask.does(main, (*arguments, "-db.path", database), lambda config: 0, {})
        return code, *capsys.readouterr()

    return call


def test_forgive_lifts_a_wait_and_stands_in_the_audit(command, guard, database):
    assert command("forgive", "alice") == (0, f"alice is unblocked at {HERE}\n", "")
    assert guard.blocked_logins() == []
    with Database(database) as opened:
        (entry,) = Audit(opened).entries("bans")
    assert (entry.act, entry.about) == ("wait lifted", "alice")


@pytest.mark.parametrize("stored", ["j\u00f6rg", "jo\u0308rg"])
@pytest.mark.parametrize("typed", ["j\u00f6rg", "jo\u0308rg"])
def test_forgive_takes_a_name_in_either_form(command, guard, stored, typed):
    for _ in range(MAX_FAILURES_OF_USER):
        guard.login_failed(HERE, stored, nonce_is_ours=True)
    assert command("forgive", typed)[0] == 0
    assert stored not in [wait.username for wait in guard.blocked_logins()]


def test_forgive_takes_an_address_or_a_network(command, guard):
    code, out, err = command("forgive", "alice", "198.51.100.0/24")
    assert (code, out) == (1, "")
    assert "alice has no wrong passwords from 198.51.100.0/24 to forgive" in err
    assert "is not an address or network" in command("forgive", "alice", "everywhere")[2]
    assert command("forgive", "alice", HERE)[0] == 0
    assert guard.blocked_logins() == []


def test_forgive_says_that_the_whole_address_is_banned(command, guard):
    for number in range(MAX_FAILURES_OF_SOURCE):
        guard.login_failed(HERE, f"user{number}", nonce_is_ours=True)
    _, out, _ = command("forgive", "alice")
    assert out == f"{HERE} is banned; `bans remove {HERE}` removes the ban\n"


def test_forgive_needs_a_running_server(command):
    code, out, err = command("forgive", "alice")
    assert (code, out) == (1, "")
    assert err.startswith("sipserver.py: no server is running with the database ")
    assert err.count("\n") == 1


def test_trace_prints_a_ladder_that_controls_no_terminal(command, guard):
    code, out, _ = command("trace", "a/b c")
    assert code == 0
    assert "INVITE sip:bob@example.com SIP/2.0" in out
    assert "\x1b" not in out
    assert r"Subject: \x1b[2J" in out


def test_trace_writes_a_pcap_file_for_its_owner(command, guard, tmp_path):
    file = tmp_path / "a.pcap"
    code, out, _ = command("trace", "a/b c", "--pcap", str(file))
    assert (code, out) == (0, f"1 messages written to {file}\n")
    assert file.read_bytes()[:4] == b"\xd4\xc3\xb2\xa1"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_trace_says_what_is_missing(command, guard, traces, tmp_path):
    code, _, err = command("trace", "other")
    assert code == 1
    assert "there are no messages with the Call-ID 'other'; the latest 64 MiB are kept" in err
    _, _, err = command("trace", "a/b c", "--pcap", str(tmp_path / "none" / "x"))
    assert "cannot write" in err
    traces.limit = 0
    assert "-trace.memory is 0" in command("trace", "a/b c")[2]


@pytest.mark.parametrize("arguments", [("forgive",), ("forgive", "a", "b", "c")])
def test_forgive_takes_one_user_and_one_address(command, arguments):
    code, _, err = command(*arguments)
    assert (code, err.count("\n")) == (2, 1)


def test_bans_lists_the_blocked_logins_of_the_running_server(command, guard):
    code, out, err = command("bans")
    address, until, reason = out.rstrip("\n").split("\t")
    assert (code, err, address) == (0, "", HERE)
    assert until.startswith("until 20")
    assert reason == f"user alice blocked after {MAX_FAILURES_OF_USER} wrong passwords"


# calls


@pytest.fixture
def hung_up(serve, database) -> Iterator[list[tuple[str, str]]]:
    """A running server with one call; gives the calls that were hung up."""
    bus, keys = Bus(lambda: 1_700_000_000.0), []

    def hang_up(call_id: str, from_tag: str) -> bool:
        keys.append((call_id, from_tag))
        return True

    server = ControlServer(control_path(database), call_handlers(Calls(bus), hang_up))
    server.start()
    alice = Party("sip:alice@example.com", 1, "alice", "example.com")
    other = Party("sip:+4930@example.com", 0, "", "")
    bus.publish(CallStarted(bus.now(), "one", "a", alice, other, (HERE, 5060), "UDP", "Desk"))
    yield keys
    server.stop()


def test_calls_are_listed_as_lines_and_as_json(command, hung_up):
    code, out, err = command("calls", "list")
    assert (code, err) == (0, "")
    assert out.startswith("1700000000000000  ringing  ")
    assert out.endswith(" s  alice -> sip:+4930@example.com  -\n")
    code, out, _ = command("calls", "list", "--json")
    (call,) = json.loads(out)
    assert (code, call["id"], call["state"]) == (0, CALL_ID, "ringing")
    assert (call["from"]["name"], call["started_at"]) == ("alice", "2023-11-14T22:13:20Z")


def test_a_long_list_of_calls_says_what_is_left_out(command, hung_up, monkeypatch):
    monkeypatch.setattr(handlers, "MAX_LISTED_CALLS", 0)
    code, out, err = command("calls", "list", "--json")
    assert (code, out) == (0, "[]\n")
    assert "1 older calls are left out" in err


def test_a_call_is_hung_up_and_stands_in_the_audit(command, hung_up, database):
    about = "alice to sip:+4930@example.com"
    assert command("calls", "hangup", str(CALL_ID)) == (0, f"the call from {about} was ended\n", "")
    assert hung_up == [("one", "a")]
    with Database(database) as opened:
        (entry,) = Audit(opened).entries("calls")
    assert (entry.act, entry.about) == ("call hung up", about)


def test_a_call_that_is_not_there_is_a_sentence(command, hung_up):
    code, out, err = command("calls", "hangup", "77")
    assert (code, out) == (1, "")
    assert "there is no call 77; `calls list` shows the calls" in err
    assert hung_up == []


@pytest.mark.parametrize("arguments", [("list",), ("hangup", "1")])
def test_calls_need_the_running_server(command, arguments):
    code, out, err = command("calls", *arguments)
    assert (code, out) == (1, "")
    assert "no server is running with the database" in err
    assert err.count("\n") == 1
