"""Calls that go on at another place than they were set up with; SIPp plays each place."""

from collections.abc import Callable

import pytest

from tests.support.pjsua import Pjsua
from tests.support.programs import own_address
from tests.support.server import CALLEES, CALLERS
from tests.support.sipp import Sipp
from tests.support.sipp_calls import register

CALLS = 10
SECONDS = 20  # that a place waits for all of them
USER, STRANGER = "example.test", "elsewhere.test"  # the domains in a caller's From


@pytest.fixture
def place(server, sipp, transport) -> Callable[..., Sipp]:
    """Start a SIPp at an address of its own; all are in one office.  `contact` is what it tells."""
    office = own_address()

    def start(scenario: str, contact: str = "", **options) -> Sipp:
        options = {"to": server.address, "transport": transport, "calls": CALLS} | options
        options = {"seconds": SECONDS, "address": own_address(office)} | options
        return sipp(scenario, contact=contact, **options)

    return start


def uri_of(place: Sipp) -> str:
    """The URI of an address, without its `sip:`."""
    return place.socket + (";transport=tcp" if place.transport == "tcp" else "")


@pytest.fixture
def play(server, sipp, place) -> Callable[..., None]:
    """Let a caller call users that are registered at `callee`; all that play must succeed."""

    def start(caller: str, callee: Sipp, there: Sipp, **options) -> None:
        register(server, sipp, CALLEES[:CALLS], callee.address, uri_of(callee))
        people = [(b, a, server.password_of(a)) for a, b in zip(CALLERS, CALLEES, strict=True)]
        calling = place(caller, people=people, domain=server.domain, **options)
        for each in (calling, callee, there):
            each.succeeds()

    return start


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("from_domain", [USER, STRANGER], ids=["user", "stranger"])
def test_a_callee_answers_from_another_address(place, play, from_domain):
    """RFC 3261 §12.1.2, §12.2.1.1: ACK, re-INVITE and BYE reach the Contact of the 200."""
    there = place("answered_there")
    callee = place("callee_elsewhere", uri_of(there))
    play("caller_follows", callee, there, from_domain=from_domain)


@pytest.mark.parametrize(
    ("method", "transport", "from_domain"),
    [
        ("INVITE", "udp", USER),
        ("UPDATE", "udp", STRANGER),
        ("INVITE", "tcp", STRANGER),
        ("UPDATE", "tcp", USER),
    ],
)
def test_a_callee_moves_by_a_target_refresh(place, play, method, from_domain):
    """RFC 3261 §12.2.2, RFC 3311 §5.2: re-INVITE, ACK and BYE reach the Contact it has told."""
    there = place("moved_there")
    callee = place("callee_moves", uri_of(there), method=method)
    play("caller_follows_refresh", callee, there, from_domain=from_domain)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_learned_address_can_name_another(place, play, method):
    """RFC 3261 §12.2.2: the phone at the Contact of the 200 refreshes its target from there."""
    last = place("hung_up_there")
    there = place("callee_moves_on", uri_of(last), method=method)
    play("caller_follows_twice", place("callee_elsewhere", uri_of(there)), there)
    last.succeeds()


@pytest.mark.parametrize("transport", ["udp"])
@pytest.mark.parametrize("from_domain", [USER, STRANGER], ids=["user", "stranger"])
def test_a_callee_moves_to_another_subnet(place, play, from_domain):
    """RFC 3261 §12.2.2: no NAT is between, so the Contact is meant."""
    there = place("moved_there", address=own_address())
    callee = place("callee_moves", uri_of(there))
    play("caller_follows_refresh", callee, there, from_domain=from_domain)


@pytest.mark.parametrize(("method", "transport"), [("INVITE", "udp"), ("UPDATE", "tcp")])
def test_a_caller_moves_by_a_target_refresh(place, play, method):
    """RFC 3261 §12.2.2, RFC 3311 §5.2: the BYE of the callee reaches the Contact it has told."""
    there = place("hung_up_there")
    callee = place("callee_follows_refresh")
    play("caller_moves", callee, there, contact=uri_of(there), method=method)


@pytest.mark.parametrize(
    ("router", "transport"), [("loose", "udp"), ("loose", "tcp"), ("strict", "udp")]
)
def test_a_pbx_that_records_its_route_stays_in_the_call(server, sipp, registered, place, router):
    """RFC 3261 §16.12.1: what a phone sends passes it, and a strict one hangs up."""
    alice = registered(Pjsua, "alice")
    pbx = place(f"pbx_{router}", calls=1)
    route = uri_of(pbx) + (";lr" if router == "loose" else "")
    extension = place("callee_of_pbx", route, calls=1)
    register(server, sipp, ["bob"], extension.address, uri_of(extension))

    alice.dials(f"sip:bob@{server.domain}")
    alice.is_talking()
    alice.expects("media agreed")
    alice.holds()
    alice.expects("media agreed")
    if router == "loose":
        alice.hangs_up()
    alice.call_ends()
    pbx.succeeds()
    extension.succeeds()
