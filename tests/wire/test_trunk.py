"""A trunk: a gateway that challenges us, and calls from it (RFC 3261 §22.3)."""

import pytest

from tests.support.pjsua import Pjsua


@pytest.fixture
def gateway(server, sipp):
    """A SIPp, and the server started anew with a trunk to it."""

    def start(scenario: str, **options):
        gateway = sipp(scenario, calls=1, **options)
        server.environment["SIPSERVER_SIP_TRUNK"] = f"0=sip:office:pass%20word@{gateway.socket}"
        server.flags = ("-sip.calls_from_outside", "off")
        server.restart()
        return gateway

    return start


def test_a_number_is_called_in_the_name_of_the_office(server, registered, gateway):
    """The phone knows nothing of it: neither the INVITE's challenge nor that of its BYE."""
    carrier = gateway("gateway")
    alice = registered(Pjsua, "alice")

    alice.dials(f"sip:0891234@{server.domain}")
    alice.is_talking()
    alice.hangs_up()
    alice.call_ends()
    carrier.succeeds()
    alice.has_not_received(".*", 'Proxy-Authenticate: .*realm="carrier".*')


def test_the_gateway_calls_a_user_without_a_password(server, registered, sipp, gateway):
    """Though it calls in the name of our domain, and calls from outside are off."""
    carrier = gateway("callee_busy")
    alice = registered(Pjsua, "alice")

    caller = sipp(
        "caller",
        calls=1,
        to=server.address,
        domain=server.domain,
        address=carrier.address,
        port=5070,
        people=[("alice", "+4989555", "")],
    )
    alice.expects("incoming", peer="+4989555")
    alice.answers()
    caller.succeeds()
    alice.call_ends()
