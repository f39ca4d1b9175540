"""Fuzz targets: each parser of received octets accepts any, or refuses them with its own error.

A target fails by an assertion, or by an exception that its reader must not raise.  The fast tests
run all over the corpus; `hunt.py` looks for more, guided by the code that is reached.  Those that
need a whole server are in `servers.py`.
"""

import io
import re
import time
from collections.abc import Callable
from dataclasses import replace

import dns.nameserver
import dns.resolver

from sip.core import media
from sip.core.auth.digest import Nonces, expected_response, is_right, read_answer, read_credentials
from sip.core.domains import Domains, address_of_record, user_of_aor
from sip.core.proxy.route_processing import _read_route, pop_own_routes
from sip.core.proxy.route_ticket import Tickets, own_route
from sip.core.registrar.contact_index import contact_key, key_of_text
from sip.core.target import as_request_uri
from sip.message.datagram import for_log
from sip.message.framing import PING, BadStream, Framer, with_length
from sip.message.grammar import BadMessage, parse_params, split_list, without_params
from sip.message.headers import parse_credentials, parse_name_addr, response_via
from sip.message.message import Request, bad_request, parse
from sip.message.names import field_name
from sip.message.shape import shape_of
from sip.message.uri import SipUri, Uri, is_same_contact, parse_uri, read_uri
from sip.robot.rtp import Echo, Sender, read_packet
from sip.robot.sdp import MAX_MEDIA, BadDescription, Description, read_description
from sip.store.accounts import Account, AccountTable, check_realm, check_username
from sip.store.csv_file import BadFile, read_csv
from sip.transport.bencode import BadBencode, Decoded, decode, encode
from sip.transport.dns.client import MAX_RECORDS, NameServers, NoAnswer, Records
from sip.transport.dns.exchange import _by_tcp, _by_udp
from sip.transport.dns.resolver import MAX_HOPS, NoRoute, Resolver
from sip.transport.flow import flow_text, parse_flow
from sip.transport.stun import answer
from sip.transport.websocket import MAX_MESSAGE_OCTETS, WebSocketEnd, WebSocketFramer
from tests.fuzz.servers import callee, form, member, stranger
from tests.support.properties import (
    REFUSED,
    addresses_read_alike,
    are_numbers_or_bad,
    credentials_read_alike,
    goes_out_as_it_came,
    is_host_or_bad,
    is_message_or_bad,
    is_one_message_when_edited,
    is_uri_or_bad,
    line_ends_read_alike,
    lists_split_alike,
    outcome,
    parameters_read_alike,
    uris_compare_either_way,
    vias_read_alike,
)

SOURCE = "192.0.2.7"


def text_of(octets: bytes) -> str:
    """Octets as the text of a header field, which has no line ends but folds."""
    return octets.decode("utf-8", "surrogateescape").replace("\r", " ").replace("\n", " ")


# Messages


_SECRETS = re.compile(
    rb"^(?:(?:proxy-)?authorization|(?:proxy|www)-authenticate)[ \t]*:(.*(?:\n[ \t].*)*)",
    re.I | re.M,
)


def message(octets: bytes) -> None:
    """A datagram: an accepted one is forwarded unchanged, a refused one can be answered."""
    is_message_or_bad(octets)
    goes_out_as_it_came(octets)
    line_ends_read_alike(octets)
    is_one_message_when_edited(octets)
    try:
        read = parse(octets)
    except BadMessage:
        return
    assert list(read.names) == [field_name(line) for line in read.lines]
    assert {said.strip() for said in _SECRETS.findall(for_log(octets))} <= {b"..."}
    # A message from a datagram may be forwarded on a connection, and is the same message there.
    sent = with_length(read.encode())
    framer = Framer()
    framer.feed(sent)
    assert framer.next() == sent
    assert parse(sent).body == read.body


def stream(octets: bytes) -> None:
    """A stream is cut in the same places, however it is split into pieces."""
    whole = _cut(octets, len(octets) or 1)
    assert _cut(octets, 1) == whole
    assert _cut(octets, 7) == whole
    for part in whole:
        if part != PING and part != b"":
            is_message_or_bad(part)
            assert with_length(part) == part


def _cut(octets: bytes, size: int) -> list[bytes]:
    framer, found = Framer(), []
    try:
        for start in range(0, len(octets), size):
            framer.feed(octets[start : start + size])
            while (part := framer.next()) is not None:
                found.append(part)
    except BadStream as bad:
        bad_request(bad, bad.head)
        found.append(b"")
    return found


def frames(octets: bytes) -> None:
    """Frames of a WebSocket give the same messages, and the same end, however they are split."""
    whole = _unframed(octets, len(octets) or 1)
    assert _unframed(octets, 1) == whole
    assert _unframed(octets, 7) == whole


def _unframed(octets: bytes, size: int) -> list[bytes]:
    framer, found = WebSocketFramer(), []
    try:
        for start in range(0, len(octets), size):
            framer.feed(octets[start : start + size])
            while (part := framer.next()) is not None:
                found += [part, framer.pong()]
                assert framer.buffered >= 0
                assert len(part) <= MAX_MESSAGE_OCTETS
    except WebSocketEnd as end:
        found.append(end.frame[2:4])  # the code; the reason may name a place in the frame
        assert framer.close() == b"", "one Close frame is enough"
    return found


# Values


def via(octets: bytes) -> None:
    text = text_of(octets)
    vias_read_alike(text)
    outcome(response_via, text)


def address(octets: bytes) -> None:
    addresses_read_alike(text_of(octets))


def parameters(octets: bytes) -> None:
    text = text_of(octets)
    parameters_read_alike(";" + text)
    lists_split_alike(text)
    are_numbers_or_bad(text)


def uri(octets: bytes) -> None:
    """Two URIs, one a line."""
    one, _, other = octets.decode("utf-8", "surrogateescape").partition("\n")
    is_uri_or_bad(one)
    is_host_or_bad(one)
    uris_compare_either_way(one, other)
    read = [outcome(parse_uri, text) for text in (one, other)]
    for text, said in zip((one, other), read, strict=True):
        if said is not REFUSED:
            whose_uri_it_is(text, said)
    if REFUSED not in read and is_same_contact(*read):
        assert is_same_contact(*reversed(read))
        assert contact_key(read[0]) == contact_key(read[1])


_HERE = Domains("example.com", (), frozenset, lambda host: host == "192.0.2.1", (5060,))
_ACCOUNTS = AccountTable("example.com")
for _number, _name in enumerate(("+49", "7-0", "b", "j\u00f6", "o\u0308", "a@b")):
    _ACCOUNTS.put(Account((_number, _name, None, "", 1, "", "", "")))


def whose_uri_it_is(text: str, said: Uri) -> None:
    """The user of a URI is found without an error, and found again by the account's name."""
    assert key_of_text(text) == contact_key(said)
    account = _ACCOUNTS.find(_HERE.username_of(said), _HERE.realm_of(said) or "example.com")
    if account is not None:
        aor = address_of_record(account.username, "example.com")
        assert user_of_aor(aor) == (account.username, "example.com")
        assert _ACCOUNTS.find(account.username, "example.com") is account


def contact(octets: bytes) -> None:
    """A Contact becomes a Request-URI, and its other parameters are given back (§16.6, §10.3)."""
    values = outcome(split_list, text_of(octets))
    for value in values if isinstance(values, list) else ():
        read = outcome(parse_name_addr, value)
        if read is REFUSED:
            continue
        kept = without_params(read.params_text, frozenset({"q", "expires"}))
        assert parse_params(kept) == {
            name: said for name, said in read.params.items() if name not in ("q", "expires")
        }
        target = outcome(as_request_uri, read.uri_text)
        if target is REFUSED or outcome(parse_uri, read.uri_text) is REFUSED:
            continue
        parsed = parse_uri(target)
        if isinstance(parsed, SipUri):
            assert not parsed.headers
            assert parsed.param("method") is None
            assert as_request_uri(target) == target


def digest(octets: bytes) -> None:
    """Credentials: none is accepted without the HA1, and each complete one with it."""
    text = text_of(octets)
    credentials_read_alike(text)
    credentials = outcome(parse_credentials, text)
    if credentials is REFUSED:
        return
    answer, fault = read_answer(credentials.params)
    is_digest = credentials.scheme == "digest"
    assert read_credentials(text) == ((answer, fault) if is_digest else None)
    if fault:
        assert len(fault) < 200
        return
    ha1 = "0123456789abcdef" * 2
    assert not is_right(ha1, "REGISTER", answer)
    right = expected_response(ha1, "REGISTER", answer)
    assert is_right(ha1, "REGISTER", replace(answer, response=right.upper()))
    nonces = Nonces(b"secret of a test", lambda: "0" * 16)
    assert not nonces.is_ours(answer.nonce, SOURCE)
    count = int(answer.count, 16) if answer.qop else 1
    nonce = nonces.make(1000.0, SOURCE)
    assert nonces.use(nonce, count, 1000.0) == (count > 0)
    assert not nonces.use(nonce, count, 1000.0)


def route(octets: bytes) -> None:
    """Both parsers of a Route agree; no input is a ticket of ours (§16.4)."""
    text = text_of(octets)
    exact = outcome(lambda value: read_uri(parse_name_addr(value).uri_text), text)
    quick = outcome(_read_route, text)
    if quick is REFUSED:
        assert not isinstance(exact, SipUri)
    else:
        uri, issued = quick
        assert uri == exact if issued is None else issued == own_route(exact)
    lines = [f"Route: {text}", "From: <sip:a@b>;tag=1", "To: <sip:b@b>;tag=2", "Call-ID: x"]
    shape = shape_of(("route", "from", "to", "call-id"))
    request = Request("BYE", "sip:b@example.com", shape, lines)
    domains = Domains("example.com", (), frozenset, lambda host: host == "192.0.2.1", (5060,))
    taken = outcome(lambda one: pop_own_routes(one, domains), request)
    if taken is not REFUSED:
        assert all(domains.is_local(read_uri(one.text)) for one in taken)
        assert Tickets(b"a secret of 16 octets").destination_side(request, taken) is None


def flow(octets: bytes) -> None:
    read = outcome(parse_flow, text_of(octets))
    if read is not REFUSED:
        assert parse_flow(flow_text(read)) == read


# What isn't SIP


class _Said:
    """A socket on which a name server says one thing, and then nothing any more."""

    def __init__(self, rest: bytes) -> None:
        self.rest = rest

    def settimeout(self, seconds: float) -> None: ...

    def send(self, question: bytes) -> None:
        """Answer that question: id and question are right, all else is as it came."""
        head = bytes([0x80 | self.rest[0] & 7, self.rest[1], 0, 1])
        self.rest = question[:2] + head + self.rest[2:8] + question[12:] + self.rest[8:]

    def sendall(self, question: bytes) -> None:
        self.send(question[2:])
        self.rest = len(self.rest).to_bytes(2, "big") + self.rest

    def recv(self, count: int) -> bytes:
        if not self.rest:
            raise OSError("that was all")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken


class _Server(dns.nameserver.AddressAndPortNameserver):
    """Answers each question by the same octets."""

    def __init__(self, said: bytes) -> None:
        super().__init__("192.0.2.53", 53)
        self.said = said

    def kind(self) -> str:
        return "Said"

    def query(self, request, timeout, source, source_port, max_size, **options):
        ask = _by_tcp if max_size else _by_udp
        return ask(_Said(self.said), request, time.monotonic() + timeout)


class _NameServers(NameServers):
    def __init__(self, said: bytes) -> None:
        super().__init__()
        self.said = said

    def _configured(self) -> dns.resolver.Resolver:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [_Server(self.said)]
        return resolver


def _said(ask: NameServers, name: str, kind: str) -> Records | str:
    """The records, or the reason for none, for the log."""
    try:
        return ask(name, kind)
    except NoAnswer as error:
        return str(error)


def name_server(octets: bytes) -> None:
    """The answers of a DNS server to any question: records or no answer; next hops or none."""
    ask = _NameServers(octets.ljust(8, b"\0"))
    for kind in ("A", "AAAA", "SRV", "NAPTR"):
        records = _said(ask, "a.example", kind)
        assert isinstance(records, str) or len(records.found) <= MAX_RECORDS
    try:
        hops = Resolver(ask, time.monotonic, lambda is_ipv6: True).hops(
            parse_uri("sip:a@a.example")
        )
    except NoRoute:
        return
    assert 0 < len(hops) <= MAX_HOPS


def csv_file(octets: bytes) -> None:
    """A file of accounts: rows with valid names, or an error message."""
    try:
        read = read_csv(io.BytesIO(octets), "example.com", max_rows=1000)
    except BadFile:
        return
    for row in read.rows:
        name, realm = row.name
        check_username(name)
        check_realm(realm or "example.com")
    assert all(refusal.reason for refusal in read.refused)


def session(octets: bytes) -> None:
    """A session description: refused with a status, or answered, stream for stream.

    For a media relay it has one kind or none.
    """
    if (sent := media.read_description(octets)) is not None:
        assert sent.kind in "rswa"
        decode(encode(dict(media.flags_for("w", sent, SOURCE))))
        media.with_address(octets, sent, SOURCE)
    read = _described(octets)
    if isinstance(read, BadDescription):
        assert read.status in (400, 488)
        assert read.reason.isprintable()
        return
    answer = read.answer("192.0.2.1", 10_000, 1, 1)
    assert read_description(answer).audio().port == 10_000
    assert answer.count(b"\r\nm=") <= MAX_MEDIA


def relay(octets: bytes) -> None:
    """A reply of a media relay: refused, or the same value when it is written again."""
    try:
        value = decode(octets)
    except BadBencode:
        return
    assert decode(_encoded(value)) == value


def _encoded(value: Decoded) -> bytes:
    """A value that was read: its keys are octets, and in their order."""
    if isinstance(value, dict):
        pairs = (encode(key) + _encoded(item) for key, item in value.items())
        return b"d" + b"".join(pairs) + b"e"
    if isinstance(value, list):
        return b"l" + b"".join(map(_encoded, value)) + b"e"
    return encode(value)


def _described(octets: bytes) -> Description | BadDescription:
    try:
        description = read_description(octets)
        description.audio()
    except BadDescription as bad:
        return bad
    return description


def rtp(octets: bytes) -> None:
    """A packet of sound: its payload is part of it, and comes back unchanged."""
    packet = read_packet(octets)
    if packet is None:
        return
    assert packet.payload in octets
    back = Echo(Sender()).answer(packet)
    assert back is not None
    echoed = read_packet(back)
    assert packet.payload_type in range(64, 96) or echoed is not None
    assert echoed is None or echoed.payload == packet.payload


def stun(octets: bytes) -> None:
    """A response is of the same transaction, and little longer than its request."""
    for remote in (("192.0.2.7", 5060), ("2001:db8::7", 65535)):
        response = answer(octets, remote)
        if response is not None:
            assert response[4:20] == octets[4:20]
            assert len(response) <= 2.5 * len(octets)


TARGETS: dict[str, Callable[[bytes], None]] = {
    read.__name__: read
    for read in (
        *(message, stream, frames, via, address, parameters, uri, contact, digest, route, flow),
        *(name_server, csv_file, stranger, member, callee, form, session, rtp, stun),
        relay,
    )
}
# Targets of SIP messages, which the mutator can make.
MESSAGES = frozenset({"message", "stream", "stranger", "member", "callee"})
