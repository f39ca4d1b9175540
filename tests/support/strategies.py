"""Valid messages and values, slightly damaged at random: strategies for property tests."""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# EXAMPLES=20000 in the environment searches on.
SEARCH = settings(
    max_examples=int(os.environ.get("EXAMPLES") or 75),
    suppress_health_check=[HealthCheck.too_slow],
)

# What the grammar is made of, and what it is not.
PIECES = (
    *"a;,:=<>@?&/[](){}*+-.%\"'\\ \t0159\0\x0b\x1f\x7f",
    *(
        "\r\n ",
        "\r\n\t",
        "\udcff",
        "é",
        "\x85",
        "\u2003",
        "\xa0",
        "İ",
        "٣",
        "\\\\",
        '\\"',
        "%41",
        "%00",
    ),
    *("sip:", "SIPS:", "tel:", "urn:", "tag", "rport", ";rport", "received", "branch", "z9hG4bK"),
    *("SIP/2.0/UDP ", "SIP / 2.0 / TCP ", "192.0.2.1", "[2001:db8::1]", "::", ":::", "a.example"),
    *("Digest ", "Digest", "realm", "nonce", '="x"', "=x", ", ", ";;", ",,", "INVITE", "SIP/2.0"),
    *("lr", "transport=", "q=0.5", "expires=", "*", "65536", "4294967296", "<sip:a@b>", '"A B" '),
)

VALUES = {
    "via": (
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport",
        "SIP / 2.0 / TCP  [2001:db8::1]:5061 ; branch = z9hG4bKa;received=192.0.2.7;rport=5",
        'SIP/2.0/UDP a.example;x="a,;rport\\"",SIP/2.0/TCP b.example:5070;branch=1',
        "SIP/2.0/UDP a;branch",
    ),
    "name-addr": (
        '"Alice \\"A\\", B" <sip:alice@a.example;transport=udp?x=y>;tag=1;q=0.5',
        "<sip:bob@192.0.2.1:5060>;expires=60",
        'Bob B. <sip:[::1]>;+sip.instance="<urn:uuid:0>"',
        "sip:carol@c.example;tag=c",
        "<tel:+1-201-555-0123;ext=5>",
        "*",
    ),
    "cseq": ("1 INVITE", "0009\tACK", "2147483647 !x"),
    "credentials": (
        'Digest username="a", realm="b", nonce="c", uri="sip:d", response="e", nc=00000001',
        'Digest realm="a\\"b", qop="auth,auth-int" , opaque=""',
        "Other a=b,c = d",
    ),
    "uri": (
        "sip:alice:pw@a.example:5060;transport=tcp;lr?Subject=a%20b&x=",
        "sips:%61@[2001:db8::1]:5061;x",
        "tel:7042;phone-context=a.example;ext=1",
        "urn:service:sos",
    ),
}

MESSAGES = (
    "INVITE sip:bob@b.example SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa;rport\r\n"
    "Via: SIP/2.0/TCP a.example, SIP/2.0/TCP b.example;branch=2\r\n"
    'From: "A" <sip:a@a.example>;tag=1\r\nTo: <sip:bob@b.example>\r\nCall-ID: x@y\r\n'
    "CSeq: 1 INVITE\r\nTimestamp: 54\r\nContact: <sip:a@192.0.2.1>,\r\n <sip:b@c>;q=0.1\r\n"
    'Route: <sip:r;lr>\r\nProxy-Authorization: Digest realm="a",\r\n\tnonce="b"\r\n'
    "X-Other: ;;,\r\n\r\n",
    "REGISTER sip:b.example SIP/2.0\r\nv: SIP/2.0/UDP a;branch=1\r\nf: sip:a@b;tag=1\r\n"
    "t: sip:a@b\r\ni: 1\r\nCSeq: 2 REGISTER\r\nm: *\r\nExpires: 0\r\nl: 0\r\n\r\n",
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=1\r\nFrom: <sip:a@b>;tag=1\r\n"
    "To: <sip:c@d>;tag=2\r\nCall-ID: 1\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
)


@st.composite
def nearly_valid(draw: st.DrawFn, originals: tuple[str, ...]) -> str:
    """One of the originals after a few cuts, insertions and repetitions."""
    text = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 4)))
        put = draw(
            st.one_of(st.sampled_from(PIECES), st.just(text[start : end + 8]), st.text(max_size=2))
        )
        text = text[:start] + put + text[end:]
    return text


def values(kind: str) -> st.SearchStrategy[str]:
    """Values of a header field: valid ones slightly damaged, and pieces put together."""
    return st.one_of(nearly_valid(VALUES[kind]), st.lists(st.sampled_from(PIECES)).map("".join))


def octets_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


datagrams = st.one_of(
    nearly_valid(MESSAGES).map(octets_of),
    st.lists(st.sampled_from(PIECES)).map("".join).map(octets_of),
    st.binary(max_size=80),
    nearly_valid(MESSAGES).map(lambda text: octets_of(text.replace("\r\n", "\n"))),
    st.tuples(nearly_valid(MESSAGES).map(octets_of), st.binary(max_size=8)).map(b"".join),
)
