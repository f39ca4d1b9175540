"""Properties that hold for any octets and any text, valid or not.

`tests/message/test_properties.py` tries examples of them, `tests/fuzz` searches for new ones.  Each
fails by an assertion, or by an exception that a parser must not raise.
"""

import re

from sip.message.grammar import (
    BadMessage,
    is_plain,
    parse_params,
    scan_params,
    split_first,
    split_list,
    split_params,
)
from sip.message.headers import (
    parse_credentials,
    parse_cseq,
    parse_name_addr,
    parse_q,
    parse_seconds,
    parse_via,
    scan_credentials,
    scan_name_addr,
    scan_via,
)
from sip.message.message import (
    BadRequest,
    Request,
    Response,
    parse,
)
from sip.message.responses import encode_response
from sip.message.uri import SipUri, TelUri, parse_host_port, parse_uri

REFUSED = "refused"


def outcome(read, value):
    """The result of a parser, or REFUSED for BadMessage; any other exception is a fault."""
    try:
        return read(value)
    except BadMessage:
        return REFUSED


def parameters_read_alike(text: str) -> None:
    """RFC 3261 §25.1 generic-param: splitting is for plain text alone."""
    if is_plain(text):
        assert outcome(split_params, text) == outcome(scan_params, text)
    assert outcome(parse_params, text) == outcome(scan_params, text)


def vias_read_alike(value: str) -> None:
    """RFC 3261 §25.1 via-parm."""
    assert outcome(parse_via, value) == outcome(scan_via, value)


def addresses_read_alike(value: str) -> None:
    """RFC 3261 §25.1 name-addr."""
    assert outcome(parse_name_addr, value) == outcome(scan_name_addr, value)


def credentials_read_alike(value: str) -> None:
    """RFC 3261 §25.1 credentials."""
    assert outcome(parse_credentials, value) == outcome(scan_credentials, value)


def slow_list(value: str) -> list[str]:
    """Split at commas letter by letter, as §7.3.1 says it; a quote must be closed."""
    parts, part, in_quotes, in_brackets, is_escaped = [], "", False, False, False
    for character in value:
        if character == "," and not in_quotes and not in_brackets:
            parts.append(part.strip(" \t"))
            part = ""
            continue
        part += character
        if in_quotes:
            in_quotes = character != '"' or is_escaped
            is_escaped = character == "\\" and not is_escaped
        elif in_brackets:
            in_brackets = character != ">"
        else:
            in_quotes, in_brackets = character == '"', character == "<"
    if in_quotes:
        raise BadMessage("a quote is not closed")
    return [*parts, part.strip(" \t")]


def lists_split_alike(value: str) -> None:
    """RFC 3261 §7.3.1: those in quotes or angle brackets belong to a value."""
    expected = outcome(slow_list, value)
    assert outcome(split_list, value) == expected or "," not in value
    if expected is not REFUSED:
        first, rest = split_first(value)
        assert first + rest == value
        assert first.strip(" \t") == expected[0]


def is_message_or_bad(datagram: bytes) -> None:
    """RFC 4475 §3: no other error is raised, by the parser or by a look at the values."""
    bad, message = None, None
    try:
        message = parse(datagram)
    except BadMessage as error:
        bad = error
    if bad is not None:  # its reason goes into a log, and maybe into an answer
        assert len(bad.reason) < 400  # it shows at most 60 characters, of which some are escaped
        assert bad.reason.isprintable()
    if isinstance(bad, BadRequest):
        assert bad.status in (400, 413, 414, 501, 505, 513)
        assert_is_one_message(encode_response(bad.request, bad.status, to_tag="x"))
        ask_for_everything(bad.request)
    elif bad is not None:
        assert bad.status is None
    else:
        _ = message.cseq, message.call_id
        # The branch of a response is parsed later, and most match by the whole line.
        can_tell = outcome(lambda one: one.via, message) is not REFUSED
        assert can_tell or isinstance(message, Response)
        ask_for_everything(message)


def goes_out_as_it_came(datagram: bytes) -> None:
    """RFC 3261 §16.6, step 1: a proxy adds nothing, removes nothing and reorders nothing."""
    try:
        message = parse(datagram)
    except BadMessage:
        return
    out = message.encode()
    datagram = datagram.lstrip(b"\r\n")  # §7.5: empty lines in front
    at = datagram.find(b"\n")
    if datagram[at - 1 : at] != b"\r":  # LF alone, at all line ends of the head
        lines, _, body = datagram.partition(b"\n\n")
        assert b"\r" not in lines
        datagram = b"\r\n".join(lines.split(b"\n")) + b"\r\n\r\n" + body
    head, _, _ = datagram.partition(b"\r\n\r\n")
    first, _, fields = head.partition(b"\r\n")
    first_out, _, rest_out = out.partition(b"\r\n")
    assert rest_out == fields + b"\r\n\r\n" + message.body
    assert datagram[len(head) + 4 :].startswith(message.body)
    if isinstance(message, Response):  # a missing space before the empty reason is set right
        first, first_out = first.rstrip(), first_out.rstrip()
    # §7.1: the version is always written in capitals.
    assert re.sub(rb"(?i)\Asip/2\.0|sip/2\.0\Z", b"SIP/2.0", first) == first_out
    again = parse(out)
    assert (again.names, again.lines, again.body) == (message.names, message.lines, message.body)


def line_ends_read_alike(datagram: bytes) -> None:
    """RFC 3261 §7: LF alone at all line ends of a head reads as CRLF; at some it is refused."""
    message = outcome(parse, datagram)
    if message is REFUSED:
        return
    right = message.encode()
    head, _, body = right.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    again = parse(b"\n".join(lines) + b"\n\n" + body)
    assert again.encode() == right
    assert (again.names, again.lines) == (message.names, message.lines)
    for usual, other in ((b"\r\n", b"\n"), (b"\n", b"\r\n"), (b"\n", b"\r")):
        for odd in {0, len(lines) // 2, len(lines)}:  # the last is that of the empty line
            ends = [other if number == odd else usual for number in range(len(lines) + 1)]
            mixed = b"".join(map(bytes.__add__, [*lines, b""], ends))
            assert outcome(parse, mixed + body) is REFUSED, mixed


def is_one_message_when_edited(datagram: bytes) -> None:
    """RFC 3261 §16.6, §18.2.1: with any folds, lists and quotes in its Via."""
    try:
        message = parse(datagram)
    except BadMessage:
        return
    vias = outcome(message.values, "via")
    if vias is REFUSED or outcome(lambda one: one.via, message) is REFUSED:
        return  # one further down can't be read, or that of an unexpected response
    fills_rport = "rport" in message.via.params
    stamp = ";received=192.0.2.7" + (";rport=5" if fills_rport else "")
    message.stamp_top_via(stamp, fills_rport=fills_rport)
    stamped = parse(message.encode())
    before, after = parse_via(vias[0]), stamped.via
    assert stamped.names == message.names
    assert (after.sent_by, after.transport) == (before.sent_by, before.transport)
    assert after.params == before.params | parse_params(stamp)
    assert stamped.values("via")[1:] == vias[1:]

    message.put_first("via", "Via: SIP/2.0/UDP here;branch=b")
    message.remove_top_via()
    message.remove_top_via()
    assert message.values("via") == vias[1:]
    if isinstance(message, Request):
        message.put_first("via", "Via: SIP/2.0/UDP here")
        answer = encode_response(message, 180, to_tag="t")
        assert parse(answer).to.tag in ("t", message.to.tag)
        assert_is_one_message(answer)


def is_uri_or_bad(text: str) -> None:
    """RFC 3261 §19.1, RFC 3966."""
    uri = outcome(parse_uri, text)
    if uri is REFUSED:
        return
    assert str(uri) == text
    assert uri.equals(parse_uri(text))
    if isinstance(uri, SipUri):
        _ = uri.username, uri.param("lr"), uri.param("transport")
        assert uri.port is None or 0 < uri.port < 65536
    if isinstance(uri, TelUri):
        assert uri.number


def uris_compare_either_way(one_text: str, other_text: str) -> None:
    """RFC 3261 §19.1.4."""
    one, other = outcome(parse_uri, one_text), outcome(parse_uri, other_text)
    if one is not REFUSED and other is not REFUSED:
        assert one.equals(other) == other.equals(one)
        assert one.equals(one)


def is_host_or_bad(text: str) -> None:
    """RFC 3261 §25.1 hostport."""
    outcome(parse_host_port, text)


def are_numbers_or_bad(text: str) -> None:
    """RFC 3261 §20.10, §20.16, §20.19."""
    number = outcome(parse_cseq, text)
    assert number is REFUSED or 0 <= number[0] < 2**31
    assert 0 <= parse_seconds(text, 7) < 2**32
    q = outcome(parse_q, text)
    assert q is REFUSED or 0 <= q <= 1000


def assert_is_one_message(octets: bytes) -> None:
    """Nothing that was copied has become a field or a message of its own."""
    head, _, body = octets.partition(b"\r\n\r\n")
    assert body == b""
    for line in head.split(b"\r\n")[1:]:
        assert line[:1] in b" \t" or b":" in line
    assert head.count(b"\n") == head.count(b"\r\n") == head.count(b"\r")


def ask_for_everything(message) -> None:
    for ask in ("via", "cseq", "from_", "to", "uri", "call_id"):
        outcome(lambda name: getattr(message, name, None), ask)
    for name in set(message.names):
        message.value(name)
        message.fields(name)
        for value in outcome(message.values, name):
            for read in (parse_via, parse_cseq, parse_credentials, parse_q):
                outcome(read, value)
            address = outcome(parse_name_addr, value)
            if address is not REFUSED:
                outcome(lambda a: (a.uri, a.tag, a.sip_uri), address)
            parse_seconds(value, 0)
