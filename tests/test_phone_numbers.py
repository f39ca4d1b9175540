"""Telephone numbers in user parts (RFC 3966, RFC 3261 §19.1.6)."""

from sip.phone_numbers import number_of
from tests.support.cases import cases


@cases(
    ("name", "number"),
    [
        ("0891234", "0891234"),
        ("+49 (89) 12-34.5", "+498912345"),
        ("*21#", "*21#"),
        ("*21*+4930#", "*21*+4930#"),
        ("+4930;postd=pp22", "+4930"),
        ("+49-30;EXT=1-2;isub=1411", "+4930"),
        ("+4930;phone-context=anywhere.example", "+4930"),
        ("7042;tsp=a.b;x", "7042"),
    ],
)
def test_a_number_has_no_separators_and_no_parameters(name: str, number: str):
    """RFC 3966 §5.1.1, §5.2 to §5.4."""
    assert number_of(name) == number


@cases(
    "name",
    [
        *("", "+", "++", "-.()", ";", ";ext=1", "٣", "1;", "1;;a", "1;=2"),
        *("alice", "0alice", "bob-2", "a.b", "(x)", "abba"),
        *("7042;phone-context=x.example", "+4930;M-new=1", "7042;m-a"),
    ],
)
def test_a_name_that_is_no_number_is_none(name: str):
    """RFC 3966 §5.1.5, §5.4: nor is one of an unknown context or with a mandatory parameter."""
    assert number_of(name) == ""


def test_a_long_name_is_read_once():
    """No quadratic search: a stranger may send 60 kB of digits."""
    assert number_of("1" * 60_000 + "a") == ""
    assert number_of("+" * 60_000) == ""
