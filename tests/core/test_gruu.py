"""GRUUs as text: public ones, and temporary ones, which only this server reads (RFC 5627)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.gruu import (
    MAX_GENERATION,
    NONCE_BYTES,
    TemporaryGruus,
    is_gruu,
    may_have_gruu,
    public_gruu,
)
from sip.message.uri import SipUri, parse_uri

GRUUS = TemporaryGruus(b"a secret of 16 octets")
NONCE = b"0123456789"


def uri(text: str) -> SipUri:
    read = parse_uri(text)
    assert isinstance(read, SipUri)
    return read


@pytest.mark.parametrize(
    ("aor", "address"),
    [
        ("sip:bob@example.com", "bob@example.com"),
        ("sip:b%40b@EXAMPLE.com:5070;transport=tcp?a=b", "b%40b@EXAMPLE.com:5070"),
        ("sip:bob@[2001:db8::1]", "bob@[2001:db8::1]"),
    ],
)
def test_a_gruu_has_the_domain_that_its_phone_resolves(aor: str, address: str):
    """RFC 5627 §5.1, §5.4: host and port as the phone writes them; `gr` is added."""
    public = public_gruu(uri(aor), "<urn:uuid:F81D-a>")
    assert public == f"sip:{address};gr=urn:uuid:F81D-a"
    temporary = GRUUS.make(uri(aor), 7, NONCE)
    assert temporary.endswith(f"@{address.partition('@')[2]};gr")
    assert "bob" not in temporary
    assert is_gruu(uri(public))
    assert is_gruu(uri(temporary))
    assert not is_gruu(uri(aor))
    assert not is_gruu(parse_uri("tel:+1;gr=x"))


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60))
def test_each_instance_id_comes_back_out_of_its_gruu(text: str):
    """RFC 5627 §5.4: GRUUs of different instances differ."""
    instance = f"<{text}>"
    if may_have_gruu(instance):
        assert uri(public_gruu(uri("sip:b@h"), instance)).param("gr") == text
    else:
        assert "<" in text or ">" in text


@pytest.mark.parametrize("instance", ["", "urn:uuid:1", "<>", "<a b>", "<\u00e9>", "<a\n>", "<a"])
def test_other_instance_ids_give_no_gruu(instance: str):
    """RFC 5626 §4.1: a URN in angle brackets."""
    assert not may_have_gruu(instance)


@given(st.integers(1, MAX_GENERATION), st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES))
def test_a_temporary_gruu_holds_its_generation(generation: int, nonce: bytes):
    """By a server with the same key; not by another one."""
    made = uri(GRUUS.make(uri("sip:bob@h"), generation, nonce))
    assert TemporaryGruus(b"a secret of 16 octets").generation_of(made) == generation
    assert TemporaryGruus(b"another secret of 16").generation_of(made) == 0


@given(st.integers(6, 45), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_changed_temporary_gruu_is_none(at: int, letter: str):
    user, _, rest = GRUUS.make(uri("sip:bob@h"), 7, NONCE)[4:].partition("@")
    changed = f"{user[:at]}{letter}{user[at + 1 :]}"
    assert GRUUS.generation_of(uri(f"sip:{changed}@{rest}")) == (7 if changed == user else 0)


@given(st.text(max_size=50))
def test_no_text_is_taken_for_a_temporary_gruu(text: str):
    made = SipUri("", "sip", text or None, None, "h", None, (("gr", None),), ())
    assert GRUUS.generation_of(made) == 0


def test_two_temporary_gruus_have_nothing_in_common():
    """RFC 5627 §5.1: they do not show that they are of one phone."""
    first, second = [GRUUS.make(uri("sip:b@h"), 7, bytes([n]) * 10)[10:50] for n in (1, 2)]
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 8
