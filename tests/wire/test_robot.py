"""The robot, called by real phones, and calling them; its packets are counted at a socket."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from sip.robot.tone import tone
from tests.support.admin import Admin
from tests.support.baresip import Baresip, BaresipTcp
from tests.support.phone import Phone
from tests.support.pjsua import Pjsua
from tests.support.rtp_phone import RtpPhone
from tests.support.server import CALLERS, Server
from tests.support.socket_phone import SocketPhone, value

KINDS = [Baresip, Pjsua, BaresipTcp]
PASSWORD = re.compile(r"The password of `admin` in the web admin is  (\S+)\n")


@pytest.fixture
def flags() -> list[str]:
    """Ports below those of other tests, so that each server finds some."""
    return ["-rtp.ports", "10000-10999"]


@pytest.fixture
def caller(server: Server) -> Iterator[Callable[[str], RtpPhone]]:
    """Register a phone of sockets with sound: `caller("alice")`; it is closed with the test."""
    with ExitStack() as opened:

        def start(user: str) -> RtpPhone:
            phone = opened.enter_context(closing(RtpPhone(server, user)))
            assert phone.registers() == 200
            return phone

        yield start


def robot(name: str, server: Server) -> str:
    return f"sip:{name}@{server.domain}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_phone_hears_the_robot(server: Server, registered, kind: type[Phone]):
    """Sound comes back; whoami@ says what the server sees of the phone, in a MESSAGE."""
    alice = registered(kind, "alice")
    for name in ("echo", "tone", "whoami"):
        alice.dials(robot(name, server))
        alice.expects("talking")
        alice.hears(40)
        if name == "whoami":
            said = alice.expects("message", peer="whoami").text
            if kind is BaresipTcp:  # its Via has another loopback address than its connection
                assert re.fullmatch(
                    r"You are alice at 127\.0\.0\.1:\d+, TCP, behind NAT, PCMU", said
                )
            else:
                assert said == f"You are alice at {alice.address}:5060, UDP, PCMU"
        alice.hangs_up()
        alice.expects("closed")
    alice.dials(robot("busy", server))
    assert alice.expects("closed").status == 486
    alice.dials(robot("noanswer", server))
    alice.hears_ringing()
    alice.hangs_up()
    alice.expects("closed")


@pytest.mark.parametrize("kind", [Baresip, Pjsua], ids=lambda kind: kind.kind)
def test_a_phone_on_hold_hears_nothing(server: Server, registered, kind: type[Phone]):
    """A re-INVITE gets a new answer; sound stops, and goes on (RFC 3264 §8.4)."""
    alice = registered(kind, "alice")
    alice.dials(robot("tone", server))
    alice.is_talking()
    alice.hears()
    alice.holds()
    alice.hears_nothing()
    alice.resumes()
    alice.hears()


def test_the_echo_has_the_same_octets(caller):
    """Each packet once, in the robot's own stream: one SSRC, sequence and timestamp in steps."""
    alice = caller("alice")
    call = alice.calls_robot("echo")
    sent = [os.urandom(160) for _ in range(100)]
    for payload in sent:
        alice.says(payload)
        time.sleep(0.01)
    heard = alice.packets(0.5)
    alice.ends(call)
    assert [payload for *_, payload in heard] == sent
    first = heard[0]
    assert {(kind, ssrc) for kind, _, _, ssrc, _ in heard} == {(0, first[3])}
    assert first[3] != 7
    for number, (_, sequence, timestamp, _, _) in enumerate(heard):
        assert sequence == (first[1] + number) % 2**16
        assert timestamp == (first[2] + 160 * number) % 2**32


@pytest.mark.alone
def test_the_tone_keeps_its_pace(caller):
    """50 packets a second, one by one."""
    alice = caller("alice")
    call = alice.calls_robot("tone")
    alice.packets(0.5)
    heard = alice.packets(3.0)
    alice.ends(call)
    assert 147 <= len(heard) <= 153
    numbers = [sequence for _, sequence, *_ in heard]
    assert numbers == [(numbers[0] + number) % 2**16 for number in range(len(heard))]
    assert {payload for *_, payload in heard} == set(tone("PCMU"))
    time.sleep(0.1)
    assert len(alice.packets(0.3)) <= 2


def test_a_ninth_call_is_refused(server: Server, caller):
    """486 with a Warning that says why; a call that ends makes room."""
    alice, bob, *others = (caller(user) for user in ("alice", "bob", "carol", *CALLERS[:2]))
    calls = [phone.calls_robot("tone") for phone in (alice, *others) for _ in range(2)]
    _, branch = bob.dials(f"<{robot('echo', server)}>")
    answer = bob.final(branch)
    assert answer.startswith("SIP/2.0 486 ")
    assert "the robot refuses: all its 8 calls are in use" in value("Warning", answer)
    alice.ends(calls[0])
    bob.calls_robot("echo")


def test_a_stranger_gets_what_an_unknown_user_gets(server: Server):
    with closing(SocketPhone(server, "alice")) as stranger:
        stranger.address = "<sip:eve@elsewhere.test>"
        answers = []
        for name in ("echo", "nosuch"):
            _, branch = stranger.dials(f"<{robot(name, server)}>")
            answers.append(stranger.final(branch) if branch else "")
        assert not any(answers)


def test_a_killed_server_leaves_nothing_of_a_call(server: Server, caller):
    """After a kill the ports are free, the next call works, and the old one is answered 481."""
    alice = caller("alice")
    old = alice.calls_robot("tone")
    alice.packets(0.2)
    server.restart(by=signal.SIGKILL)
    assert alice.final(alice.sends("BYE", old.target, old)).startswith("SIP/2.0 481 ")
    alice.calls_robot("echo")


def test_a_stop_hangs_up(server: Server, caller):
    alice = caller("alice")
    alice.calls_robot("tone")
    alice.packets(0.2)
    server.stop()
    assert 'text="the server is stopping"' in value("Reason", alice.hears("BYE "))
    assert len(alice.packets(0.3)) <= 25
    server.start()


@pytest.mark.parametrize("kind", [Baresip, Pjsua, BaresipTcp], ids=lambda kind: kind.kind)
def test_the_page_calls_a_phone(server: Server, registered, kind: type[Phone]):
    """It rings, plays a tone for 5 s when it is answered, and the page says so."""
    alice = registered(kind, "alice")
    admin = Admin(server)
    assert admin.signs_in(PASSWORD.findall(server.log.read_text())[0])
    (number,) = set(re.findall(r'href="/users/(\d+)', admin.reads("/users?q=alice")))

    def call() -> str:
        return admin.reads(admin.sends(f"/users/{number}/call"))

    with ThreadPoolExecutor(1) as pool:
        page = pool.submit(call)
        alice.gets_a_call()
        alice.answers()
        assert "The phone answered, and plays a tone for 5 s." in page.result(10)
        alice.is_talking()
        alice.hears(100)
        alice.expects("closed")
        assert "phone called" in admin.reads("/audit")

        page = pool.submit(call)
        alice.gets_a_call()
        alice.refuses()
        assert "The phone is busy" in page.result(10)
