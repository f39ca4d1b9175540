"""Bencode, as the ng protocol of rtpengine uses it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.transport.bencode import MAX_DEPTH, MAX_OCTETS, BadBencode, decode, encode

NUMBERS = st.integers(min_value=-(10**17), max_value=10**17)
VALUES = st.recursive(
    NUMBERS | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def as_read(value):
    """What a reader makes of a value: strings are octets."""
    if isinstance(value, dict):
        return {as_read(key): as_read(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_read(item) for item in value]
    return value.encode() if isinstance(value, str) else value


def depth_of(value) -> int:
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0) if isinstance(value, dict | list) else 0


@given(VALUES)
def test_what_was_written_is_read(value):
    octets = encode(value)
    if depth_of(value) > MAX_DEPTH:
        with pytest.raises(BadBencode):
            decode(octets)
    else:
        assert decode(octets) == as_read(value)


def test_keys_are_in_their_order():
    assert encode({"b": 1, "a": ["x", -2]}) == b"d1:al1:xi-2ee1:bi1ee"


@given(st.binary(max_size=40))
def test_any_octets_are_read_or_refused(octets):
    with contextlib.suppress(BadBencode):
        decode(octets)


@pytest.mark.parametrize(
    "octets",
    [
        *(b"", b"i1", b"ie", b"i--1e", b"i1e1:a", b"5:abcd", b"-1:a", b"d1:ae", b"di1e1:ae", b"l"),
        *(b"x", b"d1:a", b"i" + b"1" * 30 + b"e", b"l" * 1000, b"i1e" + b" " * MAX_OCTETS),
        *(b"1" * 30, "i\u00b2e".encode("latin-1")),
    ],
)
def test_other_octets_are_refused(octets):
    with pytest.raises(BadBencode):
        decode(octets)
