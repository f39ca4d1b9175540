"""The Reason of responses, CANCEL and BYE, read by tshark: what Wireshark sees (RFC 3326, 6432)."""

from pathlib import Path

import pytest

from sip.core.causes import HUNG_UP_BY_ADMIN
from sip.monitor.trace_pcap import pcap_of
from sip.monitor.traces import Traces
from tests.support.followed_calls import FollowedCalls, talks
from tests.support.tshark import has_no_trouble, read_fields
from tests.support.world import REALM, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def reasons(world: World, tmp_path: Path):
    """Return the Reasons of a Call-ID: the cause of Q.850, that of SIP, and the text."""
    traces = Traces(world.bus)

    def read(call_id: str) -> list[list[str]]:
        trace = traces.find(call_id.encode())
        assert trace is not None
        file = tmp_path / "trace.pcap"
        file.write_bytes(pcap_of(trace))
        has_no_trouble(file)
        fields = ("sip.reason_cause_q850", "sip.reason_cause_sip", "sip.reason_text")
        return read_fields(file, *fields, where="sip.Reason")

    return read


def test_a_refused_call_has_the_cause_of_telephone_networks(world: World, reasons):
    alice = world.phone("alice")
    invite = alice.sends("INVITE", f"sip:bob@{REALM}")
    assert reasons(invite.call_id) == [["1", "", "unknown callee bob"]]


def test_a_losing_phone_learns_that_the_call_was_answered(world: World, reasons):
    alice, desk, mobile = world.phones("alice", "bob", "bob")
    invite = alice.sends("INVITE", desk.aor)
    desk.answers(desk.gets("INVITE"), 180)
    mobile.answers(mobile.gets("INVITE"), 200)
    assert reasons(invite.call_id) == [["", "200", "Call completed elsewhere"]]


def test_both_phones_learn_that_an_administrator_hung_up(world: World, reasons):
    calls = FollowedCalls(world)
    talk = talks(*world.phones("alice", "bob")).clears()
    calls.hangs_up()
    assert reasons(talk.invite.call_id) == [["16", "", HUNG_UP_BY_ADMIN.text]] * 2
