"""What the names of the fields tell is found once for all messages that have them in this order."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sip.message import shape
from sip.message.cache import clear_parse_caches
from sip.message.grammar import BadMessage
from sip.message.message import parse
from sip.message.names import field_name
from tests.support.message_octets import FIELDS, octets
from tests.support.strategies import MESSAGES, SEARCH, nearly_valid, octets_of


def outcome(datagram: bytes):
    """All that a message says of its fields, or why it is refused."""
    try:
        message = parse(datagram)
    except BadMessage as error:
        return error.status, error.reason
    return message.names, message.present, message.shape.copied, message.lines, message.body


@SEARCH
@given(nearly_valid(MESSAGES))
@example(MESSAGES[0].replace("X-Other: ", "X-Other"))
@example(MESSAGES[0].replace("X-Other: ", "To"))
@example(MESSAGES[0].replace("X-Other: ", "X-Other : "))
@example(MESSAGES[0].replace("X-Other: ", " folded: "))
@example(MESSAGES[0].replace("X-Other", "Contact"))
@example(MESSAGES[0].replace("X-Other", "t"))
@example(MESSAGES[0].replace("Call-ID", "Contact"))
def test_a_known_shape_changes_nothing(text: str):
    """RFC 3261 §7.3: a first, a second and an uncached reading see the same fields."""
    clear_parse_caches()
    first = outcome(octets_of(text))
    assert outcome(octets_of(text)) == first
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shape, "_LONGEST_CACHED", -1)  # each line is read by itself
        assert outcome(octets_of(text)) == first


@SEARCH
@given(
    nearly_valid(MESSAGES),
    st.lists(
        st.tuples(
            st.sampled_from(
                ["set", "append", "put_first", "remove", "set_values", "remove_top_via"]
            ),
            st.sampled_from(["via", "to", "route", "x-other", "x-new"]),
            st.integers(0, 3),
        )
    ),
)
def test_after_any_edit_the_shape_is_that_of_the_lines(text: str, edits):
    """RFC 3261 §16.6: names and positions follow the lines."""
    try:
        message = parse(octets_of(text))
    except BadMessage:
        return
    for edit, name, count in edits:
        if edit == "remove":
            message.remove(name)
        elif edit == "remove_top_via":
            if "via" in message.present and '"' not in message.fields("via")[0]:
                message.remove_top_via()
        elif edit == "set_values":
            message.set_values(name, name, ["x"] * count)
        else:
            getattr(message, edit)(name, f"{name}: x")
        names = tuple(map(field_name, message.lines))
        assert message.names == message.shape.names == names
        assert message.present == {each: names.index(each) for each in names}


def test_messages_with_the_same_names_share_a_shape():
    """Also after the same edit, and whatever their values are."""
    one = parse(octets(*FIELDS, "Subject: a"))
    other = parse(octets(*FIELDS, "Subject: bb"))
    assert one.shape is other.shape is not parse(octets(*FIELDS)).shape
    for message in (one, other):
        message.put_first("via", "Via: SIP/2.0/UDP p")
        message.set_values("route", "Route", ["<sip:a>", "<sip:b>"])
        message.append("reason", "Reason: x")
    assert one.shape is other.shape
    for message in (one, other):
        message.remove_top_via()
    assert one.shape is other.shape


def test_a_flood_of_new_orders_leaves_the_shapes_of_phones():
    """A phone registers meanwhile; the cache is bounded, and the phone's shape stays in it."""
    phone = parse(octets(*FIELDS)).shape
    rng = random.Random(1)
    more = [f"X-{number}: x" for number in range(9)]
    for number in range(3000):
        rng.shuffle(more)
        parse(octets(*FIELDS, *more))
        if number % 500 == 0:
            assert parse(octets(*FIELDS)).shape is phone
    assert shape._shape_of_spelled.cache_info().currsize <= 1024


@pytest.mark.parametrize("more", [["X: y"] * 50, ["X" * 700 + ": y"]])
def test_a_large_shape_is_not_kept(more: list[str]):
    """Hostile names use no memory, not even after an edit."""
    clear_parse_caches()
    assert parse(octets(*FIELDS, *more)).shape is not parse(octets(*FIELDS, *more)).shape
    for _ in range(2):
        message = parse(octets(*FIELDS, *more))
        message.put_first("via", "Via: SIP/2.0/UDP p")
        message.set_values("route", "Route", ["<sip:a>"])
        message.remove_top_via()
    for cached in (shape.shape_of, shape._cached_insert, shape._cached_delete):
        assert cached.cache_info().currsize == 0
    assert shape._shape_of_spelled.cache_info().currsize <= 1  # None: these names are too many
