"""Media descriptions, as far as a relay needs them: their kind, and the flags for rtpengine.

Problem: a browser speaks WebRTC (ICE, DTLS-SRTP; RFC 8829), one phone SRTP with keys in its SDP
    (RFC 4568), another plain RTP; and a phone behind NAT names an address that leads nowhere.
Model: a description has one kind, by the profiles of its streams.  A MediaMark says which kind each
    side of a dialog understands; from this and the kind of an offer follow the flags.
Invariant: a description that cannot be read has no kind, and passes unchanged.
Bounds: MAX_SDP_BYTES, MAX_LINES and MAX_STREAMS; one pass over the lines.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sip.message.message import Message
from sip.message.uri import is_address

MAX_SDP_BYTES: Final = 16_384
MAX_LINES: Final = 1000
MAX_STREAMS: Final = 16

# The kinds of media, as a mark has them.  AS_IT_IS: the relay changes the addresses alone.
RTP: Final = "r"
SRTP: Final = "s"
WEBRTC: Final = "w"
AS_IT_IS: Final = "a"

_LINE = re.compile(r"[a-z]=[^\x00\r]*+")
_STREAM = re.compile(r"m=[A-Za-z0-9!#$%&'*+.^_`{|}~-]++ (\d{1,5})(?:/\d{1,3})? ([A-Za-z0-9/]++) .+")
_CONNECTION = re.compile(r"c=IN IP[46] ([0-9A-Fa-f.:]++)(?:/[0-9/]++)?")
_NO_ADDRESS = re.compile(rb"^c=IN IP4 0\.0\.0\.0(?=\r?$)", re.MULTILINE)
_MARK = re.compile(r"([rswaRSWA])([rswaRSWA])([0-9a-f]{8,16})")
_PROFILES = {
    "RTP/AVP": RTP,
    "RTP/AVPF": RTP,
    "RTP/SAVP": SRTP,
    "RTP/SAVPF": SRTP,
    "UDP/TLS/RTP/SAVP": WEBRTC,
    "UDP/TLS/RTP/SAVPF": WEBRTC,
}

# Suites of SRTP that are not offered: two encrypt nothing, and few phones know the others;
# their keys would make an INVITE larger than a datagram.
_SUITES = [
    f"no-{suite}_HMAC_SHA1_{bits}"
    for suite in ("NULL", "F8_128", "AES_192_CM")
    for bits in (80, 32)
]
# What rtpengine is told about the side that gets the description; tried with rtpengine 10.5.
Flags = Mapping[str, str | Sequence[str]]
_FLAGS: dict[str, Flags] = {
    RTP: {"ICE": "remove", "transport-protocol": "RTP/AVP", "rtcp-mux": ["demux"]},
    SRTP: {
        "ICE": "remove",
        "transport-protocol": "RTP/SAVP",
        "rtcp-mux": ["demux"],
        "DTLS": "off",
        "SDES": _SUITES,
    },
    WEBRTC: {
        "ICE": "force",
        "transport-protocol": "UDP/TLS/RTP/SAVPF",
        "rtcp-mux": ["require"],
        "SDES": ["off"],
    },
    AS_IT_IS: {"ICE": "remove"},
}


class Description(NamedTuple):
    """What is read of an SDP: the kind of its media, and the address they are to be sent to.

    `kind` is AS_IT_IS if no stream is RTP, as in a fax (T.38); `host` is "" without an address.
    """

    kind: str
    host: str


def read_description(body: bytes) -> Description | None:
    """Return what an SDP (RFC 4566) describes, None if it is malformed or too large.

    A description with several profiles has the simplest of them: the other side can choose it.
    """
    if len(body) > MAX_SDP_BYTES or not body.startswith(b"v=0"):
        return None
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").removesuffix("\n").split("\n")
    if len(lines) > MAX_LINES:
        return None
    kinds: list[str] = []
    host, streams = "", 0
    for line in lines:
        if _LINE.fullmatch(line) is None:
            return None
        if line.startswith("m="):
            stream = _STREAM.fullmatch(line)
            streams += 1
            if stream is None or streams > MAX_STREAMS:
                return None
            kind = _PROFILES.get(stream[2].upper(), "")
            if kind and stream[1].strip("0"):  # a stream at port 0 is refused or ended
                kinds.append(kind)
        elif line.startswith("c=") and not host:
            connection = _CONNECTION.fullmatch(line)
            if connection is None:
                return None
            host = connection[1] if is_address(connection[1]) else ""
    if not streams:
        return None
    simplest = next((kind for kind in (RTP, SRTP, WEBRTC) if kind in kinds), AS_IT_IS)
    return Description(simplest, host)


def sdp_of(message: Message) -> bytes:
    """Return the body of a message if it is one SDP, b"" for any other, also within multipart."""
    if not message.body:
        return b""
    kind = (message.value("content-type") or "").partition(";")[0].strip().lower()
    is_plain = kind == "application/sdp" and "content-encoding" not in message.present
    return message.body if is_plain else b""


def set_sdp(message: Message, body: bytes) -> None:
    """Replace the SDP of a message."""
    message.body = body
    message.set("content-length", f"Content-Length: {len(body)}")


class MediaMark(NamedTuple):
    """The mark of a relayed dialog in its tickets: the kind of each side, and the relay's token.

    In the text, the letter of a side behind NAT is a capital.
    """

    caller: str
    callee: str
    token: str
    caller_behind_nat: bool = False
    callee_behind_nat: bool = False

    def __str__(self) -> str:
        """Return the text that `read_mark` reads."""
        caller = self.caller.upper() if self.caller_behind_nat else self.caller
        callee = self.callee.upper() if self.callee_behind_nat else self.callee
        return f"{caller}{callee}{self.token}"

    @property
    def translates(self) -> bool:
        """Return True if the two sides do not understand each other without the relay."""
        return self.caller != AS_IT_IS


def read_mark(text: str) -> MediaMark | None:
    """Return the mark that a ticket has; None if it has none."""
    match = _MARK.fullmatch(text)
    if match is None:
        return None
    caller, callee, token = match.groups()
    return MediaMark(caller.lower(), callee.lower(), token, caller.isupper(), callee.isupper())


def kinds_for(
    offer: str, *, from_browser: bool, to_browser: bool, is_refused: bool
) -> tuple[str, str] | None:
    """Return the kinds of caller and callee if they need a translation, None if they need none.

    A browser, which is a phone on a WebSocket, understands WebRTC alone.  Whether another phone
    accepts an offer of SRTP or DTLS is not known before it answers; `is_refused` says that it has
    refused the offer with 488, so that another kind is worth an attempt.
    """
    if offer == AS_IT_IS or (to_browser and offer == WEBRTC):
        return None
    if to_browser:
        return offer, WEBRTC
    if from_browser:
        return WEBRTC, SRTP if is_refused else RTP
    if is_refused:
        return offer, SRTP if offer == RTP else RTP
    return None


def flags_for(receiver: str, sent: Description, source: str) -> dict[str, str | Sequence[str]]:
    """Return the flags for a description that goes to a side which understands `receiver`.

    `source` is the address that a sender behind NAT was seen at, "" for any other.
    """
    kind = AS_IT_IS if sent.kind == AS_IT_IS else receiver
    flags = ["original-sendrecv"]
    if kind == WEBRTC:
        flags.append("generate-mid")
    more: dict[str, str | Sequence[str]] = {"replace": ["origin", "session-connection"]}
    if kind == AS_IT_IS and sent.kind == SRTP:
        more["SDES"] = _SUITES
    if source and source != sent.host:
        flags.append("SIP-source-address")
        more["received-from"] = ["IP6" if ":" in source else "IP4", source]
    return {**_FLAGS[kind], **more, "flags": flags}


def with_address(body: bytes, sent: Description, source: str) -> bytes:
    """Return the SDP of a browser that knows no address of its own yet, with its source address.

    `c=IN IP4 0.0.0.0` would mean hold (RFC 3264 §8.4); a browser holds by its direction alone.
    """
    if sent.kind != WEBRTC:
        return body
    family = "IP6" if ":" in source else "IP4"
    return _NO_ADDRESS.sub(f"c=IN {family} {source}".encode("ascii", "replace"), body)
