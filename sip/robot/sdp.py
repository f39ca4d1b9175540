"""Session descriptions of one audio stream: read an offer, write its answer (RFC 4566, RFC 3264).

Pure.  The robot speaks G.711 alone: PCMU and PCMA (RFC 3551 §4.5.14).
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from sip.message.uri import is_address

# The descriptions of phones have 20 to 60 lines; a peer can send 128 kB.
MAX_OCTETS = 16_384
MAX_LINES = 400
MAX_MEDIA = 16
# Encodings, with the static payload type of each (RFC 3551 §6).
STATIC_TYPES = {"PCMU": 0, "PCMA": 8}
# The payload type of telephone events in an offer of ours (RFC 4733).
EVENTS_TYPE = 101
# Ports below need a privilege: no phone receives sound there, but a service may.
LOWEST_PORT = 1024

_MEDIA = re.compile(
    r"m=([a-z]{1,20}) (\d{1,5})(?:/\d+)? ([A-Za-z0-9/-]{1,40}) ([!-~][!-~ ]*)", re.ASCII
)
_CONNECTION = re.compile(r"c=IN IP[46] (\S{1,255})")
_RTPMAP = re.compile(r"a=rtpmap:(\d{1,3}) ([A-Za-z0-9_.-]{1,40})/(\d+)(?:/1)?\s*", re.ASCII)
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_OPPOSITE = {"sendonly": "recvonly", "recvonly": "sendonly"}
_NULL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 -- compared with: hold by RFC 2543
# A zero, for a line that says when the session takes place: always.
_TIME = "t=0 0"


class BadDescription(Exception):
    """A session description that the robot cannot accept: 400 if it is malformed, else 488."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Stream(NamedTuple):
    """The audio stream that a phone has described, and what both sides may do with it.

    - `host` is the address in its c= line; "" if that is a name, which is not looked up.
    - `port` is where it receives RTP; `payload_type` is the number of the codec there.
    - `encoding` is PCMU or PCMA; `events_type` the payload type of telephone events, or None.
    - `receives` and `sends` say what the phone does: on hold it does not receive.
    """

    host: str
    port: int
    payload_type: int
    encoding: str
    events_type: int | None
    receives: bool
    sends: bool


@dataclass(slots=True)
class _Media:
    kind: str
    port: int
    protocol: str
    formats: list[str]
    connection: str
    lines: list[str]
    direction: str


class Description:
    """A session description of a phone, parsed as far as the robot needs it."""

    def __init__(self, media: list[_Media]) -> None:
        self._media = media

    def audio(self) -> Stream:
        """Return the first stream that the robot can take.  Raises BadDescription (488)."""
        return self._chosen()[1]

    def _chosen(self) -> tuple[int, Stream]:
        reasons: list[str] = []
        for at, media in enumerate(self._media):
            try:
                return at, _stream(media)
            except BadDescription as bad:
                reasons.append(bad.reason)
        raise BadDescription(488, reasons[0] if reasons else "no media in the description")

    def answer(self, host: str, port: int, number: int, version: int) -> bytes:
        """Write the answer to this offer; all streams but one are refused (RFC 3264 §6).

        Sound is received at `host` and `port`; `number` and `version` are those of o= (§8).
        """
        chosen, stream = self._chosen()
        lines = _head(host, number, version)
        for at, media in enumerate(self._media):
            if at == chosen:
                offered = media.direction
                lines += _audio_lines(
                    port,
                    [(stream.payload_type, stream.encoding)],
                    stream.events_type,
                    _OPPOSITE.get(offered, offered),
                )
            else:
                lines.append(f"m={media.kind} 0 {media.protocol} {' '.join(media.formats)}")
        return _encode(lines)


def offer(host: str, port: int, number: int, version: int) -> bytes:
    """Write an offer of ours: PCMU, PCMA and telephone events (RFC 3264 §5)."""
    types = [(number_of, name) for name, number_of in STATIC_TYPES.items()]
    lines = _head(host, number, version)
    return _encode(lines + _audio_lines(port, types, EVENTS_TYPE, "sendrecv"))


def read_description(body: bytes) -> Description:
    """Read a description.  Raises BadDescription (400) if it is malformed."""
    if len(body) > MAX_OCTETS:
        raise BadDescription(400, f"the session description is over {MAX_OCTETS} octets")
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise BadDescription(400, f"the session description has over {MAX_LINES} lines")
    if lines[0].strip() != "v=0":
        raise BadDescription(400, "the session description does not begin with v=0")
    connection, direction = "", "sendrecv"
    found: list[_Media] = []
    for line in map(str.rstrip, lines[1:]):
        media = found[-1] if found else None
        if line.startswith("m="):
            match = _MEDIA.fullmatch(line)
            if match is None or int(match[2]) > 65_535:
                raise BadDescription(400, "the session description has a malformed m= line")
            if len(found) >= MAX_MEDIA:
                raise BadDescription(400, f"the session description has over {MAX_MEDIA} streams")
            kind, port, protocol, formats = match.groups()
            found.append(
                _Media(kind, int(port), protocol, formats.split(), connection, [], direction)
            )
        elif line.startswith("c="):
            match = _CONNECTION.fullmatch(line)
            if match is None:
                raise BadDescription(400, "the session description has a malformed c= line")
            address = match[1].partition("/")[0]  # a multicast address may have a TTL
            if media is None:
                connection = address
            else:
                media.connection = address
        elif line[2:] in _DIRECTIONS and line.startswith("a="):
            if media is None:
                direction = line[2:]
            else:
                media.direction = line[2:]
        elif media is not None:
            media.lines.append(line)
    return Description(found)


def _stream(media: _Media) -> Stream:
    """Return the stream of an m= section.  Raises BadDescription (488) if it cannot be taken."""
    if media.kind != "audio" or media.port == 0:
        raise BadDescription(488, "no audio in the session description")
    if media.protocol not in ("RTP/AVP", "RTP/AVPF"):
        raise BadDescription(488, f"no support for {media.protocol}, only for RTP/AVP")
    if media.port < LOWEST_PORT:
        raise BadDescription(488, f"the media port {media.port} is below {LOWEST_PORT}")
    if not media.connection:
        raise BadDescription(488, "the session description has no c= line")
    names = {number: name for name, number in STATIC_TYPES.items()}
    events_type: int | None = None
    for line in media.lines:
        if (match := _RTPMAP.fullmatch(line)) and int(match[3]) == 8000:
            names[int(match[1])] = match[2].upper()
    types = [int(text) for text in media.formats if text.isascii() and text.isdecimal()]
    types = [number for number in types if number < 128]
    codec = next((number for number in types if names.get(number) in STATIC_TYPES), None)
    if codec is None:
        raise BadDescription(488, "no common codec: PCMU or PCMA is needed")
    events_type = next((each for each in types if names.get(each) == "TELEPHONE-EVENT"), None)
    host, is_held = media.connection, media.connection in _NULL_ADDRESSES
    return Stream(
        host.lower() if is_address(host.lower()) else "",
        media.port,
        codec,
        names[codec],
        events_type,
        receives=media.direction in ("sendrecv", "recvonly") and not is_held,
        sends=media.direction in ("sendrecv", "sendonly"),
    )


def _head(host: str, number: int, version: int) -> list[str]:
    family = "IP6" if ":" in host else "IP4"
    return [
        "v=0",
        f"o=robot {number} {version} IN {family} {host}",
        "s=-",
        f"c=IN {family} {host}",
        _TIME,
    ]


def _audio_lines(
    port: int, types: list[tuple[int, str]], events_type: int | None, direction: str
) -> list[str]:
    numbers = [str(number) for number, _ in types]
    lines = [f"a=rtpmap:{number} {name}/8000" for number, name in types]
    if events_type is not None:
        numbers.append(str(events_type))
        lines += [
            f"a=rtpmap:{events_type} telephone-event/8000",
            f"a=fmtp:{events_type} 0-15",
        ]
    return [f"m=audio {port} RTP/AVP {' '.join(numbers)}", *lines, "a=ptime:20", f"a={direction}"]


def _encode(lines: list[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()
