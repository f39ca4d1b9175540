"""The ladder: parties, rows, repetitions and sentences."""

import re

import pytest

from sip.core import explain
from sip.monitor.events import Bus, MessagePassed
from sip.monitor.trace_ladder import MAX_PARTIES, MAX_ROWS, Ladder, ladder_of, outline_of
from sip.monitor.trace_message import MAX_CHARACTERS, Kind, ShownMessage, user_of
from sip.monitor.trace_text import text_of
from sip.monitor.traces import Note, Trace, Traces
from tests.support.cases import cases

SERVER = ("192.0.2.1", 5060)
ALICE, DESK, MOBILE = ("192.0.2.10", 5060), ("192.0.2.20", 5060), ("192.0.2.21", 5060)
PEOPLE = ("From: Alice <sip:alice@example.com>;tag=a", 'To: "B" <sip:bob@example.com>')


def octets(start: str, *fields: str, cseq: str = "1 INVITE", body: bytes = b"") -> bytes:
    lines = [start, *PEOPLE, "Call-ID: one", f"CSeq: {cseq}", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + body


INVITE = octets("INVITE sip:bob@example.com SIP/2.0", "User-Agent: Desk 1")
SDP = octets("INVITE sip:b@x SIP/2.0", "Content-Type: application/sdp", body=b"v=0\r\n")
RINGING = octets("SIP/2.0 180 Ringing", "Server: Bell 2")
BUSY = octets("SIP/2.0 486 Busy Here", 'Warning: 399 desk "on another call"')


def drawn(trace: Trace, first: int = 0) -> Ladder:
    return ladder_of(trace, explain, first)


def trace_of(*passed: tuple, note: Note | None = None) -> Trace:
    """Each message is (direction, remote, octets), ten milliseconds after the one before."""
    bus = Bus()
    traces = Traces(bus)
    for number, (direction, remote, data, *transport) in enumerate(passed):
        at = 1_700_000_000 + number / 100
        values = at, direction, SERVER, remote, *(transport or ["UDP"]), data
        bus.publish(MessagePassed(*values))
    trace = next(traces.latest())
    trace.note = note
    return trace


def test_the_caller_is_left_of_the_server_and_phones_right():
    ladder = drawn(
        trace_of(
            ("in", ALICE, INVITE),
            ("out", DESK, INVITE),
            ("out", MOBILE, INVITE),
            ("in", MOBILE, RINGING),
            ("out", ALICE, RINGING),
        )
    )
    assert [(party.name, party.device) for party in ladder.parties] == [
        ("alice", "Desk 1"),
        ("sipserver", ""),
        ("bob", ""),
        ("bob", "Bell 2"),
    ]
    assert [(row.source, row.target) for row in ladder.rows] == [
        *((0, 1), (1, 2), (1, 3), (3, 1), (1, 0)),
    ]
    assert [round(row.since, 3) for row in ladder.rows] == [0.0, 0.01, 0.01, 0.01, 0.01]


def test_one_address_by_two_transports_is_two_parties():
    ladder = drawn(trace_of(("in", ALICE, INVITE), ("in", ALICE, RINGING, "TCP")))
    assert [party.transport for party in ladder.parties] == ["UDP", "", "TCP"]


def test_our_own_request_has_the_server_at_the_left():
    ladder = drawn(trace_of(("out", DESK, INVITE), ("in", DESK, RINGING)))
    assert [party.name for party in ladder.parties] == ["sipserver", "bob"]


def test_repetitions_share_a_row():
    trace = trace_of(*[("in", ALICE, INVITE)] * 3, ("out", DESK, INVITE), ("in", ALICE, INVITE))
    first, second = drawn(trace).rows
    assert (first.label, second.label) == ("INVITE x4", "INVITE")
    assert len(drawn(trace_of(*[("in", ALICE, INVITE, "TCP")] * 2)).rows) == 2


@cases(
    ("data", "label", "kind"),
    [
        (INVITE, "INVITE", Kind.REQUEST),
        (SDP, "INVITE (SDP)", Kind.REQUEST),
        (RINGING, "180 Ringing", Kind.PROVISIONAL),
        (BUSY, "486 Busy Here", Kind.FAILURE),
        (octets("SIP/2.0 407 Who?"), "407 Who?", Kind.CHALLENGE),
        (octets("SIP/2.0 200 OK", cseq="2 BYE"), "200 OK (BYE)", Kind.SUCCESS),
        (octets("SIP/2.0 200 "), "200", Kind.SUCCESS),
        (octets("\xff\xfe"), "unreadable", Kind.UNREADABLE),
        (octets("SIP/2.0 999 Odd"), "unreadable", Kind.UNREADABLE),
    ],
)
def test_each_message_has_a_label_and_a_kind(data, label, kind):
    (row,) = drawn(trace_of(("in", ALICE, data))).rows
    assert (row.label, row.message.kind) == (label, kind)


def whys(trace: Trace) -> list[str]:
    return [row.why for row in drawn(trace).rows]


def test_a_forwarded_failure_has_the_cause_of_the_call():
    note = Note(486, "bob's phone is busy", "", "busy")
    trace = trace_of(("in", DESK, BUSY), ("out", ALICE, BUSY), note=note)
    assert whys(trace) == ["bob's phone is busy."] * 2


@pytest.mark.parametrize("note", [None, Note(200, "hung up", "", "answered")])
def test_another_failure_has_a_cause_by_its_status(note):
    """That of a gateway before another one, or of a request within the call."""
    busy = "bob at 192.0.2.20:5060 is busy, and says: on another call."
    trace = trace_of(("in", DESK, BUSY), ("out", ALICE, BUSY), note=note)
    assert whys(trace) == [busy] * 2
    unknown = octets("SIP/2.0 405 No", cseq="2 INFO")
    (why,) = whys(trace_of(("in", DESK, unknown), note=note))
    assert why.startswith("bob at 192.0.2.20:5060 does not accept INFO. If something ")


def test_each_refusal_has_its_own_cause():
    """The Call-ID of a registration is the same for hours."""
    wrong, right = "2 REGISTER", "4 REGISTER"
    refused = octets("SIP/2.0 401 Unauthorized", cseq=wrong)
    full = octets("SIP/2.0 403 Forbidden", cseq=right)
    later = octets("SIP/2.0 403 Forbidden", cseq="5 REGISTER")
    trace = trace_of(*[("out", ALICE, data) for data in (refused, full, later)])
    trace.causes[wrong, 401] = Note(401, "wrong password for alice", "Enter it again.", "refused")
    trace.causes[right, 403] = Note(403, "contact limit reached", "Remove some.", "refused")
    assert whys(trace) == [
        *("Wrong password for alice. Enter it again.", "Contact limit reached. Remove some.", ""),
    ]


def test_the_first_challenge_of_a_refused_call_is_no_failure():
    note = Note(407, "wrong password for alice", "", "refused")
    first, second = (octets("SIP/2.0 407 Login", cseq=f"{number} INVITE") for number in (1, 2))
    trace = trace_of(("out", ALICE, first), ("out", ALICE, second), note=note)
    trace.causes["2 INVITE", 407] = note
    assert whys(trace) == ["", "Wrong password for alice."]


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (None, ""),
        (Note(200, "hung up", "", "answered"), ""),
        (Note(487, "the caller hung up", "", "cancelled"), "The caller hung up."),
    ],
)
def test_a_cancelled_branch_is_no_failure_of_its_phone(note, why):
    ended = octets("SIP/2.0 487 Request Terminated")
    assert whys(trace_of(("in", DESK, ended), note=note)) == [why]


def test_parties_and_rows_are_bounded():
    many = [("in", (f"192.0.2.{n}", n), INVITE + b"%d" % n) for n in range(1, MAX_ROWS + 20)]
    trace = trace_of(*many)
    ladder = drawn(trace)
    assert len(ladder.parties) == MAX_PARTIES + 1
    assert ladder.parties[-1].name == "others"
    assert (len(ladder.rows), ladder.total) == (MAX_ROWS, MAX_ROWS + 19)
    assert len(drawn(trace, MAX_ROWS).rows) == 19


@pytest.mark.parametrize(
    ("note", "last", "outcome"),
    [
        (Note(486, "", "", "busy"), BUSY, "busy"),
        (None, RINGING, "180 Ringing"),
        (None, octets("SIP/2.0 200 OK", cseq="2 INFO"), "486 Busy Here"),
    ],
)
def test_the_outline_says_how_it_has_ended(note, last, outcome):
    trace = trace_of(("in", ALICE, INVITE), ("in", DESK, BUSY), ("in", DESK, last), note=note)
    outline = outline_of(trace)
    assert (outline.method, outline.from_, outline.to) == ("INVITE", "alice", "bob")
    assert outline.outcome == outcome


@cases(
    ("address", "user"),
    [
        ("<sip:bob@example.com>;tag=1", "bob"),
        ("sips:bob:secret@example.com", "bob"),
        ("<tel:+4930123>", "+4930123"),
        ("<sip:[2001:db8::1]:5060>", "[2001:db8::1]"),
        ("<sip:example.com>", "example.com"),
        ("junk", ""),
    ],
)
def test_the_user_of_an_address_is_shown(address, user):
    assert user_of(address) == user


def test_the_text_has_the_ladder_and_no_secrets():
    secret = octets("REGISTER sip:x SIP/2.0", 'Authorization: Digest response="SECRET"')
    trace = trace_of(("in", ALICE, secret), ("out", DESK, BUSY))
    text = text_of(trace, explain)
    assert "SECRET" not in text
    assert "SECRET" in text_of(trace, explain, secrets=True)
    assert re.search(r"  \|-+ REGISTER -+>\|  ", text)
    assert re.search(r"  \|  +\|-+ 486 Busy Here -+>\|\n", text)


def test_the_text_is_printable_whatever_has_come():
    data = b"\x1b[2J \xff\r\nX: \x00\xe2\x80\xae\r\rCall-ID: one\r\n\r\n\x07\x1b"
    text = text_of(trace_of(("in", ALICE, data)), explain)
    assert all(character.isprintable() or character in "\n\t" for character in text)
    assert r"\x1b[2J \xff" in text


@cases("data", [b"", b"\r\n", b":", b"\n:\n", b"\xff" * 70_000, b"a:\n" * 30_000])
def test_any_octets_can_be_shown(data):
    passed = MessagePassed(1.0, "in", SERVER, ALICE, "UDP", data)
    message = ShownMessage(1, passed)
    assert message.label
    assert len(message.body_text) <= MAX_CHARACTERS + 1
    assert isinstance(message.fields, list)


def test_no_address_takes_long_to_read():
    """Anyone can send one of 60 kB; a cost that grows with its square would take seconds."""
    assert user_of("sip:a:" * 1_000_000) == "a"


def test_a_forwarded_call_says_so_in_its_rows():
    """The INVITE to the new target by its Diversion, the CANCEL by its Reason."""
    reason = 'Reason: SIP;cause=408;text="forwarded to carol: no answer in 20 s"'
    start = "INVITE sip:carol@192.0.2.21 SIP/2.0"
    forwarded = octets(start, "Diversion: <sip:bob@example.com>;reason=no-answer;counter=1")
    other = octets(start, "Diversion: <sip:bob@example.com>;reason=deflection")
    trace = trace_of(
        ("in", ALICE, INVITE),
        ("out", DESK, INVITE),
        ("out", MOBILE, forwarded),
        ("out", DESK, octets("CANCEL sip:bob@192.0.2.20 SIP/2.0", reason, cseq="1 CANCEL")),
        ("out", MOBILE, other),
    )
    assert [row.why for row in ladder_of(trace, explain).rows] == [
        "",
        "",
        "Forwarded by bob: no answer.",
        "Forwarded to carol: no answer in 20 s.",
        "Forwarded by bob.",
    ]
