"""Session descriptions (SDP, RFC 8866): the codecs and the direction of a call, for the pages.

Nothing here decides about a call, so a description that cannot be read has no codecs, and is no
error.
"""

import re
from collections.abc import Set
from functools import lru_cache
from typing import Final, NamedTuple

# Octets and lines of a description that are read, and codecs that are named.
MAX_SDP_BYTES: Final = 4096
_MAX_LINES = 200
_MAX_CODECS = 8
# Media lines that are read: audio and video.
_MAX_MEDIA = 2

# The payload types that need no rtpmap (RFC 3551 §6), as far as phones use them.
_STATIC = {
    "0": "PCMU",
    "3": "GSM",
    "4": "G723",
    "5": "DVI4",
    "8": "PCMA",
    "9": "G722",
    "15": "G728",
    "18": "G729",
    "26": "JPEG",
    "31": "H261",
    "34": "H263",
}
# Payloads that carry no sound of their own: key presses and silence (RFC 4733, RFC 3389).
_NO_CODECS = frozenset({"telephone-event", "cn", "red"})
_CODEC = re.compile(r"[A-Za-z0-9._+-]{1,20}")
_NULL_ADDRESS = "0.0.0.0"  # noqa: S104 -- nothing listens there
_DIRECTIONS = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})


class Description(NamedTuple):
    """The media of a session description.

    `codecs` are the names in order of preference, key presses left out.  `direction` is that of the
    first media line: "sendrecv", "sendonly", "recvonly" or "inactive" (RFC 8866 §6.7).
    """

    codecs: tuple[str, ...]
    direction: str


@lru_cache(maxsize=512)  # a page that refreshes itself reads the same calls again
def read_sdp(body: bytes) -> Description:
    """Read a session description as far as the pages need it."""
    codecs: list[str] = []
    names: dict[str, str] = {}
    payloads: list[str] = []
    session_direction, direction = "sendrecv", ""
    has_null_address = False
    media = 0
    for line in body[:MAX_SDP_BYTES].decode("utf-8", "replace").splitlines()[:_MAX_LINES]:
        if line.startswith("m="):
            _add_codecs(codecs, payloads, names)
            media += 1
            if media > _MAX_MEDIA:
                payloads = []
                break
            names, payloads = {}, line.split()[3:]
        elif line.startswith("a=rtpmap:"):
            number, _, name = line[9:].partition(" ")
            names[number] = name.partition("/")[0]
        elif line.startswith("a=") and line[2:].strip() in _DIRECTIONS:
            if not media:
                session_direction = line[2:].strip()
            elif media == 1:
                direction = line[2:].strip()
        elif line.startswith("c=") and media < 2 and line.split()[-1:] == [_NULL_ADDRESS]:
            has_null_address = True  # the hold of RFC 2543, see RFC 3264 §8.4
    _add_codecs(codecs, payloads, names)
    direction = direction or session_direction
    if has_null_address and direction != "recvonly":
        direction = "inactive" if direction == "inactive" else "sendonly"
    return Description(tuple(codecs[:_MAX_CODECS]), direction)


def _add_codecs(codecs: list[str], payloads: list[str], names: dict[str, str]) -> None:
    """Add the names of the payloads of a media line."""
    for number in payloads:
        name = names.get(number) or _STATIC.get(number, "")
        is_codec = _CODEC.fullmatch(name) and name.lower() not in _NO_CODECS
        if is_codec and name not in codecs:
            codecs.append(name)


def codecs_of(offer: bytes, answer: bytes) -> tuple[str, ...]:
    """Return the codecs of the answer; without an answer those of the offer."""
    return read_sdp(answer).codecs if answer else read_sdp(offer).codecs


def holders_after(
    before: Set[str], offerer: str, answerer: str, offer: bytes, answer: bytes
) -> frozenset[str]:
    """Return the sides that hold a call after an offer and its answer (RFC 3264 §8.4).

    A side holds the call if it accepts no media: `sendonly` or `inactive`.  An `inactive` answer to
    an `inactive` offer is the only one that is allowed, so it changes nothing for the answerer.
    """
    holders = set(before)
    offered, answered = read_sdp(offer).direction, read_sdp(answer).direction
    _set_holder(holders, offerer, is_holding=offered in ("sendonly", "inactive"))
    if offered != "inactive":
        _set_holder(
            holders, answerer, is_holding=bool(answer) and answered in ("sendonly", "inactive")
        )
    return frozenset(holders)


def _set_holder(holders: set[str], side: str, *, is_holding: bool) -> None:
    if is_holding:
        holders.add(side)
    else:
        holders.discard(side)
