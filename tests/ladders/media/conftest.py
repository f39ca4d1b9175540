"""A virtual server with a media relay, a browser, and a desk phone."""

import pytest

from sip.transport.transport_names import TRANSPORTS, TransportInfo
from tests.support.fake_rtpengine import SETTINGS, FakeRtpEngine
from tests.support.fake_transport import MemoryCarrier
from tests.support.relayed_calls import Browser
from tests.support.world import Phone, World


@pytest.fixture
def world() -> World:
    return World(settings=dict(SETTINGS))


@pytest.fixture
def relay(world: World) -> FakeRtpEngine:
    return FakeRtpEngine(world)


@pytest.fixture
def ada(world: World, monkeypatch) -> Browser:
    monkeypatch.setitem(TRANSPORTS, "WS", TransportInfo("SIP+D2W", "_sip._ws", 80))
    carrier = MemoryCarrier(world, 5000, "WS")
    world.server.transports.add_carrier("WS", carrier)
    return Browser(world, "ada", 201, carrier)


@pytest.fixture
def bob(world: World) -> Phone:
    return world.phone("bob")
