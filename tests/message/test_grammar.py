"""The pieces that several header fields share."""

import pytest

from sip.message.grammar import (
    BadMessage,
    bounded_number,
    end_of_quoted,
    has_bad_escape,
    is_plain,
    is_token,
    parse_params,
    quote,
    scan_params,
    split_first,
    split_list,
    split_params,
    unescape,
    unfold,
    unquote,
    without_params,
)
from tests.support.cases import cases


def test_a_token_is_made_of_letters_digits_and_ten_marks():
    """RFC 3261 §25.1."""
    assert is_token("INVITE-.!%*_+`'~0")
    for text in ("", "a b", "a/b", "a:b", "a@b", 'a"', "é", "a\n"):
        assert not is_token(text)


@cases(
    ("text", "whole"),
    [
        ("no fold", "no fold"),
        ("a\r\n b", "a b"),
        ("a \t\r\n \t b", "a b"),
        ("\r\n a", " a"),
        ("a\r\n ", "a "),
        ("a\r\n b\r\n\tc", "a b c"),
        ("a  b", "a  b"),
    ],
)
def test_a_fold_with_the_white_space_around_it_is_one_space(text, whole):
    """RFC 3261 §7.3.1."""
    assert unfold(text) == whole


@cases(
    ("text", "plain"),
    [
        ("alice", "alice"),
        ("%61lice", "alice"),
        ("%2541", "%41"),  # once, never twice: RFC 4475 §3.1.1.3
        ("a%00b", "a\0b"),
        ("%D0%B4", "д"),
        ("%d0%b4", "д"),
        ("%ff", "\udcff"),  # an octet that is no UTF-8
        ("\udcff%41", "\udcffA"),
        ("100%", "100%"),
        ("%4", "%4"),
        ("%zz", "%zz"),
    ],
)
def test_escapes_are_octets(text, plain):
    """RFC 3261 §25.1 escaped."""
    assert unescape(text) == plain


@cases(
    ("text", "is_bad"),
    [("", False), ("a", False), ("%41%4a%FF", False), ("%", True), ("%4", True), ("%4g%41", True)],
)
def test_an_escape_has_two_hexadecimal_digits(text, is_bad):
    """RFC 3261 §25.1 escaped."""
    assert has_bad_escape(text) is is_bad


def test_quoting_protects_quotes_and_backslashes():
    """RFC 3261 §25.1 quoted-string."""
    assert quote('a"b\\c') == '"a\\"b\\\\c"'
    assert unquote('a\\"b\\\\c') == 'a"b\\c'
    assert unquote("\\a\\\\\\\\b\\\\\\c") == "a\\\\b\\c"
    assert unquote("plain") == "plain"


def test_the_end_of_a_quoted_string_is_its_own_quote():
    """RFC 3261 §25.1 quoted-string."""
    assert end_of_quoted('x"a\\"b\\\\"c"', 1) == 9
    for text in ('"a', '"a\\"', '"'):
        with pytest.raises(BadMessage):
            end_of_quoted(text, 0)


@cases(
    ("text", "limit", "number"),
    [
        ("0", 9, 0),
        ("9", 9, 9),
        ("10", 9, 10),
        ("99", 9, 10),
        ("0009", 9, 9),
        ("0" * 5000, 9, 0),
        ("0" * 5000 + "7", 9, 7),
        ("1" * 5000, 2**32, 2**32 + 1),
        (str(2**31), 2**31 - 1, 2**31),
        (str(2**31 - 1), 2**31 - 1, 2**31 - 1),
    ],
)
def test_a_number_is_read_up_to_its_limit(text, limit, number):
    """RFC 3261 §25.1 1*DIGIT, RFC 4475 §3.1.2.4."""
    assert bounded_number(text, limit) == number


@cases("text", ["", "-1", "+1", "1.0", " 1", "1 ", "٣", "²", "0x1", "1_0", "five"])
def test_what_is_no_number_is_none(text):
    """RFC 3261 §25.1 1*DIGIT."""
    assert bounded_number(text, 9) is None


# Parameters


@cases(
    ("text", "params"),
    [
        ("", {}),
        (";a", {"a": None}),
        (";a=", {"a": ""}),
        (";Tag=X", {"tag": "X"}),
        (";a=b=c", {"a": "b=c"}),
        (";a=1;b;c=[::1]", {"a": "1", "b": None, "c": "[::1]"}),
        (" ; a = 1 ;\tb ", {"a": "1", "b": None}),
        (';a="x;y,z"', {"a": "x;y,z"}),
        (';a="x\\"y\\\\"', {"a": 'x"y\\'}),
        (';a = "" ; b', {"a": "", "b": None}),
        (";é=\udcff", {"é": "\udcff"}),
    ],
)
def test_parameters_have_names_in_lower_case(text, params):
    """RFC 3261 §25.1 generic-param."""
    assert parse_params(text) == params
    assert scan_params(text) == params


@cases(
    "text",
    [
        ";",
        ";;a",
        ";a;",
        ";=b",
        "a",
        ";a b",
        ';a="x',
        ';a="x"y',
        ";a=b,c",
        ";a\\=b",
        ";a;A=1",
        ';a;a="',
    ],
)
def test_parameters_that_cannot_be_read_are_refused(text):
    """RFC 3261 §25.1 generic-param; each may stand there once (§7.3.1)."""
    for read in (parse_params, scan_params):
        with pytest.raises(BadMessage) as caught:
            read(text)
        assert caught.value.status == 400


def test_a_reason_shows_little_of_what_a_stranger_sent():
    """It goes into an answer and into the log, so it is short and holds no control characters."""
    name = "\x1b" * 1000
    for read in (split_params, scan_params):
        with pytest.raises(BadMessage) as caught:
            read(f";{name};{name}")
        assert len(caught.value.reason) < 150
        assert caught.value.reason.isprintable()


def test_what_is_not_plain_is_left_to_the_exact_reading():
    """PERFORMANCE: the quick reading never meets what it would misread."""
    assert is_plain(";a=b;[::1]%41'()")
    for character in ' \t",<>\\':
        assert not is_plain(f"a{character}b")


def test_single_parameters_can_be_taken_out():
    """RFC 3261 §18.2.1: what a client says of itself in received is not kept."""
    text = ';a=1 ; Received = x;b="q;rport\\"" ;rport;c'
    assert without_params(text, frozenset({"received", "rport"})) == ';a=1;b="q;rport\\"";c'
    assert without_params(text, frozenset({"c"})) == text.removesuffix(";c")
    assert without_params("", frozenset({"a"})) == ""
    assert without_params(";a;b\r\n ;c", frozenset({"b"})) == ";a ;c"


# Lists


@cases(
    ("value", "parts"),
    [
        ("", [""]),
        ("a", ["a"]),
        (" a , b ", ["a", "b"]),
        ("a,,b,", ["a", "", "b", ""]),
        ('"a,b" <c>,d', ['"a,b" <c>', "d"]),
        ('"a\\",b",c', ['"a\\",b"', "c"]),
        ("<a,b>,c", ["<a,b>", "c"]),
        ('<a",b>,c', ['<a",b>', "c"]),  # within brackets a quote is a character like others
        ("<a<b,c>,d", ["<a<b,c>", "d"]),
        ("<a,b", ["<a,b"]),
        ("a>,b", ["a>", "b"]),
    ],
)
def test_lists_are_split_outside_of_quotes_and_brackets(value, parts):
    """RFC 3261 §7.3.1."""
    assert split_list(value) == parts
    first, rest = split_first(value)
    assert first.strip() == parts[0]
    assert first + rest == value


@pytest.mark.parametrize("value", ['a,"b', '"a\\",b', '<a>,"'])
def test_a_list_with_an_open_quote_is_refused(value):
    """RFC 3261 §25.1 quoted-string."""
    with pytest.raises(BadMessage):
        split_list(value)
