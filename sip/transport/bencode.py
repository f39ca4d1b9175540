"""Bencode: the encoding of the ng protocol of rtpengine (BEP 3): numbers, strings, lists, dicts.

The octets of a reply come from the network, so a reader has bounds: MAX_OCTETS in all, MAX_DEPTH
lists and dictionaries within each other, MAX_DIGITS in a number.
"""

from collections.abc import Mapping, Sequence

# A string is written as UTF-8; strings are read as octets.
Value = int | str | bytes | Sequence["Value"] | Mapping[str, "Value"]
Decoded = int | bytes | list["Decoded"] | dict[bytes, "Decoded"]

MAX_OCTETS = 65_536
MAX_DEPTH = 8
MAX_DIGITS = 18


class BadBencode(ValueError):
    """Octets that are no bencode, or that exceed the bounds."""


def encode(value: Value) -> bytes:
    """Return a value as octets; the keys of a dictionary are sorted."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, Mapping):
        pairs = sorted(value.items())
        return b"d%se" % b"".join([encode(key) + encode(item) for key, item in pairs])
    return b"l%se" % b"".join([encode(item) for item in value])


def decode(octets: bytes) -> Decoded:
    """Return the value of octets, all of which must belong to it.  Raises BadBencode."""
    if len(octets) > MAX_OCTETS:
        raise BadBencode(f"more than {MAX_OCTETS} octets")
    value, end = _read(octets, 0, 0)
    if end != len(octets):
        raise BadBencode(f"octets after the value, at {end}")
    return value


def _read(octets: bytes, at: int, depth: int) -> tuple[Decoded, int]:
    """Return the value at an offset, and the offset after it."""
    kind = octets[at : at + 1]
    if kind == b"i":
        return _number(octets, at + 1, b"e")
    if kind.isdigit():
        length, start = _number(octets, at, b":")
        end = start + length
        if length < 0 or end > len(octets):
            raise BadBencode(f"a string that is too short, at {at}")
        return octets[start:end], end
    if kind not in (b"l", b"d") or depth >= MAX_DEPTH:
        raise BadBencode(f"no value, or one too deep, at {at}")
    return _read_list(octets, at + 1, depth) if kind == b"l" else _read_dict(octets, at + 1, depth)


def _read_list(octets: bytes, at: int, depth: int) -> tuple[Decoded, int]:
    items: list[Decoded] = []
    while octets[at : at + 1] != b"e":
        item, at = _read(octets, at, depth + 1)
        items.append(item)
    return items, at + 1


def _read_dict(octets: bytes, at: int, depth: int) -> tuple[Decoded, int]:
    pairs: dict[bytes, Decoded] = {}
    while octets[at : at + 1] != b"e":
        key, at = _read(octets, at, depth + 1)
        if not isinstance(key, bytes):
            raise BadBencode(f"a key that is no string, before {at}")
        pairs[key], at = _read(octets, at, depth + 1)
    return pairs, at + 1


def _number(octets: bytes, start: int, end_mark: bytes) -> tuple[int, int]:
    end = octets.find(end_mark, start, start + MAX_DIGITS + 2)
    digits = octets[start:end] if end >= 0 else b""
    if not digits.removeprefix(b"-").isdigit():
        raise BadBencode(f"no number at {start}")
    return int(digits), end + 1
