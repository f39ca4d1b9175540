"""All sockets together: received and sent messages (RFC 3261 §18)."""

import logging

import pytest

from sip.core.causes import malformed
from sip.message.grammar import BadMessage
from sip.message.message import Request, parse
from sip.monitor.events import Bus
from sip.monitor.metrics import KEEPALIVES_RECEIVED, MESSAGES_MALFORMED
from sip.transport import transports as transports_module
from sip.transport.flow import Flow
from sip.transport.receiver import Receiver
from sip.transport.transports import SECONDS_LOCAL_ADDRESS_CACHED, Transports
from tests.support.cases import cases
from tests.support.udp_client import has_ipv6

LOCAL = ("192.0.2.1", 5060)
ALICE = ("192.0.2.7", 5060)
FLOW = Flow("UDP", LOCAL, ALICE)
LINES = """OPTIONS sip:example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1
From: <sip:alice@example.com>;tag=a
To: <sip:example.com>
Call-ID: call-1
CSeq: 1 OPTIONS
Content-Length: 0

"""


class Paper:
    """A socket that records sent messages."""

    def __init__(self, local=LOCAL, *, is_wildcard: bool = False) -> None:
        self.local = local
        self.is_ipv6 = ":" in local[0]
        self.is_wildcard = is_wildcard
        self.runs = False
        self.sent: list[tuple[bytes, Flow]] = []

    def send(self, data: bytes, flow: Flow) -> None:
        self.sent.append((data, flow))

    def start(self) -> None:
        self.runs = True

    def stop(self) -> None:
        self.runs = False


class Desk:
    """Transports with fake sockets, a clock, and the delivered messages."""

    def __init__(self, *sockets: Paper, advertised=None) -> None:
        self.now = 100.0
        self.transports = Transports(lambda: self.now, Bus(), advertised)
        self.sockets = sockets or (Paper(),)
        for sock in self.sockets:
            self.transports.add(sock)
        self.delivered: list = []
        self.deliver = lambda message, flow: self.delivered.append((message, flow))
        self.receiver = Receiver(
            lambda: self.now,
            self.transports,
            lambda flow: True,
            lambda message, flow: self.deliver(message, flow),
            Bus(),
            malformed,
        )

    def hears(self, text: str | bytes, flow: Flow = FLOW) -> None:
        data = text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode()
        self.receiver.receive(data, flow)

    def answer(self):
        """The one message that was sent, and the flow it took."""
        ((data, flow),) = self.sockets[0].sent
        return parse(data), flow


# In


def test_a_message_is_delivered_with_its_flow():
    """§18.2.1."""
    desk = Desk()
    desk.hears(LINES)
    ((message, flow),) = desk.delivered
    assert isinstance(message, Request)
    assert flow is FLOW
    assert message.lines[0] == "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1"


@cases(
    "datagram",
    [b"", b"\0", b"\0\0\0\0", b"\r\n", b"\r\n\r\n", b"\n\n", b"\0\r\n", b"\r\n" * 9],
)
def test_keep_alives_are_swallowed(datagram: bytes):
    """RFC 5626 §3.5.1, and what phones did before."""
    desk = Desk()
    desk.hears(datagram)
    assert desk.delivered == []
    assert desk.sockets[0].sent == []
    assert desk.receiver.counts == {KEEPALIVES_RECEIVED: 1}


@pytest.mark.parametrize(
    ("sent_by", "stamped"),
    [
        ("10.0.0.1", "10.0.0.1;branch=z9hG4bK1;received=192.0.2.7"),
        ("10.0.0.1;rport", "10.0.0.1;branch=z9hG4bK1;received=192.0.2.7;rport=5060"),
        ("192.0.2.7;rport=", "192.0.2.7;branch=z9hG4bK1;received=192.0.2.7;rport=5060"),
    ],
)
def test_the_top_via_is_stamped_with_the_source(sent_by: str, stamped: str):
    """§18.2.1, RFC 3581 §4: before the message goes on."""
    desk = Desk()
    desk.hears(LINES.replace("192.0.2.7:5060", sent_by))
    assert desk.delivered[0][0].lines[0] == f"Via: SIP/2.0/UDP {stamped}"


def test_only_the_first_of_vias_on_one_line_is_stamped():
    """§18.2.1: the others are of hops before."""
    desk = Desk()
    two = "10.0.0.1;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK0"
    desk.hears(LINES.replace("192.0.2.7:5060;branch=z9hG4bK1", two))
    values = desk.delivered[0][0].values("via")
    assert values[0].endswith(";received=192.0.2.7")
    assert values[1] == "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK0"


def test_a_response_is_not_stamped():
    """§18.1.2: its top Via is ours."""
    desk = Desk()
    ours = LINES.replace("192.0.2.7:5060", "192.0.2.1:5060;rport")
    desk.hears(ours.replace("OPTIONS sip:example.com SIP/2.0", "SIP/2.0 200 OK", 1))
    assert desk.delivered[0][0].lines[0] == "Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK1"


def test_a_malformed_request_is_answered():
    """§18.3: here it ends before its body does."""
    desk = Desk()
    text = LINES.replace("Content-Length: 0", "Content-Length: 10").replace(
        "192.0.2.7:5060;", "10.0.0.1:5070;rport;"
    )
    desk.hears(text, FLOW._replace(remote=("192.0.2.7", 40000)))
    response, flow = desk.answer()
    assert response.status == 400
    assert response.via.params["received"] == "192.0.2.7"
    assert response.to.tag
    assert flow == FLOW._replace(remote=("192.0.2.7", 40000))
    assert desk.delivered == []


@cases(
    ("via", "port"),
    [
        ("SIP/2.0/UDP 10.0.0.1;;,;,,", 5060),
        ("SIP/2.0/UDP 10.0.0.1:5070;branch", 5070),
        ("SIP / 2.0 / UDP 10.0.0.1 : 05070 ;=,", 5070),
        ('SIP/2.0/UDP 10.0.0.1:5070;a="b', 5070),
        ("SIP/2.0/UDP 10.0.0.1:5070;;rport;branch=z9hG4bK1", 40000),
        ("SIP/2.0/UDP 10.0.0.1, SIP/2.0/UDP 10.0.0.2:5090;;", 5060),
    ],
)
def test_a_malformed_via_is_copied_unchanged(via: str, port: int):
    """§18.2.2, RFC 4475 §3.1.2.1: to the source, at the port that it names."""
    desk = Desk()
    text = LINES.replace("SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1", via)
    text = text.replace("CSeq: 1", "CSeq: x")
    desk.hears(text, FLOW._replace(remote=("192.0.2.7", 40000)))
    ((data, flow),) = desk.sockets[0].sent
    assert data.startswith(b"SIP/2.0 400 ")
    assert via.partition(",")[0].encode() in data
    assert flow.remote == ("192.0.2.7", port)


def test_retransmissions_get_the_same_to_tag():
    """§8.2.7, §19.3: at least 32 unpredictable bits."""
    desk = Desk()
    bad = LINES.replace("Content-Length: 0", "Content-Length: 10")
    for text in (bad, bad, bad.replace("call-1", "call-2"), bad.replace("z9hG4bK1", "z9hG4bK2")):
        desk.hears(text)
    tags = [parse(data).to.tag for data, _ in desk.sockets[0].sent]
    assert tags[0] == tags[1]
    assert len(set(tags)) == 3
    assert all(len(tag) >= 16 for tag in tags)


def test_the_ack_of_a_refusal_ends_here_and_no_other_does():
    """§17.1.1.3: it goes no further than the response that it acknowledges."""
    desk = Desk()
    desk.hears(LINES.replace("OPTIONS", "INVITE").replace("Content-Length: 0", "Content-Length: x"))
    tag = desk.answer()[0].to.tag
    ack = LINES.replace("OPTIONS", "ACK").replace("<sip:example.com>", "<sip:example.com>;tag={}")
    desk.hears(ack.format(tag))
    assert desk.delivered == []
    desk.hears(ack.format(tag).replace("call-1", "call-2"))
    desk.hears(ack.format(tag[:-1] + ("0" if tag[-1] != "0" else "1")))
    desk.hears(ack.format(tag).replace("ACK", "BYE"))
    assert len(desk.delivered) == 3
    assert len(desk.sockets[0].sent) == 1


def test_an_unknown_sip_version_is_answered_505():
    """§21.5.6."""
    desk = Desk()
    desk.hears(LINES.replace("com SIP/2.0", "com SIP/7.0", 1))
    assert desk.answer()[0].status == 505


@cases(
    "text",
    [
        "hello\n\n",
        "SIP/2.0 200 OK\n\n",  # a response without the fields that it needs
        LINES.replace("OPTIONS", "ACK").replace("Content-Length: 0", "Content-Length: 10"),
        LINES.replace("Via:", "Subject:"),  # no way back
        LINES.replace("192.0.2.7:5060", "192.0.2.7:0"),  # no way back either
        LINES.replace("CSeq: 1 OPTIONS\n", "").replace("192.0.2.7:5060", "<a>"),
        LINES.replace("CSeq: 1 OPTIONS\n", "").replace("SIP/2.0/UDP", "SIP/2.0"),
        LINES.replace("OPTIONS", " ACK", 1),
        LINES.replace("OPTIONS", "ack", 1),
        "\xff\xfe" * 20,
    ],
)
def test_a_message_without_a_way_back_is_dropped_and_counted(text: str):
    """§16.3, §18.3; an ACK is never answered."""
    desk = Desk()
    desk.hears(text)
    assert desk.delivered == []
    assert desk.sockets[0].sent == []
    assert desk.receiver.counts[MESSAGES_MALFORMED] == 1


def test_unknown_sources_do_not_fill_the_log(caplog):
    """One line a second, with the count; each line is printable and short."""
    caplog.set_level(logging.INFO)
    desk = Desk()
    for _ in range(50):
        desk.hears(b"\x1b[31m garbage \xff\r\nno colon here" * 100 + b"\r\n\r\n")
    assert len(caplog.records) == 1
    desk.now += 1.0
    desk.hears(b"garbage\r\n\r\n")
    assert len(caplog.records) == 2
    assert "51 so far" in caplog.text
    desk.now += 1.0
    desk.hears(b"\x1b[31m\xff SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n")
    assert len(caplog.records) == 3
    for record in caplog.records:
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 200


def test_a_field_found_malformed_later_is_logged(caplog):
    """A field is parsed when a handler asks for it."""
    caplog.set_level(logging.INFO)
    desk = Desk()

    def deliver(message, flow):
        raise BadMessage("no such thing")

    desk.deliver = deliver
    desk.hears(LINES)
    assert "no such thing" in caplog.text
    assert "Traceback" not in caplog.text


# Out


def test_a_message_leaves_by_the_socket_of_its_local_address():
    """RFC 3581 §4: responses leave where the request came in."""
    first, second = Paper(), Paper(("192.0.2.2", 5060))
    desk = Desk(first, second)
    flow = Flow("UDP", second.local, ALICE)
    desk.transports.send(b"x", flow)
    assert second.sent == [(b"x", flow)]
    assert first.sent == []


def test_a_local_address_uses_the_matching_wildcard_socket():
    """The kernel tells which address was asked."""
    sockets = [
        Paper(("0.0.0.0", 5070), is_wildcard=True),
        Paper(("::", 5060), is_wildcard=True),
        Paper(("0.0.0.0", 5060), is_wildcard=True),
    ]
    desk = Desk(*sockets)
    desk.transports.send(b"4", FLOW)
    desk.transports.send(b"6", Flow("UDP", ("2001:db8::1", 5060), ("2001:db8::7", 5060)))
    assert [[data for data, _ in sock.sent] for sock in sockets] == [[], [b"6"], [b"4"]]


def test_without_a_socket_there_is_no_way():
    """A flow from before a restart, on another address."""
    desk = Desk(Paper(("192.0.2.2", 5060)))
    with pytest.raises(OSError, match=r"192\.0\.2\.1:5060"):
        desk.transports.send(b"x", FLOW)
    with pytest.raises(OSError, match="IPv6"):
        desk.transports.flow_to(("2001:db8::7", 5060))


def test_a_new_request_leaves_from_a_socket_of_the_family():
    """§18.1.1."""
    desk = Desk(Paper(), Paper(("2001:db8::1", 5060)))
    assert desk.transports.flow_to(ALICE) == FLOW
    remote = ("2001:db8::7", 5062)
    assert desk.transports.flow_to(remote) == Flow("UDP", ("2001:db8::1", 5060), remote)


def test_the_routing_table_chooses_the_local_address(monkeypatch):
    """It is asked once in a while, since a machine may change its address."""
    desk = Desk(Paper(("0.0.0.0", 5060), is_wildcard=True), Paper(("::", 5060), is_wildcard=True))
    assert desk.transports.flow_to(("127.0.0.9", 5060)).local == ("127.0.0.1", 5060)
    if has_ipv6():
        assert desk.transports.flow_to(("::1", 5060)).local == ("::1", 5060)
    asked = []

    class Probe:
        def __init__(self, *args) -> None: ...
        def __enter__(self):
            return self

        def __exit__(self, *args) -> None: ...
        def connect(self, remote) -> None:
            asked.append(remote[0])

        def getsockname(self):
            return (f"192.0.2.{len(asked)}", 1)

    monkeypatch.setattr(transports_module.socket, "socket", Probe)
    for _ in range(3):
        assert desk.transports.flow_to(("198.51.100.1", 5060)).local == ("192.0.2.1", 5060)
    assert asked == ["198.51.100.1"]
    desk.now += SECONDS_LOCAL_ADDRESS_CACHED
    assert desk.transports.flow_to(("198.51.100.1", 5060)).local == ("192.0.2.2", 5060)
    monkeypatch.setattr(transports_module, "MAX_CACHED_LOCAL_ADDRESSES", 10)
    for number in range(50):
        desk.transports.flow_to((f"198.51.100.{number}", 5060))
    assert len(desk.transports._local_hosts) <= 10


def test_peers_are_told_the_local_address():
    """§18.1.1: sent-by, with the port spelled out."""
    desk = Desk()
    assert desk.transports.sent_by(FLOW) == "192.0.2.1:5060"
    flow = Flow("UDP", ("2001:db8::1", 5062), ("2001:db8::7", 5060))
    assert desk.transports.sent_by(flow) == "[2001:db8::1]:5062"


@pytest.mark.parametrize(
    ("advertised", "told"),
    [
        (("sip.example.com", None), "sip.example.com:5060"),
        (("203.0.113.1", 5070), "203.0.113.1:5070"),
    ],
)
def test_peers_are_told_the_advertised_address(advertised, told):
    """Behind a NAT of our own; without a port the real one stays."""
    assert Desk(advertised=advertised).transports.sent_by(FLOW) == told


def test_all_sockets_start_and_stop_together():
    """One switch."""
    desk = Desk(Paper(), Paper(("192.0.2.2", 5060)))
    desk.transports.start()
    assert [sock.runs for sock in desk.sockets] == [True, True]
    desk.transports.stop()
    assert [sock.runs for sock in desk.sockets] == [False, False]


def test_an_advertised_address_is_for_its_own_family():
    """A phone on IPv6 can't answer to an IPv4 address."""
    over_ipv6 = Flow("UDP", ("2001:db8::1", 5060), ("2001:db8::9", 5060))
    for advertised, told in (
        (("192.0.2.77", None), "[2001:db8::1]:5060"),
        (("2001:db8::99", None), "[2001:db8::99]:5060"),
        (("sip.example.com", 5080), "sip.example.com:5080"),
    ):
        assert Desk(advertised=advertised).transports.sent_by(over_ipv6) == told
