"""The torture messages of RFC 4475 and RFC 5118 against the running server, over real UDP."""

import contextlib
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sip.message.message import Response, parse
from tests.support.pjsua import Pjsua
from tests.support.programs import PATIENCE, own_address, until
from tests.support.server import Server
from tests.support.torture_messages import DROPPED, PORTS, REFUSED, REQUESTS, RESPONSES, octets
from tests.support.world import Phone, World

# Of the verdicts that leave a choice, the one here: a local From is asked for
# a password; another does not learn which users exist, nor reaches another domain.
CHOSEN = dict.fromkeys((name for name, verdict in REQUESTS.items() if 407 in verdict), 407) | {
    "esc01": 403,
    "longreq": 480,
    "semiuri": 480,
    "escruri": 480,
    "baddate": 480,
    "badbranch": 480,
    "invut": 480,
    "sdp01": 480,
    "inv2543": 480,
    "ipv4-mapped-ipv6": 480,
    "unksm2": 400,
}
EXPECTED: dict[str, list[int]] = (
    {name: [status] for name, status in REFUSED.items()}
    | {name: [CHOSEN.get(name) or max(verdict)] for name, verdict in REQUESTS.items()}
    | {name: [] for name in (*RESPONSES, *DROPPED)}
)
# Requests for a registered phone, and the answer of pjsua2 when its user refuses each call.
FORWARDED = {
    "longreq": 486,
    "escruri": 486,
    "baddate": 486,
    "badbranch": 200,  # an OPTIONS
    "invut": 415,
    "sdp01": 486,
    "ipv4-mapped-ipv6": 488,
}
# The fields that an answer copies (RFC 3261 §8.2.6.2), with their compact forms.
COPIED = ("via", "v", "from", "f", "to", "t", "call-id", "i", "cseq")


def copied_fields(message: bytes) -> dict[str, list[bytes]]:
    """The values of the fields that an answer copies, by long name; a To without its tag.

    Our own parser has read the message, so another parser has to read the answer.
    """
    head = re.sub(rb"\r\n[ \t]+", b" ", message.partition(b"\r\n\r\n")[0])
    found: dict[str, list[bytes]] = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        key = name.decode(errors="replace").strip().lower()
        if key not in COPIED:
            continue
        key = {"v": "via", "f": "from", "t": "to", "i": "call-id"}.get(key, key)
        if key == "to":
            value = re.sub(rb";\s*tag\s*=[^;]*$", b"", value)
        found.setdefault(key, []).append(b" ".join(value.split()))
    return found


def answers(answer: bytes, request: bytes) -> None:
    """Fail unless an answer carries what its request did, so that its sender finds it."""
    asked, said = copied_fields(request), copied_fields(answer)
    for name in ("from", "to", "call-id", "cseq"):
        assert len(said.get(name, [])) == min(1, len(asked.get(name, [])))
        assert set(said.get(name, [])) <= set(asked.get(name, []))
    goes_back(answer, request)


def goes_back(answer: bytes, request: bytes) -> None:
    """Fail unless an answer has all Vias of its request, the topmost with where it came from."""
    asked, said = (copied_fields(message)["via"] for message in (request, answer))
    plain = [
        [re.sub(rb";(received|rport)(=[^;,]*)?", b"", via) for via in seen]
        for seen in (asked, said)
    ]
    assert plain[0] == plain[1]
    if b";;" not in asked[0]:  # badinv01: an unreadable Via stays as it is
        assert b";received=127." in said[0]


class Stranger:
    """A sender of octets from its own address, which reads answers at each port they name."""

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
        """The messages that have arrived meanwhile."""
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

    def is_answered(self, data: bytes) -> list[bytes]:
        """The final answers that some octets bring, until the server has answered what follows."""
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
        answers += self.hears()  # earlier answers, to a port that was read before
        assert all(answer.startswith(b"SIP/2.0 ") for answer in answers)
        others = [answer for answer in answers if marker.encode() not in answer]
        return [answer for answer in others if status_of(answer) != 100]

    def waits_for_answer(self, to: bytes) -> bytes:
        """The final answer to a request; what others get meanwhile, once more, is passed over."""
        (call_id,) = copied_fields(to)["call-id"]
        finals: list[bytes] = []

        def has_come() -> bool:
            finals.extend(
                answer
                for answer in self.hears()
                if copied_fields(answer)["call-id"] == [call_id] and status_of(answer) >= 200
            )
            return bool(finals)

        until(has_come, "a final answer")
        return finals[0]


def status_of(answer: bytes) -> int:
    return int(answer[8:11])


@pytest.fixture(scope="module")
def tortured(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[Server]:
    """One server for all of them, with the domain of most messages."""
    server = Server(tmp_path_factory.mktemp("torture") / "server")
    server.domain = "example.com"
    shutil.copy(database, server.database)
    server.has_users("user", "watson", "j.user", "j_user", "t.watson", "vivekg")
    server.start()
    yield server
    server.close()  # which holds it to a clean end and a log without a traceback


@pytest.fixture
def reached(tmp_path: Path, database: Path) -> Iterator[Server]:
    """Another one, since a forwarded request is a repeat to its server for a while."""
    server = Server(tmp_path / "reached")
    server.domain = "example.com"
    shutil.copy(database, server.database)
    server.has_users("user")
    server.start()
    yield server
    server.close()


@pytest.fixture
def stranger(tortured: Server) -> Iterator[Stranger]:
    with contextlib.closing(Stranger(tortured)) as stranger:
        yield stranger


@pytest.mark.parametrize("name", EXPECTED)
def test_the_running_server_gives_each_message_its_verdict(tortured: Server, stranger, name: str):
    """RFC 4475 §3, RFC 5118 §4; RFC 3261 §8.2.6.2: and as an answer to that message."""
    heard = stranger.is_answered(octets(name))
    assert [status_of(answer) for answer in heard] == EXPECTED[name]
    for answer in heard:
        answers(answer, octets(name))
    tortured.has_no_traceback()


def test_what_a_phone_may_judge_reaches_a_phone(reached: Server, phone):
    """RFC 4475 §3.1.1.7, §3.1.2.11, §3.1.2.12, §3.3.6, §3.3.15, RFC 5118 §4.9."""
    callee = phone(Pjsua, "user", reached)
    callee.registers()
    with contextlib.closing(Stranger(reached)) as stranger:
        for name, status in FORWARDED.items():
            stranger.sends(octets(name))
            if status == 486:
                callee.gets_a_call()
                callee.refuses()
            answer = stranger.waits_for_answer(octets(name))
            assert status_of(answer) == status
            goes_back(answer, octets(name))  # the rest is the phone's
            (call_id,) = copied_fields(octets(name))["call-id"]
            callee.has_received(
                "(INVITE|OPTIONS) sip:user@127[^ ?]* SIP/2.0",
                f"(Call-ID|i): {re.escape(call_id.decode())}",
            )


def test_after_all_of_them_a_phone_registers(tortured: Server, stranger: Stranger):
    """RFC 4475 §1: a message that tortures one element harms no other."""
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
