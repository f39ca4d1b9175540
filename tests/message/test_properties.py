"""Properties that hold for any octets: valid, slightly damaged or random."""

from hypothesis import example, given
from hypothesis import strategies as st

from sip.message.grammar import quote, unfold, unquote
from tests.support.properties import (
    addresses_read_alike,
    are_numbers_or_bad,
    credentials_read_alike,
    goes_out_as_it_came,
    is_host_or_bad,
    is_message_or_bad,
    is_one_message_when_edited,
    is_uri_or_bad,
    line_ends_read_alike,
    lists_split_alike,
    parameters_read_alike,
    uris_compare_either_way,
    vias_read_alike,
)
from tests.support.strategies import (
    MESSAGES,
    PIECES,
    SEARCH,
    VALUES,
    datagrams,
    nearly_valid,
    octets_of,
    values,
)

# Two readings of one value


@SEARCH
@given(st.lists(st.sampled_from(PIECES)).map(lambda pieces: ";" + "".join(pieces)))
@example(";a=b=c;d;e=")
@example(";a;A")
@example(";=b")
def test_splitting_and_scanning_read_the_same_parameters(text):
    """RFC 3261 §25.1 generic-param: splitting is for plain text alone."""
    parameters_read_alike(text)


@SEARCH
@given(values("via"))
@example("SIP/2.0/UDP [::1]x")
@example("SIP/2.0/UDP a:")
@example("SIP/2.0/UDP :5060")
@example("SIP/2.0/UDP [::1")
@example("SIP/2.0/UDP a;")
@example("SIP/2.0/UDP a\x0b;b")
def test_quick_and_exact_reader_see_the_same_via(value):
    """RFC 3261 §25.1 via-parm."""
    vias_read_alike(value)


@SEARCH
@given(values("name-addr"))
@example("<>;tag=1")
@example("<sip:a b>")
@example("<sip:a\tb>")
@example("<sip:a>x")
def test_quick_and_exact_reader_see_the_same_address(value):
    """RFC 3261 §25.1 name-addr."""
    addresses_read_alike(value)


@SEARCH
@given(values("credentials"))
@example('Digest a="b""c"')
@example('Digest a="b"c="d"')
@example('Digest ,,a="b" ,')
@example('Digest a = b c , d = "" ')
@example('Digest\ta="b\tc"')
@example("Digest a=b\n")
@example('Digest realm, nonce="x"')
@example("Digest realm")
@example('Digest realm=a;"b",qop="c"')
@example(' a="b"')
def test_quick_and_exact_reader_see_the_same_credentials(value):
    """RFC 3261 §25.1 credentials."""
    credentials_read_alike(value)


@SEARCH
@given(st.one_of(values("via"), values("name-addr"), values("credentials")))
@example('"a,b",<c,"d>,e"')
def test_a_list_is_split_at_its_own_commas(value):
    """RFC 3261 §7.3.1: those in quotes or angle brackets belong to a value."""
    lists_split_alike(value)


# Any octets


@SEARCH
@given(datagrams)
@example(b"")
@example(b"\r\n\r\n")
@example(b"OPTIONS SIP/2.0\r\n\r\n")
@example(b"SIP/2.0 200\r\n\r\n")
@example(MESSAGES[0].replace("SIP/2.0\r", "SIP/" + "9" * 999 + ".0\r").encode())
def test_any_octets_are_a_message_or_a_bad_message(datagram):
    """RFC 4475 §3: no other error is raised, by the parser or by a look at the values."""
    is_message_or_bad(datagram)


@SEARCH
@given(nearly_valid(MESSAGES))
def test_what_is_accepted_goes_out_as_it_came_in(text):
    """RFC 3261 §16.6, step 1: a proxy adds nothing, removes nothing and reorders nothing."""
    goes_out_as_it_came(octets_of(text))
    goes_out_as_it_came(octets_of(text.replace("\r\n", "\n")))


@SEARCH
@given(nearly_valid(MESSAGES))
def test_lf_alone_reads_as_crlf_and_a_mixture_is_refused(text):
    """RFC 3261 §7: no element after us reads such a head otherwise."""
    line_ends_read_alike(octets_of(text))


@SEARCH
@given(nearly_valid(MESSAGES))
def test_an_edited_message_is_still_one_message(text):
    """RFC 3261 §16.6, §18.2.1: with any folds, lists and quotes in its Via."""
    is_one_message_when_edited(octets_of(text))


# Any text


@SEARCH
@given(values("uri"))
@example("sip:a@[::1%a%b]")
@example("sip:" + "[" * 300)
@example("tel:+")
def test_any_text_is_a_uri_or_a_bad_message(text):
    """RFC 3261 §19.1, RFC 3966."""
    is_uri_or_bad(text)


@SEARCH
@given(nearly_valid(VALUES["uri"]), nearly_valid(VALUES["uri"]))
def test_equality_of_uris_has_no_direction(one_text, other_text):
    """RFC 3261 §19.1.4."""
    uris_compare_either_way(one_text, other_text)


@SEARCH
@given(st.one_of(values("uri"), values("via")))
def test_any_text_is_a_host_and_port_or_a_bad_message(text):
    """RFC 3261 §25.1 hostport."""
    is_host_or_bad(text)


@SEARCH
@given(st.one_of(values("cseq"), values("credentials")))
def test_any_text_is_a_number_or_a_bad_message(text):
    """RFC 3261 §20.10, §20.16, §20.19."""
    are_numbers_or_bad(text)


@SEARCH
@given(st.text())
def test_what_is_quoted_can_be_unquoted(text):
    """RFC 3261 §25.1 quoted-string."""
    assert unquote(quote(text)[1:-1]) == text


@SEARCH
@given(st.lists(st.sampled_from(["\\a", "\\\\", '\\"', "b", "%"])))
def test_a_quoted_pair_is_read_from_the_left(pieces):
    """RFC 3261 §25.1 quoted-pair."""
    assert unquote("".join(pieces)) == "".join(piece[-1] for piece in pieces)


@SEARCH
@given(st.lists(st.sampled_from(["a", " ", "\t", "\r\n ", "\r\n\t "])).map("".join))
def test_a_fold_is_a_space(text):
    """RFC 3261 §7.3.1."""
    whole = unfold(text)
    assert "\n" not in whole
    assert whole.split() == text.split()
    assert unfold(whole) == whole
