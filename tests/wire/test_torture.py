"""The torture messages of RFC 4475 and RFC 5118 against the running server, over real UDP."""

import contextlib
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import Phone, World

from sip.message.message import Response, parse
from tests.torture.test_torture import DROPPED, PORTS, REFUSED, REQUESTS, RESPONSES, octets
from tests.wire.programs import PATIENCE, own_address
from tests.wire.server import Server

EXPECTED = (
    {name: {status} for name, status in REFUSED.items()}
    | {name: set(statuses) for name, statuses in REQUESTS.items()}
    | {name: set() for name in (*RESPONSES, *DROPPED)}
)


class Stranger:
    """Who sends octets from an address of its own, and hears answers at each port they name."""

    def __init__(self, server: Server) -> None:
        self.server = ("127.0.0.1", server.port)
        self.host = own_address()
        self.ears = {port: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for port in PORTS}
        for port, ear in self.ears.items():
            ear.bind((self.host, port))
            ear.setblocking(False)

    def close(self) -> None:
        for ear in self.ears.values():
            ear.close()

    def sends(self, data: bytes) -> None:
        self.ears[5060].sendto(data, self.server)

    def hears(self) -> list[bytes]:
        """What has come meanwhile."""
        heard: list[bytes] = []
        for ear in self.ears.values():
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(ear.recv(65_535))
        return heard

    def gets(self) -> bytes:
        """The next message; fails where none comes."""
        deadline = time.monotonic() + PATIENCE
        while not (heard := self.hears()):
            assert time.monotonic() < deadline, "nothing came"
            time.sleep(0.005)
        (message,) = heard
        return message

    def is_answered(self, data: bytes) -> list[int]:
        """The final statuses that some octets bring, until the server has answered what follows."""
        self.sends(data)
        marker = f"marker-{time.monotonic_ns()}"
        self.sends(
            "\r\n".join(
                [
                    "OPTIONS sip:{}:{} SIP/2.0".format(*self.server),
                    f"Via: SIP/2.0/UDP {self.host};branch=z9hG4bK{marker}",
                    f"From: <sip:marker@{self.host}>;tag=1",
                    "To: <sip:{}:{}>".format(*self.server),
                    f"Call-ID: {marker}",
                    "CSeq: 1 OPTIONS",
                    *("", ""),
                ]
            ).encode()
        )
        answers: list[bytes] = []
        deadline = time.monotonic() + PATIENCE
        while not any(marker.encode() in answer for answer in answers):
            assert time.monotonic() < deadline, "the server answers no more"
            time.sleep(0.002)
            answers += self.hears()
        answers += self.hears()  # what was sent before, to a port that had been looked at
        assert all(answer.startswith(b"SIP/2.0 ") for answer in answers)
        statuses = [int(answer[8:11]) for answer in answers if marker.encode() not in answer]
        return [status for status in statuses if status != 100]


@pytest.fixture(scope="module")
def tortured(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[Server]:
    """One server for all of them, whose domain is the one of most messages."""
    server = Server(tmp_path_factory.mktemp("torture") / "server")
    server.domain = "example.com"
    shutil.copy(database, server.database)
    server.has_users("user", "watson", "j.user", "j_user", "t.watson", "vivekg")
    server.start()
    yield server
    server.close()  # which holds it to a clean end and a log without a traceback


@pytest.fixture
def stranger(tortured: Server) -> Iterator[Stranger]:
    with contextlib.closing(Stranger(tortured)) as stranger:
        yield stranger


@pytest.mark.parametrize("name", EXPECTED)
def test_the_running_server_gives_each_message_its_verdict(tortured: Server, stranger, name: str):
    """RFC 4475 §3, RFC 5118 §4."""
    statuses = stranger.is_answered(octets(name))
    assert len(statuses) == (1 if EXPECTED[name] else 0)
    assert set(statuses) <= EXPECTED[name]
    tortured.has_no_traceback()


def test_after_all_of_them_a_phone_registers(tortured: Server, stranger: Stranger):
    """RFC 4475 §1: what tortures one element harms nobody else."""
    assert len(EXPECTED) == 61
    for name in EXPECTED:
        stranger.is_answered(octets(name))
    assert tortured.process is not None
    assert tortured.process.poll() is None
    phone = Phone(World(), "user", (stranger.host, 5060))
    request = phone.request(
        "REGISTER", "sip:example.com", to="<sip:user@example.com>", headers=("Contact: <sip:u@h>",)
    )
    stranger.sends(request.encode())
    challenge = parse(stranger.gets())
    assert isinstance(challenge, Response)
    again = phone.with_credentials(request, challenge, tortured.password_of("user"))
    stranger.sends(again.encode())
    assert stranger.gets().startswith(b"SIP/2.0 200 ")
    tortured.has_no_traceback()
    assert len(tortured.log.read_text().splitlines()) < 200
