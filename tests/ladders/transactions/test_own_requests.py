"""The server asks a phone itself, along the flow it registered by (RFC 3261 §8.1, §11)."""

import gevent
import pytest

from sip.message.message import Request, Response
from sip.transaction.own_request import NoResponse, build_request
from sip.transport.flow import Flow
from tests.support.world import REALM, World


class Ping:
    """One OPTIONS of the server to a registered phone, and its outcome."""

    def __init__(self, world: World, name: str) -> None:
        (binding,) = world.server.location.bindings(f"{name}@{REALM}")
        tokens = world.server.layer.new_token
        self.request: Request = build_request(
            "OPTIONS",
            binding.contact,
            from_uri=f"sip:{REALM}",
            from_tag=tokens(),
            to_uri=f"sip:{name}@{REALM}",
            call_id=tokens(),
            extra=(("Accept", "application/sdp"),),
        )
        self.response: Response | None = None
        self.failure = 0
        gevent.spawn(self._run, world, binding.flow)
        world.settle()

    def _run(self, world: World, flow: Flow) -> None:
        try:
            self.response = world.server.layer.send_own_request(self.request, flow)
        except NoResponse as error:
            self.failure = error.status


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_the_server_pings_a_registered_phone(world: World, transport: str):
    """§11.1, §17.1.2: by our Via, along the phone's flow; its 200 ends the wait."""
    bob = world.phone("bob", transport=transport)
    ping = Ping(world, "bob")
    asked = bob.gets("OPTIONS", ping.request)
    assert (asked.via.transport, asked.via.sent_by) == (transport, "192.0.2.1:5060")
    assert len(asked.fields("via")) == 1
    bob.answers(asked, 100)
    assert ping.response is None
    bob.answers(asked, 200, headers=("Accept: application/sdp",))
    assert ping.response.status == 200
    assert ping.response.value("accept") == "application/sdp"
    world.passes(5.1)  # timer K
    assert not world.server.layer.clients


def test_a_phone_that_is_gone_fails_the_ping_at_once(world: World):
    """§8.1.3.1, §18.4: an ICMP error on UDP, a closed connection on TCP."""
    desk = world.phone("desk")
    world.dead.add(desk.address)
    assert Ping(world, "desk").failure == 503

    bob = world.phone("bob", transport="TCP")
    ping = Ping(world, "bob")
    bob.gets("OPTIONS", ping.request)
    bob.hangs_up(listens=False)
    assert ping.failure == 503
    assert not world.server.layer.clients


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_silent_phone_is_a_408_after_32_s(world: World, transport: str):
    """§17.1.2.2: timers E and F; nothing is repeated on a connection."""
    bob = world.phone("bob", transport=transport)
    ping = Ping(world, "bob")
    first = bob.gets("OPTIONS", ping.request)
    world.passes(31.9)
    assert ping.failure == 0
    repeats = [bob.takes().encode() for _ in range(len(bob.inbox))]
    assert set(repeats) <= {first.encode()}
    # Each tick may be late by 0.05 s, and the last repeat is due half a second before the end.
    assert len(repeats) in ((9, 10) if transport == "UDP" else (0,))
    world.passes(0.2)
    assert ping.failure == 408
    assert not world.server.layer.clients


def test_a_server_that_stops_ends_its_own_requests(world: World):
    """No timer runs any more; the caller gets an outcome all the same."""
    bob = world.phone("bob")
    ping = Ping(world, "bob")
    bob.gets("OPTIONS", ping.request)
    world.server.stop()
    world.settle()
    assert ping.failure == 503
    assert not world.server.layer.clients
