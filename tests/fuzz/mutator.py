"""Messages made to hurt: right ones are built by the grammar, and then damaged where parsers break.

All that is drawn comes from the `random.Random` that is handed in, so one number is one message.
"""

import random
import re
from collections.abc import Callable

Octets = bytes
Rng = random.Random

METHODS = (
    "INVITE ACK BYE CANCEL OPTIONS REGISTER SUBSCRIBE NOTIFY MESSAGE PUBLISH REFER X-1".split()
)
USERS = ("alice", "bob", "nobody", "%61lice", "+12015550123", "a.b_c!~*'()&=+$,;?/")
HOSTS = ("192.0.2.1", "example.com", "[2001:db8::1]", "127.0.0.1", "a-b.example.net.", "localhost")
TOKENS = ("a", "z9hG4bK-1", "1928301774", "-.!%*_+`'~", "x" * 40)
QUOTED = ('"A B"', '"a,b;c<d>"', r'"a\"b\\c"', '""', '"\u00e9\U0001f600"')
PARAMS = ("lr", "rport", "received", "branch", "tag", "q", "expires", "transport", "maddr", "ttl")
COMPACT = {
    *(("Via", "v"), ("From", "f"), ("To", "t"), ("Call-ID", "i"), ("Contact", "m")),
    *(("Content-Length", "l"), ("Content-Type", "c"), ("Supported", "k"), ("Subject", "s")),
}
# Pieces that are wrong in most places: separators, escapes, values out of range.
PIECES: tuple[bytes, ...] = (
    *(bytes([octet]) for octet in b'"<>;,:=@%\\[]()?&*/ \t\r\n\0\x0b\x1f\x7f\xff'),
    *(b"\r\n ", b"\r\n\t", b"\r\n\r\n", b"\n\n", b"\r\r", b"%00", b"%0d%0a", b"%zz", b"%", b"%%"),
    *(
        b"\xc3\xa9",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
    ),
    *(b'\\"', b'"\\', b'""', b"<>", b"<<", b">>", b";;", b",,", b"::", b":::", b"@@", b"=="),
    *(b"0", b"-1", b"65536", b"2147483648", b"4294967296", b"9" * 30, b"0" * 40 + b"1", b"1e9"),
    *(b"\xd9\xa3", b"\xef\xbc\x91", b"0x10", b"1.0000", b"NaN"),  # digits of others, and none
    *(b"sip:", b"sips:", b"tel:+1", b"urn:x:y", b"sip:@", b"sip::@a", b"sip:a@", b"*"),
    *(b"SIP/2.0", b"SIP/3.0", b"sip/2.0", b"HTTP/1.1", b"INVITE", b"Digest ", b"z9hG4bK"),
    *(b";lr", b";rport", b";rport=0", b";maddr=203.0.113.9", b";received=203.0.113.9", b";ttl=255"),
    *(b";tag=", b";branch=", b";q=2", b";expires=-1", b";transport=tcp", b"?Route=%3Csip:x%3E"),
)
# Whole fields that ask for something, or that say a thing once more.
FIELDS = (
    *(b"Route: <sip:203.0.113.9;lr>", b"Record-Route: <sip:203.0.113.9;lr>", b"Path: <sip:p;lr>"),
    *(b"Via: SIP/2.0/UDP 203.0.113.9", b"v: SIP/2.0/TCP a, SIP/2.0/UDP b", b"Contact: *"),
    *(b"Max-Forwards: 0", b"Max-Forwards: 256", b"Max-Breadth: 0", b"Expires: 99999999999"),
    *(b"Require: x", b"Proxy-Require: y", b"Content-Length: 5", b"l: 99999", b"Timestamp: 1 2"),
    *(
        b"To: <sip:a@b>",
        b"f: sip:a@b;tag=1",
        b"CSeq: 1 ACK",
        b"i: other",
        b"Content-Encoding: gzip",
    ),
    *(b'Authorization: Digest realm="x", nonce="y"', b"Proxy-Authorization: Basic YTpi"),
    *(b"Supported: path, , outbound", b"X: " + b"x" * 300, b": no name", b"no colon", b" fold"),
)


# Right messages


def message(rng: Rng) -> Octets:
    """A message by the grammar, of any method or status, with the To of any user."""
    method = rng.choice(METHODS)
    body = rng.choice((b"", b"", b"v=0\r\n", b"x" * rng.randrange(200)))
    lines = [
        *(f"Via: {_via(rng)}" for _ in range(rng.choice((1, 1, 1, 2, 5)))),
        f"From: {_address(rng)};tag={rng.choice(TOKENS)}",
        f"To: {_address(rng)}" + rng.choice(("", f";tag={rng.choice(TOKENS)}")),
        f"Call-ID: {rng.getrandbits(64):x}@{rng.choice(HOSTS)}",
        f"CSeq: {rng.randrange(2**31)} {method}",
        f"Max-Forwards: {rng.choice((70, 1, 255))}",
        *_options(rng),
        f"Content-Length: {len(body)}",
    ]
    head = lines[:-1]
    rng.shuffle(head)
    start = f"{method} {_uri(rng)} SIP/2.0"
    if rng.random() < 0.2:
        start = f"SIP/2.0 {rng.choice((100, 180, 200, 302, 401, 487, 503, 699))} A Reason"
    return "\r\n".join([start, *head, lines[-1], "", ""]).encode() + body


def _uri(rng: Rng) -> str:
    if rng.random() < 0.1:
        return rng.choice(("tel:+1-201-555-0123;ext=5", "urn:service:sos", "tel:7;phone-context=a"))
    user = rng.choice(("", f"{rng.choice(USERS)}@", f"{rng.choice(USERS)}:pw@"))
    port = rng.choice(("", "", ":5060", ":0005061"))
    params = "".join(rng.choice(("", f";{_param(rng, QUOTED[:0])}")) for _ in range(3))
    headers = rng.choice(("", "", "", "?Subject=a%20b&x=y"))
    return f"sip:{user}{rng.choice(HOSTS)}{port}{params}{headers}"


def _param(rng: Rng, values: tuple[str, ...] = QUOTED) -> str:
    name = rng.choice(PARAMS)
    value = rng.choice((*TOKENS, "1", "0.5", "192.0.2.7", *values))
    return rng.choice((name, f"{name}={value}"))


def _via(rng: Rng) -> str:
    slash = rng.choice(("/", "/", "/", " / "))
    way = f"SIP{slash}2.0{slash}{rng.choice(('UDP', 'TCP', 'TLS'))}"
    branch = f"branch=z9hG4bK{rng.getrandbits(48):x}"
    params = ";".join([branch, *rng.choice(((), ("rport",), ("ttl=1", "x=y")))])
    return f"{way} {rng.choice(HOSTS).rstrip('.')}{rng.choice(('', ':5060'))};{params}"


def _address(rng: Rng) -> str:
    name = rng.choice(("", "Alice ", *(f"{quoted} " for quoted in QUOTED)))
    return f"{name}<{_uri(rng)}>"


def _options(rng: Rng) -> list[str]:
    """Fields that may be there or not."""
    value = rng.choice((_address(rng), ", ".join(_address(rng) for _ in range(3))))
    params = "".join(f";{_param(rng)}" for _ in range(rng.randrange(4)))
    kinds: tuple[Callable[[], str], ...] = (
        lambda: f"Contact: {value}{params}",
        lambda: f"Route: <{_uri(rng)};lr>",
        lambda: f"Record-Route: <{_uri(rng)};lr>",
        lambda: f"{rng.choice(('', 'Proxy-'))}Authorization: {_credentials(rng)}",
        lambda: f"Expires: {rng.choice((0, 1, 3600, 2**32 - 1))}",
        lambda: f"Supported: {', '.join(rng.choices(('path', 'outbound', 'timer'), k=2))}",
        lambda: f"User-Agent: {rng.choice(QUOTED)}",
        lambda: f"X-Any{params[1:2]}: {value}",
        lambda: f"Timestamp: {rng.random():.3f}",
        lambda: f"Event: {rng.choice(('presence', 'reg', 'dialog;x=y'))}",
    )
    return [write() for write in rng.sample(kinds, rng.randrange(5))]


def _credentials(rng: Rng) -> str:
    known = {
        "username": f'"{rng.choice(USERS)}"',
        "realm": rng.choice(('"example.com"', r'"a\"b"')),
        "nonce": f'"{rng.getrandbits(160):040x}"',
        "uri": f'"{_uri(rng)}"',
        "response": f'"{rng.getrandbits(128):032x}"',
        "algorithm": rng.choice(("MD5", "SHA-256", "MD5-sess", '"MD5"')),
        "qop": rng.choice(("auth", "auth-int", '"auth"')),
        "nc": rng.choice(("00000001", "ffffffff", "1")),
        "cnonce": '"c"',
    }
    names = rng.sample(sorted(known), rng.randrange(1, len(known) + 1))
    return "Digest " + ", ".join(f"{name}={known[name]}" for name in names)


# Damages


def damaged(data: Octets, rng: Rng) -> Octets:
    """The same with one to five damages."""
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        data = rng.choice(DAMAGES)(data, rng)
    return data[:65_000]


def mutant(rng: Rng) -> Octets:
    """A message, nearly right."""
    return damaged(message(rng), rng)


def _with_line(data: Octets, rng: Rng, change: Callable[[Octets], Octets]) -> Octets:
    lines = data.split(b"\r\n")
    at = rng.randrange(len(lines))
    lines[at] = change(lines[at])
    return b"\r\n".join(lines)


def _octet(data: Octets, rng: Rng) -> Octets:
    at = rng.randrange(len(data) + 1)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + rng.randrange(2) :]


def _piece(data: Octets, rng: Rng) -> Octets:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(PIECES) + data[at + rng.choice((0, 0, 1, 4)) :]


def _cut(data: Octets, rng: Rng) -> Octets:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 5, 40, len(data))) :]


def _doubled_line(data: Octets, rng: Rng) -> Octets:
    return _with_line(data, rng, lambda line: b"\r\n".join([line] * rng.choice((2, 2, 3, 30))))


def _lost_line(data: Octets, rng: Rng) -> Octets:
    lines = data.split(b"\r\n")
    del lines[rng.randrange(len(lines))]
    return b"\r\n".join(lines)


def _foreign_line(data: Octets, rng: Rng) -> Octets:
    return _with_line(data, rng, lambda line: line + b"\r\n" + rng.choice(FIELDS))


def _fold(data: Octets, rng: Rng) -> Octets:
    """White space, or something between, becomes a line end that means white space (§7.3.1)."""

    def folded(line: Octets) -> Octets:
        at = rng.randrange(len(line) + 1)
        return line[:at] + rng.choice((b"\r\n ", b"\r\n\t ", b"\r\n \r\n ", b"\n ")) + line[at:]

    return _with_line(data, rng, folded)


def _number(data: Octets, rng: Rng) -> Octets:
    huge = rng.choice((b"0", b"-1", b"00", b"2147483647", b"4294967296", b"9" * 400, b"\xd9\xa3"))
    found = list(re.finditer(rb"[0-9]+", data))
    if not found:
        return data + huge
    match = rng.choice(found)
    return data[: match.start()] + huge + data[match.end() :]


def _stretched(data: Octets, rng: Rng) -> Octets:
    """Something stands there very often: a token, a separator, an octet."""
    at = rng.randrange(len(data) + 1)
    unit = rng.choice((data[at : at + rng.choice((1, 3, 12))], rng.choice(PIECES))) or b"a"
    return data[:at] + unit * rng.choice((3, 20, 300, 2000)) + data[at:]


def _compact(data: Octets, rng: Rng) -> Octets:
    """Names by letters, in other cases, and with white space before the colon (§7.3.1, §7.3.3)."""
    long, short = rng.choice(sorted(COMPACT))
    spelled = rng.choice(
        (short, short.upper(), long.upper(), long.lower(), f"{long} ", f"{long}\t")
    )
    return data.replace(f"\n{long}:".encode(), f"\n{spelled}:".encode())


def _parts_swapped(data: Octets, rng: Rng) -> Octets:
    """Two parts of one line change places."""

    def swapped(line: Octets) -> Octets:
        parts = re.split(rb'([;,:=@<> "])', line)
        one, other = rng.randrange(len(parts)), rng.randrange(len(parts))
        parts[one], parts[other] = parts[other], parts[one]
        return b"".join(parts)

    return _with_line(data, rng, swapped)


def _part_replaced(data: Octets, rng: Rng) -> Octets:
    def replaced(line: Octets) -> Octets:
        parts = re.split(rb'([;,:=@<> "])', line)
        parts[rng.randrange(len(parts))] = rng.choice(PIECES)
        return b"".join(parts)

    return _with_line(data, rng, replaced)


def _parameters(data: Octets, rng: Rng) -> Octets:
    """More parameters behind a line, some of them in each other's quotes or brackets."""
    more = b"".join(
        b";" + _param(rng).encode() + rng.choice((b"", b"", b'="', b"=<", b"=;", b" = ", b'=""x'))
        for _ in range(rng.choice((1, 3, 50)))
    )
    return _with_line(data, rng, lambda line: line + more)


def _line_ends(data: Octets, rng: Rng) -> Octets:
    other = rng.choice((b"\n", b"\r", b"\r\n\r\n", b"\r\n\0", b"\n\r", b"\x0b", b"\xe2\x80\xa8"))
    return data.replace(b"\r\n", other, rng.choice((1, 1, 2, -1)))


DAMAGES: tuple[Callable[[Octets, Rng], Octets], ...] = (
    *(_octet, _piece, _cut, _doubled_line, _lost_line, _foreign_line, _fold, _number, _stretched),
    *(_compact, _parts_swapped, _part_replaced, _parameters, _line_ends),
)
