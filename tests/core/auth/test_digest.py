"""Challenges, answers and nonces by themselves (RFC 7616, 2617, 2069, 8760)."""

import hashlib
import itertools
import random
import re
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.auth import digest
from sip.core.auth.digest import (
    ALGORITHMS,
    COUNT_WINDOW,
    NONCE_SECONDS,
    ONCE,
    Answer,
    Nonces,
    challenge,
    expected_response,
    is_right,
    read_answer,
    read_credentials,
)
from sip.message.headers import parse_credentials, scan_credentials
from tests.support.cases import cases
from tests.support.properties import outcome

PEER = "192.0.2.7"


def nonces(secret: bytes = b"a secret of the tests") -> Nonces:
    """A maker of nonces with a counter as their unique part."""
    numbers = itertools.count(1)
    return Nonces(secret, lambda: format(next(numbers), "016x"))


def ha1(algorithm: str, text: str) -> str:
    name = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}[algorithm]
    return hashlib.new(name, text.encode()).hexdigest()


def answer(**changes: str) -> dict[str, str]:
    """The parameters of an answer of today."""
    return {
        "username": "bob",
        "realm": "example.com",
        "nonce": "n",
        "uri": "sip:example.com",
        "response": "0" * 32,
        "qop": "auth",
        "nc": "00000001",
        "cnonce": "c",
    } | changes


# Answers

MUFASA_7616 = (
    "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
)


@pytest.mark.parametrize(
    ("algorithm", "who", "uri", "nonce", "cnonce", "response"),
    [
        pytest.param(
            "MD5",
            "Mufasa:testrealm@host.com:Circle Of Life",
            "/dir/index.html",
            "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            "0a4f113b",
            "6629fae49393a05397450978507c4ef1",
            id="RFC 2617 §3.5",
        ),
        pytest.param(
            "MD5",
            "Mufasa:http-auth@example.org:Circle of Life",
            "/dir/index.html",
            *MUFASA_7616,
            "8ca523f5e9506fed4657c9700eebdbec",
            id="RFC 7616 §3.9.1, MD5",
        ),
        pytest.param(
            "SHA-256",
            "Mufasa:http-auth@example.org:Circle of Life",
            "/dir/index.html",
            *MUFASA_7616,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            id="RFC 7616 §3.9.1, SHA-256",
        ),
        pytest.param(
            "MD5",
            "Mufasa:testrealm@host.com:CircleOfLife",
            "/dir/index.html",
            "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            "",
            "1949323746fe6a43ef61f9606e7febea",
            id="RFC 2069 §2.4, where the response printed is another's",
        ),
    ],
)
def test_the_examples_of_the_rfcs_come_out(algorithm, who, uri, nonce, cnonce, response):
    """RFC 7616 §3.4.1; without a cnonce by RFC 2069 §2.1.2."""
    qop, count = ("auth", "00000001") if cnonce else ("", "")
    username, realm, _ = who.split(":")
    given_answer = Answer(algorithm, username, realm, nonce, uri, response, qop, count, cnonce)
    assert expected_response(ha1(algorithm, who), "GET", given_answer) == response
    assert is_right(ha1(algorithm, who), "GET", given_answer)
    given_answer.response = response.upper()
    assert is_right(ha1(algorithm, who), "GET", given_answer)
    assert not is_right(ha1(algorithm, who), "POST", given_answer)
    assert not is_right(ha1(algorithm, who + "?"), "GET", given_answer)


def test_sha_512_256_is_not_a_truncated_sha_512():
    """RFC 7616 §6.1, and the example of FIPS 180-4."""
    given_answer = Answer("SHA-512-256", "", "", "", "", "", "", "", "")
    assert expected_response("", "abc", given_answer) == ha1(
        "SHA-512-256", "::" + ha1("SHA-512-256", "abc:")
    )
    assert ha1("SHA-512-256", "abc") == (
        "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"
    )


@pytest.mark.parametrize("field", ["nonce", "uri", "count", "cnonce", "qop", "response"])
def test_an_answer_with_anything_changed_is_wrong(field: str):
    """RFC 7616 §3.4.1: all of it goes into the hash."""
    right, _ = read_answer(answer())
    right.response = expected_response("0" * 32, "REGISTER", right)
    assert is_right("0" * 32, "REGISTER", right)
    setattr(right, field, getattr(right, field) + "0")
    assert not is_right("0" * 32, "REGISTER", right)


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_can_be_checked(uri: str, response: str):
    """Any text is compared without an exception, also octets outside UTF-8."""
    octets = (uri + "\udcff").encode("utf-8", "surrogateescape")
    odd = octets.decode("utf-8", "surrogateescape")
    given_answer, _ = read_answer(answer(uri=odd, response=response + "\udc80", username=odd))
    assert not is_right("0" * 32, "INVITE", given_answer)


@cases(
    ("changes", "says"),
    [
        ({"algorithm": "SHA-1"}, "SHA-1"),
        ({"algorithm": "MD5-sess"}, "MD5-SESS"),
        ({"algorithm": ""}, None),
        ({"algorithm": "sha-256"}, None),
        ({"qop": "auth-int"}, "auth-int"),
        ({"qop": "AUTH"}, None),
        ({"nc": ""}, "nc"),
        ({"nc": "1"}, "nc"),
        ({"nc": "000000001"}, "nc"),
        ({"nc": "0x000001"}, "nc"),
        ({"nc": "+0000001"}, "nc"),
        ({"nc": "-0000001"}, "nc"),
        ({"nc": "0000_001"}, "nc"),
        ({"nc": " 000001 "}, "nc"),
        ({"nc": "\u0660000000\u0661"}, "nc"),
        ({"nc": "0000000G"}, "nc"),
        ({"nc": "DEADbeef"}, None),
        ({"cnonce": ""}, "cnonce"),
    ],
)
def test_a_faulty_answer_is_named(changes: dict[str, str], says: str | None):
    """RFC 7616 §3.4: nc is eight hexadecimal digits; names have no case."""
    params = answer(**changes)
    _, fault = read_answer(params)
    assert (not fault) == (says is None)
    assert (says or "") in fault
    field = ", ".join(f'{name}="{value}"' for name, value in params.items())
    assert read_credentials(f"Digest {field}") == read_answer(params)


def test_an_answer_after_rfc_2069_needs_neither_count_nor_cnonce():
    """RFC 7616 §3.4: no qop, no nc."""
    params = answer()
    del params["qop"], params["nc"], params["cnonce"]
    assert read_answer(params)[1] == ""


# Credentials of phones, as they write them, with the parser of their layout or without

USUAL = (
    'Digest username="bob", realm="example.com", nonce="n", uri="sip:example.com", response="0",'
    ' algorithm=MD5, cnonce="c", qop=auth, nc=00000001',
    'Digest username="bob",realm="example.com",cnonce="c",nc=0000000a,qop=auth,'
    'uri="sip:example.com",nonce="n",response="0",algorithm=MD5',
    'Digest  username="bob" , realm="a, b=c" ,nonce="", uri="x" , response="0",opaque="o" ',
    'digest\tUSERNAME="b", Realm="r", nonce="n", uri="u", response="r", qop="auth", nc="00000001",'
    ' cnonce=c, algorithm="sha-256"',
)
UNUSUAL = (
    'Digest username="b\\"ob", realm="r", nonce="n", uri="u", response="r"',
    'Digest username="bob", realm="r", nonce="n", uri="u", response="r", nonce="m"',
    'Digest username="bob", realm="r", nonce="n", uri="u", response="r", userhash=true',
    'Digest username="bob", realm="r", nonce="n", uri="u", response="r", userhash="true"',
    'Digest username*=UTF-8\'\'bob, realm="r", nonce="n", uri="u", response="r"',
    'Basic username="bob", realm="r", nonce="n", uri="u", response="r"',
    'Digest username="bob", realm="r", nonce="n" uri="u", response="r"',
    'Digest username="bob", realm="r", nonce="n", uri="u", response="r',
    f'Digest username="bob", realm="{"=" * 70}"',
    f'Digest username="bob", realm="{"r" * 700}"',
    'Digest username="a" "b", realm="r"',
    'Digest "username"="bob", realm="r"',
    "Digest",
    "",
)
PIECES = ('"', '"', ", ", "=", "nc=00000002", "1,", "Digest ", "\t", "\\", " ", "realm", "x")


def exactly(field: str) -> tuple[Answer, str] | None:
    credentials = scan_credentials(field)
    return read_answer(credentials.params) if credentials.scheme == "digest" else None


@pytest.mark.parametrize("field", [*USUAL, *UNUSUAL])
def test_both_readers_of_credentials_agree(field: str):
    assert digest._read_usual(field) is not None or field not in USUAL[:3]
    assert outcome(read_credentials, field) == outcome(exactly, field)


@given(st.sampled_from(USUAL + UNUSUAL), st.data())
def test_both_readers_agree_on_changed_credentials(field: str, data: st.DataObject):
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(field)))
        end = data.draw(st.integers(at, min(len(field), at + 12)))
        field = field[:at] + data.draw(st.sampled_from(PIECES) | st.text(max_size=3)) + field[end:]
    assert outcome(read_credentials, field) == outcome(exactly, field)


def test_credentials_of_one_layout_are_parsed_once(monkeypatch):
    """Only the values in quotes differ, so phones of one model share a layout."""
    parsed = []
    monkeypatch.setattr(digest, "scan_credentials", lambda text: parsed.append(text))
    monkeypatch.setattr(digest, "parse_credentials", lambda text: parsed.append(text))
    first, _ = exactly(USUAL[0]) or (None, "")
    for name in ("bob", "ann, or=1", "1,"):
        read, _ = read_credentials(USUAL[0].replace("bob", name)) or (None, "")
        assert read == replace(first, username=name)
    assert parsed == []


def test_challenge_values_are_quoted_as_in_rfc_7616():
    """RFC 7616 §3.3: realm, nonce and qop in quotes, algorithm and stale not."""
    text = challenge('a "realm"', "abc", "SHA-256", stale=True)
    assert text.endswith(', algorithm=SHA-256, qop="auth", stale=true')
    assert parse_credentials(text).params["realm"] == 'a "realm"'
    assert "stale" not in challenge("r", "n", "MD5", stale=False)
    assert ALGORITHMS == ("MD5", "SHA-256", "SHA-512-256")


# Nonces


def test_no_nonce_is_made_twice_and_none_tells_where_it_goes():
    """RFC 7616 §3.3: unique for each challenge, of digits that need no quoting."""
    made = nonces()
    several = [made.make(5.0, PEER) for _ in range(1000)]
    assert len(set(several)) == 1000
    assert all(re.fullmatch("[0-9a-f]{40}", nonce) for nonce in several)


def test_a_nonce_is_good_for_its_address_and_its_maker_alone():
    made = nonces()
    nonce = made.make(100.0, PEER)
    assert made.is_ours(nonce, PEER)
    assert not made.is_ours(nonce, "192.0.2.77")
    assert not nonces(b"another secret").is_ours(nonce, PEER)


@given(st.integers(0, 39), st.sampled_from("0123456789abcdef"))
def test_a_nonce_with_one_digit_changed_is_not_ours(at: int, digit: str):
    made = nonces()
    nonce = made.make(100.0, PEER)
    other = nonce[:at] + digit + nonce[at + 1 :]
    assert made.is_ours(other, PEER) == (other == nonce)


@given(st.text(max_size=45))
def test_any_other_text_is_no_nonce(text: str):
    assert not nonces().is_ours(text, PEER)
    assert not nonces().is_ours("\u00e9" * 40, PEER)


def test_a_nonce_is_fresh_for_its_lifetime_and_not_before():
    """The clock starts anew with the machine: a nonce of a clock ahead is not fresh."""
    made = nonces()
    nonce = made.make(1000.9, PEER)
    assert made.is_fresh(nonce, 1000.9)
    assert made.is_fresh(nonce, 1000 + NONCE_SECONDS)
    assert not made.is_fresh(nonce, 1001 + NONCE_SECONDS)
    assert not made.is_fresh(nonce, 10.0)


def test_counts_may_overtake_or_skip_but_never_repeat():
    """RFC 7616 §3.4: datagrams may be reordered on their way."""
    made = nonces()
    nonce = made.make(0.0, PEER)
    taken = [made.use(nonce, count, 0.0) for count in (1, 5, 3, 5, 3, 4, 90, 5, 27, 26, 90, 0, -1)]
    assert taken == [
        True, True, True, False, False, True, True, False, True, False, False, False, False
    ]  # fmt: skip


@given(st.lists(st.integers(-3, 200), max_size=120), st.randoms(use_true_random=False))
def test_the_window_of_counts_agrees_with_a_plain_set(counts: list[int], shuffle: random.Random):
    """Each count is accepted once, unless it lags too far behind the highest."""
    made, used, highest = nonces(), set(), 0
    nonce = made.make(0.0, PEER)
    shuffle.shuffle(counts)
    for count in counts:
        may = count >= 1 and count not in used and count > highest - COUNT_WINDOW
        assert made.use(nonce, count, 0.0) == may
        if may:
            used.add(count)
            highest = max(highest, count)


def test_an_answer_without_a_count_uses_its_nonce_up():
    """RFC 2069 has nothing else to tell a replay by."""
    made = nonces()
    nonce = made.make(0.0, PEER)
    assert made.use(nonce, 1, 0.0)
    assert made.use(nonce, ONCE, 0.0)
    assert not made.use(nonce, ONCE, 0.0)
    tracemalloc.start()
    assert not made.use(nonce, 2, 0.0)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 100_000, "however far a count lags, nothing is made of that size"


def test_nothing_is_remembered_of_a_nonce_before_it_is_used():
    """§26.3.2.4: a challenge costs no memory."""
    made = nonces()
    for _ in range(100):
        nonce = made.make(0.0, PEER)
        made.is_ours(nonce, PEER)
        made.is_fresh(nonce, 0.0)
    assert len(made) == 0


def test_the_count_table_is_bounded_and_allows_no_replay(monkeypatch):
    """Rather one round trip more than a replay: below a floor nothing is fresh."""
    monkeypatch.setattr(digest, "MAX_COUNTED_NONCES", 10)
    made = nonces()
    late = made.make(100.0, PEER)  # made first, used last
    several = [made.make(100.0 + second, PEER) for second in range(30)]
    for nonce in several:
        assert made.use(nonce, 1, 130.0)
    assert made.use(late, 1, 130.0)
    assert len(made) <= 10
    for nonce in [*several, late]:
        is_fresh = made.is_fresh(nonce, 130.0)
        assert not (is_fresh and made.use(nonce, 1, 130.0)), "replayed"
    assert made.is_fresh(several[-1], 130.0)
    assert made.is_fresh(made.make(131.0, PEER), 131.0)


def test_old_nonces_leave_the_table_by_themselves():
    """A table below its bound holds the counts of the last minutes."""
    made = nonces()
    for second in range(2000):
        assert made.use(made.make(second, PEER), 1, second)
    assert len(made) <= 2 * NONCE_SECONDS + 4
