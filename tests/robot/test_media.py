"""The ports of the robot, and the pace of its tone."""

import socket
from contextlib import ExitStack, closing

import pytest

from sip.operator_values import PortRange
from sip.robot.media import NoPort, Studio
from sip.robot.sdp import Stream

HERE = "127.0.0.1"
# Below the ports that the system gives away, and beside those of running servers.
PORTS = PortRange(9700, 9705)
PROVEN = frozenset({HERE})


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def studio(clock: Clock):
    studio = Studio(PORTS, clock)
    yield studio
    assert len(studio) == 0


def test_each_call_has_an_even_port_and_the_next(studio: Studio):
    """RFC 3550 §11."""
    sounds = [studio.open(HERE, PROVEN) for _ in range(3)]
    assert sorted(sound.port for sound in sounds) == [9700, 9702, 9704]
    with pytest.raises(NoPort, match=r"all ports of -rtp\.ports 9700-9705 are in use"):
        studio.open(HERE, PROVEN)
    for sound in sounds:
        studio.close(sound)
    studio.close(studio.open(HERE, PROVEN))


def test_ports_of_other_programs_are_passed_over(studio: Studio):
    with ExitStack() as stack:
        for port in (9700, 9705):
            other = stack.enter_context(closing(socket.socket(type=socket.SOCK_DGRAM)))
            other.bind((HERE, port))
        sound = studio.open(HERE, PROVEN)
        assert sound.port == 9702
        studio.close(sound)


def test_an_address_of_another_machine_has_no_port(studio: Studio):
    with pytest.raises(NoPort, match=r"no UDP port opens on 192\.0\.2\.1"):
        studio.open("192.0.2.1", PROVEN)


def test_a_late_timer_sends_what_is_missing_within_a_bound(studio: Studio, clock: Clock):
    """Timestamps go on by the clock, so that the tone is not shifted (RFC 3550 §5.1)."""
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as phone:
        phone.bind((HERE, 0))
        phone.settimeout(2.0)
        sound = studio.open(HERE, PROVEN)
        port = phone.getsockname()[1]
        sound.play_tone()
        sound.agree(Stream(HERE, port, 8, "PCMA", None, receives=True, sends=True))
        stamps: list[int] = []
        for now, count in ((100.03, 1), (100.07, 2), (100.07, 0), (101.01, 5)):
            before = sound.sent
            sound.play(now)
            assert sound.sent - before == count
            stamps += [int.from_bytes(phone.recv(2000)[4:8]) for _ in range(count)]
        studio.close(sound)
    numbers = [(stamp - stamps[0]) % 2**32 // 160 for stamp in stamps]
    assert numbers == [0, 1, 2, 45, 46, 47, 48, 49]


def test_a_name_is_looked_up_and_an_address_is_not(studio: Studio):
    assert studio.address_of("192.0.2.1", HERE) == "192.0.2.1"
    assert studio.address_of("localhost", HERE) == HERE
    assert studio.address_of("no.such.name.invalid", HERE) == HERE
